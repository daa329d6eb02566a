# SPDX-License-Identifier: Apache-2.0
"""A real guest under QEMU: booted, driven and questioned over a virtio-serial port.

    with Network() as net, Guest("6.1", net) as guest:
        guest.run("id")            # output of a shell command; raises if it fails
        guest.truth()              # what the guest says of its processes and sockets
        guest.pid                  # the VMM's process id, for xfilter

The lab never uses the guest's network for this.
"""

import base64
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from . import guest_image, packages, process, scratch, truth
from .network import Network

BOOT_SECONDS = 90
PROBE_SECONDS = 15  # a guest boots in two or three under a KVM that works


class GuestFailed(RuntimeError):
    pass


class Guest:
    def __init__(self, kernel: str, network: Network | None = None, *, memory_mib: int = 512, cpus: int = 2,
                 share: bool = False, cpu: str = "max", append: str = "", accel: str | None = None,
                 wait: bool = True, boot_seconds: float = BOOT_SECONDS, containers: bool = False, uefi: bool = False,
                 drives: tuple[pathlib.Path, ...] = ()):
        self.kernel, self.network, self.memory_mib, self.cpus = kernel, network, memory_mib, cpus
        self.share, self.cpu, self.append, self.accel, self._wait = share, cpu, append, accel, wait
        self.boot_seconds, self.containers, self.uefi, self.drives = boot_seconds, containers, uefi, drives
        self._number = 0
        self._process = self._port = self._qmp = None
        self._snapshots = 0

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=scratch.prefix("guest")))
        try:
            self._start()
            if self._wait:
                self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _command(self) -> list[str]:
        qemu, kernel = packages.qemu(), packages.kernel(self.kernel)
        memory = f"memory-backend-{'memfd' if self.share else 'ram'},id=ram,size={self.memory_mib}M"
        memory += ",share=on" if self.share else ""
        append = "console=ttyS0 panic=-1 " + self.append
        command = [qemu["program"], *qemu["arguments"], "-nodefaults", "-display", "none", "-no-user-config",
                   "-accel", self.accel or accelerator(), "-M", "q35,memory-backend=ram", "-object", memory,
                   "-m", str(self.memory_mib), "-smp", str(self.cpus), "-cpu", self.cpu,
                   "-kernel", str(kernel / "vmlinuz"), "-initrd", str(guest_image.initramfs(self.kernel, self.containers)),
                   "-serial", f"file:{self.folder}/console", "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off",
                   "-device", "virtio-serial-pci", "-chardev", f"socket,id=lab,path={self.folder}/port,server=on,wait=off",
                   "-device", "virtserialport,chardev=lab,name=lab"]
        for drive in self.drives:  # /dev/vda, /dev/vdb, ...
            command += ["-drive", f"if=virtio,format=raw,readonly=on,file={drive}"]
        if self.uefi:
            command += ["-bios", str(packages.uefi())]
        if self.network:
            net = self.network
            append += f" lab.ip4={net.guest4}/24 lab.ip6={net.guest6}/64"
            for nic, tap in enumerate(net.taps):
                command += ["-netdev", f"tap,id=net{nic},ifname={tap},script=no,downscript=no",
                            "-device", f"virtio-net-pci,netdev=net{nic},mac=52:54:00:77:{nic:02x}:02,romfile="]
            command = Network.inside(net.vm, *command)
        return [*command, "-append", append]

    def _start(self):
        environment = {**os.environ, **packages.qemu()["environment"]}
        self._errors = open(self.folder / "errors", "wb")
        self._process = process.start(self._command(), env=environment, stdin=subprocess.DEVNULL,
                                      stdout=self._errors, stderr=self._errors)
        self._port = self._connect("port")
        self._qmp = self._connect("qmp")
        try:
            self._qmp.readline()  # its greeting
            self.qmp("qmp_capabilities")
        except (OSError, ValueError) as error:
            raise self._did_not_start() from error

    def _connect(self, name: str):
        give_up = time.monotonic() + 20
        while True:
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(str(self.folder / name))
                connection.settimeout(self.boot_seconds)
                return connection.makefile("rw")
            except OSError:
                connection.close()
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise self._did_not_start()
                time.sleep(0.02)

    def _did_not_start(self) -> GuestFailed:
        return GuestFailed(f"QEMU did not start:\n{(self.folder / 'errors').read_text()}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self):
        """Until the guest answers: after the boot, or after reset()."""
        try:
            while True:
                line = self._port.readline()
                if not line:
                    raise GuestFailed("the guest's control port closed")
                if line.startswith("ready"):
                    return
        except (TimeoutError, OSError, GuestFailed) as error:
            console = (self.folder / "console").read_text(errors="replace")[-3000:]
            raise GuestFailed(f"guest {self.kernel} did not boot ({error}). Its console ends:\n{console}") from error

    def run(self, command: str, check: bool = True) -> str:
        self._number += 1
        self._port.write(f"{self._number} {base64.b64encode(command.encode()).decode()}\n")
        self._port.flush()
        while True:
            line = self._port.readline()
            if not line:
                raise GuestFailed(f"the guest ended while it ran: {command}")
            number, code, *output = line.split(" ", 2)
            if number == str(self._number):
                break
        text = base64.b64decode(output[0] if output else "").decode(errors="replace")
        if check and code != "0":
            raise GuestFailed(f"in the guest, exit code {code}: {command}\n{text}")
        return text

    def put(self, path: str, data: bytes):
        """Writes a small file in the guest."""
        self.run(f"echo {base64.b64encode(data).decode()} | base64 -d > {path}")

    def start(self, command: str, user: str = "root") -> int:
        """Starts a program in the guest's background; its pid there."""
        quoted = command.replace("'", "'\\''")
        return int(self.run(f"su {user} -s /bin/sh -c 'exec {quoted}' > /tmp/{user}.log 2>&1 & echo $!"))

    def truth(self) -> dict:
        return truth.parse(self.run("truth"))

    def qmp(self, command: str, **arguments):
        self._qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._qmp.flush()
        while True:
            answer = json.loads(self._qmp.readline())
            if "error" in answer:
                raise GuestFailed(f"QMP {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def pause(self):
        self.qmp("stop")

    def resume(self):
        self.qmp("cont")

    def reset(self):
        self.qmp("system_reset")

    def save(self) -> str:
        """Keeps the whole machine as it is now, for load()."""
        if self._snapshots == 0:
            file = str(self.folder / "saved.qcow2")
            pathlib.Path(file).touch()
            self.qmp("blockdev-add", **{"driver": "file", "node-name": "file", "filename": file})
            self._job("blockdev-create", options={"driver": "qcow2", "file": "file", "size": 1 << 20})
            self.qmp("blockdev-add", **{"driver": "qcow2", "node-name": "saved", "file": "file"})
        self._snapshots += 1
        snapshot = f"snapshot{self._snapshots}"
        self._job("snapshot-save", tag=snapshot, vmstate="saved", devices=["saved"])
        return snapshot

    def load(self, snapshot: str):
        """Back to the moment of save(): nothing that happened since has."""
        self._job("snapshot-load", tag=snapshot, vmstate="saved", devices=["saved"])

    def _job(self, command: str, **arguments):
        self.qmp(command, **{"job-id": "lab", **arguments})
        while (job := self.qmp("query-jobs")[0])["status"] != "concluded":
            time.sleep(0.02)
        self.qmp("job-dismiss", id="lab")
        if "error" in job:
            raise GuestFailed(f"QMP {command}: {job['error']}")

    def __exit__(self, *_):
        for connection in (self._port, self._qmp):
            if connection:
                connection.close()
        if self._process:
            process.end(self._process)
            self._errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)


_accelerator = None


def accelerator() -> str:
    """KVM where a stock guest boots on it, found out by booting one; emulation otherwise."""
    global _accelerator
    if _accelerator is None:
        _accelerator = "tcg,thread=multi"
        if os.access("/dev/kvm", os.R_OK | os.W_OK) and _boots_under_kvm():
            _accelerator = "kvm"
    return _accelerator


def _boots_under_kvm() -> bool:
    boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    known = packages.cache() / f"kvm-{boot_id}"
    if not known.exists():
        try:
            with Guest("6.1", accel="kvm", boot_seconds=PROBE_SECONDS):
                known.write_text("yes")
        except GuestFailed:
            known.write_text("no")
    return known.read_text() == "yes"

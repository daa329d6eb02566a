# SPDX-License-Identifier: Apache-2.0
"""container.py NAME ADDRESS UID COMMAND...: runs a container of this name with runc.

It has namespaces of its own for everything but users, its address on the bridge `containers`, and a cgroup as Docker
names them. Addresses in 10.88.0.0/24 are behind the guest's NAT; those in 10.99.0.0/24 are forwarded as they are. Prints the pid of its first process. Inside, /hostproc is the guest's own /proc:
/hostproc/self tells a process what its pid is outside.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

BRIDGE, BEHIND_NAT, FORWARDED = "containers", "10.88.0", "10.99.0"
NAMESPACES = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
CAPABILITIES = ["CAP_NET_RAW", "CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_KILL"]


def run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def prepare_network():
    if os.path.exists(f"/sys/class/net/{BRIDGE}"):
        return
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    for network in (BEHIND_NAT, FORWARDED):
        run("ip", "addr", "add", f"{network}.1/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    run("nft", "-f", "-", text=f"""
        table ip nat {{
          chain postrouting {{ type nat hook postrouting priority 100; ip saddr {BEHIND_NAT}.0/24 oifname "eth0" masquerade; }}
        }}""")


def bundle(name: str, uid: int, command: list[str]) -> tuple[str, pathlib.Path]:
    identifier = hashlib.sha256(name.encode()).hexdigest()
    folder = pathlib.Path("/run/bundles") / name
    root = folder / "rootfs"
    for part in ("bin", "usr/local/bin", "proc", "dev", "tmp", "hostproc"):
        (root / part).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    shutil.copy("/usr/local/bin/senders", root / "usr/local/bin")
    (root / "tmp").chmod(0o1777)
    config = {
        "ociVersion": "1.0.2",
        "hostname": identifier[:12],
        "root": {"path": "rootfs"},
        "process": {"cwd": "/", "args": command, "env": ["PATH=/bin:/usr/local/bin"], "user": {"uid": uid, "gid": uid},
                    "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                   {"destination": "/hostproc", "type": "bind", "source": "/proc", "options": ["bind", "ro"]}],
        "linux": {"cgroupsPath": f"/docker/{identifier}", "namespaces": [{"type": kind} for kind in NAMESPACES]},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return identifier, folder


def connect(name: str, address: str, pid: int):
    network, number = address.rsplit(".", 1)
    outside = f"veth{number}"
    run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    run("ip", "link", "set", outside, "master", BRIDGE, "up")
    run("ip", "netns", "attach", name, str(pid))
    for command in (["addr", "add", f"{address}/24", "dev", "eth0"], ["link", "set", "lo", "up"], ["link", "set", "eth0", "up"],
                    ["route", "add", "default", "via", f"{network}.1"]):
        run("ip", "-n", name, *command)


def main():
    name, address, uid, command = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    prepare_network()
    identifier, folder = bundle(name, uid, command)
    log = open(f"/tmp/container-{name}.log", "wb")
    # The initramfs is no file system that a container could pivot away from.
    runc = ["runc", "--root", "/run/runc"]
    created = subprocess.run([*runc, "create", "--no-pivot", "--bundle", str(folder), identifier], stdin=subprocess.DEVNULL,
                             stdout=log, stderr=log)
    if created.returncode != 0:
        raise SystemExit(open(log.name).read())
    pid = json.loads(run(*runc, "state", identifier))["pid"]
    connect(name, address, pid)
    run(*runc, "start", identifier)
    print(pid)


main()

# SPDX-License-Identifier: Apache-2.0
"""The initramfs of a lab guest: busybox, Python, the kernel's modules, and the lab's own programs."""

import hashlib
import pathlib
import shutil
import subprocess

from . import modules, packages

GUEST = pathlib.Path(__file__).parent / "guest"
MODULES = ["virtio_pci", "virtio_net", "virtio_console", "virtio_blk", "ipv6", "crc32c_generic", "nf_conntrack"]
CONTAINER_MODULES = ["veth", "bridge", "nf_tables", "nft_chain_nat", "nft_masq", "nft_nat"]
USERS = ["root:x:0:0::/root:/bin/sh", "alice:x:1000:1000::/home/alice:/bin/sh", "mallory:x:1001:1001::/home/mallory:/bin/sh"]
USERS += [f"user{n}:x:{2000 + n}:{2000 + n}::/tmp:/bin/sh" for n in range(5)]
# Python's standard library without what a mailer never imports: the guest unpacks it under emulation.
UNUSED = ["usr/share", "usr/include", "usr/bin/openssl", "usr/lib/python3*/test", "usr/lib/python3*/lib2to3",
          "usr/lib/python3*/pydoc_data", "usr/lib/python3*/idlelib", "usr/lib/x86_64-linux-gnu/perl-base", "var"]


def _root(with_containers: bool) -> pathlib.Path:
    python = ["python3-minimal", "libpython3-stdlib"]
    if with_containers:
        return packages.extract_root("guest-containers", ["bookworm"], [*python, "runc", "nftables", "iproute2"])
    return packages.extract_root("guest-python", ["bookworm"], python)


def initramfs(kernel_name: str, with_containers: bool = False) -> pathlib.Path:
    kernel = packages.kernel(kernel_name)
    wanted_modules = MODULES + (CONTAINER_MODULES if with_containers else [])
    sources = sorted(path for path in GUEST.iterdir() if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [*sources, pathlib.Path(__file__)]))
    digest.update((kernel / "version").read_bytes())

    def build(partial):
        root = partial.with_suffix(".root")
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "-a", str(_root(with_containers)), str(root)], check=True)
        for pattern in UNUSED:
            for path in root.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for folder in ["bin", "lib/modules", "usr/local/bin", "etc", "root", "proc", "sys", "dev", "tmp", "run"]:
            (root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        shutil.copy(GUEST / "init", root / "init")
        shutil.copy(GUEST / "labd", root / "labd")
        for source in GUEST.glob("*.py"):
            shutil.copy(source, root / "usr/local/bin" / source.name)
        for source in GUEST.glob("*.c"):
            subprocess.run(["gcc", "-static", "-O2", "-Wall", "-Werror", "-pthread", "-o",
                            str(root / "usr/local/bin" / source.stem), str(source)], check=True)
        (root / "init").chmod(0o755)
        (root / "etc/passwd").write_text("\n".join(USERS) + "\n")
        (root / "etc/group").write_text("root:x:0:\n")
        for user in ("alice", "mallory"):
            home = root / "home" / user
            home.mkdir(parents=True)
            shutil.chown(home, 1000 if user == "alice" else 1001)
        order = []
        for name, data in modules.load_order(kernel / "modules", wanted_modules):
            (root / "lib/modules" / f"{name}.ko").write_bytes(data)
            order.append(name)
        (root / "lib/modules/order").write_text("\n".join(order) + "\n")
        with open(partial, "wb") as out:
            find = subprocess.Popen(["find", ".", "-print0"], cwd=root, stdout=subprocess.PIPE)
            subprocess.run(["cpio", "-o", "-0", "-H", "newc", "--quiet"], cwd=root, stdin=find.stdout, stdout=out, check=True)
        shutil.rmtree(root)

    return packages.built(packages.cache() / f"initramfs-{kernel_name}{'-containers' if with_containers else ''}-{digest.hexdigest()[:12]}.cpio", build)

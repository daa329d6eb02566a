# SPDX-License-Identifier: Apache-2.0
"""Kernel modules of a guest: Debian's, with what they depend on, in the order in which to load them; and the lab's own."""

import hashlib
import lzma
import pathlib
import re
import shutil
import tempfile

from . import packages, process, scratch

SOURCES = pathlib.Path(__file__).parent / "guest/modules"


def contents(path: pathlib.Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def name_of(path: pathlib.Path) -> str:
    return path.name.split(".")[0].replace("-", "_")


def load_order(modules: pathlib.Path, wanted: list[str]) -> list[tuple[str, bytes]]:
    """(name, contents) of the wanted modules that this kernel has as modules; built-in ones are left out."""
    by_name = {name_of(path): path for path in modules.rglob("*.ko*")}
    ordered: dict[str, bytes] = {}

    def add(name: str):
        name = name.replace("-", "_")
        if name in ordered or name not in by_name:
            return
        data = contents(by_name[name])
        depends = re.search(rb"\x00depends=([^\x00]*)\x00", data)
        for dependency in (depends.group(1).decode().split(",") if depends else []):
            if dependency:
                add(dependency)
        ordered[name] = data

    for name in wanted:
        add(name)
    return list(ordered.items())


def build(name: str, kernel_name: str) -> bytes:
    """The lab's own module of this name, built for this kernel."""
    source = SOURCES / f"{name}.c"
    version = (packages.kernel(kernel_name) / "version").read_text()

    def compile_to(partial):
        root = packages.module_builder(kernel_name)
        with tempfile.TemporaryDirectory(prefix=scratch.prefix("module", root / "tmp"), dir=root / "tmp") as folder:
            shutil.copy(source, folder)
            (pathlib.Path(folder) / "Makefile").write_text(f"obj-m := {name}.o\n")
            inside = f"/tmp/{pathlib.Path(folder).name}"
            for command in (["make", "-C", f"/usr/src/linux-headers-{version}", f"M={inside}", "modules"],
                            ["strip", "-g", f"{inside}/{name}.ko"]):
                process.run("chroot", str(root), *command)
            shutil.copy(f"{folder}/{name}.ko", partial)

    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    return packages.built(packages.cache() / f"module-{name}-{version}-{digest}.ko", compile_to).read_bytes()

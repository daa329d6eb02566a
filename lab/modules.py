# SPDX-License-Identifier: Apache-2.0
"""Kernel modules of a guest, with what they depend on, in the order in which to load them."""

import lzma
import pathlib
import re


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

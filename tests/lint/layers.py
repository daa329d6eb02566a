# SPDX-License-Identifier: Apache-2.0
"""Checks every #include "..." under src/ against layers.toml: who may include whom."""

import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).parents[2]


def component_of(path: str, layers: dict) -> str | None:
    """The longest layer that is a folder of the path."""
    folders = path.split("/")[:-1]
    for length in range(len(folders), 0, -1):
        name = "/".join(folders[:length])
        if name in layers or name == "bpf":
            return name
    return None


def main() -> int:
    layers = tomllib.loads((ROOT / "layers.toml").read_text())["layers"]
    failures = 0
    for source in sorted((ROOT / "src").rglob("*")):
        if source.suffix not in (".h", ".cpp", ".def"):
            continue
        inside = str(source.relative_to(ROOT / "src"))
        own = component_of(inside, layers)
        if own is None:
            print(f"src/{inside}: is in no component of layers.toml")
            failures += 1
            continue
        for number, line in enumerate(source.read_text().splitlines(), 1):
            found = re.match(r'\s*#include "([^"]+)"', line)
            if not found:
                continue
            other = component_of(found.group(1), layers)
            if other != own and other not in layers[own]:
                print(f"src/{inside}:{number}: {own} may not include {found.group(1)} (layers.toml allows: {', '.join(layers[own])})")
                failures += 1
    return 1 if failures else 0


sys.exit(main())

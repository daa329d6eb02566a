# SPDX-License-Identifier: Apache-2.0
"""Every header under src/ stands on its own.

That of foo.cpp is its first #include, so the build proves it. The others are compiled alone, here.
"""

import concurrent.futures
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
COMPILE = ["g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}", f"-I{ROOT}/src", "-x", "c++"]


def include_of(header: pathlib.Path) -> str:
    return f'#include "{header.relative_to(ROOT / "src")}"'


def complaint(header: pathlib.Path) -> str:
    source = header.with_suffix(".cpp")
    if source.exists():
        first = re.search(r"^#include .*$", source.read_text(), re.M)
        if first and first.group() == include_of(header):
            return ""
        return f"{source.relative_to(ROOT)}: its first #include must be its own header, {include_of(header)}"
    done = subprocess.run([*COMPILE, "-"], input=include_of(header) + "\n", text=True, capture_output=True)
    return f"{header.relative_to(ROOT)} does not compile alone:\n{done.stderr}" if done.returncode else ""


def main() -> int:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        complaints = [text for text in pool.map(complaint, sorted((ROOT / "src").rglob("*.h"))) if text]
    print("\n".join(complaints), end="\n" if complaints else "")
    return 1 if complaints else 0


sys.exit(main())

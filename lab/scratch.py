# SPDX-License-Identifier: Apache-2.0
"""Folders that live as long as one run of the lab."""

import os
import pathlib
import re
import shutil
import tempfile

from . import process


def prefix(kind: str, within: pathlib.Path | None = None) -> str:
    """How a temporary folder's name must begin, so that the next run knows whose it was.

    Removes what killed runs left in `within` (default: where temporary files go).
    """
    for path in pathlib.Path(within or tempfile.gettempdir()).glob("xf-*"):
        found = re.fullmatch(r"xf-[a-z]+-(\d+)-\w+", path.name)
        if found and not process.is_alive(int(found.group(1))) and path.lstat().st_uid == os.geteuid():
            shutil.rmtree(path, ignore_errors=True)
    return f"xf-{kind}-{os.getpid()}-"

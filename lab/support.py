# SPDX-License-Identifier: Apache-2.0
"""python3 -m lab.support REPORT: makes docs/support.md of a report of `./dev e2e --report REPORT`."""

import json
import pathlib
import sys

PAGE = pathlib.Path(__file__).parent.parent / "docs/support.md"
HEAD = """# What is supported

Made of the last run of `./dev e2e --report` (see [reports.md](reports.md)): Debian's kernels under QEMU, unmodified. `processes` and `sockets` were
compared with the guest's own view in every field; `packets` said who sent them.

| kernel | machine | processes | sockets | differences | packets | right | unknown | wrong |
|---|---|---|---|---|---|---|---|---|
"""


def main():
    rows = []
    for guest in json.loads(pathlib.Path(sys.argv[1]).read_text())["guests"]:
        truth = {key: value for key, value in guest["truth"].items() if key != "by_kind"}
        packets = sum(truth.values())
        rows.append(f"| {guest['kernel']} | {guest['variant'] or '2 CPUs, 512 MiB'} | {guest['tasks']} | {guest['sockets']} | {guest['differences']} "
                    f"| {packets:,} | {truth['right'] / packets:.1%} | {truth['unknown'] / packets:.1%} | {truth['wrong']} |")
    PAGE.write_text(HEAD + "\n".join(rows) + "\n\nUnknown are above all datagrams of processes that end at once, and some of raw and packet sockets.\n")


main()

# SPDX-License-Identifier: Apache-2.0
"""What xFilter costs, measured on this machine. docs/reports.md describes the report."""

import argparse
import json
import os
import pathlib
import platform
import sys

from . import process

PROGRAM = pathlib.Path(__file__).parent.parent / "build/release/tests/bench/xfilter_bench"


def measure(part: str):
    print(f"  measuring {part} ...", file=sys.stderr, flush=True)
    return json.loads(process.run(str(PROGRAM), part))


def main():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--report", help="write the figures as JSON to this file")
    options = parser.parse_args()
    report = {"host": {"kernel": platform.release(), "cpus": os.cpu_count()}, "attribution": measure("attribution"),
              "ebpf_ns_per_packet": measure("ebpf"), "punt_round_trip_us": measure("punt")}
    print("\npacket to owner, on images of real guests (us)")
    print(f"  {'image':<8}{'sockets':>8}{'p50':>9}{'p99':>9}{'cold p50':>10}{'cold p99':>10}{'walk':>9}{'profile ms':>12}{'reads':>8}")
    for row in report["attribution"]:
        print(f"  {row['image']:<8}{row['sockets']:>8}{row['p50_us']:>9.1f}{row['p99_us']:>9.1f}{row['cold_p50_us']:>10.1f}"
              f"{row['cold_p99_us']:>10.1f}{row['walk_us']:>9.0f}{row['profile_ms']:>12.1f}{row['reads_per_lookup']:>8.1f}")
    print("\neBPF, nanoseconds a packet (BPF_PROG_TEST_RUN; `empty` is the loop itself)")
    print("  " + "   ".join(f"{name} {value:.0f}" for name, value in report["ebpf_ns_per_packet"].items()))
    print("\nUDP round trip through the datapath (us)")
    for name, times in report["punt_round_trip_us"].items():
        print(f"  {name:<10} p50 {times['p50']:>7.1f}   p99 {times['p99']:>7.1f}")
    if options.report:
        pathlib.Path(options.report).write_text(json.dumps(report, indent=2) + "\n")


main()

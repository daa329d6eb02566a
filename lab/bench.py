# SPDX-License-Identifier: Apache-2.0
"""What xFilter costs, measured on this machine. docs/reports.md describes the report."""

import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
import sys

from . import images, process

PROGRAM = pathlib.Path(__file__).parent.parent / "build/release/tests/bench/xfilter_bench"


SOCKETS = [100, 1_000, 10_000, 100_000]


def measure(part: str, *arguments: str):
    print(f"  measuring {part} ...", file=sys.stderr, flush=True)
    return json.loads(process.run(str(PROGRAM), part, *arguments))


def instructions_a_verdict(rules: int) -> float:
    """Counted by callgrind, which no other load disturbs."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*decide_many*",
                           str(PROGRAM), "count", str(rules)], text=True, capture_output=True, check=True)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1]) / int(done.stdout)


def main():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--report", help="write the figures as JSON to this file")
    options = parser.parse_args()
    attribution = measure("attribution", *(str(images.of_sockets(count)) for count in SOCKETS))
    report = {"host": {"kernel": platform.release(), "cpus": os.cpu_count()}, "attribution": attribution,
              "ebpf_ns_per_packet": measure("ebpf"), "punt_round_trip_us": measure("punt"),
              "verdict_ns_by_rules": measure("policy"),
              "verdict_instructions_by_rules": {str(rules): instructions_a_verdict(rules) for rules in (10, 10_000)}}
    print("\npacket to owner, random sockets of a 4 GiB guest")
    print(f"  {'sockets':>8}  {'memory':<14}{'p50 us':>8}{'p99 us':>8}{'reads':>7}{'steps':>7}{'walk us':>9}{'profile ms':>12}{'check us':>10}")
    for row in attribution:
        print(f"  {row['sockets']:>8}  {row['memory']:<14}{row['p50_us']:>8.2f}{row['p99_us']:>8.2f}{row['reads_per_lookup']:>7.1f}"
              f"{row['chain_steps_per_lookup']:>7.1f}{row['walk_us']:>9.0f}{row['profile_ms']:>12.1f}{row['check_us']:>10.2f}")
    print("\neBPF, nanoseconds a packet (BPF_PROG_TEST_RUN; `empty` is the loop itself)")
    print("  " + "   ".join(f"{name} {value:.0f}" for name, value in report["ebpf_ns_per_packet"].items()))
    print("\nUDP round trip through the datapath (us)")
    for name, times in report["punt_round_trip_us"].items():
        print(f"  {name:<10} p50 {times['p50']:>7.1f}   p99 {times['p99']:>7.1f}")
    print("\na verdict among learned rules, nanoseconds")
    print("  " + "   ".join(f"{rules} rules {ns:.0f}" for rules, ns in report["verdict_ns_by_rules"].items())
          + "   instructions: " + "   ".join(f"{count:.0f}" for count in report["verdict_instructions_by_rules"].values()))
    if options.report:
        pathlib.Path(options.report).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

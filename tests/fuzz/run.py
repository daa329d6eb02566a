# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzz targets that were built, and says what they found. docs/fuzzing.md has the rest."""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
BUILD = ROOT / "build" / "fuzz"
PROGRAMS = BUILD / "tests" / "fuzz"
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
LIMITS = ["-timeout=10", "-rss_limit_mb=2048"]
ROW = "{:14} {:>11} {:>8} {:>9} {:>9}"


def targets() -> list[str]:
    return sorted(source.name.removesuffix("_fuzz.cpp") for source in (ROOT / "tests" / "fuzz").glob("*_fuzz.cpp"))


def run(target: str, effort: list[str], learnt: pathlib.Path) -> list[pathlib.Path]:
    """Prints the target's row, and returns what it found. New inputs that reach new code go to `learnt`."""
    findings = BUILD / "findings" / target
    for folder in (findings, learnt, CORPUS / target):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    command = [PROGRAMS / f"fuzz_{target}", *LIMITS, *effort, f"-artifact_prefix={findings}/", learnt, CORPUS / target]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    new = sorted(set(findings.iterdir()) - before)
    seconds = time.monotonic() - start
    reports = re.findall(r"^#(\d+)\t\w+ +cov: (\d+)", done.stderr, re.M)
    executions, coverage = map(int, reports[-1]) if reports else (0, 0)
    print(ROW.format(target, executions, round(executions / seconds), coverage, len(new)), flush=True)
    if done.returncode != 0:
        (findings / "log").write_text(done.stderr)
        print("\n".join(done.stderr.splitlines()[-30:]))
        new = new or [findings / "log"]
    return new


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", help=f"of {', '.join(targets())}; default: all")
    parser.add_argument("--seconds", type=int, default=600, help="for each target (default: 600)")
    parser.add_argument("--runs", type=int, help="instead of --seconds: this many inputs, the same every time")
    options = parser.parse_args()
    if unknown := set(options.target) - set(targets()):
        parser.error(f"no target {', '.join(unknown)}")
    print(ROW.format("target", "executions", "exec/s", "coverage", "findings"))
    found = []
    for target in options.target or targets():
        if options.runs is None:
            found += run(target, [f"-max_total_time={options.seconds}"], BUILD / "corpus" / target)
        else:
            with tempfile.TemporaryDirectory() as folder:
                found += run(target, [f"-runs={options.runs}", "-seed=1"], pathlib.Path(folder))
    for path in found:
        print(path.relative_to(ROOT))
    return 1 if found else 0


sys.exit(main())

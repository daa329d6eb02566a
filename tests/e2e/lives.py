# SPDX-License-Identifier: Apache-2.0
"""Which lives of processes events name, and which there are: a pid is used again, also with another kernel."""

import datetime

TICK = 10_000_000  # nanoseconds in one of /proc/PID/stat's


def named_since(attached, moment: float) -> set[tuple[int, int]]:
    """(pid, start in ticks) of everybody whom an event names after this moment."""
    first = datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="microseconds")
    owners = [event["guest"] for event in attached.events() if event["timestamp"] > first]
    named = [process for owner in owners for process in owner["processes"] + owner["alternatives"]]
    return {(process["pid"], process["start_boottime_ns"] // TICK) for process in named}


def now_in(guest) -> set[tuple[int, int]]:
    return {(pid, process["start_ticks"]) for pid, process in guest.truth()["processes"].items()}

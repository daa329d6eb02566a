# SPDX-License-Identifier: Apache-2.0
"""`ps` and `sockets` against the guest's own /proc, field by field."""

import collections
import ipaddress

from lab import xfilter

PROCESS_FIELDS = ["ppid", "tids", "uid", "real_uid", "gid", "real_gid", "comm", "exe", "exe_deleted", "cmdline", "kernel_thread",
                  "session", "audit_session", "cgroup", "hostname", "netns", "ns_pid"]
TICK = 10_000_000  # nanoseconds of start_boottime in one of /proc/PID/stat's


def of_lab(process: dict) -> bool:
    """Commands that the lab runs to ask: they come and go. And workers, which the kernel renames as they work."""
    return process["comm"] == "truth" or "/tmp/.lab.in" in process["cmdline"] or process["comm"].startswith("kworker")


def _process(process: dict, start_ticks: int) -> dict:
    facts = {name: process.get(name) for name in PROCESS_FIELDS}
    facts["tids"] = sorted(facts["tids"])
    facts["comm"] = facts["comm"][:15]  # /proc gives kernel threads longer names than task_struct.comm has
    facts["start_ticks"] = start_ticks
    return facts


def truth_processes(truth: dict) -> dict[int, dict]:
    return {pid: _process(p, p["start_ticks"]) for pid, p in truth["processes"].items() if not of_lab(p)}


def listed_processes(listed: dict) -> dict[int, dict]:
    return {p["pid"]: _process(p, p["start_boottime_ns"] // TICK) for p in listed["processes"] if not of_lab(p)}


def _socket(socket: dict) -> tuple:
    address = lambda text: ipaddress.ip_address(text).packed  # noqa: E731
    has_inode = socket["inode"] != 0
    return (socket["protocol"], socket["family"], socket["state"], address(socket["local_address"]), socket["local_port"],
            address(socket["remote_address"]), socket["remote_port"], socket["inode"], socket["netns"] if has_inode else None,
            socket["uid"] if has_inode else None)


def look(guest) -> tuple[dict, dict, dict, dict]:
    """The guest's own view, then ours of the frozen guest (processes, sockets), then the guest's again."""
    before = guest.truth()
    guest.pause()
    try:
        processes = xfilter.read_json("ps", "--pid", str(guest.pid), "--command-lines")
        sockets = xfilter.read_json("sockets", "--pid", str(guest.pid))["sockets"]
    finally:
        guest.resume()
    return before, processes, sockets, guest.truth()


def differences(before: dict, processes: dict, sockets: list[dict], after: dict) -> list:
    """What the guest said twice must be in our view, and what is in our view the guest must have said at least once."""
    found = []
    first, second, listed = truth_processes(before), truth_processes(after), listed_processes(processes)
    for pid, process in first.items():
        if second.get(pid) == process and listed.get(pid) != process:
            ours = listed.get(pid) or {}
            found.append((pid, {name: (value, ours.get(name)) for name, value in process.items() if ours.get(name) != value}))
    found += [(pid, "not in the guest") for pid in set(listed) - set(first) - set(second)]
    found += [(p["pid"], "hidden") for p in processes["processes"] if p["hidden"]]
    if processes["boot_id"] != before["boot_id"]:
        found.append(("boot_id", before["boot_id"], processes["boot_id"]))

    first, second = (collections.Counter(map(_socket, truth["sockets"])) for truth in (before, after))
    ours = collections.Counter(map(_socket, sockets))
    found += [("socket not listed", key) for key in (first & second) - ours]
    found += [("socket not in the guest", key) for key in ours - (first | second)]
    holders = collections.defaultdict(set)
    for process in before["processes"].values():
        for fd, inode in process["sockets"]:
            holders[inode].add((process["pid"], fd))
    for socket in sockets:
        held = {(h["pid"], h["fd"]) for h in socket["holders"]}
        if socket["inode"] and held != holders[socket["inode"]]:
            found.append(("holders", socket, holders[socket["inode"]]))
    return found

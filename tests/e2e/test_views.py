# SPDX-License-Identifier: Apache-2.0
"""`ps` and `sockets` against the guest's own /proc, process by process and socket by socket."""

import collections
import ipaddress

import pytest

from lab import xfilter
from lab.vm import Guest

PROCESS_FIELDS = ["ppid", "tids", "uid", "euid", "gid", "egid", "comm", "exe", "cmdline", "kernel_thread"]


@pytest.fixture(scope="module")
def busy_guest(guest):
    """The guest with several users' processes that hold one of everything."""
    pids = [guest.start("mix", user) for user in ("alice", "mallory", "user0")]
    guest.run("for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.3; [ $(cat /tmp/*.log | grep -c ready) = 3 ] && exit; done; cat /tmp/*.log; exit 1")
    yield guest
    guest.run("killall mix")


def compare(guest, look):
    """The guest's view before and after, and ours of the frozen guest between them.

    What the guest said twice must be in ours; what is in ours the guest must have said at least once.
    """
    before = guest.truth()
    guest.pause()
    try:
        ours = look(guest.pid)
    finally:
        guest.resume()
    return before, ours, guest.truth()


def of_lab(process):
    """Commands that the lab runs to ask: they come and go."""
    return process["comm"] == "truth" or "/tmp/.lab.in" in process["cmdline"] or process["comm"].startswith("kworker")


def process_facts(process: dict, ticks: int) -> dict:
    facts = {field: process[field] for field in PROCESS_FIELDS}
    facts["tids"] = sorted(facts["tids"])
    facts["comm"] = facts["comm"][:15]  # /proc gives kernel threads longer names than task_struct.comm has
    facts["start_ticks"] = ticks
    return facts


def truth_processes(truth: dict) -> dict:
    return {pid: process_facts(p, p["start_ticks"]) for pid, p in truth["processes"].items() if not of_lab(p)}


def test_ps_equals_the_guests_own_proc_in_every_field(busy_guest):
    before, ours, after = compare(busy_guest, lambda pid: xfilter.read_json("ps", "--pid", str(pid))["processes"])
    before, after = truth_processes(before), truth_processes(after)
    listed = {p["pid"]: process_facts(p, p["start_boottime_ns"] // 10_000_000) for p in ours if not of_lab(p)}
    assert len(listed) > 20
    assert any(p["comm"] == "a (bad) name" for p in listed.values())
    for pid, process in before.items():
        if after.get(pid) == process:
            assert listed.get(pid) == process
    assert set(listed) <= set(before) | set(after)


def socket_key(socket: dict) -> tuple:
    address = lambda text: ipaddress.ip_address(text).packed  # noqa: E731
    has_inode = socket["inode"] != 0
    return (socket["protocol"], socket["family"], socket["state"], address(socket["local_address"]), socket["local_port"],
            address(socket["remote_address"]), socket["remote_port"], socket["inode"], socket["uid"] if has_inode else None)


def test_sockets_equal_the_guests_own_tables_with_every_holder(busy_guest):
    before, ours, after = compare(busy_guest, lambda pid: xfilter.read_json("sockets", "--pid", str(pid))["sockets"])
    first, second = (collections.Counter(map(socket_key, truth["sockets"])) for truth in (before, after))
    listed = collections.Counter(map(socket_key, ours))
    assert listed.total() > 40
    assert {"ESTABLISHED", "LISTEN", "CLOSE", "TIME_WAIT"} <= {socket["state"] for socket in ours}
    assert not (first & second) - listed, "sockets that the guest has and we do not list"
    assert not listed - (first | second), "sockets that we list and the guest does not have"

    holders = collections.defaultdict(set)
    for process in before["processes"].values():
        for fd, inode in process["sockets"]:
            holders[inode].add((process["pid"], fd))
    compared = 0
    for socket in ours:
        if socket["inode"]:
            assert {(h["pid"], h["fd"]) for h in socket["holders"]} == holders[socket["inode"]]
            compared += len(socket["holders"])
    assert compared > 60


def test_shared_memory_shows_the_same_as_private(network):
    with Guest("6.1", share=True) as guest:
        before, ours, after = compare(guest, lambda pid: xfilter.read_json("ps", "--pid", str(pid))["processes"])
        listed = {p["pid"]: process_facts(p, p["start_boottime_ns"] // 10_000_000) for p in ours if not of_lab(p)}
        for pid, process in truth_processes(before).items():
            if truth_processes(after).get(pid) == process:
                assert listed.get(pid) == process


@pytest.mark.parametrize("options", [
    {"memory_mib": 4096},  # RAM in two pieces around the hole below 4 GiB
    {"cpu": "max,la57=on"},
    {"cpu": "max,la57=off"},
    {"append": "nokaslr"},
    {"append": "pti=on", "cpus": 1},
], ids=lambda options: " ".join(map(str, options.values())))
def test_every_machine_is_read_alike(options):
    with Guest("6.12", **options) as guest:
        truth = truth_processes(guest.truth())
        ours = {p["pid"]: p["comm"] for p in xfilter.read_json("ps", "--pid", str(guest.pid))["processes"]}
        assert {pid: p["comm"] for pid, p in truth.items() if not p["kernel_thread"]}.items() <= ours.items()
        assert set(truth) <= set(ours)

# SPDX-License-Identifier: Apache-2.0
"""A process that a rootkit (lab/guest/modules/hide.c) hides from the guest itself."""

import time

import pytest

from lab import modules, packages, xfilter
from lab.network import Network
from lab.sink import Sink
from lab.vm import Guest
from lab.xfilter import Attached

MALLORY = 1001
RULES = f"drop udp dport 9000 uid {MALLORY}\ndefault allow\n"


@pytest.fixture(scope="module", params=packages.kernels_for_all_tests())
def guest(request):
    """A guest of its own: what has been hidden in it is not for other tests."""
    with Network() as network, Guest(request.param, network) as booted:
        booted.put("/tmp/hide.ko", modules.build("hide", request.param))
        yield booted


@pytest.fixture
def streams(guest):
    """alice and mallory send; mallory's process is the hidden one. Its pid, and what arrives."""
    with Sink(guest.network) as sink:
        pids = {user: guest.start(f"streamer {guest.network.server4} 9000 {user}", user) for user in ("alice", "mallory")}
        sink.wait(lambda arrived: all(sink.count(user) > 5 for user in pids))
        yield pids["mallory"], sink
        guest.run(f"kill {' '.join(map(str, pids.values()))}")


def hide(guest, pid: int, *, from_table: bool = False):
    guest.run(f"insmod /tmp/hide.ko pid={pid} from_table={int(from_table)} && rmmod hide")


def hidden_and_listed(guest) -> tuple[set[int], set[int]]:
    listed = xfilter.read_json("ps", "--pid", str(guest.pid))["processes"]
    return {p["pid"] for p in listed if p["hidden"]}, {p["pid"] for p in listed}


def test_nobody_is_called_hidden_because_others_come_and_go(guest):
    churn = [guest.start("sh -c 'while :; do sh -c \"sleep 0\"; done'") for _ in range(2)]
    assert set().union(*(hidden_and_listed(guest)[0] for _ in range(20))) == set()
    guest.run(f"kill {' '.join(map(str, churn))}")


def events_of(attached, uid: int) -> list[dict]:
    return [event for event in attached.events() if event["guest"]["socket_uid"] == uid]


def test_a_process_that_is_not_in_the_list_of_tasks_is_listed_and_it_alone_is_called_hidden(guest, streams):
    pid, _ = streams
    assert hidden_and_listed(guest)[0] == set()
    hide(guest, pid)
    hidden, listed = hidden_and_listed(guest)
    assert hidden == {pid}
    assert {process["pid"] for process in guest.truth()["processes"].values() if process["comm"] == "streamer"} <= listed


@pytest.mark.parametrize("when", ["before", "while attached"])
def test_a_hidden_process_owns_its_packets_and_is_dropped_by_its_user(guest, streams, when):
    pid, sink = streams
    if when == "before":
        hide(guest, pid)
    with Attached(guest.pid, RULES) as attached:
        if when != "before":
            hide(guest, pid)
            time.sleep(2)  # until its verdict is asked for again, and whether it hides looked at
        time.sleep(0.3)
        assert sink.arriving("mallory", 1.5) == 0
        assert sink.arriving("alice", 0.5) > 20
        last = events_of(attached, MALLORY)[-1]
        alices = events_of(attached, 1000)
    assert (last["verdict"]["action"], last["guest"]["confidence"]) == ("drop", "exact")
    assert [(process["pid"], process["hidden"]) for process in last["guest"]["processes"]] == [(pid, True)]
    assert not any(process["hidden"] for event in alices for process in event["guest"]["processes"])


def test_who_is_in_no_table_of_pids_either_is_found_while_it_runs_and_dropped_by_its_sockets_user_at_all_times(guest):
    spinning = guest.start("sh -c 'while :; do :; done'", "mallory")
    hide(guest, spinning, from_table=True)
    hidden, _ = hidden_and_listed(guest)
    assert hidden == {spinning}
    sending = guest.start(f"streamer {guest.network.server4} 9000 unseen", "mallory")
    hide(guest, sending, from_table=True)
    with Sink(guest.network) as sink, Attached(guest.pid, RULES) as attached:
        time.sleep(0.3)
        assert sink.arriving("unseen", 1.5) == 0
        owners = [event["guest"] for event in events_of(attached, MALLORY)]
    assert owners and all({process["pid"] for process in owner["processes"]} <= {sending} for owner in owners)

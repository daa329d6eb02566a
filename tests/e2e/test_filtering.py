# SPDX-License-Identifier: Apache-2.0
"""Filtering of a real guest's traffic, and what is left of it when a part of xfilter dies."""

import os
import signal
import time

from lab import process, xfilter
from lab.network import Network
from lab.sink import Sink
from lab.vm import Guest
from lab.xfilter import Attached

RULES = "drop udp dport 9000 uid 1001\ndefault allow\n"  # mallory


def test_only_the_named_user_is_dropped_in_flows_already_open(guest, streams):
    with Attached(guest.pid, RULES):
        time.sleep(0.3)
        assert streams.arriving("mallory", 2) == 0
        assert streams.arriving("alice", 1) > 50
    assert streams.arriving("mallory", 1) > 50


def test_detaching_leaves_no_trace(guest, network):
    before = network.host_state()
    with Attached(guest.pid, RULES) as attached:
        assert network.host_state() != before
        assert attached.detach() == 0
    assert network.host_state() == before


def test_a_killed_agent_leaves_drops_in_force_and_all_else_flowing_and_is_replaced(guest, streams):
    with Attached(guest.pid, RULES) as attached:
        time.sleep(0.3)
        agent = attached.agent
        os.kill(agent, signal.SIGKILL)
        mallory = streams.count("mallory")
        assert streams.arriving("alice", 1) > 50
        attached.wait_for_log("filters again")
        assert attached.agent != agent
        assert streams.arriving("mallory", 2) == 0 and streams.count("mallory") == mallory
        assert streams.arriving("alice", 1) > 50


def test_a_killed_opener_leaves_drops_in_force_until_the_next_attach_takes_over(guest, streams, network):
    with Attached(guest.pid, RULES) as attached:
        time.sleep(0.3)
        agent = attached.agent
        attached.process.kill()
        attached.process.wait()
    mallory = streams.count("mallory")
    assert streams.arriving("alice", 7) > 350  # longer than any verdict is trusted
    assert streams.count("mallory") == mallory
    assert not process.is_alive(agent)
    with Attached(guest.pid, RULES) as successor:
        assert "taken over" in successor.log()
        assert streams.arriving("mallory", 2) == 0 and streams.count("mallory") == mallory
        assert streams.arriving("alice", 1) > 50
        assert successor.detach() == 0
    assert streams.arriving("mallory", 1) > 50
    assert "xf_" not in network.host_state() and "clsact" not in network.host_state()


def test_sigterm_stops_and_keeps_drops_in_force(guest, streams):
    with Attached(guest.pid, RULES) as attached:
        time.sleep(0.3)
        attached.process.send_signal(signal.SIGTERM)
        assert attached.process.wait(10) == 0
    assert streams.arriving("mallory", 2) == 0
    assert streams.arriving("alice", 1) > 50
    with Attached(guest.pid, RULES):
        pass
    assert streams.arriving("mallory", 1) > 50


def test_a_second_attach_is_refused_and_the_first_goes_on(guest, streams, tmp_path):
    with Attached(guest.pid, RULES) as first:
        (tmp_path / "office.rules").write_text(RULES)
        attach = ["attach", "--pid", str(guest.pid), "--rules", str(tmp_path / "office.rules")]
        second = xfilter.call(*attach, *xfilter.state_in(tmp_path))
        assert second.returncode == 1
        assert "another xfilter is attached" in second.stderr
        for_one = xfilter.call(*attach, *xfilter.state_in(first.folder))
        assert for_one.returncode == 1 and "is in use by another xfilter" in for_one.stderr
        assert streams.arriving("mallory", 1) == 0


def test_a_guest_that_reboots_is_found_again_and_no_stale_verdict_is_used():
    with Network() as network, Sink(network) as sink, Guest("6.12", network) as guest, \
            Attached(guest.pid, RULES) as attached:
        server = network.server4
        guest.start(f"streamer {server} 9000 before", "mallory")
        time.sleep(1)
        assert sink.count("before") == 0
        guest.reset()
        guest.wait_ready()
        attached.wait_for_log("is gone, looking for it again")
        attached.wait_for_log("the guest's kernel: Linux")
        guest.start(f"streamer {server} 9000 alice2", "alice")
        guest.start(f"streamer {server} 9000 mallory2", "mallory")
        sink.wait(lambda arrived: sink.count("alice2") > 20)
        assert sink.count("mallory2") == 0
        last = [e for e in attached.events() if e.get("dest_port") == 9000][-1]
        assert last["guest"]["processes"][0]["exe"] == "/usr/local/bin/streamer"


def test_when_the_vm_ends_so_does_its_filter():
    with Network() as network, Guest("6.1", network) as guest:
        with Attached(guest.pid, RULES) as attached:
            guest.qmp("quit")
            assert attached.process.wait(20) == 0
            assert "has ended: detaching" in attached.log()
        assert "clsact" not in network.host_state() and "xfp" not in network.host_state()

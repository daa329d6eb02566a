# SPDX-License-Identifier: Apache-2.0
"""A machine that is put back to an older state of itself, while xfilter is attached."""

import time

import pytest

import lives
from lab.network import Network
from lab.sink import Sink
from lab.vm import Guest
from lab.xfilter import Attached

RULES = "drop udp dport 9000 uid 1001\ndefault allow\n"  # mallory


def stream(guest, user: str, name: str, port: int):
    guest.start(f"streamer {guest.network.server4} 9000 {name} {port}", user)


# Emulation's TSC does not go back with the machine, and the guest's clock follows it; its HPET does.
@pytest.mark.parametrize("clock", ["hpet", "tsc"])
def test_a_machine_that_is_put_back_to_a_snapshot_is_judged_by_the_processes_that_it_has_again(clock):
    with Network() as network, Sink(network) as sink, Guest("6.12", network, append=f"clocksource={clock}") as guest, \
            Attached(guest.pid, RULES) as attached:
        stream(guest, "mallory", "mallory-saved", 5001)
        stream(guest, "alice", "alice-saved", 5002)
        sink.wait(lambda arrived: sink.count("alice-saved") > 20)
        snapshot = guest.save()
        guest.run("killall streamer")
        stream(guest, "alice", "alice-lost", 5001)
        stream(guest, "mallory", "mallory-lost", 5002)
        sink.wait(lambda arrived: sink.count("alice-lost") > 200)
        guest.pause()
        time.sleep(0.3)  # what was under way is through
        put_back = time.time()
        guest.load(snapshot)
        guest.resume()
        if clock == "hpet":
            attached.wait_for_log("jiffies went back")
            attached.wait_for_log("the guest's kernel: Linux")
        time.sleep(1.2)  # as long as a datagram's verdict is trusted
        assert sink.arriving("mallory-saved", 1) == 0
        assert sink.arriving("alice-saved", 0.5) > 30
        named = lives.named_since(attached, put_back)
        assert named and named <= lives.now_in(guest)
        print(f"\n{clock}: {sink.count('mallory-saved')} datagrams passed by the verdict on the lost machine's flow")

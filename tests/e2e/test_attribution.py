# SPDX-License-Identifier: Apache-2.0
"""Who sent it? Connections that carry their sender's pid, out of a running guest."""

import bisect
import collections

from lab.xfilter import Attached

PROCESSES, PER_PROCESS, ROUNDS, USERS = 20, 10, 10, 5


def test_every_connection_of_a_running_guest_is_attributed_to_its_sender(guest, sink):
    """2,000 connections by 200 processes, 20 at a time, of 5 users, over 300 local ports."""
    guest.run("echo 20000 20299 > /proc/sys/net/ipv4/ip_local_port_range")
    server = sink.network.server4
    with Attached(guest.pid, "default allow\n") as attached:
        loops = " ".join(f"su user{n % USERS} -s /bin/sh -c 'for i in $(seq {ROUNDS}); do connector {server} 7000 "
                         f"{PER_PROCESS}; done' &" for n in range(PROCESSES))
        guest.run(f"({loops} wait) > /tmp/connectors.log 2>&1")
        sink.wait(lambda arrived: len(arrived) > PROCESSES * PER_PROCESS * ROUNDS, 60)
        assert attached.detach() == 0
        events = [event for event in attached.events() if event.get("dest_port") == 7000]
    records = [record for record in sink.arrived() if record["protocol"] == "tcp"]
    assert len(records) == PROCESSES * PER_PROCESS * ROUNDS

    # A port is used again and again: what counts is the last event of the flow before the data came.
    by_port = collections.defaultdict(list)
    for event in events:
        by_port[event["src_port"]].append((event["timestamp"], event["guest"]))
    count = collections.Counter()
    wrong = []
    for record in records:
        known = by_port[record["port"]]
        at = bisect.bisect_right([time for time, _ in known], iso(record["time"])) - 1
        pids = [process["pid"] for process in known[at][1]["processes"]] if at >= 0 else []
        sender = int(record["text"])
        count["right" if pids == [sender] else "unknown" if not pids else "shared" if sender in pids else "wrong"] += 1
        if pids and sender not in pids:
            wrong.append((record, known[at]))
    print(f"\n{guest.kernel}: {dict(count)}")
    assert not wrong, wrong[:3]
    assert count["right"] >= 0.999 * len(records), count


def iso(seconds: float) -> str:
    import datetime
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+0000")

# SPDX-License-Identifier: Apache-2.0
"""Owners of each kind of socket, of answers to others, and of several NICs, out of running guests."""

import socket
import subprocess
import time

import pytest

from lab import process
from lab.network import Network
from lab.sink import Sink
from lab.vm import Guest
from lab.xfilter import Attached


@pytest.fixture
def flows(guest, network):
    """A process that sends from each kind of socket; by kind, who holds it."""
    guest.start(f"python3 /usr/local/bin/flows.py {network.server4} {network.server6}", "alice")
    guest.run("for i in $(seq 100); do grep -q done /tmp/alice.log && exit; sleep 0.1; done; cat /tmp/alice.log; exit 1")
    lines = [line.split() for line in guest.run("cat /tmp/alice.log").splitlines()]
    yield {kind: sorted(map(int, pids)) for kind, *pids in lines if pids}
    guest.run("killall python3 sleep", check=False)


@pytest.fixture
def attached(guest):
    with Attached(guest.pid, "default allow\n") as running:
        yield running


EVE_PROTOCOLS = {"tcp": "TCP", "udp": "UDP", "icmp": "ICMP", "icmpv6": "IPv6-ICMP"}


def test_the_owner_of_each_kind_of_socket_is_exactly_those_that_hold_it(sink, attached, flows):
    assert len(flows) == 13
    sink.wait(lambda arrived: set(flows) <= {record["text"] for record in arrived}, 10)
    ports = {record["text"]: (record["protocol"], record["port"]) for record in sink.arrived() if record["text"] in flows}
    time.sleep(0.2)  # events are written beside the packets
    found = {}
    for kind, (protocol, port) in ports.items():
        events = [event for event in attached.events()
                  if (event["proto"], event.get("src_port", event.get("icmp_id"))) == (EVE_PROTOCOLS[protocol], port)]
        owner = events[-1]["guest"]
        found[kind] = [each["pid"] for each in owner["processes"]]
        assert owner["confidence"] == ("inferred" if kind.startswith("unconnected") else "exact"), (kind, owner)
        assert {each["uid"] for each in owner["processes"]} == {1000}, (kind, owner)
    assert found == flows


def answer_from(network, port: int) -> str:
    """What a server in the guest says to somebody who connects; nothing when it is silent."""
    script = ("import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 2); s.settimeout(2); "
              "print(s.recv(100).decode(), end='')")
    done = subprocess.run(Network.inside(network.server, "/usr/bin/python3", "-c", script, network.guest4, str(port)),
                          text=True, capture_output=True)
    assert done.returncode == 0 or "timed out" in done.stderr, done.stderr
    return done.stdout


def test_what_servers_in_the_guest_answer_is_theirs(guest, network):
    for port, user in ((8080, "alice"), (8081, "mallory")):
        guest.start(f"nc -ll -p {port} -e echo served", user)
    guest.run("for i in $(seq 50); do netstat -ltn | grep -q :8081 && netstat -ltn | grep -q :8080 && exit; sleep 0.1; done; exit 1")
    try:
        assert (answer_from(network, 8080), answer_from(network, 8081)) == ("served\n", "served\n")
        with Attached(guest.pid, "drop tcp sport 8080-8081 uid 1001\ndefault allow\n"):
            assert (answer_from(network, 8080), answer_from(network, 8081)) == ("served\n", "")
        assert answer_from(network, 8081) == "served\n"
    finally:
        guest.run("killall nc", check=False)


def is_refused(network, port: int) -> bool:
    """Whether the guest's kernel says that nobody listens on a UDP port."""
    script = ("import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((sys.argv[1], int(sys.argv[2])))\n"
              "s.settimeout(1); s.send(b'?')\n"
              "try: s.recv(1)\nexcept ConnectionRefusedError: print('refused')\nexcept TimeoutError: pass")
    return "refused" in process.run(*Network.inside(network.server, "/usr/bin/python3", "-c", script, network.guest4, str(port)))


def test_what_no_process_sent_is_unattributed_and_a_rule_can_say_so(guest, network):
    with Attached(guest.pid, "drop icmp unattributed\ndefault allow\n") as attached:
        assert not is_refused(network, 9)
        assert attached.detach() == 0
        event = [event for event in attached.events() if event.get("proto") == "ICMP"][0]
    assert event["guest"]["confidence"] == "unknown" and event["guest"]["processes"] == []
    assert event["guest"]["reason"] == "an ICMP error or answer: the kernel's own"
    assert is_refused(network, 9)


def test_all_nics_are_filtered_when_none_is_named_and_only_the_named_ones_otherwise():
    with Network(nics=2) as network, Sink(network) as sink, Guest("6.12", network) as guest:
        network.ip(network.server, "addr", "add", "10.78.0.1/24", "dev", "eth1")
        guest.run("ip link set eth1 up; ip addr add 10.78.0.2/24 dev eth1")
        before = network.host_state()

        def arrives(name: str) -> set[str]:
            """To which of the server's addresses mallory gets a message."""
            guest.run(f"for server in {network.server4} 10.78.0.1; do "
                      f"su mallory -s /bin/sh -c \"echo {name}-$server | nc -w 1 $server 7000\"; done; true")
            return {record["text"].removeprefix(f"{name}-") for record in sink.arrived() if record["text"].startswith(f"{name}-")}

        rules = "drop tcp dport 7000 uid 1001\ndefault allow\n"
        assert arrives("free") == {network.server4, "10.78.0.1"}
        with Attached(guest.pid, rules) as all_nics:
            assert "tap0" in all_nics.log() and "tap1" in all_nics.log()
            assert arrives("all") == set()
        with Attached(guest.pid, rules, "--dev", "tap1"):
            assert arrives("one") == {network.server4}
        assert arrives("again") == {network.server4, "10.78.0.1"}
        assert network.host_state() == before

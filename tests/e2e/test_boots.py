# SPDX-License-Identifier: Apache-2.0
"""Every kernel and machine of lab/boots.py: our view against the guest's own, and every packet against its sender.

`./dev e2e --report FILE` writes what was counted.
"""

import collections
import contextlib

import pytest

import views
from lab.boots import BOOTS
from lab.network import Network
from lab.packet_truth import Discard, PacketTruth, count, judge
from lab.vm import Guest

SECONDS, PAUSE = 9, 8_000  # of sending; microseconds between two packets of a sender
LEAST_PACKETS = 10_000
KINDS = ("tcp4 tcp6 tcp-mapped udp4 udp6 udp-mapped any4 any6 sidelong reuseport forked passed executed thread fragments ping4 ping6 short churn "
         "tcp4 tcp6 udp4 udp6 churn")
CONTAINER_KINDS = "tcp4 tcp4 udp4 any4 sidelong churn short"
RAW_KINDS = ["raw-icmp", "raw-udp", "packet-udp"]
TCP = ["tcp4", "tcp6", "tcp-mapped", "churn"]
CONNECTED_UDP = ["udp4", "udp6", "udp-mapped", "forked", "passed", "executed", "thread", "fragments"]
CONTAINER_TCP = ["container-tcp4", "container-churn"]
ENDS_AT_ONCE = ["short", "container-short", *RAW_KINDS]  # what is reached is reported


@pytest.fixture(scope="module", params=BOOTS, ids=str)
def boot(request):
    """A guest with containers, alone on its network, and its entry in the report."""
    chosen = request.param
    with Network() as network, Guest(chosen.kernel, network, containers=True, **chosen.options) as guest:
        guest.run("echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range")
        entry = {"kernel": guest.run("uname -r").strip(), "variant": chosen.variant}
        request.config.report.append(entry)
        yield guest, entry


def start_container(guest, address: str, command: str):
    number = int(address.rsplit(".", 1)[1])
    guest.run(f"python3 /usr/local/bin/container.py container{number} {address} {1500 + number} {command}")


def test_every_process_and_socket_equals_the_guests_own_view(boot):
    guest, entry = boot
    start_container(guest, "10.88.0.2", "/bin/busybox sleep 1000")
    start_container(guest, "10.88.0.3", "/bin/busybox nc -l -p 5432")
    for user in ("alice", "mallory", "root"):
        guest.start("mix", user)
    guest.run("for i in $(seq 40); do sleep 0.3; [ $(cat /tmp/*.log | grep -c ready) = 3 ] && exit; done; cat /tmp/*.log; exit 1")
    before, processes, sockets, after = views.look(guest)
    different = views.differences(before, processes, sockets, after)
    guest.run("for p in /proc/[0-9]*; do case $(readlink $p/exe) in */mix*|/tmp/gone*|/memfd*) kill -9 ${p#/proc/};; esac; done")

    entry.update(tasks=len(processes["processes"]), sockets=len(sockets), differences=len(different))
    assert not different, different[:5]
    assert len(processes["processes"]) > 40 and len(sockets) > 60
    assert {s["protocol"] for s in sockets} == {"tcp", "udp", "ping", "raw", "packet"}
    assert len({s["netns"] for s in sockets}) >= 3
    listed = processes["processes"]
    assert sum(bool(p["container"]) for p in listed) == 2 and sum(p["exe_deleted"] for p in listed) == 2
    assert any(p["ns_pid"] != p["pid"] and p["hostname"] == "of-its-own" for p in listed)


def share_right(by_kind: dict, kinds: list[str]) -> float:
    total = sum((by_kind[kind] for kind in kinds), collections.Counter())
    return total["right"] / total.total()


def test_every_packets_owner_is_its_sender(boot, tmp_path):
    guest, entry = boot
    net = guest.network
    net.ip(net.server, "route", "add", "10.99.0.0/24", "via", net.guest4)
    guest.run("echo 32768 34768 > /proc/sys/net/ipv4/ip_local_port_range")  # ports are used again
    arguments = f"{net.server4} {net.server6}"
    packets = []
    with Discard(net):
        with PacketTruth(guest, tmp_path / "together") as truth:
            for address in ("10.88.0.4", "10.88.0.5", "10.99.0.6"):  # the last one's packets are forwarded without NAT
                start_container(guest, address, f"/usr/local/bin/senders {address} {arguments} {SECONDS} {PAUSE} {CONTAINER_KINDS}")
            guest.run(f"senders {net.guest4} {arguments} {SECONDS} {PAUSE} {KINDS}")
        packets += truth.packets
        for kind in RAW_KINDS:
            with PacketTruth(guest, tmp_path / kind) as truth:
                guest.run(f"senders {net.guest4} {arguments} 2 {PAUSE} {kind}")
            packets += truth.packets
    by_kind = count(packets)
    total = sum(by_kind.values(), collections.Counter())
    entry["truth"] = {outcome: total[outcome] for outcome in ("right", "lower", "ambiguous", "unknown", "wrong", "other", "too high")}
    entry["truth"]["by_kind"] = {kind: dict(outcomes) for kind, outcomes in sorted(by_kind.items())}
    bad = [packet for packet in packets if packet["claim"] and judge(packet)[1] in ("wrong", "other", "too high")]
    assert not bad, (by_kind, bad[:3])
    assert total.total() >= LEAST_PACKETS
    for kinds in (TCP, CONNECTED_UDP, CONTAINER_TCP):
        assert share_right(by_kind, kinds) >= 0.999, {kind: by_kind[kind] for kind in kinds}
    sure = [outcomes for kind, outcomes in by_kind.items() if kind not in ENDS_AT_ONCE]
    assert sum(outcomes["ambiguous"] for outcomes in sure) <= 0.001 * total.total()

# SPDX-License-Identifier: Apache-2.0
"""Root in the guest forges packets of others' sockets (lab/guest/framer.c): who is framed must not be the only one named."""

import collections

import pytest

from lab.network import Network
from lab.packet_truth import TCP_PORT, UDP_PORT, Discard, PacketTruth
from lab.vm import Guest

OUTSIDE = 1 << 28  # of any window
OTHER_ID = 20_000  # IPv4 identifications on: none that the socket has given


@pytest.fixture(scope="module")
def victims():
    """A guest with alice's connection and her connected UDP socket, on which she sends: and who sends the latter, and their ports."""
    with Network() as network, Discard(network), Guest("6.12", network) as guest:
        guest.start(f"sh -c 'while :; do echo mail; usleep 100000; done | nc {network.server4} {TCP_PORT}'", "alice")
        streamer = guest.start(f"streamer {network.server4} {UDP_PORT} alice 5300", "alice")
        guest.run(f"while ! grep -q ':{TCP_PORT:04X} 01' /proc/net/tcp; do usleep 50000; done")
        yield guest, streamer, {s["protocol"]: s["local_port"] for s in guest.truth()["sockets"] if s["state"] == "ESTABLISHED"}


def framed(victims, out, how: str, protocol: str, offset: int = 0, once: str = "") -> list[dict]:
    """The forged packets, attributed by a look-out that has seen nobody's raw socket before."""
    guest, streamer, ports = victims
    net, server_port = guest.network, {"tcp": TCP_PORT, "udp": UDP_PORT}[protocol]
    sniff = f"kill -CONT {streamer}; framer sniff {protocol} {ports[protocol]}; kill -STOP {streamer}"
    identification, sequence, acknowledgement = map(int, guest.run(sniff).split())
    if protocol == "tcp":
        sequence = (sequence + offset) % 2**32
    else:
        identification = (identification + offset) % 2**16
    with PacketTruth(guest, out) as truth:
        guest.run(f"framer {how} {protocol} 60 {net.guest4} {ports[protocol]} {net.server4} {server_port} "
                  f"{identification} {sequence} {acknowledgement} {once}")
    packets = [packet for packet in truth.packets if packet["claim"].startswith("framed ")]
    assert len(packets) == 60
    return packets


def names_framer(packet: dict) -> bool:
    return int(packet["claim"].split()[1]) in packet["pids"] + packet["alternatives"]


@pytest.mark.parametrize(("protocol", "offset"), [("tcp", 0), ("tcp", OUTSIDE), ("tcp", -OUTSIDE), ("udp", 0), ("udp", OTHER_ID)],
                         ids=["tcp inside the window", "tcp ahead of it", "tcp behind it", "udp", "udp of another number"])
@pytest.mark.parametrize("how", ["raw", "packet"])
def test_who_forges_with_an_open_socket_is_named_and_the_owner_is_never_exact(victims, tmp_path, how, protocol, offset):
    packets = framed(victims, tmp_path / "truth", how, protocol, offset)
    assert not [packet for packet in packets if packet["confidence"] == "exact" or not names_framer(packet)]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("how", ["raw", "packet"])
def test_who_closes_the_socket_at_once_is_named_from_the_first_time_that_it_is_seen(victims, tmp_path, how, protocol):
    packets = framed(victims, tmp_path / "truth", how, protocol, once="once")
    first = next((at for at, packet in enumerate(packets) if names_framer(packet)), len(packets))
    exact = sum(packet["confidence"] == "exact" for packet in packets[:first])
    print(f"\n{how} {protocol}: {first} of {len(packets)} packets before it was seen, {exact} of them exact")
    assert not [packet for packet in packets[first:] if packet["confidence"] == "exact" or not names_framer(packet)]

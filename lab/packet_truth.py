# SPDX-License-Identifier: Apache-2.0
"""Every packet of a guest, attributed and compared with what it says of its sender (lab/guest/senders.c).

right   the owner is the set of processes that the packet names, at the highest confidence that
        docs/attribution.md allows for its kind
lower   the right set, at a lower confidence (too high: at a higher one, which is a mistake too)
other   the sender is in the set, but so are others, or a holder is missing
wrong   the packet's sender is not in the set
"""

import collections
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).parent.parent
PROGRAM = ROOT / "build/release/tests/packet_truth"
TCP_PORT, UDP_PORT = 7001, 9001
# The best that can be known of each kind; TCP and connected UDP: exact.
NOT_CONNECTED = ["any4", "any6", "sidelong", "ping4", "ping6"]
BEST = {**dict.fromkeys(NOT_CONNECTED, "inferred"), "reuseport": "ambiguous"}
AFTER_CLOSE, A_FRAGMENT = "the flow's last known owner", "a fragment: "


class Discard:
    """A server that takes all that comes, in the server's namespace."""

    def __init__(self, network):
        self.network = network

    def __enter__(self):
        from . import process
        from .network import Network
        self._end = process.end
        self._process = process.start(Network.inside(self.network.server, "/usr/bin/python3", __file__), stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, text=True)
        self._process.stdout.readline()
        return self

    def __exit__(self, *_):
        self._end(self._process)
        self._process.stdout.close()


class PacketTruth:
    """with PacketTruth(guest) as truth: ...; then truth.packets, a dict each."""

    def __init__(self, guest, out: pathlib.Path):
        self.guest, self.out, self.packets = guest, out, []

    def __enter__(self):
        from . import process
        from .network import Network
        self._end = process.end
        self._file = open(self.out, "w")
        net = self.guest.network
        for device in (net.tap, "uplink0"):
            net.ip(net.vm, "link", "set", device, "nomaster")
        # Emulated CPUs take all that the machine has; an answer that comes when the sender has gone on is late.
        self._process = process.start(Network.inside(net.vm, "nice", "-n", "-15", str(PROGRAM), str(self.guest.pid), net.tap, "uplink0"),
                                      stdin=subprocess.PIPE, stdout=self._file)
        while "ready" not in self.out.read_text():
            if self._process.poll() is not None:
                console = (self.guest.folder / "console").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"packet_truth did not start. The guest's console ends:\n{console}")
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        finally:
            self._end(self._process)
            self._file.close()
            net = self.guest.network
            for device in (net.tap, "uplink0"):
                net.ip(net.vm, "link", "set", device, "master", "br0")
        lines = [json.loads(line) for line in self.out.read_text().splitlines()][1:]
        if lines and "missed" in lines[-1]:
            self.end = lines.pop()
        self.packets = lines


def judge(packet: dict) -> tuple[str, str]:
    """Kind and outcome of a packet that carries a claim."""
    kind, pids = packet["claim"].split()
    claimed = sorted(map(int, pids.split(",")))
    best = BEST.get(kind.removeprefix("container-"), "exact")
    if not packet["pids"]:
        return kind, "unknown"
    if not set(claimed) & set(packet["pids"]):
        return kind, "wrong"
    if best == "ambiguous":  # each names itself alone
        return kind, "right" if packet["confidence"] == best else "too high"
    if packet["confidence"] == "ambiguous":
        return kind, "ambiguous"
    if packet["pids"] != claimed:
        return kind, "other"
    if packet["confidence"] == best or packet["reason"].startswith((AFTER_CLOSE, A_FRAGMENT)):
        return kind, "right"
    return kind, "lower" if best == "exact" else "too high"


def count(packets: list[dict]) -> dict[str, collections.Counter]:
    """Outcomes by kind."""
    by_kind = collections.defaultdict(collections.Counter)
    for packet in packets:
        if packet["claim"]:
            kind, outcome = judge(packet)
            by_kind[kind][outcome] += 1
    return by_kind


def serve_for_ever():
    import asyncio
    import socket

    async def take(reader, writer):
        while await reader.read(65536):
            pass
        writer.close()

    async def run():
        await asyncio.start_server(take, ["0.0.0.0", "::"], TCP_PORT, backlog=1000)
        datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        datagrams.bind(("::", UDP_PORT))
        await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, sock=datagrams)
        print("listening", flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    serve_for_ever()

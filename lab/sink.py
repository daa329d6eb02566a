# SPDX-License-Identifier: Apache-2.0
"""Servers in the server's namespace that write down what arrives: one JSON line each.

From TCP connections the first line, with the peer's port and the time; then it closes first. From UDP
every datagram.
"""

import asyncio
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

TCP_PORT, UDP_PORT = 7000, 9000


class Sink:
    """with Sink(network) as sink: what arrived at the server, as it says itself."""

    def __init__(self, network):
        self.network = network

    def __enter__(self):
        from . import process, scratch
        from .network import Network
        self.folder = tempfile.TemporaryDirectory(prefix=scratch.prefix("sink"))
        self.file = pathlib.Path(self.folder.name) / "arrived.jsonl"
        self._process = process.start(Network.inside(self.network.server, "/usr/bin/python3", __file__, str(self.file)),
                                      stdin=subprocess.DEVNULL)
        self._end = process.end
        self.wait(lambda arrived: arrived)
        return self

    def arrived(self) -> list[dict]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def count(self, name: str) -> int:
        """Datagrams of the streamer called `name`."""
        return sum(record["text"].startswith(name + " ") for record in self.arrived())

    def arriving(self, name: str, seconds: float) -> int:
        """Datagrams of the streamer that arrive in this time from now."""
        before = self.count(name)
        time.sleep(seconds)
        return self.count(name) - before

    def wait(self, condition, seconds: float = 30):
        give_up = time.monotonic() + seconds
        while not condition(self.arrived()):
            if time.monotonic() > give_up:
                raise AssertionError("what is waited for did not arrive at the server")
            time.sleep(0.05)

    def __exit__(self, *_):
        self._end(self._process)
        self.folder.cleanup()


def serve_for_ever():
    out = open(sys.argv[1], "a", buffering=1)

    def note(**facts):
        out.write(json.dumps({"time": time.time(), **facts}) + "\n")

    async def serve(reader, writer):
        port = writer.get_extra_info("peername")[1]
        line = await reader.readline()
        note(protocol="tcp", port=port, text=line.decode(errors="replace").strip())
        writer.close()

    class Datagrams(asyncio.DatagramProtocol):
        def datagram_received(self, data, peer):
            note(protocol="udp", port=peer[1], text=data.decode(errors="replace"))

    async def run():
        await asyncio.start_server(serve, ["0.0.0.0", "::"], TCP_PORT, backlog=1000)
        both = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        both.bind(("::", UDP_PORT))
        await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, sock=both)
        note(protocol="none", text="listening")
        await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    serve_for_ever()

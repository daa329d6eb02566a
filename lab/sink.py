# SPDX-License-Identifier: Apache-2.0
"""Servers in the server's namespace that write down what arrives: one JSON line each.

sink.py FILE TCP_PORT UDP_PORT: from TCP connections the first line, with the peer's port and the time;
then it closes first. From UDP every datagram.
"""

import asyncio
import json
import sys
import time


def main():
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
        await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[2]), backlog=1000)
        await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, ("0.0.0.0", int(sys.argv[3])))
        note(protocol="none", text="listening")
        await asyncio.Event().wait()

    asyncio.run(run())


main()

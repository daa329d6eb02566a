# SPDX-License-Identifier: Apache-2.0
import json
import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from lab import packages, process  # noqa: E402
from lab.network import Network  # noqa: E402
from lab.vm import Guest  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def sigterm_unwinds():
    process.unwind_on_sigterm()


@pytest.fixture(scope="session")
def network():
    with Network() as net:
        yield net


@pytest.fixture(scope="session", params=sorted(packages.kernels()))
def guest(request, network):
    """A guest of each kernel, on the same network, one after the other."""
    with Guest(request.param, network) as booted:
        yield booted


class Sink:
    """What arrived at the server."""

    def __init__(self, network):
        self.network = network

    def __enter__(self):
        import tempfile
        self.folder = tempfile.TemporaryDirectory(prefix="xf-sink-")
        self.file = pathlib.Path(self.folder.name) / "arrived.jsonl"
        self._process = process.start(Network.inside(self.network.server, "/usr/bin/python3", str(ROOT / "lab/sink.py"),
                                                     str(self.file), "7000", "9000"), stdin=subprocess.DEVNULL)
        self.wait(lambda arrived: arrived)
        return self

    def arrived(self) -> list[dict]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def count(self, name: str) -> int:
        """Datagrams of the streamer called `name`."""
        return sum(record["text"].startswith(name + " ") for record in self.arrived())

    def wait(self, condition, seconds: float = 30):
        give_up = time.monotonic() + seconds
        while not condition(self.arrived()):
            assert time.monotonic() < give_up, "what the test waits for did not arrive at the server"
            time.sleep(0.05)

    def __exit__(self, *_):
        process.end(self._process)
        self.folder.cleanup()


@pytest.fixture
def sink(network):
    with Sink(network) as running:
        yield running

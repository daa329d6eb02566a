# SPDX-License-Identifier: Apache-2.0
import json
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from lab import packages, process  # noqa: E402
from lab.network import Network  # noqa: E402
from lab.sink import Sink  # noqa: E402
from lab.vm import Guest  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--report", metavar="FILE", help="write what was counted on each guest as JSON (docs/reports.md)")


def pytest_configure(config):
    config.report = []  # an entry a guest


def pytest_sessionfinish(session):
    file = session.config.getoption("--report")
    if file:
        pathlib.Path(file).write_text(json.dumps({"guests": session.config.report}, indent=1) + "\n")


@pytest.fixture(scope="session", autouse=True)
def signals_unwind():
    process.unwind_on_signals()


@pytest.fixture(scope="session")
def network():
    with Network() as net:
        yield net


@pytest.fixture(scope="session", params=packages.kernels_for_all_tests())
def guest(request, network):
    """A guest of each kernel, on the same network, one after the other."""
    with Guest(request.param, network) as booted:
        yield booted


@pytest.fixture
def sink(network):
    with Sink(network) as running:
        yield running


@pytest.fixture
def streams(guest, sink):
    """The sink of alice and mallory, who send datagrams to the same port, all the time."""
    for user in ("alice", "mallory"):
        guest.start(f"streamer {sink.network.server4} 9000 {user}", user)
    sink.wait(lambda arrived: sink.count("alice") > 20 and sink.count("mallory") > 20)
    yield sink
    guest.run("killall streamer", check=False)

# SPDX-License-Identifier: Apache-2.0
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from lab import packages, process  # noqa: E402
from lab.network import Network  # noqa: E402
from lab.sink import Sink  # noqa: E402
from lab.vm import Guest  # noqa: E402


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

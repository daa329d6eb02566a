# SPDX-License-Identifier: Apache-2.0
"""The lab itself: a run leaves nothing behind, however it ends."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from conftest import ROOT
from lab import packages, process, scratch
from lab.network import Network, sweep_leftovers
from lab.vm import Guest, GuestFailed


@pytest.fixture
def run_with_a_guest():
    """Another run of the lab, with a guest that is up; and that guest's VMM."""
    lab = subprocess.Popen([sys.executable, "-m", "lab", "boot", "--kernel", "6.1"], cwd=ROOT, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = lab.stdout.readline()
    assert line.startswith("booted"), lab.stderr.read()
    yield lab, int(re.search(r"VMM pid (\d+)", line).group(1))
    lab.kill()
    lab.communicate()


def left_by(pid: int) -> list[str]:
    namespaces = re.findall(rf"^xf-{pid}-\S+", process.run("ip", "netns", "list"), re.M)
    folders = [*pathlib.Path(tempfile.gettempdir()).glob(f"xf-*-{pid}-*"), *packages.cache().glob(f"xf-*-{pid}-*")]
    return namespaces + [str(folder) for folder in folders]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_run_that_is_asked_to_end_leaves_nothing_behind(run_with_a_guest, number):
    lab, vmm = run_with_a_guest
    assert left_by(lab.pid)
    for _ in range(3):  # the second and third must not break the cleaning up after the first
        lab.send_signal(number)
        time.sleep(0.02)
    lab.wait(20)
    assert not process.is_alive(vmm)
    assert left_by(lab.pid) == []


def test_a_killed_runs_vmm_dies_with_it_and_the_next_run_removes_the_rest(run_with_a_guest):
    lab, vmm = run_with_a_guest
    used = left_by(lab.pid)
    sweep_leftovers()
    scratch.prefix("probe")
    assert left_by(lab.pid) == used, "a living run's were swept"
    lab.kill()
    lab.wait()
    give_up = time.monotonic() + 5
    while process.is_alive(vmm) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not process.is_alive(vmm)
    assert left_by(lab.pid) == used
    sweep_leftovers()
    scratch.prefix("probe")
    assert left_by(lab.pid) == []


def test_a_guest_that_does_not_boot_says_so_with_its_console_and_is_gone():
    mine = set(left_by(os.getpid()))
    with pytest.raises(GuestFailed, match="did not boot"):
        with Guest("6.1", append="rdinit=/nowhere", boot_seconds=8):
            pass
    assert set(left_by(os.getpid())) == mine


def test_vmm_that_cannot_start_says_why():
    with pytest.raises(GuestFailed, match="nosuchcpu"):
        with Guest("6.1", cpu="nosuchcpu"):
            pass


def test_truth_is_what_the_guests_kernel_says(guest):
    truth = guest.truth()
    assert truth["processes"][1]["comm"] == "sh" and truth["processes"][1]["ppid"] == 0
    pid = guest.start("sleep 1000", "mallory")
    try:
        sleeper = guest.truth()["processes"][pid]
        assert (sleeper["comm"], sleeper["uid"], sleeper["real_uid"]) == ("sleep", 1001, 1001)
        assert sleeper["cmdline"] == ["sleep", "1000"] and sleeper["exe"] == "/bin/busybox"
    finally:
        guest.run(f"kill {pid}")


def test_a_command_that_fails_in_the_guest_is_no_success(guest):
    with pytest.raises(GuestFailed, match="exit code 3"):
        guest.run("echo why; exit 3")


def test_the_server_and_the_guest_reach_each_other_in_both_families(guest, network):
    for address in (network.server4, network.server6):
        guest.run(f"ping -c 1 -W 2 {address}")
    for address in (network.guest4, network.guest6):
        process.run(*Network.inside(network.server, "busybox", "ping", "-c", "1", "-W", "2", address))

# SPDX-License-Identifier: Apache-2.0
"""Bad input gets a clear error and changes nothing."""

import os
import pathlib
import subprocess
import tempfile
import time

import pytest

from lab import process, scratch, xfilter
from lab.network import Network
from lab.vm import Guest
from lab.xfilter import Attached


@pytest.fixture
def rules(tmp_path):
    file = tmp_path / "office.rules"
    file.write_text("default allow\n")
    return str(file)


def fails_with(*arguments: str) -> str:
    with tempfile.TemporaryDirectory(prefix=scratch.prefix("bad")) as folder:
        done = xfilter.call(*arguments, *(xfilter.state_in(folder) if arguments[0] == "attach" else []))
        if "--wait" not in arguments:
            assert os.listdir(folder) == []  # nothing was made for what cannot be filtered
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    return done.stderr


def test_a_pid_that_is_no_process(rules):
    for command in (["ps"], ["sockets"], ["attach", "--rules", rules]):
        assert "there is no process 4194303" in fails_with(*command, "--pid", "4194303")


def test_a_pid_that_is_no_vmm(rules):
    sleeper = process.start(["sleep", "100"])
    try:
        message = fails_with("ps", "--pid", str(sleeper.pid))
        assert "(sleep) is no VMM" in message and "Expected the pid of QEMU" in message
    finally:
        process.end(sleeper)


def test_a_vmm_whose_guest_has_not_booted_is_waited_for_and_then_told(rules):
    with Network() as network, Guest("6.1", network, wait=False) as guest:
        guest.pause()
        before = network.host_state()
        began = time.monotonic()
        message = fails_with("attach", "--pid", str(guest.pid), "--rules", rules, "--wait", "1")
        assert time.monotonic() - began >= 1
        assert "waited 1 s" in message
        assert network.host_state() == before
        guest.resume()
        done = xfilter.call("ps", "--pid", str(guest.pid), "--wait", "60", "--json")
        assert done.returncode == 0, done.stderr


def test_not_root(guest, rules):
    program = [str(xfilter.PROGRAM), "attach", "--pid", str(guest.pid), "--rules", rules]
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *program],
                          text=True, capture_output=True)
    assert done.returncode == 1
    assert "attach needs root" in done.stderr or "Permission denied" in done.stderr


def test_an_ordinary_user_who_looks_at_a_vmm(guest):
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", str(xfilter.PROGRAM),
                           "ps", "--pid", str(guest.pid)], text=True, capture_output=True)
    assert done.returncode == 1
    assert "needs root (CAP_SYS_PTRACE)" in done.stderr


def test_no_such_netdev_names_those_that_are_there(guest, rules, network):
    before = network.host_state()
    message = fails_with("attach", "--pid", str(guest.pid), "--rules", rules, "--dev", "tap7")
    assert "--dev tap7: no such netdev" in message and "Its taps: tap0" in message
    assert network.host_state() == before


def test_a_rule_file_with_errors_shows_all_of_them_and_attaches_nothing(guest, tmp_path, network):
    before = network.host_state()
    file = tmp_path / "office.rules"
    file.write_text("dorp tcp\ndrop tcp dport 25 user alice\n")
    message = fails_with("attach", "--pid", str(guest.pid), "--rules", str(file))
    assert "office.rules:1:1: error" in message and "did you mean drop?" in message
    assert "office.rules:2:24: error: user needs a users file" in message
    assert "2 errors" in message
    assert network.host_state() == before


def test_rules_that_let_nothing_pass_need_to_be_meant(guest, tmp_path, network):
    (tmp_path / "office.rules").write_text("observe allow tcp\ndrop tcp uid 33\ndefault drop\n")
    before = network.host_state()
    message = fails_with("attach", "--pid", str(guest.pid), "--rules", str(tmp_path / "office.rules"))
    assert "office.rules:3: default drop: this policy cuts the VM off" in message and "say --yes" in message
    assert network.host_state() == before
    with Attached(guest.pid, "default drop\n", "--yes") as attached:
        assert attached.detach() == 0


def test_files_that_are_missing_or_no_text(guest, tmp_path):
    attach = ["attach", "--pid", str(guest.pid), "--rules"]
    assert "No such file" in fails_with(*attach, str(tmp_path / "none.rules"))
    assert "is a directory" in fails_with(*attach, str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\0\1")
    assert "NUL bytes" in fails_with(*attach, str(tmp_path / "binary"))
    (tmp_path / "rules").write_text("default allow\n")
    (tmp_path / "users").write_text("root:x:zero\n")
    assert "users:1: expected name:password:number" in fails_with(*attach, str(tmp_path / "rules"), "--users", str(tmp_path / "users"))


def test_a_netdev_with_an_ingress_qdisc_or_another_classifier_is_lived_with(guest, rules, network):
    inside = lambda *command: process.run(*Network.inside(network.vm, *command))  # noqa: E731
    inside("tc", "qdisc", "add", "dev", network.tap, "ingress")
    try:
        before = network.host_state()
        with xfilter.Attached(guest.pid, "default allow\n") as attached:
            guest.run(f"ping -c 1 -W 2 {network.server4}")
            assert attached.detach() == 0
        assert network.host_state() == before
    finally:
        inside("tc", "qdisc", "del", "dev", network.tap, "ingress")
    inside("tc", "qdisc", "add", "dev", network.tap, "clsact")
    inside("tc", "filter", "add", "dev", network.tap, "egress", "protocol", "ip", "pref", "9", "bpf", "da", "bytecode", "1,6 0 0 0,")
    try:
        before = network.host_state()
        with xfilter.Attached(guest.pid, "default allow\n") as attached:
            guest.run(f"ping -c 1 -W 2 {network.server4}")
            assert attached.detach() == 0
        assert network.host_state() == before
    finally:
        inside("tc", "qdisc", "del", "dev", network.tap, "clsact")


def test_doctor_finds_this_host_and_this_guest_healthy(guest):
    checks = xfilter.read_json("doctor", "--pid", str(guest.pid))
    assert checks["ok"], checks
    assert {"netdev tap0", "guest kernel", "VMM memory", "eBPF"} <= {check["check"] for check in checks["checks"]}


def test_doctor_says_what_to_do_about_a_process_that_is_no_vmm():
    done = xfilter.call("doctor", "--pid", str(os.getpid()))
    assert done.returncode == 1
    assert "do: give the pid of the VMM process itself" in done.stdout


def test_tables_fit_a_hundred_columns(guest):
    for view in ("ps", "sockets"):
        done = xfilter.call(view, "--pid", str(guest.pid))
        assert done.returncode == 0
        assert max(map(len, done.stdout.splitlines())) <= 100


def test_the_agent_has_nothing_left(guest):
    """No capability, no user, no network, no file: as the kernel says it of the running agent."""
    with xfilter.Attached(guest.pid, "default allow\n") as attached:
        status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{attached.agent}/status").read_text().splitlines() if ":\t" in line)
        assert {status[key] for key in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0000000000000000"}
        assert status["Uid"].split() == ["65534"] * 4 and status["Gid"].split() == ["65534"] * 4
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
        net = lambda pid: os.readlink(f"/proc/{pid}/ns/net")  # noqa: E731
        assert net(attached.agent) not in (net("self"), net(attached.process.pid))
        open_files = {os.readlink(f"/proc/{attached.agent}/fd/{fd}") for fd in os.listdir(f"/proc/{attached.agent}/fd")}
        allowed = ("anon_inode:bpf", "/dev/net/tun", "socket:", "/dev/null", "pipe:", f"/proc/{guest.pid}/mem",
                   f"/proc/{guest.pid}/pagemap", "/memfd", str(attached.log_file))
        assert not [name for name in open_files if not name.startswith(allowed)]

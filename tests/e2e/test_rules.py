# SPDX-License-Identifier: Apache-2.0
"""The tools for rule files, as a person calls them. No VM."""

import json
import struct
import subprocess

import pytest

from lab import xfilter

RULES = """\
protect exe /usr/sbin/exim4 tcp dport 25
observe drop tcp dport 25 uid 1-99
drop tcp dport 25 uid 33
allow tcp dport 25 uid 33
default allow
"""


@pytest.fixture
def office(tmp_path):
    (tmp_path / "office.rules").write_text(RULES)

    def run(*arguments: str):
        return subprocess.run([str(xfilter.PROGRAM), "rules", *arguments], cwd=tmp_path, text=True, capture_output=True)

    return run


def test_check_warns_and_accepts(office):
    done = office("check", "office.rules")
    assert done.returncode == 0
    assert "office.rules:4:1: warning: this rule can never match" in done.stdout or "office.rules:4:1: warning: this rule conflicts" in done.stdout
    assert done.stdout.endswith("office.rules: 4 rules, no errors, 1 warning\n")
    assert [w["line"] for w in json.loads(office("check", "office.rules", "--json").stdout)["warnings"]] == [4]


def test_explain_says_what_each_rule_missed_on(office):
    arguments = ["explain", "office.rules", "--packet", "tcp 10.0.0.2:1 10.0.0.1:25", "--owner", "pid=7 uid=33 exe=/bin/x"]
    lines = office(*arguments).stdout.splitlines()
    assert lines[1].split() == "office.rules:1 missed exe /usr/sbin/exim4: exe is /bin/x".split()
    assert lines[2].startswith("office.rules:2  would drop") and lines[3].startswith("office.rules:3  drop")
    told = json.loads(office(*arguments, "--json").stdout)
    assert told["verdict"] == "drop" and [step["outcome"] for step in told["steps"]] == ["missed", "observed", "decides"]


def test_explain_names_a_word_that_it_does_not_know(office):
    done = office("explain", "office.rules", "--packet", "tcp 10.0.0.2:1 10.0.0.1:25", "--owner", "colour=red")
    assert done.returncode == 1 and '"colour=red": expected pid=' in done.stderr
    done = office("explain", "office.rules", "--packet", "tcp here there")
    assert done.returncode == 1 and '"here": expected an address' in done.stderr


def capture_of(*frames: bytes, link_type: int = 1) -> bytes:
    """As pcap-savefile(5) has it."""
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type)
    return header + b"".join(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame for frame in frames)


def udp_frame(port: int) -> bytes:
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, bytes([10, 0, 0, 2]), bytes([10, 0, 0, 1]))
    return bytes(12) + b"\x08\x00" + ip + struct.pack(">HHHH", 4711, port, 8, 0)


def test_explain_takes_each_packet_of_a_capture(office, tmp_path):
    (tmp_path / "office.rules").write_text("drop udp dport 53 uid 33\ndefault allow\n")
    (tmp_path / "vm.pcap").write_bytes(capture_of(udp_frame(53), udp_frame(80)))
    arguments = ["explain", "office.rules", "--pcap", "vm.pcap", "--owner", "uid=33"]
    lines = office(*arguments).stdout.splitlines()
    assert lines[1].split()[:5] == ["1", "udp", "10.0.0.2:4711", ">", "10.0.0.1:53"] and "drop" in lines[1] and "pass" in lines[2]
    told = json.loads(office(*arguments, "--json").stdout)["packets"]
    assert [(packet["packet"], packet["verdict"]) for packet in told] == [
        ("udp 10.0.0.2:4711 > 10.0.0.1:53", "drop"), ("udp 10.0.0.2:4711 > 10.0.0.1:80", "pass")]


@pytest.mark.parametrize("content, said", [
    (b"no capture at all, but long enough", "unknown file format"),
    (capture_of(udp_frame(53))[:-4], "truncated dump file"),
    (capture_of(b"", link_type=101), "expected Ethernet frames, found RAW"),
])
def test_explain_says_what_is_wrong_with_a_capture(office, tmp_path, content, said):
    (tmp_path / "vm.pcap").write_bytes(content)
    done = office("explain", "office.rules", "--pcap", "vm.pcap")
    assert done.returncode == 1 and "--pcap vm.pcap: " in done.stderr and said in done.stderr


def test_plan_says_what_waits(office):
    told = json.loads(office("plan", "office.rules", "--json").stdout)
    assert [(c["packets"], c["treatment"]) for c in told["classes"]] == [("tcp dport 25", "hold")] and told["otherwise"] == "note"


@pytest.mark.parametrize("command", [["check"], ["plan"], ["explain", "--packet", "tcp 10.0.0.2:1 10.0.0.1:25"]])
def test_tables_fit_a_hundred_columns_and_a_missing_file_is_named(office, command):
    assert max(map(len, office(*command, "office.rules").stdout.splitlines())) <= 100
    done = office(*command, "none.rules")
    assert done.returncode == 1 and done.stderr == "xfilter: none.rules: No such file or directory\n"

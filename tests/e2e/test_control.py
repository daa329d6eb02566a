# SPDX-License-Identifier: Apache-2.0
"""Rules changed, observed, explained and taken back on a running agent, with a real guest's traffic."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from lab import process, xfilter
from lab.xfilter import PROGRAM, Attached

ALLOW = "# nothing is dropped yet\ndefault allow\n"
MALLORY = "drop udp dport 9000 uid 1001"


def numbers(sink, name: str) -> list[int]:
    """Of a streamer's datagrams, as they arrived."""
    return [int(record["text"].split()[1]) for record in sink.arrived() if record["text"].startswith(name + " ")]


def is_whole(arrived: list[int]) -> bool:
    """None lost, doubled or out of order."""
    return arrived == list(range(arrived[0], arrived[0] + len(arrived)))


def said(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 1, done.stdout
    return done.stderr


class Client:
    """The protocol itself, as a program of somebody else speaks it."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("r")

    def ask(self, **request) -> dict:
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(self.lines.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()


def test_the_story_of_one_wrong_rule(guest, streams):
    """Meant for mallory, written for everybody: observed, explained, enforced, regretted, and taken back."""
    with Attached(guest.pid, ALLOW) as attached:
        # check warns: what is written before it lets pass what it drops.
        attached.rules_file.write_text("allow udp dport 9000\ndrop udp dport 9000\ndefault allow\n")
        assert "2:1: warning: this rule conflicts with another" in said(xfilter.call("rules", "check", str(attached.rules_file)))

        # observe shows whom the rule would hit: alice too. Nothing is lost.
        attached.rules_file.write_text("observe drop udp dport 9000\ndefault allow\n")
        said(attached.call("rules", "reload"))
        assert streams.arriving("alice", 2) > 50 and streams.arriving("mallory", 1) > 25
        observed = {process["uid"] for event in attached.events() if event.get("observed")
                    for process in event["guest"]["processes"]}
        assert observed == {1000, 1001}
        assert is_whole(numbers(streams, "alice")) and is_whole(numbers(streams, "mallory"))
        assert attached.read("rules", "list")["rules"][0]["hits"] >= 2

        # enforced all the same, explain tells why alice is silent, undo takes it back.
        attached.rules_file.write_text("drop udp dport 9000\ndefault allow\n")
        told = json.loads(said(attached.call("rules", "reload", "--json")))
        assert told["flows"]["changed"] >= 2
        assert streams.arriving("alice", 1) == 0
        flow = next(event for event in reversed(attached.events()) if event.get("dest_port") == 9000)
        packet = f"udp {flow['src_ip']}:{flow['src_port']} {flow['dest_ip']}:9000"
        explained = attached.call("rules", "explain", "--packet", packet).stdout
        assert "office.rules:1" in explained and "owner (as last judged): exact, pid" in explained
        said(attached.call("rules", "undo"))
        taken_back = len(numbers(streams, "alice"))
        assert streams.arriving("alice", 2) > 50

        # What was meant.
        said(attached.call("rules", "add", MALLORY, "--why", "spam"))
        time.sleep(0.3)
        assert streams.arriving("mallory", 1) == 0 and streams.arriving("alice", 1) > 25
        assert is_whole(numbers(streams, "alice")[taken_back:])


def test_no_packet_is_lost_while_rules_and_mode_change(guest, streams):
    with Attached(guest.pid, MALLORY + "\ndefault allow\n") as attached:
        for number in range(10):
            said(attached.call("rules", "add", f"drop udp dport 9000 uid {2000 + number}"))
            said(attached.call("mode", "observe"))
            said(attached.call("rules", "undo"))
            attached.rules_file.write_text(f"{MALLORY}  # {number}\ndefault allow\n")
            said(attached.call("rules", "reload"))
        time.sleep(0.3)
        assert is_whole(numbers(streams, "alice"))
        assert streams.arriving("mallory", 1) == 0


def test_observe_drops_nothing_and_says_what_it_would(guest, streams):
    with Attached(guest.pid, MALLORY + "\n", "--mode", "observe") as attached:
        assert streams.arriving("mallory", 2) > 50
        would = [event["verdict"] for event in attached.events()
                 if event["guest"]["processes"] and event["guest"]["processes"][0]["uid"] == 1001]
        assert would and all(verdict == {"action": "pass", "would": "drop"} for verdict in would)
        status = attached.read("status")
        assert status["mode"] == "observe" and status["judged"]["would_drop"] > 0 and status["judged"]["dropped"] == 0
        assert "enforce" in said(attached.call("mode", "enforce"))
        time.sleep(0.3)
        assert streams.arriving("mallory", 1) == 0 and streams.arriving("alice", 1) > 25
        said(attached.call("mode", "observe"))
        assert streams.arriving("mallory", 2) > 50
        assert attached.read("rules", "history")["changes"][0]["what"] == "mode observe"
        said(attached.call("rules", "undo"))
        assert attached.read("status")["mode"] == "enforce"


def test_added_rules_survive_the_agent_and_the_opener_with_their_age_and_hits(guest, streams, tmp_path):
    with Attached(guest.pid, ALLOW, folder=tmp_path) as attached:
        said(attached.call("rules", "add", "drop", "udp", "dport", "9000", "uid", "1001", "expires", "1h", "--why", "spam"))
        time.sleep(0.3)
        assert streams.arriving("mallory", 12) == 0  # what rules did is stored every ten seconds
        before = attached.read("rules", "list")["rules"][0]
        assert before["by"] == "uid 0" and before["why"] == "spam" and before["hits"] > 0 and before["file"] == "added"
        os.kill(attached.agent, signal.SIGKILL)
        attached.wait_for_log("filters again")
        after = attached.read("rules", "list")["rules"][0]
        assert after["age_s"] >= before["age_s"] and after["expires_in_s"] <= before["expires_in_s"]
        assert streams.arriving("mallory", 1) == 0
        attached.process.kill()
        attached.process.wait()
    with Attached(guest.pid, None, folder=tmp_path) as attached:
        rule = attached.read("rules", "list")["rules"][0]
        assert rule["text"].startswith(MALLORY) and rule["age_s"] >= before["age_s"] and rule["hits"] > 0
        assert streams.arriving("mallory", 2) == 0 and streams.arriving("alice", 1) > 25
        time.sleep(9)  # drops that were taken over go on for ten seconds
        said(attached.call("rules", "del", f"added:{rule['line']}"))
        assert streams.arriving("mallory", 2) > 50
        assert "there is no rule added:77" in refusal(attached.call("rules", "del", "77"))
        table = said(attached.call("rules", "history"))
        assert table.splitlines()[1].split()[2] == "root" and max(map(len, table.splitlines())) <= 100
        events = said(subprocess.run([str(PROGRAM), "events", "--store", str(attached.store), "--most", "5"], text=True,
                                     capture_output=True))
        assert all(json.loads(line)["event_type"] == "verdict" for line in events.splitlines())


def test_rules_are_saved_into_the_file_and_deleted_out_of_it_with_its_comments(guest):
    with Attached(guest.pid, "# office\nset mail = {25, 465}  # both\ndrop tcp dport @mail uid 33  # web\ndefault allow\n") as attached:
        said(attached.call("rules", "add", "drop tcp dport @mail uid 34", "--why", "php"))
        said(attached.call("rules", "save"))
        assert attached.rules_file.read_text() == (
            "# office\nset mail = {25, 465}  # both\ndrop tcp dport @mail uid 34  # php\n"
            "drop tcp dport @mail uid 33  # web\ndefault allow\n")
        places = [(rule["file"], rule["line"]) for rule in attached.read("rules", "list")["rules"]]
        assert places == [(str(attached.rules_file), 3), (str(attached.rules_file), 4)]
        said(attached.call("rules", "del", "office.rules:4"))
        assert attached.rules_file.read_text().splitlines()[2:] == ["drop tcp dport @mail uid 34  # php", "default allow"]
        attached.rules_file.write_text("# edited\ndefault allow\n")
        assert "is not as it was loaded" in refusal(attached.call("rules", "del", "office.rules:3"))


def test_what_cannot_be_in_force_changes_nothing_and_says_so(guest):
    with Attached(guest.pid, MALLORY + "\n") as attached:
        before = attached.read("rules", "list")["rules"]
        attached.rules_file.write_text("drop tcp dprt 25\ndrop user mallory\ndrop dst @office\n")
        wrong = refusal(attached.call("rules", "reload"))
        for text in ("office.rules:1:10: error", "did you mean dport?", "user needs a users file", 'no set "office"',
                     "3 errors", "the policy in force stays as it is"):
            assert text in wrong
        attached.rules_file.unlink()
        gone = refusal(attached.call("rules", "reload"))
        assert "No such file or directory" in gone and "the policy in force stays as it is" in gone
        assert 'no set "nowhere"' in refusal(attached.call("rules", "add", "drop src @nowhere"))
        done = attached.call("rules", "add", "drop tcp dport 25 exe /usr/sbin/exmi4")
        assert "no process of the guest was seen to run /usr/sbin/exmi4" in done.stderr and done.returncode == 0
        said(attached.call("rules", "undo"))
        attached.rules_file.write_text("default drop\n")
        cut = refusal(attached.call("rules", "reload"))
        assert "cuts the VM off" in cut and "--yes" in cut
        after = attached.read("rules", "list")["rules"]
        assert [rule["text"] for rule in after] == [rule["text"] for rule in before]
        said(attached.call("rules", "reload", "--yes"))
        said(attached.call("rules", "undo"))
        assert "no change before this one" in refusal(attached.call("rules", "undo"))


def test_clients_that_send_garbage_stall_or_ask_beyond_their_role_cost_nothing(guest, streams):
    readers = process.run("getent", "group", "nogroup").split(":")[2]
    with Attached(guest.pid, ALLOW, "--readers", "nogroup") as attached:
        os.chmod(attached.folder, 0o755)
        stalled = [Client(attached.socket) for _ in range(3)]
        for client in stalled:
            client.socket.sendall(b'{"do": "sta')
        with Client(attached.socket) as client:
            client.socket.sendall(b"\x00\xff garbage\n")
            assert "expected a JSON object" in json.loads(client.lines.readline())["error"]
            assert "one of events, status" in client.ask(do="dance")["error"]
            assert client.ask(do="add", rule=7)["error"].startswith('"rule" has the wrong type')
            assert client.ask(do="add", rule="drop uid 1", yes="perhaps")["ok"]
            assert client.ask(do="history", most="all")["ok"]

        def as_user(uid: str, gid: str, *arguments: str):
            return subprocess.run(["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", str(PROGRAM), *arguments,
                                   "--vm", str(attached.socket)], text=True, capture_output=True)

        assert "may read, not change" in refusal(as_user("65534", readers, "rules", "add", "drop uid 7"))
        assert "may read, not change" in refusal(as_user("65534", readers, "rules", "undo"))
        assert said(as_user("65534", readers, "rules", "list"))
        assert "may not use this socket" in refusal(as_user("1234", "1234", "rules", "list"))
        time.sleep(11)
        for client in stalled:
            assert client.lines.read() == ""  # left
        assert streams.arriving("alice", 1) > 25 and len(attached.read("rules", "list")["rules"]) == 1


def test_events_are_streamed_to_clients_and_to_a_socket(guest, streams, tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "eve.sock"))
    listener.listen()
    listener.settimeout(20)
    with Attached(guest.pid, "drop udp dport 9000 uid 1001 log\n", "--events", f"unix:{tmp_path}/eve.sock") as attached:
        connection, _ = listener.accept()
        connection.settimeout(20)
        assert json.loads(connection.makefile("r").readline())["event_type"] == "verdict"
        with Client(attached.socket) as client:
            assert client.ask(do="events") == {"ok": True}
            assert json.loads(client.lines.readline())["event_type"] == "verdict"
    listener.close()


def change_until_refused(attached, most: int) -> int:
    """Adds rules until an error; the number of those that were acknowledged."""
    acknowledged = 0
    with Client(attached.socket) as client:
        while acknowledged < most:
            try:
                if not client.ask(do="add", rule=f"drop tcp dport 25 uid {acknowledged}", why="x" * 900)["ok"]:
                    break
            except (OSError, ValueError):
                break
            acknowledged += 1
    return acknowledged


def soundness(store) -> str:
    with contextlib.closing(sqlite3.connect(store)) as database:
        return database.execute("PRAGMA integrity_check").fetchone()[0]


@pytest.mark.parametrize("victim", ["agent", "opener"])
def test_killed_in_the_middle_of_a_thousand_changes_no_acknowledged_rule_is_lost(guest, tmp_path, victim):
    with Attached(guest.pid, ALLOW, folder=tmp_path) as attached:
        pid = attached.agent if victim == "agent" else attached.process.pid
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {pid}"])
        acknowledged = change_until_refused(attached, 1_000)
        killer.wait()
        assert 0 < acknowledged < 1_000
        attached.process.kill()
        attached.process.wait()
    with Attached(guest.pid, None, folder=tmp_path) as attached:
        uids = {int(rule["matches"][2]["values"][0]) for rule in attached.read("rules", "list")["rules"]}
        # The change that was under way may have been stored and not been answered.
        assert uids in (set(range(acknowledged)), set(range(acknowledged + 1)))
        assert soundness(attached.store) == "ok"


def test_a_full_disk_refuses_changes_and_loses_none(guest, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    process.run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk))
    try:
        with Attached(guest.pid, ALLOW, store=disk / "vm.db", folder=tmp_path) as attached:
            acknowledged = change_until_refused(attached, 1_000)
            assert 0 < acknowledged < 1_000
            full = refusal(attached.call("rules", "add", "drop uid 1 cmdline " + "x" * 9_000))
            assert "full" in full and "the policy in force stays as it is" in full
            assert len(attached.read("rules", "list")["rules"]) == acknowledged
        process.run("mount", "-o", "remount,size=64m", str(disk))
        with Attached(guest.pid, None, store=disk / "vm.db", folder=tmp_path) as attached:
            assert len(attached.read("rules", "list")["rules"]) == acknowledged
            said(attached.call("rules", "add", "drop uid 1"))
        assert soundness(disk / "vm.db") == "ok"
    finally:
        process.run("umount", str(disk))


@contextlib.contextmanager
def time_of_day_set(seconds: float):
    """The host's time of day jumps, and is right again afterwards."""
    offset = time.time() - time.monotonic()
    time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)
    try:
        yield
    finally:
        time.clock_settime(time.CLOCK_REALTIME, offset + time.monotonic())


def test_a_clock_that_jumps_neither_expires_nor_revives_a_rule(guest, streams, tmp_path):
    with Attached(guest.pid, ALLOW, folder=tmp_path) as attached:
        said(attached.call("rules", "add", MALLORY + " expires 1h"))
        with time_of_day_set(24 * 3600):
            time.sleep(1)
            assert attached.read("rules", "list")["rules"][0]["expires_in_s"] > 3500
            assert streams.arriving("mallory", 2) == 0
        said(attached.call("rules", "undo"))
        said(attached.call("rules", "add", MALLORY + " expires 3s"))
        time.sleep(0.3)
        assert streams.arriving("mallory", 1) == 0
        with time_of_day_set(-3600):
            time.sleep(4)
            assert streams.arriving("mallory", 2) > 50
            assert attached.read("rules", "list")["rules"][0]["expires_in_s"] == 0
    with time_of_day_set(-3600), Attached(guest.pid, None, folder=tmp_path) as attached:
        assert attached.read("rules", "list")["rules"][0]["expires_in_s"] == 0
        assert streams.arriving("mallory", 2) > 50

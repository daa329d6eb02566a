# SPDX-License-Identifier: Apache-2.0
"""The demo: one mailer, one spammer, one VM, and five ways to treat them.

The numbers shown are the mail server's own: messages it accepted, by sender.
"""

import argparse
import json
import pathlib
import sys
import time

from . import process, xfilter
from .mail import MailServer
from .network import Network
from .vm import Guest
from .xfilter import Attached

MESSAGES = 20
PER_CONNECTION = 8  # so that a phase both goes on in an open connection and opens new ones
SPAMMER_PROGRAM = "/home/mallory/.cache/kworkerd"  # mallory brings her own copy of the interpreter

GREEN, RED, DIM, BOLD, PLAIN = ("\033[32m", "\033[31m", "\033[2m", "\033[1m", "\033[0m") if sys.stdout.isatty() else ("",) * 5


def say(text: str):
    print(f"{DIM}  {text}{PLAIN}", flush=True)


class Mailer:
    """A mail client in the guest that sends on request and keeps its connection open in between."""

    def __init__(self, guest: Guest, server: str, user: str, program: str):
        self.guest, self.user = guest, user
        self.fifo, self.results = f"/tmp/{user}.fifo", f"/tmp/{user}.results"
        guest.run(f"mkfifo {self.fifo}; touch {self.results}; chmod 666 {self.fifo} {self.results}")
        guest.start(f"env PYTHONHOME=/usr {program} /usr/local/bin/mailer.py {user}@customer.example {server} "
                    f"{self.fifo} {self.results}", user)
        # Held open, so that the client does not see an end between two requests.
        guest.run(f"sleep 100000 > {self.fifo} &")

    def send(self, phase: str, count: int):
        self.guest.run(f"echo send {phase} {count} {PER_CONNECTION} > {self.fifo}")

    def sent(self, phase: str) -> int | None:
        found = [line.split()[1] for line in self.guest.run(f"cat {self.results}").splitlines() if line.startswith(phase + " ")]
        return int(found[0]) if found else None


class PortClosed:
    """The old way: nobody in this VM may mail."""

    def __init__(self, network: Network):
        self.network = network

    def _nft(self, *arguments: str):
        process.run(*Network.inside(self.network.vm, "nft", *arguments))

    def __enter__(self):
        self._nft("add table bridge closed { chain forward { type filter hook forward priority 0; tcp dport 25 drop; }; }")
        return self

    def __exit__(self, *_):
        self._nft("delete table bridge closed")


def find_spammer(guest: Guest) -> dict:
    """Read from outside, by xfilter itself."""
    listed = xfilter.read_json("ps", "--pid", str(guest.pid))
    return next(p for p in listed["processes"] if p["exe"] == SPAMMER_PROGRAM)


def show(row: dict, treatment: str):
    cells = []
    for user, want in (("alice", True), ("mallory", row["name"] == "no_rules")):
        accepted, sent = row["accepted"][user], row["sent"][user]
        is_good = accepted == sent if want else accepted == 0
        cells.append(f"{GREEN if is_good else RED}{accepted:>3} of {sent:<3}{PLAIN}")
    print(f"  {treatment:<58} {cells[0]:<10}  {cells[1]}", flush=True)


def run(report: str | None) -> int:
    began = time.monotonic()
    print(f"{BOLD}xFilter: alice mails, mallory spams, both from one VM through port 25{PLAIN}")
    rows = []
    with Network() as network, MailServer(network) as server:
        say("a real mail server (Exim) waits in a network namespace of its own")
        with Guest("6.12", network) as guest:
            say(f"the VM runs Debian's stock kernel {guest.run('uname -r').strip()}; nothing in it knows of us "
                f"({time.monotonic() - began:.0f} s)")
            guest.run(f"mkdir -p {pathlib.PurePath(SPAMMER_PROGRAM).parent} && cp /usr/bin/python3.11 {SPAMMER_PROGRAM}")
            clients = {"alice": Mailer(guest, network.server4, "alice", "/usr/bin/python3.11"),
                       "mallory": Mailer(guest, network.server4, "mallory", SPAMMER_PROGRAM)}

            def exchange(name: str) -> dict:
                before = server.accepted()
                for client in clients.values():
                    client.send(name, MESSAGES)
                sent = {}
                while len(sent) < len(clients):
                    time.sleep(0.3)
                    for user, client in clients.items():
                        if user not in sent and (count := client.sent(name)) is not None:
                            sent[user] = count
                after = server.accepted()
                row = {"name": name, "sent": {user: sent[user] for user in clients},
                       "accepted": {user: after[user] - before[user] for user in clients}}
                rows.append(row)
                return row

            def open_connections(phase: str):
                """Both have a connection open when the rule comes."""
                for client in clients.values():
                    client.send(phase, 1)
                while any(client.sent(phase) is None for client in clients.values()):
                    time.sleep(0.3)

            print(f"\n  {BOLD}{'messages that the server accepted':<58} {'alice':<10}  mallory{PLAIN}")
            show(exchange("no_rules"), "no rules")
            with PortClosed(network):
                show(exchange("port_closed"), "port 25 closed for the VM: the old way")
            for name, subject in (("rule_user", "uid"), ("rule_pid", "pid"), ("rule_exe", "exe")):
                open_connections(f"before_{name}")
                spammer = find_spammer(guest)
                value = {"uid": spammer["uid"], "exe": spammer["exe"],
                         "pid": f"{spammer['pid']}@{spammer['start_boottime_ns'] / 1e9:.3f}"}[subject]
                rule = f"drop tcp dport 25 {subject} {value}"
                with Attached(guest.pid, f"{rule}\ndefault allow\n"):
                    show(exchange(name), rule)
            print()
            say(f"the spammer, as xfilter reads it from the VM's memory: pid {spammer['pid']}, uid {spammer['uid']}, "
                f"{spammer['exe']}")
    say(f"{time.monotonic() - began:.0f} s; the VM, the server and their networks are gone")
    if report:
        pathlib.Path(report).write_text(json.dumps({"phases": rows}, indent=2) + "\n")
    both, nobody, alice_only = ({"alice": alice, "mallory": mallory} for alice, mallory in
                                ((MESSAGES, MESSAGES), (0, 0), (MESSAGES, 0)))
    return 0 if [row["accepted"] for row in rows] == [both, nobody, alice_only, alice_only, alice_only] else 1


def main():
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--report", help="write the phases as JSON to this file")
    process.unwind_on_signals()
    try:
        return run(parser.parse_args().report)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

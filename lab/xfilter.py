# SPDX-License-Identifier: Apache-2.0
"""The product under test: build/release/xfilter."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from . import process, scratch

PROGRAM = pathlib.Path(os.environ.get("XFILTER", pathlib.Path(__file__).parent.parent / "build/release/xfilter"))


def call(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(PROGRAM), *arguments], text=True, capture_output=True, timeout=120)


def read_json(*arguments: str):
    done = call(*arguments, "--json")
    if done.returncode != 0:
        raise RuntimeError(f"xfilter {' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout)


def state_in(folder) -> list[str]:
    """Options of attach that keep what outlives it in a folder of the test's own."""
    return ["--store", f"{folder}/vm.db", "--socket", f"{folder}/vm.sock"]


class Attached:
    """with Attached(pid, rules) as filter: xfilter attach, until the end of the block or detach().

    Without rules it goes on with what is stored in `folder`."""

    def __init__(self, pid: int, rules: str | None, *options: str, folder=None, store=None):
        self._own_folder = None if folder else tempfile.TemporaryDirectory(prefix=scratch.prefix("attach"))
        self.folder = pathlib.Path(folder or self._own_folder.name)
        self.rules_file = self.folder / "office.rules"
        self.events_file = self.folder / "events.jsonl"
        self.log_file = self.folder / "log"
        self.socket = self.folder / "vm.sock"
        self.store = store or self.folder / "vm.db"
        self._command = [str(PROGRAM), "attach", "--pid", str(pid), "--store", str(self.store), "--socket", str(self.socket)]
        if rules is not None:
            self.rules_file.write_text(rules)
            self._command += ["--rules", str(self.rules_file)]
        self._command += [] if "--events" in options else ["--events", str(self.events_file)]
        self._command += options

    def __enter__(self):
        with open(self.log_file, "wb") as log:
            self.process = process.start(self._command, stderr=log, stdout=log, stdin=subprocess.DEVNULL)
        self.wait_for_log("attached")
        return self

    def log(self) -> str:
        return self.log_file.read_text()

    def wait_for_log(self, text: str, seconds: float = 60):
        give_up = time.monotonic() + seconds
        while text not in self.log():
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f'xfilter attach never said "{text}":\n{self.log()}')
            time.sleep(0.05)

    @property
    def agent(self) -> int:
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def events(self) -> list[dict]:
        text = self.events_file.read_text() if self.events_file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def call(self, *arguments: str) -> subprocess.CompletedProcess:
        """A subcommand that asks the agent."""
        return call(*arguments, "--vm", str(self.socket))

    def read(self, *arguments: str):
        return read_json(*arguments, "--vm", str(self.socket))

    def detach(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def __exit__(self, *_):
        try:
            self.detach()
        finally:
            if self.process.poll() is None:
                self.process.kill()
            if self._own_folder:
                self._own_folder.cleanup()

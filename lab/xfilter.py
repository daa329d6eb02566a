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


class Attached:
    """with Attached(pid, rules) as filter: xfilter attach, until the end of the block or detach()."""

    def __init__(self, pid: int, rules: str, *options: str):
        self.folder = tempfile.TemporaryDirectory(prefix=scratch.prefix("attach"))
        folder = pathlib.Path(self.folder.name)
        (folder / "office.rules").write_text(rules)
        self.events_file = folder / "events.jsonl"
        self.log_file = folder / "log"
        self._command = [str(PROGRAM), "attach", "--pid", str(pid), "--rules", str(folder / "office.rules"),
                         "--events", str(self.events_file), *options]

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
            self.folder.cleanup()

# SPDX-License-Identifier: Apache-2.0
"""Child processes that never outlive the lab, and commands that say why they failed."""

import ctypes
import os
import signal
import subprocess

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start(command: list[str], **options) -> subprocess.Popen:
    # In a session of their own: Ctrl-C is for the lab, which then ends them in the right order.
    return subprocess.Popen(command, preexec_fn=_die_with_parent, start_new_session=True, **options)


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, text=True, capture_output=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def end(process: subprocess.Popen, grace_seconds: float = 5):
    """Ends a process that the lab started: politely, then for sure."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def unwind_on_signals():
    """Whatever asks the lab to end, context managers run, and a second Ctrl-C does not stop them half-way."""
    asking = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(number, frame):
        for each in asking:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in asking:
        signal.signal(each, interrupt)


def is_alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")

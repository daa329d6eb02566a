# SPDX-License-Identifier: Apache-2.0
"""A real mail server (Exim) in the server's namespace, and its own count of what it accepted."""

import collections
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from . import packages, process, scratch
from .network import Network

USER = 100  # Exim's own, in its root
CONFIGURATION = """
primary_hostname = mail.sink.example
domainlist local_domains = *
acl_smtp_rcpt = accept_everything
rfc1413_query_timeout = 0s
smtp_accept_max = 200
smtp_receive_timeout = 5m
queue_only
begin acl
accept_everything:
  accept
begin routers
begin transports
"""


def _put(path: pathlib.Path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it may be a link to a file that other runs share
    path.write_text(text)


def _make_root() -> pathlib.Path:
    """A root of links to the unpacked packages, with this run's own configuration, spool and log.

    Links, and no mounts: those need more than a chroot gives.
    """
    packed = packages.extract_root("mail-server", ["bookworm"], ["exim4-daemon-light", "dash"])
    root = pathlib.Path(tempfile.mkdtemp(prefix=scratch.prefix("mail", packages.cache()), dir=packages.cache()))
    root.chmod(0o755)
    for part in ("bin", "dev", "etc", "lib", "lib64", "usr"):
        subprocess.run(["cp", "-al", str(packed / part), str(root / part)], check=True)
    _put(root / "etc/exim4/exim4.conf", CONFIGURATION)
    _put(root / "etc/passwd", f"root:x:0:0::/:/bin/sh\nDebian-exim:x:{USER}:{USER}::/var/spool/exim4:/bin/sh\n")
    _put(root / "etc/group", f"root:x:0:\nDebian-exim:x:{USER}:\n")
    for folder in ("var/spool/exim4", "var/log/exim4"):
        (root / folder).mkdir(parents=True)
        shutil.chown(root / folder, USER, USER)
    return root


class MailServer:
    """Accepts every message for everybody and keeps it; accepted() is read from the server's log."""

    def __init__(self, network: Network):
        self.network = network

    def __enter__(self):
        self.root = _make_root()
        # In a process namespace of its own: its children go with it. A shell stays as their first process:
        # Exim is setuid, and would not hear of its parent's death.
        self._errors = open(self.root / "errors", "wb")
        self._process = process.start(Network.inside(self.network.server, "unshare", "--pid", "--fork", "--kill-child",
                                                     "sh", "-c", f"chroot {self.root} /usr/sbin/exim4 -bdf -oX 25; true"),
                                      stdout=self._errors, stderr=self._errors, stdin=subprocess.DEVNULL)
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_until_it_listens(self):
        for _ in range(200):
            if self._process.poll() is not None:
                raise RuntimeError(f"the mail server ended:\n{(self.root / 'errors').read_text()}")
            if ":25 " in process.run(*Network.inside(self.network.server, "ss", "-tln")):
                return
            time.sleep(0.05)
        raise RuntimeError("the mail server does not listen on port 25")

    def accepted(self) -> collections.Counter:
        """Messages accepted so far, by the local part of the sender."""
        log = self.root / "var/log/exim4/mainlog"
        text = log.read_text(errors="replace") if log.exists() else ""
        return collections.Counter(re.findall(r" <= ([^@\s]+)@\S+ .*P=e?smtp", text))

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._errors.close()
        shutil.rmtree(self.root, ignore_errors=True)

# SPDX-License-Identifier: Apache-2.0
"""A real mail server (Exim) in the server's namespace, and its own count of what it accepted."""

import collections
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from . import packages, process
from .network import Network

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


def _root() -> pathlib.Path:
    root = packages.extract_root("mail-server", ["bookworm"], ["exim4-daemon-light", "dash"])
    (root / "etc/exim4").mkdir(parents=True, exist_ok=True)
    (root / "etc/exim4/exim4.conf").write_text(CONFIGURATION)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nDebian-exim:x:100:100::/var/spool/exim4:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nDebian-exim:x:100:\n")
    for folder in ("var/spool/exim4", "var/log/exim4", "dev"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    return root


class MailServer:
    """Accepts every message for everybody and keeps it; accepted() is read from the server's log."""

    def __init__(self, network: Network):
        self.network = network

    def __enter__(self):
        root = _root()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="xf-mail-"))
        for name in ("spool", "log"):
            (self.folder / name).mkdir()
            shutil.chown(self.folder / name, 100, 100)
        # In mount and process namespaces of its own: its mounts and children go with it. The shell stays
        # as their first process: Exim is setuid, and would not hear of its parent's death.
        script = (f"mount --bind {self.folder}/spool {root}/var/spool/exim4 && "
                  f"mount --bind {self.folder}/log {root}/var/log/exim4 && "
                  f"mount --bind /dev {root}/dev && chroot {root} /usr/sbin/exim4 -bdf -oX 25; true")
        self._errors = open(self.folder / "errors", "wb")
        self._process = process.start(Network.inside(self.network.server, "unshare", "--mount", "--pid", "--fork",
                                                     "--kill-child", "sh", "-c", script),
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
                raise RuntimeError(f"the mail server ended:\n{(self.folder / 'errors').read_text()}")
            if ":25 " in process.run(*Network.inside(self.network.server, "ss", "-tln")):
                return
            time.sleep(0.05)
        raise RuntimeError("the mail server does not listen on port 25")

    def accepted(self) -> collections.Counter:
        """Messages accepted so far, by the local part of the sender."""
        log = self.folder / "log" / "mainlog"
        text = log.read_text(errors="replace") if log.exists() else ""
        return collections.Counter(re.findall(r" <= ([^@\s]+)@\S+ .*P=e?smtp", text))

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)

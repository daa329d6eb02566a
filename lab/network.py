# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces: the VM's host side (a bridge with the VM's tap) and a server behind it."""

import itertools
import os
import re

from . import process

_numbers = itertools.count()


class Network:
    """with Network() as net: net.vm and net.server are names of namespaces, net.tap of the VM's tap.

    With more NICs, net.taps are their taps, each on a bridge of its own; only the first has addresses.

    The namespaces are named after this process; those of processes that are gone are removed first.
    """

    server4, guest4 = "10.77.0.1", "10.77.0.2"
    server6, guest6 = "fd77::1", "fd77::2"
    tap = "tap0"

    def __init__(self, nics: int = 1):
        number = next(_numbers)
        self.taps = [f"tap{nic}" for nic in range(nics)]
        self.vm = f"xf-{os.getpid()}-{number}-vm"
        self.server = f"xf-{os.getpid()}-{number}-srv"

    def __enter__(self):
        sweep_leftovers()
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _build(self):
        for namespace in (self.vm, self.server):
            process.run("ip", "netns", "add", namespace)
            self.ip(namespace, "link", "set", "lo", "up")
        # The host's own devices shall say nothing: whatever is on the wire is the guest's or the server's.
        process.run(*self.inside(self.vm, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; "
                                                      "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"))
        for nic, tap in enumerate(self.taps):
            self._connect(nic, tap)
        self.ip(self.server, "addr", "add", f"{self.server4}/24", "dev", "eth0")
        self.ip(self.server, "addr", "add", f"{self.server6}/64", "dev", "eth0", "nodad")

    def _connect(self, nic: int, tap: str):
        bridge, uplink, server = f"br{nic}", f"uplink{nic}", f"eth{nic}"
        self.ip(self.vm, "link", "add", bridge, "type", "bridge")
        self.ip(self.vm, "tuntap", "add", tap, "mode", "tap")
        self.ip(self.vm, "link", "add", uplink, "type", "veth", "peer", "name", server, "netns", self.server)
        for device in (tap, uplink):
            self.ip(self.vm, "link", "set", device, "master", bridge, "up")
        self.ip(self.vm, "link", "set", bridge, "up")
        self.ip(self.server, "link", "set", server, "up")

    def __exit__(self, *_):
        for namespace in (self.vm, self.server):
            process.run("ip", "netns", "del", namespace, check=False)

    @classmethod
    def ip(cls, namespace: str, *arguments: str) -> str:
        return process.run(*cls.inside(namespace, "ip", *arguments))

    @staticmethod
    def inside(namespace: str, *command: str) -> list[str]:
        """The command, to run in the namespace.

        Not by `ip netns exec` or `ip -n`: they change mounts, which fails where / is no mount point, as
        in a plain chroot.
        """
        return ["nsenter", f"--net=/run/netns/{namespace}", *command]

    def host_state(self) -> str:
        """Everything that attaching could change on the host's side of the VM, as text to compare."""
        texts = []
        filters = [["tc", "filter", "show", "dev", tap, "ingress"] for tap in self.taps]
        for command in (["ip", "-d", "link"], ["ip", "addr"], ["tc", "qdisc"], *filters):
            text = process.run(*self.inside(self.vm, *command))
            texts.append(re.sub(r"(valid_lft|preferred_lft|timer) \S+|\w+_timer\s+\S+", "", text))
        return "\n".join(texts)


def sweep_leftovers():
    for line in process.run("ip", "netns", "list").splitlines():
        found = re.match(r"(xf-(\d+)-\d+-(?:vm|srv))\b", line)
        if found and not process.is_alive(int(found.group(2))):
            process.run("ip", "netns", "del", found.group(1), check=False)

# SPDX-License-Identifier: Apache-2.0
"""A guest's kernel that starts another in its place, while xfilter is attached."""

import pytest

import lives
from lab import guest_image, packages
from lab.network import Network
from lab.sink import Sink
from lab.vm import Guest
from lab.xfilter import Attached

RULES = "drop udp dport 9000 uid 1001\ndefault allow\n"  # mallory


def stream(guest, user: str, name: str, port: int):
    guest.start(f"streamer {guest.network.server4} 9000 {name} {port}", user)


@pytest.mark.parametrize(("kernel", "next_kernel"), [("6.1", "6.12"), ("6.12", "6.12")])
def test_a_kernel_that_starts_another_is_found_again_and_no_process_of_the_old_one_is_named(kernel, next_kernel):
    drives = (packages.kernel(next_kernel) / "vmlinuz", guest_image.initramfs(next_kernel))
    with Network() as network, Sink(network) as sink, \
            Guest(kernel, network, drives=drives, memory_mib=768) as guest, Attached(guest.pid, RULES) as attached:
        stream(guest, "alice", "alice-before", 5001)
        stream(guest, "mallory", "mallory-before", 5002)
        sink.wait(lambda arrived: sink.count("alice-before") > 20)
        guest.run("cat /dev/vda > /tmp/kernel; cat /dev/vdb > /tmp/initrd")
        guest.start("kexec /tmp/kernel /tmp/initrd")
        guest.wait_ready()
        assert guest.run("uname -r").strip() == (packages.kernel(next_kernel) / "version").read_text()
        attached.wait_for_log("is gone, looking for it again")
        attached.wait_for_log("the guest's kernel: Linux")
        ended = [record["time"] for record in sink.arrived() if record["text"].startswith("alice-before")][-1]
        stream(guest, "mallory", "mallory-after", 5001)
        stream(guest, "alice", "alice-after", 5002)
        sink.wait(lambda arrived: sink.count("alice-after") > 20)
        assert sink.arriving("alice-after", 1) > 50
        assert sink.count("mallory-before") == sink.count("mallory-after") == 0
        named = lives.named_since(attached, ended + 0.1)  # when the old kernel's last packets are through
        assert named and named <= lives.now_in(guest)

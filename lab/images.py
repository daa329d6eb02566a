# SPDX-License-Identifier: Apache-2.0
"""Images of guests, shrunk to the pages that xfilter reads.

python3 -m lab.images makes tests/images again: a busy guest of each kernel, compressed, with what xfilter says of it
beside it. of_sockets() makes what `./dev bench` measures on.
"""

import hashlib
import json
import pathlib
import tempfile

from . import guest_image, packages, process, scratch, xfilter
from .network import Network
from .packet_truth import Discard
from .vm import Guest

ROOT = pathlib.Path(__file__).parent.parent
IMAGES = ROOT / "tests/images"
LAYOUT = ROOT / "src/guest/kernel/layout.def"  # what is read, and so what an image has to keep
BENCH_KERNEL = "6.12"


def make(kernel: str):
    with tempfile.TemporaryDirectory(prefix=scratch.prefix("image")) as folder, Network() as net, \
            Discard(net), Guest(kernel, net, containers=True) as guest:
        for user in ("alice", "mallory", "user0"):
            guest.start("mix", user)
        guest.run(f"python3 /usr/local/bin/container.py web 10.88.0.2 1500 /bin/busybox sh -c "
                  f"'(echo hello; sleep 1000) | nc {net.server4} 7001'")
        guest.run("for i in $(seq 20); do sleep 0.3; [ $(cat /tmp/*.log | grep -c ready) = 3 ] && exit; done; exit 1")
        image = pathlib.Path(folder) / "image"
        guest.pause()
        process.run(str(xfilter.PROGRAM), "image", "--pid", str(guest.pid), "--out", str(image))
        process.run("zstd", "-q", "-19", "--long=27", "-f", str(image), "-o", str(IMAGES / f"{kernel}.img.zst"))
        (IMAGES / f"{kernel}.img.zst").chmod(0o644)
        for view, options in (("ps", ["--command-lines"]), ("sockets", [])):
            listed = xfilter.read_json(view, "--image", str(image), *options)
            if listed != xfilter.read_json(view, "--pid", str(guest.pid), *options):
                raise RuntimeError(f"{kernel}: the image shows other {view} than the guest it was taken from")
            (IMAGES / f"{kernel}.{view}.json").write_text(json.dumps(listed, indent=1, sort_keys=True) + "\n")
    print(f"{kernel}: {(IMAGES / f'{kernel}.img.zst').stat().st_size / 2**20:.1f} MiB")


def of_sockets(count: int) -> pathlib.Path:
    """A 4 GiB guest with that many connected TCP sockets, in the cache."""

    def build(partial):
        with Guest(BENCH_KERNEL, memory_mib=4096) as guest:
            guest.run("echo 2000000 > /proc/sys/fs/nr_open; echo 2000000 > /proc/sys/fs/file-max")
            guest.start(f"many {count}")
            guest.run("for i in $(seq 400); do sleep 0.3; grep -q ready /tmp/root.log && exit; done; cat /tmp/root.log; exit 1")
            guest.pause()
            process.run(str(xfilter.PROGRAM), "image", "--pid", str(guest.pid), "--out", str(partial))

    digest = hashlib.sha256((guest_image.GUEST / "many.c").read_bytes() + LAYOUT.read_bytes()).hexdigest()[:12]
    return packages.built(packages.cache() / f"sockets-{count}-{digest}.img", build)


if __name__ == "__main__":
    for name in packages.kernels_for_all_tests():
        make(name)

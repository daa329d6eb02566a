# SPDX-License-Identifier: Apache-2.0
"""python3 -m lab boot: a guest to look at by hand."""

import argparse
import time

from . import packages, process
from .network import Network
from .vm import Guest


def main():
    parser = argparse.ArgumentParser(prog="lab", description="boots a lab guest and keeps it until Ctrl-C")
    parser.add_argument("boot", choices=["boot"])
    parser.add_argument("--kernel", choices=sorted(packages.kernels()), default="6.1")
    parser.add_argument("--memory", type=int, default=512, help="MiB")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--share", action="store_true", help="shared memory (memfd)")
    parser.add_argument("--cpu", default="max")
    parser.add_argument("--append", default="", help="more kernel command line")
    parser.add_argument("--run", action="append", default=[], help="command to run in the guest")
    options = parser.parse_args()
    process.unwind_on_signals()
    began = time.monotonic()
    with Network() as net, Guest(options.kernel, net, memory_mib=options.memory, cpus=options.cpus,
                                 share=options.share, cpu=options.cpu, append=options.append) as guest:
        print(f"booted in {time.monotonic() - began:.1f} s; VMM pid {guest.pid}; namespaces {net.vm} {net.server}", flush=True)
        for command in options.run:
            print(guest.run(command, check=False), flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass


main()

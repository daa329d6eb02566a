# SPDX-License-Identifier: Apache-2.0
"""flows.py SERVER4 SERVER6: sends from one socket of each kind that has an owner of its own kind.

Prints "KIND PID ..." for each, the processes that hold the sending socket; what is sent is the KIND. Then
prints "done", and stays, because an owner is looked for while it lives.
"""

import ctypes
import os
import signal
import socket
import sys
import threading

TCP_PORT, UDP_PORT = 7000, 9000
CLONE_FILES = 0x400
open_sockets = []  # a socket that nobody refers to is closed


def tell(kind: str, *pids: int):
    print(kind, *pids, flush=True)


def connected(family: int, kind: int, address: str) -> socket.socket:
    made = socket.socket(family, kind)
    made.connect((address, TCP_PORT if kind == socket.SOCK_STREAM else UDP_PORT))
    open_sockets.append(made)
    return made


def each_family(server4: str, server6: str):
    for name, family, address in (("4", socket.AF_INET, server4), ("6", socket.AF_INET6, server6),
                                  ("mapped", socket.AF_INET6, f"::ffff:{server4}")):
        stream = connected(family, socket.SOCK_STREAM, address)
        stream.sendall(f"tcp-{name}\n".encode())
        stream.recv(1)  # the server closes first
        tell(f"tcp-{name}", os.getpid())
        connected(family, socket.SOCK_DGRAM, address).send(f"udp-{name}".encode())
        tell(f"udp-{name}", os.getpid())
        unconnected = socket.socket(family, socket.SOCK_DGRAM)
        open_sockets.append(unconnected)
        unconnected.sendto(f"unconnected-{name}".encode(), (address, UDP_PORT))
        tell(f"unconnected-{name}", os.getpid())


def shared_by_fork(server4: str):
    shared = connected(socket.AF_INET, socket.SOCK_DGRAM, server4)
    child = os.fork()
    if child == 0:
        signal.pause()
    shared.send(b"forked")
    tell("forked", os.getpid(), child)


def passed_on(server4: str):
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
        theirs.recv(1)  # the giver has closed it
        os.write(descriptors[0], b"passed")
        signal.pause()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as given:
        given.connect((server4, UDP_PORT))
        socket.send_fds(ours, [b"-"], [given.fileno()])
    ours.send(b"-")
    tell("passed", child)


def kept_over_exec(server4: str):
    kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    kept.connect((server4, UDP_PORT))
    kept.set_inheritable(True)
    child = os.fork()
    if child == 0:
        os.execv("/bin/sh", ["sh", "-c", f"sleep 0.3; printf executed >&{kept.fileno()}; exec sleep 1000"])
    kept.close()
    tell("executed", child)


def thread_with_own_table(server4: str):
    def send():
        assert ctypes.CDLL(None).unshare(CLONE_FILES) == 0
        connected(socket.AF_INET, socket.SOCK_DGRAM, server4).send(b"own-table")
        signal.pause()

    threading.Thread(target=send, daemon=True).start()
    tell("own-table", os.getpid())


def main():
    server4, server6 = sys.argv[1:]
    shared_by_fork(server4)  # before anything else is open: a child holds all that its parent held
    passed_on(server4)
    kept_over_exec(server4)
    thread_with_own_table(server4)
    each_family(server4, server6)
    print("done", flush=True)
    signal.pause()


main()

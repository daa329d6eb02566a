# SPDX-License-Identifier: Apache-2.0
"""What a guest says of itself (lab/guest/truth.c), in the shape of xfilter's own JSON."""

import ipaddress
import struct

STATES = {1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
          8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RECV"}
TICKS_PER_SECOND = 100


def _address(text: str) -> str:
    words = [struct.pack("<I", int(text[i:i + 8], 16)) for i in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _socket(table: str, line: str) -> dict | None:
    columns = line.split()
    if not columns[0].rstrip(":").isdigit():
        return None
    local, remote = columns[1].split(":"), columns[2].split(":")
    return {"protocol": table[:3], "family": "ipv6" if table.endswith("6") else "ipv4", "state": STATES[int(columns[3], 16)],
            "local_address": _address(local[0]), "local_port": int(local[1], 16),
            "remote_address": _address(remote[0]), "remote_port": int(remote[1], 16),
            "uid": int(columns[7]), "inode": int(columns[9])}


def _status(process: dict, line: str):
    key, _, value = line.partition(":")
    value = value.strip()
    if key == "PPid":
        process["ppid"] = int(value)
    elif key in ("Uid", "Gid"):
        real, effective = value.split()[:2]
        process[key.lower()], process["e" + key.lower()] = int(real), int(effective)


def _stat(process: dict, line: str):
    process["comm"] = line[line.index("(") + 1:line.rindex(")")]
    fields = line[line.rindex(")") + 2:].split()
    process["start_ticks"] = int(fields[19])
    process["kernel_thread"] = int(fields[6]) & 0x200000 != 0


def parse(text: str) -> dict:
    processes, sockets, process = {}, [], None
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "P":
            process = {"pid": int(rest), "tids": [], "exe": "", "cmdline": [], "sockets": set()}
            processes[process["pid"]] = process
        elif kind == "S":
            _status(process, rest)
        elif kind == "T":
            _stat(process, rest)
        elif kind == "X":
            process["exe"] = rest
        elif kind == "C":
            process["cmdline"] = bytes.fromhex(rest).decode(errors="replace").rstrip("\0").split("\0") if rest else []
        elif kind == "H":
            process["tids"].append(int(rest))
        elif kind == "F":
            fd, inode = rest.split()
            process["sockets"].add((int(fd), int(inode)))
        elif kind == "N":
            table, _, row = rest.partition(" ")
            found = _socket(table, row)
            if found:
                sockets.append(found)
    return {"processes": processes, "sockets": sockets}

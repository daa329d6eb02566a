# SPDX-License-Identifier: Apache-2.0
"""What a guest says of itself (lab/guest/truth.c), in the shape of xfilter's own JSON."""

import ipaddress
import struct

STATES = {1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
          8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RECV"}
DELETED = " (deleted)"
NO_SESSION = 2**32 - 1


def _address(text: str) -> str:
    words = [struct.pack("<I", int(text[i:i + 8], 16)) for i in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _socket(netns: int, table: str, line: str) -> dict | None:
    columns = line.split()
    if table == "packet":
        if columns[0] == "sk":
            return None
        return {"protocol": "packet", "family": "packet", "state": "CLOSE", "local_address": "0.0.0.0", "remote_address": "0.0.0.0",
                "local_port": int(columns[3], 16), "remote_port": 0, "uid": int(columns[7]), "inode": int(columns[8]), "netns": netns}
    if not columns[0].rstrip(":").isdigit():
        return None
    local, remote = columns[1].split(":"), columns[2].split(":")
    protocol = {"icmp": "ping"}.get(table.removesuffix("6"), table.removesuffix("6"))
    return {"protocol": protocol, "family": "ipv6" if table.endswith("6") else "ipv4", "state": STATES[int(columns[3], 16)],
            "local_address": _address(local[0]), "local_port": int(local[1], 16),
            "remote_address": _address(remote[0]), "remote_port": int(remote[1], 16),
            "uid": int(columns[7]), "inode": int(columns[9]), "netns": netns}


def _status(process: dict, line: str):
    key, _, value = line.partition(":")
    value = value.strip()
    if key == "PPid":
        process["ppid"] = int(value)
    elif key in ("Uid", "Gid"):
        real, effective = value.split()[:2]
        process["real_" + key.lower()], process[key.lower()] = int(real), int(effective)
    elif key == "NSpid":
        process["ns_pid"] = int(value.split()[-1])


def _stat(process: dict, line: str):
    process["comm"] = line[line.index("(") + 1:line.rindex(")")]
    fields = line[line.rindex(")") + 2:].split()
    process["start_ticks"] = int(fields[19])
    process["session"] = int(fields[3])
    process["kernel_thread"] = int(fields[6]) & 0x200000 != 0


def parse(text: str) -> dict:
    processes, sockets, process, boot_id = {}, [], None, None
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "P":
            process = {"pid": int(rest), "tids": [], "exe": "", "exe_deleted": False, "cmdline": [], "sockets": set()}
            processes[process["pid"]] = process
        elif kind == "S":
            _status(process, rest)
        elif kind == "T":
            _stat(process, rest)
        elif kind == "X":
            process["exe"] = rest.removesuffix(DELETED)
            process["exe_deleted"] = rest.endswith(DELETED)
        elif kind == "C":
            process["cmdline"] = bytes.fromhex(rest).decode(errors="replace").rstrip("\0").split("\0") if rest else []
        elif kind == "H":
            process["tids"].append(int(rest))
        elif kind == "F":
            fd, inode = rest.split()
            process["sockets"].add((int(fd), int(inode)))
        elif kind == "A":
            process["audit_session"] = None if int(rest) == NO_SESSION else int(rest)
        elif kind == "G" and rest.startswith("0::"):
            process["cgroup"] = rest.removeprefix("0::")
        elif kind == "I":
            namespace, inode = rest.split()
            process[namespace + "ns"] = int(inode)
        elif kind == "U":
            process["hostname"] = rest
        elif kind == "B":
            boot_id = rest
        elif kind == "N":
            netns, table, row = rest.split(" ", 2)
            found = _socket(int(netns), table, row)
            if found:
                sockets.append(found)
    return {"processes": processes, "sockets": sockets, "boot_id": boot_id}

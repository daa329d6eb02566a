# SPDX-License-Identifier: Apache-2.0
"""The machines that every release is compared with: each kernel, and what changes how its memory looks."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Boot:
    kernel: str
    variant: str = ""  # for people; empty: 2 CPUs, 512 MiB, BIOS
    options: dict = field(default_factory=dict, hash=False)  # of vm.Guest

    def __str__(self):
        return f"{self.kernel} {self.variant}".strip()


FIVE_LEVELS = {"cpu": "max,la57=on", "append": "pti=on"}

BOOTS = [
    Boot("5.10"),
    Boot("6.1"),
    Boot("6.1-generic"),
    Boot("6.12"),
    Boot("7.2"),
    Boot("6.1", "la57,pti", FIVE_LEVELS),
    Boot("6.12", "la57,pti", FIVE_LEVELS),
    Boot("7.2", "la57,pti", FIVE_LEVELS),
    Boot("7.2", "1 CPU", {"cpus": 1}),
    Boot("6.12", "4 CPUs, 4 GiB", {"cpus": 4, "memory_mib": 4096}),
    Boot("6.12", "nokaslr", {"append": "nokaslr"}),
    Boot("6.12", "UEFI", {"uefi": True}),
]

# SPDX-License-Identifier: Apache-2.0
"""Debian packages for the lab, unpacked into a cache outside the tree.

Nothing of it is installed on the machine: guests' kernels, QEMU and the mail server are taken out of
their packages and used from the cache. The mirror is the one that the machine's own apt uses.
"""

import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import contextmanager

HERE = pathlib.Path(__file__).parent
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# A mirror can stand still at a day that has passed; packages are checked by their signatures all the same.
ANY_DAY = "Acquire::Check-Valid-Until"
QEMU_SUITE = "bookworm-backports"  # 7.2 of bookworm was seen to crash a 6.12 guest once in five boots


def cache() -> pathlib.Path:
    chosen = os.environ.get("XFILTER_CACHE")
    if chosen:
        return pathlib.Path(chosen)
    return pathlib.Path("/var/cache/xfilter") if os.geteuid() == 0 else pathlib.Path.home() / ".cache/xfilter"


@contextmanager
def locked(name: str):
    """One builder at a time; others wait."""
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def built(path: pathlib.Path, build) -> pathlib.Path:
    """`path`, made by build(temporary path) if it is not there yet; never half of it."""
    if path.exists():
        return path
    with locked(path.name):
        if path.exists():
            return path
        partial = path.with_name(path.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True) if partial.is_dir() else partial.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"  preparing {path.name}, once", file=sys.stderr, flush=True)
        build(partial)
        partial.rename(path)
    return path


def mirror() -> str:
    """The URL from which this machine gets Debian's main archive."""
    texts = []
    for folder in [pathlib.Path("/etc/apt/sources.list")] + sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*")):
        if folder.is_file():
            texts.append(folder.read_text())
    for text in texts:
        for line in text.splitlines():
            found = re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+bookworm\s", line + " ")
            if found:
                return found.group(1)
        for stanza in re.split(r"\n\s*\n", text):
            uris = re.search(r"^URIs:\s*(\S+)", stanza, re.M)
            suites = re.search(r"^Suites:\s*(.*)$", stanza, re.M)
            if uris and suites and "bookworm" in suites.group(1).split():
                return uris.group(1)
    raise RuntimeError("no source of Debian bookworm in /etc/apt: the lab needs one to fetch kernels and QEMU from")


def source_line(suite: str) -> str:
    return f"deb [signed-by={KEYRING}] {mirror()} {suite} main"


class Apt:
    """apt with lists and caches of its own, for one suite."""

    def __init__(self, suite: str):
        self.root = cache() / "apt" / suite
        (self.root / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (self.root / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        (self.root / "sources.list").write_text(source_line(suite) + "\n")
        (self.root / "status").touch()
        self.options = []
        for key, value in {
            "Dir::Etc::sourcelist": self.root / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": self.root / "lists",
            "Dir::State::status": self.root / "status",
            "Dir::Cache": self.root,
            "APT::Get::List-Cleanup": "0",
            ANY_DAY: "false",
            "APT::Sandbox::User": "root",
        }.items():
            self.options += ["-o", f"{key}={value}"]

    def run(self, program: str, *arguments: str, cwd=None) -> str:
        done = subprocess.run([program, *self.options, *arguments], cwd=cwd, text=True, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(arguments)} failed:\n{done.stderr}")
        return done.stdout

    def update(self):
        self.run("apt-get", "update", "-q")

    def unpack(self, package: str, into: pathlib.Path):
        debs = self.root / "debs"
        shutil.rmtree(debs, ignore_errors=True)
        debs.mkdir()
        self.run("apt-get", "download", "-q", package, cwd=debs)
        for deb in debs.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(deb), str(into)], check=True)
        shutil.rmtree(debs)


def extract_root(name: str, suites: list[str], packages: list[str], links: dict[str, str] | None = None) -> pathlib.Path:
    """Packages with all they depend on, unpacked and not configured.

    `links` (name: target) are made where nothing is: those that the packages' own scripts would make.
    """

    def build(partial):
        command = ["mmdebstrap", "--variant=extract", "--mode=root", "--quiet", f"--include={','.join(packages)}",
                   "--architectures=amd64", f'--aptopt=APT::Default-Release "{suites[0]}"', f'--aptopt={ANY_DAY} "false"', suites[0], str(partial)]
        done = subprocess.run(command + [source_line(suite) for suite in suites], text=True, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(f"mmdebstrap could not unpack {', '.join(packages)}:\n{done.stderr[-2000:]}")
        for link, target in (links or {}).items():
            if not (partial / link).exists():
                (partial / link).symlink_to(target)

    return built(cache() / name, build)


def kernels() -> dict[str, dict]:
    with open(HERE / "kernels.toml", "rb") as file:
        return tomllib.load(file)


def kernels_for_all_tests() -> list[str]:
    return [name for name, entry in kernels().items() if entry.get("all_tests")]


def _kernel_parts(apt: Apt, package: str) -> list[str]:
    """The packages of a kernel's that this one depends on: 'linux-image-6.1.0-50-cloud-amd64' and its like."""
    depends = re.findall(r"Depends: (linux-(?:image|binary|modules)-\S+-amd64)$", apt.run("apt-cache", "depends", package), re.M)
    return list(dict.fromkeys(depends))


def kernel(name: str) -> pathlib.Path:
    """A folder with vmlinuz and lib/modules of one of lab/kernels.toml."""
    entry = kernels()[name]

    def build(partial):
        apt = Apt(entry["suite"])
        apt.update()
        # The package named is a metapackage: the kernel is what it depends on, in one package or in several.
        image = next(p for p in _kernel_parts(apt, entry["package"]) if p != entry["package"] and "-image-" in p)
        for package in {image, *_kernel_parts(apt, image)}:
            apt.unpack(package, partial)
        modules = next(folder for folder in (partial / "usr/lib/modules", partial / "lib/modules") if folder.exists())
        version = next(modules.iterdir()).name
        next(path for path in partial.rglob("vmlinuz*") if path.is_file()).rename(partial / "vmlinuz")
        modules.rename(partial / "modules")
        (partial / "version").write_text(version)

    return built(cache() / f"kernel-{name}", build)


def module_builder(name: str) -> pathlib.Path:
    """A root folder to build modules in for one of lab/kernels.toml: its headers, and the compiler that it was built with."""
    version = (kernel(name) / "version").read_text()
    tools = ["make", "dash", "coreutils", "diffutils", "findutils", "gawk", "grep", "sed"]
    links = {folder: f"usr/{folder}" for folder in ("bin", "lib", "lib64")} | {"usr/bin/awk": "gawk"}
    return extract_root(f"module-builder-{version}", [kernels()[name]["suite"]], [f"linux-headers-{version}", *tools], links)


def uefi() -> pathlib.Path:
    """UEFI firmware for QEMU."""

    def build(partial):
        apt = Apt("bookworm")
        apt.update()
        apt.unpack("ovmf", partial)

    return built(cache() / "ovmf", build) / "usr/share/ovmf/OVMF.fd"


def qemu() -> dict:
    """How to start QEMU: the program, its firmware's folders, its environment."""
    root = extract_root("qemu", [QEMU_SUITE, "bookworm"], ["qemu-system-x86"])
    libraries = [root / "usr/lib/x86_64-linux-gnu", root / "lib/x86_64-linux-gnu"]
    libraries += [p for p in (root / "usr/lib/x86_64-linux-gnu").glob("*") if p.is_dir() and list(p.glob("*.so.*"))]
    return {
        "program": str(root / "usr/bin/qemu-system-x86_64"),
        "arguments": ["-L", str(root / "usr/share/qemu"), "-L", str(root / "usr/share/seabios")],
        "environment": {"LD_LIBRARY_PATH": ":".join(map(str, libraries)), "PATH": os.environ["PATH"]},
    }

# SPDX-License-Identifier: Apache-2.0
"""The views on raw images, as a user without privileges runs them; and images that are none."""

import json
import subprocess

import pytest

from conftest import ROOT
from lab import packages, process, xfilter

IMAGES = ROOT / "tests/images"
NOBODY = 65534
BTF_HEADER = bytes.fromhex("9feb0100" "18000000")


@pytest.fixture(scope="module", params=packages.kernels_for_all_tests())
def image(request, tmp_path_factory):
    """The stored image of a guest of each kernel, readable by all."""
    folder = tmp_path_factory.mktemp("images")
    for readable in (folder, folder.parent, folder.parent.parent):
        readable.chmod(0o755)
    path = folder / request.param
    process.run("zstd", "-q", "-d", "--sparse", "--long=27", str(IMAGES / f"{request.param}.img.zst"), "-o", str(path))
    return path


def as_nobody(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs",
                           str(xfilter.PROGRAM), *arguments], text=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("view, options", [("ps", ["--command-lines"]), ("sockets", [])])
def test_views_of_an_image_need_no_privileges_and_are_the_same_each_time(image, view, options):
    stored = json.loads((IMAGES / f"{image.name}.{view}.json").read_text())
    for _ in range(3):
        done = as_nobody(view, "--image", str(image), "--json", *options)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == stored


def refused(path) -> str:
    done = xfilter.call("sockets", "--image", str(path))
    assert done.returncode == 1 and done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("mib", [20, 100, 500])
def test_an_image_cut_short_says_so_wherever_it_was_cut(image, tmp_path, mib):
    cut = tmp_path / "cut"
    process.run("cp", "--sparse=always", str(image), str(cut))
    with open(cut, "r+b") as file:
        file.truncate(mib << 20)
    assert "cut short" in refused(cut)


def test_a_kernel_without_type_information_says_so_and_where_to_look(image, tmp_path):
    contents = bytearray(image.read_bytes())
    assert BTF_HEADER in contents
    at = 0
    while (at := contents.find(BTF_HEADER, at)) >= 0:
        contents[at:at + len(BTF_HEADER)] = bytes(len(BTF_HEADER))
    (tmp_path / "image").write_bytes(contents)
    assert "BTF" in refused(tmp_path / "image")


def test_memory_that_is_encrypted_says_what_it_may_be(tmp_path):
    (tmp_path / "image").write_bytes(open("/dev/urandom", "rb").read(64 << 20))
    message = refused(tmp_path / "image")
    assert "no Linux x86-64 kernel in the guest's memory" in message and "encrypt its memory" in message


def test_memory_that_is_empty_says_so(tmp_path):
    with open(tmp_path / "image", "wb") as file:
        file.truncate(64 << 20)
    assert "memory is empty" in refused(tmp_path / "image")


def test_a_file_that_is_no_image_says_what_was_expected(tmp_path):
    assert "cannot be read" in refused(tmp_path / "none")
    assert "not a regular file" in refused(tmp_path)
    assert "zstd -d" in refused(IMAGES / "6.1.img.zst")

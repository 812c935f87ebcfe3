"""What the tests of bench share: small runs, three kinds of file systems, made-up results."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

import pytest

from tensorbundle.cli.bench.results import FLOOR, OWN, Place, Result, Row, Settings

SMALL = ("--gb", "0.02", "--runs", "2", "--wait", "0")
MACHINE = {
    "processor": "some <processor>", "num_processors": 2, "memory": 1 << 34, "kernel": "6.1",
    "python": "3.11", "version": "0", "crc32c": "sse42", "load": 0.0,
}  # fmt: skip


@pytest.fixture
def small():
    return SMALL


@pytest.fixture
def memory_disk():
    """Give a directory on tmpfs."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no /dev/shm here")
    directory = tempfile.mkdtemp(dir="/dev/shm")
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def fuse_disk(tmp_path):
    """Mount a directory on another one through FUSE."""
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed (Debian: apt-get install bindfs)")
    behind, mount = tmp_path / "behind", tmp_path / "fuse"
    behind.mkdir()
    mount.mkdir()
    done = subprocess.run(
        ["bindfs", "--no-allow-other", str(behind), str(mount)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"cannot mount FUSE here: {done.stderr.strip()}")
    yield str(mount)
    unmount = shutil.which("fusermount3") or shutil.which("fusermount") or "umount"
    options = ["-u", "-z"] if "fusermount" in unmount else ["--lazy"]
    subprocess.run([unmount, *options, str(mount)], check=True)


def row(operation, seconds, settings=None, **fields):
    """Make a row of our own engine, or another's."""
    defaults = {
        "path": "/disk", "workload": "w", "engine": OWN if settings else FLOOR,
        "num_bytes": 10**9, "num_tensors": 10, "version": "0", "num_threads": 2,
        "durable": True if operation == "save" else None,
    }  # fmt: skip
    return Row(operation=operation, seconds=seconds, settings=settings, **defaults | fields)


@pytest.fixture
def make_row():
    return row


@pytest.fixture
def make_result():
    def make(*rows):
        place = Place("/disk", "ext4", ("buffered", "direct", "uring"), "uring", True)
        result = Result(MACHINE, [place], list(rows), 3)
        result.analyse()
        return result

    return make


@pytest.fixture
def result(make_result):
    """A result with something of everything."""
    stages = {"plan": 0.01, "checksum": 0.1, "submit": 0.0, "wait": 0.6, "sync": 0.1}
    return make_result(
        row("floor-write", [0.4, 0.5, 0.6]),
        row("save", [0.5, 0.6, 0.6], Settings("uring"), stages=stages),
        row("save", [0.7, 0.8, 1.2], Settings("buffered"), num_busy=1),
        row("save", [0.5, 0.5, 0.5], Settings("uring", num_threads=4), stages=stages),
        row("cold-load", [0.5, 0.6, 0.7], Settings("uring"), cache="cold", verified=True),
        row("save", [], Settings("direct"), failure="OSError: <no> luck"),
        row("save", [2.0, 2.1, 2.2], engine="torch"),
    )

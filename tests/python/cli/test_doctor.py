"""What doctor says is so: of a disk, of memory, and of a mount through FUSE."""

from __future__ import annotations

import json
import os
import resource

import numpy as np
import pytest

import tensorbundle as tb

from .bench.conftest import fuse_disk, memory_disk  # noqa: F401


def examine(run, path):
    before = os.listdir(path)  # noqa: PTH208
    outcome = run("doctor", path, "--json")
    assert outcome.status == 0
    assert os.listdir(path) == before  # noqa: PTH208
    return json.loads(outcome.out)


def backend_of_a_large_save(path):
    prefix = os.path.join(path, "x", "ckpt")
    return tb.save(prefix, {"a": np.zeros(9 << 20, np.uint8)}).backend


def test_a_disk(run, tmp_path):
    found = examine(run, str(tmp_path))
    assert found["auto"] == backend_of_a_large_save(tmp_path)
    assert found["direct_io"] == (found["direct_io_reason"] == "")
    info = tb.build_info()
    assert found["io_uring"] == info["io_uring"]
    assert found["machine"]["crc32c"] == info["crc32c"]
    soft = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    assert found["memlock_soft"] == (None if soft == resource.RLIM_INFINITY else soft)


def test_memory(run, memory_disk):  # noqa: F811
    found = examine(run, memory_disk)
    assert (found["file_system"], found["is_memory"]) == ("tmpfs", True)
    assert found["direct_io"] is False
    assert found["cold_reason"]
    assert found["auto"] == backend_of_a_large_save(memory_disk) == "buffered"


def test_fuse(run, fuse_disk):  # noqa: F811
    found = examine(run, fuse_disk)
    assert found["is_network"] is True
    assert found["file_system"].startswith("fuse")
    assert "not a local device" in found["auto_reason"]
    assert found["auto"] == backend_of_a_large_save(fuse_disk) == "buffered"


def test_lines_are_for_people(run, memory_disk):  # noqa: F811
    outcome = run("doctor", memory_disk)
    assert outcome.status == 0
    lines = dict(line.split("  ", 1) for line in outcome.out.splitlines())
    assert lines["direct I/O"].strip() == "no: tmpfs is in memory, without a device"
    assert lines["auto, saves"].strip().startswith("buffered: ")


@pytest.mark.parametrize("path", ["/nope", "/etc/hostname"])
def test_what_is_no_directory_is_one_line(run, path):
    outcome = run("doctor", path)
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith(f"tensorbundle: error: {path}: ")


def test_a_read_only_file_system_is_told(run, small_disk):
    small_disk.make_read_only()
    assert "not writable" in run("doctor", small_disk.path).err

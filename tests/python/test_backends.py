"""The ways to move bytes: each gives the same checkpoint, or says why it cannot."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import assert_all_same, listing, snapshot

MIB = 1 << 20
BACKENDS = ("buffered", "direct", "uring")


def aligned(size: int, offset: int) -> np.ndarray:
    """Give an array of bytes whose address is `offset` modulo a page."""
    region = np.frombuffer(mmap.mmap(-1, size + 8192), np.uint8)
    array = region[offset : offset + size]
    array[:] = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    return array


@pytest.fixture
def tensors():
    """Tensors at good and bad addresses, of sizes around the granules of devices."""
    sizes = [0, 1, 511, 512, 513, 4096, 65_536, 65_537, MIB + 3, 9 * MIB, 17 * MIB + 64]
    offsets = [0, 64, 512, 576, 16, 1]
    made = {
        f"t{size}_{offset}": aligned(size, offset)
        for size in sizes
        for offset in offsets[: 2 if size > 5 * MIB else None]
    }
    made["strided"] = np.arange(3_000_000, dtype=np.int32).reshape(1000, 3000).T
    made["text"] = np.array([b"a", b"bc" * 5000], dtype=object)
    return made


@pytest.fixture(scope="session")
def direct_disk(tmp_path_factory):
    """Skip where the temporary directory has no direct I/O."""
    prefix = str(tmp_path_factory.mktemp("probe") / "x")
    try:
        tb.save(prefix, {"a": np.zeros(9 * MIB, np.uint8)}, backend="direct")
    except tb.UnsupportedError as error:
        pytest.skip(f"no direct I/O for temporary files: {error}")


@pytest.mark.parametrize("alignment", [1, 64, 4096])
@pytest.mark.parametrize("num_shards", [1, 3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_writes_what_every_other_reads(
    prefix, tensors, direct_disk, backend, num_shards, alignment
):
    report = tb.save(
        prefix, tensors, backend=backend, num_shards=num_shards, alignment=alignment
    )
    assert report.backend in (backend, "direct")
    assert report.zero_copy_bytes + report.staged_bytes == report.tensor_bytes
    for reader in BACKENDS:
        assert_all_same(tb.load(prefix, backend=reader), tensors)
    assert_all_same(tb.load(prefix, mmap=True), tensors)
    assert tb.verify(prefix).ok
    assert report.file_bytes == sum(map(len, snapshot(prefix).values()))


@pytest.mark.parametrize("backend", ["direct", "uring"])
def test_aligned_memory_goes_to_the_device_without_a_copy(prefix, direct_disk, backend):
    size = 32 * MIB
    tensors = {f"t{offset}": aligned(size, offset) for offset in (0, 64, 448, 512)}
    report = tb.save(prefix, tensors, backend=backend, zero_copy=True)
    assert report.staged_bytes <= 0.01 * report.tensor_bytes
    assert_all_same(tb.load(prefix, backend=backend), tensors)


def test_dense_packing_is_the_same_whatever_the_backend(tmp_path, tensors, direct_disk):
    contents = []
    for backend in BACKENDS:
        prefix = str(tmp_path / backend / "ckpt")
        tb.save(prefix, tensors, backend=backend, alignment=1)
        with open(prefix + ".data-00000-of-00001", "rb") as file:
            contents.append(file.read())
    assert contents[0] == contents[1] == contents[2]


def test_a_snapshot_copies_everything(prefix, direct_disk):
    tensors = {"a": aligned(9 * MIB, 0)}
    report = tb.save(prefix, tensors, snapshot=True)
    assert (report.zero_copy_bytes, report.staged_bytes) == (0, 9 * MIB)
    assert_all_same(tb.load(prefix), tensors)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("zero_copy", "copied"), [(True, 0), (False, 9 * MIB)])
def test_the_caller_may_say_whether_large_tensors_are_copied(
    prefix, direct_disk, backend, zero_copy, copied
):
    tensors = {"a": aligned(9 * MIB, 0)}
    report = tb.save(prefix, tensors, backend=backend, zero_copy=zero_copy)
    assert (report.zero_copy_bytes, report.staged_bytes) == (9 * MIB - copied, copied)
    assert_all_same(tb.load(prefix), tensors)


def test_a_snapshot_without_a_copy_is_refused(prefix):
    with pytest.raises(ValueError, match="give snapshot or zero_copy, not both"):
        tb.save(prefix, {"a": 1}, snapshot=True, zero_copy=True)
    assert listing(prefix) == []


def test_a_snapshot_is_sound_though_its_source_changes(prefix):
    array = np.zeros(64 * MIB, np.uint8)

    def change(done, total):
        array[:] = array[0] + 1

    tb.save(prefix, {"a": array}, snapshot=True, progress=change)
    assert tb.verify(prefix).ok


def test_into_of_any_address_is_filled_directly(prefix, tensors, direct_disk):
    tb.save(prefix, tensors, backend="direct")
    into = {
        name: aligned(value.nbytes, number * 8 % 600)
        for number, (name, value) in enumerate(tensors.items())
        if value.dtype == np.uint8
    }
    tb.load(prefix, into=into, backend="direct")
    assert_all_same(into, {name: tensors[name] for name in into})


def test_a_small_save_is_buffered_and_the_report_says_why(prefix):
    report = tb.save(prefix, {"a": np.zeros(10)})
    assert report.backend == "buffered"
    assert "smaller than" in report.backend_reason


def test_damage_is_found_by_direct_reads_too(prefix, direct_disk):
    tensors = {"a": aligned(20 * MIB, 0), "b": aligned(1000, 0)}
    tb.save(prefix, tensors, backend="direct")
    with open(prefix + ".data-00000-of-00001", "r+b") as file:
        file.seek(tb.open(prefix).entry("a").offset + 12 * MIB)
        file.write(b"\xff\x00\xff\x00")
    with pytest.raises(tb.CorruptionError, match="tensor"):
        tb.load(prefix, backend="direct")
    with pytest.raises(tb.CorruptionError):
        tb.load(prefix, backend="uring")
    assert_all_same(tb.load(prefix, ["b"], backend="uring"), {"b": tensors["b"]})


@pytest.fixture
def memory_disk():
    """Give a directory on tmpfs, which has no direct I/O."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no /dev/shm here")
    directory = tempfile.mkdtemp(dir="/dev/shm")
    yield directory
    shutil.rmtree(directory)


def test_auto_never_fails_for_lack_of_direct_io(memory_disk):
    prefix = memory_disk + "/ckpt"
    tensors = {"a": np.ones(9 * MIB, np.uint8)}
    report = tb.save(prefix, tensors)
    assert report.backend == "buffered"
    assert report.backend_reason
    assert_all_same(tb.load(prefix), tensors)


@pytest.mark.parametrize("backend", ["direct", "uring"])
def test_a_backend_that_cannot_work_says_why_and_what_would(memory_disk, backend):
    prefix = memory_disk + "/ckpt"
    tensors = {"a": np.ones(9 * MIB, np.uint8)}
    with pytest.raises(tb.UnsupportedError, match=r"tmpfs.*buffered") as caught:
        tb.save(prefix, tensors, backend=backend)
    assert caught.value.code == "UnsupportedBackend"
    assert listing(prefix) == []
    tb.save(prefix, tensors)
    with pytest.raises(tb.UnsupportedError, match=r"tmpfs.*buffered"):
        tb.load(prefix, backend=backend)


def test_an_unknown_backend_is_refused(prefix):
    with pytest.raises(ValueError, match="auto, buffered, direct, uring"):
        tb.save(prefix, {"a": 1}, backend="magic")
    with pytest.raises(ValueError, match="auto, buffered, direct, uring"):
        tb.load(prefix, backend="magic")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("block_size", [65_536, 3 * 65_536, 32 * MIB])
@pytest.mark.parametrize("queue_depth", [1, 64])
def test_blocks_and_depths_change_nothing_but_the_pace(
    prefix, tensors, direct_disk, backend, block_size, queue_depth
):
    options = {"backend": backend, "block_size": block_size, "queue_depth": queue_depth}
    tb.save(prefix, tensors, num_threads=3, **options)
    assert_all_same(tb.load(prefix, num_threads=3, **options), tensors)
    own = {name: np.zeros_like(array) for name, array in tensors.items() if name != "text"}
    own = {name: np.ascontiguousarray(array) for name, array in own.items()}
    loaded = tb.load(prefix, into=own, **options)
    assert_all_same(loaded, {name: tensors[name] for name in own})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"block_size": 4096}, "multiple of 65536"),
        ({"block_size": 3 << 29}, "at most 1073741824"),
        ({"block_size": 0}, "positive"),
        ({"queue_depth": 0}, "positive"),
        ({"queue_depth": 5000}, "at most 4096"),
    ],
)
def test_a_block_or_depth_that_cannot_work_is_refused(prefix, options, told):
    with pytest.raises(ValueError, match=told):
        tb.save(prefix, {"a": np.zeros(1)}, **options)
    assert listing(prefix) == []
    tb.save(prefix, {"a": np.zeros(1)})
    with pytest.raises(ValueError, match=told):
        tb.load(prefix, **options)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_reports_tell_where_the_time_went(prefix, direct_disk, backend):
    big = {"a": aligned(40 * MIB, 0), "b": np.arange(1000)}
    saved = tb.save(prefix, big, backend=backend, num_threads=2, zero_copy=True)
    stages = saved.as_dict()["stages"]
    assert set(stages) == {
        "plan", "fingerprint", "copy", "checksum", "submit", "wait", "sync", "publish",
        "remove",
    }  # fmt: skip
    assert stages["checksum"] > 0
    assert stages["publish"] > 0
    assert stages["fingerprint"] == 0  # of an incremental save only
    assert stages["submit" if backend == "buffered" else "wait"] > 0
    assert saved.stages.plan + saved.stages.publish + saved.stages.remove <= saved.seconds
    loaded = tb.load(prefix, backend=backend, num_threads=2).report
    stages = loaded.as_dict()["stages"]
    assert set(stages) == {"plan", "page_faults", "copy", "checksum", "submit", "wait"}
    assert stages["checksum"] > 0
    assert stages["page_faults"] > 0
    assert stages["submit" if backend == "buffered" else "wait"] > 0
    assert max(tb.load(prefix, mmap=True).report.as_dict()["stages"].values()) == 0

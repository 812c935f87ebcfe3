"""Maps: how their pages arrive, when files are read instead, and what the report says."""

from __future__ import annotations

import gc
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import (
    ALL_DTYPES,
    MIB,
    assert_all_same,
    assert_same,
    data_file,
    flip_byte,
    run_python,
    sample,
    strings,
)

PREFETCHES = ("normal", "sequential", "random", "willneed", "populate")

TEXT_SIZE = 3 + 4 + 3  # three lengths, their checksum, the letters
TENSORS = {
    "a": sample("float32", (300, 400)),
    "b": sample("int8", (5,)),
    "empty": sample("float64", (0, 3)),
    "scalar": np.array(7, np.int64),
    "text": strings(b"x", b"", b"yz"),
}


@pytest.fixture
def saved(prefix):
    tb.save(prefix, TENSORS, num_shards=2)
    return prefix


def map_lines(path, field):
    """Give the line of /proc/self/smaps that begins with `field`, for each map of a file."""
    gc.collect()
    lines, is_ours = [], False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            is_ours = str(path) in line
        elif is_ours and line.startswith(field):
            lines.append(line)
    return lines


def mapped_bytes(path):
    """Give how much of a file's maps has pages in memory."""
    return sum(1024 * int(line.split()[1]) for line in map_lines(path, "Rss:"))


def is_mapped(path):
    return bool(map_lines(path, "Rss:"))


# ---- prefetch -------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [None, *PREFETCHES])
def test_every_prefetch_gives_the_same_tensors(saved, prefetch):
    loaded = tb.load(saved, mmap=True, prefetch=prefetch)
    assert_all_same(loaded, TENSORS)
    assert (loaded.report.backend, loaded.report.mmap_reason) == ("mmap", "")
    assert_all_same(tb.load(saved, mmap=True, prefetch=prefetch, verify=True), TENSORS)
    assert_all_same(tb.open(saved, prefetch=prefetch, verify=True), TENSORS)


@pytest.fixture
def far_apart(prefix):
    """Save two tensors whose pages are 32 MiB from each other."""
    tensors = {name: np.full(MIB, ord(name), np.uint8) for name in "ab"}
    tb.save(prefix, tensors, alignment=32 * MIB)
    return prefix


@pytest.mark.parametrize(
    "take",
    [
        lambda prefix, how: tb.load(prefix, ["b"], mmap=True, prefetch=how)["b"],
        lambda prefix, how: tb.open(prefix, prefetch=how)["b"],
    ],
)
def test_populate_maps_the_wanted_tensors_and_no_others(far_apart, take):
    array = take(far_apart, "populate")
    assert MIB <= mapped_bytes(data_file(far_apart)) < 32 * MIB
    lazy = take(far_apart, None)
    assert lazy is not array
    del array
    assert mapped_bytes(data_file(far_apart)) == 0


@pytest.mark.parametrize(("prefetch", "flag"), [("random", "rr"), ("sequential", "sr")])
def test_a_pattern_of_use_reaches_the_kernel(far_apart, prefetch, flag):
    plain = tb.load(far_apart, mmap=True)
    (flags,) = map_lines(data_file(far_apart), "VmFlags:")
    assert flag not in flags.split()
    del plain
    loaded = tb.load(far_apart, ["a"], mmap=True, prefetch=prefetch)
    (flags,) = map_lines(data_file(far_apart), "VmFlags:")
    assert flag in flags.split()
    assert loaded["a"][0] == ord("a")


def test_populate_reads_what_is_not_cached(far_apart):
    path = data_file(far_apart)
    with path.open("r+b") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    loaded = tb.load(far_apart, mmap=True, prefetch="populate")
    assert mapped_bytes(path) >= 2 * MIB
    assert_same(loaded["b"], np.full(MIB, ord("b"), np.uint8))


def test_progress_of_populating_counts_up_to_the_pages(far_apart):
    calls = []
    tb.load(far_apart, mmap=True, prefetch="populate", progress=lambda *c: calls.append(c))
    assert calls == sorted(calls)
    assert calls[-1] == (2 * MIB, 2 * MIB)


def test_progress_counts_up_once_though_there_are_two_passes(far_apart):
    calls = []
    tb.load(far_apart, mmap=True, prefetch="populate", verify=True,
            progress=lambda *c: calls.append(c))  # fmt: skip
    assert calls == sorted(calls)


def test_what_progress_raises_cancels_populating(far_apart):
    def progress(done, total):
        raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        tb.load(far_apart, mmap=True, prefetch="populate", progress=progress)


def test_a_file_that_shrinks_while_it_is_populated_is_an_error(prefix):
    tb.save(prefix, {"a": np.ones(8 * MIB, np.uint8)})
    bundle = tb.open(prefix, prefetch="populate")
    bundle["a"]  # mapped from here on
    os.truncate(data_file(prefix), MIB)
    with pytest.raises(OSError, match="populate") as caught:
        bundle["a"]
    assert caught.value.filename == str(data_file(prefix))


@pytest.mark.parametrize("bad", ["magic", "WILLNEED", "", 3, True])
@pytest.mark.parametrize("function", [tb.open, lambda p, **o: tb.load(p, mmap=True, **o)])
def test_an_unknown_prefetch_is_refused_with_the_choices(saved, function, bad):
    with pytest.raises(ValueError, match=", ".join(PREFETCHES)):
        function(saved, prefetch=bad)


@pytest.mark.parametrize("prefetch", PREFETCHES)
def test_prefetch_without_a_map_is_refused_and_the_reason_told(saved, prefetch):
    for function in (tb.load, lambda p, **o: tb.open(p, mmap=False, **o)):
        with pytest.raises(ValueError, match=r"pages of a map.*mmap=False"):
            function(saved, prefetch=prefetch)


@pytest.mark.parametrize("bad", ["true", "", None, 2, []], ids=repr)
@pytest.mark.parametrize("function", [tb.open, tb.load])
def test_an_unknown_mmap_is_refused_with_the_choices(saved, function, bad):
    with pytest.raises(ValueError, match="False, True or 'always'"):
        function(saved, mmap=bad)


# ---- verification ---------------------------------------------------------------------------


def test_mapped_tensors_are_verified_by_all_threads_in_one_pass(prefix):
    tensors = {f"{i}": np.full(8 * MIB + i, i, np.uint8) for i in range(4)}
    tb.save(prefix, tensors, num_shards=2)
    calls = []
    loaded = tb.load(
        prefix, mmap=True, verify=True, num_threads=3, progress=lambda *c: calls.append(c)
    )
    assert (loaded.report.num_threads, loaded.report.verified) == (3, True)
    assert loaded.report.zero_copy_bytes == loaded.report.tensor_bytes
    assert calls == sorted(calls)
    assert calls[-1] == (loaded.report.tensor_bytes, loaded.report.tensor_bytes)
    entry = tb.open(prefix).entry("3")
    flip_byte(data_file(prefix, entry.shard_id), entry.offset + 100)
    with pytest.raises(tb.CorruptionError, match="checksum"):
        tb.load(prefix, mmap=True, verify=True, num_threads=3)


def test_verification_leaves_the_map_in_the_page_cache(prefix):
    tb.save(prefix, {"a": np.ones(32 * MIB, np.uint8)})
    report = tb.load(prefix, mmap=True, verify=True).report
    assert report.direct_bytes == 0  # else the disk would be read once more, by touch
    assert report.backend == "mmap"


def test_a_misaligned_tensor_is_verified_in_the_read_that_copies_it(prefix):
    tb.save(prefix, {"odd": np.uint8(1), "wide": np.ones(MIB)}, alignment=1)
    calls = []
    loaded = tb.load(prefix, mmap=True, verify=True, progress=lambda *c: calls.append(c))
    assert loaded.report.copied == ("wide",)
    assert calls[-1] == (8 * MIB + 1, 8 * MIB + 1)  # each byte once


# ---- alignment ------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [1, 2, 4, 8, 16])
def test_only_tensors_whose_place_does_not_suit_numpy_are_copied(prefix, padding):
    tensors = {}
    for number, dtype in enumerate(ALL_DTYPES):
        tensors[f"{number:02}/{dtype}"] = sample(dtype, (16,), number)
    tensors |= {"shift": np.zeros(padding, np.uint8)}
    order = ["shift", *(name for name in tensors if name != "shift")]
    tb.save(prefix, {name: tensors[name] for name in order}, alignment=1)
    bundle = tb.open(prefix)
    places = {name: bundle.entry(name) for name in bundle}
    assert {entry.offset % 16 for entry in places.values()} - {0} == {padding} - {16}
    expected = tuple(
        name for name, entry in places.items() if entry.offset % entry.dtype.alignment
    )
    loaded = tb.load(prefix, mmap=True)
    assert loaded.report.copied == expected
    assert not any(places[name].dtype.itemsize == 1 for name in expected)
    assert_all_same(loaded, tensors)
    for name, array in loaded.items():
        assert array.flags.aligned
        assert not array.flags.writeable
        assert_same(bundle[name], tensors[name])
    copied = sum(places[name].size for name in expected)
    assert loaded.report.zero_copy_bytes == loaded.report.tensor_bytes - copied


def test_complex_numbers_need_only_the_alignment_of_their_parts(prefix):
    tb.save(prefix, {"a": np.ones(4, np.uint8), "z": np.ones(3, np.complex64)}, alignment=1)
    assert tb.open(prefix).entry("z").offset == 4
    assert tb.load(prefix, mmap=True).report.copied == ()


# ---- reading instead ------------------------------------------------------------------------


def test_a_bundle_that_is_not_mapped_reads_what_is_taken(saved):
    bundle = tb.open(saved, mmap=False)
    assert_all_same(bundle, TENSORS)
    first, second = bundle["a"], bundle["a"]
    assert not is_mapped(data_file(saved))
    assert not first.flags.writeable
    assert first.ctypes.data != second.ctypes.data
    assert_same(bundle.read_slice("a", np.s_[3:5]), TENSORS["a"][3:5])


def test_what_is_read_anew_is_verified_anew(prefix):
    tb.save(prefix, {"a": np.ones(1000)})
    bundle = tb.open(prefix, mmap=False, verify=True)
    bundle["a"]
    with data_file(prefix).open("r+b") as file:
        file.write(b"\xff\xff")
    with pytest.raises(tb.CorruptionError, match="checksum"):
        bundle["a"]


@pytest.fixture
def far(prefix, tmp_path, fuse_mount):
    """Give the prefix of a saved checkpoint as a network file system shows it."""
    tb.save(prefix, TENSORS, num_shards=2)
    target = tmp_path / "far"
    fuse_mount(os.path.dirname(prefix), target)
    yield str(target / "ckpt")
    subprocess.run(["umount", "--lazy", target], check=False, capture_output=True)


def test_a_network_file_system_is_read_and_the_report_says_why(far):
    loaded = tb.load(far, mmap=True, prefetch="populate", verify=True)
    report = loaded.report
    assert_all_same(loaded, TENSORS)
    assert (report.backend, report.zero_copy_bytes, report.copied) == ("buffered", 0, ())
    assert "fuse" in report.mmap_reason
    assert "SIGBUS" in report.mmap_reason
    assert not any(array.flags.writeable for array in loaded.values() if array.dtype != object)
    assert report.as_dict()["mmap_reason"] == report.mmap_reason
    assert tb.load(far).report.mmap_reason == ""  # nobody asked for a map


@pytest.mark.parametrize("mmap", [False, True, "always"])
def test_nothing_of_a_network_file_system_is_mapped_unless_asked(far, mmap):
    bundle = tb.open(far, mmap=mmap)
    array = bundle["a"]
    assert not is_mapped(far + ".index")
    assert is_mapped(far + ".data-") == (mmap == "always")
    assert_same(array, TENSORS["a"])
    assert not array.flags.writeable
    assert_all_same(bundle, TENSORS)


def test_asked_for_a_network_file_system_is_mapped(far):
    loaded = tb.load(far, mmap="always", prefetch="populate")
    assert (loaded.report.backend, loaded.report.mmap_reason) == ("mmap", "")
    assert loaded.report.zero_copy_bytes == loaded.report.tensor_bytes - TEXT_SIZE
    assert_all_same(loaded, TENSORS)


def test_a_server_that_is_lost_takes_no_tensor_with_it(far):
    bundle = tb.open(far)
    loaded = tb.load(far, mmap=True)
    array = bundle["a"]
    subprocess.run(["umount", "--lazy", os.path.dirname(far)], check=True)
    assert_all_same(loaded, TENSORS)
    assert_same(array, TENSORS["a"])
    assert len(bundle) == len(TENSORS)  # the index is in memory
    with pytest.raises((OSError, tb.BundleError)):
        bundle["b"]


def test_a_file_cut_short_by_the_server_is_an_error_and_not_a_signal(far, prefix):
    code = """
        import os, sys
        import tensorbundle as tb
        far, path = sys.argv[1:]
        loaded, bundle = tb.load(far, mmap=True), tb.open(far)
        first = bundle["a"]
        os.truncate(path, 1000)
        print(int(loaded["a"].sum()) == int(first.sum()))
        try:
            bundle["a"]
        except tb.CorruptionError as error:
            print(error.code)
    """
    path = data_file(prefix, tb.open(prefix).entry("a").shard_id)
    assert run_python(code, far, path).split() == ["True", "OutOfBounds"]


def test_a_checkpoint_replaced_on_a_network_file_system_is_told(far):
    bundle = tb.open(far)
    for _ in range(4):
        tb.save(far, {name: np.zeros(3) for name in TENSORS}, num_shards=2)
        with pytest.raises(tb.CheckpointGoneError):
            bundle["a"]
    assert tb.load(far, mmap=True)["a"].tolist() == [0, 0, 0]


def test_a_bundle_of_a_network_file_system_lets_go_of_its_files(far):
    def open_files():
        return [os.readlink(fd) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]

    bundle = tb.open(far)
    assert far + ".index" in open_files()  # what keeps the file's number from another
    bundle.close()
    gc.collect()
    assert not any(path.startswith(far) for path in open_files())

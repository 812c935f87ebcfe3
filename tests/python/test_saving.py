"""What a save takes, what its files are, and what it leaves behind when it fails."""

from __future__ import annotations

import gc
import os
import signal
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.tensors import gather

from .helpers import (
    ALL_DTYPES,
    EXTENSION_DTYPES,
    MIB,
    assert_all_same,
    assert_same,
    data_file,
    listing,
    names_in,
    run_python,
    sample,
    snapshot,
    strings,
)

# Pieces below this are staged together: a system call costs as much as copying them.
SMALL = 64 * 1024


class Refused(Exception):
    """Raised by a progress callback."""


# ---- what it takes --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 4), (2, 0, 3), (2, 3, 4, 5)], ids=str)
def test_arrays_come_back_as_they_were(prefix, dtype, shape):
    array = sample(dtype, shape)
    tb.save(prefix, {"a": array})
    assert_same(tb.load(prefix)["a"], array)
    assert_same(tb.load(prefix, mmap=True)["a"], array)
    assert_same(tb.open(prefix, verify=True)["a"], array)


LAYOUTS = {
    "fortran": lambda a: np.asfortranarray(a),
    "transposed": lambda a: a.T,
    "reversed": lambda a: a[::-1],
    "reversed both ways": lambda a: a[::-1, ::-1],
    "reversed columns": lambda a: a[:, ::-1],
    "columns": lambda a: a[:, 3:10],
    "every third row": lambda a: a[1::3],
    "every third column": lambda a: a[:, 1::3],
    "one column": lambda a: a[:, 5],
    "one element": lambda a: a[2:3, 4:5],
    "new axes": lambda a: a[None, :, None, ::2],
    "repeated rows": lambda a: np.broadcast_to(a[0], (30, *a[0].shape)),
    "repeated element": lambda a: np.broadcast_to(a[0, 0], (7, 9)),
    "axes moved": lambda a: a.reshape(a.shape[0], 4, -1).transpose(2, 0, 1),
    "empty slice": lambda a: a[5:5, ::2],
    "overlapping windows": lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, axis=0),
}


@pytest.mark.parametrize("dtype", ["float32", "uint8", "complex128", "float16"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [12, 1200])
def test_every_layout_is_saved_in_c_order(prefix, layout, dtype, rows):
    array = LAYOUTS[layout](sample(dtype, (rows, 40)))
    report = tb.save(prefix, {"a": array})
    found = tb.load(prefix)["a"]
    assert found.flags.c_contiguous
    assert_same(found, np.ascontiguousarray(array).reshape(array.shape))
    assert report.tensor_bytes == array.nbytes


@pytest.mark.parametrize("dtype", [*EXTENSION_DTYPES, np.dtype(bool)], ids=str)
def test_strided_arrays_of_other_dtypes_are_saved_in_c_order(prefix, dtype):
    array = sample(dtype, (6, 8))
    tb.save(prefix, {"t": array.T, "r": array[::-1, ::3]})
    assert_all_same(tb.load(prefix), {"t": array.T, "r": array[::-1, ::3]})


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8", "c8", "c16"]
)
@pytest.mark.parametrize("step", [1, 2])
def test_big_endian_arrays_are_converted(prefix, dtype, step):
    native = sample(dtype, (300, 50))[:, ::step]
    tb.save(prefix, {"a": native.astype(">" + dtype), "s": native[0, 0].astype(">" + dtype)})
    assert_all_same(tb.load(prefix), {"a": native, "s": native[0, 0]})


def test_a_memory_mapped_file_is_saved(prefix, tmp_path):
    array = np.memmap(tmp_path / "raw", np.float32, "w+", shape=(100, 1000))
    array[:] = sample("float32", (100, 1000))
    report = tb.save(prefix, {"a": array})
    assert report.zero_copy_bytes == array.nbytes
    assert_same(tb.load(prefix)["a"], np.array(array))


def test_arrays_at_odd_addresses_are_saved(prefix):
    raw = np.frombuffer(bytes(range(256)) * 4000, np.uint8)
    array = raw[1:-3].view(np.float32)
    assert not array.flags.aligned
    tb.save(prefix, {"whole": array, "strided": array[::3]})
    found = tb.load(prefix)
    assert found["whole"].tobytes() == array.tobytes()
    assert found["strided"].tobytes() == array[::3].tobytes()


@pytest.mark.parametrize(
    "value",
    [np.float32(1.5), np.int8(-3), np.bool_(True), np.complex64(1 + 2j), np.array(7)],
    ids=repr,
)
def test_numpy_scalars_are_saved_as_such(prefix, value):
    tb.save(prefix, {"a": value})
    assert_same(tb.load(prefix)["a"], np.asarray(value))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (True, "bool"),
        (3, "int64"),
        (2**64 - 1, "uint64"),
        (1.5, "float64"),
        (2j, "complex128"),
    ],
)
def test_python_numbers_are_saved_as_scalars(prefix, value, dtype):
    tb.save(prefix, {"a": value})
    found = tb.load(prefix)["a"]
    assert (found.dtype, found.shape, found[()]) == (np.dtype(dtype), (), value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("größe", "größe".encode()),
        (b"\xff\0", b"\xff\0"),
        (strings("a", b"bc", ""), strings(b"a", b"bc", b"")),
        (np.array(["a", "größe"]), strings(b"a", "größe".encode())),
        (np.array([b"a", b"bc"]), strings(b"a", b"bc")),
        (np.array("one", dtype=object), b"one"),
        (strings(), strings()),
        (strings(b"a", b"b", b"c", b"d").reshape(2, 2).T, None),
        (strings(b"x" * 3_000_000, b"", b"y" * 200), None),
        (np.array(["a", "b"], dtype=np.dtypes.StringDType()), strings(b"a", b"b")),
    ],
    ids=lambda value: "",
)
def test_strings_are_saved_as_bytes(prefix, value, expected):
    tb.save(prefix, {"s": value})
    expected = value if expected is None else expected
    assert_same(tb.load(prefix)["s"], expected)
    assert_same(tb.load(prefix, mmap=True)["s"], expected)


def test_an_object_with_an_array_interface_is_saved(prefix):
    class Wrapped:
        def __array__(self, dtype=None, copy=None):
            return np.arange(3)

    tb.save(prefix, {"a": Wrapped()})
    assert_same(tb.load(prefix)["a"], np.arange(3))


def test_nested_mappings_flatten_with_slashes(prefix):
    tb.save(prefix, {"model": {"layers": {0: {"w": np.ones(2)}, 1: {"w": 2.0}}}, "step": 3})
    assert list(tb.load(prefix)) == ["model/layers/0/w", "model/layers/1/w", "step"]


def test_names_may_be_bytes_at_any_depth(prefix):
    tb.save(prefix, {b"\xff\xfe": {"a": 1, b"\xfd": 2}, "t": {b"\x80": 3}})
    names = [name.encode("utf-8", "surrogateescape") for name in tb.load(prefix)]
    assert names == [b"t/\x80", b"\xff\xfe/a", b"\xff\xfe/\xfd"]


def test_tensors_of_all_kinds_keep_the_order_they_are_given_in(prefix):
    plain = np.arange(3, dtype=np.float32)
    tensors = {
        "z": plain,
        "y": {
            "n": 1.5,
            "m": plain.astype(">f4"),
            7: plain,
            "ü": {"b": plain[::-1], "c": plain},
        },
        b"x": plain,
        "\udc80": plain,
        "w": strings("one", "two"),
        "a": plain + 1,
    }
    tb.save(prefix, tensors, alignment=1)
    names = ["z", "y/n", "y/m", "y/7", "y/ü/b", "y/ü/c", "x", "\udc80", "w", "a"]
    with tb.open(prefix) as bundle:
        assert sorted(bundle, key=lambda name: bundle.entry(name).offset) == names
        assert_same(bundle["y/m"], plain)
        assert_same(bundle["y/ü/b"], plain[::-1])
        assert_same(bundle["\udc80"], plain)
        assert_same(bundle["a"], plain + 1)


def test_a_mapping_that_gives_no_pairs_is_refused(prefix):
    class Odd(dict):
        def items(self):
            return iter([("a", np.ones(1)), ("b", np.ones(1), 3)])

    with pytest.raises(ValueError, match="unpack"):
        tb.save(prefix, Odd())


def test_what_a_mapping_raises_while_it_is_read_is_raised(prefix):
    class Odd(dict):
        def items(self):
            yield "a", np.ones(1)
            raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        tb.save(prefix, Odd())


def test_plain_arrays_take_no_python_objects():
    tensors = {f"tensor {i}": np.ones(1) for i in range(10_000)}
    gc.collect()
    before = sys.getallocatedblocks()
    gathered = gather(tensors)
    assert sys.getallocatedblocks() - before < 1000
    del gathered


def test_arrays_live_as_long_as_a_save_needs_them():
    kept = {"plain": np.ones(3), "strided": np.ones((3, 3)).T}
    known = [weakref.ref(array) for array in kept.values()]
    gathered = gather(kept)
    kept.clear()
    assert all(array() is not None for array in known)
    del gathered
    assert all(array() is None for array in known)


def test_an_empty_mapping_makes_an_empty_checkpoint(prefix):
    report = tb.save(prefix, {})
    assert (report.num_tensors, report.tensor_bytes, report.num_shards) == (0, 0, 0)
    assert tb.load(prefix) == {}
    assert tb.verify(prefix).ok


def test_the_same_array_may_have_two_names(prefix):
    array = sample("float32")
    tb.save(prefix, {"a": array, "b": array, "c": array.T})
    assert_all_same(tb.load(prefix), {"a": array, "b": array, "c": array.T})


# ---- where the bytes go ---------------------------------------------------------------------


@pytest.mark.parametrize("alignment", [1, 2, 64, 4096, 1 << 20])
def test_tensors_start_at_multiples_of_the_alignment(prefix, alignment):
    tensors = {f"{i}": sample("uint8", (i * 7 + 1,)) for i in range(50)}
    tb.save(prefix, tensors, alignment=alignment)
    with tb.open(prefix) as bundle:
        assert all(bundle.entry(name).offset % alignment == 0 for name in bundle)
    assert_all_same(tb.load(prefix), tensors)


def test_gaps_are_zeros(prefix):
    tb.save(prefix, {"a": np.full(3, 255, np.uint8), "b": np.full(3, 255, np.uint8)})
    assert data_file(prefix).read_bytes() == b"\xff" * 3 + bytes(61) + b"\xff" * 3


@pytest.mark.parametrize("num_shards", [1, 2, 3, 7])
def test_shards_hold_about_the_same_number_of_bytes(prefix, num_shards):
    tensors = {f"{i:03d}": sample("uint8", (1000 + 10 * i,)) for i in range(100)}
    report = tb.save(prefix, tensors, num_shards=num_shards, alignment=1)
    sizes = [data_file(prefix, shard).stat().st_size for shard in range(num_shards)]
    assert report.num_shards == num_shards
    assert sum(sizes) == report.tensor_bytes
    assert max(sizes) - min(sizes) <= 2000
    assert len(listing(prefix)) == num_shards + 1
    assert_all_same(tb.load(prefix), tensors)


def test_there_are_no_more_shards_than_tensors_to_fill_them(prefix):
    tb.save(prefix, {"a": 1, "b": np.zeros(0)}, num_shards=5)
    assert listing(prefix) == ["ckpt.data-00000-of-00001", "ckpt.index"]


def test_large_contiguous_tensors_are_written_without_a_copy(prefix):
    large, small, strided = np.ones((1000, 1000)), np.ones(100), np.ones((1000, 500)).T
    tensors = {"large": large, "small": small, "strided": strided}
    report = tb.save(prefix, tensors, backend="buffered")
    assert report.zero_copy_bytes == large.nbytes
    assert report.staged_bytes == small.nbytes + strided.nbytes
    assert report.tensor_bytes == large.nbytes + small.nbytes + strided.nbytes


@pytest.mark.parametrize("array", [np.ones((500, 500), ">f8"), np.ones((500, 500))[:, ::-1]])
def test_what_is_not_as_in_the_file_is_staged(prefix, array):
    report = tb.save(prefix, {"a": array})
    assert (report.zero_copy_bytes, report.staged_bytes) == (0, array.nbytes)


def test_the_report_counts_the_bytes_of_the_files(prefix):
    report = tb.save(prefix, {"a": np.ones(1000), "b": "text"}, num_shards=2, num_threads=1)
    assert report.file_bytes == sum(len(content) for content in snapshot(prefix).values())
    assert (report.num_tensors, report.num_shards, report.num_threads) == (2, 2, 1)
    assert report.tensor_bytes == 8000 + 1 + 4 + 4  # length, its checksum, text
    assert 0 < report.write_seconds <= report.seconds


def test_a_save_that_is_not_synced_is_whole_as_well(prefix):
    report = tb.save(prefix, {"a": np.ones(1000)}, durability="none")
    assert report.durability == "none"
    assert tb.verify(prefix).ok


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_any_number_of_threads_writes_the_same_files(prefix, num_threads):
    tensors = {f"{i}": sample("float32", (300, 1000), i) for i in range(5)}
    tensors["strided"] = sample("float32", (1200, 1000)).T
    tb.save(prefix, tensors, num_threads=num_threads, num_shards=2)
    assert_all_same(tb.load(prefix, num_threads=num_threads), tensors)


# ---- replacing a checkpoint -----------------------------------------------------------------


def test_only_the_new_files_are_left_after_overwriting(prefix):
    for round_ in range(6):
        num_shards = 1 + round_ % 3
        tensors = {f"{i}": np.full(1000 + i, round_) for i in range(4)}
        tb.save(prefix, tensors, num_shards=num_shards)
        assert_all_same(tb.load(prefix), tensors)
        index = [name for name in listing(prefix) if name.endswith(".index")]
        data = [name for name in listing(prefix) if ".data-" in name]
        assert sorted(index + data) == listing(prefix)
        assert len(index) == 1
        assert len({name[-5:] for name in data}) == 1
        assert len(data) in (num_shards, num_shards + 1)


def test_a_checkpoint_can_be_saved_onto_its_own_files(prefix):
    tensors = {"a": sample("float32", (500, 700)), "b": sample("int8"), "s": strings(b"x")}
    tb.save(prefix, tensors)
    for num_shards in (1, 2, 1):
        tb.save(prefix, tb.load(prefix, mmap=True), num_shards=num_shards)
        assert_all_same(tb.load(prefix), tensors)


def test_maps_of_a_replaced_checkpoint_keep_their_values(prefix):
    old, new = sample("float32", (500, 700), 1), sample("float32", (500, 700), 2)
    tb.save(prefix, {"a": old})
    mapped = tb.load(prefix, mmap=True)["a"]
    tb.save(prefix, {"a": new})
    assert_same(mapped, old)
    assert_same(tb.load(prefix, mmap=True)["a"], new)


def test_neighbours_with_similar_names_are_left_alone(prefix):
    others = [prefix + tail for tail in ("-1", "0", ".data", "x")]
    for other in others:
        tb.save(other, {"a": np.arange(5)})
    before = snapshot(prefix)
    tb.save(prefix, {"a": 1})
    tb.save(prefix, {"a": 2})
    assert before.items() <= snapshot(prefix).items()
    assert len(listing(prefix)) == len(before) + 2


# ---- cancelling -----------------------------------------------------------------------------


def large_tensors(seed):
    return {f"{i}": np.full(4 * MIB, seed + i, np.uint8) for i in range(8)}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, Refused, SystemExit])
@pytest.mark.parametrize(
    "tensors", [large_tensors(1), {"small": np.ones(3)}], ids=["large", "small"]
)
def test_what_progress_raises_cancels_the_save(prefix, kind, tensors):
    tb.save(prefix, {"old": np.arange(10)})
    before = snapshot(prefix)

    def progress(done, total):
        raise kind("stop")

    with pytest.raises(kind, match="stop"):
        tb.save(prefix, tensors, progress=progress)
    assert snapshot(prefix) == before
    tb.save(prefix, tensors)
    assert_all_same(tb.load(prefix), tensors)


def test_a_cancelled_first_save_leaves_nothing(prefix):
    def progress(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tb.save(prefix, large_tensors(1), progress=progress)
    assert listing(prefix) == []
    nested = os.path.join(os.path.dirname(prefix), "new", "ckpt")
    with pytest.raises(KeyboardInterrupt):
        tb.save(nested, large_tensors(1), progress=progress)
    assert listing(prefix) == []


def test_ctrl_c_cancels_a_save(prefix):
    tb.save(prefix, {"old": np.arange(10)})
    before = snapshot(prefix)
    printed = run_python(
        """
        import os, signal, sys
        import numpy as np
        import tensorbundle as tb

        def progress(done, total):
            os.kill(os.getpid(), signal.SIGINT)

        model = {f"{i}": np.ones(16 << 20, np.uint8) for i in range(16)}
        try:
            tb.save(sys.argv[1], model, progress=progress)
        except KeyboardInterrupt:
            print("interrupted")
        """,
        prefix,
    )
    assert printed == "interrupted\n"
    assert snapshot(prefix) == before


def test_ctrl_c_cancels_a_save_that_reports_no_progress(prefix):
    tb.save(prefix, {"old": np.arange(10)})
    before = snapshot(prefix)
    done = run_python(
        """
        import os, signal, sys, threading
        import numpy as np
        import tensorbundle as tb

        def interrupt():
            # Only when the save is under way, in C++: its own polling must see the signal.
            while not any(".tmp." in name for name in os.listdir(directory)):
                pass
            os.kill(os.getpid(), signal.SIGINT)

        directory = os.path.dirname(sys.argv[1])
        block = np.ones((4096, 4096), np.float32).T
        threading.Thread(target=interrupt, daemon=True).start()
        tb.save(sys.argv[1], {f"{i}": block for i in range(40)})
        """,
        prefix,
        check=False,
    )
    assert done.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in done.stderr
    assert snapshot(prefix) == before


def test_progress_counts_up_to_all_bytes(prefix):
    calls = []
    tensors = {**large_tensors(0), "b": np.ones(10)}
    report = tb.save(prefix, tensors, progress=lambda *call: calls.append(call))
    assert calls == sorted(calls)
    assert {total for _, total in calls} == {report.tensor_bytes}
    assert calls[-1][0] == report.tensor_bytes


# ---- options and names ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"alignment": 0}, {"alignment": 3}, {"alignment": -1}, {"alignment": 1 << 40},
        {"num_shards": 0}, {"num_shards": -1}, {"num_shards": 10**6}, {"num_threads": 0},
        {"durability": "maybe"}, {"backend": "magic"},
    ],
    ids=str,
)  # fmt: skip
def test_options_out_of_range_are_refused(prefix, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        tb.save(prefix, {"a": 1}, **options)
    assert listing(prefix) == []


@pytest.mark.parametrize(
    "options", [{"num_shards": 1.0}, {"alignment": "64"}, {"num_threads": True}], ids=str
)
def test_options_of_wrong_type_are_refused(prefix, options):
    with pytest.raises(TypeError, match=next(iter(options))):
        tb.save(prefix, {"a": 1}, **options)
    assert listing(prefix) == []


def test_a_directory_is_no_prefix(tmp_path):
    with pytest.raises(ValueError, match="prefix"):
        tb.save(str(tmp_path) + "/", {"a": 1})
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("save", [tb.save, lambda prefix, _: tb.load(prefix)])
def test_a_prefix_with_a_nul_byte_is_refused(tmp_path, save):
    # To the system it ends there: the file "mine" would be replaced.
    (tmp_path / "mine").write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"null|NUL|\\x00"):
        save(str(tmp_path / "mine\0ckpt"), {"a": 1})
    assert names_in(tmp_path) == ["mine"]
    assert (tmp_path / "mine").read_bytes() == b"precious"


def test_prefixes_may_be_paths_and_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tb.save("here", {"a": 1})
    tb.save(tmp_path / "there", {"a": 2})
    tb.save(os.path.join("sub", "ckpt"), {"a": 3})
    assert [int(tb.load(p)["a"]) for p in ("here", tmp_path / "there", "sub/ckpt")] == [
        1,
        2,
        3,
    ]


@pytest.mark.parametrize(
    "name", ["größe [1] *?", "a\\b", "c\nd", "x" * 200, "-of-00001", ".h"]
)
def test_prefixes_may_have_any_characters(tmp_path, name):
    tb.save(tmp_path / name, {"a": 1})
    tb.save(tmp_path / name, {"a": 2})
    assert tb.load(tmp_path / name, mmap=True)["a"] == 2
    assert len(names_in(tmp_path)) == 2


# ---- surroundings ---------------------------------------------------------------------------


def test_a_file_named_like_a_lock_is_left_alone(prefix):
    foreign = Path(prefix + ".lock")
    foreign.write_text("poetry's")
    tb.save(prefix, {"a": 1})
    assert foreign.read_text() == "poetry's"


def test_a_chdir_during_a_save_moves_nothing(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    tb.save("run/ckpt", {"a": np.ones(1000)}, progress=lambda *_: os.chdir(tmp_path / "other"))
    assert names_in(tmp_path / "run") == ["ckpt.data-00000-of-00001", "ckpt.index"]
    assert names_in(tmp_path / "other") == []


@pytest.mark.parametrize("num_threads", [1, 16, 100])
def test_many_threads_share_the_memory_of_few(prefix, num_threads):
    tensors = {f"{i}": np.full(70_000 + i, i) for i in range(300)}
    tb.save(prefix, tensors, num_threads=num_threads, snapshot=True)
    assert_all_same(tb.load(prefix, num_threads=num_threads), tensors)


def test_gaps_take_no_room_on_the_disk(prefix):
    tb.save(prefix, {f"{i}": np.arange(3) for i in range(3)}, alignment=1 << 24)
    size = os.stat(data_file(prefix))
    assert size.st_size > 2 << 24
    assert size.st_blocks * 512 < 1 << 20


def test_progress_ends_at_the_total(prefix):
    tensors = {f"{i}": np.full(1000, i) for i in range(1000)}
    for call in (
        lambda seen: tb.save(prefix, tensors, progress=seen),
        lambda seen: tb.load(prefix, progress=seen),
        lambda seen: tb.verify(prefix, progress=seen),
    ):
        calls: list[tuple[int, int]] = []
        call(lambda *told: calls.append(told))  # noqa: B023 - called at once
        assert calls[-1] == (8_000_000, 8_000_000)
        assert calls == sorted(calls)

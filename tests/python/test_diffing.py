"""What differs between two checkpoints, by their indexes and by their values."""

from __future__ import annotations

import math
import os

import ml_dtypes
import numpy as np
import pytest

import reference.bundle as oracle
import tensorbundle as tb
from reference.bundle import Partitioned, write_bundle
from reference.dtypes import VARIANT
from reference.proto import Extent
from reference.v1 import write_v1
from tensorbundle import value_comparison

from .helpers import ALL_DTYPES, data_file, flip_byte, run_python, sample

ROWS = (Extent(0, 2), Extent()), (Extent(2, 2), Extent())


@pytest.fixture
def pair(tmp_path):
    """Two checkpoints with a difference of each kind."""
    a = {
        "same": np.arange(5),
        "text": np.array([b"x", b"yy"], object),
        "gone": np.zeros(2),
        "dtype": np.zeros(3, np.float32),
        "shape": np.zeros((2, 3)),
        "different": np.zeros(4, np.float32),
    }
    b = {
        **{name: a[name] for name in ("text", "same")},
        "new": np.zeros((), np.int8),
        "dtype": np.zeros(3, np.float64),
        "shape": np.zeros((3, 2)),
        "different": np.array([0, 1, 0, 0], np.float32),
    }
    tb.save(tmp_path / "a", a, num_shards=2)
    tb.save(tmp_path / "b", b, alignment=1)
    return str(tmp_path / "a"), str(tmp_path / "b")


def names(specs):
    return [spec.name for spec in specs]


def test_each_kind_of_difference_is_told(pair):
    report = tb.diff(*pair)
    assert (report.a, report.b) == pair
    assert report.removed == (tb.TensorSpec("gone", "float64", (2,)),)
    assert report.added == (tb.TensorSpec("new", "int8", ()),)
    assert [(c.name, c.a.dtype, c.b.dtype, c.a.shape, c.b.shape) for c in report.changed] == [
        ("dtype", "float32", "float64", (3,), (3,)),
        ("shape", "float64", "float64", (2, 3), (3, 2)),
    ]
    assert names(report.different) == ["different"]
    assert report.unknown == ()
    assert report.same_checksum == ("same", "text")
    assert not report.same
    assert report.values is None


def test_a_checkpoint_is_the_same_as_itself_however_it_is_laid_out(pair, tmp_path):
    assert tb.diff(pair[0], pair[0]).same
    again = tmp_path / "again"
    tb.save(again, dict(reversed(tb.load(pair[0]).items())), num_shards=3, alignment=4096)
    report = tb.diff(pair[0], again)
    assert report.same
    assert len(report.same_checksum) == 6


def test_no_data_file_is_opened(pair):
    for prefix in pair:
        for shard in range(tb.open(prefix).num_shards):
            data_file(prefix, shard).unlink()
    assert names(tb.diff(*pair).different) == ["different"]


def test_values_are_read_only_where_checksums_differ(pair):
    flip_byte(data_file(pair[1]), tb.open(pair[1]).entry("same").offset)
    report = tb.diff(*pair, values=True)
    assert report.values == (tb.ValueDiff("different", 4, 1, 1, 1.0),)
    assert "same" in report.same_checksum


@pytest.mark.parametrize(
    ("rtol", "atol", "num_outside"), [(0, 0, 3), (0, 0.15, 2), (0.11, 0, 2), (0.7, 0.05, 1)]
)
def test_tolerances_are_those_of_numpy(tmp_path, rtol, atol, num_outside):
    x, y = np.array([1.0, 0.1, 0.0, np.nan]), np.array([1.1, 0.3, 1e9, np.nan])
    tb.save(tmp_path / "a", {"x": x})
    tb.save(tmp_path / "b", {"x": y})
    (found,) = tb.diff(
        tmp_path / "a", tmp_path / "b", values=True, rtol=rtol, atol=atol
    ).values
    assert (found.num_unequal, found.num_outside) == (3, num_outside)
    assert found.num_outside == np.count_nonzero(
        ~np.isclose(x, y, rtol=rtol, atol=atol, equal_nan=True)
    )
    assert found.max_abs == 1e9


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
def test_every_dtype_is_compared(tmp_path, dtype):
    x = sample(dtype, (5, 7))
    y = x.copy()
    y[2, 3] = x[2, 3] == 0 if dtype.kind == "b" else y.dtype.type(1 if x[2, 3] != 1 else 0)
    for name, array in (("a", x), ("b", y)):
        tb.save(tmp_path / name, {"x": array})
    (found,) = tb.diff(tmp_path / "a", tmp_path / "b", values=True).values
    assert (found.num_elements, found.num_unequal, found.num_outside) == (35, 1, 1)
    assert found.max_abs > 0


def test_nan_zeros_and_strings_are_compared_by_value(tmp_path):
    nan, other = (np.array([bits, 0x3F80], np.uint16).view(ml_dtypes.bfloat16)
                  for bits in (0x7FC0, 0xFFC1))  # fmt: skip
    tb.save(tmp_path / "a", {"n": nan, "z": np.zeros(2), "s": np.array([b"x", b"y"], object)})
    tb.save(tmp_path / "b", {"n": other, "z": -np.zeros(2),
                             "s": np.array([b"x", b"z"], object)})  # fmt: skip
    report = tb.diff(tmp_path / "a", tmp_path / "b")
    assert names(report.different) == ["n", "s", "z"]
    found = {v.name: v.num_outside for v in
             tb.diff(tmp_path / "a", tmp_path / "b", values=True).values}  # fmt: skip
    assert found == {"n": 0, "s": 1, "z": 0}


def test_a_nan_on_one_side_is_outside_of_every_tolerance(tmp_path):
    tb.save(tmp_path / "a", {"x": np.array([np.nan, 1.0])})
    tb.save(tmp_path / "b", {"x": np.array([1.0, np.inf])})
    (found,) = tb.diff(tmp_path / "a", tmp_path / "b", values=True, atol=1e300).values
    assert (found.num_unequal, found.num_outside, found.max_abs) == (2, 2, np.inf)


@pytest.mark.parametrize("shape", [(1000,), (7, 11, 13), (3, 500), (1, 1, 999), (2, 0)])
def test_large_tensors_are_compared_in_parts(tmp_path, monkeypatch, shape):
    monkeypatch.setattr(value_comparison, "_CHUNK_ELEMENTS", 50)
    x = np.random.default_rng(0).standard_normal(shape)
    y = x.copy()
    y.flat[::97] += 1
    tb.save(tmp_path / "a", {"x": x})
    tb.save(tmp_path / "b", {"x": y})
    found = tb.diff(tmp_path / "a", tmp_path / "b", values=True).values
    if x.size:
        assert found[0].num_unequal == len(range(0, x.size, 97))
        assert found[0].max_abs == pytest.approx(1)
    sizes = [array.size for array in
             value_comparison._chunks(tb.open(tmp_path / "a"), "x", shape)]  # fmt: skip
    assert sum(sizes) == x.size
    assert all(size <= 50 for size in sizes)


def save_hole(prefix, cuts, crc32c, dtype, shape):
    """Write the index of a tensor in four parts, and its data: one hole, of zeros."""
    rows, columns = cuts
    extents = [(Extent(r * shape[0] // rows, shape[0] // rows),
                Extent(c * shape[1] // columns, shape[1] // columns))
               for r in range(rows) for c in range(columns)]  # fmt: skip
    size = math.prod(shape) * dtype.itemsize // len(extents)
    number = {"float32": 1, "complex128": 18}[dtype.name]
    writer = oracle._Writer(1, 1, False)
    for i, part in enumerate(extents):
        key = oracle.encode_slice_key(b"v", part)
        part_shape = tuple(extent.length for extent in part)
        writer._entries[key] = oracle.Entry(number, part_shape, 0, i * size, size, crc32c)
    writer._entries[b"v"] = oracle.Entry(number, shape, slices=tuple(extents))
    writer.write(str(prefix))
    os.truncate(data_file(prefix), 4 * size)


@pytest.mark.parametrize("cuts", [(4, 1), (1, 4)], ids=["rows", "columns"])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_the_memory_taken_does_not_grow_with_the_tensors(tmp_path, cuts, dtype):
    """A GiB in parts: no part is read whole, so that no checksum is asked for."""
    kind = np.dtype(dtype)
    shape = (1 << 30) // kind.itemsize >> 12, 1 << 12
    for crc32c, name in enumerate("ab"):
        save_hole(tmp_path / name, cuts, crc32c, kind, shape)
    with data_file(tmp_path / "b").open("r+b") as file:
        file.write(b"\1" * (48 << 20))  # several chunks of it are unequal
    told = run_python(
        """
        import sys, tensorbundle as tb, tensorbundle.value_comparison
        def peak():
            with open("/proc/self/status", encoding="ascii") as file:
                return int(file.read().partition("VmHWM:")[2].split()[0]) >> 10
        before = peak()
        (found,) = tb.diff(*sys.argv[1:], values=True).values
        print(found.num_unequal, peak() - before)
        """,
        tmp_path / "a",
        tmp_path / "b",
    )
    num_unequal, mebibytes = map(int, told.split())
    assert num_unequal == (48 << 20) // kind.itemsize
    assert mebibytes < 160


def test_partitioned_tensors_are_compared_part_by_part(tmp_path):
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    other = grid + np.array([[0], [0], [0], [1]], np.float32)

    def write(name, array, parts):
        pieces = [(part, array[part[0].start : part[0].start + part[0].length])
                  for part in parts]  # fmt: skip
        write_bundle(tmp_path / name, {"grid": Partitioned((4, 6), pieces)})

    write("a", grid, ROWS)
    write("b", grid, ROWS[::-1])
    write("c", other, ROWS)
    write("d", grid, ((Extent(0, 1), Extent()), (Extent(1, 3), Extent())))
    tb.save(tmp_path / "e", {"grid": grid})
    assert tb.diff(tmp_path / "a", tmp_path / "b").same_checksum == ("grid",)
    assert names(tb.diff(tmp_path / "a", tmp_path / "c").different) == ["grid"]
    for name in "de":
        assert names(tb.diff(tmp_path / "a", tmp_path / name).unknown) == ["grid"]


def test_the_other_byte_order_has_no_checksums_to_compare(tmp_path):
    tensors = {"i": np.arange(3), "u": np.arange(3, dtype=np.uint8),
               "s": np.array([b"x"], object)}  # fmt: skip
    write_bundle(tmp_path / "a", tensors)
    write_bundle(tmp_path / "b", tensors, big_endian=True)
    report = tb.diff(tmp_path / "a", tmp_path / "b")
    assert names(report.unknown) == ["i", "s"]
    assert report.same_checksum == ("u",)
    assert not report.same
    assert tb.diff(tmp_path / "a", tmp_path / "b", values=True).same


def test_variants_are_compared_by_their_bytes(tmp_path):
    for name, value in (("a", b"one"), ("b", b"two")):
        array = np.array([value], object)
        write_bundle(tmp_path / name, {"v": array}, dtypes={"v": VARIANT})
    (found,) = tb.diff(tmp_path / "a", tmp_path / "b", values=True).values
    assert found == tb.ValueDiff("v", 1, 1, 1, 0.0)


def test_v1_checkpoints_have_nothing_but_values(tmp_path):
    write_v1(tmp_path / "a", {b"x": np.arange(3), b"gone": np.zeros(1), b"\xff": np.ones(1)})
    tb.save(tmp_path / "b", {"x": np.arange(3), "new": np.zeros(1), b"\xff": np.ones(2)})
    report = tb.diff(tmp_path / "a", tmp_path / "b", values=True)
    assert (names(report.removed), names(report.added)) == (["gone"], ["new"])
    assert [changed.name for changed in report.changed] == ["\udcff"]
    assert names(report.unknown) == ["x"]
    assert report.values == (tb.ValueDiff("x", 3, 0, 0, 0.0),)


def test_names_come_in_the_order_of_their_bytes(tmp_path):
    found = [b"\xc3\xa4", b"\xff", b"a", b"b", b"\xf0\x9f\x99\x82"]
    for name in "ab":
        tb.save(tmp_path / name, {key: np.zeros(1) + (name == "b") for key in found})
    order = [spec.name.encode("utf-8", "surrogateescape")
             for spec in tb.diff(tmp_path / "a", tmp_path / "b").different]  # fmt: skip
    assert order == sorted(found)


def test_damage_and_absence_are_errors(pair, tmp_path):
    with pytest.raises(FileNotFoundError):
        tb.diff(pair[0], tmp_path / "none")
    index = f"{pair[1]}.index"
    flip_byte(index, 20)
    with pytest.raises(tb.CorruptionError) as caught:
        tb.diff(*pair)
    assert caught.value.path == index


def test_tolerances_without_values_are_refused(pair):
    for options in ({"rtol": 1}, {"atol": 1}, {"values": True, "rtol": -1},
                    {"values": True, "atol": float("nan")}):  # fmt: skip
        with pytest.raises(ValueError, match="rtol and atol"):
            tb.diff(*pair, **options)


def test_indexes_are_compared_without_numpy(pair):
    told = run_python(
        """
        import sys, tensorbundle as tb
        print(tb.diff(*sys.argv[1:]).same, "numpy" in sys.modules)
        """,
        *pair,
    )
    assert told.split() == ["False", "False"]


def test_a_report_is_plain_values(pair):
    found = tb.diff(*pair, values=True).as_dict()
    assert found["same"] is False
    assert found["removed"] == ({"name": "gone", "dtype": "float64", "shape": (2,)},)
    assert found["values"][0]["max_abs"] == 1.0
    assert os.fspath(found["a"]) == pair[0]

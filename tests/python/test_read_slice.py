"""Slices of tensors: the right elements, and no more bytes than they take."""

from __future__ import annotations

import os

import numpy as np
import pytest

import tensorbundle as tb

from .helpers import ALL_DTYPES, MIB, assert_same, data_file, flip_byte, run_python, sample
from .partitions import cut, elements

INDICES = [
    np.s_[3], np.s_[-1], np.s_[2:9], np.s_[5:5], np.s_[9:2], np.s_[...], np.s_[()],
    np.s_[:, 4], np.s_[:, -3:], np.s_[..., 1], np.s_[1, 2, 3], np.s_[2:4, 1:3, ::2],
    np.s_[::-1], np.s_[8:1:-3, ..., 0], np.s_[np.int64(4), np.uint8(2)], np.s_[-100:100],
]  # fmt: skip


def stored_ways(array):
    """Give the array as values to save: whole, and in parts of several kinds."""
    cuts = {"rows": ([1, 5], [], []), "columns": ([], [2], []), "grid": ([4], [1, 3], [3])}
    parts = {name: tb.Partitioned(array.shape, cut(array, *c)) for name, c in cuts.items()}
    return {"whole": array, **parts}


@pytest.mark.parametrize("dtype", [*ALL_DTYPES, np.dtype(object)], ids=str)
def test_every_slice_is_that_of_numpy(prefix, dtype):
    shape = (10, 5, 4)
    if dtype.kind == "O":
        array = np.array([b"x" * i for i in range(200)], object).reshape(shape)
    else:
        array = sample(dtype, shape)
    ways = stored_ways(array)
    tb.save(prefix, ways, num_shards=2)
    with tb.open(prefix) as bundle, tb.open(prefix, verify=True) as verifying:
        for name in ways:
            for index in INDICES:
                expected = elements(array, index if isinstance(index, tuple) else (index,))
                found = bundle.read_slice(name, index)
                assert_same(found, expected)
                assert found.flags.writeable
            assert_same(verifying.read_slice(name, np.s_[1:3]), array[1:3])


def test_large_slices_of_every_storing_are_right(prefix):
    array = np.random.default_rng(2).integers(0, 256, (700, 3000, 3), np.uint8)
    cuts = [100, 650], [1, 2500], []
    tb.save(prefix, {"whole": array, "parts": tb.Partitioned(array.shape, cut(array, *cuts))})
    with tb.open(prefix) as bundle:
        for index in (
            np.s_[90:660], np.s_[:, 10:20], np.s_[50:690, 100:2900], np.s_[..., 1],
            np.s_[:, 2499:2501, :2], np.s_[699],
        ):  # fmt: skip
            assert_same(bundle.read_slice("whole", index), np.ascontiguousarray(array[index]))
            assert_same(bundle.read_slice("parts", index), np.ascontiguousarray(array[index]))


@pytest.mark.parametrize(
    ("index", "error", "told"),
    [
        (10, IndexError, "index 10 is out of bounds for dimension 0 of size 10"),
        ((0, -6), IndexError, "index -6 is out of bounds for dimension 1 of size 5"),
        ((0, 0, 0, 0), IndexError, "too many indices: 4 for a tensor of rank 3"),
        ((..., 0, ...), IndexError, "one ellipsis only"),
        ([0, 1], TypeError, "not list"),
        (np.array([0, 1]), TypeError, "not ndarray"),
        (None, TypeError, "not NoneType"),
        (True, TypeError, "not a boolean"),
        (1.5, TypeError, "not float"),
        ("a", TypeError, "not str"),
    ],
    ids=str,
)
def test_what_is_no_slice_is_refused(prefix, index, error, told):
    tb.save(prefix, {"v": np.zeros((10, 5, 4))})
    with pytest.raises(error, match=told):
        tb.open(prefix).read_slice("v", index)


def test_a_missing_tensor_and_a_closed_bundle_are_errors(prefix):
    tb.save(prefix, {"kernel": np.zeros((10, 5))})
    bundle = tb.open(prefix)
    with pytest.raises(tb.MissingTensorError, match="did you mean 'kernel'"):
        bundle.read_slice("kernels", 0)
    bundle.close()
    with pytest.raises(ValueError, match="is closed"):
        bundle.read_slice("kernel", 0)


def test_only_whole_parts_are_verified(prefix):
    array = sample("float32", (10, 8))
    tb.save(prefix, {"v": tb.Partitioned(array.shape, cut(array, [5], []))})
    flip_byte(data_file(prefix), 0)  # of the first element
    with tb.open(prefix) as bundle:
        assert_same(bundle.read_slice("v", np.s_[5:]), array[5:])
        assert bundle.read_slice("v", np.s_[0, 0]) != array[0, 0]  # a part of a part
        for index in np.s_[:], np.s_[:5], np.s_[:7]:
            with pytest.raises(tb.CorruptionError, match="part 0,5:0,8"):
                bundle.read_slice("v", index)


@pytest.mark.parametrize("index", ["5000", "(slice(None), 7)", "slice(100, 110)"])
def test_no_more_is_read_than_a_slice_takes(tmp_path, index):
    """By what the disk gave, as the system counts it for the process."""
    prefix = tmp_path / "ckpt"
    array = np.random.default_rng(3).integers(0, 256, (8192, 8192), np.uint8)
    tb.save(prefix, {"v": array})
    wanted = array[eval(index)]
    limit = MIB if index != "(slice(None), 7)" else array.nbytes
    path = data_file(prefix)
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    found = run_python(
        f"""
        import hashlib, sys
        import tensorbundle as tb

        def read_bytes():
            with open("/proc/self/io", encoding="ascii") as file:
                return int(file.read().partition("\\nread_bytes:")[2].split()[0])

        bundle = tb.open(sys.argv[1])
        bundle.entry("v")
        before = read_bytes()
        part = bundle.read_slice("v", {index})
        print(read_bytes() - before, hashlib.sha256(part.tobytes()).hexdigest())
        """,
        prefix,
    )
    moved, digest = found.split()
    import hashlib

    assert digest == hashlib.sha256(np.ascontiguousarray(wanted).tobytes()).hexdigest()
    if int(moved) == 0:
        pytest.skip("this file system does not count, or its pages cannot be dropped")
    assert wanted.nbytes <= int(moved) + (1 << 20) and int(moved) <= limit


def test_a_slice_of_a_giant_needs_no_memory_for_it(tmp_path):
    """A file that is one hole: 64 GiB on no disk."""
    from reference.bundle import Entry, _Writer

    prefix = tmp_path / "ckpt"
    writer = _Writer(1, 1, False)
    writer._entries[b"v"] = Entry(4, (1 << 26, 1 << 10), 0, 0, 1 << 36, 0)
    writer.write(str(prefix))
    os.truncate(data_file(prefix), 1 << 36)
    assert not tb.open(prefix).read_slice("v", np.s_[1 << 25, 5:9]).any()
    assert tb.open(prefix).read_slice("v", np.s_[-1]).shape == (1 << 10,)


@pytest.mark.parametrize("parts", [1, 2])
def test_how_much_is_verified_is_the_callers_choice(prefix, parts):
    array = sample("float32", (10, 8))
    tb.save(
        prefix, {"v": tb.Partitioned(array.shape, cut(array, [5] if parts == 2 else [], []))}
    )
    flip_byte(data_file(prefix), 0)  # of the first element
    with tb.open(prefix) as bundle, tb.open(prefix, verify=True) as verifying:
        for read in (
            lambda: bundle.read_slice("v", 7, verify=True),
            lambda: verifying.read_slice("v", 7),
            lambda: verifying.read_slice("v", 7),
            lambda: bundle.read_slice("v", np.s_[:]),
        ):
            with pytest.raises(tb.CorruptionError):
                read()
        assert_same(bundle.read_slice("v", 7), array[7])
        assert_same(verifying.read_slice("v", 7, verify=False), array[7])
        assert_same(bundle.read_slice("v", np.s_[:], verify=False)[1:], array[1:])


def test_a_tensor_is_verified_once_however_many_slices_are_taken(prefix, monkeypatch):
    from tensorbundle import reading

    checked, check = [], reading.check_tensors
    monkeypatch.setattr(reading, "check_tensors", lambda *a: (checked.append(a[1]), check(*a)))
    array = sample("float32", (10, 8))
    tb.save(prefix, {"v": array, "w": array})
    with tb.open(prefix, verify=True) as bundle:
        for row in range(10):
            assert_same(bundle.read_slice("v", row), array[row])
        bundle.read_slice("w", 0)
    assert checked == [["v"], ["w"]]


# The command line in a process of its own, and then what the disk gave it.
COUNTING = r"""
import sys
from tensorbundle.cli.main import main
import tensorbundle.cli.cat
status = main(sys.argv[1:])
with open("/proc/self/io", encoding="ascii") as file:
    moved = int(file.read().partition("\nread_bytes:")[2].split()[0])
print(moved, file=sys.stderr)
sys.exit(status)
"""


def test_cat_reads_the_slice_alone(tmp_path):
    prefix = tmp_path / "ckpt"
    array = np.random.default_rng(3).integers(0, 256, (8192, 8192), np.uint8)
    tb.save(prefix, {"v": array})
    flip_byte(data_file(prefix), 0)
    run_python(COUNTING, "cat", prefix, "v[5, :9]")  # the program itself is in memory now
    with data_file(prefix).open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    done = run_python(COUNTING, "cat", prefix, "v[6000, :9]", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"v[6000, :9]  uint8  (9,)\n{array[6000, :9]}\n"
    assert int(done.stderr) <= MIB
    for options in ["v[6000, :9]", "--verify"], ["v"], ["v[:]"]:
        refused = run_python(COUNTING, "cat", prefix, *options, check=False)
        assert refused.returncode == 1
        assert "CRC-32C" in refused.stderr or "checksum" in refused.stderr
    for tensor in "v", "v[:]":
        assert run_python(COUNTING, "cat", prefix, tensor, "--no-verify")

"""Checkpoints of TensorFlow's V1 format: every way to read them."""

from __future__ import annotations

import json
import os
import shutil

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb
from reference.dtypes import DTYPES
from reference.proto import Extent
from reference.slices import encode_slice_key
from reference.v1 import encode_record, read_v1, write_v1

from .helpers import GOLDEN, assert_all_same, assert_same, flip_byte, names_in, run_python

SHARDED = str(GOLDEN / "v1_shards-?????-of-00002")
FLOAT, INT8, HALF = 1, 6, 19


def expected_of(name):
    paths = sorted(path for path in GOLDEN.iterdir() if path.match(name))
    return {key.decode(): array for key, array in read_v1(*paths).items()}


@pytest.mark.parametrize("name", ["v1_dtypes", "v1_slices", "v1_shards-?????-of-00002"])
def test_every_way_to_read_gives_what_the_oracle_reads(name):
    expected, path = expected_of(name), str(GOLDEN / name)
    assert_all_same(tb.load(path), expected)
    mapped = tb.load(path, mmap=True)
    assert_all_same(mapped, expected)
    assert mapped.report.mmap_reason
    assert mapped.report.zero_copy_bytes == 0
    reader = tb.load_checkpoint(path)
    assert tb.list_variables(path) == [(k, list(a.shape)) for k, a in sorted(expected.items())]
    assert reader.get_variable_to_shape_map() == dict(tb.list_variables(path))
    with tb.open(path) as bundle:
        assert list(bundle) == sorted(expected)
        for key, array in expected.items():
            assert_same(bundle[key], array)
            assert_same(reader.get_tensor(key), array)
            entry = bundle.entry(key)
            assert (entry.dtype, entry.shape) == (array.dtype, array.shape)
            assert (entry.offset, entry.crc32c) == (None, None)
    assert tb.verify(path).ok


def test_loaded_arrays_are_owned_and_aligned():
    for name, array in tb.load(GOLDEN / "v1_dtypes").items():
        assert array.flags.writeable, name
        assert array.dtype == object or array.ctypes.data % 64 == 0
    assert not tb.open(GOLDEN / "v1_dtypes")["float32/vector"].flags.writeable


def test_arrays_of_the_caller_are_filled():
    mine = np.zeros((4, 6), np.float32)
    assert tb.load(SHARDED, into={"rows": mine})["rows"] is mine
    assert_same(mine, np.arange(24, dtype=np.float32).reshape(4, 6))


def test_one_file_of_a_sharded_checkpoint_has_what_is_in_it():
    path = SHARDED.replace("?????", "00000")
    names = [name for name, _ in tb.list_variables(path)]
    assert names == ["columns", "pairs", "rows", "wide"]
    with pytest.raises(tb.CorruptionError) as caught:
        tb.load(path, ["rows"])
    assert (caught.value.code, caught.value.key) == ("MissingSlice", "rows")


def test_tensorflow_reads_the_same(tf):
    reader = tf.compat.v1.train.NewCheckpointReader(SHARDED)
    assert dict(tb.list_variables(SHARDED)) == reader.get_variable_to_shape_map()
    for name in ("rows", "wide"):
        (theirs,) = tf.raw_ops.RestoreV2(
            prefix=SHARDED,
            tensor_names=[name],
            shape_and_slices=[""],
            dtypes=[reader.get_variable_to_dtype_map()[name]],
        )
        assert_same(tb.load_variable(SHARDED, name), theirs.numpy())


def test_a_directory_stands_for_its_newest_checkpoint(tmp_path):
    for shard in range(2):
        shutil.copy(SHARDED.replace("?????", f"{shard:05d}"), tmp_path)
    name = os.path.basename(SHARDED)
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\n')
    assert tb.latest_checkpoint(tmp_path) == str(tmp_path / name)
    assert tb.checkpoint_exists(tmp_path / name)
    assert len(tb.get_checkpoint_mtimes([tmp_path / name])) == 1
    assert_same(tb.load_variable(tmp_path, "whole")[0, :2], np.array([0, 1], np.float32))
    tb.remove_checkpoint(tmp_path / name, 1)
    assert names_in(tmp_path) == ["checkpoint"]


def test_a_missing_file_of_a_sharded_checkpoint_is_named(tmp_path):
    shutil.copy(SHARDED.replace("?????", "00000"), tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        tb.load(tmp_path / os.path.basename(SHARDED))
    assert caught.value.filename.endswith("v1_shards-00001-of-00002")


def test_a_bundle_of_the_same_name_comes_first(tmp_path):
    write_v1(tmp_path / "c", {b"old": np.zeros(1, np.float32)})
    tb.save(tmp_path / "c", {"new": np.ones(1)})
    assert list(tb.open(tmp_path / "c")) == ["new"]


def test_more_dtypes_and_ranks_than_tensorflow_reads(tmp_path):
    tensors = {
        b"bfloat16": np.array([1.5, -2, 0], ml_dtypes.bfloat16),
        b"uint32": np.array([0, 2**32 - 1], np.uint32),
        b"uint64": np.array([0, 2**64 - 1], np.uint64),
        b"deep": np.arange(3, dtype=np.float32).reshape((1,) * 12 + (3,)),
        b"\xff": np.array([1], np.int32),
    }
    write_v1(tmp_path / "c", tensors)
    found = tb.load(tmp_path / "c")
    assert_all_same(
        found, {k.decode("utf-8", "surrogateescape"): array for k, array in tensors.items()}
    )


def test_a_damaged_block_is_found(tmp_path):
    write_v1(tmp_path / "c", {b"a": np.arange(9, dtype=np.float32)})
    content = (tmp_path / "c").read_bytes()
    flip_byte(tmp_path / "c", content.index(np.float32(5).tobytes()))
    with pytest.raises(tb.CorruptionError) as caught:
        tb.open(tmp_path / "c")
    assert caught.value.code == "BadBlockChecksum"


def damaged(tmp_path, record=None, **options):
    """Write a checkpoint of sound blocks whose tensor "a" has another record."""
    tensors = {b"a": np.arange(4, dtype=np.float32), b"b": np.arange(3, dtype=np.int8)}
    records = {} if record is None else {encode_slice_key(b"a", (Extent(),)): record}
    write_v1(tmp_path / "c", tensors, records=records, **options)
    return tmp_path / "c"


def record_of(array, name=b"a", number=FLOAT):
    return encode_record(name, (Extent(),), array, DTYPES[number])


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (record_of(np.arange(3, dtype=np.float32)), "SizeMismatch"),
        (record_of(np.arange(5, dtype=np.float32)), "SizeMismatch"),
        (record_of(np.arange(4, dtype=np.int8), number=INT8), "SizeMismatch"),
        (record_of(np.arange(4, dtype=np.float32), name=b"b"), "BadEntry"),
        (b"", "BadEntry"),
        (b"\x12\xff\xff\xff\xff\x07", "BadEntry"),
        (b"\x12\x08\x0a\x01a\x1a\x03\x2a\x01x", "BadEntry"),
    ],
)
def test_a_record_that_does_not_fit_is_a_fault_of_its_tensor_only(tmp_path, record, code):
    path = damaged(tmp_path, record)
    report = tb.verify(path)
    assert [(fault.name, fault.code, fault.path) for fault in report.faults] == [
        ("a", code, str(path))
    ]
    assert_same(tb.load(path, ["b"])["b"], np.arange(3, dtype=np.int8))
    with pytest.raises(tb.CorruptionError) as caught:
        tb.load(path)
    assert (caught.value.code, caught.value.key) == (code, "a")


def test_a_number_out_of_range_is_refused(tmp_path):
    # 300 as an int8, which int_val can hold.
    array = np.array([300, 1, 2], np.int32)
    record = encode_record(b"b", (Extent(),), array, DTYPES[3])
    write_v1(
        tmp_path / "c",
        {b"b": np.arange(3, dtype=np.int8)},
        records={encode_slice_key(b"b", (Extent(),)): record},
    )
    with pytest.raises(tb.CorruptionError, match="300 is no element of int8"):
        tb.load(tmp_path / "c")


def test_slices_that_overlap_or_leave_a_gap_are_refused(tmp_path):
    rows = np.arange(6, dtype=np.float32)
    for pairs, code in (
        ([((Extent(0, 4),), rows[:4]), ((Extent(3, 3),), rows[3:])], "BadSlice"),
        ([((Extent(0, 2),), rows[:2]), ((Extent(3, 3),), rows[3:])], "MissingSlice"),
    ):
        write_v1(tmp_path / "c", {b"a": pairs}, shapes={b"a": (6,)})
        with pytest.raises(tb.CorruptionError) as caught:
            tb.load(tmp_path / "c")
        assert (caught.value.code, caught.value.key) == (code, "a")


def test_a_claim_of_a_giant_costs_no_memory(tmp_path):
    pairs = [((Extent(),), np.arange(4, dtype=np.float32))]
    write_v1(tmp_path / "c", {b"a": pairs}, shapes={b"a": (2**40,)})
    told = run_python(
        """
        import resource, sys, tensorbundle as tb
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            tb.load(sys.argv[1])
        except tb.CorruptionError as error:
            print(error.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """,
        tmp_path / "c",
    )
    code, grown = told.split()
    assert code == "SizeMismatch"
    assert int(grown) < 64 * 1024  # KiB


def test_a_file_that_is_no_table_is_no_v1_checkpoint(tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"anything" * 10)
    with pytest.raises(tb.UnsupportedError, match="V1") as caught:
        tb.load(tmp_path / "model.ckpt")
    assert caught.value.code == "UnsupportedFormat"


def test_a_v1_table_named_as_an_index_is_told(tmp_path):
    shutil.copy(GOLDEN / "v1_slices", tmp_path / "c.index")
    with pytest.raises(tb.UnsupportedError, match="V1"):
        tb.open(tmp_path / "c")


def test_the_command_line_takes_v1_checkpoints(tmp_path):
    def run(*arguments):
        return run_python(
            "import sys; from tensorbundle.cli.main import main; sys.exit(main(sys.argv[1:]))",
            *arguments,
        )

    rows = {row["name"]: row for row in json.loads(run("ls", SHARDED, "--json"))["tensors"]}
    assert rows["wide"]["size"] == 2400
    assert rows["whole"]["offset"] is None
    assert len(rows["wide"]["slices"]) == 3
    assert "DT" not in run("ls", GOLDEN / "v1_dtypes")
    assert run("cat", SHARDED, "wide[148:152]").splitlines()[1] == "[-2 -1  0  1]"
    assert run("verify", SHARDED).startswith("OK: 5 tensors")

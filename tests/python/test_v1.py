"""Checkpoints of TensorFlow's V1 format: every way to read them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil

import ml_dtypes
import numpy as np
import pytest

import tensorbundle as tb
from hostile import bundles, v1_rows
from hostile.case import GOOD, NAME
from hostile.header_rows import message, number
from hostile.v1_rows import GOOD_TENSOR, SLICE, shape
from reference.dtypes import DTYPES
from reference.proto import Extent
from reference.slices import encode_slice_key
from reference.v1 import encode_record, read_v1, write_v1
from tensorbundle.cli.main import main

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


def outcome(call):
    """Give what a call returns, or the kind of its error, its code and its tensor."""
    try:
        return call()
    except tb.BundleError as error:
        return type(error), error.code, error.key


def command(*arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = main([str(argument) for argument in arguments])
    return status, out.getvalue()


# Every way to ask; "bad" has a dtype that there is not, "good" is as it should be.
ASKED = {
    "names": lambda path: list(tb.open(path)),
    "has": lambda path: "bad" in tb.open(path),
    "len": lambda path: len(tb.open(path)),
    "list": tb.list_variables,
    "shapes": lambda path: tb.load_checkpoint(path).get_variable_to_shape_map(),
    "dtypes": lambda path: tb.load_checkpoint(path).get_variable_to_dtype_map(),
    "has_tensor": lambda path: tb.load_checkpoint(path).has_tensor("bad"),
    "load": tb.load,
    "mmap": lambda path: tb.load(path, mmap=True),
    "load bad": lambda path: tb.load(path, ["good", "bad"]),
    "load good": lambda path: {k: v.tolist() for k, v in tb.load(path, ["good"]).items()},
    "into": lambda path: tb.load(path, into={"bad": np.zeros(4, np.float32)}),
    "load_variable": lambda path: tb.load_variable(path, "bad"),
    "get_tensor": lambda path: tb.load_checkpoint(path).get_tensor("good").tolist(),
    "entry": lambda path: tb.open(path).entry("bad"),
    "entry good": lambda path: tb.open(path).entry("good").shape,
    "array": lambda path: tb.open(path)["bad"],
    "array good": lambda path: tb.open(path)["good"].tolist(),
    "read": lambda path: tb.open(path).read("bad"),
    "read_slice": lambda path: tb.open(path).read_slice("bad", ...),
    "missing": lambda path: outcome(lambda: tb.load(path, ["ba"])),
    "verify": lambda path: [
        (f.name, f.code, f.detail, f.begin, f.end) for f in tb.verify(path).faults
    ],
    "verify some": lambda path: [
        (f.name, f.code) for f in tb.open(path).verify(["good", "nobody", "bad"]).faults
    ],
    "command verify": lambda path: command("verify", path)[0],
    "ls": lambda path: command("ls", path)[0],
    "ls --json": lambda path: [
        (row["name"], row.get("error", {}).get("code"), row.get("shape"))
        for row in json.loads(command("ls", path, "--json")[1])["tensors"]
    ],
    "cat": lambda path: command("cat", path, "bad")[0],
    "cat good": lambda path: command("cat", path, "good"),
    "diff": lambda path: command("diff", path, path)[0],
    "init": lambda path: tb.init_from_checkpoint(path, {"bad": np.zeros(4, np.float32)}),
}


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Give a bundle and a V1 checkpoint with the same bad tensor beside the same good one."""
    directory = tmp_path_factory.mktemp("twins")
    bundles.with_bad(bundles.bad(dtype=200))(directory)
    v1_rows.with_list(
        v1_rows.BAD_NAME + shape(4) + number(3, 200) + SLICE,
        GOOD_TENSOR,
    )(directory)
    (directory / NAME).rename(directory / "v1")
    return str(directory / NAME), str(directory / "v1")


@pytest.mark.parametrize("asked", ASKED)
def test_a_bad_tensor_is_told_as_that_of_a_bundle(twins, asked):
    bundle, v1 = (outcome(lambda path=path: ASKED[asked](path)) for path in twins)
    assert v1 == bundle


def test_a_bad_tensor_is_told_with_its_place(twins):
    path = twins[1]
    assert list(tb.open(path)) == ["bad", "good"]
    for call in (lambda: tb.load(path), lambda: tb.open(path)["bad"]):
        with pytest.raises(tb.CorruptionError) as caught:
            call()
        error = caught.value
        assert (error.code, error.path, error.key, error.shard) == ("BadDType", path, "bad", 0)
        assert str(error) == (
            f'{path}: tensor "bad": dtype 200 is not one that a bundle can hold, shard 0'
        )
    (fault,) = tb.verify(path).faults
    assert (fault.name, fault.code, fault.path) == ("bad", "BadDType", path)


def test_a_bad_tensor_of_one_shard_leaves_the_others_of_all_shards_readable(tmp_path):
    rows = np.arange(6, dtype=np.float32)
    for shard in range(2):
        tensors = {b"cut": [((Extent(3 * shard, 3),), rows[3 * shard :][:3])]}
        tensors[b"only%d" % shard] = rows
        write_v1(tmp_path / f"c-{shard:05d}-of-00002", tensors, shapes={b"cut": (6 + shard,)})
    path = str(tmp_path / "c-?????-of-00002")
    assert list(tb.open(path)) == ["cut", "only0", "only1"]
    for name in ("only0", "only1"):
        assert_same(tb.load(path, [name])[name], rows)
    with pytest.raises(tb.CorruptionError) as caught:
        tb.load(path)
    assert str(caught.value) == (
        f'{tmp_path}/c-00001-of-00002: tensor "cut": '
        "listed with another dtype or shape before, shard 1"
    )


def test_a_dtype_that_the_format_has_no_numbers_of_is_a_fault_of_its_tensor_only(tmp_path):
    int4 = 29
    listed = message(1, b"int4") + shape(4) + number(3, int4) + SLICE
    record = message(2, message(1, b"int4") + message(2, message(1, b"")))
    key = encode_slice_key(b"int4", (Extent(),))
    value = message(1, message(1, listed) + message(1, GOOD_TENSOR))
    write_v1(tmp_path / "c", {b"good": GOOD}, records={b"": value, key: record})
    path = str(tmp_path / "c")
    assert tb.list_variables(path) == [("good", [4]), ("int4", [4])]
    assert_same(tb.load(path, ["good"])["good"], GOOD)
    with pytest.raises(tb.UnsupportedError, match="has no numbers of int4") as caught:
        tb.load(path)
    assert (caught.value.code, caught.value.key) == ("UnsupportedDType", "int4")
    report = tb.verify(path)
    assert report.faults == ()
    assert [fault.name for fault in report.unchecked] == ["int4"]


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

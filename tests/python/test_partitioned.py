"""Tensors in parts: saved as TensorFlow saves them, read whole and slice by slice."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb
from reference.bundle import WHOLE, Extent, Slice, read_bundle, write_bundle
from reference.bundle import Partitioned as OraclePartitioned

from .helpers import (
    ALL_DTYPES,
    assert_same,
    data_file,
    flip_byte,
    listing,
    sample,
    snapshot,
    strings,
)
from .partitions import cut, elements, save_parts_with_tensorflow, spec

# What TensorFlow saves in slices, but cannot put together.
TF_CANNOT_ASSEMBLE = {"float16", "uint16", "uint32", "uint64", "float8_e5m2",
                      "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz",
                      "float8_e5m2fnuz", "int2", "uint2", "float4_e2m1fn",
                      "string"}  # fmt: skip
WORDS = np.array(
    [[f"{i},{j}".encode() * (i + j) for j in range(6)] for i in range(4)], dtype=object
)


def of_every_dtype():
    arrays = {dtype.name: sample(dtype, (4, 6), seed=i) for i, dtype in enumerate(ALL_DTYPES)}
    return {**arrays, "string": WORDS}


def in_parts(array, *cuts):
    return tb.Partitioned(array.shape, cut(array, *cuts))


# ---- saving ---------------------------------------------------------------------------------


def test_the_files_are_those_of_tensorflow(tf, tmp_path):
    tensors = {}
    for name, array in of_every_dtype().items():
        tensors[f"rows/{name}"] = in_parts(array, [1, 3], [])
        tensors[f"grid/{name}"] = in_parts(array, [2], [1, 5])
    tensors["plain"] = np.arange(5)
    # In any order, and with numbers of several bytes in their keys.
    wide = np.arange(20_000, dtype=np.int16)
    parts = cut(wide, [64, 8192, 9000])
    tensors["wide"] = tb.Partitioned(wide.shape, [parts[2], parts[0], parts[3], parts[1]])
    tensors["\u00e9t\u00e9"] = in_parts(sample("float32", (1, 2, 1, 3)), [], [1], [], [2])
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    tb.save(tmp_path / "ours/ckpt", tensors, alignment=1)
    save_parts_with_tensorflow(tf, str(tmp_path / "theirs/ckpt"), tensors)
    ours, theirs = snapshot(tmp_path / "ours/ckpt"), snapshot(tmp_path / "theirs/ckpt")
    assert list(ours) == list(theirs)
    for name in ours:
        assert ours[name] == theirs[name], f"{name} differs"


def test_the_index_is_that_of_a_partitioned_variable(tf, tmp_path):
    v1 = tf.compat.v1
    value = sample("float32", (7, 3))
    with tf.Graph().as_default(), v1.Session() as session:
        variable = v1.get_variable(
            "table",
            initializer=tf.constant(value),
            partitioner=v1.fixed_size_partitioner(3),
            use_resource=True,
        )
        session.run(v1.global_variables_initializer())
        parts = [
            (tuple(part._get_save_slice_info().var_offset), session.run(part))
            for part in variable
        ]
        theirs = v1.train.Saver([variable]).save(session, str(tmp_path / "theirs/ckpt"))
    (tmp_path / "ours").mkdir()
    tb.save(tmp_path / "ours/ckpt", {"table": tb.Partitioned((7, 3), parts)}, alignment=1)
    assert (tmp_path / "ours/ckpt.index").read_bytes() == (
        tmp_path / "theirs/ckpt.index"
    ).read_bytes()
    assert_same(tb.load(theirs)["table"], value)


@pytest.mark.parametrize("num_shards", [1, 3])
def test_every_dtype_comes_back_whole(prefix, num_shards):
    tensors = of_every_dtype()
    for cuts in ([1], []), ([], [2, 4]), ([1, 2, 3], [3]):
        saved = {name: in_parts(array, *cuts) for name, array in tensors.items()}
        report = tb.save(prefix, saved, num_shards=num_shards)
        assert report.num_tensors == len(tensors)
        loaded = tb.load(prefix)
        assert list(loaded) == sorted(tensors)
        for name, array in tensors.items():
            assert_same(loaded[name], array)
            assert loaded[name].flags.writeable
            assert_same(tb.open(prefix)[name], array)
            assert_same(tb.load_checkpoint(prefix).get_tensor(name), array)
        assert tb.verify(prefix).ok
        assert tb.verify(prefix).unchecked == ()


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 5, 8, 10, 20])
def test_every_rank_comes_back_whole(prefix, rank):
    shape = tuple(2 + d % 2 if d < 8 else 1 for d in range(rank))
    array = sample("int32", shape)
    cuts = [[1] if d in (0, rank - 1) and shape[d] > 1 else [] for d in range(rank)]
    tb.save(prefix, {"v": in_parts(array, *cuts)})
    assert_same(tb.load(prefix)["v"], array)
    if rank > 1:
        index = (slice(1, 2), ..., 0)
        assert_same(tb.open(prefix).read_slice("v", index), elements(array, index))


def test_tensorflow_reads_what_it_can_put_together(tf, prefix):
    tensors = of_every_dtype()
    tb.save(prefix, {name: in_parts(array, [1], [2]) for name, array in tensors.items()})
    for name, array in tensors.items():
        kind = tf.string if name == "string" else tf.as_dtype(array.dtype)
        wanted = {"": array, "4 6 1,3:-": array[1:], "4 6 0,2:3,2": array[:2, 3:5]}
        if name in TF_CANNOT_ASSEMBLE:  # but it finds a part by its own name
            wanted = {"4 6 1,3:2,4": array[1:, 2:]}
        for slices, expected in wanted.items():
            (found,) = tf.raw_ops.RestoreV2(
                prefix=prefix, tensor_names=[name], shape_and_slices=[slices], dtypes=[kind]
            )
            assert_same(found.numpy(), expected)


def test_one_part_that_is_all_is_stored_as_a_tensor(tf, prefix):
    array = sample("float32", (4, 6))
    tb.save(prefix, {"v": in_parts(array, [], []), "s": tb.Partitioned((), [((), 7)])})
    bundle = tb.open(prefix)
    assert bundle.entry("v").slices == ()
    assert_same(tf.train.load_variable(prefix, "v"), array)
    assert tb.load(prefix)["s"] == 7


def test_parts_may_come_from_any_framework(prefix, tf, torch, jax):
    array = sample("float32", (8, 3))
    parts = [
        ((0, 0), torch.from_numpy(array[:2].copy())),
        ((2, 0), tf.constant(array[2:4])),
        ((4, 0), jax.numpy.asarray(array[4:6])),
        ((6, 0), array[6:]),
    ]
    tb.save(prefix, {"model": {"v": tb.Partitioned((8, 3), parts)}})
    assert_same(tb.load(prefix)["model/v"], array)


def test_parts_may_be_views_and_of_the_other_byte_order(prefix):
    array = sample("float64", (6, 4))
    parts = [((0, 0), array.T.copy().T[:3]), ((3, 0), array[3:].astype(">f8"))]
    tb.save(prefix, {"v": tb.Partitioned((6, 4), parts)})
    assert_same(tb.load(prefix)["v"], array)


def test_a_background_save_copies_the_parts(prefix):
    array = sample("float32", (400, 300))
    kept = array.copy()
    handle = tb.save(prefix, {"v": in_parts(array, [100, 300], [7])}, blocking=False)
    array[...] = 0
    handle.result()
    assert_same(tb.load(prefix)["v"], kept)


def test_an_empty_tensor_can_be_in_parts(prefix):
    array = np.zeros((0, 5), np.float32)
    tb.save(prefix, {"v": in_parts(array, [], [2])})
    assert tb.open(prefix).entry("v").slices == (((0, -1), (0, 2)), ((0, -1), (2, 3)))
    assert_same(tb.load(prefix)["v"], array)
    assert_same(tb.load(prefix, mmap=True)["v"], array)
    assert_same(tb.open(prefix).read_slice("v", np.s_[:, 1]), array[:, 1])


# ---- what cannot be saved -------------------------------------------------------------------

UPPER, LOWER = np.zeros((2, 6), np.float32), np.zeros((2, 6), np.float32)
# Each: the full shape, the parts, and what is told.
REFUSED = {
    "outside": ((4, 6), [((0, 0), UPPER), ((3, 0), LOWER)], "not inside the shape"),
    "beside": ((4, 6), [((0, 1), UPPER)], "not inside the shape"),
    "overlap": ((4, 6), [((0, 0), UPPER), ((1, 0), LOWER)], "overlap"),
    "twice": ((4, 6), [((0, 0), UPPER), ((0, 0), LOWER)], "there twice"),
    "gap": ((5, 6), [((0, 0), UPPER), ((3, 0), LOWER)], "24 of the 30 elements"),
    "none": ((4, 6), [], "has no parts"),
    "empty part": ((4, 6), [((0, 0), np.zeros((0, 6)))], "has no elements"),
    "rank": ((4, 6), [((0, 0), np.zeros(6))], "rank 1"),
    "offsets": ((4, 6), [((0,), UPPER)], "at 1 offsets"),
    "negative": ((4, 6), [((-1, 0), UPPER)], "offsets must be between"),
    "negative shape": ((-4, 6), [((0, 0), UPPER)], "full_shape must be between"),
    "dtype": ((4, 6), [((0, 0), UPPER), ((2, 0), np.zeros((2, 6)))], "float32, float64"),
    "text": ((4, 6), [((0, 0), UPPER), ((2, 0), np.full((2, 6), "x"))], "string"),
}
# These are TypeErrors.
UNFIT = {
    "float offset": ((4, 6), [((0.5, 0), UPPER)], "offsets must be integers"),
    "no offsets": ((4, 6), [(None, UPPER)], "offsets must be integers"),
    "no tensor": ((4, 6), [((0, 0), object())], "cannot save"),
    "mapping": ((4, 6), [((0, 0), {"a": UPPER})], "must be an array"),
}


@pytest.mark.parametrize("case", [*REFUSED, *UNFIT])
def test_bad_parts_are_named_and_nothing_is_touched(prefix, case):
    shape, parts, told = {**REFUSED, **UNFIT}[case]
    with pytest.raises(TypeError if case in UNFIT else ValueError, match=told) as caught:
        tb.save(prefix, {"layer": {"v": tb.Partitioned(shape, parts)}})
    assert "layer/v" in str(caught.value)
    assert listing(prefix) == []


@pytest.mark.parametrize(
    "tensors",
    [
        lambda v: {"a": {"v": v}, "a/v": np.zeros((4, 6), np.float32)},
        lambda v: {"a": {"v": v}, "a/v": v},
    ],
    ids=["whole and in parts", "twice in parts"],
)
def test_a_name_is_given_once(prefix, tensors):
    parts = tb.Partitioned((4, 6), [((0, 0), UPPER), ((2, 0), LOWER)])
    with pytest.raises(ValueError, match=r"\"a/v\": the name is given twice"):
        tb.save(prefix, tensors(parts))
    assert listing(prefix) == []


def test_gaps_are_saved_where_they_are_asked_for(prefix, tf):
    array = sample("float32", (4, 6))
    parts = tb.Partitioned((4, 6), [((2, 0), array[2:])], partial=True)
    tb.save(prefix, {"v": parts, "w": np.ones(3)})
    assert tb.list_variables(prefix) == [("v", [4, 6]), ("w", [3])]
    assert_same(tb.open(prefix).read_slice("v", np.s_[2:, 1]), array[2:, 1])
    for read in (
        lambda: tb.load(prefix),
        lambda: tb.load(prefix, mmap=True),
        lambda: tb.open(prefix)["v"],
        lambda: tb.open(prefix).read_slice("v", 1),
    ):
        with pytest.raises(tb.CorruptionError, match="elements") as caught:
            read()
        assert (caught.value.code, caught.value.key) == ("MissingSlice", "v")
    assert_same(tb.load(prefix, ["w"])["w"], np.ones(3))
    (found,) = tf.raw_ops.RestoreV2(
        prefix=prefix, tensor_names=["v"], shape_and_slices=["4 6 2,2:-"], dtypes=[tf.float32]
    )
    assert_same(found.numpy(), array[2:])
    (fault,) = tb.verify(prefix).faults
    assert (fault.name, fault.code) == ("v", "MissingSlice")


# ---- reading --------------------------------------------------------------------------------


def test_an_array_of_the_callers_is_filled(prefix):
    tensors = {"v": sample("float32", (40, 60)), "s": WORDS}
    tb.save(prefix, {name: in_parts(a, [1], [2, 5]) for name, a in tensors.items()})
    into = {"v": np.empty((40, 60), np.float32), "s": np.empty((4, 6), object)}
    loaded = tb.load(prefix, into=into)
    assert loaded["v"] is into["v"]
    for name, array in tensors.items():
        assert_same(into[name], array)


@pytest.mark.parametrize("backend", ["buffered", "direct", "uring"])
@pytest.mark.parametrize("alignment", [1, 64, 4096])
def test_large_parts_are_put_together_by_every_backend(prefix, backend, alignment):
    array = np.random.default_rng(1).integers(0, 256, (3001, 1013), np.uint8)
    whole = sample("float32", (500, 700))
    saved = {
        "rows": in_parts(array, [1000, 1500], []),
        "columns": in_parts(array, [], [300]),
        "grid": in_parts(array, [17, 2000], [1, 1000]),
        "whole": whole,
    }
    try:
        tb.save(prefix, saved, backend=backend, alignment=alignment, num_shards=2)
    except tb.UnsupportedError as error:
        pytest.skip(str(error))
    for threads in 1, 3:
        loaded = tb.load(prefix, backend=backend, num_threads=threads)
        for name in "rows", "columns", "grid":
            assert_same(loaded[name], array)
        assert_same(loaded["whole"], whole)
    assert loaded.report.tensor_bytes == 3 * array.nbytes + whole.nbytes


def test_a_map_has_an_assembled_copy_and_tells_so(prefix):
    array = sample("float32", (40, 60))
    tb.save(prefix, {"v": in_parts(array, [7], []), "w": array})
    for verify in None, True:
        loaded = tb.load(prefix, mmap=True, verify=verify)
        assert_same(loaded["v"], array)
        assert_same(loaded["w"], array)
        assert not loaded["v"].flags.writeable
        assert loaded.report.copied == ("v",)
        assert loaded.report.zero_copy_bytes == array.nbytes
        assert loaded.report.tensor_bytes == 2 * array.nbytes
        assert loaded.report.mmap_reason == ""


@pytest.mark.parametrize("extent", [Extent(0, WHOLE), Extent(0, 4)])
def test_one_part_that_is_all_is_mapped(prefix, monkeypatch, extent):
    """What TensorFlow's own tests store: `-:-` as a part, which its writer never makes."""
    import reference.bundle as oracle

    array = sample("float32", (4, 6))
    slices: Slice = (extent, Extent(0, 6))
    writer = oracle._Writer(1, 64, False)
    key = oracle.encode_slice_key(b"v", slices)
    writer.add(key, array, None, 0)
    writer._entries[b"v"] = oracle.Entry(1, (4, 6), slices=(slices,))
    writer.write(prefix)
    loaded = tb.load(prefix, mmap=True)
    assert_same(loaded["v"], array)
    assert loaded.report.copied == ()
    assert loaded.report.zero_copy_bytes == array.nbytes
    assert_same(tb.open(prefix).read_slice("v", 3), array[3])
    assert_same(tb.load(prefix)["v"], array)


def test_sliced_float16_of_tensorflow_is_read(tf, tmp_path):
    """TensorFlow 2.21 writes these files and cannot read them."""
    model = tf.Module()
    model.half = tf.Variable(sample("float16", (300, 40)))
    model.single = tf.Variable(sample("float32", (50, 400)))
    model.text = tf.Variable([f"word {i}" for i in range(50)])
    policy = tf.train.experimental.MaxShardSizePolicy(max_shard_size=4000)
    options = tf.train.CheckpointOptions(experimental_sharding_callback=policy)
    checkpoint = tf.train.Checkpoint(model=model)
    prefix = checkpoint.save(str(tmp_path / "ckpt"), options=options)
    assert tb.open(prefix).num_shards > 5
    reader = tb.load_checkpoint(prefix)
    for name in "half", "single", "text":
        key = f"model/{name}/.ATTRIBUTES/VARIABLE_VALUE"
        stored = getattr(model, name).numpy()
        assert_same(reader.get_tensor(key), stored)
        assert_same(tb.open(prefix).read_slice(key, np.s_[3:5]), stored[3:5])
    assert len(tb.open(prefix).entry("model/half/.ATTRIBUTES/VARIABLE_VALUE").slices) > 1
    assert tb.verify(prefix).ok
    restored = tb.Checkpoint(model={"half": np.zeros((300, 40), np.float16)})
    restored.restore(prefix)
    assert_same(restored.model["half"], model.half.numpy())


# ---- damage ---------------------------------------------------------------------------------


def test_damage_to_one_part_is_found_and_named(prefix):
    array = sample("float32", (40, 60))
    for name, value in ("v", array), ("s", WORDS):
        tb.save(prefix, {name: in_parts(value, [2], []), "w": array})
        (place,) = [entry for key, entry in _stored_parts(prefix) if key == (name, 2)]
        flip_byte(data_file(prefix), place.offset + place.size - 1)
        assert_same(tb.load(prefix, ["w"])["w"], array)
        for read in (
            lambda name=name: tb.load(prefix, [name]),
            lambda name=name: tb.load(prefix, mmap=True, verify=True),
            lambda name=name: tb.open(prefix).read(name),
            lambda name=name: tb.open(prefix).read_slice(name, slice(2, None)),
            lambda name=name: tb.open(prefix, verify=True).read_slice(name, 0),
        ):
            with pytest.raises(tb.CorruptionError) as caught:
                read()
            assert (caught.value.code, caught.value.key) == ("DataChecksumMismatch", name)
            assert "part 2," in str(caught.value)
            assert caught.value.offset == place.offset
        (fault,) = tb.verify(prefix).faults
        assert (fault.name, fault.begin) == (name, place.offset)
        assert fault.end == place.offset + place.size


def _stored_parts(prefix):
    """Give the entries of all parts that begin in some row, by name and row."""
    from reference.bundle import decode_slice_key, read_entries

    for key, entry in read_entries(prefix).items():
        decoded = decode_slice_key(key)
        if decoded is not None:
            yield (decoded[0].decode(), decoded[1][0].start), entry


def _damaged(prefix, change):
    """Write a tensor in two parts whose entries `change` has changed."""
    import reference.bundle as oracle

    rows = [(Extent(0, 2), Extent(0, 6)), (Extent(2, 2), Extent(0, 6))]
    parts = [(row, np.ones((2, 6), np.float32)) for row in rows]
    writer = oracle._Writer(1, 1, False)
    writer.add_partitioned(b"v", OraclePartitioned((4, 6), parts), None, 0)
    writer.add(b"w", np.ones(3), None, 0)
    change(writer._entries, [oracle.encode_slice_key(b"v", row) for row in rows])
    writer.write(prefix)


def _replace(entries, key, **fields):
    import dataclasses

    entries[key] = dataclasses.replace(entries[key], **fields)


OVERLAPPING = tuple((Extent(row, 2), Extent(0, 6)) for row in (0, 2, 1))
BAD_INDEXES = {
    "part missing": (lambda e, keys: e.pop(keys[1]), "MissingSlice"),
    "part of another dtype": (lambda e, keys: _replace(e, keys[0], dtype=3), "BadSlice"),
    "part of another shape": (lambda e, keys: _replace(e, keys[0], shape=(12,)), "BadSlice"),
    "part in parts": (
        lambda e, keys: _replace(e, keys[0], slices=((Extent(0, 1), Extent(0, 6)),)),
        "BadSlice",
    ),
    "gap": (lambda e, keys: _replace(e, b"v", slices=e[b"v"].slices[:1]), "MissingSlice"),
    "overlap": (lambda e, keys: _replace(e, b"v", slices=OVERLAPPING), "BadSlice"),
    "huge": (lambda e, keys: _replace(e, b"v", shape=(1 << 40, 1 << 18)), "MissingSlice"),
    "no such shard": (lambda e, keys: _replace(e, keys[1], shard_id=5), "BadShardId"),
    "beyond the file": (lambda e, keys: _replace(e, keys[1], offset=1 << 40), "OutOfBounds"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_INDEXES)
def test_a_bad_index_is_an_error_and_the_others_stay_readable(prefix, case):
    change, code = BAD_INDEXES[case]
    _damaged(prefix, change)
    for read in (
        lambda: tb.load(prefix, ["v"]),
        lambda: tb.open(prefix)["v"],
        lambda: tb.open(prefix).read_slice("v", np.s_[1:3]),
    ):
        with pytest.raises(tb.CorruptionError) as caught:
            read()
        assert (caught.value.code, caught.value.key) == (code, "v")
        assert caught.value.path is not None
    assert {fault.name: fault.code for fault in tb.verify(prefix).faults} == {"v": code}
    assert_same(tb.load(prefix, ["w"])["w"], np.ones(3))


def test_a_prefix_can_be_read_with_what_the_oracle_wrote_in_parts(prefix):
    rows = [(Extent(0, WHOLE), Extent(c, 2)) for c in (0, 2, 4)]
    value = OraclePartitioned((4, 6), [(row, WORDS[:, row[1].start :][:, :2]) for row in rows])
    write_bundle(prefix, {"v": value})
    assert_same(tb.load(prefix)["v"], WORDS)
    assert_same(read_bundle(prefix)[b"v"], WORDS)
    assert strings(*tb.open(prefix).read_slice("v", np.s_[1])).tolist() == WORDS[1].tolist()


def test_the_specification_is_tensorflows():
    assert spec((4, 6), (2, 0), (2, 6)) == "4 6 2,2:0,6"

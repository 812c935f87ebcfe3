"""A second implementation of the format, tests/reference, agrees in both directions."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorbundle as tb
from reference.bundle import WHOLE, Extent, read_bundle, read_entries, write_bundle
from reference.bundle import Partitioned as OraclePartitioned

from .helpers import ALL_DTYPES, assert_same, data_file, sample
from .partitions import elements, indices, partitioned

GOLDEN = Path(__file__).resolve().parent.parent / "golden"

names = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).map(str.encode),
    st.binary(min_size=1, max_size=20),
    st.lists(
        st.sampled_from([b"a", b"layer", b"/", b"\xff", b"\0"]), min_size=1, max_size=12
    ).map(b"".join),
).filter(lambda name: not name.startswith(b"\0"))  # keys of parts start so

shapes = st.lists(st.integers(0, 6), max_size=4).map(tuple)


@st.composite
def numbers(draw):
    dtype, shape = draw(st.sampled_from(ALL_DTYPES)), draw(shapes)
    array = sample(dtype, shape, seed=draw(st.integers(0, 99)))
    if dtype.kind in "iuc" or dtype in (np.float32, np.float64, np.float16):
        # Any bits will do: NaNs too.
        size = array.size * dtype.itemsize
        raw = draw(st.binary(min_size=size, max_size=size))
        array = np.frombuffer(raw, dtype).reshape(shape) if size else array
    layout = draw(st.sampled_from(["as it is", "transposed", "reversed", "big-endian"]))
    if layout == "transposed":
        return array.T
    if layout == "reversed" and array.ndim:
        return array[::-1]
    if layout == "big-endian" and dtype.kind in "iufc":
        return array.astype(dtype.newbyteorder(">"))
    return array


@st.composite
def texts(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=2).map(tuple))
    count = int(np.prod(shape))
    array = np.empty(count, dtype=object)
    array[:] = draw(st.lists(st.binary(max_size=200), min_size=count, max_size=count))
    return array.reshape(shape)


models = st.dictionaries(names, st.one_of(numbers(), numbers(), texts()), max_size=12)
alignments = st.sampled_from([1, 2, 16, 64, 4096])


def native(array):
    """Give what a reader should find: C order, this machine's byte order."""
    if array.dtype == object:
        return array
    return np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)


def assert_equal_tensors(found, expected):
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert_same(found[name], native(array))


def key(name):
    return name.encode("utf-8", "surrogateescape")


def as_bytes(tensors):
    return {key(name): array for name, array in tensors.items()}


def assert_equal_entries(prefix):
    """Hold our records against the oracle's, field by field."""
    theirs, bundle = read_entries(prefix), tb.open(prefix)
    assert [key(name) for name in bundle] == list(theirs)
    for name, entry in theirs.items():
        ours = bundle.entry(name)
        assert (ours.shape, ours.shard_id) == (entry.shape, entry.shard_id)
        assert (ours.offset, ours.size) == (entry.offset, entry.size)
        masked = (ours.crc32c >> 15 | ours.crc32c << 17) + 0xA282EAD8 & 0xFFFFFFFF
        assert masked == entry.crc32c


@settings(max_examples=150, deadline=None)
@given(model=models, num_shards=st.integers(1, 5), alignment=alignments)
def test_the_oracle_reads_what_we_write(model, num_shards, alignment):
    with tempfile.TemporaryDirectory() as directory:
        prefix = str(Path(directory) / "ckpt")
        tb.save(prefix, model, num_shards=num_shards, alignment=alignment, durability="none")
        assert_equal_tensors(read_bundle(prefix), model)
        assert_equal_entries(prefix)


@settings(max_examples=150, deadline=None)
@given(model=models, num_shards=st.integers(1, 5), alignment=st.integers(1, 100))
def test_we_read_what_the_oracle_writes(model, num_shards, alignment):
    with tempfile.TemporaryDirectory() as directory:
        prefix = str(Path(directory) / "ckpt")
        write_bundle(prefix, model, num_shards=num_shards, alignment=alignment)
        assert_equal_tensors(as_bytes(tb.load(prefix)), model)
        assert_equal_tensors(as_bytes(tb.load(prefix, mmap=True)), model)
        assert_equal_tensors(as_bytes(tb.load(prefix, mmap=True, verify=True)), model)
        assert_equal_entries(prefix)
        assert tb.verify(prefix).ok


@settings(max_examples=100, deadline=None)
@given(model=models.filter(bool))
def test_both_write_the_same_bytes(model):
    with tempfile.TemporaryDirectory() as directory:
        ours, theirs = str(Path(directory) / "ours"), str(Path(directory) / "theirs")
        tb.save(ours, model, num_shards=1, alignment=1, durability="none")
        write_bundle(theirs, model)
        assert Path(ours + ".index").read_bytes() == Path(theirs + ".index").read_bytes()
        assert data_file(ours).read_bytes() == data_file(theirs).read_bytes()


# ---- in parts -------------------------------------------------------------------------------

divided = st.dictionaries(
    names, partitioned(st.one_of(numbers(), numbers(), texts())), max_size=6
)


def for_the_oracle(value, *, spells_whole=False):
    """Give the oracle's form; it can spell a whole dimension in both ways."""
    slices = []
    for begin, part in value.parts:
        slices.append((
            tuple(
                Extent(0, WHOLE)
                if size == 0 or (spells_whole and full == size)
                else Extent(first, size)
                for first, size, full in zip(begin, part.shape, value.full_shape, strict=True)
            ),
            native(np.asarray(part)),
        ))  # fmt: skip
    return OraclePartitioned(tuple(value.full_shape), slices)


@settings(max_examples=100, deadline=None)
@given(model=divided, num_shards=st.integers(1, 3), alignment=alignments, data=st.data())
def test_the_oracle_reads_the_parts_that_we_write(model, num_shards, alignment, data):
    with tempfile.TemporaryDirectory() as directory:
        prefix = str(Path(directory) / "ckpt")
        parts = {name: value for name, (_, value) in model.items()}
        if data.draw(st.booleans()):
            tb.save(prefix, parts, num_shards=num_shards, alignment=alignment)
        else:
            stream(prefix, parts, data, num_shards=num_shards, alignment=alignment)
        whole = {name: array for name, (array, _) in model.items()}
        assert_equal_tensors(read_bundle(prefix), whole)
        assert_equal_tensors(as_bytes(tb.load(prefix)), whole)


def stream(prefix, model, data, **options):
    """Write with a Writer: tensors and parts in any order."""
    calls = []
    for name, value in model.items():
        if isinstance(value, tb.Partitioned):
            for begin, part in value.parts:
                calls.append(("add_slice", name, value.full_shape, begin, part))
        else:
            calls.append(("add", name, value))
    with tb.Writer(prefix, durability="none", **options) as writer:
        for call in data.draw(st.permutations(calls)):
            getattr(writer, call[0])(*call[1:])


@settings(max_examples=100, deadline=None)
@given(
    model=divided, num_shards=st.integers(1, 3), spells_whole=st.booleans(),
    big_endian=st.booleans(), data=st.data(),
)  # fmt: skip
def test_we_read_the_parts_that_the_oracle_writes(
    model, num_shards, spells_whole, big_endian, data
):
    with tempfile.TemporaryDirectory() as directory:
        prefix = str(Path(directory) / "ckpt")
        theirs = {
            name: for_the_oracle(value, spells_whole=spells_whole)
            for name, (_, value) in model.items()
        }
        write_bundle(prefix, theirs, num_shards=num_shards, big_endian=big_endian)
        whole = {name: array for name, (array, _) in model.items()}
        assert_equal_tensors(as_bytes(tb.load(prefix)), whole)
        assert_equal_tensors(as_bytes(tb.load(prefix, mmap=True, verify=True)), whole)
        assert tb.verify(prefix).ok
        with tb.open(prefix) as bundle:
            for name, array in whole.items():
                index = data.draw(indices(array.shape))
                assert_same(bundle.read_slice(name, index), native(elements(array, index)))


@settings(max_examples=60, deadline=None)
@given(model=divided.filter(bool))
def test_both_write_parts_as_the_same_bytes(model):
    with tempfile.TemporaryDirectory() as directory:
        ours, theirs = str(Path(directory) / "ours"), str(Path(directory) / "theirs")
        parts = {name: value for name, (_, value) in model.items()}
        tb.save(ours, parts, num_shards=1, alignment=1, durability="none")
        write_bundle(theirs, {name: for_the_oracle(value) for name, value in parts.items()})
        assert Path(ours + ".index").read_bytes() == Path(theirs + ".index").read_bytes()
        assert data_file(ours).read_bytes() == data_file(theirs).read_bytes()


@settings(max_examples=60, deadline=None)
@given(model=models, num_shards=st.integers(1, 3), alignment=alignments, data=st.data())
def test_the_oracle_reads_what_a_writer_wrote(model, num_shards, alignment, data):
    with tempfile.TemporaryDirectory() as directory:
        prefix = str(Path(directory) / "ckpt")
        stream(prefix, model, data, num_shards=num_shards, alignment=alignment)
        assert_equal_tensors(read_bundle(prefix), model)
        assert_equal_entries(prefix)


# ---- overwritten, and damaged ---------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(rounds=st.lists(st.tuples(models, st.integers(1, 4)), min_size=2, max_size=5))
def test_the_oracle_reads_what_was_overwritten(rounds):
    with tempfile.TemporaryDirectory() as directory:
        prefix = str(Path(directory) / "ckpt")
        for model, num_shards in rounds:
            tb.save(prefix, model, num_shards=num_shards, durability="none")
            assert_equal_tensors(read_bundle(prefix), model)


@settings(max_examples=100, deadline=None)
@given(
    model=models.filter(bool), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7)
)
def test_a_flipped_bit_of_the_index_is_an_error_or_harmless(model, where, bit):
    with tempfile.TemporaryDirectory() as directory:
        prefix = str(Path(directory) / "ckpt")
        tb.save(prefix, model, durability="none")
        index = Path(prefix + ".index")
        content = bytearray(index.read_bytes())
        content[int(where * len(content))] ^= 1 << bit
        index.unlink()
        index.write_bytes(content)
        try:
            found = tb.load(prefix)
        except tb.BundleError as error:
            assert error.code
            assert error.path
            return
        assert_equal_tensors(as_bytes(found), model)


BUNDLES = sorted(p.relative_to(GOLDEN).with_suffix("") for p in GOLDEN.rglob("*.index"))


@pytest.mark.parametrize("bundle", BUNDLES, ids=str)
def test_we_read_the_golden_bundles_as_the_oracle_does(bundle):
    prefix = str(GOLDEN / bundle)
    expected = read_bundle(prefix)
    opened = tb.open(prefix)
    assert {key(name) for name in opened} == set(expected)
    for name, array in expected.items():
        entry = opened.entry(name)
        assert entry.shape == array.shape
        assert_same(opened[name], array)

"""The same bytes through the core and through the oracle: equal values, or both refuse.

Bundles are made entry by entry, most of them sound, and then a few bytes of an entry, of the
header or of the data are changed; the checksums around them are right again, so that the
change is met. Where the core is stricter than protobuf, and says so in FORMAT.md, it may
refuse alone.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tensorbundle as tb
from hostile.bundles import write
from hostile.tables import IndexFile, plain_block
from reference.bundle import _read_index, _Reader
from reference.crc32c import crc32c, mask
from reference.errors import FormatError
from reference.proto import Entry, Header, encode_entry, encode_header

DATA = bytes(range(64)) + b"\x02\x00\x06\x64\x06\x22\xc1hitensor" + bytes(16)
# A known field with another wire type, which protobuf skips; more than any file has.
STRICTER = {"BadEntry", "BadHeader", "LimitExceeded", "UnsupportedRank"}
KINDS = [1, 3, 4, 7, 9, 10, 14, 19, 29]
SIZES = {1: 4, 3: 4, 4: 1, 7: 1, 9: 8, 10: 1, 14: 2, 19: 2, 29: 1}


@st.composite
def entries(draw):
    """Give an entry; three of four are right, or off by a little."""
    dtype = draw(st.sampled_from(KINDS))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    size = int(np.prod(shape, dtype=int)) * SIZES[dtype]
    offset = draw(st.integers(0, 70))
    if dtype == 7 and draw(st.booleans()):  # the strings that DATA has
        return encode_entry(Entry(7, (3,), 0, 64, 15, 0xB3DB0750))
    right = draw(st.integers(0, 3))
    crc = (
        mask(crc32c(DATA[offset : offset + size]))
        if right
        else draw(st.integers(0, 2**32 - 1))
    )
    size += 0 if right != 1 else draw(st.sampled_from([0, 0, 1, -1, 2**40]))
    shard = draw(st.sampled_from([0, 0, 0, 0, 1, -1, 2**31 - 1]))
    return encode_entry(Entry(dtype, shape, shard, offset, size, crc))


@st.composite
def changed(draw, content):
    """Give bytes with a few of them changed, put in or left out."""
    content = bytearray(draw(content))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(content)))
        how = draw(st.integers(0, 2))
        if how == 0:
            content[at:at] = draw(st.binary(max_size=3))
        elif how == 1:
            del content[at : at + draw(st.integers(1, 3))]
        elif at < len(content):
            content[at] = draw(st.integers(0, 255))
    return bytes(content)


HEADERS = st.sampled_from([Header(1), Header(1), Header(1), Header(2), Header(1, True)])
NAMES = st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=4, unique=True)


def of_oracle(prefix):
    """Give each tensor's array, or the oracle's error; an error alone if the index is bad."""
    header, found = _read_index(prefix)
    reader = _Reader(prefix, header, found)
    arrays = {}
    for key in found:
        if reader.is_slice(key):
            continue
        try:
            arrays[key] = reader.tensor(key)
        except FormatError as error:
            arrays[key] = error
    return arrays


def of_core(prefix):
    arrays = {}
    with tb.open(prefix) as bundle:
        for name in bundle:
            try:
                arrays[name.encode("utf-8", "surrogateescape")] = bundle.read(name)
            except tb.BundleError as error:
                arrays[name.encode("utf-8", "surrogateescape")] = error
    return arrays


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    names=NAMES,
    values=st.lists(changed(entries()), min_size=4, max_size=4),
    header=changed(HEADERS.map(encode_header)),
    data=changed(st.just(DATA)),
)
def test_the_core_and_the_oracle_agree(tmp_path_factory, names, values, header, data):
    directory = tmp_path_factory.mktemp("differential")
    items = [(b"", header), *sorted(zip(names, values, strict=False))]
    write(directory, IndexFile().data_block(plain_block(items), b"\xff" * 9).finish(), data)
    prefix = str(directory / "ckpt")
    try:
        theirs = of_oracle(prefix)
    except FormatError as error:
        theirs = error
    try:
        ours = of_core(prefix)
    except tb.BundleError as error:
        assert isinstance(theirs, FormatError) or error.code in STRICTER, error
        return
    if isinstance(theirs, FormatError):
        check_one_bad(theirs, ours)
        return
    assert set(ours) == set(theirs)
    for name, array in theirs.items():
        check_same(ours[name], array)


def check_one_bad(error, ours):
    """The oracle reads an index whole or not at all; here one bad entry is its own fault."""
    faults = [found for found in ours.values() if isinstance(found, tb.BundleError)]
    assert faults, f"only the oracle refuses: {error!r}"


def check_same(ours, theirs):
    if isinstance(theirs, FormatError):
        assert isinstance(ours, tb.BundleError), f"only the oracle refuses: {theirs!r}"
    elif isinstance(ours, tb.BundleError):
        assert ours.code in STRICTER, f"only the core refuses: {ours}"
    elif theirs.dtype == object:
        assert [*np.asarray(ours).flat] == [*theirs.flat]
    else:
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        if ours.dtype.name == "int4":  # its high bits mean nothing; the oracle clears them
            ours, theirs = ours.astype(np.int8), theirs.astype(np.int8)
        assert ours.tobytes() == theirs.tobytes()


def test_the_data_has_the_strings_that_it_is_said_to_have(tmp_path):
    entry = encode_entry(Entry(7, (3,), 0, 64, 15, 0xB3DB0750))
    items = [(b"", encode_header(Header(1))), (b"s", entry)]
    write(tmp_path, IndexFile().data_block(plain_block(items), b"~").finish(), DATA)
    expected = [b"hi", b"", b"tensor"]
    assert list(of_oracle(str(tmp_path / "ckpt"))[b"s"]) == expected
    assert list(of_core(str(tmp_path / "ckpt"))[b"s"]) == expected
    with pytest.raises(tb.BundleError):
        tb.load(tmp_path / "ckpt", ["nothing"])

"""Much of everything: cycles, bytes, shards, keys."""

from __future__ import annotations

import errno
import os
import random

import numpy as np
import pytest

import tensorbundle as tb
from reference.crc32c import crc32c, mask
from reference.proto import Entry, Header, encode_entry, encode_header
from reference.table import build_table

from ..helpers import run_python

GIB = 1 << 30
INT64, UINT8 = 9, 4  # DataType


def test_nothing_grows_from_cycle_to_cycle(tell, in_memory):
    found = tell("soak.py", in_memory / "run", 300)
    assert all(grown <= 0 for grown in found["grown"].values()), found
    assert found["bytes_per_cycle"] < 20_000  # over so few cycles; `make soak` is strict


@pytest.fixture
def sparse(tmp_path):
    """Give a function that makes a bundle of 300 GiB, all of it holes but for `contents`."""

    def make(entries, contents):
        table = [(b"", encode_header(Header(1)))]
        table += sorted((name.encode(), encode_entry(e)) for name, e in entries.items())
        with open(tmp_path / "sparse.data-00000-of-00001", "wb") as file:
            try:
                file.truncate(300 * GIB)
            except OSError as error:
                if error.errno not in (errno.EFBIG, errno.ENOSPC):
                    raise
                pytest.skip(f"no sparse file of 300 GiB here: {error}")
            for offset, content in contents.items():
                os.pwrite(file.fileno(), content, offset)
        (tmp_path / "sparse.index").write_bytes(build_table(table))
        return tmp_path / "sparse"

    return make


def test_tensors_all_over_300_gib_are_right(sparse):
    chance = random.Random(1)
    offsets = {chance.randrange(300 * GIB // 64 - 1) * 64 for _ in range(200)}
    offsets |= {0, 300 * GIB - 64, (1 << 32) - 64, 1 << 32}
    values = {offset: np.arange(offset, offset + 8) for offset in offsets}
    contents = {offset: value.tobytes() for offset, value in values.items()}
    entries = {
        f"at {offset}": Entry(INT64, (8,), 0, offset, 64, mask(crc32c(content)))
        for offset, content in contents.items()
    }
    prefix = sparse(entries, contents)
    bundle = tb.open(prefix, verify=True)
    read = tb.load(prefix)
    assert len(bundle) == len(read) == len(offsets)
    for offset, value in values.items():
        np.testing.assert_array_equal(bundle[f"at {offset}"], value)
        np.testing.assert_array_equal(read[f"at {offset}"], value)


def test_slices_all_over_a_tensor_of_300_gib_are_right(sparse):
    chance = random.Random(2)
    offsets = sorted({chance.randrange(300 * GIB - 64) for _ in range(200)})
    contents = {offset: chance.randbytes(16) for offset in offsets}
    prefix = sparse({"all": Entry(UINT8, (300 * GIB,), 0, 0, 300 * GIB, 0)}, contents)
    with tb.open(prefix) as bundle:
        assert bundle.entry("all").size == 300 * GIB
        mapped = bundle["all"]
        for offset, content in contents.items():
            found = bundle.read_slice("all", slice(offset, offset + 16))
            assert found.tobytes() == content
            assert mapped[offset : offset + 16].tobytes() == content


def test_ten_thousand_shards_need_no_more_than_1024_descriptors(in_memory):
    run_python(
        """
        import resource, sys
        import numpy as np
        import tensorbundle as tb

        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
        tensors = {f"{i:05d}": np.full(3, i) for i in range(10_000)}
        report = tb.save(sys.argv[1], tensors, num_shards=10_000, durability="none")
        assert report.num_shards == 10_000
        assert tb.verify(sys.argv[1]).ok
        for options in ({}, {"mmap": True}):
            found = tb.load(sys.argv[1], **options)
            assert all((found[name] == tensors[name]).all() for name in tensors)
        """,
        in_memory / "shards",
    )


def test_a_million_keys_are_saved_listed_and_found(in_memory):
    run_python(
        """
        import random, resource, sys
        import numpy as np
        import tensorbundle as tb

        count = 1_000_000
        numbers = np.arange(count)
        tensors = {f"layer_{i % 1000}/weight_{i}": numbers[i : i + 1] for i in range(count)}
        tb.save(sys.argv[1], tensors, durability="none")
        bundle = tb.open(sys.argv[1])
        assert len(bundle) == count
        assert set(bundle) == tensors.keys()
        chance = random.Random(1)
        for i in (chance.randrange(count) for _ in range(1000)):
            assert bundle[f"layer_{i % 1000}/weight_{i}"][0] == i
        assert "layer_0/weight_1" not in bundle
        names = [f"layer_{i % 1000}/weight_{i}" for i in range(0, count, 997)]
        found = tb.load(sys.argv[1], names)
        assert [found[name][0] for name in names] == list(range(0, count, 997))
        """,
        in_memory / "keys",
    )

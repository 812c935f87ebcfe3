"""Indexes of Snappy-compressed blocks, of any size and restart interval: read by all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tensorbundle as tb
from reference import table
from reference.coding import put_varint
from reference.crc32c import crc32c, mask
from tensorbundle.cli.main import main

from .helpers import assert_all_same, data_file

TENSORS = {f"layer{i:03}/kernel": np.full((2, i % 5), i, np.float32) for i in range(200)}


def snappy(data):
    """Compress: literals, and a copy wherever eight bytes were there 64 KB before or less."""
    out, seen, begin, i = put_varint(len(data)), {}, 0, 0

    def literal(text):
        return bytes([60 << 2, len(text) - 1]) + text if text else b""

    while i < len(data):
        if i - begin == 255:
            out += literal(data[begin:i])
            begin = i
        found = seen.get(data[i : i + 8])
        seen[data[i : i + 8]] = i
        if found is not None and i - found < 1 << 16 and len(data) - i >= 8:
            out += literal(data[begin:i]) + bytes([7 << 2 | 2])
            out += (i - found).to_bytes(2, "little")
            i += 8
            begin = i
        else:
            i += 1
    return out + literal(data[begin:])


def compress_index(prefix, *, block_size, restart_interval, damage=False):
    """Write the index anew, from its entries."""
    path = Path(f"{prefix}.index")
    items = table.read_table(path.read_bytes())

    def append(out, block):
        stored = snappy(block)[: -1 if damage else None]
        handle = put_varint(len(out)) + put_varint(len(stored))
        typed = stored + b"\1"
        out += typed + mask(crc32c(typed)).to_bytes(4, "little")
        return handle

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "_append_block", append)
        patch.setattr(table, "BLOCK_SIZE", block_size)
        patch.setattr(table, "RESTART_INTERVAL", restart_interval)
        path.write_bytes(table.build_table(items))


@pytest.mark.parametrize("block_size", [1, 500, 1 << 18])
@pytest.mark.parametrize("restart_interval", [1, 16, 1000])
def test_a_compressed_index_is_read_by_all(tmp_path, tf, capsys, block_size, restart_interval):
    prefix, plain = str(tmp_path / "c"), str(tmp_path / "plain")
    for path in prefix, plain:
        tb.save(path, TENSORS)
    size = Path(f"{prefix}.index").stat().st_size
    compress_index(prefix, block_size=block_size, restart_interval=restart_interval)
    if block_size > 500:
        assert Path(f"{prefix}.index").stat().st_size < size
    reader = tf.train.load_checkpoint(prefix)  # the other witness
    assert set(reader.get_variable_to_shape_map()) == set(TENSORS)
    assert_all_same(tb.load(prefix), TENSORS)
    assert_all_same(dict(tb.open(prefix)), TENSORS)
    assert tb.verify(prefix).ok
    assert tb.diff(prefix, plain).same
    assert tb.list_variables(prefix) == tb.list_variables(plain)
    assert main(["ls", prefix, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["tensors"]) == len(TENSORS)
    tb.merge([prefix], tmp_path / "merged")
    tb.rename(prefix, {}, output=tmp_path / "renamed")
    for path in "merged", "renamed":  # whose indexes are not compressed
        assert_all_same(tb.load(tmp_path / path), TENSORS)
    assert data_file(prefix).stat().st_nlink == 3


def test_what_does_not_decompress_is_named(tmp_path):
    prefix = str(tmp_path / "c")
    tb.save(prefix, TENSORS)
    compress_index(prefix, block_size=1 << 18, restart_interval=16, damage=True)
    for read in (
        lambda: tb.open(prefix),
        lambda: tb.load(prefix),
        lambda: tb.merge([prefix], tmp_path / "out"),
        lambda: tb.rename(prefix, {}, output=tmp_path / "out"),
        lambda: tb.diff(prefix, prefix),
    ):
        with pytest.raises(tb.CorruptionError, match="Snappy") as caught:
            read()
        assert caught.value.code == "BadCompression"
        assert caught.value.path == f"{prefix}.index"

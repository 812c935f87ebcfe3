"""The oracle against the golden bundles: what it reads, and that it writes the same files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from .bundle import Partitioned, read_bundle, read_entries, read_header, write_bundle
from .dtypes import STRING, VARIANT
from .proto import Fields
from .slices import decode_slice_key
from .table import read_table
from .v1 import read_v1, write_v1

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
GOLDEN_JSON: dict[str, Any] = json.loads((GOLDEN / "golden.json").read_text("utf-8"))
BUNDLES: dict[str, Any] = GOLDEN_JSON["bundles"]


def key_of(line: dict[str, Any]) -> bytes:
    """Return the name that a line of golden.json is about."""
    return bytes.fromhex(line["key_hex"]) if "key_hex" in line else line["key"].encode()


@pytest.mark.parametrize("name", BUNDLES)
def test_entries_are_the_golden_ones(name: str) -> None:
    entries = read_entries(GOLDEN / name)
    lines = BUNDLES[name]["tensors"]
    assert read_header(GOLDEN / name).num_shards == BUNDLES[name]["num_shards"]
    assert list(entries) == [key_of(line) for line in lines]
    for line in lines:
        entry = entries[key_of(line)]
        assert (entry.dtype, list(entry.shape)) == (line["dtype"], line["shape"])
        if "slices" in line:
            assert [[[*e] for e in extents] for extents in entry.slices] == line["slices"]
        else:
            place = (entry.shard_id, entry.offset, entry.size)
            assert place == (line["shard_id"], line["offset"], line["size"])
            assert not entry.slices


@pytest.mark.parametrize("name", BUNDLES)
def test_values_are_the_golden_ones(name: str) -> None:
    found = read_bundle(GOLDEN / name)
    lines = {key_of(line): line for line in BUNDLES[name]["tensors"]}
    assert set(lines) - set(found) == {key for key in lines if decode_slice_key(key)}
    for key, array in found.items():
        line = lines[key]
        assert list(array.shape) == line["shape"]
        if line["dtype"] == STRING:
            assert [value.hex() for value in array.flat] == line["values_hex"]
        elif line["dtype"] == VARIANT:
            assert array.size == len(line["elements"])  # only TensorFlow can decode them
        else:
            assert hashlib.sha256(array.tobytes()).hexdigest() == line["sha256"]


@pytest.mark.parametrize("name", BUNDLES)
def test_written_again_the_files_are_the_golden_ones(name: str, tmp_path: Path) -> None:
    tensors = read_bundle(GOLDEN / name)
    entries = read_entries(GOLDEN / name)
    again: dict[bytes, Any] = {}
    # TensorFlow packs in the order given, so that the offsets tell it; of tensors at one
    # offset all but the last are empty.
    for key in sorted(entries, key=lambda k: (entries[k].offset, entries[k].size)):
        decoded = decode_slice_key(key)
        if entries[key].slices:
            continue
        if decoded is None:
            again[key] = tensors[key]
            continue
        whole, extents = decoded
        region = tuple(slice(s, None if n < 0 else s + n) for s, n in extents)
        part = again.setdefault(whole, Partitioned(entries[whole].shape, []))
        part.slices.append((extents, tensors[whole][region]))
    write_bundle(
        tmp_path / "again",
        again,
        dtypes={k: entries[k].dtype for k in again},
        big_endian=read_header(GOLDEN / name).big_endian,
    )
    for suffix in (".index", ".data-00000-of-00001"):
        golden = GOLDEN / f"{name}{suffix}"
        assert (tmp_path / f"again{suffix}").read_bytes() == golden.read_bytes()


@pytest.mark.parametrize("name", GOLDEN_JSON["v1"])
def test_v1_values_are_the_golden_ones(name: str) -> None:
    found = read_v1(*sorted(GOLDEN.glob(name)))
    lines = {key_of(line): line for line in GOLDEN_JSON["v1"][name]}
    assert list(found) == list(lines)
    for key, array in found.items():
        line = lines[key]
        assert list(array.shape) == line["shape"]
        if line["dtype"] == STRING:
            assert [value.hex() for value in array.flat] == line["values_hex"]
        else:
            assert hashlib.sha256(array.tobytes()).hexdigest() == line["sha256"]


def test_v1_written_again_is_the_golden_file(tmp_path: Path) -> None:
    lines = {key_of(line): line for line in GOLDEN_JSON["v1"]["v1_dtypes"]}
    numbers = {key: line["dtype"] for key, line in lines.items()}
    # In the order in which TensorFlow was given them, which its list keeps.
    table = dict(read_table((GOLDEN / "v1_dtypes").read_bytes()))
    order = [Fields(m).message(1) for m in Fields(Fields(table[b""]).message(1)).messages(1)]
    found = read_v1(GOLDEN / "v1_dtypes")
    write_v1(tmp_path / "again", {key: found[key] for key in order}, dtypes=numbers)
    assert (tmp_path / "again").read_bytes() == (GOLDEN / "v1_dtypes").read_bytes()


def test_golden_index_of_keys_has_two_blocks() -> None:
    assert (GOLDEN / "keys.index").stat().st_size > 262144


def test_golden_files_are_small() -> None:
    assert max(path.stat().st_size for path in GOLDEN.rglob("*")) < 400 * 1024

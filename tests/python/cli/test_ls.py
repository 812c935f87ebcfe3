from __future__ import annotations

import json

import numpy as np
import pytest

import tensorbundle as tb


def names_of(out):
    return [line.split("  ")[0] for line in out.splitlines()[1:-1]]


def test_lists_every_tensor_with_its_place(run, prefix):
    outcome = run("ls", prefix)
    assert outcome.status == 0
    assert outcome.err == ""
    with tb.open(prefix) as bundle:
        entry = bundle.entry("dense/kernel")
    row = next(row for row in outcome.out.splitlines() if row.startswith("dense/kernel"))
    assert row.split()[1:] == [
        "float32", "(3,", "4)", "48", "B", str(entry.shard_id), str(entry.offset),
    ]  # fmt: skip
    assert outcome.out.splitlines()[0].split() == [
        "name", "dtype", "shape", "size", "shard", "offset",
    ]  # fmt: skip


def test_ends_with_totals(run, prefix):
    last = run("ls", prefix).out.splitlines()[-1]
    assert last.startswith("8 tensors, 27 elements, ")
    assert last.endswith(", 2 data files")


def test_data_files_are_counted_not_their_names(run, tmp_path):
    """One that replaces another takes other names: ``-00000-of-00002``, and no more."""
    for _ in range(2):
        tb.save(tmp_path / "c", {"a": np.ones(3)})
    last = run("ls", tmp_path / "c").out.splitlines()[-1]
    assert last.endswith(", 1 data file (named of 2)")
    listing = json.loads(run("ls", tmp_path / "c", "--json").out)
    assert (listing["num_data_files"], listing["num_shards"]) == (1, 2)


def test_a_data_file_that_is_lost_is_counted(run, prefix, tmp_path):
    for path in tmp_path.glob("ckpt.data-*"):
        path.unlink()
    assert run("ls", prefix).out.splitlines()[-1].endswith(", 2 data files")


def test_columns_are_aligned_and_plain_when_not_on_a_terminal(run, prefix):
    rows = run("ls", prefix).out.splitlines()[:-1]
    assert (
        len({row.index(kind) for row, kind in zip(rows, ["dtype", "bool"], strict=False)}) == 1
    )
    assert len({len(row) for row in rows}) == 1  # the last column is right-aligned
    assert "\x1b" not in "".join(rows)


def test_control_characters_in_names_are_escaped(run, prefix):
    out = run("ls", prefix).out
    assert r"bell\x07\\name" in out
    assert "\x07" not in out


def test_bytes_that_are_not_utf8_are_escaped(run, tmp_path):
    tb.save(tmp_path / "c", {b"\xff\xfe": 1, "a\u202eb\u0085": 2, "\u00e9": 3})
    out = run("ls", tmp_path / "c").out
    assert r"\xff\xfe" in out
    assert r"a\u202eb\u0085" in out
    assert "\u00e9 " in out


def test_patterns_select_and_several_add_up(run, prefix):
    outcome = run("ls", prefix, "dense/*", "st?p")
    assert names_of(outcome.out) == ["dense/bias", "dense/kernel", "step"]
    assert "3 of 8 tensors" in outcome.out.splitlines()[-1]


def test_a_pattern_may_be_a_name_with_brackets(run, prefix):
    assert names_of(run("ls", prefix, "odd[0]").out) == ["odd[0]"]


def test_patterns_mind_case(run, prefix):
    assert run("ls", prefix, "STEP").status == 2


def test_no_match_is_an_error(run, prefix):
    outcome = run("ls", prefix, "nope*")
    assert outcome.status == 2
    assert outcome.err == "tensorbundle: error: no tensor matches 'nope*'\n"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("name", ["a", "b", "c"]),
        ("size", ["b", "c", "a"]),
        ("shape", ["c", "b", "a"]),
        ("dtype", ["b", "a", "c"]),
        ("offset", ["b", "a", "c"]),
    ],
)
def test_sorts(run, tmp_path, key, expected):
    tensors = {
        "b": np.zeros(2, np.float32),  # 8 bytes
        "a": np.zeros((2, 9), np.int16),  # 36 bytes
        "c": np.zeros((), "complex128").reshape(1),  # 16 bytes
    }
    tb.save(tmp_path / "c", tensors)
    if key == "dtype":
        expected = ["c", "b", "a"]
    assert names_of(run("ls", tmp_path / "c", "--sort", key).out) == expected
    assert (
        names_of(run("ls", tmp_path / "c", "--sort", key, "--reverse").out) == expected[::-1]
    )


def test_json_has_every_field(run, prefix):
    outcome = run("ls", prefix, "--json")
    listing = json.loads(outcome.out)
    assert listing.keys() == {"prefix", "num_shards", "num_data_files", "tensors"}
    assert (listing["prefix"], listing["num_shards"]) == (prefix, 2)
    assert len(listing["tensors"]) == 8
    kernel = next(t for t in listing["tensors"] if t["name"] == "dense/kernel")
    with tb.open(prefix) as bundle:
        entry = bundle.entry("dense/kernel")
    assert kernel == {
        "name": "dense/kernel", "dtype": "float32", "shape": [3, 4], "size": 48,
        "shard": entry.shard_id, "offset": entry.offset, "crc32c": entry.crc32c, "slices": [],
    }  # fmt: skip


def test_json_keeps_names_as_they_are(run, tmp_path):
    tb.save(tmp_path / "c", {b"\xff": 1, "\x1b": 2})
    out = run("ls", tmp_path / "c", "--json").out
    assert out.isascii()
    assert [t["name"] for t in json.loads(out)["tensors"]] == ["\x1b", "\udcff"]


def test_partitioned_tensors_show_full_shape_and_parts(run, golden):
    outcome = run("ls", golden / "partitioned")
    assert outcome.status == 0
    row = next(row for row in outcome.out.splitlines() if row.startswith("wide"))
    assert row.split() == ["wide", "int64", "(300,)", "2.40", "kB", "3", "parts", "-"]
    tensors = json.loads(run("ls", golden / "partitioned", "--json").out)["tensors"]
    wide = next(t for t in tensors if t["name"] == "wide")
    assert wide["slices"] == [[[130, 170]], [[0, 64]], [[64, 66]]]
    assert (wide["shard"], wide["offset"], wide["crc32c"]) == (None, None, None)


def test_partitioned_tensors_sort_after_those_with_a_place(run, golden):
    names = names_of(run("ls", golden / "partitioned", "--sort", "offset").out)
    assert names[:2] == ["whole", "plain"]


def test_a_bad_entry_is_a_row_and_the_others_are_listed(run, tmp_path, spoil):
    prefix = str(tmp_path / "c")
    tb.save(prefix, {"good": np.int32(1), "spoiled": np.float32(2), "too": np.int32(3)})
    spoil(prefix, "spoiled")
    outcome = run("ls", prefix)
    assert outcome.status == 1
    rows = {row.split()[0]: row for row in outcome.out.splitlines()}
    assert rows["spoiled"].split()[1] == "BadDType"
    assert "good" in rows
    assert "too" in rows
    assert outcome.out.splitlines()[-1].endswith("1 damaged")
    assert '"spoiled"' in outcome.err
    listing = run("ls", prefix, "--json")
    assert listing.status == 1
    bad = json.loads(listing.out)["tensors"][-1]
    assert (bad["name"], bad["error"]["code"]) == ("spoiled", "BadDType")


def test_an_empty_checkpoint_is_listed(run, tmp_path):
    tb.save(tmp_path / "c", {})
    outcome = run("ls", tmp_path / "c")
    assert outcome.status == 0
    assert "0 tensors" in outcome.out

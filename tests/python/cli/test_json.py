"""``--json``: one object on standard output, as docs/cli.md says, whatever happens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import tensorbundle as tb
from reference.v1 import write_v1

DOCS = (Path(__file__).parents[3] / "docs/cli.md").read_text(encoding="utf-8")

FIELDS = {
    "ls": {"prefix", "num_shards", "num_data_files", "tensors"},
    "cat": {"prefix", "name", "slice", "dtype", "shape", "verified", "values"},
    "verify": {
        "ok", "prefix", "num_tensors", "tensor_bytes", "seconds", "num_threads", "backend",
        "gb_per_second", "faults", "unchecked",
    },
    "diff": {
        "same", "a", "b", "removed", "added", "changed", "different", "unknown",
        "same_checksum", "values",
    },
    "rename": {
        "prefix", "num_tensors", "renamed", "lost_to_objects", "dry_run", "output",
        "linked_bytes", "copied_bytes", "copy_reason",
    },
    "merge": {
        "prefix", "missing", "num_tensors", "num_shards", "file_bytes", "linked_bytes",
        "copied_bytes", "copy_reason", "remains", "seconds",
    },
}  # fmt: skip
ERROR = {"code", "errno", "message", "path", "key", "shard", "offset"}


def arguments(command, prefix, other):
    return {
        "ls": [prefix],
        "cat": [prefix, "x"],
        "verify": [prefix],
        "diff": [prefix, other],
        "rename": [prefix, "s/x/y/", "--dry-run"],
        "merge": [other + "-merged", prefix],
    }[command]


def section_of(command):
    section = re.search(rf"^## `{command}[ `].*?(?=^## |\Z)", DOCS, re.MULTILINE | re.DOTALL)
    assert section is not None
    return section[0]


def only_json(outcome):
    """Parse standard output, which is ASCII and strictly JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    assert outcome.out.isascii()
    return json.loads(outcome.out, parse_constant=refuse)


@pytest.fixture
def pair(tmp_path):
    """Two checkpoints: of this format, and of the V1 format; with names that are no text."""
    bundle, v1 = str(tmp_path / "bundle"), str(tmp_path / "v1")
    tensors = {b"x": np.array([np.nan, np.inf]), b"\xff\x1b": np.ones(2)}
    tb.save(bundle, tensors)
    write_v1(v1, tensors)
    return bundle, v1


@pytest.mark.parametrize("command", FIELDS)
def test_the_fields_are_those_of_the_documentation(run, pair, command):
    bundle, v1 = pair
    outcome = run(command, *arguments(command, bundle, v1), "--json")
    assert outcome.status == (1 if command == "diff" else 0)
    assert set(only_json(outcome)) == FIELDS[command]
    for field in FIELDS[command]:
        assert f"`{field}`" in section_of(command), field


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("doctor", []),
        ("demo", ["--gb", "0.005", "--runs", "1", "--peers", "none", "--dir"]),
    ],
)
def test_what_tells_of_the_machine_is_documented_too(run, tmp_path, command, given):
    found = only_json(run(command, *given, tmp_path, "--json"))
    section = section_of(command)
    for field in [*found, *found.get("machine", ()), *(found.get("rows") or [{}])[0]]:
        assert f"`{field}`" in section, field


@pytest.mark.parametrize("command", ["ls", "cat", "verify", "diff"])
def test_v1_checkpoints_have_the_same_fields(run, pair, command):
    outcome = run(command, *arguments(command, pair[1], pair[0]), "--json")
    assert set(only_json(outcome)) == FIELDS[command]


@pytest.mark.parametrize("command", FIELDS)
def test_an_absent_checkpoint_is_an_object_too(run, pair, tmp_path, command):
    missing = str(tmp_path / "none")
    outcome = run(command, *arguments(command, missing, pair[0]), "--json")
    assert outcome.status == 2
    (found,) = only_json(outcome).values()
    assert set(found) == ERROR
    assert (found["code"], found["errno"]) == ("System", "ENOENT")
    assert found["path"] == missing + ".index"
    assert outcome.err == f"tensorbundle: error: {found['message']}\n"


@pytest.mark.parametrize("command", FIELDS)
def test_a_damaged_index_is_an_object_too(run, pair, command):
    Path(pair[0] + ".index").write_bytes(b"nothing of the kind" * 9)
    outcome = run(command, *arguments(command, *pair), "--json")
    assert outcome.status == (2 if command == "diff" else 1)
    error = only_json(outcome)["error"]
    assert (error["code"], error["path"]) == ("BadMagic", pair[0] + ".index")
    assert isinstance(error["offset"], int)


def test_a_damaged_tensor_is_told_with_its_place(run, prefix, damage):
    path, shard, offset, _ = damage(prefix, "dense/kernel")
    outcome = run("cat", prefix, "dense/kernel", "--json")
    assert outcome.status == 1
    error = only_json(outcome)["error"]
    assert error["code"] == "DataChecksumMismatch"
    assert (error["path"], error["key"]) == (path, "dense/kernel")
    assert (error["shard"], error["offset"]) == (shard, offset)
    outcome = run("verify", prefix, "--json")
    found = only_json(outcome)
    assert (outcome.status, found["ok"], len(found["faults"])) == (1, False, 1)


@pytest.mark.parametrize(
    "given",
    [
        ["ls"],
        ["ls", "x", "--sort", "colour"],
        ["cat", "PREFIX", "step[0]"],
        ["cat", "PREFIX", "none"],
        ["rename", "PREFIX", "no rule"],
        ["rename", "PREFIX", "s/.*/x/"],
        ["merge", "x", "PREFIX", "PREFIX"],
        ["diff", "PREFIX", "PREFIX", "--atol", "1"],
        ["frobnicate"],
        ["bench", "/", "--runs", "0"],
        ["demo", "--gb", "0"],
    ],
    ids=" ".join,
)
def test_mistakes_are_objects_too(run, prefix, given):
    given = [prefix if argument == "PREFIX" else argument for argument in given]
    outcome = run(*given, "--json")
    assert outcome.status == 2
    error = only_json(outcome)["error"]
    assert set(error) == ERROR
    assert error["code"]
    assert error["message"] in outcome.err


def test_without_it_standard_output_is_empty(run, tmp_path):
    assert run("ls", tmp_path / "none").out == ""

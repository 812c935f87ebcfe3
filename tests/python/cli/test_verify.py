from __future__ import annotations

import dataclasses
import json
import os
import re

import numpy as np
import pytest

import tensorbundle as tb

from ..helpers import data_file, flip_byte


def test_a_sound_checkpoint_is_ok(run, prefix):
    outcome = run("verify", prefix)
    assert outcome.status == 0
    assert outcome.err == ""
    assert re.fullmatch(r"OK: 8 tensors, \d+ B in \S+ \S+ \([0-9.]+ GB/s\)\n", outcome.out)


@pytest.mark.parametrize("threads", [1, 2])
def test_damage_names_tensor_file_shard_and_byte_range(run, prefix, damage, threads):
    path, shard, begin, end = damage(prefix, "dense/kernel")
    outcome = run("verify", prefix, "--threads", threads)
    assert outcome.status == 1
    fault, summary = outcome.out.splitlines()
    assert fault.startswith(f'DAMAGED {path}: tensor "dense/kernel": ')
    assert f"shard {shard}, offset {begin}, bytes [{begin}, {end})" in fault
    assert "DataChecksumMismatch" in fault
    assert summary.startswith("NOT OK: 8 tensors, 1 damaged, ")


def test_every_fault_has_its_line(run, prefix, damage):
    damage(prefix, "dense/kernel")
    damage(prefix, "title")
    out = run("verify", prefix).out
    assert out.count("DAMAGED") == 2
    assert '"title"' in out


def test_a_missing_shard_is_damage(run, tmp_path):
    tb.save(tmp_path / "c", {"w": np.ones(3)})
    os.unlink(tmp_path / "c.data-00000-of-00001")
    outcome = run("verify", tmp_path / "c")
    assert outcome.status == 1
    assert "MissingShard" in outcome.out


def test_a_spoiled_record_is_damage(run, tmp_path, spoil):
    prefix = str(tmp_path / "c")
    tb.save(prefix, {"spoiled": np.float32(2), "too": np.int32(3)})
    spoil(prefix, "spoiled")
    outcome = run("verify", prefix)
    assert outcome.status == 1
    assert "BadDType" in outcome.out


def test_json_has_the_report(run, prefix, damage):
    report = json.loads(run("verify", prefix, "--json").out)
    assert report["ok"] is True
    assert report["num_tensors"] == 8
    assert report["faults"] == []
    path, shard, begin, end = damage(prefix, "step")
    outcome = run("verify", prefix, "--json")
    assert outcome.status == 1
    report = json.loads(outcome.out)
    assert report["ok"] is False
    (fault,) = report["faults"]
    found = (fault["name"], fault["path"], fault["shard"], fault["begin"], fault["end"])
    assert found == ("step", path, shard, begin, end)


def test_partitioned_tensors_are_checked_part_by_part(run, golden, tmp_path):
    outcome = run("verify", golden / "partitioned")
    assert outcome.status == 0
    assert outcome.out.startswith("OK: 6 tensors")
    prefix = tmp_path / "c"
    rows = [((0, 0), np.ones((1, 3))), ((1, 0), np.ones((1, 3)))]
    tb.save(prefix, {"v": tb.Partitioned((2, 3), rows)})
    flip_byte(data_file(prefix), 64 + 3)
    outcome = run("verify", prefix)
    assert outcome.status == 1
    assert '"v": part 1,1:0,3: ' in outcome.out
    assert "bytes [64, 88) (DataChecksumMismatch)" in outcome.out


def test_what_cannot_be_checked_is_neither_ok_nor_damaged(run, prefix, monkeypatch):
    sound = tb.verify(prefix)
    fault = tb.Fault("x", "Unknown", f"{prefix}: x: of the future", "", prefix, 0, 8, 16)
    report = dataclasses.replace(sound, unchecked=(fault,))
    monkeypatch.setattr("tensorbundle.cli.verify.verify", lambda *_, **__: report)
    outcome = run("verify", prefix)
    assert outcome.status == 2
    assert "DAMAGED" not in outcome.out
    assert outcome.out.count("not checked /") == 1
    assert f"NOT OK: {sound.num_tensors} tensors, 1 not checked" in outcome.out


def test_names_are_escaped_in_faults(run, tmp_path, damage):
    prefix = str(tmp_path / "c")
    tb.save(prefix, {b"\x1b[31m\xff": np.ones(3)})
    damage(prefix, "\x1b[31m\udcff")
    out = run("verify", prefix).out
    assert r'"\x1b[31m\xff"' in out

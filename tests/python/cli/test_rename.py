"""``tensorbundle rename``."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.cli.errors import CommandError
from tensorbundle.cli.substitution import parse_substitution, substitute


@pytest.fixture
def saved(tmp_path):
    prefix = str(tmp_path / "c")
    tb.save(prefix, {"model/a/kernel": np.ones(3), "model/b/kernel": np.ones(2), "step": 1})
    return prefix


def test_rules_are_applied_in_turn(run, saved):
    outcome = run("rename", saved, r"s/^model\///", "s/kernel$/weight/")
    assert outcome.out.splitlines() == [
        "model/a/kernel -> a/weight",
        "model/b/kernel -> b/weight",
        "2 of 3 tensors renamed",
    ]
    assert (outcome.status, outcome.err) == (0, "")
    assert list(tb.open(saved)) == ["a/weight", "b/weight", "step"]


def test_a_rehearsal_writes_nothing(run, saved):
    assert (
        "2 of 3 tensors would be renamed"
        in run("rename", saved, "s/model/m/", "--dry-run").out
    )
    assert "model/a/kernel" in tb.open(saved)


def test_json_has_all_of_it(run, saved):
    found = json.loads(run("rename", saved, "s/step/x/", "--json").out)
    assert found == {
        "prefix": saved,
        "num_tensors": 3,
        "renamed": [["step", "x"]],
        "lost_to_objects": [],
        "dry_run": False,
        "output": None,
        "linked_bytes": 0,
        "copied_bytes": 0,
        "copy_reason": "",
    }


def test_the_renamed_checkpoint_may_stand_beside_the_other(run, saved):
    outcome = run("rename", saved, "s/step/x/", "--output", saved + "2")
    assert outcome.status == 0
    line = rf"1 of 3 tensors renamed in {re.escape(saved)}2, \d+ B linked"
    assert re.fullmatch(line, outcome.out.splitlines()[-1])
    assert (list(tb.open(saved))[-1], list(tb.open(saved + "2"))[-1]) == ("step", "x")
    found = json.loads(
        run("rename", saved, "s/step/b/", "--output", saved + "3", "--json").out
    )
    assert found["output"] == saved + "3"
    assert found["linked_bytes"] > 0


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_an_output_that_is_there_is_replaced_only_where_asked(run, saved, dry_run):
    other = saved + "2"
    tb.save(other, {"old": np.ones(1)})
    outcome = run("rename", saved, "s/step/x/", "--output", other, *dry_run)
    assert (outcome.status, outcome.out) == (2, "")
    assert f"{other}: there is a checkpoint already; --overwrite replaces it" in outcome.err
    assert list(tb.open(other)) == ["old"]
    run("rename", saved, "s/step/x/", "--output", other, "--overwrite", *dry_run)
    assert list(tb.open(other))[-1] == ("old" if dry_run else "x")


def test_an_output_that_is_the_checkpoint_itself_needs_no_word(run, saved):
    assert run("rename", saved, "s/step/x/", "--output", saved).status == 0
    assert list(tb.open(saved))[-1] == "x"


def test_a_collision_is_told_and_changes_nothing(run, saved):
    outcome = run("rename", saved, "s/[ab]/x/")
    assert outcome.status == 2
    assert "both be named 'model/x/kernel'" in outcome.err
    assert len(tb.open(saved)) == 3


def test_what_the_object_graph_loses_is_warned_of(run, tmp_path):
    prefix = tb.Checkpoint(step=np.zeros(3)).write(tmp_path / "c")
    outcome = run("rename", prefix, "s/^step/x/")
    assert outcome.status == 0
    assert "knows 1 of them by their old names" in outcome.err


def test_a_directory_is_no_output(run, saved, tmp_path):
    outcome = run("rename", saved, "s/step/x/", "--output", tmp_path)
    assert outcome.status == 2
    assert f"give a prefix in it, as '{tmp_path}/ckpt'" in outcome.err


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        ("s/a/b/", "aa", "ba"),
        ("s/a/b/g", "aa", "bb"),
        ("s/A/b/gi", "aa", "bb"),
        ("s|a/b|c|", "a/b", "c"),
        (r"s/a\/b/c\/d/", "a/b", "c/d"),
        (r"s/(.)(.)/\2\1/", "ab", "ba"),
        ("s/a/[&]/", "a", "[a]"),
        (r"s/a/\&\\n/", "a", r"&\n"),
        (r"s/(x)?a/<\1>/", "a", "<>"),
        (r"s,\.,/,g", "a.b.c", "a/b/c"),
        ("s/a//", "ab", "b"),
        ("s/none/x/", "a", "a"),
        ("s/\udcff/x/", "\udcff", "x"),
    ],
)
def test_rules_are_those_of_sed(rule, name, expected):
    assert parse_substitution(rule)(name) == expected
    assert substitute([rule])(name) == expected


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "s",
        "s/a/b",
        "s/a/b/c/d",
        "y/a/b/",
        "s/a/b/x",
        "s/(/b/",
        r"s/a/\1/",
        "sxaxbx",
        "s\\a\\b\\",
    ],
)
def test_what_is_no_rule_is_told(run, saved, rule):
    with pytest.raises(CommandError):
        parse_substitution(rule)
    outcome = run("rename", saved, rule)
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1

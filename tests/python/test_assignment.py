"""Rules from names to names: every name ends up in one place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorbundle.assignment import assign

STORED = ["old/a", "old/b/c", "other/a", "x"]


def sources(rules, variables, stored=STORED):
    return assign(rules, stored, variables).sources


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (None, {"x": "x"}),
        ({"x": "new/x"}, {"new/x": "x"}),
        ({"old/": "new/"}, {"new/a": "old/a", "new/b/c": "old/b/c"}),
        ({"old/b/": "new/b."}, {"new/b.c": "old/b/c"}),
        ({"old/": ""}, {"a": "old/a", "b/c": "old/b/c"}),
        ({"old/": "/"}, {"a": "old/a", "b/c": "old/b/c"}),
        ({"/": "all/"}, {"all/x": "x", "all/old/a": "old/a"}),
        ([("x", "x"), ("x", "new/x")], {"x": "x", "new/x": "x"}),
        ({re.compile(r"(\w+)/a"): r"a/\1"}, {"a/old": "old/a", "a/other": "other/a"}),
        ({re.compile("X", re.I): lambda match: "new/" + match[0]}, {"new/x": "x"}),
        (lambda name: name[4:] if "old/b" in name else None, {"b/c": "old/b/c"}),
        # A single tensor goes before a scope, whichever comes first.
        ({"old/": "new/", "old/a": "x"}, {"x": "old/a", "new/b/c": "old/b/c"}),
        # Of scopes and patterns the first counts.
        ({"old/b/": "new/b/", "old/": ""}, {"new/b/c": "old/b/c", "a": "old/a"}),
    ],
)  # fmt: skip
def test_rules_lead_from_tensors_to_variables(rules, expected):
    variables = ["x", "a", "b/c", "new/a", "new/b/c", "new/b.c", "new/x", "all/x", "all/old/a",
                 "a/old", "a/other"]  # fmt: skip
    assert sources(rules, variables) == expected


def test_what_is_left_is_told_by_kind():
    found = assign({"old/": "new/", "gone": "y"}, STORED, ["new/a", "new/d", "head", "y"])
    assert found.sources == {"new/a": "old/a"}
    assert found.missing == ["new/d", "y"]
    assert found.unexpected == ["old/b/c"]
    assert found.untouched == ["head"]
    assert found.unused == ["other/a", "x"]
    assert found.idle == ["'gone': 'y'"]


def test_a_misspelt_pattern_is_idle():
    assert assign({re.compile("odl/.*"): "a"}, STORED, ["a"]).idle == ["'odl/.*': 'a'"]


def test_without_rules_all_names_count():
    found = assign(None, ["a", "b"], ["b", "c"])
    assert (found.sources, found.unexpected, found.missing) == ({"b": "b"}, ["a"], ["c"])


def test_two_tensors_for_one_variable_are_refused():
    with pytest.raises(ValueError, match="both 'old/a' and 'other/a' go to 'a'"):
        assign([("old/", ""), ("other/", "")], STORED, ["a"])


@pytest.mark.parametrize("rules", [{"a": "b/"}, {"a/": "b"}, {"a": ""}])
def test_a_scope_goes_to_a_scope(rules):
    with pytest.raises(ValueError, match="scope"):
        assign(rules, STORED, ["a"])


@pytest.mark.parametrize("rules", [{1: "a"}, {"a": 1}, {re.compile("a"): 1}])
def test_rules_of_other_kinds_are_refused(rules):
    with pytest.raises(TypeError):
        assign(rules, STORED, ["a"])


NAMES = st.lists(st.text("ab/.", min_size=1, max_size=4), unique=True, max_size=8)
SCOPES = st.sampled_from(["", "/", "a/", "b/", "a.", "a/b/"])


@given(st.dictionaries(SCOPES, SCOPES, max_size=3), NAMES, NAMES)
def test_no_name_is_left_out(rules, stored, variables):
    try:
        found = assign(rules, stored, variables)
    except ValueError:
        return
    ours = [*found.sources, *found.missing, *found.untouched]
    theirs = {*found.sources.values(), *found.unexpected, *found.unused}
    assert sorted(ours) == sorted(variables)
    assert theirs == set(stored)

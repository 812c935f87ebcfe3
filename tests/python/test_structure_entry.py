"""JSON in one string tensor: what is the same for every framework."""

from __future__ import annotations

import collections
import json
import typing

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.loading import Loader
from tensorbundle.structure_entry import (
    BadStructureError,
    StructureEntry,
    is_named_tuple,
    make_named_tuple,
)

ENTRY = StructureEntry("_X", "tensorbundle.x", 3, "body", "was not saved by x; do that")


def read(prefix):
    loader = Loader.of(prefix)
    with ENTRY.explained(loader.path):
        return loader.run(lambda core: ENTRY.read(core, loader.path))


def document(**changes):
    return json.dumps({"format": "tensorbundle.x", "version": 3, "body": 1, **changes})


def test_what_was_written_is_read(prefix):
    content = {"a": [1, None, "\ud800 ö"], "b": {"$": 0.5}}
    tb.save(prefix, {ENTRY.name: ENTRY.text(content), "w": np.ones(3)})
    assert read(prefix) == content


def test_json_that_nobody_else_would_read_is_not_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        ENTRY.text([float("nan")])


def test_a_checkpoint_without_the_entry_tells_who_saves_one(prefix):
    tb.save(prefix, {"w": np.ones(3)})
    with pytest.raises(tb.UnsupportedError, match="was not saved by x; do that") as caught:
        read(prefix)
    assert (caught.value.code, caught.value.path) == ("NoStructure", prefix)


def test_a_later_version_is_no_damage(prefix):
    tb.save(prefix, {ENTRY.name: document(version=4)})
    with pytest.raises(tb.UnsupportedError, match=r"_X .* of version 4; .* knows 3") as caught:
        read(prefix)
    assert (caught.value.code, caught.value.key) == ("UnknownStructure", "_X")


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (document(note=float("nan")), "NaN is not a number of JSON"),
        (document(note=float("inf")), "Infinity is not a number of JSON"),
        ("[]", "not marked as 'tensorbundle.x'"),
        (document(format="tensorbundle.y"), "not marked as 'tensorbundle.x'"),
        ('{"format": "tensorbundle.x", "version": 3}', "it has no body"),
        (np.array([b"1"], object), "not one string"),
        (np.ones((), np.uint8), "not one string"),
    ],
)
def test_what_is_no_structure_is_told_with_its_place(prefix, stored, told):
    tb.save(prefix, {ENTRY.name: stored})
    with pytest.raises(tb.CorruptionError, match=told) as caught:
        read(prefix)
    error = caught.value
    assert (error.code, error.path, error.key) == ("BadStructure", prefix, "_X")


def test_named_tuples_are_told_from_other_tuples():
    class Typed(typing.NamedTuple):
        a: int

    class Derived(Typed):
        pass

    made = collections.namedtuple("made", "a b")(1, 2)
    assert is_named_tuple(made) and is_named_tuple(Typed(1))
    assert not any(map(is_named_tuple, [Derived(1), (1, 2), [1], None]))
    again = make_named_tuple("made", ["a", "b"], [1, 2])
    assert again == made and type(again).__name__ == "made" and again._fields == ("a", "b")


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("A", {"a": 1}, "should be a list"),
        ("A", [], "0 fields, 1 items"),
        ("A", ["a=print()"], "no identifiers"),
        (["A"], ["a"], "no identifiers"),
        ("A", [["a"]], "no identifiers"),
        ("A", ["class"], "no named tuple"),
        ("A", ["_a"], "no named tuple"),
    ],
)
def test_a_named_tuple_that_is_none_is_refused(name, fields, told):
    with pytest.raises(BadStructureError, match=told):
        make_named_tuple(name, fields, [1])


def test_no_named_tuple_has_more_fields_than_a_program_would_give_it():
    with pytest.raises(BadStructureError, match="1001 fields"):
        make_named_tuple("A", [f"a{i}" for i in range(1001)], [0] * 1001)

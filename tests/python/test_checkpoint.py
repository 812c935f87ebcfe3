"""tb.Checkpoint with plain objects: what is saved, matched, restored, deferred, refused."""

from __future__ import annotations

import copy
import dataclasses
from collections import OrderedDict, deque, namedtuple
from types import SimpleNamespace

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.checkpoint import restoring
from tensorbundle.object_graph import OBJECT_GRAPH_KEY, decode

from .helpers import assert_same, data_file, flip_byte

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


class Thing:
    def __init__(self, **attributes):
        vars(self).update(attributes)


Point = namedtuple("Point", "x y")


def names(prefix):
    """Give the names in a checkpoint, without what all of them end in."""
    found = [name for name, _ in tb.list_variables(prefix)]
    return [n.removesuffix(VALUE) for n in found if n != OBJECT_GRAPH_KEY]


def graph_of(prefix):
    return decode(tb.load_variable(prefix, OBJECT_GRAPH_KEY))


@pytest.fixture(params=["staged", "in place"])
def either_way(request, monkeypatch):
    """Restore through memory, as small values are, and in place, as large ones are."""
    if request.param == "in place":
        monkeypatch.setattr(restoring, "_STAGED_BYTES", 0)


# ---- What is saved --------------------------------------------------------------------------


def test_names_are_the_paths_through_the_objects(prefix):
    checkpoint = tb.Checkpoint(
        model=Thing(layers=[Thing(kernel=np.ones(2)), {"a/b.c": np.ones(1)}], none=None),
        point=Point(1, (2.5, "text")),
        step=7,
    )
    path = checkpoint.write(prefix)
    assert names(path) == sorted(
        ["model/layers/0/kernel", "model/layers/1/a.Sb..c", "point/x", "point/y/0",
         "point/y/1", "step"]
    )  # fmt: skip
    assert tb.load_variable(path, "step" + VALUE) == 7
    assert tb.load_variable(path, "point/y/1" + VALUE) == b"text"


def test_a_shared_object_is_saved_once(prefix):
    weights = np.arange(4.0)
    path = tb.Checkpoint(a=[weights], b=weights).write(prefix)
    assert names(path) == ["b"]
    root, a, b = graph_of(path).nodes
    assert [c.local_name for c in root.children] == ["a", "b"]
    assert a.children[0].node_id == root.children[1].node_id == 2
    assert b.attributes[0].checkpoint_key == "b" + VALUE


def test_equal_numbers_are_objects_of_their_own(prefix):
    assert names(tb.Checkpoint(a=1, b=1, c=(1, 1)).write(prefix)) == ["a", "b", "c/0", "c/1"]


def test_cycles_are_walked_once(prefix, either_way):
    thing = Thing(value=np.zeros(3))
    thing.self = thing
    thing.list = [thing]
    path = tb.Checkpoint(thing=thing).write(prefix)
    assert names(path) == ["thing/value"]
    thing.value[:] = 5
    tb.Checkpoint(thing=thing).read(path).assert_consumed()
    assert_same(thing.value, np.zeros(3))


def test_saves_are_numbered_and_named_in_the_state_file(prefix):
    checkpoint = tb.Checkpoint(x=np.zeros(1))
    assert checkpoint.save_counter == 0
    assert checkpoint.save(prefix) == prefix + "-1"
    assert checkpoint.save(prefix) == prefix + "-2"
    directory = prefix.rpartition("/")[0]
    assert tb.latest_checkpoint(directory) == prefix + "-2"
    assert tb.get_checkpoint_state(directory).all_model_checkpoint_paths == [prefix + "-2"]
    assert tb.load_variable(prefix + "-2", "save_counter" + VALUE) == 2
    again = tb.Checkpoint(x=np.ones(1))
    again.restore(prefix + "-2").assert_consumed()
    assert again.save(prefix) == prefix + "-3"
    assert checkpoint.save_report.num_tensors == 3


def test_write_neither_counts_nor_names(prefix):
    checkpoint = tb.Checkpoint(x=np.zeros(1))
    assert checkpoint.write(prefix) == prefix
    assert names(prefix) == ["x"]
    assert tb.latest_checkpoint(prefix.rpartition("/")[0]) is None


def test_directories_that_are_missing_are_made(tmp_path, monkeypatch):
    checkpoint = tb.Checkpoint(x=np.ones(1))
    path = checkpoint.save(tmp_path / "a/b/ckpt")
    assert path == str(tmp_path / "a/b/ckpt-1")
    checkpoint.write(tmp_path / "c/d/ckpt")
    monkeypatch.chdir(tmp_path)
    checkpoint.write("alone")
    assert tb.load("c/d/ckpt").keys() == tb.load("alone").keys()


def test_a_failed_save_is_not_counted(prefix):
    checkpoint = tb.Checkpoint(x=np.zeros(1))
    with pytest.raises(ValueError, match="backend"):
        checkpoint.save(prefix, backend="smoke signals")
    assert checkpoint.save_counter == 0


def test_a_roots_names_are_those_of_its_own_children(prefix, either_way):
    root = Thing(w=np.ones(2))
    step = np.array(3)
    checkpoint = tb.Checkpoint(root, step=step)
    path = checkpoint.save(prefix)
    assert names(path) == ["save_counter", "step", "w"]
    root.w[:] = step[...] = 0
    checkpoint.restore(path).assert_consumed()
    assert_same(root.w, np.ones(2))
    assert step == 3
    with pytest.raises(ValueError, match="the root object has another 'w'"):
        tb.Checkpoint(root, w=np.ones(2))


# ---- What is restored -----------------------------------------------------------------------


@dataclasses.dataclass
class Config:
    rate: float
    steps: np.ndarray


@dataclasses.dataclass(frozen=True)
class Frozen:
    rate: float
    inner: tuple


def objects(number):
    """Make one object of every kind, all of whose values differ with the number."""
    array = np.full((2, 3), number, np.float32)
    read_only = array.copy()
    read_only.flags.writeable = False
    return {
        "array": array,
        "strided": np.full((3, 2), number).T,
        "read_only": read_only,
        "big_endian": np.full(3, number, ">i4"),
        "texts": np.array([f"text {number}", "é"]),
        "bytes": np.array([b"bytes %d" % number, b""], dtype=object),
        "int": number,
        "float": number / 2,
        "bool": number % 2 == 0,
        "complex": complex(number, 1),
        "str": f"é {number}",
        "raw": b"\xff%d" % number,
        "numpy": np.float32(number),
        "list": [number, [np.full(1, number)]],
        "tuple": (number, (np.full(1, number), str(number))),
        "named": Point(number, Point(number, 1)),
        "ordered": OrderedDict(b=number, a=number),
        3: number,
        "thing": Thing(number=number, inner=Thing(array=np.full(2, number))),
        "space": SimpleNamespace(number=number),
        "config": Config(number, np.full(2, number)),
        "frozen": Frozen(number, (number, Frozen(number, ()))),
    }


def as_plain(value):
    """Turn objects into something that can be compared."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tolist()
    if isinstance(value, dict):
        return type(value), {key: as_plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value), [as_plain(below) for below in value]
    if hasattr(value, "__dict__"):
        return type(value), as_plain(vars(value))
    return type(value), value


def test_every_kind_comes_back_as_it_was(prefix, either_way):
    path = tb.Checkpoint(all=objects(4)).save(prefix)
    target = objects(7)
    array, config = target["array"], target["config"]
    status = tb.Checkpoint(all=target).restore(path)
    assert as_plain(target) == as_plain(objects(4))
    assert target["array"] is array
    assert target["config"] is config
    assert status.assert_consumed().report().ok


def test_a_part_is_restored_from_a_checkpoint_of_more(prefix, either_way):
    path = tb.Checkpoint(model=[np.ones(2)], optimizer={"m": np.ones(2)}).save(prefix)
    model = [np.zeros(2)]
    status = tb.Checkpoint(model=model).restore(path)
    assert_same(model[0], np.ones(2))
    status.assert_existing_objects_matched().assert_nontrivial_match().expect_partial()
    assert status.report().unexpected == ("optimizer/m" + VALUE,)
    with pytest.raises(tb.UnmatchedError, match="optimizer/m"):
        status.assert_consumed()


def test_objects_are_matched_by_structure_and_not_by_kind(prefix, either_way):
    path = tb.Checkpoint(a=Thing(x=np.ones(2)), b=[5]).write(prefix)
    checkpoint = tb.Checkpoint(a={"x": np.zeros(2)}, b=(0,))
    checkpoint.read(path).assert_consumed()
    assert_same(checkpoint.a["x"], np.ones(2))
    assert checkpoint.b == (5,)


def test_one_saved_object_goes_to_all_that_are_met_with_it(prefix, either_way):
    shared = np.ones(2)
    path = tb.Checkpoint(a=shared, b=shared).write(prefix)
    a, b = np.zeros(2), np.zeros(2)
    tb.Checkpoint(a=a, b=b).read(path).assert_consumed()
    assert_same(a, shared)
    assert_same(b, shared)


def test_one_live_object_takes_the_first_of_two_saved_ones(prefix, either_way):
    path = tb.Checkpoint(a=np.full(2, 1.0), b=np.full(2, 2.0)).write(prefix)
    shared = np.zeros(2)
    tb.Checkpoint(a=shared, b=shared).read(path).assert_consumed()
    assert_same(shared, np.full(2, 1.0))


class Stateful:
    """Gives its state and takes it back, and may refuse to."""

    def __init__(self, number, refuses=False):
        self.number, self.history, self.refuses = number, [number, number + 1], refuses

    def state_dict(self):
        return {"number": self.number, "history": self.history, "note": None}

    def load_state_dict(self, state):
        if self.refuses and state["number"] == 1:
            raise ValueError("not that")
        self.number, self.history = state["number"], state["history"]


def test_state_dicts_are_saved_and_given_back(prefix, either_way):
    path = tb.Checkpoint(s=Stateful(1)).write(prefix)
    assert names(path) == ["s/history/0", "s/history/1", "s/number"]
    target = Stateful(5)
    tb.Checkpoint(s=target).read(path).assert_consumed()
    assert (target.number, target.history) == (1, [1, 2])


def test_numbers_of_python_take_what_was_saved(prefix, either_way):
    saved = {"best": 0.5, "rate": 1, "flag": True, "z": 1j, "list": [2.5]}
    path = tb.Checkpoint(all=saved).write(prefix)
    target = {"best": 0, "rate": 0.1, "flag": 0, "z": 0.0, "list": [0]}
    tb.Checkpoint(all=target).read(path).assert_consumed()
    assert as_plain(target) == as_plain(saved)


def progress():
    """Make what a program starts with."""
    return {"epoch": 0, "best": None, "hist": [], "by": {}, "ring": deque(maxlen=2),
            "pair": (1, None), "own": Thing(name=None)}  # fmt: skip


def trained():
    grown = {"epoch": 2, "best": 0.5, "hist": [1.5, None, 2], "by": {"a": 1, "b": {"c": "é"}},
             "ring": deque([4, 5], maxlen=2), "pair": (1, True),
             "own": Thing(name="x"), "later": 3}  # fmt: skip
    return {**progress(), **grown}


def test_numbers_and_text_go_where_none_or_nothing_stands(prefix, either_way):
    path = tb.Checkpoint(progress=trained(), best=1.5).write(prefix)
    found = progress()
    checkpoint = tb.Checkpoint(progress=found, best=None)
    held = found["hist"]
    status = checkpoint.read(path)
    assert as_plain(found) == as_plain(trained())
    assert found["hist"] is held
    assert checkpoint.best == 1.5
    status.assert_consumed()
    found["hist"].append(9)
    found["by"]["a"] = 8
    checkpoint.sync()
    assert found["hist"] == [1.5, None, 2, 9]
    assert found["by"]["a"] == 8
    root = Thing(first=None)
    path = tb.Checkpoint(Thing(first=1), second=2).write(prefix + "-root")
    checkpoint = tb.Checkpoint(root, second=None)
    checkpoint.read(path).assert_consumed()
    assert (root.first, checkpoint.second) == (1, 2)


@pytest.mark.parametrize(
    "value", [np.ones(2), [1, 2], {3: 4}, {-3: 4}, (1, 2), {"a": [1]}], ids=str
)
def test_what_cannot_be_made_anew_exactly_waits_and_is_told(prefix, value):
    path = tb.Checkpoint(all={"best": value, "by": {"x": value}}).write(prefix)
    found = {"best": None, "by": {}}
    status = tb.Checkpoint(all=found).read(path)
    assert found == {"best": None, "by": {}}
    assert len(status.report().unexpected) == len(names(path))
    with pytest.raises(tb.UnmatchedError, match="in the checkpoint, but not restored"):
        status.assert_consumed()
    found["best"] = copy.deepcopy(value)
    found["by"]["x"] = copy.deepcopy(value)
    status.assert_consumed()


def test_odd_names_are_no_places_in_lists(prefix):
    odd = ["²", "01", "-1", "9" * 5000, "8" * 15, "+1", " 1"]
    path = tb.Checkpoint(all=dict.fromkeys(odd, 1)).write(prefix)
    for found in ([], [None, None], (None, None)):
        before = copy.copy(found)
        checkpoint = tb.Checkpoint(all=found)
        status = checkpoint.read(path)
        assert checkpoint.all == before
        assert len(status.report().unexpected) == len(odd)


def test_what_was_lengthened_is_shortened_where_the_restore_fails(prefix):
    path = tb.Checkpoint(all={**trained(), "s": Stateful(1)}).write(prefix)
    target = {**progress(), "s": Stateful(7, refuses=True)}
    refused_restore(path, target, ValueError, "not that")


def test_a_state_dict_gets_nothing_that_it_did_not_give(prefix):
    class Holds(Stateful):
        def state_dict(self):
            return {"number": self.number, "rest": self.history}

        def load_state_dict(self, state):
            self.number, self.history = state["number"], state["rest"]

    saved, target = Holds(1), Holds(2)
    saved.history = {"text": "t", "list": [(1, 2)], "array": np.ones(2), 5: 6}
    target.history = {}
    path = tb.Checkpoint(s=saved).write(prefix)
    status = tb.Checkpoint(s=target).read(path)
    assert (target.number, target.history) == (1, {"text": "t"})
    assert sorted(n.split("/")[2] for n in status.report().unexpected) == [
        "5", "array", "list", "list",
    ]  # fmt: skip
    with pytest.raises(tb.UnmatchedError, match="s/rest/array"):
        status.assert_consumed()


# ---- Deferred restoration -------------------------------------------------------------------


def test_what_appears_later_is_restored_by_sync_and_by_the_status(prefix, either_way):
    path = tb.Checkpoint(model=Thing(a=np.ones(2), b=[np.ones(1), 4])).write(prefix)
    model = Thing()
    checkpoint = tb.Checkpoint(model=model)
    status = checkpoint.read(path)
    with pytest.raises(tb.UnmatchedError, match="model/a"):
        status.assert_consumed()
    model.a = np.zeros(2)
    checkpoint.sync()
    assert_same(model.a, np.ones(2))
    model.b = [np.zeros(1), 0]
    status.assert_consumed()
    assert_same(model.b[0], np.ones(1))
    assert model.b[1] == 4


def test_a_report_restores_nothing(prefix):
    path = tb.Checkpoint(model=Thing(a=1, b=2)).write(prefix)
    model = Thing(a=0)
    status = tb.Checkpoint(model=model).read(path)
    model.b = 7
    report = status.report()
    assert model.b == 7
    assert report.unexpected == report.missing == ("model/b" + VALUE,)


def test_what_was_restored_once_is_left_alone(prefix, either_way):
    path = tb.Checkpoint(a=np.ones(2), n=3, late=1).write(prefix)
    checkpoint = tb.Checkpoint(a=np.zeros(2), n=0)
    checkpoint.read(path)
    checkpoint.a[:] = 8
    checkpoint.n = 9
    checkpoint.sync()
    assert_same(checkpoint.a, np.full(2, 8.0))
    assert checkpoint.n == 9


def test_attributes_of_checkpoints_and_modules_are_restored_as_they_are_set(prefix):
    path = tb.Checkpoint(model=Thing(kernel=np.ones(2), rate=0.5)).write(prefix)

    class Model(tb.Module):
        pass

    checkpoint = tb.Checkpoint()
    status = checkpoint.read(path)
    model = Model()
    model.kernel = np.zeros(2)
    checkpoint.model = model
    assert_same(model.kernel, np.ones(2))
    model.rate = 0.1
    assert model.rate == 0.5
    status.assert_consumed()


def test_deferred_values_outlive_the_files(prefix):
    path = tb.Checkpoint(a=np.ones(1000), b=np.full(2, 3.0)).write(prefix)
    checkpoint = tb.Checkpoint(a=np.zeros(1000))
    checkpoint.read(path)
    data_file(path).unlink()
    checkpoint.b = np.zeros(2)
    assert_same(checkpoint.b, np.full(2, 3.0))


def test_deferred_values_are_checked_when_they_are_needed(prefix):
    path = tb.Checkpoint(a=1, b=np.ones(1000)).write(prefix)
    with open(data_file(path), "r+b") as file:  # in place: maps see it
        file.seek(5000)
        file.write(b"x")
    checkpoint = tb.Checkpoint(a=0)
    checkpoint.read(path)
    late = np.zeros(1000)
    with pytest.raises(tb.CorruptionError, match="checksum"):
        checkpoint.b = late
    assert not late.any()


def test_the_newest_restore_wins(prefix):
    first = tb.Checkpoint(a=1, b=1).write(prefix + "-first")
    second = tb.Checkpoint(a=2, b=2).write(prefix + "-second")
    checkpoint = tb.Checkpoint(a=0)
    checkpoint.read(first)
    checkpoint.read(second)
    checkpoint.b = 0
    assert (checkpoint.a, checkpoint.b) == (2, 2)


def test_a_newer_restore_ends_what_an_older_one_waits_for(prefix):
    first = tb.Checkpoint(a=1, b=1).write(prefix + "-first")
    second = tb.Checkpoint(a=2).write(prefix + "-second")
    checkpoint = tb.Checkpoint(a=0)
    status = checkpoint.read(first)
    checkpoint.read(second)
    checkpoint.b = 0
    assert status.report().unexpected == ("b" + VALUE,)
    assert checkpoint.b == 0


# ---- What is refused, and leaves all as it was ----------------------------------------------


def refused_restore(path, target, error, match):
    """Restore into objects, and see that the failure changed none of them."""
    before = as_plain(target)
    with pytest.raises(error, match=match) as caught:
        tb.Checkpoint(all=target).read(path)
    assert as_plain(target) == before
    return caught.value


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("array", np.zeros(6, np.float32), r"shape \(2, 3\) in the checkpoint, \(6,\) here"),
        ("array", np.zeros((2, 3)), "dtype float32 in the checkpoint, float64 here"),
        ("array", 3.0, r"shape \(2, 3\) in the checkpoint, \(\) here"),
        ("int", "3", "dtype int64 in the checkpoint, str here"),
        ("str", 3, "dtype string in the checkpoint, int here"),
        ("numpy", np.float64(1), "dtype float32 in the checkpoint, float64 here"),
    ],
)  # fmt: skip
def test_another_shape_or_dtype_is_an_error_that_names_both(
    prefix, name, value, told, either_way
):
    path = tb.Checkpoint(all=objects(4)).write(prefix)
    target = {**objects(7), name: value}
    error = refused_restore(path, target, tb.RestoreMismatchError, told)
    assert isinstance(error, ValueError)
    assert f"root.all.{name}" in str(error)


def test_damage_is_found_before_anything_changes(prefix, either_way):
    path = tb.Checkpoint(all={"a": np.zeros(1000), "b": np.ones(1000), "c": 5}).write(prefix)
    flip_byte(data_file(path), 12_000)
    target = {"a": np.full(1000, 7.0), "b": np.full(1000, 7.0), "c": 7}
    refused_restore(path, target, tb.CorruptionError, "checksum")


def test_an_object_that_refuses_its_state_takes_all_back(prefix, either_way):
    path = tb.Checkpoint(
        all={"n": 1, "a": np.ones(2), "s": Stateful(1), "t": Stateful(1)}
    ).write(prefix)
    target = {"n": 7, "a": np.full(2, 7.0), "s": Stateful(7), "t": Stateful(7, refuses=True)}
    refused_restore(path, target, ValueError, "not that")


def test_missing_names_are_told_with_close_ones(prefix):
    path = tb.Checkpoint(model={"kernel": np.ones(2)}).write(prefix)
    status = tb.Checkpoint(model={"kernels": np.zeros(2)}).read(path)
    assert status.report().missing == ("model/kernels" + VALUE,)
    with pytest.raises(AssertionError, match=r"model/kernels.*did you mean 'model/kernel/"):
        status.assert_existing_objects_matched()


def test_names_that_only_end_alike_are_not_told(prefix):
    path = tb.Checkpoint(model={"kernel": np.ones(2)}).write(prefix)
    status = tb.Checkpoint(counter=np.zeros(2)).read(path)
    with pytest.raises(AssertionError) as caught:
        status.assert_existing_objects_matched()
    assert "did you mean" not in str(caught.value)


def test_a_trivial_match_is_told(prefix):
    path = tb.Checkpoint(a=1).write(prefix)
    with pytest.raises(tb.UnmatchedError, match="nothing but the root"):
        tb.Checkpoint(b=1).read(path).assert_nontrivial_match()
    with pytest.raises(tb.UnmatchedError, match="nothing to restore into"):
        tb.Checkpoint().read(path).assert_nontrivial_match()


def test_no_checkpoint_restores_nothing_and_matches_nothing():
    status = tb.Checkpoint(a=1).restore(None)
    assert status.report().matched == ()
    for check in (status.assert_consumed, status.assert_existing_objects_matched,
                  status.assert_nontrivial_match):  # fmt: skip
        with pytest.raises(tb.UnmatchedError, match="no checkpoint"):
            check()


def test_a_checkpoint_by_names_is_told(prefix):
    tb.save(prefix, {"a": np.ones(2)})
    with pytest.raises(tb.UnsupportedError, match="no object graph"):
        tb.Checkpoint(a=np.ones(2)).read(prefix)
    with pytest.raises(FileNotFoundError):
        tb.Checkpoint(a=np.ones(2)).read(prefix + "-9")


@pytest.mark.parametrize(
    "encoded", [b"", b"\x0a\x06\x0a\x04\x08\x07\x12\x00", b"\xff"], ids=["empty", "far", "cut"]
)
def test_a_damaged_object_graph_is_told(prefix, encoded):
    tb.save(prefix, {OBJECT_GRAPH_KEY: encoded})
    with pytest.raises(tb.CorruptionError, match="object graph"):
        tb.Checkpoint(a=1).read(prefix)


@pytest.mark.parametrize(
    ("value", "error", "told"),
    [
        ({"x": [object()]}, TypeError, r"root\.all\.x\.0: a builtins\.object has no state"),
        ({"x": {1, 2}}, TypeError, r"root\.all\.x: a builtins\.set"),
        ({1: 1, "1": 2}, ValueError, r"root\.all: the keys 1 and '1' have the same name"),
        ({("a",): 1}, TypeError, r"root\.all: a key must be str or int"),
        ({"x": 1 << 70}, TypeError, "more than 64 bits"),
        ({"x": np.zeros(1, "M8[s]")}, TypeError, "datetime64"),
        ({"x": np.random.default_rng()}, TypeError, r"root\.all\.x: a numpy.*Generator"),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_is_told_with_its_path(prefix, value, error, told):
    with pytest.raises(error, match=told):
        tb.Checkpoint(all=value).write(prefix)
    with pytest.raises(FileNotFoundError):
        tb.open(prefix)


def test_objects_that_change_meanwhile_are_told(prefix):
    grown = {"a": 1}

    class Grows:
        def state_dict(self):
            grown["later"] = 2
            return {}

        def load_state_dict(self, state):
            pass

    with pytest.raises(tb.GraphChangedError, match=r"root\.a_dict: it got or lost"):
        tb.Checkpoint(a_dict=grown, below=[[Grows()]]).write(prefix)


def test_private_and_reserved_names_are_refused():
    for name in ("_x", "save_counter"):
        with pytest.raises(ValueError, match="cannot be the name"):
            tb.Checkpoint(**{name: 1})

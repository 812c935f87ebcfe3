"""The name-based saver: in place, all or nothing, and rotating as TensorFlow's does."""

from __future__ import annotations

import errno
import itertools
import logging
import os
from types import MappingProxyType

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle import recent_checkpoints
from tensorbundle import saver as saver_module

from .helpers import assert_same, listed, sample, strings


def zeros():
    return {"w": np.zeros((2, 3), "f4"), "n": {"step": np.zeros((), "i8")}}


def prefixes(directory):
    return [
        name.removesuffix(".index") for name in listed(directory) if name.endswith(".index")
    ]


# ---- Saving and restoring -----------------------------------------------------------------


def test_variables_are_restored_in_place(tmp_path):
    values = {"w": sample("f4", (2, 3)), "n": {"step": np.array(7)}}
    path = tb.Saver(values).save(None, tmp_path / "model", global_step=7)
    assert path == str(tmp_path / "model-7")
    variables = zeros()
    restored = tb.Saver(variables).restore(path)
    assert_same(variables["w"], values["w"])
    assert variables["n"]["step"] == 7
    assert restored["w"] is variables["w"] and list(restored) == ["w", "n/step"]


def test_values_may_be_given_to_each_save(tmp_path):
    saver = tb.Saver()
    path = saver.save({"a": 1}, tmp_path / "c")
    assert saver.restore(path)["a"] == 1
    with pytest.raises(ValueError, match="needs values"):
        saver.save(None, tmp_path / "c")
    saver = tb.Saver({"a": np.zeros(())})
    assert saver.restore(saver.save({"a": 2.0}, path))["a"] == 2
    with pytest.raises(ValueError, match=r"differ in their names: \['a', 'b'\]"):
        saver.save({"b": 1}, path)


def test_all_frameworks_in_one(tf, torch, jax, tmp_path):
    import keras

    def variables(value):
        return {
            "np": np.full(2, value, "f4"), "torch": torch.full((2,), value),
            "tf": tf.Variable([value] * 2), "keras": keras.Variable(np.full(2, value, "f4")),
            "jax": jax.numpy.full(2, value), "python": value,
        }  # fmt: skip

    path = tb.Saver(variables(7.0)).save(None, tmp_path / "c")
    here = variables(0.0)
    kept = dict(here)
    restored = tb.Saver(here).restore(path)
    for name, value in restored.items():
        assert np.asarray(value).tolist() == ([7, 7] if name != "python" else 7)
        assert value is here[name] and type(value) is type(kept[name])
        assert (value is kept[name]) == (name not in ("jax", "python"))


def test_options_of_saves_are_checked_when_they_are_given(tmp_path):
    for options, error in [({"durabilty": "none"}, TypeError), ({"backend": "x"}, ValueError)]:
        with pytest.raises(error, match=r"Saver takes no option 'durabilty'|backend must be"):
            tb.Saver({"a": 1}, **options)
    with pytest.raises(TypeError, match=r"tensorbundle.save takes no option 'durabilty'"):
        tb.Saver({"a": 1}).save(None, tmp_path / "c", durabilty="none")
    assert listed(tmp_path) == []


def test_each_save_and_restore_looks_anew_into_the_mapping(jax, tmp_path):
    values = {"w": np.zeros(2), "inner": {"step": 3, "j": jax.numpy.zeros(2)}}
    saver = tb.Saver(values)
    values["w"], values["inner"]["step"] = np.ones(2), 4
    values["inner"]["j"] += 1
    path = saver.save(None, tmp_path / "c")
    assert tb.load(path)["inner/step"] == 4 and tb.load(path)["w"].tolist() == [1, 1]
    values["w"], values["inner"]["step"] = np.zeros(2), 0
    values["inner"]["j"] *= 0
    saver.restore(path)
    assert values["w"].tolist() == [1, 1] and values["inner"]["step"] == 4
    assert isinstance(values["inner"]["j"], jax.Array)
    assert values["inner"]["j"].tolist() == [1, 1]
    values.clear()
    with pytest.raises(ValueError, match="no variables to save"):
        saver.save(None, path)


def test_variables_of_an_iterator_are_there_for_each_save(tf, tmp_path):
    saver = tb.Saver(iter([tf.Variable(1.0, name="v")]))
    assert tb.load(saver.save(None, tmp_path / "c", 1)).keys() == {"v"}
    assert saver.restore(saver.save(None, tmp_path / "c", 2)).keys() == {"v"}


def test_what_no_mapping_takes_is_returned_and_told(tmp_path, caplog):
    path = tb.Saver().save({"n": {"step": 5}, "w": np.ones(2)}, tmp_path / "c")
    frozen = {"n": MappingProxyType({"step": 0}), "w": np.zeros(2)}
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        assert tb.Saver(frozen).restore(path)["n/step"] == 5
    assert frozen["n"]["step"] == 0 and frozen["w"].tolist() == [1, 1]
    (record,) = caplog.records
    assert "only returned:\n  n/step" in record.getMessage()


def test_tensorflow_restores_what_is_saved_and_the_reverse(tf, tmp_path):
    v, w = tf.Variable([1.0, 2.0], name="v"), tf.Variable(3, name="scope/w")
    path = tb.Saver([v, w]).save(None, tmp_path / "ours", global_step=3)
    v.assign([0, 0])
    theirs = tf.compat.v1.train.Saver([v, w])
    theirs.restore(None, path)
    assert v.numpy().tolist() == [1, 2] and w.numpy() == 3
    path = theirs.save(None, str(tmp_path / "theirs"))
    v.assign([0, 0])
    tb.Saver({"v": v, "scope/w": w}).restore(path)
    assert v.numpy().tolist() == [1, 2]


def test_an_object_based_checkpoint_is_restored_by_names(tf, tmp_path):
    v, w = tf.Variable([1.0, 2.0], name="v"), tf.Variable(3, name="scope/w")
    path = tf.train.Checkpoint(a=v, b=[w]).write(str(tmp_path / "c"))
    target = {"v": np.zeros(2, "f4"), "scope/w": np.zeros((), "i4")}
    tb.Saver(target).restore(path)
    assert target["v"].tolist() == [1, 2] and target["scope/w"] == 3
    mixed = {"b/0/.ATTRIBUTES/VARIABLE_VALUE": np.zeros((), "i4"), "v": np.zeros(2, "f4")}
    tb.Saver(mixed).restore(path)
    assert mixed["b/0/.ATTRIBUTES/VARIABLE_VALUE"] == 3 and mixed["v"].tolist() == [1, 2]
    with pytest.raises(
        tb.MissingTensorError, match=r"(?s)1 of 2 variables .* x\n.*\n  scope/w"
    ):
        tb.Saver({"v": np.zeros(2, "f4"), "x": 1}).restore(path)


def test_a_name_that_several_variables_had_is_refused(tf, tmp_path):
    path = tf.train.Checkpoint(a=tf.Variable(1), b=tf.Variable(2)).write(str(tmp_path / "c"))
    with pytest.raises(
        ValueError, match=r"(?s)several variables had the name 'Variable'.*a/.*b/"
    ):
        tb.Saver({"Variable": np.zeros((), "i4")}).restore(path)


FAULTS = {
    "missing": ({"x": 1.0}, KeyError),
    "shape": ({"b": np.zeros((3, 2))}, ValueError),
    "dtype": ({"b": np.zeros((2, 3), "f4")}, ValueError),
    "string": ({"b": strings(b"x")}, ValueError),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_failed_restore_leaves_every_variable(tmp_path, what):
    path = tb.Saver().save({"a": np.ones(3), "b": np.ones((2, 3))}, tmp_path / "c")
    more, error = FAULTS[what]
    variables = {"a": np.zeros(3), **more}
    with pytest.raises(error):
        tb.Saver(variables).restore(path)
    assert variables["a"].tolist() == [0, 0, 0]


def test_damage_in_the_last_tensor_leaves_the_first_variable(tmp_path):
    path = tb.Saver().save({"a": np.ones(300), "b": np.ones(300)}, tmp_path / "c")
    end = tb.open(path).entry("b")
    with open(f"{path}.data-00000-of-00001", "r+b") as file:
        file.seek(end.offset + end.size - 1)
        file.write(b"\xaa")
    variables = {"a": np.zeros(300), "b": np.zeros(300)}
    with pytest.raises(tb.CorruptionError):
        tb.Saver(variables).restore(path)
    assert not variables["a"].any() and not variables["b"].any()


def test_a_read_only_variable_leaves_the_others(tmp_path):
    path = tb.Saver().save({"a": np.ones(3), "b": np.ones(3)}, tmp_path / "c")
    variables = {"a": np.zeros(3), "b": np.zeros(3)}
    variables["b"].flags.writeable = False
    with pytest.raises(ValueError, match="b: a read-only array"):
        tb.Saver(variables).restore(path)
    assert not variables["a"].any()


def test_all_differences_are_told_at_once(tmp_path):
    path = tb.Saver().save({"a": np.ones(3), "b": np.ones(3)}, tmp_path / "c")
    with pytest.raises(ValueError, match=r"(?s)a: shape.*b: dtype"):
        tb.Saver({"a": np.ones(4), "b": np.ones(3, "f4")}).restore(path)


def test_reshape_takes_as_many_elements(tmp_path):
    path = tb.Saver().save({"a": np.arange(6)}, tmp_path / "c")
    target = np.zeros((2, 3), int)
    with pytest.raises(ValueError):
        tb.Saver({"a": target}).restore(path)
    tb.Saver({"a": target}, reshape=True).restore(path)
    assert target.tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError):
        tb.Saver({"a": np.zeros(7, int)}, reshape=True).restore(path)


def test_nothing_to_restore_is_told(tmp_path):
    with pytest.raises(ValueError, match="None"):
        tb.Saver({"a": 1}).restore(None)
    with pytest.raises(FileNotFoundError):
        tb.Saver({"a": 1}).restore(tmp_path / "none")


def test_no_variables_are_refused_unless_meant(tmp_path):
    with pytest.raises(ValueError, match="no variables"):
        tb.Saver({})
    assert tb.Saver({}, allow_empty=True).save(None, tmp_path / "c") is None
    assert listed(tmp_path) == []


def test_what_cannot_be_saved_is_told_at_once():
    with pytest.raises(TypeError):
        tb.Saver({"a": object()})


def test_a_sharded_save_has_a_file_per_cpu(tmp_path):
    path = tb.Saver({str(i): np.ones(99) for i in range(64)}, sharded=True).save(
        None, tmp_path / "c"
    )
    with tb.open(path) as bundle:
        assert bundle.num_shards == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("step", [5, np.int64(5), np.array(5)], ids=repr)
def test_the_step_is_in_the_name(tmp_path, step):
    assert tb.Saver({"a": 1}).save(None, tmp_path / "c", step) == str(tmp_path / "c-5")
    padded = tb.Saver({"a": 1}, pad_step_number=True).save(None, tmp_path / "c", step)
    assert padded == str(tmp_path / "c-00000005")


def test_names_that_would_collide_are_refused(tmp_path):
    saver = tb.Saver({"a": 1})
    with pytest.raises(ValueError, match="name, not a path"):
        saver.save(None, tmp_path / "c", latest_filename="x/y")
    for path, name in (("checkpoint", None), ("other", "other")):
        with pytest.raises(ValueError, match="state file"):
            saver.save(None, tmp_path / path, latest_filename=name)
    assert listed(tmp_path) == []


# ---- Rotation -----------------------------------------------------------------------------


def test_a_failed_save_removes_nothing(tmp_path, monkeypatch):
    saver = tb.Saver({"a": 1}, max_to_keep=1)
    saver.save(None, tmp_path / "c", 1)
    before = listed(tmp_path)

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "full")

    for module, broken in (
        (saver_module, "prepare"),
        (recent_checkpoints, "update_checkpoint_state"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, broken, fail)
            with pytest.raises(OSError, match="full"):
                saver.save(None, tmp_path / "c", 2)
        assert set(before) <= set(listed(tmp_path))


def test_without_state_nothing_is_removed(tmp_path):
    saver = tb.Saver({"a": 1}, max_to_keep=1)
    for step in (1, 2, 3):
        saver.save(None, tmp_path / "c", step, write_state=False)
    assert prefixes(tmp_path) == ["c-1", "c-2", "c-3"]
    assert saver.last_checkpoints == [] and "checkpoint" not in listed(tmp_path)


def test_one_path_in_two_spellings_is_not_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saver = tb.Saver({"a": 1}, max_to_keep=1)
    saver.save(None, "c")
    saver.save(None, tmp_path / "c")
    assert tb.checkpoint_exists("c")


def test_a_list_from_outside_removes_nothing_outside(tmp_path, caplog):
    tb.save(tmp_path / "other" / "c-0", {"a": 1})
    tb.save(tmp_path / "run" / "c-0", {"a": 1})
    saver = tb.Saver({"a": 1}, max_to_keep=1)
    saver.recover_last_checkpoints(
        [tmp_path / "gone", tmp_path / "other" / "c-0", tmp_path / "run" / "c-0"]
    )
    assert saver.last_checkpoints == [str(tmp_path / d / "c-0") for d in ("other", "run")]
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        for step in (1, 2):
            saver.save(None, tmp_path / "run" / "c", step)
    assert prefixes(tmp_path / "other") == ["c-0"]
    assert "c-0: not removed" in caplog.text
    assert prefixes(tmp_path / "run") == ["c-1", "c-2"]


def test_what_cannot_be_removed_does_not_fail_the_save(tmp_path, monkeypatch, caplog):
    def fail(_, spares):
        raise OSError(errno.EACCES, "no")

    monkeypatch.setattr(recent_checkpoints, "remove_bundle", fail)
    saver = tb.Saver({"a": 1}, max_to_keep=1)
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        for step in (1, 2):
            saver.save(None, tmp_path / "c", step)
    assert "c-1: an old checkpoint stays" in caplog.text


def test_the_directory_can_be_moved(tmp_path):
    tb.Saver({"a": 1}).save(None, tmp_path / "run" / "c", 1)
    os.rename(tmp_path / "run", tmp_path / "moved")
    assert tb.latest_checkpoint(tmp_path / "moved") == str(tmp_path / "moved" / "c-1")


# What is saved: a prefix, a step, the hours that pass before. Each saver differs.
OPTIONS = {
    "defaults": {},
    "two": {"max_to_keep": 2},
    "one": {"max_to_keep": 1},
    "all": {"max_to_keep": 0},
    "also all": {"max_to_keep": None},
    "every two hours": {"max_to_keep": 2, "keep_checkpoint_every_n_hours": 2},
    "every half hour": {"max_to_keep": 1, "keep_checkpoint_every_n_hours": 0.5},
    "padded": {"max_to_keep": 2, "pad_step_number": True},
    "absolute": {"max_to_keep": 2, "save_relative_paths": False},
}
SEQUENCE = [("c", 1, 0), ("c", 2, 0.7), ("c", 1, 0.7), ("c", 3, 1.5), ("d", None, 0.1),
            ("c", 4, 0.9), ("c", 10, 3), ("d", None, 0), ("c", 11, 0.2), ("c", 12, 7),
            ("c", 13, 0.4), ("c", 14, 0.4), ("c", 15, 0.4)]  # fmt: skip
TAKEN_OVER = ["nothing", "timed", "untimed"]


@pytest.mark.parametrize(("what", "taken"), [*itertools.product(OPTIONS, TAKEN_OVER)])
def test_rotation_and_state_are_tensorflows(tf, tmp_path, monkeypatch, clock, what, taken):
    from tensorflow.python.training import saver as their_module

    monkeypatch.setattr(their_module, "time", clock)
    variable = tf.Variable(1.0, name="v")
    options = {"save_relative_paths": True} | OPTIONS[what]
    ours = tb.Saver([variable], durability="none", **options)
    theirs = tf.compat.v1.train.Saver([variable], **options)
    runs = [(ours, tmp_path / "run"), (theirs, tmp_path / "run2")]
    for saver, directory in runs:
        os.makedirs(directory)
        old = [str(directory / f"old-{i}") for i in range(3)]
        for path in old:
            tb.save(path, {"v": 1.0}, durability="none")
        if taken == "timed":
            saver.set_last_checkpoints_with_time(
                [(p, clock.now + i) for i, p in enumerate(old)]
            )
        elif taken == "untimed":
            saver.set_last_checkpoints(old)
    for name, step, hours in SEQUENCE:
        clock.now += 3600 * hours
        found = []
        for saver, directory in runs:
            path = saver.save(None, str(directory / name), global_step=step)
            last = [os.path.relpath(p, directory) for p in saver.last_checkpoints]
            text = (directory / "checkpoint").read_text().replace("run2", "run")
            found.append((os.path.relpath(path, directory), last, text, prefixes(directory)))
        assert found[0] == found[1], (name, step)


def test_the_first_save_to_a_path_sweeps_what_killed_ones_left(tmp_path):
    dead = [".model-1.tensorbundle-lock", "model-1.data-00000-of-00001",
            ".checkpoint.tmp.0123456789abcdef"]  # fmt: skip
    others = [".other-1.tensorbundle-lock", "other-1.data-00000-of-00001"]
    for name in dead + others:
        (tmp_path / name).touch()
    saver = tb.Saver({"w": np.ones(3)}, durability="none")
    saver.save(None, tmp_path / "model", global_step=7)
    assert set(dead).isdisjoint(listed(tmp_path))
    assert set(others) <= set(listed(tmp_path))

"""The manager: TensorFlow's files and rotation, and what TensorFlow never had."""

from __future__ import annotations

import errno
import itertools
import logging
import math
import os

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle import rotation

from .helpers import listed

CUT_STATES = {
    "empty": b"",
    "cut": b'model_checkpoint_path: "ckp',
    "not UTF-8": b'model_checkpoint_path: "\xff"',
}


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


def state():
    return {"w": np.zeros(3), "step": np.array(0)}


def manage(directory, max_to_keep=None, *, value=None, **options):
    options.setdefault("save_options", {"durability": "none"})
    return tb.CheckpointManager(value or state(), directory, max_to_keep, **options)


def prefixes(directory):
    return [
        name.removesuffix(".index") for name in listed(directory) if name.endswith(".index")
    ]


def names(paths):
    return [os.path.basename(path) for path in paths]


# ---- Saving and restoring -----------------------------------------------------------------


def test_a_mapping_is_saved_and_restored_in_place(run):
    value = state()
    manager = manage(run, value=value)
    assert manager.latest_checkpoint is None and manager.restore_or_initialize() is None
    for step in (1, 2):
        value["w"][:] = step
        assert manager.save() == str(run / f"ckpt-{step}")
    manager.close()
    other = state()
    again = manage(run, value=other)
    assert again.restore_or_initialize() == str(run / "ckpt-2")
    assert other["w"].tolist() == [2, 2, 2]
    restored = again.restore(1)
    assert other["w"].tolist() == [1, 1, 1] and restored["w"] is other["w"]
    assert again.save() == str(run / "ckpt-3")
    assert again.all_steps() == [1, 2, 3]


def test_a_function_is_asked_for_each_save(run):
    count = itertools.count(5)
    manager = tb.CheckpointManager(lambda: {"n": next(count)}, run)
    manager.save()
    manager.save()
    assert manager.restore()["n"] == 6 and manager.restore(1)["n"] == 5


def test_models_are_restored_in_place(torch, tf, tmp_path):
    import keras

    net = torch.nn.Linear(2, 1)
    manager = manage(tmp_path / "torch", value=net)
    before = net.weight.tolist()
    manager.save()
    torch.nn.init.zeros_(net.weight)
    manager.restore()
    assert net.weight.tolist() == before
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    manager = manage(tmp_path / "keras", value=model)
    manager.save()
    model.layers[0].kernel.assign(np.zeros((2, 1)))
    manager.restore()
    assert model.layers[0].kernel.numpy().any()


def test_tensorflows_checkpoint_is_managed_and_found_by_it(tf, run):
    v = tf.Variable(1.0)
    checkpoint = tf.train.Checkpoint(v=v)
    manager = manage(run, 2, value=checkpoint)
    for step in (1, 2, 3):
        v.assign(step)
        manager.save(options=tf.train.CheckpointOptions())
    assert int(checkpoint.save_counter) == 3 and prefixes(run) == ["ckpt-2", "ckpt-3"]
    v.assign(0)
    manager.restore(2)
    assert v.numpy() == 2 and int(checkpoint.save_counter) == 2
    theirs = tf.train.CheckpointManager(checkpoint, str(run), 2)
    assert theirs.latest_checkpoint == str(run / "ckpt-3")
    assert theirs.checkpoints == manager.checkpoints


class Waiting:
    waited = 0
    synced = 0

    def write(self, prefix):
        tb.save(prefix, {"a": 1})

    def restore(self, prefix):
        return prefix

    def wait(self):
        self.waited += 1

    def sync(self):
        self.synced += 1


def test_what_is_under_way_is_waited_for(run):
    waiting = Waiting()
    with manage(run, value=waiting) as manager:
        assert manager.save() == manager.restore()
        manager.wait()
    assert (waiting.waited, waiting.synced) == (2, 0)


class Counted:
    """Something with a counter that is a plain number."""

    save_counter = 0
    fails = False

    def write(self, prefix, **options):
        tb.save(prefix, {"n": self.save_counter}, **options)
        if self.fails:
            raise OSError(errno.ENOSPC, "full")

    def restore(self, prefix):
        self.save_counter = int(tb.load(prefix)["n"])


def test_an_object_counts_its_saves(run):
    counted = Counted()
    manager = manage(run, value=counted)
    manager.save()
    assert manager.save(100) == str(run / "ckpt-100")
    assert manager.save(options={"num_shards": 2}) == str(run / "ckpt-3")
    manager.restore(100)
    assert counted.save_counter == 2
    counted.fails = True
    with pytest.raises(OSError, match="full"):
        manager.save()
    assert counted.save_counter == 2
    assert manager.latest_checkpoint == str(run / "ckpt-3")


def test_what_cannot_be_saved_is_refused(run):
    with pytest.raises(TypeError):
        tb.CheckpointManager(3, run)


def test_a_checkpoint_that_is_not_there_is_told(run):
    manager = manage(run, monitor="loss")
    for which in ("latest", "best", 7):
        with pytest.raises(FileNotFoundError, match=r"there are steps \[\]"):
            manager.restore(which)
    with pytest.raises(ValueError, match="'latest', 'best' or a step"):
        manager.restore("newest")
    with pytest.raises(ValueError, match="nothing is monitored"):
        manage(run).restore("best")


def test_steps_between_saves(run):
    value = state()
    options = {"step_counter": value["step"], "checkpoint_interval": 3}
    manager = manage(run, value=value, **options)
    saved = []
    for step in range(8):
        value["step"][...] = step
        saved.append(manager.save() is not None)
    assert saved == [True, False, False, True, False, False, True, False]
    assert manager.save(check_interval=False) and not manager.save(check_interval=False)
    manager.close()
    again = manage(run, value=value, **options)
    again.restore_or_initialize()
    assert again.save() is None


def test_a_step_whose_save_failed_is_saved_again(run, monkeypatch):
    counted = Counted()
    counted.fails = True
    manager = manage(run, value=counted, step_counter=lambda: 5, checkpoint_interval=3)
    with pytest.raises(OSError, match="full"):
        manager.save()
    counted.fails = False
    assert manager.save() is not None


def test_without_checkpoints_the_function_initializes(run):
    calls = []
    manager = manage(run, init_fn=lambda: calls.append(1))
    assert manager.restore_or_initialize() is None and calls == [1]
    manager.save()
    assert manager.restore_or_initialize() and calls == [1]


@pytest.mark.parametrize("options", [
    {"max_to_keep": 0}, {"checkpoint_interval": 3}, {"checkpoint_name": "a/b"},
    {"checkpoint_name": ""}, {"keep_best": 1}, {"monitor": "a", "best_fn": len},
    {"monitor": "a", "mode": "best"},
], ids=str)  # fmt: skip
def test_options_that_make_no_sense_are_refused(run, options):
    with pytest.raises(ValueError):
        manage(run, **options)


# ---- The best -----------------------------------------------------------------------------


def test_the_best_and_the_newest_stay(run):
    manager = manage(run, 2, monitor="loss", keep_best=2)
    for loss in (3, 1, 4, 1, math.nan, 5, 2, math.nan):
        manager.save(metrics={"loss": loss})
    assert names(manager.checkpoints) == ["ckpt-2", "ckpt-4", "ckpt-7", "ckpt-8"]
    assert prefixes(run) == ["ckpt-2", "ckpt-4", "ckpt-7", "ckpt-8"]
    assert manager.best_checkpoint == str(run / "ckpt-2")
    assert manager.metrics(7) == {"loss": 2}
    assert sum(name.endswith(".metrics.json") for name in listed(run)) == 4


def test_one_best_stays_where_something_is_monitored(run):
    manager = manage(run, 1, best_fn=lambda metrics: metrics["a"] + metrics["b"], mode="max")
    for a in (1, 5, 2, 3):
        manager.save(metrics={"a": a, "b": 1})
    assert names(manager.checkpoints) == ["ckpt-2", "ckpt-4"]
    assert manager.restore("best")


def test_a_metric_that_is_nan_is_never_the_best(run):
    manager = manage(run, monitor="loss", mode="max")
    manager.save(metrics={"loss": math.nan})
    manager.save()
    assert manager.best_checkpoint is None
    manager.save(metrics={"loss": -math.inf})
    assert manager.best_checkpoint == str(run / "ckpt-3")


def test_metrics_survive_a_resume_and_a_move(run, tmp_path, clock):
    options = {"monitor": "loss", "keep_best": 1, "keep_checkpoint_every_n_hours": 1}
    manager = manage(run, 1, **options)
    for loss in (3, 1, 2, 5):
        clock.now += 3600
        manager.save(metrics={"loss": loss})
    manager.close()
    moved = tmp_path / "moved"
    run.rename(moved)
    again = manage(moved, 1, **options)
    # Older than those that were kept for good meanwhile, and still counted.
    assert names(again.checkpoints) == ["ckpt-2", "ckpt-4"]
    assert again.best_checkpoint == str(moved / "ckpt-2")
    again.save(metrics={"loss": 0})
    assert again.best_checkpoint == str(moved / "ckpt-5")
    assert names(again.checkpoints) == ["ckpt-5"]


def test_one_kept_for_good_may_be_the_best(run):
    manager = manage(run, 1, monitor="loss", policy=tb.EveryNSteps(2))
    for loss in (5, 0, 3, 1):
        manager.save(metrics={"loss": loss})
    assert manager.best_checkpoint == str(run / "ckpt-2")
    manager.save(metrics={"loss": 4})
    assert manager.all_steps() == [2, 4, 5]


def test_a_metric_is_checked_before_anything_is_written(run):
    manager = manage(run, monitor="loss")
    for metrics in ({"los": 1.0}, {"loss": None}, {"loss": 1, "x": "?"}):
        with pytest.raises((ValueError, TypeError)):
            manager.save(metrics=metrics)
    assert not run.exists()


def test_a_replaced_checkpoint_loses_its_metrics(run):
    manager = manage(run, monitor="loss")
    manager.save(5, metrics={"loss": 1.0})
    manager.save(5)
    assert manager.metrics(5) == {} and manager.best_checkpoint is None


def test_one_that_could_not_be_replaced_keeps_its_metrics(run):
    counted = Counted()
    manager = manage(run, value=counted, monitor="loss")
    manager.save(5, metrics={"loss": 1.0})
    counted.fails = True
    with pytest.raises(OSError, match="full"):
        manager.save(5, metrics={"loss": 2.0})
    assert manager.metrics(5) == {"loss": 1.0}
    manager.close()
    assert manage(run, value=counted, monitor="loss").metrics(5) == {"loss": 1.0}


def test_numbers_with_zeros_before_them_are_others(run):
    tb.save(run / "ckpt-007", {"a": 1})
    manager = manage(run)
    assert manager.save() == str(run / "ckpt-1") and manager.all_steps() == [1]


# ---- Rules --------------------------------------------------------------------------------


def test_rules_add_up(run, clock):
    manager = manage(
        run, 1, policy=[tb.EveryNSteps(4), lambda saved: [s for s in saved if s.step == 3]],
        keep_checkpoint_every_n_hours=2,
    )  # fmt: skip
    for _ in range(8):
        clock.now += 1800
        manager.save()
    assert manager.all_steps() == [3, 4, 8]
    assert names(manager.checkpoints) == ["ckpt-3", "ckpt-8"]


def test_the_newest_stays_whatever_the_rules(run):
    manager = manage(run, policy=lambda saved: [])
    for _ in range(3):
        manager.save()
    assert manager.all_steps() == [3]


def test_a_rule_that_raises_removes_nothing_and_the_save_counts(run):
    def fail(saved):
        raise RuntimeError("rule")

    manager = manage(run, 1, policy=fail)
    for step in (1, 2):
        with pytest.raises(RuntimeError, match="rule"):
            manager.save()
        assert manager.latest_checkpoint == str(run / f"ckpt-{step}")
    assert manager.all_steps() == [1, 2]
    assert tb.latest_checkpoint(run) == str(run / "ckpt-2")


def test_a_callback_that_raises_does_not_undo_the_save(run):
    calls = []

    def fail(path):
        calls.append(path)
        raise RuntimeError("callback")

    manager = manage(run, 1, callbacks=[fail, calls.append])
    for step in (1, 2):
        with pytest.raises(RuntimeError, match="callback"):
            manager.save()
        assert calls == [str(run / f"ckpt-{step}")] * 2
        calls.clear()
    assert tb.latest_checkpoint(run) == str(run / "ckpt-2") and manager.all_steps() == [2]


# ---- What is removed, and what never ------------------------------------------------------


def test_a_failed_save_removes_nothing(run, monkeypatch):
    counted = Counted()
    manager = manage(run, 1, value=counted)
    manager.save()
    counted.fails = True
    with pytest.raises(OSError, match="full"):
        manager.save()
    counted.fails = False
    assert manager.latest_checkpoint == str(run / "ckpt-1") and 1 in manager.all_steps()

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "state")

    monkeypatch.setattr(rotation, "update_checkpoint_state", fail)
    with pytest.raises(OSError, match="state"):
        manager.save()
    assert 1 in manager.all_steps()


def test_the_new_one_is_recorded_before_old_ones_go(run, monkeypatch):
    manager = manage(run, 1)
    manager.save()
    seen = []

    def removed(prefix):
        seen.append((os.path.basename(prefix), tb.latest_checkpoint(run)))

    monkeypatch.setattr(rotation, "remove_checkpoint", removed)
    manager.save()
    assert seen == [("ckpt-1", str(run / "ckpt-2"))]


def test_other_files_stay(run):
    manager = manage(run, 1)
    manager.save()
    others = {"ckpt-1.txt", "ckpt-10.index", "ckpt-1.data-00000-of-00001.bak", "xckpt-1.index"}
    for name in others:
        (run / name).touch()
    manager.save(2)
    manager.close()
    own = {"checkpoint", "ckpt-2.index", "ckpt-2.data-00000-of-00001"}
    assert set(listed(run)) == others | own


@pytest.mark.parametrize("name", ["[a]", "*", "?", "back\\slash", "größe", "a b"])
def test_names_are_no_patterns(run, name):
    directory = run / name
    manager = manage(directory, 1, checkpoint_name=name)
    (run / "a").mkdir(parents=True)
    (run / "a" / f"{name}-1.index").touch()
    for _ in range(3):
        manager.save()
    assert prefixes(directory) == [f"{name}-3"]
    assert listed(run / "a") == [f"{name}-1.index"]


def test_a_state_file_that_leads_outside_is_followed_and_nothing_there_removed(run, tmp_path):
    for step in (1, 2):
        tb.save(tmp_path / "other" / f"ckpt-{step}", {"w": np.full(3, step), "step": step})
    tb.save(run / "ckpt-0", {"a": 1})
    paths = ["../other/ckpt-1", "ckpt-0", str(tmp_path / "other" / "ckpt-2")]
    tb.update_checkpoint_state(
        run, paths[-1], paths, all_model_checkpoint_timestamps=[1.0, 2.0, 3.0]
    )
    value = {"w": np.zeros(3, int), "step": np.array(0)}
    manager = manage(run, 1, value=value)
    assert manager.latest_checkpoint == paths[-1]
    assert manager.restore_or_initialize() == paths[-1] and value["step"] == 2
    manager.save()
    manager.save()
    assert prefixes(tmp_path / "other") == ["ckpt-1", "ckpt-2"]
    assert prefixes(run) == ["ckpt-2"]


def test_what_cannot_be_removed_is_tried_again(run, monkeypatch, caplog):
    manager = manage(run, 1)
    manager.save()
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "tensorbundle"):

        def fail(_):
            raise OSError(errno.EACCES, "no")

        patch.setattr(rotation, "remove_checkpoint", fail)
        manager.save()
    assert "ckpt-1: an old checkpoint stays" in caplog.text
    manager.save()
    assert manager.all_steps() == [3]


# ---- Resuming -----------------------------------------------------------------------------


@pytest.mark.parametrize("what", CUT_STATES)
def test_a_state_file_that_cannot_be_read_is_replaced_by_a_look_around(run, what, caplog):
    manager = manage(run, monitor="loss")
    for loss in (1, 2, 3):
        manager.save(metrics={"loss": loss})
    manager.close()
    (run / "checkpoint").write_bytes(CUT_STATES[what])
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        again = manage(run, 1, monitor="loss")
    assert str(run / "checkpoint") in caplog.text
    assert again.latest_checkpoint == str(run / "ckpt-3")
    assert again.best_checkpoint == str(run / "ckpt-1")
    # Whether they were to be kept is not known any more: so they are.
    again.save()
    again.save()
    assert again.all_steps() == [1, 2, 3, 5]


def test_a_newest_checkpoint_that_is_gone_gives_way_to_the_one_before(run, caplog):
    manager = manage(run)
    for _ in range(3):
        manager.save()
    manager.close()
    tb.remove_checkpoint(run / "ckpt-3")
    with caplog.at_level(logging.WARNING, logger="tensorbundle"):
        assert manage(run).latest_checkpoint == str(run / "ckpt-2")
    assert "ckpt-3: the newest checkpoint is gone" in caplog.text


def test_a_damaged_one_is_passed_over(run):
    manager = manage(run)
    manager.save()
    manager.save()
    assert manager.latest_valid_checkpoint() == str(run / "ckpt-2")
    os.truncate(run / "ckpt-2.data-00000-of-00001", 3)
    assert manager.latest_valid_checkpoint() == str(run / "ckpt-1")


def test_absolute_paths_of_a_moved_directory_are_found_in_it(run, tmp_path):
    tb.save(run / "ckpt-1", {"w": np.ones(3), "step": 1})
    tb.update_checkpoint_state(run, run / "ckpt-1", all_model_checkpoint_timestamps=[1.0])
    run.rename(tmp_path / "moved")
    manager = manage(tmp_path / "moved", 1)
    assert manager.restore_or_initialize() == str(tmp_path / "moved" / "ckpt-1")
    manager.save()
    assert manager.all_steps() == [2]


def test_the_second_manager_is_told(run):
    first, second = manage(run), manage(run)
    first.save()
    with pytest.raises(tb.LockedError, match="another CheckpointManager saves here"):
        second.save()
    assert first.all_steps() == [1]
    first.close()
    # It has not seen what the first made, but looks again.
    assert second.save() == str(run / "ckpt-2")
    assert names(second.checkpoints) == ["ckpt-1", "ckpt-2"]
    with pytest.raises(tb.LockedError):
        first.save()


def test_a_manager_that_is_gone_holds_nothing(run):
    with manage(run) as manager:
        manager.save()
    manager = manage(run)
    manager.save()
    manager = manage(run)
    assert manager.save() == str(run / "ckpt-3")
    manager.wait()
    manager.close()
    assert not any(name.startswith(".") for name in listed(run))


def test_a_relative_directory_will_do(run, monkeypatch):
    run.mkdir()
    monkeypatch.chdir(run)
    for directory in ("sub", "../run/other", "."):
        manager = manage(directory, 1)
        manager.save()
        manager.close()
        again = manage(directory, 1)
        assert again.latest_checkpoint == os.path.join(directory, "ckpt-1")
        again.save()
        assert again.all_steps() == [2]
        again.close()


# ---- Beside TensorFlow --------------------------------------------------------------------

OPTIONS = {
    "all": {"max_to_keep": None},
    "one": {"max_to_keep": 1},
    "three": {"max_to_keep": 3},
    "every hour": {"max_to_keep": 2, "keep_checkpoint_every_n_hours": 1},
    "every two and a half": {"max_to_keep": 1, "keep_checkpoint_every_n_hours": 2.5},
    "all, every hour": {"max_to_keep": None, "keep_checkpoint_every_n_hours": 1},
    "another name": {"max_to_keep": 2, "checkpoint_name": "gr'öße"},
}
# Hours that pass before each save, and the number that it is given.
SEQUENCE = [(0, None), (0.5, None), (0.5, None), (1.1, None), (0, 1), (2, 77), (0, None),
            (0.2, 3), (3, None), (0.9, None), ("new", None), (0.2, None), (1, None),
            (-5, None), (0.1, None), ("new", None), (0.5, None), (7, None)]  # fmt: skip


@pytest.mark.parametrize("before", ["nothing", "Checkpoint.save"])
@pytest.mark.parametrize("what", OPTIONS)
@pytest.mark.parametrize("where", ["absolute", "relative"])
def test_rotation_and_state_are_tensorflows(
    tf, tmp_path, monkeypatch, clock, what, before, where
):
    from tensorflow.python.checkpoint import checkpoint_management

    monkeypatch.setattr(checkpoint_management, "time", clock)
    monkeypatch.chdir(tmp_path)
    root = str(tmp_path) if where == "absolute" else ""
    managers = []
    for name, make in (("ours", tb.CheckpointManager), ("tf", tf.train.CheckpointManager)):
        checkpoint = tf.train.Checkpoint(v=tf.Variable(1.0))
        directory = os.path.join(root, name)
        if before != "nothing":
            for _ in range(2):
                checkpoint.save(os.path.join(directory, "ckpt"))

        def new(make=make, checkpoint=checkpoint, directory=directory):
            return make(checkpoint, directory, **OPTIONS[what])

        managers.append((new, directory))
    made = [new() for new, _ in managers]
    for hours, number in SEQUENCE:
        if hours == "new":
            made[0].close()
            made = [new() for new, _ in managers]
            continue
        clock.now += 3600 * hours
        found = []
        for manager, (_, directory) in zip(made, managers, strict=True):
            path = manager.save(number)
            with open(os.path.join(directory, "checkpoint"), "rb") as file:
                text = file.read()
            latest = manager.latest_checkpoint
            found.append(
                (names([path, latest, *manager.checkpoints]), text, prefixes(directory))
            )
        assert found[0] == found[1], (hours, number)

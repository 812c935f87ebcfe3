"""What a manager is told: refused when it is told, by its name."""

from __future__ import annotations

import numpy as np
import pytest

import tensorbundle as tb

from ..helpers import listed
from .managers import manage, state

NONE_OF_THEM = [
    ({"policy": "best"}, TypeError, r"policy must be a rule as LatestN\(3\).* not 'best'"),
    ({"policy": [tb.KeepAll(), 3]}, TypeError, "policy must be a rule"),
    ({"policy": tb.LatestN}, TypeError, "policy must be a rule"),
    ({"callbacks": print}, TypeError, "callbacks must be a sequence of functions, not <built"),
    ({"callbacks": ["x"]}, TypeError, "callbacks must be functions, not 'x'"),
    ({"saver": 3}, TypeError, "saver must be a tensorbundle.AsyncSaver or None, not 3"),
    ({"incremental": "yes"}, TypeError, "incremental must be True or False, not 'yes'"),
    ({"recycle": "yes"}, TypeError, "recycle must be True or False, not 'yes'"),
    ({"init_fn": 3}, TypeError, "init_fn must be a function or None, not 3"),
    ({"monitor": 3}, TypeError, "a metric must be a name, or a function of metrics, not 3"),
    ({"save_options": 3}, TypeError, "save_options must be a mapping, not 3"),
    ({"save_options": {"durability": "fast"}}, ValueError,
     "durability must be 'full' or 'none', not 'fast'"),
    ({"save_options": {"durabilty": "none"}}, TypeError,
     r"CheckpointManager\(save_options=\) takes no option 'durabilty'; "
     "did you mean 'durability'"),
    ({"save_options": {"num_threads": "2"}}, TypeError, "num_threads must be an int, not str"),
    ({"save_options": {"progress": 3}}, TypeError, "progress must be a function, not 3"),
    ({"save_options": {"blocking": False}}, TypeError, "takes no option 'blocking'"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error", "told"), NONE_OF_THEM)
def test_what_no_manager_takes_is_refused_when_it_is_made(run, options, error, told):
    with pytest.raises(error, match=told):
        manage(run, **options)
    assert not run.exists()


NO_SAVE = [
    ({"metrics": {"loss": None}}, TypeError, r"metrics\['loss'\] must be a number, not None"),
    ({"metrics": {"loss": "x"}}, ValueError, r"metrics\['loss'\] must be a number, not 'x'"),
    ({"metrics": {"loss": np.ones(2)}}, TypeError, r"metrics\['loss'\] must be a number"),
    ({"metrics": 0.5}, TypeError, "metrics must be a mapping from name to number, not 0.5"),
    ({"metrics": 0.0}, TypeError, "metrics must be a mapping"),
    ({"checkpoint_number": -1}, ValueError, "checkpoint_number must not be negative"),
    ({"checkpoint_number": "x"}, ValueError, "checkpoint_number must be an integer.* not 'x'"),
    ({"checkpoint_number": lambda: None}, TypeError, "must be an integer.* not None"),
    ({"incremental": "yes"}, TypeError, "incremental must be True or False, not 'yes'"),
    ({"options": 3}, TypeError, "options must be a mapping, not int"),
    ({"options": {"durabilty": "none"}}, TypeError,
     "tensorbundle.save takes no option 'durabilty'; did you mean 'durability'"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error", "told"), NO_SAVE)
def test_what_no_save_takes_leaves_nothing(run, options, error, told):
    manager = manage(run)
    with pytest.raises(error, match=told):
        manager.save(**options)
    assert manager.all_steps() == [] and not [n for n in run.glob("*") if n.name[0] != "."]


def test_a_tensor_of_several_numbers_is_no_metric(run, torch):
    with pytest.raises(ValueError, match=r"metrics\['loss'\] must be a number"):
        manage(run).save(metrics={"loss": torch.ones(2)})


@pytest.mark.parametrize("found", [None, [3], 3], ids=repr)
def test_a_rule_that_chooses_no_checkpoints_is_told_and_nothing_is_removed(run, found):
    manager = manage(run, policy=lambda checkpoints: found)
    with pytest.raises(TypeError, match=r"policy <function .* must give checkpoints to keep"):
        manager.save()
    assert manager.latest_checkpoint == str(run / "ckpt-1")
    assert "ckpt-1.index" in listed(run)


def test_options_that_are_right_are_taken(run):
    options = {"durability": "none", "num_shards": 2, "progress": print, "incremental": False}
    manager = tb.CheckpointManager(
        state(), run, save_options=options, incremental=np.False_, callbacks=iter([len]),
        policy=(tb.LatestN(1),), checkpoint_interval=None,
    )  # fmt: skip
    manager.save(np.int64(0), metrics={"loss": np.float32(1)})
    assert manager.all_steps() == [0]

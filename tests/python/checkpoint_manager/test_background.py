"""Saves in the background: recorded when durable, in order, and never lost silently."""

from __future__ import annotations

import signal
from concurrent.futures import CancelledError

import numpy as np
import pytest

import tensorbundle as tb

from ..helpers import Gate, listed, run_python
from .managers import Counted, manage, names, prefixes, state

CALLS = {
    "save": lambda manager: manager.save(),
    "restore": lambda manager: manager.restore(),
    "restore_or_initialize": lambda manager: manager.restore_or_initialize(),
    "wait": lambda manager: manager.wait(),
    "close": lambda manager: manager.close(),
}


def fail(done, total):
    raise OSError(28, "full")


def begin(manager, **options):
    return manager.save(options=options, blocking=False)


def test_it_is_recorded_when_it_is_durable(run):
    told = []
    value = state()
    manager = manage(run, 1, value=value, monitor="loss", callbacks=[told.append])
    value["w"][:] = 1
    manager.save(metrics={"loss": 2})
    gate, before = Gate(), listed(run)
    value["w"][:] = 2
    handle = manager.save(options={"progress": gate}, metrics={"loss": 1}, blocking=False)
    assert gate.reached.wait(30)
    value["w"][:] = 3
    assert handle.prefix == str(run / "ckpt-2") and not handle.done()
    for latest in (manager.latest_checkpoint, tb.latest_checkpoint(run)):
        assert latest == str(run / "ckpt-1")
    assert manager.all_steps() == [1] and manager.best_checkpoint == str(run / "ckpt-1")
    assert told == [str(run / "ckpt-1")]
    assert [name for name in listed(run) if not name.startswith(".ckpt-2")] == before
    gate.open.set()
    assert handle.result().tensor_bytes == 32
    assert manager.latest_checkpoint == tb.latest_checkpoint(run) == str(run / "ckpt-2")
    assert manager.best_checkpoint == told[1] == str(run / "ckpt-2")
    assert prefixes(run) == ["ckpt-2"] and manager.metrics(2) == {"loss": 1}
    assert manager.restore()["w"].tolist() == [2, 2, 2]


@pytest.mark.parametrize("what", CALLS)
def test_the_next_call_waits_for_it(run, monkeypatch, what):
    value = state()
    manager = manage(run, value=value)
    gate = Gate()
    value["w"][:] = 1
    handle = begin(manager, progress=gate)
    value["w"][:] = 2
    gate.open_at(monkeypatch, tb.SaveHandle, "wait")
    CALLS[what](manager)
    assert handle.done() and manager.all_steps()[0] == 1
    if what.startswith("restore"):
        assert value["w"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("what", CALLS)
def test_its_error_comes_from_the_next_call_and_nothing_has_happened(run, what):
    counted = tb.Checkpoint(w=np.zeros(3))
    manager = manage(run, value=counted)
    manager.save()
    before = (run / "checkpoint").read_bytes()
    assert begin(manager, progress=fail).wait()
    with pytest.raises(OSError, match="full"):
        CALLS[what](manager)
    assert counted.save_counter == 1 and manager.all_steps() == [1]
    assert (run / "checkpoint").read_bytes() == before
    # Told once; and the number is given again.
    assert manager.save() == str(run / "ckpt-2")
    manager.close()


def test_an_error_that_was_asked_for_is_not_told_again(run):
    manager = manage(run)
    handle = begin(manager, progress=fail)
    with pytest.raises(OSError, match="full"):
        handle.result()
    assert manager.save() == str(run / "ckpt-1")


def test_the_lock_is_given_back_whatever_the_save_did(run):
    manager = manage(run)
    begin(manager, progress=fail)
    with pytest.raises(OSError, match="full"):
        manager.close()
    assert manage(run).save() == str(run / "ckpt-1")


def test_steps_between_saves_do_not_wait(run):
    value = state()
    manager = manage(run, value=value, step_counter=value["step"], checkpoint_interval=2)
    gate = Gate()
    handle = begin(manager, progress=gate)
    value["step"][...] = 1
    assert manager.save(blocking=False) is None and not handle.done()
    gate.open.set()
    handle.result()
    value["step"][...] = 2
    assert begin(manager, progress=fail).wait()
    value["step"][...] = 3
    # Not due yet, but told; and then the step that is missing is made up for.
    with pytest.raises(OSError, match="full"):
        manager.save(blocking=False)
    assert manager.save(blocking=False).prefix == str(run / "ckpt-2")
    manager.close()


def test_one_that_is_cancelled_leaves_everything(run, monkeypatch):
    manager = manage(run, monitor="loss")
    manager.save(7, metrics={"loss": 1.0})
    before = {name: (run / name).read_bytes() for name in listed(run) if name[0] != "."}
    gate = Gate()
    handle = manager.save(7, options={"progress": gate}, metrics={"loss": 0}, blocking=False)
    assert gate.reached.wait(30)
    gate.open_at(monkeypatch, tb.SaveHandle, "wait")
    assert handle.cancel()
    manager.wait()
    after = {name: (run / name).read_bytes() for name in listed(run) if name[0] != "."}
    assert after == before and manager.metrics(7) == {"loss": 1.0}
    with pytest.raises(CancelledError):
        handle.result()


def test_ctrl_c_while_closing_waits_leaves_the_lock_to_the_save(run, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    manager, gate = manage(run), Gate()
    begin(manager, progress=gate)
    with monkeypatch.context() as patch:
        patch.setattr(tb.SaveHandle, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            manager.close()
    with pytest.raises(tb.LockedError):
        manage(run).save()
    gate.open.set()
    manager.close()
    assert manage(run).save() == str(run / "ckpt-2")


@pytest.mark.parametrize("what", ["wait", "restore", "save"])
def test_a_callback_cannot_wait_for_its_own_save(run, what):
    manager = manage(run, callbacks=[lambda _: CALLS[what](manager)])
    gate = Gate()
    handle = begin(manager, progress=gate)
    gate.open.set()
    with pytest.raises(RuntimeError, match="cannot"):
        handle.result()
    assert manager.latest_checkpoint == str(run / "ckpt-1")
    manager.close()


@pytest.mark.parametrize("what", ["callback", "rule"])
def test_what_a_callback_or_a_rule_raises_does_not_undo_it(run, what):
    def raises(_):
        raise RuntimeError(what)

    options = {"callbacks": [raises]} if what == "callback" else {"policy": raises}
    manager = manage(run, **options)
    handle = manager.save(blocking=False)
    with pytest.raises(RuntimeError, match=what):
        handle.result()
    assert manager.latest_checkpoint == tb.latest_checkpoint(run) == str(run / "ckpt-1")
    manager.wait()
    handle = manager.save(blocking=False)
    assert handle.prefix == str(run / "ckpt-2")
    with pytest.raises(RuntimeError, match=what):
        manager.close()


def test_models_and_functions_are_copied(torch, run):
    net = torch.nn.Linear(2, 1)
    manager = manage(run / "torch", value=net)
    before = net.weight.tolist()
    manager.save(blocking=False)
    torch.nn.init.zeros_(net.weight)
    manager.restore()
    assert net.weight.tolist() == before
    held = np.ones(3)
    manager = manage(run / "function", value=lambda: {"a": held})
    manager.save(blocking=False)
    held[:] = 2
    assert manager.restore()["a"].tolist() == [1, 1, 1]


def test_what_can_only_write_itself_is_refused_and_nothing_counted(run):
    counted = Counted()
    manager = manage(run, value=counted)
    with pytest.raises(TypeError, match="a Counted writes itself"):
        manager.save(blocking=False)
    assert counted.save_counter == 0
    assert manager.save() == str(run / "ckpt-1")


def test_a_saver_of_ones_own_bounds_the_memory(run):
    with tb.AsyncSaver(max_bytes=0) as saver:
        handle = manage(run, saver=saver).save(blocking=False)
        assert handle.staged.result().borrowed_bytes == 32
        handle.result()


def test_many_in_a_row_are_those_of_a_loop_that_waits(run, clock):
    options = {"max_to_keep": 2, "keep_checkpoint_every_n_hours": 1}
    left = []
    for blocking in (True, False):
        value, directory = state(), run / str(blocking)
        clock.now = 1e9
        with manage(directory, value=value, **options) as manager:
            for step in range(9):
                manager.wait()  # as the clock is read when a save is recorded
                clock.now += 1800
                value["w"][:] = step
                manager.save(blocking=blocking)
        left.append((names(manager.checkpoints), prefixes(directory)))
        left[-1] += ((directory / "checkpoint").read_bytes(), manager.restore(9)["w"].tolist())
    assert left[0] == left[1]


PROGRAM = """
    import os, signal, sys, numpy as np, tensorbundle as tb
    from tensorbundle import checkpoint_state, metrics_file, rotation

    run, point = sys.argv[1:]
    w = np.zeros(1000)
    manager = tb.CheckpointManager({"w": w}, run, 1, monitor="loss", keep_best=1)
    manager.save(metrics={"loss": 2})
    w[:] = 1

    def killed(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    def killed_after(function):
        return lambda *arguments, **options: (function(*arguments, **options), killed())

    def killed_before_rename(path, *_, **__):
        directory, name = os.path.split(path)
        open(os.path.join(directory, f".{name}.tmp.0123456789abcdef"), "w").close()
        killed()

    if point == "published":
        rotation.Rotation.add = killed
    elif point == "metrics":
        metrics_file.replace_file = killed_before_rename
    elif point == "state":
        checkpoint_state.replace_file = killed_before_rename
    elif point == "named":
        checkpoint_state.replace_file = killed_after(checkpoint_state.replace_file)
        rotation.write_metrics = lambda *_, **__: None
    elif point == "removing":
        rotation.remove_bundle = killed
    elif point == "removed":
        rotation.remove_bundle = killed_after(rotation.remove_bundle)
    progress = killed if point == "writing" else None
    handle = manager.save(
        metrics={"loss": 1}, options={"progress": progress}, blocking=False
    )
    if point != "exit":
        handle.result()
        raise AssertionError("not killed")
"""


@pytest.mark.parametrize(("point", "newest"), {
    "writing": 1, "published": 1, "metrics": 1, "state": 1, "named": 2, "removing": 2,
    "removed": 2,
}.items())  # fmt: skip
def test_a_kill_leaves_a_sound_checkpoint_that_the_state_file_names(run, point, newest):
    killed = run_python(PROGRAM, run, point, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert tb.latest_checkpoint(run) == str(run / f"ckpt-{newest}")
    assert tb.verify(run / f"ckpt-{newest}").ok
    value = {"w": np.zeros(1000)}
    with manage(run, value=value, max_to_keep=1) as manager:
        assert manager.restore_or_initialize() == str(run / f"ckpt-{newest}")
        assert value["w"][0] == newest - 1
        assert tb.verify(manager.save(blocking=False).result().prefix).ok
    assert not any(name.startswith((".checkpoint", ".ckpt-2.m")) for name in listed(run))


def test_the_interpreters_exit_waits_until_it_is_recorded(run):
    run_python(PROGRAM, run, "exit")
    assert tb.latest_checkpoint(run) == str(run / "ckpt-2")
    assert prefixes(run) == ["ckpt-2"] and listed(run)[0][0] != "."


def test_the_interpreters_exit_tells_its_error(run):
    code = """
        import sys, numpy as np, tensorbundle as tb

        def fail(done, total):
            raise OSError(28, "full")

        manager = tb.CheckpointManager({"w": np.zeros(3)}, sys.argv[1])
        manager.save(options={"progress": fail}, blocking=False)
    """
    assert "full" in run_python(code, run, check=False).stderr
    assert prefixes(run) == []


def test_a_forked_child_does_not_wait_for_it(run):
    run_python(
        """
        import os, sys, threading, numpy as np, tensorbundle as tb

        go_on, reached = threading.Event(), threading.Event()

        def hold(done, total):
            reached.set()
            go_on.wait(30)

        manager = tb.CheckpointManager({"w": np.zeros(3)}, sys.argv[1])
        handle = manager.save(options={"progress": hold}, blocking=False)
        assert reached.wait(30)
        child = os.fork()
        if child == 0:
            manager.wait()
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        go_on.set()
        handle.result()
        """,
        run,
    )
    assert prefixes(run) == ["ckpt-1"]

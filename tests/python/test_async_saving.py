"""Saves in the background: what the caller may do when, and where errors surface."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle.core import _core
from tensorbundle.worker import Worker

from .helpers import Gate, assert_all_same, listing, run_program
from .reliability.steps import Steps

MIB = 1 << 20


def model(seed=0, mib=24):
    random = np.random.default_rng(seed)
    return {
        "large": random.standard_normal(mib * MIB // 8),
        "strided": random.integers(0, 255, (1000, 70), np.uint8).T,
        "step": 3,
        "name": np.array(b"run", dtype=object),
        **{f"small{i}": np.full(i, i, np.int16) for i in range(50)},
    }


def spoil(tensors):
    for value in tensors.values():
        if isinstance(value, np.ndarray):
            value.fill(77)


@pytest.fixture
def saver():
    with tb.AsyncSaver() as made:
        yield made


def test_what_is_saved_is_what_was_there_when_the_call_returned(prefix, saver):
    tensors, kept = model(), model()
    handle = saver.save(prefix, tensors)
    spoil(tensors)
    report = handle.result()
    assert_all_same(tb.load(prefix), kept)
    assert report.tensor_bytes == handle.staged.result().copied_bytes + sum(
        tb.open(prefix).entry(name).size for name in ["name"]
    )


def test_tensors_may_change_while_they_are_being_written(prefix, saver):
    gate = Gate()
    tensors, kept = model(), model()
    handle = saver.save(prefix, tensors, progress=gate)
    assert gate.reached.wait(30)
    assert not handle.done()
    assert handle.staged.done()
    spoil(tensors)
    gate.open.set()
    handle.result()
    assert_all_same(tb.load(prefix), kept)


@pytest.mark.parametrize("max_bytes", [0, 1000, 10 * MIB])
@pytest.mark.parametrize("backend", ["buffered", "auto"])
def test_what_does_not_fit_is_written_before_the_call_returns(prefix, max_bytes, backend):
    with tb.AsyncSaver(max_bytes=max_bytes) as saver:
        for seed in range(3):
            tensors, kept = model(seed), model(seed)
            handle = saver.save(prefix, tensors, backend=backend, num_shards=2)
            spoil(tensors)
            handle.result()
            assert_all_same(tb.load(prefix), kept)
            staged = handle.staged.result()
            assert staged.borrowed_bytes >= 24 * MIB
            assert staged.copied_bytes <= max_bytes


@pytest.mark.parametrize("max_bytes", [None, 1000])
def test_the_copy_may_be_made_beside_the_callers_work(prefix, monkeypatch, max_bytes):
    copy, go_on = _core.take_snapshot, threading.Event()
    monkeypatch.setattr(_core, "take_snapshot", lambda *a: go_on.wait(30) and copy(*a))
    with tb.AsyncSaver(max_bytes=max_bytes, overlap=True) as saver:
        tensors, kept = model(), model()
        handle = saver.save(prefix, tensors)
        assert not handle.staged.done()
        go_on.set()
        staged = handle.staged.result(30)
        spoil(tensors)
        assert (staged.borrowed_bytes > 0) == (max_bytes is not None)
        handle.result()
        assert_all_same(tb.load(prefix), kept)


def test_a_copy_that_fails_in_the_background_is_told(prefix, monkeypatch):
    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(_core, "take_snapshot", fail)
    saver = tb.AsyncSaver(overlap=True)
    handle = saver.save(prefix, model())
    with pytest.raises(MemoryError, match="no room"):
        handle.staged.result(30)
    with pytest.raises(MemoryError, match="no room"):
        saver.close()
    assert listing(prefix) == []


def test_what_fails_while_memory_is_borrowed_lets_go_of_it(tmp_path):
    saver = tb.AsyncSaver(max_bytes=0, overlap=True)
    handle = saver.save(failing(tmp_path), model())
    assert handle.staged.result(30).borrowed_bytes > 0
    with pytest.raises(NotADirectoryError):
        handle.result()
    saver.close()


@pytest.mark.parametrize("fails", ["copy", "write"])
def test_a_save_that_has_failed_keeps_no_tensor_alive(prefix, monkeypatch, fails):
    def fail(*_):
        raise MemoryError(fails)

    if fails == "copy":
        monkeypatch.setattr(_core, "take_snapshot", fail)
    tensors = {"a": np.ones(MIB)}
    held = weakref.ref(tensors["a"])
    with tb.AsyncSaver(max_bytes=0, overlap=True) as saver:
        handle = saver.save(prefix, tensors, progress=fail)
        tensors.clear()
        with pytest.raises(MemoryError, match=fails) as raised:
            handle.result()
        assert held() is None
        assert raised.value.__traceback__ is not None


def test_memory_for_copies_is_reused_and_bounded(prefix, saver):
    saver.save(prefix, model())
    arena = saver._arena.memory
    saver.save(prefix, model(1)).result()
    assert saver._arena.memory is arena
    saver.save(prefix, {"a": 1}).result()
    assert saver._arena.memory is arena
    saver.save(prefix, model(2, mib=48)).result()
    assert arena.size < saver._arena.memory.size < 50 * MIB


def test_one_save_at_a_time(prefix, saver):
    gate = Gate()
    first = saver.save(prefix, model(1), progress=gate)
    handles = []
    second = threading.Thread(target=lambda: handles.append(saver.save(prefix, model(2))))
    second.start()
    assert gate.reached.wait(30)
    assert not handles
    gate.open.set()
    second.join()
    assert first.done()
    handles[0].result()
    assert_all_same(tb.load(prefix), model(2))


@pytest.mark.parametrize("how", ["save", "close"])
def test_ctrl_c_while_waiting_for_a_save_leaves_its_copies_alone(prefix, monkeypatch, how):
    saver = tb.AsyncSaver()
    gate = Gate()
    first = saver.save(prefix, model(1), progress=gate)
    assert gate.reached.wait(30)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "drain", interrupt)
        with pytest.raises(KeyboardInterrupt):
            saver.close() if how == "close" else saver.save(prefix, model(2))
    assert saver._arena.memory.size > 24 * MIB
    threading.Thread(target=gate.open.set).start()
    if how == "save":
        saver.save(f"{prefix}-2", model(3)).result()
        assert first.done()
    saver.close()
    assert saver._arena.memory.size == 0
    assert_all_same(tb.load(prefix), model(1))


def test_the_short_way_uses_one_saver_for_the_process(prefix):
    kept = model()
    handle = tb.save(prefix, model(), blocking=False)
    assert isinstance(handle, tb.SaveHandle)
    assert isinstance(handle.result(), tb.SaveReport)
    assert handle.wait()
    assert "ended" in repr(handle)
    assert_all_same(tb.load(prefix), kept)


def test_a_bad_argument_is_told_at_once(prefix, saver):
    with pytest.raises(ValueError, match="num_shards"):
        saver.save(prefix, model(), num_shards=0)
    with pytest.raises(TypeError, match="cannot save"):
        saver.save(prefix, {"a": object()})
    assert listing(prefix) == []
    with pytest.raises(ValueError, match="max_bytes"):
        tb.AsyncSaver(max_bytes=-1)
    with pytest.raises(
        TypeError, match="max_bytes must be an int, of bytes, or None, not '1GB'"
    ):
        tb.AsyncSaver(max_bytes="1GB")


def failing(tmp_path):
    """Give a prefix that cannot be saved to: its directory is a file."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "x"


def test_an_error_comes_from_result_and_only_once(tmp_path, prefix, saver):
    handle = saver.save(failing(tmp_path), model())
    with pytest.raises(NotADirectoryError):
        handle.result()
    saver.save(prefix, model()).result()


@pytest.mark.parametrize("how", ["save", "wait", "close"])
def test_an_error_that_nobody_asked_for_comes_from_the_next_call(tmp_path, prefix, how):
    saver = tb.AsyncSaver()
    saver.save(failing(tmp_path), model()).wait()
    with pytest.raises(NotADirectoryError):
        {
            "save": lambda: saver.save(prefix, model()),
            "wait": saver.wait,
            "close": saver.close,
        }[how]()
    assert not os.path.exists(f"{prefix}.index")
    saver.close()
    saver.close()
    with pytest.raises(ValueError, match="closed"):
        saver.save(prefix, model())


def test_cancel_leaves_the_old_checkpoint(prefix, saver, monkeypatch):
    tb.save(prefix, model(1))
    before = listing(prefix)
    gate = Gate()
    handle = saver.save(prefix, model(2), progress=gate)
    assert gate.reached.wait(30)
    gate.open_at(monkeypatch, tb.SaveHandle, "wait")
    assert handle.cancel()
    with pytest.raises(CancelledError):
        handle.result()
    assert listing(prefix) == before
    assert_all_same(tb.load(prefix), model(1))
    saver.wait()  # a cancelled save is no error


def test_cancel_after_the_end_is_too_late(prefix, saver):
    handle = saver.save(prefix, model())
    handle.result()
    assert not handle.cancel()


def test_a_result_may_be_waited_for_with_a_limit(prefix, saver):
    gate = Gate()
    handle = saver.save(prefix, model(), progress=gate)
    assert not handle.wait(timeout=0.01)
    assert "under way" in repr(handle)
    gate.open.set()
    assert handle.wait()


def test_the_interpreters_exit_waits_for_the_save(prefix):
    done = run_program(f"""
        import numpy as np, tensorbundle as tb
        tb.save({str(prefix)!r}, {{"a": np.arange(8 << 20)}}, blocking=False)
    """)
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_array_equal(tb.load(prefix)["a"], np.arange(8 << 20))


def test_the_interpreters_exit_tells_an_error(tmp_path):
    done = run_program(f"""
        import numpy as np, tensorbundle as tb
        tb.save({str(failing(tmp_path))!r}, {{"a": np.arange(1 << 20)}}, blocking=False)
    """)
    assert "NotADirectoryError" in done.stderr


def test_a_forked_child_has_savers_of_its_own(prefix, tmp_path):
    done = run_program(f"""
        import os, numpy as np, tensorbundle as tb
        saver = tb.AsyncSaver()
        saver.save({str(prefix)!r}, {{"a": np.arange(1 << 20)}})
        tb.save({str(tmp_path / "p")!r}, {{"a": 1}}, blocking=False)
        child = os.fork()
        if child == 0:
            try:
                saver.save("x", {{}})
            except RuntimeError as error:
                assert "parent process" in str(error)
                tb.save({str(tmp_path / "c")!r}, {{"a": 2}}, blocking=False).result()
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert tb.load(tmp_path / "c")["a"] == 2
    assert tb.load(tmp_path / "p")["a"] == 1


def test_ctrl_c_while_memory_is_borrowed_cancels_the_save(prefix):
    done = run_program(f"""
        import os, signal, threading, numpy as np, tensorbundle as tb
        from tensorbundle.core import _core
        from tensorbundle.worker import Worker
        signal.signal(signal.SIGINT, signal.default_int_handler)
        wait, drain, main = _core.Latch.wait, Worker.drain, threading.get_ident()
        def interrupted(latch, seconds):
            if seconds == 0 or threading.get_ident() != main:
                return wait(latch, seconds)
            _core.Latch.wait = wait
            os.kill(os.getpid(), signal.SIGINT)
            return False
        saver, go_on = tb.AsyncSaver(max_bytes=0), threading.Event()
        def cancelled(worker):
            go_on.set()
            drain(worker)
        def begin(worker, job, do=Worker.do):
            _core.Latch.wait, Worker.drain = interrupted, cancelled
            do(worker, job)
        Worker.do = begin
        try:
            saver.save(
                {str(prefix)!r}, {{"a": np.arange(8 << 20)}},
                progress=lambda done, total: go_on.wait(30),
            )
        except KeyboardInterrupt:
            saver.close()
        else:
            raise AssertionError("not interrupted")
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert listing(prefix) == []


def test_the_end_of_a_forked_worker_process_waits_for_its_saves(tmp_path):
    done = run_program(f"""
        import multiprocessing, numpy as np, tensorbundle as tb

        def train(number):
            saver = tb.AsyncSaver()
            saver.save(f"{{{str(tmp_path)!r}}}/{{number}}", {{"a": np.arange(1 << 22)}})

        tb.save({str(tmp_path / "first")!r}, {{"a": 1}}, blocking=False)
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=train, args=(number,)) for number in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
    """)
    assert (done.returncode, done.stderr) == (0, "")
    for number in range(2):
        assert tb.verify(tmp_path / str(number)).ok


# ---- What must not wait for ever ----------------------------------------------------------


ASKS = {
    "handle.wait": lambda saver, handle: handle.wait(),
    "handle.result": lambda saver, handle: handle.result(),
    "handle.cancel": lambda saver, handle: handle.cancel(),
    "durable.result": lambda saver, handle: handle.durable.result(),
    "wait": lambda saver, handle: saver.wait(),
    "drain": lambda saver, handle: saver.drain(),
    "close": lambda saver, handle: saver.close(),
    "save": lambda saver, handle: saver.save(handle.prefix, model()),
}


@pytest.mark.parametrize("what", ASKS)
def test_a_save_cannot_wait_for_its_own_end(prefix, what):
    gate, handles = Gate(), []

    def progress(done, total):
        gate(done, total)
        ASKS[what](saver, handles[0])

    with tb.AsyncSaver() as saver:
        handles.append(saver.save(prefix, model(), progress=progress))
        gate.open.set()
        with pytest.raises(RuntimeError, match="cannot"):
            handles[0].result()
        assert listing(prefix) == []
        saver.save(prefix, model(1)).result()


@pytest.mark.parametrize("raises", [ValueError, SystemExit, KeyboardInterrupt])
def test_what_a_callback_of_a_future_raises_is_logged(prefix, saver, caplog, raises):
    def fail(_):
        raise raises("of the callback")

    called = []
    gate = Gate()
    handle = saver.save(prefix, model(), progress=gate)
    for callback in (fail, called.append):
        handle.durable.add_done_callback(callback)
    gate.open.set()
    saver.wait()
    assert called == [handle.durable]
    assert "of the callback" in caplog.text
    saver.save(prefix, model(1)).result()


def test_nobody_cancels_the_copy_by_its_future(prefix, monkeypatch):
    copy, go_on = _core.take_snapshot, threading.Event()
    monkeypatch.setattr(_core, "take_snapshot", lambda *a: go_on.wait(30) and copy(*a))
    with tb.AsyncSaver(overlap=True) as saver:
        handle = saver.save(prefix, model())
        assert not handle.staged.cancel()
        go_on.set()
        handle.result()
    assert handle.staged.result(0).copied_bytes > 24 * MIB


def test_who_asks_a_save_under_way_holds_no_lock_that_its_end_needs(prefix, monkeypatch):
    # Ctrl-C would leave it held: bugs.python.org/issue29988.
    copy, go_on = _core.take_snapshot, threading.Event()
    monkeypatch.setattr(_core, "take_snapshot", lambda *a: go_on.wait(30) and copy(*a))
    with tb.AsyncSaver(overlap=True) as saver:
        handle = saver.save(prefix, model())
        with monkeypatch.context() as patch:
            for future in (handle.staged, handle.durable):
                patch.setattr(future, "_condition", None)
                assert not future.done() and future.running() and not future.cancelled()
                with pytest.raises(FutureTimeoutError):
                    future.result(0.001)
                with pytest.raises(FutureTimeoutError):
                    future.exception(0)
            assert not handle.done() and not handle.wait(0)
        go_on.set()
        handle.result()


@pytest.mark.parametrize("what", ["save", "wait", "close"])
def test_a_signal_handler_is_told_that_it_has_interrupted_the_saver(prefix, monkeypatch, what):
    def handler(*_):
        with pytest.raises(RuntimeError, match="signal handler"):
            ASKS[what](saver, handle)
        told.append(what)

    def interrupted(*arguments):
        if not told:
            signal.raise_signal(signal.SIGUSR1)
        return copy(*arguments)

    told, copy = [], _core.take_snapshot
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with tb.AsyncSaver() as saver:
            handle = saver.save(prefix, {"a": 1})
            monkeypatch.setattr(_core, "take_snapshot", interrupted)
            saver.save(prefix, model()).result()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert told == [what]
    assert_all_same(tb.load(prefix), model())


@pytest.mark.parametrize("max_bytes", [None, 0])
def test_what_a_signal_handler_raises_comes_out_of_save_as_it_is(prefix, max_bytes):
    class FromHandlerError(Exception):
        pass

    steps, tensors = 1, {"a": np.ones(3)}
    with tb.AsyncSaver(max_bytes=max_bytes) as saver:
        saver.save(prefix, tensors, durability="none")
        while Steps(steps, FromHandlerError).interrupt(
            lambda: saver.save(prefix, tensors, durability="none")
        ):
            saver.wait()
            steps += 1
    assert steps > 50
    assert threading.main_thread().is_alive()  # which Ctrl-C may make Python forget


def test_a_forked_child_cannot_wait_for_its_parents_save(prefix):
    done = run_program(f"""
        import os, threading, tensorbundle as tb
        saver, go_on = tb.AsyncSaver(), threading.Event()
        ended = saver.save({str(prefix)!r}, {{"a": 1}})
        ended.result()
        handle = saver.save({str(prefix)!r}, {{"a": 2}}, progress=lambda *_: go_on.wait(30))
        child = os.fork()
        if child == 0:
            ended.result()
            for ask in (handle.wait, handle.result, handle.cancel, handle.durable.result):
                try:
                    ask()
                except RuntimeError as error:
                    assert "parent" in str(error)
                else:
                    os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        go_on.set()
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert tb.load(prefix)["a"] == 2


# ---- The interpreter's exit ----------------------------------------------------------------


def test_the_exit_waits_where_ctrl_c_has_ended_the_wait_of_close(prefix):
    done = run_program(f"""
        import threading, tensorbundle as tb
        from tensorbundle.worker import Worker
        saver, go_on = tb.AsyncSaver(), threading.Event()
        saver.save({str(prefix)!r}, {{"a": 1}}, progress=lambda *_: go_on.wait(30))
        drain = Worker.drain
        def interrupt(worker):
            Worker.drain = at_exit
            raise KeyboardInterrupt
        def at_exit(worker):
            go_on.set()
            drain(worker)
        Worker.drain = interrupt
        try:
            saver.close()
        except KeyboardInterrupt:
            pass
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert tb.load(prefix)["a"] == 1


def test_a_save_that_begins_while_the_interpreter_ends_is_waited_for(prefix):
    done = run_program(f"""
        import atexit, numpy as np, tensorbundle as tb
        # Called after the exit of the process' saver, which is younger.
        atexit.register(
            lambda: tb.save({str(prefix)!r}, {{"a": np.ones(4 << 20)}}, blocking=False)
        )
        tb.save({str(prefix) + "-first"!r}, {{"a": 1}}, blocking=False)
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert tb.load(prefix)["a"].sum() == 4 << 20


def test_destructors_at_the_very_end_may_wait_and_save(prefix):
    done = run_program(f"""
        import builtins, numpy as np, tensorbundle as tb
        from tensorbundle.saving import prepare
        class AtTheEnd:
            def __del__(self):
                self.saver.wait()
                self.saver.close()
                self.pending.run()
        builtins.kept = kept = AtTheEnd()
        kept.saver = tb.AsyncSaver()
        kept.saver.save({str(prefix) + "-first"!r}, {{"a": 1}}).result()
        kept.pending = prepare({str(prefix)!r}, {{"a": np.arange(1 << 20)}})
        del kept
    """)
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_array_equal(tb.load(prefix)["a"], np.arange(1 << 20))

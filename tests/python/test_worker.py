"""The thread that saves in the background."""

from __future__ import annotations

import gc
import os
import threading
import weakref

import numpy as np
import pytest

from tensorbundle.worker import Worker

from .helpers import names_in


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.stop()


def test_jobs_are_done_in_their_order_on_one_other_thread(worker):
    done = []
    for number in range(100):
        worker.do(lambda number=number: done.append((number, threading.get_ident())))
    worker.drain()
    assert [number for number, _ in done] == list(range(100))
    assert len({ident for _, ident in done}) == 1
    assert done[0][1] != threading.get_ident()


def test_what_a_job_holds_is_let_go_before_the_next_comes(worker):
    tensor = np.zeros(10)
    held = weakref.ref(tensor)
    worker.do(lambda tensor=tensor: tensor.sum())
    del tensor
    worker.drain()
    assert held() is None


def test_stopping_ends_the_thread_and_may_be_said_again():
    before = names_in("/proc/self/task")
    worker, done = Worker(), []
    worker.do(lambda: done.append(1))
    worker.stop()
    worker.stop()
    worker.do(lambda: done.append(2))
    worker.drain()
    assert done == [1]
    assert_ends(before)


@pytest.mark.parametrize("raises", [ValueError, SystemExit])
def test_a_job_that_fails_is_logged_and_the_next_is_done(worker, caplog, raises):
    def fail():
        raise raises("of the job")

    done = []
    for job in (fail, lambda: done.append(1)):
        worker.do(job)
    worker.drain()
    assert done == [1] and "of the job" in caplog.text


@pytest.mark.parametrize("what", [Worker.drain, Worker.stop, Worker.check_wait])
def test_a_job_cannot_wait_for_its_own_end(worker, caplog, what):
    worker.do(lambda: what(worker))
    worker.drain()
    assert "cannot wait for its own end" in caplog.text


def test_the_thread_ends_with_its_owner():
    before = names_in("/proc/self/task")
    worker = Worker()
    assert len(names_in("/proc/self/task")) == len(before) + 1
    del worker
    gc.collect()
    assert_ends(before)


def test_a_forked_child_waits_for_nothing(worker):
    gate = threading.Lock()
    gate.acquire()
    worker.do(gate.acquire)
    child = os.fork()
    if child == 0:
        worker.drain()
        worker.stop()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    gate.release()


def assert_ends(before):
    """The kernel takes a moment to be rid of a thread that has done its last step."""
    for _ in range(1000):
        if set(names_in("/proc/self/task")) <= set(before):
            return
        threading.Event().wait(0.01)
    raise AssertionError("a thread is left")

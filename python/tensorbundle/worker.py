"""A thread that does jobs in their order, whenever Ctrl-C comes to those that give them.

Python's signal handlers run between any two steps of the main thread, so whatever takes two
of them (a flag and a start, taking a lock and entering its block, ``Thread.start``) can be
left half done. Here each step is one call into C: a job is in the queue, or it is not.
"""

from __future__ import annotations

import _thread
import atexit
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue

from tensorbundle.core import _core

__all__ = ["GLANCE", "Worker"]

_LOG = logging.getLogger("tensorbundle")

GLANCE = 0.05
"""How long a wait of the core goes without looking at Ctrl-C, in seconds."""


class Worker:
    """Starts its thread when made; it ends with this at the latest.

    The end of the interpreter waits for what was given, in children of multiprocessing too.
    """

    interpreter_ends = False
    """Whether it has waited, and waits no more.

    Not asked of the main thread: where Ctrl-C ends ``Thread.is_alive``, Python before 3.13
    takes it for dead from then on.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._ended = _core.Latch()
        self._process = os.getpid()
        weakref.finalize(self, self._jobs.put, None).atexit = False
        self._thread = _thread.start_new_thread(_work, (self._jobs, self._ended))

    def do(self, job: Callable[[], object]) -> None:
        """Have a job done after all that were given before; what it raises is logged."""
        _given.add(self)
        self._jobs.put(job)

    def drain(self) -> None:
        """Wait until what was given has been done; in a forked child there is nothing.

        Raises
        ------
        RuntimeError
            A job has called this.
        """
        done = _core.Latch()
        self._jobs.put(done.open)
        while self._runs() and not done.wait(GLANCE):
            pass

    def stop(self) -> None:
        """End the thread when all is done; what is given after is not. Again is harmless.

        Raises
        ------
        RuntimeError
            A job has called this.
        """
        self._jobs.put(None)
        while self._runs() and not self._ended.wait(GLANCE):
            pass
        _given.discard(self)

    def is_current(self) -> bool:
        """Whether this is called by a job."""
        # Once it has ended another thread may have its number.
        return _thread.get_ident() == self._thread and not self._ended.wait(0)

    def check_wait(self) -> None:
        """Refuse to wait for a job where that would never end.

        Raises
        ------
        RuntimeError
            A job has called this; or a forked child, which has no such thread; or the
            interpreter is ending, and lets no other thread go on.
        """
        if os.getpid() != self._process:
            raise RuntimeError("a forked child cannot wait for what its parent process does")
        if sys.is_finalizing():
            raise RuntimeError("the interpreter has ended; nothing goes on in the background")
        self._check_caller()

    def _check_caller(self) -> None:
        if self.is_current():
            raise RuntimeError(
                "a save in the background cannot wait for its own end: not from its progress "
                "function, which cancels it by raising, nor from a callback"
            )

    def _runs(self) -> bool:
        """Whether there is somebody to wait for."""
        if os.getpid() != self._process or sys.is_finalizing() or self._ended.wait(0):
            return False
        self._check_caller()
        return True


def _work(jobs: SimpleQueue[Callable[[], object] | None], ended: _core.Latch) -> None:
    while (job := jobs.get()) is not None:
        try:
            job()
        except BaseException:  # noqa: BLE001 - the next job has nothing to do with it
            _LOG.exception("what was to be done in the background has failed")
        del job  # it may hold gigabytes, until the next one comes
    ended.open()


_given: set[Worker] = set()


def _drain_all() -> None:
    Worker.interpreter_ends = True
    for worker in list(_given):
        worker.drain()


# As concurrent.futures does: where threads are waited for. What atexit has comes after that,
# and never in a child that multiprocessing has forked.
getattr(threading, "_register_atexit", atexit.register)(_drain_all)

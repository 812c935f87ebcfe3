"""A thread that does jobs in their order, whenever Ctrl-C comes to those that give them.

Python's signal handlers run between any two steps of the main thread, so whatever takes two
of them (a flag and a start, taking a lock and entering its block, ``Thread.start``) can be
left half done. Here each step is one call into C: a job is in the queue, or it is not.
"""

from __future__ import annotations

import _thread
import atexit
import os
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue

from tensorbundle.core import _core

__all__ = ["Worker"]

# How long a wait of the core goes without looking at Ctrl-C, in seconds.
_GLANCE = 0.05


class Worker:
    """Starts its thread when made; it ends with this at the latest.

    The end of the interpreter waits for what was given, in children of multiprocessing too.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._ended = _core.Latch()
        self._process = os.getpid()
        weakref.finalize(self, self._jobs.put, None).atexit = False
        _thread.start_new_thread(_work, (self._jobs, self._ended))

    def do(self, job: Callable[[], object]) -> None:
        """Have a job, which must not raise, done after all that were given before."""
        _given.add(self)
        self._jobs.put(job)

    def drain(self) -> None:
        """Wait until what was given has been done; in a forked child there is nothing."""
        done = _core.Latch()
        self._jobs.put(done.open)
        while os.getpid() == self._process and not self._ended.wait(0):
            if done.wait(_GLANCE):
                return

    def stop(self) -> None:
        """End the thread when all is done; what is given after is not. Again is harmless."""
        self._jobs.put(None)
        while os.getpid() == self._process and not self._ended.wait(_GLANCE):
            pass
        _given.discard(self)


def _work(jobs: SimpleQueue[Callable[[], object] | None], ended: _core.Latch) -> None:
    while (job := jobs.get()) is not None:
        job()
        del job  # it may hold gigabytes, until the next one comes
    ended.open()


_given: set[Worker] = set()


def _drain_all() -> None:
    for worker in list(_given):
        worker.drain()


# As concurrent.futures does: where threads are waited for. What atexit has comes after that,
# and never in a child that multiprocessing has forked.
getattr(threading, "_register_atexit", atexit.register)(_drain_all)

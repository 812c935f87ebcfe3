"""How work in the background ends: a future that Ctrl-C cannot leave locked.

Whoever asks an ordinary future holds its lock for a moment, and a signal handler that raises
in that moment leaves it held (bugs.python.org/issue29988): who is to tell the end then waits
for ever. This one is asked without its lock until the end has been told.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import Any, Generic, TypeVar

from tensorbundle.core import _core
from tensorbundle.worker import GLANCE, Worker

__all__ = ["Outcome"]

_LOG = logging.getLogger("tensorbundle")

T = TypeVar("T")


class Outcome(Future[T], Generic[T]):
    """A future that one `Worker` tells, and that knows whether somebody has seen its end.

    It counts as running from the beginning: nobody can cancel it.

    Threads: any thread may use any method, but one alone `succeed` or `fail`: the worker, or
    who made it and has not shown it to anybody.
    """

    seen = False

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self._worker = worker
        self._is_over = False
        self._over = _core.Latch()
        super().add_done_callback(_end)  # before those of others

    def succeed(self, value: T) -> None:
        """Tell a good end."""
        self.set_result(value)
        _end(self)  # once more: what a signal handler raises in a callback is only logged

    def fail(self, error: BaseException) -> None:
        """Tell a bad end."""
        self.set_exception(error)
        _end(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; tell whether it has come.

        Raises
        ------
        RuntimeError
            It has not, and this is the thread that it depends on, or a forked child.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self._is_over:
            self._worker.check_wait()
            left = end - time.monotonic()
            if left <= 0:
                return False
            self._over.wait(min(GLANCE, left))
        return True

    def done(self) -> bool:
        """Whether it has ended."""
        return self._is_over

    def running(self) -> bool:
        """Whether it has not."""
        return not self._is_over

    def cancelled(self) -> bool:
        """Tell that nobody has cancelled the future, whatever has become of the work."""
        return False

    def cancel(self) -> bool:
        """Refuse: the work is under way."""
        return False

    def result(self, timeout: float | None = None) -> T:
        """Give the result, or raise what the work raised."""
        self._wait(timeout)
        self.seen = True
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Give what the work raised, if anything."""
        self._wait(timeout)
        self.seen = True
        return super().exception(0)

    def add_done_callback(self, fn: Callable[[Future[T]], Any]) -> None:
        """Have a function called at the end, by the worker; what it raises is logged."""
        super().add_done_callback(partial(_call, self._worker, fn))

    def _wait(self, timeout: float | None) -> None:
        if not self.wait(timeout):
            raise FutureTimeoutError


def _end(future: Future[Any]) -> None:
    assert isinstance(future, Outcome)
    future._is_over = True
    future._over.open()


def _call(worker: Worker, callback: Callable[[Future[T]], Any], future: Future[T]) -> None:
    """Keep `SystemExit` and the like from ending the worker."""
    try:
        callback(future)
    except BaseException:
        if not worker.is_current():
            raise
        _LOG.exception("a callback of %r has failed", future)

"""Saves in the background: the training loop waits for a copy, not for the disk."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from tensorbundle.core import _core
from tensorbundle.outcome import Outcome
from tensorbundle.recycling import spare_files
from tensorbundle.reports import SaveReport, SnapshotReport
from tensorbundle.saving import PendingSave, prepare
from tensorbundle.staging_arena import StagingArena
from tensorbundle.transfer_options import check_threads
from tensorbundle.worker import GLANCE, Worker

__all__ = ["AsyncSaver", "SaveHandle", "default_saver"]

T = TypeVar("T")


class SaveHandle:
    """A save under way; made by `AsyncSaver.save` and ``save(..., blocking=False)``.

    Threads: any thread may use any method.
    """

    prefix: str
    staged: Future[SnapshotReport]
    """Done when the tensors may change: before the call that made this returned, unless
    the saver was told to overlap."""
    durable: Future[SaveReport]
    """Done when the checkpoint is on the device, or has failed, or was cancelled."""

    def __init__(self, prefix: str, worker: Worker) -> None:
        self.prefix = prefix
        self.staged = self._copied = Outcome[SnapshotReport](worker)
        self.durable = self._outcome = Outcome[SaveReport](worker)
        self._is_cancelled = False

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.durable.done()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most `timeout` seconds; tell whether it has.

        How it ended is for `result` to say.

        Raises
        ------
        RuntimeError
            It has not ended, and can never be seen to: a forked child asks for its parent's
            save, or the save's own ``progress`` or callback, which runs on its thread. So
            with `result` and `cancel`.
        """
        return self._outcome.wait(timeout)

    def result(self, timeout: float | None = None) -> SaveReport:
        """Wait for the end and give the report of the save.

        Raises
        ------
        TimeoutError
            It has not ended within `timeout` seconds; the save goes on.
        concurrent.futures.CancelledError
            It was cancelled; what was at the prefix before is intact.
        Exception
            What the save raised; see `save`.
        """
        return self._outcome.result(timeout)

    def raise_unseen(self) -> None:
        """Raise the error of a save that has ended, if nobody has asked for it yet."""
        if not self._outcome.seen:
            self.result()

    def cancel(self) -> bool:
        """Stop the save if it is not too late, and wait for its end.

        Returns whether it was stopped: then what was at the prefix before is intact and
        nothing is left behind.
        """
        self._is_cancelled = True
        self.wait()
        return isinstance(self._outcome.exception(), CancelledError)

    def __repr__(self) -> str:
        state = "ended" if self.done() else "under way"
        return f"<tensorbundle.SaveHandle {self.prefix!r}: {state}>"


class AsyncSaver:
    """Copies tensors, comes back, and saves the copies in the background.

    The copies lie in memory that is kept from one save to the next, so that only the
    first save pays for getting it, and that is page-locked where torch uses CUDA. One save
    is under way at a time: the next waits for it to end before it copies. Tensors that do
    not fit into `max_bytes` are written from their own memory, first, and the call waits
    for that.

    A save that fails raises its error from `SaveHandle.result`. Where nobody asked, the
    next `save`, `wait` or `close` raises it, and at the latest the interpreter's exit,
    which waits for the save under way.

    Threads: any thread may use any method. Not a save's own ``progress`` or callback, which
    would wait for itself, nor a signal handler that has interrupted a call of the same saver:
    these get a ``RuntimeError``.

    Parameters
    ----------
    max_bytes
        Most memory for copies; ``None`` means half of what the machine has free when a
        save first needs more than there is.
    num_threads
        Threads that copy; ``None`` means one per CPU of this process.
    overlap
        Copy in the background, too: `save` comes back at once, and the tensors must not
        change until the handle's ``staged`` is done. A training loop asks for that before
        ``optimizer.step()``, so that the copy goes on beside the next forward pass.
    recycle
        Keep the data files that a save replaces, hidden in their directory, for the next save
        into it to write into: freeing a large file may take longer than writing it, and stops
        other writers meanwhile. No more than the last save has written; nothing that anybody
        has open or mapped is written into. Removed by `close`, and at the interpreter's exit.
        See docs/recycling.md.

    Examples
    --------
    >>> with tb.AsyncSaver() as saver:  # doctest: +SKIP
    ...     for step in range(1000):
    ...         train(model)
    ...         saver.save(f"run/ckpt-{step}", model.state_dict())
    """

    def __init__(
        self,
        *,
        max_bytes: int | None = None,
        num_threads: int | None = None,
        overlap: bool = False,
        recycle: bool = False,
    ) -> None:
        if max_bytes is not None and not isinstance(max_bytes, int):
            raise TypeError(f"max_bytes must be an int, of bytes, or None, not {max_bytes!r}")
        if max_bytes is not None and max_bytes < 0:
            raise ValueError(f"max_bytes must not be negative, but is {max_bytes}")
        self._arena = StagingArena(max_bytes, check_threads(num_threads))
        self._overlap = overlap
        self._spares = spare_files(self, recycle)
        self._worker = Worker()
        self._failed = deque[SaveHandle]()  # whose errors nobody may have seen
        self._turn = threading.RLock()  # one call at a time
        self._is_busy = False  # with such a call
        self._closed = False
        self._process = os.getpid()
        atexit.register(self._at_exit)

    def save(
        self, prefix: str | os.PathLike[str], tensors: Mapping[Any, Any], **options: Any
    ) -> SaveHandle:
        """Copy the tensors and start to save the copies; see `tensorbundle.save`.

        Returns when the tensors may change, unless the saver overlaps.

        Raises
        ------
        ValueError
            The saver is closed, or as `tensorbundle.save`.
        Exception
            What an earlier save raised, if nobody has asked for its result. Nothing was
            started then.
        """
        return self.start(prepare(prefix, tensors, **options))

    def start(self, pending: PendingSave) -> SaveHandle:
        """Copy the tensors of a prepared save, unless they keep, and start it."""
        return self._alone(partial(self._start, pending))

    def _start(self, pending: PendingSave) -> SaveHandle:
        if self._closed:
            raise ValueError("the saver is closed")
        self._finish()
        if self._spares is not None:
            pending.options.setdefault("spares", self._spares)
        handle = SaveHandle(pending.prefix, self._worker)
        copied = None if self._overlap else self._copy(pending)
        written = _core.Latch()
        try:
            if copied is not None and copied.borrowed_bytes == 0:
                handle._copied.succeed(copied)
            self._worker.do(partial(self._run, handle, pending, copied, written))
            while copied is not None and not handle.staged.done():
                if written.wait(GLANCE):
                    handle._copied.succeed(copied)
        except BaseException:  # Ctrl-C
            handle._outcome.seen = True  # by nobody, who has no handle to ask
            handle._is_cancelled = True
            self._worker.drain()  # nobody may read the tensors once we have returned
            raise
        if Worker.interpreter_ends:
            self._finish()  # nobody else may wait for it
        return handle

    def _run(
        self,
        handle: SaveHandle,
        pending: PendingSave,
        copied: SnapshotReport | None,
        written: _core.Latch,
    ) -> None:
        """Save, on the worker's thread; copy first where that has not been done."""
        try:
            waiting = None if copied is not None else self._copy(pending)
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            pending.tensors.release()
            self._failed.append(handle)
            handle._copied.fail(error)
            handle._outcome.fail(error)
            return
        if waiting is not None and waiting.borrowed_bytes == 0:
            handle._copied.succeed(waiting)
            waiting = None
        if not _write(handle, pending, written, waiting):
            self._failed.append(handle)

    def wait(self) -> None:
        """Wait for the save under way, if any, and raise its error if nobody has seen it."""
        self._alone(self._finish)

    def drain(self) -> None:
        """Wait until no save is under way; its error is for the next call to tell."""
        self._worker.drain()

    def close(self) -> None:
        """Wait as `wait`, then give memory and files back. May be called again.

        Where Ctrl-C ends the wait, the save goes on: the next `close`, or the interpreter's
        exit, waits for it.
        """
        self._alone(self._close)

    def _close(self) -> None:
        self._closed = True
        self._worker.drain()
        self._worker.stop()
        self._arena.free()
        if self._spares is not None:
            self._spares.clear()
        atexit.unregister(self._at_exit)
        self._finish()

    def __enter__(self) -> AsyncSaver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _alone(self, call: Callable[[], T]) -> T:
        """Do what one thread at a time may do."""
        self._check_caller()
        with self._turn:
            if self._is_busy:
                raise RuntimeError(
                    "a signal handler that has interrupted a call of this AsyncSaver cannot "
                    "call it; let the handler set a flag, and save when the call has returned"
                )
            self._is_busy = True
            try:
                return call()
            finally:
                self._is_busy = False

    def _check_caller(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError(
                "this AsyncSaver belongs to the parent process, whose saves go on there; "
                "make another one after the fork"
            )
        if self._worker.is_current():
            raise RuntimeError(
                "a save's progress function or callback cannot call the AsyncSaver that "
                "saves: it would wait for itself"
            )

    def _finish(self) -> None:
        self._worker.drain()
        while self._failed:
            self._failed[0].raise_unseen()  # it is seen then: the next call goes on
            self._failed.popleft()

    def _copy(self, pending: PendingSave) -> SnapshotReport:
        if pending.is_stable:
            return SnapshotReport(0, 0, 0.0)
        return self._arena.copy(pending.tensors)

    def _at_exit(self) -> None:
        if os.getpid() == self._process:
            self.close()


def _write(
    handle: SaveHandle,
    pending: PendingSave,
    written: _core.Latch,
    copied: SnapshotReport | None,
) -> bool:
    """Write the copies; `copied` is told as soon as the caller's memory is done with.

    Returns whether they are saved.
    """

    def look(done: int, total: int) -> None:
        if copied is not None and not handle.staged.done() and written.wait(0):
            handle._copied.succeed(copied)
        if pending.progress is not None:
            pending.progress(done, total)
        if handle._is_cancelled:
            raise CancelledError

    saved = False
    try:
        outcome = partial(handle._outcome.succeed, pending.run(look, written))
        saved = True
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
        outcome = partial(handle._outcome.fail, error)
    pending.tensors.release()  # which the frames of an error would hold as long as it lives
    written.open()
    if copied is not None and not handle.staged.done():
        handle._copied.succeed(copied)
    outcome()
    return saved


_lock = threading.RLock()  # a signal handler may save, too
_default: AsyncSaver | None = None


def default_saver() -> AsyncSaver:
    """Give the saver of ``save(..., blocking=False)``, one per process."""
    global _default
    with _lock:
        if _default is None or _default._closed:
            _default = AsyncSaver()
        return _default


def _forget_default() -> None:
    global _default, _lock
    _default, _lock = None, threading.RLock()  # the parent's may be held by a thread of its


os.register_at_fork(after_in_child=_forget_default)

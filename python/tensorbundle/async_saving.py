"""Saves in the background: the training loop waits for a copy, not for the disk."""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future, wait
from functools import partial
from types import TracebackType
from typing import Any

from tensorbundle.core import _core
from tensorbundle.recycling import spare_files
from tensorbundle.reports import SaveReport, SnapshotReport
from tensorbundle.saving import PendingSave, prepare
from tensorbundle.staging_arena import StagingArena
from tensorbundle.transfer_options import check_threads
from tensorbundle.worker import Worker

__all__ = ["AsyncSaver", "SaveHandle", "default_saver"]

# How long a wait of the core goes without looking at Ctrl-C, in seconds.
_GLANCE = 0.05


class _Outcome(Future[SaveReport]):
    """A future that knows whether somebody has seen how it ended."""

    seen = False

    def result(self, timeout: float | None = None) -> SaveReport:
        """Give the report, or raise what the save raised."""
        try:
            return super().result(timeout)
        finally:
            self.seen = self.done()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Give what the save raised, if anything."""
        try:
            return super().exception(timeout)
        finally:
            self.seen = self.done()


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

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.staged = Future()
        self.durable = self._outcome = _Outcome()
        # From now on nobody can cancel it but by cancel() below.
        self._outcome.set_running_or_notify_cancel()
        self._cancelled = threading.Event()
        self._ended = _core.Latch()

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.durable.done()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most `timeout` seconds; tell whether it has.

        How it ended is for `result` to say.
        """
        # Not by the future alone: Ctrl-C at a bad moment leaves its lock held, and the save
        # would wait for it for ever (bugs.python.org/issue29988).
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self._ended.wait(max(0.0, min(_GLANCE, end - time.monotonic()))):
            if time.monotonic() >= end:
                return False
        return bool(wait([self.durable]).done)

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
        return self.durable.result(None if self.wait(timeout) else 0)

    def raise_unseen(self) -> None:
        """Raise the error of a save that has ended, if nobody has asked for it yet."""
        if not self._outcome.seen:
            self.result()

    def cancel(self) -> bool:
        """Stop the save if it is not too late, and wait for its end.

        Returns whether it was stopped: then what was at the prefix before is intact and
        nothing is left behind.
        """
        self._cancelled.set()
        self.wait()
        return isinstance(self.durable.exception(), CancelledError)

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
        if max_bytes is not None and max_bytes < 0:
            raise ValueError(f"max_bytes must not be negative, but is {max_bytes}")
        self._arena = StagingArena(max_bytes, check_threads(num_threads))
        self._overlap = overlap
        self._spares = spare_files(self, recycle)
        self._worker = Worker()
        self._failed = deque[SaveHandle]()  # whose errors nobody may have seen
        self._turn = threading.Lock()  # one call of save() or close() at a time
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
        self._check_process()
        with self._turn:
            if self._closed:
                raise ValueError("the saver is closed")
            self._finish()
            if self._spares is not None:
                pending.options.setdefault("spares", self._spares)
            handle = SaveHandle(pending.prefix)
            copied = None if self._overlap else self._copied(pending)
            written = _core.Latch()
            try:
                self._worker.do(partial(self._run, handle, pending, copied, written))
                if copied is not None:
                    while copied.borrowed_bytes > 0 and not written.wait(_GLANCE):
                        pass
                    handle.staged.set_result(copied)
            except BaseException:  # Ctrl-C
                handle._outcome.seen = True  # by nobody, who has no handle to ask
                handle._cancelled.set()
                self._worker.drain()  # nobody may read the tensors once we have returned
                raise
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
            waiting = None if copied is not None else self._copied(pending)
            if waiting is not None and waiting.borrowed_bytes == 0:
                handle.staged.set_result(waiting)
                waiting = None
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            self._failed.append(handle)
            handle.staged.set_exception(error)
            handle._ended.open()
            handle.durable.set_exception(error)
            return
        if not _write(handle, pending, written, waiting):
            self._failed.append(handle)

    def wait(self) -> None:
        """Wait for the save under way, if any, and raise its error if nobody has seen it."""
        self._check_process()
        with self._turn:
            self._finish()

    def drain(self) -> None:
        """Wait until no save is under way; its error is for the next call to tell."""
        self._worker.drain()

    def close(self) -> None:
        """Wait as `wait`, then give memory and files back. May be called again."""
        atexit.unregister(self._at_exit)
        self._check_process()
        with self._turn:
            self._closed = True
            # Where Ctrl-C ends this wait, a save still reads the copies.
            self._worker.drain()
            self._worker.stop()
            self._arena.free()
            if self._spares is not None:
                self._spares.clear()
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

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError(
                "this AsyncSaver belongs to the parent process, whose saves go on there; "
                "make another one after the fork"
            )

    def _finish(self) -> None:
        self._worker.drain()
        while self._failed:
            self._failed[0].raise_unseen()  # it is seen then: the next call goes on
            self._failed.popleft()

    def _copied(self, pending: PendingSave) -> SnapshotReport:
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
            handle.staged.set_result(copied)
        if pending.progress is not None:
            pending.progress(done, total)
        if handle._cancelled.is_set():
            raise CancelledError

    saved = False
    try:
        outcome = partial(handle.durable.set_result, pending.run(look, written))
        saved = True
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
        outcome = partial(handle.durable.set_exception, error)
    written.open()
    if copied is not None and not handle.staged.done():
        handle.staged.set_result(copied)
    handle._ended.open()
    outcome()
    return saved


_lock = threading.Lock()
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
    _default, _lock = None, threading.Lock()  # the parent's may be held by a thread of its


os.register_at_fork(after_in_child=_forget_default)

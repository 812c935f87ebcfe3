"""Saves in the background: the training loop waits for a copy, not for the disk."""

from __future__ import annotations

import atexit
import os
import threading
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

__all__ = ["AsyncSaver", "SaveHandle", "default_saver"]

# How long a wait goes without looking at Ctrl-C, in seconds.
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

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.durable.done()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most `timeout` seconds; tell whether it has.

        How it ended is for `result` to say.
        """
        return bool(wait([self.durable], timeout).done)

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
        return self.durable.result(timeout)

    def raise_unseen(self) -> None:
        """Wait for the end, and raise the save's error if nobody has asked for it yet."""
        self.wait()
        if not self._outcome.seen:
            self.result()

    def cancel(self) -> bool:
        """Stop the save if it is not too late, and wait for its end.

        Returns whether it was stopped: then what was at the prefix before is intact and
        nothing is left behind.
        """
        self._cancelled.set()
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
        self._last: SaveHandle | None = None
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
            self._finish_last()
            if self._spares is not None:
                pending.options.setdefault("spares", self._spares)
            handle = SaveHandle(pending.prefix)
            copied = None if self._overlap else self._copied(pending)
            self._last = handle
            written = _core.Latch()
            # Not a daemon: the interpreter's exit waits for it.
            thread = threading.Thread(
                target=self._run,
                args=(handle, pending, copied, written),
                name="tensorbundle-save",
            )
            thread.start()
            if copied is not None:
                if copied.borrowed_bytes > 0:
                    _wait_for(written, handle)
                handle.staged.set_result(copied)
        return handle

    def _run(
        self,
        handle: SaveHandle,
        pending: PendingSave,
        copied: SnapshotReport | None,
        written: _core.Latch,
    ) -> None:
        """Save, on a thread of its own; copy first where that has not been done."""
        try:
            waiting = None if copied is not None else self._copied(pending)
            if waiting is not None and waiting.borrowed_bytes == 0:
                handle.staged.set_result(waiting)
                waiting = None
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            handle.staged.set_exception(error)
            handle.durable.set_exception(error)
            return
        _write(handle, pending, written, waiting)

    def wait(self) -> None:
        """Wait for the save under way, if any, and raise its error if nobody has seen it."""
        self._check_process()
        with self._turn:
            self._finish_last()

    def close(self) -> None:
        """Wait as `wait`, then give memory and files back. May be called again."""
        atexit.unregister(self._at_exit)
        self._check_process()
        with self._turn:
            self._closed = True
            try:
                self._finish_last()
            finally:
                if self._last is None:
                    self._arena.free()
                    if self._spares is not None:
                        self._spares.clear()

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

    def _finish_last(self) -> None:
        handle = self._last
        if handle is None:
            return
        handle.wait()
        # Not before: where Ctrl-C ends the wait, the save still reads the copies.
        self._last = None
        handle.raise_unseen()

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
) -> None:
    """Write the copies; `copied` is told as soon as the caller's memory is done with."""

    def look(done: int, total: int) -> None:
        if copied is not None and not handle.staged.done() and written.wait(0):
            handle.staged.set_result(copied)
        if pending.progress is not None:
            pending.progress(done, total)
        if handle._cancelled.is_set():
            raise CancelledError

    try:
        outcome = partial(handle.durable.set_result, pending.run(look, written))
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
        outcome = partial(handle.durable.set_exception, error)
    written.open()
    if copied is not None and not handle.staged.done():
        handle.staged.set_result(copied)
    outcome()


def _wait_for(written: _core.Latch, handle: SaveHandle) -> None:
    """Wait until the caller's memory is written; Ctrl-C cancels the save."""
    try:
        while not written.wait(_GLANCE):
            pass
    except BaseException:
        handle.cancel()  # nobody may read that memory once we have returned
        raise


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

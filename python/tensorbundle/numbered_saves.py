"""The saves of a checkpoint manager: numbered, and recorded when they are durable."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tensorbundle.async_saving import AsyncSaver, SaveHandle
from tensorbundle.background import Background
from tensorbundle.core import _core
from tensorbundle.file_lock import FileLock
from tensorbundle.managed_state import ManagedState
from tensorbundle.reports import SaveReport
from tensorbundle.rotation import Rotation
from tensorbundle.shown_text import shown
from tensorbundle.step_interval import StepInterval

__all__ = ["NumberedSaves"]

_LOG = logging.getLogger("tensorbundle")

_LOCK_NAME = ".checkpoint-manager.tensorbundle-lock"


class NumberedSaves:
    """Saves one state to one directory, under the directory's lock.

    Threads: a save in the background is recorded on the thread that writes it; until it is
    settled only `look`, `settle` and what `Rotation` tells may be asked for.

    Parameters
    ----------
    directory
        Where to; it is made if missing.
    state
        What is saved.
    rotation
        Where saves are recorded, and what removes old ones.
    interval
        What counts the steps to the next save.
    callbacks
        Called with the prefix of each new checkpoint, when it is recorded.
    saver
        What saves in the background; ``None`` means the process' own.
    spares
        Files that saves may write into; removed by `close`.
    """

    def __init__(
        self,
        directory: str,
        state: ManagedState,
        rotation: Rotation,
        interval: StepInterval,
        callbacks: Sequence[Callable[[str], object]],
        saver: AsyncSaver | None,
        spares: _core.SpareFiles | None = None,
    ) -> None:
        self._directory = directory
        self._state = state
        self._rotation = rotation
        self._interval = interval
        self._callbacks = tuple(callbacks)
        self._background = Background(saver)
        self._spares = spares
        self._lock: FileLock | None = None
        self.report: SaveReport | None = None  # of the last save that was waited for

    def save(
        self, given: int | None, options: Any, metrics: dict[str, float], *, blocking: bool
    ) -> str | SaveHandle:
        """Save under the number given, or else the next; see `CheckpointManager.save`."""
        self._take_lock()
        undo = contextlib.ExitStack()
        try:
            number = self._next_number(given, undo)
            prefix = self._rotation.prefix(number)
            undo.callback(self._interval.begin())
            recorded = self._recorded(prefix, number, metrics, undo)
            if not blocking:
                pending = self._state.prepare(prefix, options, self._spares)
                return self._background.start(replace(pending, within=recorded), undo)
            with recorded:
                self.report = self._state.write(prefix, options, self._spares)
        except BaseException:
            self._background.give_up(undo)
            raise
        return prefix

    def look(self) -> None:
        """Raise the error of a save in the background that has ended, unless it was seen."""
        self._background.look()

    def settle(self) -> None:
        """Wait for the save in the background, and raise its error as `look` does."""
        self._background.settle()

    def close(self) -> None:
        """Let others save here; a later save takes the lock again.

        Where Ctrl-C has ended the wait for a save, that one keeps the lock: close again.
        """
        if self._background.is_under_way:
            return
        if self._spares is not None:
            self._spares.clear()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        self._rotation.make_directory()
        told = f"{self._directory}: another CheckpointManager saves here; close() it first"
        self._lock = FileLock(os.path.join(self._directory, _LOCK_NAME), told)
        self._rotation.sweep_unfinished()
        if self._rotation.is_stale():
            self._rotation.recover()

    def _next_number(self, given: int | None, undo: contextlib.ExitStack) -> int:
        counted = self._state.next_number()
        undo.callback(self._state.undo_number)
        if given is not None:
            return given
        if counted is not None and not self._rotation.is_strange(counted):
            return counted
        beyond = max(self._rotation.steps(), default=0) + 1
        if counted is None:
            return beyond
        _LOG.warning(
            "%s: not replaced, since this manager does not know it; the next is saved as %d",
            shown(self._rotation.prefix(counted)), beyond,
        )  # fmt: skip
        self._state.next_number(beyond - counted)
        undo.callback(self._state.undo_number, beyond - counted)
        return beyond

    @contextlib.contextmanager
    def _recorded(
        self, prefix: str, number: int, metrics: dict[str, float], undo: contextlib.ExitStack
    ) -> Iterator[None]:
        """Record what is saved within; nothing of `undo` is undone once that has been done."""
        with self._rotation.replacing(prefix, number):
            yield
        self._rotation.add(prefix, number, metrics)
        undo.pop_all()
        # All callbacks run, in their order, whatever the rules or the others raise.
        with contextlib.ExitStack() as stack:
            for callback in reversed(self._callbacks):
                stack.callback(callback, prefix)
            self._rotation.sweep()

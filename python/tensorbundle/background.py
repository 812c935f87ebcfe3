"""The save that one object has under way in the background, and what comes of it."""

from __future__ import annotations

import os
from contextlib import ExitStack

from tensorbundle.async_saving import AsyncSaver, SaveHandle, default_saver
from tensorbundle.saving import PendingSave

__all__ = ["Background"]


class Background:
    """At most one save under way, and what is to be undone if it fails.

    Parameters
    ----------
    saver
        What saves; ``None`` means the one of ``tensorbundle.save(blocking=False)``.
    """

    def __init__(self, saver: AsyncSaver | None = None) -> None:
        self._saver = saver
        self._handle: SaveHandle | None = None
        self._undo = ExitStack()
        self._process = 0

    def start(self, pending: PendingSave, undo: ExitStack) -> SaveHandle:
        """Copy the tensors of a prepared save, and start it.

        What `undo` still holds when the save has ended is called by `settle`, on its
        thread. REQUIRES: nothing is under way. Where this, or what the caller does after it,
        raises, the caller calls `give_up`.
        """
        saver = self._saver or default_saver()
        try:
            self._handle, self._undo, self._process = saver.start(pending), undo, os.getpid()
        except BaseException:  # it may be under way already: Ctrl-C
            saver.drain()
            raise
        return self._handle

    def give_up(self, undo: ExitStack) -> None:
        """Cancel what is under way, wait for its end, and undo what came to nothing."""
        handle, self._handle = self._handle, None
        if handle is not None and self._process == os.getpid():
            handle.cancel()
        undo.close()

    @property
    def is_under_way(self) -> bool:
        """Whether a save of this process has not ended yet."""
        handle = self._handle
        return handle is not None and self._process == os.getpid() and not handle.done()

    def look(self) -> None:
        """Settle a save that has ended; leave one that is under way."""
        if self._handle is not None and self._handle.done():
            self.settle()

    def settle(self) -> None:
        """Wait for the save under way, if any, and raise its error if nobody has seen it."""
        handle = self._handle
        if handle is None:
            return
        if self._process != os.getpid():  # the parent has its thread, and sees its end
            self._handle = None
            return
        handle.wait()
        self._undo.close()
        self._handle = None
        handle.raise_unseen()

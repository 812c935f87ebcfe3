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
        thread. REQUIRES: nothing is under way.
        """
        handle = (self._saver or default_saver()).start(pending)
        self._handle, self._undo, self._process = handle, undo, os.getpid()
        return handle

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
        self._handle = None
        self._undo.close()
        handle.raise_unseen()

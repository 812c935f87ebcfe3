"""A lock that is flock(2) on a file which exists only while the lock is held.

It is the core's (``cpp/io/posix_lock.h``), as that of its saves: the two exclude each other
where the name is the same, and Ctrl-C cannot come between a step of it and the next.
"""

from __future__ import annotations

import os
import weakref

from tensorbundle.core import _core
from tensorbundle.errors import LockedError

__all__ = ["FileLock", "save_lock_path"]


def save_lock_path(prefix: str) -> str:
    """Name the lock that a save of `prefix` holds (``cpp/format/naming.cc``)."""
    directory, name = os.path.split(prefix)
    return os.path.join(directory, f".{name}.tensorbundle-lock")


class FileLock:
    """Holds a lock from its making until `release`, its end, or that of the process.

    A forked child gives nothing back: the lock is its parent's.

    Raises
    ------
    LockedError
        Somebody holds it, here or in another process; the message is `told`.
    CorruptionError
        A FIFO, socket or device has the name.
    OSError
        The file cannot be made there.
    """

    def __init__(self, path: str, told: str) -> None:
        try:
            lock = _core.FileLock(os.fsencode(path))
        except LockedError:
            raise LockedError(told, code="Locked", path=path) from None
        # Also at the end of the interpreter, where objects may be left as they are.
        self._release = weakref.finalize(self, lock.release)

    def release(self) -> None:
        """Give the lock back; again is harmless."""
        self._release()

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

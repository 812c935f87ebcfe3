"""A lock that is flock(2) on a file which exists only while the lock is held.

The core's saves take theirs by the same rules (``cpp/io/posix_lock.h``), so the two
exclude each other where the name is the same.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import weakref

from tensorbundle.directories import telling
from tensorbundle.errors import LockedError

__all__ = ["FileLock", "flock", "lock_file", "save_lock_path"]

# Each round lost means that another holder came and went.
_MOST_ROUNDS = 100
_WITHOUT_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}


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
    OSError
        The file cannot be made there.
    """

    def __init__(self, path: str, told: str) -> None:
        opened: list[int] = []
        # Before there is anything to give back: Ctrl-C may come at any moment.
        self._release = weakref.finalize(self, _unlock, path, opened, os.getpid())
        try:
            is_ours = lock_file(path, opened)
        except BaseException:
            self._release()
            raise
        if not is_ours:
            raise LockedError(told, code="Locked", path=path)

    def release(self) -> None:
        """Give the lock back; again is harmless."""
        self._release()

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def lock_file(path: str, opened: list[int]) -> bool:
    """Make a file and lock it; tell whether it is ours.

    Where there are no locks it counts as ours. Its descriptor is put into `opened` before it
    is locked, so that whoever is interrupted can give it back.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    for _ in range(_MOST_ROUNDS):
        with telling("open", path):
            opened.append(os.open(path, flags, 0o666))
        try:
            with telling("flock", path):
                flock(opened[-1])
            # The holder before us removes the file: then this one has no name.
            if _is_named(path, opened[-1]):
                return True
            _close(opened.pop())
        except BlockingIOError:
            _close(opened.pop())
            return False
    return False


def flock(descriptor: int) -> bool:
    """Lock an open file at once; tell whether its file system has locks.

    Raises
    ------
    BlockingIOError
        Another has the lock.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems have no locks. Ours is a courtesy.
        if error.errno not in _WITHOUT_LOCKS:
            raise
        return False
    return True


def _is_named(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _unlock(path: str, opened: list[int], owner: int) -> None:
    while opened:
        try:
            if os.getpid() == owner:
                _remove_if_ours(path, opened[-1])
        finally:  # Ctrl-C or not
            _close(opened.pop(), unlock=os.getpid() == owner)


def _remove_if_ours(path: str, descriptor: int) -> None:
    # Where the file is gone, or cannot be removed, the lock is given back all the same.
    with contextlib.suppress(OSError):
        flock(descriptor)  # we may have been interrupted before it was ours
        if _is_named(path, descriptor):
            os.unlink(path)


def _close(descriptor: int, *, unlock: bool = False) -> None:
    # Not left to close(): a child forked meanwhile shares the open file.
    with contextlib.suppress(OSError):
        if unlock:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    with contextlib.suppress(OSError):  # nothing was written through it
        os.close(descriptor)

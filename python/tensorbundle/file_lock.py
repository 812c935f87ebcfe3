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
        descriptor = lock_file(path)
        if descriptor is None:
            raise LockedError(told, code="Locked", path=path)
        self._release = weakref.finalize(self, _unlock, path, descriptor, os.getpid())

    def release(self) -> None:
        """Give the lock back; again is harmless."""
        self._release()

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def lock_file(path: str) -> int | None:
    """Make a file, and give the descriptor that has its lock.

    ``None`` where another has it. Where there are no locks, one that has none.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    for _ in range(_MOST_ROUNDS):
        descriptor = os.open(path, flags, 0o666)
        try:
            flock(descriptor)
            # The holder before us removes the file: then this one has no name.
            if _is_named(path, descriptor):
                return descriptor
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return None
            raise
        os.close(descriptor)
    return None


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


def _unlock(path: str, descriptor: int, owner: int) -> None:
    if os.getpid() == owner:
        # Where the file is gone, or cannot be removed, the lock is given back all the same.
        with contextlib.suppress(OSError):
            if _is_named(path, descriptor):
                os.unlink(path)
        # Not left to close(): a child forked meanwhile shares the open file.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)

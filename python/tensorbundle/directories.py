"""Directories: listed, made, and synced, so that names survive a power cut."""

from __future__ import annotations

import contextlib
import errno
import os

__all__ = [
    "make_directories",
    "names_in",
    "open_into",
    "remove_file",
    "sync_directory",
    "sync_tree",
    "telling",
]


class telling:
    """Tells in an ``OSError`` which call failed, and on what, as the core's errors do."""

    # Not a generator: the errors that pass through one refer to themselves from Python 3.12
    # on, and to the callers' frames, and so keep what those hold until the next collection.

    def __init__(self, operation: str, path: str) -> None:
        self._operation = operation
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            told = f"{self._operation}: {error.strerror}"
            raise OSError(error.errno, told, self._path) from error


def open_into(opened: list[int], path: str, flags: int) -> None:
    """Open a file, and append its descriptor: Ctrl-C takes effect before both, or after."""
    # All of it is one call into C; what os.open returns could be lost before it has a name.
    opened.extend(map(os.open, [path], [flags | os.O_CLOEXEC]))


def names_in(path: str) -> list[str]:
    """List a directory, unsorted; one that does not exist has no names."""
    path = path or os.curdir
    while True:
        try:
            with telling("opendir", path):
                entries = os.scandir(path)
            with entries, telling("readdir", path):
                return [entry.name for entry in entries]
        except InterruptedError:  # Python repeats other calls, but not these
            continue
        except (FileNotFoundError, NotADirectoryError):
            return []


def remove_file(path: str) -> None:
    """Remove a file; one that is not there is no error."""
    with contextlib.suppress(FileNotFoundError), telling("unlink", path):
        os.unlink(path)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable: created, renamed and removed files."""
    path = path or os.curdir
    opened: list[int] = []
    try:
        with telling("open", path):
            open_into(opened, path, os.O_RDONLY | os.O_DIRECTORY)
        _sync(opened[0], path)
    finally:
        for descriptor in opened:
            # Not by contextlib.suppress, a call more for Ctrl-C to end before this one.
            try:  # noqa: SIM105
                os.close(descriptor)
            except OSError:  # nothing was written through it
                pass


def _sync(directory: int, path: str) -> None:
    try:
        with telling("fsync", path):
            os.fsync(directory)
    except OSError as error:
        # File systems without such a call: they order the rename themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def sync_tree(path: str) -> None:
    """Make a file durable, or a directory with all that is in it."""
    if os.path.isdir(path) and not os.path.islink(path):
        for name in names_in(path):
            sync_tree(os.path.join(path, name))
        sync_directory(path)
    elif os.path.isfile(path):
        with telling("open", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with telling("fsync", path):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_directories(path: str, *, durable: bool = True) -> None:
    """Make a directory, and those above it that are missing; it may be there already.

    Each is durable before the next is made in it: what a killed process had made, and not
    synced, is empty, and so is synced now.

    Raises
    ------
    OSError
        One cannot be made; the message tells which.
    """
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path.rstrip(os.sep))
    if parent and not os.path.isdir(parent):
        make_directories(parent, durable=durable)
    elif durable and not names_in(parent):
        _sync_if_readable(os.path.join(parent, os.pardir))
    with telling("mkdir", path), contextlib.suppress(FileExistsError):
        os.mkdir(path)
    if durable:
        sync_directory(parent)


def _sync_if_readable(path: str) -> None:
    # Not ours: where it may not be read it cannot be synced.
    with contextlib.suppress(PermissionError):
        sync_directory(path)

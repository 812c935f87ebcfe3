"""Small files that appear whole: written under a hidden name, synced, and renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Collection

from tensorbundle.file_lock import flock, lock_file

__all__ = ["replace_file", "sweep_unfinished"]

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.tmp\.[0-9a-f]{16}", re.DOTALL)


def replace_file(path: str, content: bytes, *, durable: bool = True) -> None:
    """Give a file new content: a reader, or a crash, finds the old or the new.

    Parameters
    ----------
    path
        The file; it need not exist, its directory must.
    durable
        Sync the file before it is renamed, and its directory after: on return the new
        content survives a power cut.

    Raises
    ------
    OSError
        What was at `path` is as it was, and nothing is left behind; only where the very
        last sync of the directory fails is the new content in place already.
    """
    directory, _ = os.path.split(path)
    temporary, descriptor = _create_beside(path)
    with open(descriptor, "wb") as file:
        try:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    if durable:
        _sync_directory(directory or os.curdir)


def _create_beside(path: str) -> tuple[str, int]:
    """Make a hidden file, locked as long as it is open: so somebody is writing it."""
    directory, name = os.path.split(path)
    while True:
        temporary = os.path.join(directory, f".{name}.tmp.{secrets.token_hex(8)}")
        descriptor = lock_file(temporary)
        if descriptor is not None:  # else it was just taken for an abandoned one
            return temporary, descriptor


def sweep_unfinished(directory: str, names: Collection[str]) -> None:
    """Remove what processes that were killed in `replace_file` have left.

    Only files that it makes for one of `names`, and only those that nobody is writing.

    Raises
    ------
    OSError
        One cannot be removed.
    """
    for entry in os.scandir(directory or os.curdir):
        made_for = _TEMPORARY.fullmatch(entry.name)
        if made_for and made_for["name"] in names:
            _remove_abandoned(entry.path)


def _remove_abandoned(path: str) -> None:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except OSError:  # gone, or no file of ours
        return
    try:
        if flock(descriptor):  # else nobody can tell whether it is being written
            os.unlink(path)
    except (BlockingIOError, FileNotFoundError):
        pass  # being written, or finished meanwhile
    finally:
        os.close(descriptor)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # File systems without such a call: they order the rename themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)

"""Small files that appear whole: written under a hidden name, synced, and renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets

__all__ = ["replace_file"]


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
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.tmp.{secrets.token_hex(8)}")
    try:
        _write(temporary, content, durable)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        _sync_directory(directory or os.curdir)


def _write(path: str, content: bytes, durable: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o666), "wb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())


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

"""Small files that appear whole: written under a hidden name, synced, and renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Collection

from tensorbundle.directories import names_in, sync_directory, telling
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
        last sync of the directory fails is the new content in place already. The message
        tells which call has failed, and ``filename`` on what.
    """
    with _UnfinishedFile(path) as file:
        file.write(content)
        if durable:
            file.sync()
        file.publish()
    if durable:
        sync_directory(os.path.dirname(path))


class _UnfinishedFile:
    """A hidden file, locked as long as it is open: so somebody is writing it.

    Unless it is published it goes.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._hidden = ""
        self._opened: list[int] = []

    def __enter__(self) -> _UnfinishedFile:
        try:
            while not self._opened:  # else it was just taken for an abandoned one
                self._create()
            # Closed last: its lock is held until the file has its name.
            self._opened.append(os.dup(self._opened[0]))
        except BaseException:
            self._abandon()
            raise
        return self

    def _create(self) -> None:
        directory, name = os.path.split(self._path)
        self._hidden = os.path.join(directory, f".{name}.tmp.{secrets.token_hex(8)}")
        lock_file(self._hidden, self._opened)

    def write(self, content: bytes) -> None:
        """Write all of it."""
        rest = memoryview(content)
        with telling("write", self._hidden):
            while rest:
                written = os.write(self._opened[0], rest)
                if written == 0:  # it would be repeated for ever
                    raise OSError(errno.EIO, "the file took no bytes")
                rest = rest[written:]

    def sync(self) -> None:
        """Return when the bytes are durable."""
        with telling("fsync", self._hidden):
            os.fsync(self._opened[0])

    def publish(self) -> None:
        """Give it its name."""
        with telling("close", self._hidden):
            os.close(self._opened.pop(0))
        with telling(f"rename to {os.path.basename(self._path)!r}", self._hidden):
            os.replace(self._hidden, self._path)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._close()
        else:
            self._abandon()

    def _close(self) -> None:
        while self._opened:
            with contextlib.suppress(OSError):
                os.close(self._opened.pop())

    def _abandon(self) -> None:
        if self._hidden:
            with contextlib.suppress(OSError):
                os.unlink(self._hidden)
        self._close()


def sweep_unfinished(directory: str, names: Collection[str]) -> None:
    """Remove what processes that were killed in `replace_file` have left.

    Only files that it makes for one of `names`, and only those that nobody is writing.

    Raises
    ------
    OSError
        One cannot be removed.
    """
    for found in names_in(directory):
        made_for = _TEMPORARY.fullmatch(found)
        if made_for and made_for["name"] in names:
            _remove_abandoned(os.path.join(directory, found))


def _remove_abandoned(path: str) -> None:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except OSError:  # gone, or no file of ours
        return
    try:
        if flock(descriptor):  # else nobody can tell whether it is being written
            with telling("unlink", path):
                os.unlink(path)
    except (BlockingIOError, FileNotFoundError):
        pass  # being written, or finished meanwhile
    finally:
        os.close(descriptor)

"""Small files that somebody else may have made: read whole, if that is what they are."""

from __future__ import annotations

import os
import stat

from tensorbundle.directories import open_into
from tensorbundle.errors import CorruptionError

__all__ = ["read_file"]


def read_file(path: str, *, most_bytes: int) -> bytes:
    """Read all of a regular file.

    Raises
    ------
    CorruptionError
        ``NotRegularFile``: it is a directory, a FIFO (which is not waited for), a device;
        ``LimitExceeded``: it has more than `most_bytes`, which are not read.
    OSError
        As of ``open``.
    """
    opened: list[int] = []
    content = bytearray()
    try:
        # O_NONBLOCK: a FIFO without a writer must not hang us.
        open_into(opened, path, os.O_RDONLY | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(opened[0]).st_mode):
            raise _fault(path, "NotRegularFile", "not a regular file")
        # Not by its size: the files of /proc have none.
        while len(content) <= most_bytes and (piece := os.read(opened[0], 1 << 20)):
            content += piece
    finally:
        for descriptor in opened:
            os.close(descriptor)
    if len(content) > most_bytes:
        raise _fault(path, "LimitExceeded", f"larger than {most_bytes} bytes")
    return bytes(content)


def _fault(path: str, code: str, detail: str) -> CorruptionError:
    return CorruptionError(f"{path}: {detail}", code=code, detail=detail, path=path)

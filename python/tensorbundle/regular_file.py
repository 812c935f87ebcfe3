"""Small files that somebody else may have made: read whole, if that is what they are."""

from __future__ import annotations

import os
import stat

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
    # O_NONBLOCK: a FIFO without a writer must not hang us.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _fault(path, "NotRegularFile", "not a regular file")
        # Not by its size: the files of /proc have none.
        content = bytearray()
        while len(content) <= most_bytes and (piece := os.read(descriptor, 1 << 20)):
            content += piece
    finally:
        os.close(descriptor)
    if len(content) > most_bytes:
        raise _fault(path, "LimitExceeded", f"larger than {most_bytes} bytes")
    return bytes(content)


def _fault(path: str, code: str, detail: str) -> CorruptionError:
    return CorruptionError(f"{path}: {detail}", code=code, detail=detail, path=path)

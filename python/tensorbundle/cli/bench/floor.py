"""The floor: what the device itself does with the same bytes, without checksums or tensors.

One file is written or read in large requests. With direct I/O eight requests are in flight,
each by a thread of its own, as fio's default floor has them (``fio.py``). Elsewhere one
thread writes, since the kernel does one buffered write of a file at a time, and one per
processor reads. A write ends with an fsync. Space is reserved, and files and threads are
there, before the clock starts, as with fio.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tensorbundle.cli.machine import num_processors
from tensorbundle.cli.memory import touched_memory

__all__ = ["copy_seconds", "read_seconds", "write_seconds"]

_REQUEST = 16 << 20  # bytes
_DEPTH = 8  # direct requests in flight
_GRANULE = 4096  # bytes: of direct requests, on any device

Memory = np.ndarray[Any, Any]


def write_seconds(path: str, source: Memory, size: int, *, direct: bool) -> float:
    """Give the seconds of writing the first `size` bytes of `source` into a new file.

    `source` starts at a page. Direct writes leave out a last part of a page; the time is
    scaled to `size`.
    """
    memory = source.view(np.uint8).data
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | (os.O_DIRECT if direct else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        moved = size // _GRANULE * _GRANULE if direct else size
        if direct:
            _reserve(descriptor, moved)

        def write(begin: int, end: int) -> None:
            while begin < end:
                begin += os.pwrite(descriptor, memory[begin:end], begin)

        num_threads = _DEPTH if direct else 1
        seconds = _timed(write, moved, num_threads, finish=lambda: os.fsync(descriptor))
    finally:
        os.close(descriptor)
    return seconds * size / moved if moved else seconds


def read_seconds(path: str, *, direct: bool) -> float:
    """Give the seconds of reading a whole file into memory that is there."""
    descriptor = os.open(path, os.O_RDONLY | (os.O_DIRECT if direct else 0))
    try:
        size = os.fstat(descriptor).st_size
        num_threads = _DEPTH if direct else num_processors()
        buffers = [touched_memory(_REQUEST) for _ in range(num_threads)]

        def read(begin: int, end: int) -> None:
            # Which buffer matters to nobody: a list's pop is one step under the GIL.
            buffer = buffers.pop()
            while begin < end:
                room = -(-(end - begin) // _GRANULE) * _GRANULE  # the file may end inside
                got = os.preadv(descriptor, [memoryview(buffer)[:room]], begin)
                if got == 0:
                    raise OSError(errno.EIO, "the file has shrunk", path)
                begin += got
            buffers.append(buffer)

        return _timed(read, size, num_threads)
    finally:
        os.close(descriptor)


def copy_seconds(source: Memory, target: Memory) -> float:
    """Give the seconds of a memcpy by one thread per processor into memory that is there."""
    read, write = source.view(np.uint8), target.view(np.uint8)

    def copy(begin: int, end: int) -> None:
        np.copyto(write[begin:end], read[begin:end])  # lets go of the GIL

    size = min(read.nbytes, write.nbytes)
    return _timed(copy, size, num_processors())


def _timed(
    move: Callable[[int, int], None],
    size: int,
    num_threads: int,
    finish: Callable[[], None] | None = None,
) -> float:
    """Time `move` of all requests of `size` bytes, each taken by the next free thread."""
    numbers = itertools.count()  # one step under the GIL

    def work() -> None:
        while (begin := next(numbers) * _REQUEST) < size:
            move(begin, min(begin + _REQUEST, size))

    with ThreadPoolExecutor(num_threads) as threads:
        _on_all(threads, lambda: time.sleep(0.001))  # so that all threads are there
        start = time.perf_counter()
        _on_all(threads, work)
        if finish is not None:
            finish()
        return time.perf_counter() - start


def _on_all(threads: ThreadPoolExecutor, work: Callable[[], None]) -> None:
    futures = [threads.submit(work) for _ in range(threads._max_workers)]
    for future in futures:
        future.result()


def _reserve(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise

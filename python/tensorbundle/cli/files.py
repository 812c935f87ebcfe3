"""Files of a measured directory: synced, removed, put out of the page cache and into it."""

from __future__ import annotations

import gc
import mmap
import os
import shutil
from collections.abc import Iterator
from ctypes import CDLL, c_size_t, c_ubyte, c_void_p

__all__ = [
    "StillCachedError",
    "drop_cache",
    "fill_cache",
    "is_cached",
    "remove_files",
    "resident_pages",
    "sync",
    "sync_all",
]

_READ_SIZE = 1 << 22  # bytes per read(2)
_MOSTLY = 0.99  # share of the bytes that makes a file cached


class StillCachedError(Exception):
    """A file's pages could not be put out of the page cache: nothing cold can be measured."""


def sync(path: str) -> None:
    """Make a file, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(directory: str) -> None:
    """Make all files below a directory durable, and all names."""
    for path in files_below(directory):
        sync(path)
    for parent, _, _ in os.walk(directory, topdown=False):
        sync(parent)


def files_below(directory: str) -> Iterator[str]:
    """Give the paths of all files below a directory."""
    for parent, _, names in os.walk(directory):
        for name in names:
            yield os.path.join(parent, name)


def remove_files(directory: str) -> None:
    """Empty a directory and wait until its blocks are free, so that no later case does."""
    with os.scandir(directory) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
    sync(directory)


def drop_cache(directory: str) -> None:
    """Put all files below a directory out of the page cache, and see that they are out.

    Raises
    ------
    StillCachedError
        mincore(2) still finds pages of a file.
    """
    gc.collect()  # mapped pages stay
    for path in files_below(directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
        resident = resident_pages(path)
        if resident:
            raise StillCachedError(f"{path}: {resident} pages are still cached")


def is_cached(directory: str) -> bool:
    """Tell whether all files below a directory are in the page cache, but for a few pages."""
    return all(
        resident_pages(path) * mmap.PAGESIZE >= _MOSTLY * os.stat(path).st_size
        for path in files_below(directory)
    )


def fill_cache(directory: str) -> None:
    """Bring all files below a directory into the page cache, however they were written."""
    buffer = bytearray(_READ_SIZE)
    for path in files_below(directory):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def resident_pages(path: str) -> int:
    """Count the pages of a file that are in the page cache, by mincore(2)."""
    import numpy as np

    size = os.stat(path).st_size
    if size == 0:
        return 0
    with open(path, "rb") as file:
        mapping = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
    address = np.frombuffer(mapping, dtype=np.uint8).ctypes.data
    pages = (c_ubyte * -(-size // mmap.PAGESIZE))()
    if CDLL(None, use_errno=True).mincore(c_void_p(address), c_size_t(size), pages) != 0:
        raise OSError("mincore failed")
    return int((np.ctypeslib.as_array(pages) & 1).sum())

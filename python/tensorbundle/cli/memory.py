"""Memory that a measurement starts from: random, backed by real pages, touched."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["make_pool", "touch_all", "touched_memory", "warm_memory"]

Array = np.ndarray[Any, Any]


def make_pool(num_bytes: int, *, huge_pages: bool = True) -> Array:
    """Make random float32 values; their memory is written, and starts at a page.

    NumPy asks for huge pages for arrays of its own, so they are the default; torch does
    not.
    """
    size = max(64, num_bytes // 64 * 64)
    pool = np.frombuffer(_fresh_memory(size, huge_pages), dtype=np.float32)
    np.random.default_rng(0).standard_normal(out=pool, dtype=np.float32)
    return pool


def touched_memory(num_bytes: int) -> mmap.mmap:
    """Make memory whose pages are there before a clock starts."""
    memory = _fresh_memory(num_bytes, huge_pages=True)
    np.frombuffer(memory, dtype=np.uint8)[:: mmap.PAGESIZE].fill(1)
    return memory


def _fresh_memory(num_bytes: int, huge_pages: bool) -> mmap.mmap:
    memory = mmap.mmap(-1, num_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # else shared
    memory.madvise(mmap.MADV_HUGEPAGE if huge_pages else mmap.MADV_NOHUGEPAGE)
    return memory


def warm_memory(num_bytes: int) -> None:
    """Touch memory and free it: the first touch on a virtual machine waits for the host."""
    with mmap.mmap(-1, num_bytes) as memory:
        np.frombuffer(memory, dtype=np.uint8)[:: mmap.PAGESIZE].fill(1)


def touch_all(arrays: Mapping[str, Any]) -> int:
    """Read every byte; NumPy's XOR over 64-bit words goes at memory speed."""
    return sum(int(np.bitwise_xor.reduce(_words(array))) for array in arrays.values())


def _words(array: Any) -> Array:
    words = np.asarray(array).reshape(-1).view(np.uint8)
    return words.view(np.uint64) if words.nbytes % 8 == 0 else words

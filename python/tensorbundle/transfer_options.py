"""The arguments that saves, loads and verifications share: checked, as the core has them.

Raises, all of them
-------------------
ValueError
    It is out of range, or no such backend.
TypeError
    It is no integer.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from tensorbundle.config import BACKENDS

__all__ = [
    "check_backend",
    "check_block_size",
    "check_names",
    "check_number",
    "check_queue_depth",
    "check_threads",
]

_BLOCK_UNIT = 1 << 16  # bytes: a multiple of the direct-I/O granule of any device
_MAX_BLOCK = 1 << 30  # bytes: one system call moves less than 2 GiB
_MAX_DEPTH = 4096  # what every kernel's io_uring grants


def check_names(given: Iterable[str], known: Iterable[str], call: str) -> None:
    """Raise TypeError for an option that does not exist; `call` is what the user called."""
    names = sorted(known)
    for name in given:
        if name not in names:
            close = get_close_matches(str(name), names, 1)
            told = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(names)}"
            raise TypeError(f"{call} takes no option {name!r}; {told}")


def check_number(name: str, value: int | None) -> int:
    """Give a number of anything, where 0 stands for the core's default."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not 1 <= value < 2**31:
        raise ValueError(f"{name} must be a positive number, not {value}")
    return value


def check_backend(backend: str) -> None:
    """Raise ValueError for a backend that does not exist."""
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")


def check_threads(num_threads: int | None) -> int:
    """Give the core's number of threads, where 0 stands for its default."""
    return check_number("num_threads", num_threads)


def check_block_size(block_size: int | None) -> int:
    """Give the core's bytes per transfer, where 0 stands for its default."""
    size = check_number("block_size", block_size)
    if size % _BLOCK_UNIT or size > _MAX_BLOCK:
        raise ValueError(
            f"block_size must be a multiple of {_BLOCK_UNIT} bytes and at most {_MAX_BLOCK},"
            f" not {size}"
        )
    return size


def check_queue_depth(queue_depth: int | None) -> int:
    """Give the core's transfers in flight per thread, where 0 stands for its default."""
    depth = check_number("queue_depth", queue_depth)
    if depth > _MAX_DEPTH:
        raise ValueError(f"queue_depth must be at most {_MAX_DEPTH}, not {depth}")
    return depth

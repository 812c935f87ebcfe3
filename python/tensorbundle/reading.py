"""Between the public functions and the core's bundle: what all ways to read share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from tensorbundle import dtypes
from tensorbundle.available_memory import available_memory
from tensorbundle.close_names import close_names
from tensorbundle.core import _core
from tensorbundle.errors import CheckpointGoneError, MissingTensorError, UnsupportedError
from tensorbundle.slices import Box
from tensorbundle.transfer_options import check_block_size, check_queue_depth, check_threads

__all__ = [
    "check_tensors",
    "find",
    "has",
    "map_tensors",
    "of_current",
    "read_backend",
    "read_box",
    "read_options",
    "read_tensors",
]

Array = np.ndarray[Any, Any]

# Opens of a checkpoint that somebody else keeps replacing.
_MOST_TRIES = 10

T = TypeVar("T")


def of_current(attempt: Callable[[], T]) -> T:
    """Open and read the checkpoint that is there, even while another process replaces it."""
    for _ in range(_MOST_TRIES - 1):
        try:
            return attempt()
        except CheckpointGoneError:
            continue
    return attempt()


def read_options(
    *,
    verify: bool,
    num_threads: int | None = None,
    block_size: int | None = None,
    queue_depth: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    fresh: bool = False,
) -> _core.ReadOptions:
    """Check how to read, and make what the core takes.

    With `fresh` nobody has touched the memory of the arrays that are read into, so it gets
    its pages, huge ones where it can have them, just before it is filled.
    """
    return _core.ReadOptions(
        verify=verify,
        num_threads=check_threads(num_threads),
        block_size=check_block_size(block_size),
        queue_depth=check_queue_depth(queue_depth),
        progress=progress,
        fresh=fresh,
    )


def read_backend(report: dict[str, Any], backend: str) -> str:
    """Name the way most of the bytes came, given what was asked for."""
    if 2 * report["direct_bytes"] <= report["bytes"]:
        return "buffered"
    if report["queue_reason"]:
        return "direct"
    return "uring" if backend == "auto" else backend


def has(core: _core.Bundle, name: str | bytes) -> bool:
    """Tell whether a tensor is in the bundle; any text may be asked for."""
    try:
        return core.contains(name)
    except UnicodeEncodeError:
        return False


def find(core: _core.Bundle, name: str) -> tuple[Any, ...]:
    """Look a record up; a missing name is told with its close matches."""
    with _names_explained(core):
        return core.find(name)


def map_tensors(
    core: _core.Bundle,
    wanted: list[str],
    options: _core.ReadOptions,
    how: _core.MapOptions,
) -> tuple[list[Array], dict[str, Any]]:
    """Give views of mapped tensors; those that cannot be mapped are read instead."""
    with _names_explained(core):
        arrays, report = core.map(wanted, dtypes=dtypes.TO_NUMPY, how=how, options=options)
    return _with_string_arrays(core, wanted, arrays), report


def read_tensors(
    core: _core.Bundle,
    wanted: list[str],
    options: _core.ReadOptions,
    into: list[Array | None] | None = None,
) -> tuple[list[Array], dict[str, Any]]:
    """Read tensors into arrays of their own, or those that `into` has for them."""
    targets = into or [None] * len(wanted)
    # Strings are decoded first, then put in place.
    numeric = [t if t is None or t.dtype != object else None for t in targets]
    with _names_explained(core):
        values, report = core.load(
            wanted, into=numeric, dtypes=dtypes.TO_NUMPY, options=options
        )
    arrays = _with_string_arrays(core, wanted, values)
    for i, target in enumerate(targets):
        if target is not None and target.dtype == object:
            target[...] = arrays[i]
            arrays[i] = target
    return arrays, report


def check_tensors(
    core: _core.Bundle,
    names: Collection[str],
    options: _core.ReadOptions,
    *,
    again: bool = False,
) -> None:
    """Compare the checksums of tensors.

    With `again` they are about to be read once more. Where memory allows they are then left
    in the page cache, so that the disk is read once: the second time is faster, and cannot
    fail by a device that does in between.

    Raises
    ------
    CorruptionError, UnsupportedError, OSError
        What is wrong with the first of those that are not sound.
    """
    if not names:
        return
    if again and 2 * sum(find(core, name)[4] for name in names) <= available_memory():
        options = options.again()
    _, faults = core.verify(sorted(names), options=options)
    for fault in faults:
        raise fault[1]


def read_box(core: _core.Bundle, name: str, box: Box, *, verify: bool = True) -> Array:
    """Read a box of a tensor, or with steps what is wanted of it, as an array of its own.

    With `verify` the checksums of the parts that are wholly inside are compared.
    """
    options = read_options(verify=verify)
    if isinstance(core, _core.V1Checkpoint):  # which stores numbers of no fixed size
        return box.taken(box.of_whole(read_tensors(core, [name], options)[0][0]))
    with _names_explained(core):
        value = core.read_box(
            name, box.begin, box.size, box.shape, dtypes=dtypes.TO_NUMPY, options=options
        )
    if isinstance(value, list):
        value = _object_array(value).reshape(box.shape).copy()
    return box.taken(value)


def _with_string_arrays(
    core: _core.Bundle, names: list[str], values: list[Any]
) -> list[Array]:
    """Turn the lists of bytes among `values` into object arrays of their shapes."""
    for i, value in enumerate(values):
        if isinstance(value, list):
            values[i] = _reshaped(core, names[i], _object_array(value))
    return values


def _object_array(elements: list[bytes]) -> Array:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def _reshaped(core: _core.Bundle, name: str, array: Array) -> Array:
    _, shape, shard, offset, *_ = core.find(name)
    try:
        return array.reshape(shape)
    except ValueError as error:  # an empty giant
        path, detail = core.shard_path(shard), f"NumPy has no array of shape {shape}: {error}"
        raise UnsupportedError(
            f"{path}: tensor {name!r}: {detail}",
            code="UnsupportedRank",
            detail=detail,
            path=path,
            key=name,
            shard=shard,
            offset=offset,
        ) from None


@contextmanager
def _names_explained(core: _core.Bundle) -> Iterator[None]:
    try:
        yield
    except MissingTensorError as error:
        close = close_names(error.key or "", core.names())
        if close:
            told = ", ".join(map(repr, close))
            error.message = f"{error.message}; did you mean {told}?"
        raise
    except UnicodeEncodeError as error:
        message = f"{error.object!r} is not in the bundle: no name can have a lone surrogate"
        raise MissingTensorError(message, code="NotFound", key=error.object) from None

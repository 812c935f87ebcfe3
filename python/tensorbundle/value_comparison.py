"""How far apart the elements of two checkpoints' tensors are, a piece at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tensorbundle.bundle import Bundle
from tensorbundle.diffing import ValueDiff

__all__ = ["compare_values"]

Array = np.ndarray[Any, Any]
Index = tuple[int | slice, ...]

# Compared at a time: some 8 MB of each tensor, and a few times that while it is done.
_CHUNK_ELEMENTS = 1 << 20


def compare_values(
    a: str, b: str, names: list[str], *, rtol: float, atol: float
) -> Iterator[ValueDiff]:
    """Compare tensors that have the same dtype and shape in both checkpoints.

    Large tensors are read in parts, so their checksums are not compared.
    """
    with Bundle(a) as first, Bundle(b) as second:
        for name in names:
            yield _compare(name, first, second, rtol, atol)


def _compare(name: str, a: Bundle, b: Bundle, rtol: float, atol: float) -> ValueDiff:
    shape = a.entry(name).shape
    num_unequal = num_outside = 0
    max_abs = 0.0
    for x, y in zip(_chunks(a, name, shape), _chunks(b, name, shape), strict=True):
        unequal = _unequal(x, y)
        count = int(np.count_nonzero(unequal))
        if not count:
            continue
        num_unequal += count
        if x.dtype == object:
            num_outside += count
            continue
        x, y = _wide(x[unequal]), _wide(y[unequal])
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.abs(x - y)
            if rtol or atol:
                # Not "greater than": beside a NaN nothing is close.
                count -= int(np.count_nonzero(distance <= atol + rtol * np.abs(y)))
        num_outside += count
        known = distance[~np.isnan(distance)]
        max_abs = max(max_abs, float(known.max(initial=0.0)))
    return ValueDiff(name, math.prod(shape), num_unequal, num_outside, max_abs)


def _unequal(x: Array, y: Array) -> Array:
    unequal: Array = np.asarray(x != y)
    if x.dtype.kind in "fcV":  # V: the kinds of ml_dtypes, of which integers have no NaN
        with np.errstate(invalid="ignore"):
            unequal &= ~(np.asarray(x != x) & np.asarray(y != y))
    return unequal


def _wide(array: Array) -> Array:
    """Give numbers whose differences fit: of 64-bit integers only nearly."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _chunks(bundle: Bundle, name: str, shape: tuple[int, ...]) -> Iterator[Array]:
    """Give a tensor in parts of one dimension: the same for every bundle."""
    entry = bundle.entry(name)
    # Strings are decoded as a whole, and so is whatever a V1 checkpoint has.
    if entry.dtype == object or entry.offset is None or math.prod(shape) <= _CHUNK_ELEMENTS:
        array = bundle[name]
        yield from (array[index].reshape(-1) for index in _indices(shape))
        return
    yield from (bundle.read_slice(name, index).reshape(-1) for index in _indices(shape))


def _indices(shape: tuple[int, ...]) -> Iterator[Index]:
    """Cut a shape into boxes of at most as many elements as are compared at a time."""
    if math.prod(shape) == 0:
        return
    # The first dimension from which on a whole row fits.
    axis = next(
        (d for d in range(len(shape)) if math.prod(shape[d + 1 :]) <= _CHUNK_ELEMENTS), 0
    )
    if not shape:
        yield (...,)  # type: ignore[misc]
        return
    rows = max(1, _CHUNK_ELEMENTS // math.prod(shape[axis + 1 :]))
    outer = itertools.product(*(range(size) for size in shape[:axis]))
    for index in outer:
        for begin in range(0, shape[axis], rows):
            yield (*index, slice(begin, min(begin + rows, shape[axis])))

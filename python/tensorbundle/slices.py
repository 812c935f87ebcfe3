"""What a NumPy index wants of a tensor, as a box to be read and what is taken of it."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Box"]

Array = np.ndarray[Any, Any]


class Box(NamedTuple):
    """Elements of a tensor: per dimension the first, and how many; then what is taken."""

    begin: list[int]
    size: list[int]
    shape: list[int]
    """Of the array: the size, without the dimensions that an integer drops."""
    steps: tuple[slice, ...]
    """What is taken of that array."""

    @classmethod
    def of(cls, index: Any, shape: tuple[int, ...]) -> Box:
        """Give the box that an index needs: integers, slices, one ellipsis.

        Raises
        ------
        IndexError
            The index does not fit the shape.
        TypeError
            It has anything else that NumPy would take.
        """
        box = cls([], [], [], ())
        steps: list[slice] = []
        for item, size in zip(_full_index(index, len(shape)), shape, strict=True):
            begin, length, step = _resolve(item, size, len(box.begin))
            box.begin.append(begin)
            box.size.append(length)
            if step is not None:
                box.shape.append(length)
                steps.append(slice(None, None, step))
        return box._replace(steps=tuple(steps))

    def of_whole(self, array: Array) -> Array:
        """Give a copy of the box, whose shape has no dropped dimensions, of the tensor."""
        where = zip(self.begin, self.size, strict=True)
        part = array[tuple(slice(begin, begin + size) for begin, size in where)]
        return np.array(part.reshape(self.shape))

    def taken(self, array: Array) -> Array:
        """Give what is wanted of the box, which is an array in memory."""
        if all(item.step == 1 for item in self.steps):
            return array
        return array[self.steps].copy()


def _full_index(index: Any, rank: int) -> list[Any]:
    """Give one item per dimension."""
    items = list(index) if isinstance(index, tuple) else [index]
    places = [i for i, item in enumerate(items) if item is ...]
    if len(places) > 1:
        raise IndexError("an index can have one ellipsis only")
    missing = rank - (len(items) - len(places))
    if missing < 0:
        raise IndexError(
            f"too many indices: {len(items) - len(places)} for a tensor of rank {rank}"
        )
    at = places[0] if places else len(items)
    return items[:at] + [slice(None)] * missing + items[at + len(places) :]


def _resolve(item: Any, size: int, dimension: int) -> tuple[int, int, int | None]:
    """Give the first element, how many, and the step; ``None`` drops the dimension."""
    if isinstance(item, slice):
        indices = range(*item.indices(size))
        if not indices:
            return 0, 0, 1
        begin, end = min(indices[0], indices[-1]), max(indices[0], indices[-1]) + 1
        return begin, end - begin, indices.step
    if isinstance(item, (bool, np.bool_)):
        raise TypeError("a slice has integers, slices and an ellipsis, not a boolean")
    try:
        number = operator.index(item)
    except TypeError:
        raise TypeError(
            f"a slice has integers, slices and an ellipsis, not {type(item).__name__}"
        ) from None
    if not -size <= number < size:
        raise IndexError(
            f"index {number} is out of bounds for dimension {dimension} of size {size}"
        )
    return number % size, 1, None

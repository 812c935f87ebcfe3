"""A tensor that is saved in parts, as TensorFlow saves partitioned variables."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Sequence
from typing import Any

__all__ = ["Partitioned", "as_sizes"]


@dataclasses.dataclass(frozen=True, eq=False)
class Partitioned:
    """A value for `save` that is stored in parts, and read as one tensor.

    Parts are boxes of the tensor: each has its offsets, one per dimension, and its
    elements, whose shape is the box's. They may be arrays of any framework, or of strings,
    all of one dtype, and are written from their own memory like any tensor.

    TensorFlow reads the whole and every slice of it for the dtypes that it can put
    together: not float16, unsigned integers above 8 bits, 8-bit floats and strings. This
    library reads all of them. One part that is all of the tensor is stored as a tensor.

    Attributes
    ----------
    full_shape
        Shape of the whole.
    parts
        Pairs of offsets and elements; in any order, none sharing an element with another.
    partial
        The parts may leave gaps, to be filled by those of other bundles in a merge. Until
        then no one can read what is missing.

    Examples
    --------
    >>> halves = tb.Partitioned((4, 6), [((0, 0), upper), ((2, 0), lower)])  # doctest: +SKIP
    >>> tb.save("run/ckpt-1", {"table": halves})  # doctest: +SKIP
    """

    full_shape: Sequence[int]
    parts: Sequence[tuple[Sequence[int], Any]]
    partial: bool = False


def as_sizes(name: str | bytes, what: str, numbers: Any) -> tuple[int, ...]:
    """Check a shape, or offsets: numbers of 0 or more.

    Raises
    ------
    TypeError
        They are no integers; the message names the tensor.
    ValueError
        One is negative, or has more than 63 bits.
    """
    try:
        sizes = tuple(operator.index(number) for number in numbers)
    except TypeError:
        raise TypeError(
            f"tensor {name!r}: {what} must be integers, one per dimension, not {numbers!r}"
        ) from None
    if not all(0 <= size < 2**63 for size in sizes):
        raise ValueError(
            f"tensor {name!r}: {what} must be between 0 and 2^63 - 1, not {sizes}"
        )
    return sizes

"""Tensors in parts, made in ways that a test can choose or Hypothesis can draw."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

import tensorbundle as tb


def cut(array, *cuts):
    """Cut an array into a grid: `cuts` has for each dimension where to."""
    boxes = [((), ())]
    for size, places in zip(array.shape, cuts, strict=True):
        ends = [0, *places, size]
        boxes = [
            ((*begin, first), (*shape, last - first))
            for begin, shape in boxes
            for first, last in pairwise(ends)
        ]
    return [(begin, piece(array, begin, shape)) for begin, shape in boxes]


def piece(array, begin, shape):
    """Give the box of an array that has this shape, as a view."""
    where = tuple(slice(b, b + s) for b, s in zip(begin, shape, strict=True))
    return array[(*where, ...)]


def spec(full_shape, begin, shape):
    """Give TensorFlow's shape_and_slices for a part, as its partitioned variables do."""
    dimensions = " ".join(map(str, full_shape))
    extents = ":".join(f"{b},{s}" for b, s in zip(begin, shape, strict=True))
    return f"{dimensions} {extents}"


def save_parts_with_tensorflow(tf, prefix, tensors):
    """Write every `Partitioned` of a mapping with the op, part by part; others whole."""
    names, specs, values = [], [], []
    for name, value in tensors.items():
        is_parted = isinstance(value, tb.Partitioned)
        for begin, part in value.parts if is_parted else [(None, value)]:
            names.append(name)
            specs.append(spec(value.full_shape, begin, part.shape) if is_parted else "")
            values.append(tf.constant(part))
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=specs, tensors=values
    )


@st.composite
def partitioned(draw, arrays):
    """Draw an array and a `Partitioned` of it: cut again and again, in any order."""
    array = draw(arrays)
    boxes = [((0,) * array.ndim, array.shape)]
    for _ in range(draw(st.integers(0, 6))):
        begin, shape = boxes.pop(draw(st.integers(0, len(boxes) - 1)))
        splittable = [d for d, size in enumerate(shape) if size > 1]
        if not splittable:
            boxes.append((begin, shape))
            continue
        d = draw(st.sampled_from(splittable))
        at = draw(st.integers(1, shape[d] - 1))
        boxes.append((begin, (*shape[:d], at, *shape[d + 1 :])))
        boxes.append(
            ((*begin[:d], begin[d] + at, *begin[d + 1 :]),
             (*shape[:d], shape[d] - at, *shape[d + 1 :]))
        )  # fmt: skip
    boxes = draw(st.permutations(boxes))
    return array, tb.Partitioned(array.shape, [(b, piece(array, b, s)) for b, s in boxes])


@st.composite
def indices(draw, shape):
    """Draw what NumPy takes between brackets: integers, slices, an ellipsis."""
    items = []
    for size in shape[: draw(st.integers(0, len(shape)))]:
        if size and draw(st.booleans()):
            items.append(draw(st.integers(-size, size - 1)))
        else:
            bound = st.none() | st.integers(-size - 1, size + 1)
            step = st.sampled_from([None, None, 1, 2, -1, -3])
            items.append(slice(draw(bound), draw(bound), draw(step)))
    if draw(st.booleans()):
        return (*items, ...)
    return tuple(items)


def elements(array, index):
    """Give what an index takes, as an array also where one element is left."""
    full = index if ... in index else (*index, ...)
    return np.array(array[full])

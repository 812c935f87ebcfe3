"""Nested objects with tensors in them, compared to the last bit."""

from __future__ import annotations

import math
import struct
from collections import Counter, OrderedDict, namedtuple

import numpy as np

Point = namedtuple("Point", "x y")


def plain_values(torch):
    """Give a value of each kind that is no tensor."""
    strange_nan = struct.unpack(">d", bytes.fromhex("fff8000000000123"))[0]
    return {
        "none": None,
        "bools": [True, False],
        "ints": [0, -1, 2**53 - 1, 2**53, -(2**64), 10**5000],
        "floats": [0.1, -0.0, 1e-320, 1.0, math.inf, -math.inf, math.nan, strange_nan],
        "complex": [1 + 2j, complex(-0.0, math.nan)],
        "texts": ["", "größe", "\ud800", "nul\0", "$tensor"],
        "bytes": [b"", b"\0\xff", b"x" * 5000, bytearray(b"ab"), bytearray(5000)],
        "tuples": [(), (1,), (1, (2, [3]))],
        "named": Point(1, Point([2], None)),
        "sets": [set(), {1, "a", (2, 3)}, frozenset({1.5})],
        "ordered": OrderedDict(b=1, a=2),
        "counter": Counter("hello"),
        "keys": {1: "int", "1": "str", None: 0, 1.5: 1, (1, "a"): 2, b"x": 3, False: 4},
        "dollars": {"$tensor": 1, "$dict": {"$ref": 0}},
        "empty": [{}, [], OrderedDict()],
        "constants": [torch.bfloat16, torch.float8_e4m3fn, torch.strided, torch.channels_last],
        "devices": [torch.device("cpu"), torch.device("cuda", 1), torch.device("meta")],
        "size": torch.Size([2, 0, 3]),
        "scalars": [np.float32(0.1), np.int64(-5), np.bool_(True), np.float64(math.nan)],
        "array": np.arange(6, dtype=np.uint16).reshape(2, 3),
        "no elements": np.zeros((2, 0)),
    }


def assert_identical(found, expected, path="obj"):
    """Compare types, values, order, dtypes, strides of dense tensors, and every bit."""
    if type(expected) is Point:
        assert type(found).__name__ == "Point", path
        assert type(found)._fields == expected._fields, path
        found, expected = tuple(found), tuple(expected)
    assert type(found) is type(expected), path
    if isinstance(expected, dict):
        assert [*map(repr, found)] == [*map(repr, expected)], path
        for own, key in zip(found, expected, strict=True):
            assert_identical(found[own], expected[key], f"{path}[{key!r}]")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), path
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert_identical(a, b, f"{path}[{i}]")
    elif hasattr(expected, "untyped_storage"):
        assert_same_tensor(found, expected, path)
    elif isinstance(expected, (np.ndarray, np.generic)):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), path
        assert found.tobytes() == expected.tobytes(), path
    elif isinstance(expected, float):
        assert struct.pack("d", found) == struct.pack("d", expected), path
    elif isinstance(expected, complex):
        assert repr(found) == repr(expected), path
    else:
        assert found == expected, path


def assert_same_tensor(found, expected, path):
    assert found.dtype == expected.dtype, path
    assert found.shape == expected.shape, path
    assert found.requires_grad == expected.requires_grad, path
    assert found.is_leaf, path
    assert bits(found) == bits(expected), path


def bits(tensor):
    """Give the bytes of a tensor in C order."""
    import torch

    resolved = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    if resolved.numel() == 0:
        return b""
    return resolved.reshape(-1).view(torch.uint8).numpy().tobytes()

"""``tensorbundle cat``: one tensor, or a slice of it, as text or as a .npy file."""

from __future__ import annotations

import argparse
import math
import sys
from typing import Any

import numpy as np

from tensorbundle.bundle import Bundle
from tensorbundle.cli.errors import OK, CommandError
from tensorbundle.cli.npy import write_npy
from tensorbundle.cli.output import format_bytes, is_terminal, print_json, shown_name
from tensorbundle.cli.prefix import resolve_prefix
from tensorbundle.cli.slices import Index, parse_index, split_slice
from tensorbundle.stored_text import as_text

__all__ = ["run"]

# Of a string element, as NumPy summarises arrays; --full prints all.
_MOST_STRING_BYTES = 200


def run(arguments: argparse.Namespace) -> int:
    """Print or write a tensor; give the exit status."""
    if arguments.json and arguments.npy is not None:
        raise CommandError("--json prints the tensor, --npy writes it: give one of them")
    prefix = resolve_prefix(arguments.prefix)
    with Bundle(prefix) as bundle:
        name, index = _find(bundle, arguments.tensor)
    # A slice is read alone: its tensor is not verified unless that is asked for.
    verified = index is None if arguments.verify is None else arguments.verify
    # Read, not mapped: a file that is cut short while it is printed is not to end in SIGBUS.
    with Bundle(prefix, verify=verified, mmap=False) as bundle:
        dtype_name = bundle.entry(name).dtype_name
        array = bundle[name] if index is None else _read(bundle, name, index, arguments)
    if arguments.json:
        # What is left of the argument behind a name that is followed by a slice.
        taken = None if index is None else arguments.tensor[arguments.tensor.rindex("[") :]
        print_json({
            "prefix": prefix,
            "name": name,
            "slice": taken,
            "dtype": dtype_name,
            "shape": array.shape,
            "verified": verified,
            "values": _plain(array),
        })  # fmt: skip
        return OK
    header = f"{shown_name(arguments.tensor)}  {dtype_name}  {array.shape}"
    if arguments.npy is None:
        print(header)
        print(_told(array, full=arguments.full))
        return OK
    if arguments.npy == "-" and is_terminal(sys.stdout):
        raise CommandError("--npy - would write binary to a terminal; redirect it")
    write_npy(arguments.npy, array, dtype_name)
    if arguments.npy != "-":
        print(f"{header}  {format_bytes(array.nbytes)} written to {shown_name(arguments.npy)}")
    return OK


def _plain(array: np.ndarray[Any, Any]) -> Any:
    """Give the elements as nested lists of what JSON has."""
    if array.ndim:
        return [_plain(array[i, ...]) for i in range(len(array))]
    element = array[()]
    if isinstance(element, bytes):
        return as_text(element)
    if array.dtype.kind in "biu":
        return array.item()
    if array.dtype.kind == "c":
        return [_number(float(element.real)), _number(float(element.imag))]
    number = float(element)
    # Types of ml_dtypes tell whether they are integers by their names only.
    return int(number) if "int" in array.dtype.name else _number(number)


def _number(value: float) -> float | str:
    """Give a float, or the name of one that JSON lacks."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _find(bundle: Bundle, text: str) -> tuple[str, Index | None]:
    """Read ``NAME[SLICE]``; all of it is a name if there is a tensor of that name."""
    name = _name_in(bundle, text)
    if name is not None:
        return name, None
    split = split_slice(text)
    if split is None:
        bundle.entry(text)  # raises, telling close matches
        return text, None
    name = _name_in(bundle, split[0])
    if name is None:
        bundle.entry(split[0])
        return text, None
    return name, parse_index(split[1])


def _name_in(bundle: Bundle, text: str) -> str | None:
    if text in bundle:
        return text
    if "\\" not in text:
        return None
    # As listed: a name with a zero byte cannot be given in any other way.
    return next((name for name in bundle if shown_name(name) == text), None)


def _read(
    bundle: Bundle, name: str, index: Index, arguments: argparse.Namespace
) -> np.ndarray[Any, Any]:
    try:
        return bundle.read_slice(name, index, verify=arguments.verify)
    except IndexError as error:
        shape = bundle.entry(name).shape
        raise CommandError(f"{arguments.tensor}: {error}; the shape is {shape}") from None


def _told(array: np.ndarray[Any, Any], *, full: bool) -> str:
    def shown(element: Any) -> str:  # of bytes
        if full or len(element) <= _MOST_STRING_BYTES:
            return repr(element)
        return f"{element[:_MOST_STRING_BYTES]!r}... ({len(element)} bytes)"

    threshold = max(array.size, 1) if full else 1000  # 1000: NumPy's own
    if array.dtype != object:
        return np.array2string(array, threshold=threshold)
    return np.array2string(array, threshold=threshold, formatter={"object": shown})

"""Reads ``[0:10, :, -1]`` as NumPy would, and nothing else."""

from __future__ import annotations

import re
from types import EllipsisType

from tensorbundle.cli.errors import CommandError

__all__ = ["Index", "parse_index", "split_slice"]

Index = tuple["int | slice | EllipsisType", ...]

# 18 digits are less than 2^63, beyond any dimension.
_NUMBER = r"[+-]?[0-9]{1,18}"
_INTEGER = re.compile(_NUMBER)
_SLICE = re.compile(rf"(?P<start>{_NUMBER})?\s*:\s*(?P<stop>{_NUMBER})?"
                    rf"(?:\s*:\s*(?P<step>{_NUMBER})?)?")  # fmt: skip


def split_slice(text: str) -> tuple[str, str] | None:
    """Cut ``"name[slice]"`` into name and slice; ``None`` if it does not end in one.

    The slice begins at the last bracket: the name may have brackets, a slice has none.
    """
    name, bracket, rest = text.rpartition("[")
    if not bracket or not name or not rest.endswith("]"):
        return None
    return name, rest[:-1]


def parse_index(text: str) -> Index:
    """Parse what stands between the brackets: integers, slices and one ellipsis.

    Raises
    ------
    CommandError
        It is anything else.
    """
    index = tuple(_parse_item(item.strip(), text) for item in text.split(","))
    if index.count(...) > 1:
        raise CommandError(f"bad slice [{text}]: more than one ...")
    return index


def _parse_item(item: str, text: str) -> int | slice | EllipsisType:
    if item == "...":
        return ...
    if _INTEGER.fullmatch(item):
        return int(item)
    match = _SLICE.fullmatch(item)
    if match is None:
        raise CommandError(
            f"bad slice [{text}]: {item!r} is no integer, start:stop:step or ..."
        )
    start, stop, step = (None if part is None else int(part) for part in match.groups())
    if step == 0:
        raise CommandError(f"bad slice [{text}]: the step of {item!r} is 0")
    return slice(start, stop, step)

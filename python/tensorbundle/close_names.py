"""What somebody may have meant by a name that is not there."""

from __future__ import annotations

import bisect
import difflib
from collections.abc import Iterable

__all__ = ["close_names"]

# How names of object-based checkpoints end: "model/kernel/.ATTRIBUTES/VARIABLE_VALUE".
_ATTRIBUTES = "/.ATTRIBUTES/"

# Of more names only the neighbours in alphabetical order are compared, those that begin alike:
# difflib takes up to 30 microseconds each, and an error may take some tenths of a second.
_MOST_COMPARED = 10_000


def close_names(name: str, names: Iterable[str]) -> list[str]:
    """Give the names that are most like `name`, three at most, the most alike first.

    They are compared without the attribute that names of object-based checkpoints end in:
    it is the same in all, and often longer than what comes before.
    """
    stem = _stem(name)
    ordered = sorted(names)
    at = bisect.bisect(ordered, stem)
    first = max(0, min(at - _MOST_COMPARED // 2, len(ordered) - _MOST_COMPARED))
    by_stem: dict[str, list[str]] = {}
    for other in ordered[first : first + _MOST_COMPARED]:
        by_stem.setdefault(_stem(other), []).append(other)
    close = difflib.get_close_matches(stem, by_stem)
    return [other for near in close for other in by_stem[near]][:3]


def _stem(name: str) -> str:
    return name.rpartition(_ATTRIBUTES)[0] or name

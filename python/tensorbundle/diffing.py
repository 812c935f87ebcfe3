"""What differs between two checkpoints: by their indexes, or also by their values.

Needs NumPy for values only, so that the command line tells differences at once.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from tensorbundle.core import _core
from tensorbundle.paths import open_core
from tensorbundle.stored_text import as_bytes

__all__ = ["ChangedTensor", "DiffReport", "TensorSpec", "ValueDiff", "diff"]


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """What an index says of one tensor."""

    name: str
    dtype: str
    """The format's own name: ``"float32"``, ``"bfloat16"``, ``"string"``."""
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class ChangedTensor:
    """A tensor that has another dtype or shape in the second checkpoint."""

    name: str
    a: TensorSpec
    b: TensorSpec


@dataclasses.dataclass(frozen=True)
class ValueDiff:
    """How far apart the elements of one tensor are."""

    name: str
    num_elements: int
    num_unequal: int
    """Elements that are not equal; two NaNs are."""
    num_outside: int
    """Of these: farther apart than ``atol + rtol * abs(b)``."""
    max_abs: float
    """The largest distance of two numbers; 0 for strings."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiffReport:
    """What differs between two checkpoints, a and b; all in the order of the names."""

    a: str
    b: str
    removed: tuple[TensorSpec, ...]
    """Only in a."""
    added: tuple[TensorSpec, ...]
    """Only in b."""
    changed: tuple[ChangedTensor, ...]
    """Of another dtype or shape."""
    different: tuple[TensorSpec, ...]
    """Of the same dtype and shape, with other bytes: their checksums differ."""
    unknown: tuple[TensorSpec, ...]
    """Of the same dtype and shape, but stored in other parts, in the other byte order, or
    in a V1 checkpoint, which has no checksums: only their values can tell."""
    same_checksum: tuple[str, ...]
    """Of the same dtype, shape and CRC-32C: the same bytes, as far as 32 bits can tell."""
    values: tuple[ValueDiff, ...] | None
    """Of those in `different` and `unknown`; ``None`` where values were not compared."""

    @property
    def same(self) -> bool:
        """Whether nothing differs: by the values where they were compared."""
        if self.removed or self.added or self.changed:
            return False
        if self.values is None:
            return not self.different and not self.unknown
        return not any(found.num_outside for found in self.values)

    def as_dict(self) -> dict[str, Any]:
        """Give all fields, and `same`, as plain values."""
        return {"same": self.same, **dataclasses.asdict(self)}


def diff(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    values: bool = False,
    rtol: float = 0.0,
    atol: float = 0.0,
) -> DiffReport:
    """Compare two checkpoints tensor by tensor.

    Their indexes tell which tensors were added or removed, which have another dtype or
    shape, and, by the checksums, which have other bytes: no data file is opened. Equal
    checksums make equal bytes likely, not certain.

    Parameters
    ----------
    a, b
        Paths of the checkpoints without a suffix.
    values
        Compare the numbers of the tensors that the checksums cannot tell to be the same,
        reading these and no others, a few megabytes at a time: it takes less than 160 MiB
        of memory whatever their size. Only string tensors, and those of V1 checkpoints, are
        read whole, one of each checkpoint at a time.
    rtol, atol
        With `values`: two numbers count as the same where ``abs(a - b) <= atol + rtol *
        abs(b)``, as for ``numpy.isclose``. NaN is the same as NaN. With 0, the default,
        numbers must be equal.

    Returns
    -------
    DiffReport
        ``.same``, and the tensors of each kind.

    Raises
    ------
    FileNotFoundError
        One of them does not exist.
    CorruptionError, UnsupportedError
        An index is damaged, or a record in it.
    ValueError
        `rtol` or `atol` is negative, or given without `values`.
    """
    if not (rtol >= 0 and atol >= 0):
        raise ValueError(f"rtol and atol must be 0 or more, not {rtol} and {atol}")
    if (rtol or atol) and not values:
        raise ValueError("rtol and atol are for values=True")
    path_a, path_b = os.fspath(a), os.fspath(b)
    found = _differences(open_core(path_a), open_core(path_b))
    report = DiffReport(
        a=path_a,
        b=path_b,
        removed=tuple(_spec(name, entry) for name, entry, _ in found["removed"]),
        added=tuple(_spec(name, entry) for name, _, entry in found["added"]),
        changed=tuple(
            ChangedTensor(name, _spec(name, first), _spec(name, second))
            for name, first, second in found["changed"]
        ),
        different=tuple(_spec(name, entry) for name, entry, _ in found["different"]),
        unknown=tuple(_spec(name, entry) for name, entry, _ in found["unknown"]),
        same_checksum=tuple(found["same"]),
        values=None,
    )
    if not values:
        return report
    from tensorbundle.value_comparison import compare_values

    names = sorted((s.name for s in (*report.different, *report.unknown)), key=as_bytes)
    compared = compare_values(path_a, path_b, names, rtol=rtol, atol=atol)
    return dataclasses.replace(report, values=tuple(compared))


def _differences(a: Any, b: Any) -> dict[str, list[Any]]:
    if isinstance(a, _core.Bundle) and isinstance(b, _core.Bundle):
        return a.diff(b)
    # V1 checkpoints have no checksums: all that their lists tell is dtype and shape.
    found: dict[str, list[Any]] = {
        kind: [] for kind in ("same", "removed", "added", "changed", "different", "unknown")
    }
    first, second = _specs(a), _specs(b)
    for name in sorted({*first, *second}, key=as_bytes):
        pair = first.get(name), second.get(name)
        if pair[1] is None:
            kind = "removed"
        elif pair[0] is None:
            kind = "added"
        else:
            kind = "unknown" if pair[0] == pair[1] else "changed"
        found[kind].append((name, *pair))
    return found


def _specs(core: Any) -> dict[str, tuple[int, tuple[int, ...]]]:
    specs = {}
    for name, entry in core.entries():
        if isinstance(entry, Exception):
            raise entry
        specs[name] = entry[:2]
    return specs


_NAMES = {number: name for number, name, _, _ in _core.dtypes()}


def _spec(name: str, entry: tuple[int, tuple[int, ...]]) -> TensorSpec:
    number, shape = entry
    return TensorSpec(name, _NAMES[number], shape)

"""``tensorbundle ls``: what is in a checkpoint. Reads the index only."""

from __future__ import annotations

import argparse
import fnmatch
import math
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from tensorbundle.cli.errors import DAMAGED, OK, CommandError, message_of
from tensorbundle.cli.output import (
    Column,
    count,
    escape,
    format_bytes,
    print_json,
    print_table,
    shown_name,
)
from tensorbundle.cli.prefix import newest_of, resolve_prefix
from tensorbundle.paths import open_core
from tensorbundle.stored_text import as_bytes

__all__ = ["run"]

_COLUMNS = (
    Column("name"),
    Column("dtype"),
    Column("shape", right=True),
    Column("size", right=True),
    Column("shard", right=True),
    Column("offset", right=True),
)


class _Tensor(NamedTuple):
    """A row. Partitioned tensors, and those of V1 checkpoints, have ``None`` for a place."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int | None  # bytes; of all parts
    shard: int | None
    offset: int | None
    crc32c: int | None
    slices: list[Any]


class _Bad(NamedTuple):
    """A row whose record cannot be decoded."""

    name: str
    error: Exception


class _Files(NamedTuple):
    """A save over another one names one data file ``-00000-of-00002``: its only one."""

    num_shards: int  # as their names count
    num_data_files: int  # that there are


def run(arguments: argparse.Namespace) -> int:
    """List tensors; give the exit status."""
    prefix = resolve_prefix(arguments.prefix)
    bundle = open_core(prefix)
    entries = bundle.entries()
    tensors, bad = _select(entries, arguments.patterns)
    tensors.sort(key=_SORT_KEYS[arguments.sort], reverse=arguments.reverse)
    files = _Files(bundle.num_shards, _count_files(bundle, entries))
    if arguments.json:
        print_json(_as_json(prefix, files, tensors, bad))
    else:
        print_table(_COLUMNS, [*map(_cells, tensors), *map(_bad_cells, bad)])
        print(newest_of(arguments.prefix, prefix) + _totals(tensors, bad, len(entries), files))
        for row in bad:
            told = escape(message_of(row.error))
            print(f"tensorbundle: error: {told}", file=sys.stderr)
    return DAMAGED if bad else OK


def _select(
    entries: list[tuple[str, Any]], patterns: Sequence[str]
) -> tuple[list[_Tensor], list[_Bad]]:
    from tensorbundle.core import _core

    kinds = {number: (name, size) for number, name, _, size in _core.dtypes()}
    tensors: list[_Tensor] = []
    bad: list[_Bad] = []
    for name, entry in entries:
        if patterns and not _matches(name, patterns):
            continue
        if isinstance(entry, Exception):
            bad.append(_Bad(name, entry))
        else:
            tensors.append(_tensor(name, entry, *kinds[entry[0]]))
    if patterns and not tensors and not bad:
        raise CommandError(f"no tensor matches {' or '.join(map(repr, patterns))}")
    return tensors, bad


def _count_files(bundle: Any, entries: list[tuple[str, Any]]) -> int:
    """Count the data files that are there, or that tensors say they are in."""
    # A tensor in parts has no file of its own; those of the parts are seen to be there.
    used = {
        entry[2] for _, entry in entries if not isinstance(entry, Exception) and not entry[-1]
    }
    return sum(
        shard in used or os.path.exists(bundle.shard_path(shard))
        for shard in range(bundle.num_shards)
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    # Equality first: a name with brackets is a pattern that does not match itself.
    return any(name == p or fnmatch.fnmatchcase(name, p) for p in patterns)


def _tensor(name: str, entry: Any, dtype: str, element_size: int) -> _Tensor:
    _, shape, shard, offset, size, crc32c, slices = entry
    if not slices:
        # The list of a V1 checkpoint does not tell the sizes of strings.
        known = None if crc32c is None and not element_size else size
        return _Tensor(name, dtype, shape, known, shard, offset, crc32c, [])
    # The index gives the sizes of the parts, which together are the whole.
    full_size = math.prod(shape) * element_size if element_size else None
    return _Tensor(name, dtype, shape, full_size, None, None, None, slices)


# None comes last: a partitioned tensor among those with a place.
_SORT_KEYS: dict[str, Any] = {
    "name": lambda t: as_bytes(t.name),
    "size": lambda t: (t.size is None, t.size or 0),
    "shape": lambda t: t.shape,
    "dtype": lambda t: t.dtype,
    "offset": lambda t: (t.shard is None, t.shard or 0, t.offset or 0),
}


def _cells(tensor: _Tensor) -> list[str]:
    parts = count(len(tensor.slices), "part")
    return [
        shown_name(tensor.name),
        tensor.dtype,
        str(tensor.shape),
        "-" if tensor.size is None else format_bytes(tensor.size),
        parts if tensor.shard is None else str(tensor.shard),
        "-" if tensor.offset is None else str(tensor.offset),
    ]


def _bad_cells(bad: _Bad) -> list[str]:
    code = getattr(bad.error, "code", "") or type(bad.error).__name__
    return [shown_name(bad.name), code, "-", "-", "-", "-"]


def _totals(tensors: list[_Tensor], bad: list[_Bad], num_entries: int, files: _Files) -> str:
    listed = len(tensors) + len(bad)
    of = "" if listed == num_entries else f"{listed:,} of "
    parts = [
        of + count(num_entries, "tensor"),
        count(sum(math.prod(t.shape) for t in tensors), "element"),
        format_bytes(sum(t.size or 0 for t in tensors)),
        count(files.num_data_files, "data file"),
    ]
    if files.num_data_files != files.num_shards:
        parts[-1] += f" (named of {files.num_shards:,})"
    if bad:
        parts.append(f"{len(bad):,} damaged")
    return ", ".join(parts)


def _as_json(
    prefix: str, files: _Files, tensors: list[_Tensor], bad: list[_Bad]
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [tensor._asdict() for tensor in tensors]
    for name, error in bad:
        code = getattr(error, "code", "") or type(error).__name__
        rows.append({"name": name, "error": {"code": code, "message": message_of(error)}})
    return {"prefix": prefix, **files._asdict(), "tensors": rows}

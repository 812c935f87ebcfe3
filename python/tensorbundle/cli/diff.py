"""``tensorbundle diff``: what differs between two checkpoints.

Exit status as that of diff(1): 0 they are the same, 1 they differ, 2 trouble.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from tensorbundle.cli.errors import OK, CommandError, message_of
from tensorbundle.cli.output import Column, count, escape, print_json, print_table, shown_name
from tensorbundle.cli.prefix import resolve_prefix
from tensorbundle.diffing import DiffReport, TensorSpec, ValueDiff, diff
from tensorbundle.errors import CorruptionError

__all__ = ["run"]

_DIFFERENT = 1

_COLUMNS = (Column(""), Column("name"), Column("dtype"), Column("shape"), Column(""))


def run(arguments: argparse.Namespace) -> int:
    """Compare two checkpoints; give the exit status."""
    if (arguments.rtol or arguments.atol) and not arguments.values:
        raise CommandError("--rtol and --atol are for --values")
    try:
        report = diff(
            resolve_prefix(arguments.a),
            resolve_prefix(arguments.b),
            values=arguments.values,
            rtol=arguments.rtol,
            atol=arguments.atol,
        )
    except CorruptionError as error:  # elsewhere 1, which here means that they differ
        raise CommandError(message_of(error)) from error
    if arguments.json:
        print_json(report.as_dict())
    else:
        _print(report, _newest(arguments, report))
    return OK if report.same else _DIFFERENT


def _newest(arguments: argparse.Namespace, report: DiffReport) -> str:
    """Name what was compared, where a directory was given."""
    if (arguments.a, arguments.b) == (report.a, report.b):
        return ""
    return f"{escape(report.a)} and {escape(report.b)}: "


def _print(report: DiffReport, newest: str) -> None:
    rows = sorted(_rows(report), key=lambda row: row[1])
    if rows:
        print_table(_COLUMNS, rows)
    parts = [
        f"{len(tensors):,} {what}"
        for tensors, what in (
            (report.removed, "removed"),
            (report.added, "added"),
            (report.changed, "changed"),
            (report.different, "different"),
            (report.unknown, "unknown"),
            (report.same_checksum, "with the same checksum"),
        )
        if tensors
    ]
    told = ", ".join(parts) if parts else count(0, "tensor")
    if report.values:
        outside = sum(1 for found in report.values if found.num_outside)
        told += f"; by their values {outside:,} of {len(report.values):,} differ"
    print(newest + told)


def _rows(report: DiffReport) -> Iterator[list[str]]:
    values = {} if report.values is None else {found.name: found for found in report.values}
    yield from (_row("removed", spec) for spec in report.removed)
    yield from (_row("added", spec) for spec in report.added)
    for pair in report.changed:
        dtype = _change(pair.a.dtype, pair.b.dtype)
        shape = _change(str(pair.a.shape), str(pair.b.shape))
        yield ["changed", shown_name(pair.name), dtype, shape, ""]
    for spec in report.different:
        yield _row("different", spec, values.get(spec.name))
    for spec in report.unknown:
        yield _row("unknown", spec, values.get(spec.name))


def _row(kind: str, spec: TensorSpec, values: ValueDiff | None = None) -> list[str]:
    told = "" if values is None else _told(values)
    return [kind, shown_name(spec.name), spec.dtype, str(spec.shape), told]


def _told(values: ValueDiff) -> str:
    if not values.num_unequal:
        return "all elements equal"
    told = f"{values.num_unequal:,} of {count(values.num_elements, 'element')} unequal"
    if values.max_abs:
        told += f", by {values.max_abs:.6g} at most"
    if values.num_outside < values.num_unequal:
        told += f", {values.num_outside:,} beyond the tolerance"
    return told


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"

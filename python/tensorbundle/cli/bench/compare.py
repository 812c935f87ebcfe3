"""Two results side by side: what became faster, slower, or cannot be told."""

from __future__ import annotations

import dataclasses
from typing import Any

from tensorbundle.cli.bench.results import FEWEST_RUNS, Result, Row, Settings
from tensorbundle.cli.errors import CommandError
from tensorbundle.cli.output import (
    Column,
    count,
    escape,
    format_range,
    format_seconds,
    print_table,
)

__all__ = ["Pair", "as_json", "pairs_of", "print_comparison"]


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same row of two results."""

    before: Row
    after: Row

    @property
    def ratio(self) -> float:
        """Time after over time before."""
        return self.after.median / self.before.median

    @property
    def verdict(self) -> str:
        """``"faster"`` or ``"slower"`` where the runs do not overlap; else ``"same"``.

        ``"unknown"`` where there are too few of them.
        """
        faster, slower = self.after.beats(self.before), self.before.beats(self.after)
        if faster is None:
            return "unknown"
        return "faster" if faster else "slower" if slower else "same"


def pairs_of(before: Result, after: Result) -> list[Pair]:
    """Match rows by what was run; by path too where a result has several places.

    Raises
    ------
    CommandError
        They have no row in common.
    """
    by_path = len(before.places) > 1 or len(after.places) > 1
    known = {_key(row, by_path): row for row in before.rows if row.seconds}
    pairs = [
        Pair(known[key], row)
        for row in after.rows
        if row.seconds and (key := _key(row, by_path)) in known
    ]
    if not pairs:
        raise CommandError("the two results have no row in common")
    return pairs


def _key(row: Row, by_path: bool) -> tuple[Any, ...]:
    # Of files in memory the settings tell the backend; versions are what is compared.
    return (
        row.path if by_path else "", row.workload, row.engine, row.operation, row.settings,
        row.durable,
    )  # fmt: skip


def print_comparison(before: Result, after: Result, names: tuple[str, str]) -> None:
    """Print the pairs, and what only one of the two has."""
    pairs = pairs_of(before, after)
    columns = (
        Column("operation"), Column("with"), Column("workload"),
        Column("before", right=True), Column("min-max", right=True),
        Column("after", right=True), Column("min-max", right=True),
        Column("after / before", right=True), Column("verdict"),
    )  # fmt: skip
    print_table(columns, [_cells(pair) for pair in pairs])
    unmatched = _unmatched(before, after, pairs)
    few = f"; unknown: one of them has fewer than {FEWEST_RUNS}"
    print(
        f"before: {escape(names[0])}; after: {escape(names[1])}; same: their runs overlap"
        + (few if any(pair.verdict == "unknown" for pair in pairs) else "")
        + (f"; {count(unmatched, 'row')} without a counterpart" if unmatched else "")
    )


def as_json(before: Result, after: Result, names: tuple[str, str]) -> dict[str, Any]:
    """Give what is printed as plain values."""
    pairs = pairs_of(before, after)
    return {
        "before": names[0],
        "after": names[1],
        "pairs": [
            {
                "operation": pair.after.operation,
                "engine": pair.after.engine,
                "workload": pair.after.workload,
                "path": pair.after.path,
                "settings": pair.after.settings and dataclasses.asdict(pair.after.settings),
                "durable": pair.after.durable,
                "before_seconds": pair.before.seconds,
                "after_seconds": pair.after.seconds,
                "ratio": pair.ratio,
                "verdict": pair.verdict,
            }
            for pair in pairs
        ],
        "unmatched": _unmatched(before, after, pairs),
    }


def _unmatched(before: Result, after: Result, pairs: list[Pair]) -> int:
    """Count the rows that only one of the two has."""
    return len(before.rows) + len(after.rows) - 2 * len(pairs)


def _cells(pair: Pair) -> list[str]:
    row = pair.after
    settings = row.settings or Settings("")
    name = settings.backend or row.engine
    return [
        row.operation,
        escape(settings.named(name)),
        escape(row.workload),
        format_seconds(pair.before.median),
        format_range(min(pair.before.seconds), max(pair.before.seconds), pair.before.median),
        format_seconds(row.median),
        format_range(min(row.seconds), max(row.seconds), row.median),
        f"{pair.ratio:.2f}",
        pair.verdict,
    ]

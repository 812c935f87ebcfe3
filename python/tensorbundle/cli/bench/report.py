"""A result as tables: what was measured, where the time went, and what to make of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tensorbundle.cli.bench.limits import OTHER, STAGES, Evidence, shares_of
from tensorbundle.cli.bench.recommend import best
from tensorbundle.cli.bench.results import (
    FIO,
    FLOOR,
    NOISY_SPREAD,
    OWN,
    Place,
    Result,
    Row,
)
from tensorbundle.cli.output import (
    Column,
    count,
    escape,
    format_bytes,
    format_range,
    format_seconds,
    print_table,
)

__all__ = [
    "describe",
    "figures_of",
    "floor_agreement",
    "guarantee",
    "limit_told",
    "print_result",
    "who",
    "workload_told",
]

_COLUMNS = (
    Column("operation"), Column("with"), Column("median", right=True),
    Column("min-max", right=True), Column("GB/s", right=True), Column("of floor", right=True),
    Column("guarantee"), Column("limited by"),
)  # fmt: skip
_SHORT = {"page_faults": "faults"}


def print_result(result: Result) -> None:
    """Print everything on standard output."""
    print(describe(result))
    for place in result.places:
        rows = list(result.of_place(place.path))
        for workload in dict.fromkeys(row.workload for row in rows):
            _print_workload(place, [row for row in rows if row.workload == workload])
        _print_stages(rows)
        _print_closing(result, place, rows)


def describe(result: Result) -> str:
    """Describe the machine, and how it was measured."""
    machine = result.machine
    return escape(
        f"{machine['processor']}, {count(machine['num_processors'], 'processor')}, "
        f"{format_bytes(machine['memory'])}, Linux {machine['kernel']}, tensorbundle "
        f"{machine['version']}, up to {count(result.runs, 'run')} of each, interleaved"
    )


def who(row: Row, place: Place) -> str:
    """Name what ran: a backend and its settings, or another engine with its version."""
    if row.settings is None:
        return f"{row.engine} {row.version}".strip()
    name = row.settings.backend + (" (auto)" if row.settings.backend == place.auto else "")
    if row.backend not in (None, row.settings.backend) and row.operation == "save":
        name += f" -> {row.backend}"
    return row.settings.named(name)


def guarantee(row: Row) -> str:
    """Tell what a row promises: durable or not, verified or not, cold or warm."""
    parts = []
    if row.durable is not None:
        parts.append("durable" if row.durable else "not durable")
    if row.verified is not None:
        parts.append("verified" if row.verified else "unverified")
    if row.cache is not None:
        parts.append(row.cache)
    return ", ".join(parts)


def figures_of(row: Row) -> tuple[str, str, str, str]:
    """Show a row's median, its range, its rate, and how far that is from the floor."""
    rate, ratio = row.gb_per_second, row.floor_ratio
    return (
        format_seconds(row.median) + ("~" if row.is_noisy else ""),
        format_range(min(row.seconds), max(row.seconds), row.median),
        "-" if rate is None else f"{rate:.2f}",
        "-" if ratio is None else f"{ratio:.2f}",
    )


def limit_told(row: Row) -> str:
    """Tell what limits a row, or that it failed in a later round."""
    if row.failure:
        return f"failed after {count(len(row.seconds), 'run')}: {row.failure}"
    return "" if row.limit is None else row.limit.short


def workload_told(row: Row) -> str:
    """Tell of how many tensors, and bytes, a row is."""
    size = format_bytes(row.num_bytes)
    return f"{row.workload}: {size} in {count(row.num_tensors, 'tensor')}"


def _print_workload(place: Place, rows: Sequence[Row]) -> None:
    print(f"\n{escape(place.path)} ({place.file_system}), {workload_told(rows[0])}")
    table = []
    for operation in dict.fromkeys(row.operation for row in rows):
        title = operation
        for row in rows:
            if row.operation == operation:
                table.append([title, *_cells(row, place)])
                title = ""  # of a group, on its first row only
    print_table(_COLUMNS, table)


def _cells(row: Row, place: Place) -> list[str]:
    name = escape(who(row, place))
    if not row.seconds:
        return [name, "-", "-", "-", "-", "-", escape(f"failed: {row.failure or 'not run'}")]
    return [name, *figures_of(row), guarantee(row), escape(limit_told(row))]


def _print_stages(rows: Sequence[Row]) -> None:
    """Print the share of each stage in our own operations' time."""
    measured = [row for row in rows if any(row.stages.values()) and row.seconds]
    if not measured:
        return
    used = [name for name in STAGES if any(row.stages.get(name, 0) > 0 for row in measured)]
    columns = [Column("operation"), Column("with"), Column("workload")]
    columns += [Column(_SHORT.get(name, name), right=True) for name in (*used, OTHER)]
    table = [
        [row.operation, _own_name(row), row.workload, *_shares(row, used)] for row in measured
    ]
    print("\nWhere the time goes, in % (stages of threads divided by their number)")
    print_table(columns, table)


def _own_name(row: Row) -> str:
    if row.settings is None:
        return row.engine
    synced = "not synced" if row.durable is False and row.backend != "memory" else ""
    return ", ".join(filter(None, [row.settings.named(), synced]))


def _shares(row: Row, used: Sequence[str]) -> Iterator[str]:
    evidence = Evidence("", "", row.median, row.num_threads or 1, row.stages, None)
    shares = shares_of(evidence)
    for name in (*used, OTHER):
        share = shares.get(name, 0.0)
        yield f"{share * 100:.0f}" if share >= 0.005 else "-"


def _print_closing(result: Result, place: Place, rows: Sequence[Row]) -> None:
    print()
    for what, why in place.skipped.items():
        print(f"not run: {what}: {escape(why)}")
    for note in place.notes:
        print(f"note: {escape(note)}")
    if any(row.is_noisy for row in rows):
        print(
            f"~: slowest and fastest run differ by more than {NOISY_SPREAD:.0%} of the median"
        )
    busy = sum(row.num_busy for row in rows)
    total = sum(len(row.seconds) for row in rows)
    if busy:
        print(f"other programs were busy in {busy} of {count(total, 'run')}")
    agreement = floor_agreement(rows)
    if agreement:
        print(agreement)
    for section, choice in best(result, place).items():
        print(f"best for {section}: {choice.settings.named()}: {choice.why}")


def floor_agreement(rows: Sequence[Row]) -> str:
    """Tell how far our own floor and fio's are apart, where both were measured."""
    told = []
    for row in rows:
        if row.engine != FIO or not row.seconds:
            continue
        own = next(
            r
            for r in rows
            if (r.engine, r.operation, r.workload) == (FLOOR, row.operation, row.workload)
        )
        if own.seconds:
            told.append(f"{row.operation} of {row.workload} {row.median / own.median:.2f}")
    return "time of fio / time of our own floor: " + ", ".join(told) if told else ""


def failed_own(result: Result) -> list[Row]:
    """Give our own rows that have failed; a peer's failure is its own matter."""
    return [row for row in result.rows if row.engine in (OWN, FLOOR) and row.failure]

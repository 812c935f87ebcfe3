"""What the commands print: text safe for a terminal, sizes, tables, progress.

With a terminal, tables and progress are drawn by rich; else they are plain aligned text
without control sequences. Rich is imported only when it draws.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TextIO

from tensorbundle.shown_text import shown

__all__ = [
    "Column",
    "byte_progress",
    "count",
    "escape",
    "format_bytes",
    "format_range",
    "format_seconds",
    "is_terminal",
    "linked_and_copied",
    "print_json",
    "print_table",
    "shown_name",
    "step_progress",
]

# Rich lays a table out at some 10,000 rows per second; a longer one is printed plain.
_MOST_RICH_ROWS = 2000

_BYTE_UNITS = (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_SECOND_UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))


class Column(NamedTuple):
    """A column of a table."""

    title: str
    right: bool = False
    """Whether its cells, being numbers, line up on the right."""


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a standard stream is a terminal; a closed one is ``None``."""
    return stream is not None and stream.isatty()


# What is printed and what is logged, by the same rule.
escape = shown


def shown_name(name: str) -> str:
    r"""Give a tensor's name as it is printed; no two names are shown alike.

    Bytes that are not UTF-8 come as ``\xff``, as control characters do; a backslash is
    doubled.
    """
    return escape(name.replace("\\", "\\\\"))


def count(number: int, noun: str) -> str:
    """Give a number with its noun: ``"1 tensor"``, ``"1,024 tensors"``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def format_bytes(size: int) -> str:
    """Give a size in decimal units, as GB/s are: ``"2.00 GB"``."""
    if size < 1000:
        return f"{size} B"
    return _with_unit(size, _BYTE_UNITS)


def format_seconds(seconds: float) -> str:
    """Give a duration with three digits: ``"1.23 s"``, ``"45.6 ms"``."""
    return _with_unit(seconds, _SECOND_UNITS)


def format_range(least: float, most: float, like: float) -> str:
    """Give two durations in the unit that `like` is told in: ``"1.20-1.31"``."""
    scale = _fitting_unit(like, _SECOND_UNITS)[1]
    return f"{_three_digits(least / scale)}-{_three_digits(most / scale)}"


def _with_unit(value: float, units: Sequence[tuple[str, float]]) -> str:
    unit, scale = _fitting_unit(value, units)
    return f"{_three_digits(value / scale)} {unit}"


def _fitting_unit(value: float, units: Sequence[tuple[str, float]]) -> tuple[str, float]:
    """Give the largest unit of which there is at least one, or the smallest of all."""
    fitting = (pair for pair in units if value >= 0.9995 * pair[1])  # printed as 1.00
    return next(fitting, units[-1])


def _three_digits(value: float) -> str:
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


class _Adopted(Protocol):
    """Of a report: what became of the data files of another checkpoint."""

    @property
    def linked_bytes(self) -> int: ...
    @property
    def copied_bytes(self) -> int: ...
    @property
    def copy_reason(self) -> str: ...


def linked_and_copied(report: _Adopted) -> str:
    """Tell how data files got into a new checkpoint: ``"1.20 GB linked"``."""
    told = f"{format_bytes(report.linked_bytes)} linked"
    if report.copied_bytes or report.copy_reason:
        reason = escape(report.copy_reason)
        told += f", {format_bytes(report.copied_bytes)} copied ({reason})"
    return told


def print_json(value: Any) -> None:
    r"""Print one JSON object, in ASCII; a name's byte that is not UTF-8 is ``\udcXX``."""
    print(json.dumps(value, indent=2))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output; the cells must be escaped."""
    if is_terminal(sys.stdout) and len(rows) <= _MOST_RICH_ROWS:
        _print_rich_table(columns, rows)
        return
    table = [[column.title for column in columns], *rows]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    for row in table:
        cells = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        print("  ".join(cells).rstrip())


def _print_rich_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Narrow gaps: the demo's table fits into 80 columns.
    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for column in columns:
        table.add_column(
            column.title, justify="right" if column.right else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(Text, row))  # Text: brackets in a name are not markup
    Console().print(table)


@contextmanager
def byte_progress(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on a terminal's standard error; gives the callback to feed it.

    The callback is ``None`` where there is no terminal: nothing is shown.
    """
    if not is_terminal(sys.stderr):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
    from rich.progress import TransferSpeedColumn as Speed

    # auto_refresh would be a thread of its own beside those that are measured.
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(
        *columns, Speed(), console=Console(stderr=True), transient=True, auto_refresh=False
    ) as progress:
        task = progress.add_task(escape(title), total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, refresh=True)

        yield show


@contextmanager
def step_progress(num_steps: int) -> Iterator[Callable[[str], None]]:
    """Show a count of steps on standard error; gives the function that begins one.

    A bar on a terminal, else a line per step.
    """
    if not is_terminal(sys.stderr):
        yield lambda title: print(escape(title), file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=Console(stderr=True), transient=True, auto_refresh=False
    ) as progress:
        task = progress.add_task("", total=num_steps)
        finished = itertools.count()

        def begin(title: str) -> None:
            progress.update(
                task, description=escape(title), completed=next(finished), refresh=True
            )

        yield begin

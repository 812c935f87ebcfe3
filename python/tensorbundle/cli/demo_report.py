"""What ``demo`` measured, as a table, as JSON and in one sentence."""

from __future__ import annotations

import statistics
from typing import Any, Final

from tensorbundle.cli.machine import file_system_of, num_processors
from tensorbundle.cli.model import FIRST, Model
from tensorbundle.cli.output import (
    Column,
    count,
    escape,
    format_bytes,
    format_range,
    format_seconds,
    print_json,
    print_table,
)
from tensorbundle.cli.peers import OWN
from tensorbundle.cli.steps import (
    FIRST_TENSOR,
    LOAD,
    MAP,
    OPERATIONS,
    RELOAD,
    SAVE,
    VERIFY,
    Step,
)

__all__ = ["Measurements", "print_measurements"]

_TITLES: Final = {
    SAVE: "save",
    LOAD: "load",
    RELOAD: "load again",
    MAP: "map, all views",
    FIRST_TENSOR: "first tensor",
    VERIFY: "verify",
}
_COLUMNS: Final = (
    Column("operation"),
    Column("with"),
    Column("median", right=True),
    Column("min-max", right=True),
    Column("GB/s", right=True),
    Column("guarantee"),
    Column("x slower than tensorbundle", right=True),
)
# Those that move all the bytes, and so have a rate.
_RATED: Final = (SAVE, LOAD, RELOAD, VERIFY)


class Measurements:
    """Seconds by operation and engine, and how they came about."""

    def __init__(self, model: Model, engines: list[str], runs: int, path: str) -> None:
        self.engines = engines
        self.runs = runs
        self.num_tensors = len(model.tensors)
        self.num_bytes = model.num_bytes
        self.first_bytes = model.tensors[FIRST].nbytes
        self.file_system = file_system_of(path)
        self.versions: dict[str, str] = {}
        self.seconds: dict[tuple[str, str], list[float]] = {}  # by operation, engine
        self.guarantees: dict[tuple[str, str], str] = {}
        self.failures: dict[str, str] = {}  # by engine

    def add(self, engine: str, step: Step, seconds: float) -> bool:
        """Add one measurement; tell whether it is the first of its kind."""
        key = (step.operation, engine)
        self.guarantees[key] = step.guarantee
        self.seconds.setdefault(key, []).append(seconds)
        return len(self.seconds[key]) == 1

    def median(self, operation: str, engine: str) -> float | None:
        """Give the median in seconds, or ``None`` where nothing was measured."""
        seconds = self.seconds.get((operation, engine))
        return statistics.median(seconds) if seconds else None

    def times_slower(self, operation: str, engine: str) -> float | None:
        """Give the ratio of an engine's median to ours."""
        theirs, ours = self.median(operation, engine), self.median(operation, OWN)
        return None if theirs is None or ours is None else theirs / ours


def print_measurements(measured: Measurements, *, as_json: bool) -> None:
    """Print all of it on standard output."""
    if as_json:
        print_json(_as_json(measured))
        return
    print_table(_COLUMNS, _rows(measured))
    print(
        f"{format_bytes(measured.num_bytes)} of float32 in "
        f"{count(measured.num_tensors, 'tensor')} (first tensor: "
        f"{format_bytes(measured.first_bytes)}), {count(measured.runs, 'run')} interleaved, "
        f"{measured.file_system}, {count(num_processors(), 'processor')}; durable: files and "
        "directory synced; all is read from the page cache; again: into memory just freed; "
        + ", ".join(f"{name} {version}" for name, version in measured.versions.items())
    )
    print(_sentence(measured))


def _rows(measured: Measurements) -> list[list[str]]:
    rows = []
    for operation in OPERATIONS:
        title = _TITLES[operation]
        for engine in measured.engines:
            key = (operation, engine)
            if key in measured.seconds:
                rows.append([title, engine, *_figures(measured, *key)])
                title = ""  # of a group, on its first row only
    for engine, failure in measured.failures.items():
        rows.append(["failed", engine, "-", "-", "-", "-", escape(failure)])
    return rows


def _figures(measured: Measurements, operation: str, engine: str) -> list[str]:
    seconds = measured.seconds[operation, engine]
    median = statistics.median(seconds)
    slower = measured.times_slower(operation, engine)
    return [
        format_seconds(median),
        format_range(min(seconds), max(seconds), median),
        f"{measured.num_bytes / 1e9 / median:.2f}" if operation in _RATED else "-",
        measured.guarantees[operation, engine],
        "-" if engine == OWN or slower is None else f"{slower:.2f}",
    ]


def _sentence(measured: Measurements) -> str:
    """Sum up, with numbers of this run only."""
    size = format_bytes(measured.num_bytes)
    ours = {name: measured.median(name, OWN) or 0.0 for name in OPERATIONS}
    text = (
        f"tensorbundle saved {size} durably in {format_seconds(ours[SAVE])} "
        f"({measured.num_bytes / 1e9 / ours[SAVE]:.2f} GB/s), loaded and verified it in "
        f"{format_seconds(ours[LOAD])} ({measured.num_bytes / 1e9 / ours[LOAD]:.2f} GB/s), "
        f"again in {format_seconds(ours[RELOAD])}, and mapped it in "
        f"{format_seconds(ours[MAP])}"
    )
    ratios = []
    for engine in measured.engines[1:]:
        times = {name: measured.times_slower(name, engine) for name in (SAVE, LOAD, RELOAD)}
        told = [f"{times[n]:.2f} times as long to {n}" for n in times if times[n] is not None]
        if told:
            ratios.append(f"{engine} took {' and '.join(told)}")
    return "; ".join([text, *ratios]) + "."


def _as_json(measured: Measurements) -> dict[str, Any]:
    rows = []
    for (operation, engine), seconds in measured.seconds.items():
        median = statistics.median(seconds)
        rows.append(
            {
                "operation": operation,
                "engine": engine,
                "version": measured.versions[engine],
                "seconds": seconds,
                "median": median,
                "gb_per_second": (
                    measured.num_bytes / 1e9 / median if operation in _RATED else None
                ),
                "guarantee": measured.guarantees[operation, engine],
                "times_slower": measured.times_slower(operation, engine),
            }
        )
    return {
        "num_tensors": measured.num_tensors,
        "tensor_bytes": measured.num_bytes,
        "runs": measured.runs,
        "file_system": measured.file_system,
        "num_processors": num_processors(),
        "rows": rows,
        "failures": measured.failures,
        "summary": _sentence(measured),
    }

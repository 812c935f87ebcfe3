"""What was measured: rows, the places they were measured on, and their JSON."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tensorbundle.cli.bench.limits import Evidence, Limit, limit_of
from tensorbundle.cli.errors import CommandError

__all__ = ["FEWEST_RUNS", "FLOORS", "FORMAT", "NOISY_SPREAD", "OPERATIONS", "OWN", "Place",
           "Result", "Row", "Settings", "read_result"]  # fmt: skip

FORMAT: Final = 1
"""Of the JSON; ``schema.json`` describes it."""
NOISY_SPREAD: Final = 0.25
"""(slowest - fastest) / median of the runs, from which on a row is marked."""
FEWEST_RUNS: Final = 3
"""Of each of two rows, for one to be surely faster: by chance alone all three runs beat three
others one time in 20, two beat two one time in 6."""
OWN: Final = "tensorbundle"
FLOOR: Final = "floor"
FIO: Final = "fio"
OPERATIONS: Final = ("save", "cold-load", "warm-load", "map", "first-tensor")
FLOORS: Final = ("floor-write", "floor-read", "floor-copy")

_FLOOR_OF: Final = {
    "save": "floor-write", "cold-load": "floor-read", "warm-load": "floor-copy",
    "map": "floor-copy",
}  # fmt: skip
_MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Settings:
    """How our engine was told to run; ``None`` is its default."""

    backend: str
    num_shards: int = 1
    num_threads: int | None = None
    block_size: int | None = None
    """Bytes per request."""
    queue_depth: int | None = None

    def named(self, backend: str | None = None) -> str:
        """Name the backend, in these words if any, and what else is not the default."""
        parts = [backend or self.backend]
        if self.num_shards != 1:
            parts.append(f"{self.num_shards} shards")
        if self.num_threads is not None:
            parts.append(f"{self.num_threads} thread" + "s" * (self.num_threads != 1))
        if self.block_size is not None:
            parts.append(f"{_told_size(self.block_size)} blocks")
        if self.queue_depth is not None:
            parts.append(f"depth {self.queue_depth}")
        return ", ".join(parts)


def _told_size(size: int) -> str:
    return f"{size // _MIB} MiB" if size % _MIB == 0 else f"{size // 1024} KiB"


@dataclasses.dataclass
class Row:
    """One operation, of one engine, with one setting, on one place."""

    path: str
    workload: str
    engine: str
    operation: str
    num_bytes: int
    """Of the tensors."""
    num_tensors: int
    settings: Settings | None = None
    """Of our own engine."""
    version: str = ""
    durable: bool | None = None
    """Whether the bytes were on the device at the end; ``None`` where nothing is written."""
    verified: bool | None = None
    """Whether checksums were compared; ``None`` where nothing is read."""
    cache: str | None = None
    """``"cold"``: seen to be out of the page cache; ``"warm"``: in it; ``None``: neither."""
    seconds: list[float] = dataclasses.field(default_factory=list)
    num_busy: int = 0
    """Runs during which other programs were busy."""
    num_threads: int | None = None
    """That really ran; known of our own engine."""
    backend: str | None = None
    """That really moved the bytes."""
    stages: dict[str, float] = dataclasses.field(default_factory=dict)
    """Median seconds by stage."""
    failure: str = ""
    floor_ratio: float | None = None
    """Its rate over its floor's, from medians of the same rounds."""
    limit: Limit | None = None

    @property
    def median(self) -> float:
        """Median of its seconds; NaN where it has failed."""
        return statistics.median(self.seconds) if self.seconds else float("nan")

    def beats(self, other: Row) -> bool | None:
        """Tell whether its slowest run is faster than the other's fastest.

        ``None`` where one has so few runs that chance would do it.
        """
        if min(len(self.seconds), len(other.seconds)) < FEWEST_RUNS:
            return None
        return max(self.seconds) < min(other.seconds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median."""
        if not self.seconds:
            return float("nan")
        return (max(self.seconds) - min(self.seconds)) / self.median

    @property
    def is_noisy(self) -> bool:
        """Whether its runs differ by more than the bound."""
        return bool(self.seconds) and self.spread > NOISY_SPREAD

    @property
    def gb_per_second(self) -> float | None:
        """Tensor bytes over the median; a first tensor is about its latency, not a rate."""
        if not self.seconds or self.operation == "first-tensor":
            return None
        return self.num_bytes / 1e9 / self.median

    @property
    def is_floor(self) -> bool:
        """Whether it is a floor, not an engine."""
        return self.operation in FLOORS

    def as_dict(self) -> dict[str, Any]:
        """Give its JSON: plain values, the derived ones too."""
        fields = dataclasses.asdict(self)
        derived = {
            "median": self.median if self.seconds else None,
            "min": min(self.seconds, default=None),
            "max": max(self.seconds, default=None),
            "runs": len(self.seconds),
            "spread": self.spread if self.seconds else None,
            "noisy": self.is_noisy,
            "gb_per_second": self.gb_per_second,
        }
        return {**fields, **derived}

    @classmethod
    def of_dict(cls, values: dict[str, Any]) -> Row:
        """Take it from its JSON."""
        known = {field.name for field in dataclasses.fields(cls)}
        fields = {name: value for name, value in values.items() if name in known}
        if fields.get("settings") is not None:
            fields["settings"] = Settings(**fields["settings"])
        if fields.get("limit") is not None:
            fields["limit"] = Limit(**fields["limit"])
        return cls(**fields)


@dataclasses.dataclass
class Place:
    """A directory that was measured, and what it can do."""

    path: str
    file_system: str
    backends: tuple[str, ...]
    auto: str
    """The backend that ``auto`` takes there."""
    direct: bool
    is_network: bool = False
    """Whether something else serves it: a server, or a program behind FUSE."""
    keeps_cache: bool = True
    """Whether its files stay in the page cache, so that something can be warm."""
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    """What was not measured: why."""
    notes: list[str] = dataclasses.field(default_factory=list)
    """What a reader of its rows has to know."""


@dataclasses.dataclass
class Result:
    """Everything that one command has measured."""

    machine: dict[str, Any]
    places: list[Place]
    rows: list[Row]
    runs: int
    """Rounds that were asked for; a row has as many runs as there was time for."""
    format: int = FORMAT

    def analyse(self) -> None:
        """Set ratios and limits of all rows from their figures."""
        places = {place.path: place for place in self.places}
        for row in self.rows:
            if row.seconds and not row.is_floor:
                row.floor_ratio = self._floor_ratio(row)
                row.limit = limit_of(_evidence(row, places[row.path]))

    def _floor_ratio(self, row: Row) -> float | None:
        in_memory = row.settings is not None and row.settings.backend == "memory"
        wanted = "floor-copy" if in_memory else _FLOOR_OF.get(row.operation)
        if row.operation == "map" and row.cache == "cold":
            wanted = "floor-read"
        for floor in self.rows:
            same = (floor.path, floor.workload) == (row.path, row.workload)
            if same and floor.engine == FLOOR and floor.operation == wanted and floor.seconds:
                return floor.median / row.median
        return None

    def of_place(self, path: str) -> Iterator[Row]:
        """Give the rows of one place."""
        return (row for row in self.rows if row.path == path)

    def as_dict(self) -> dict[str, Any]:
        """Give its JSON."""
        return {
            "format": self.format,
            "machine": self.machine,
            "runs": self.runs,
            "noisy_spread": NOISY_SPREAD,
            "places": [dataclasses.asdict(place) for place in self.places],
            "rows": [row.as_dict() for row in self.rows],
        }

    @classmethod
    def of_dict(cls, values: dict[str, Any]) -> Result:
        """Take it from its JSON."""
        places = [
            Place(**{**place, "backends": tuple(place["backends"])})
            for place in values["places"]
        ]
        rows = [Row.of_dict(row) for row in values["rows"]]
        return cls(values["machine"], places, rows, values["runs"], values["format"])


def read_result(path: str) -> Result:
    """Read what ``bench --json`` has printed.

    Raises
    ------
    CommandError
        It is something else; the message names the file.
    """
    with open(path, encoding="utf-8") as file:
        try:
            values = json.load(file)
            if values["format"] != FORMAT:
                raise CommandError(f"{path}: format {values['format']!r}, not {FORMAT}")
            return Result.of_dict(values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise CommandError(f"{path}: not a result of bench --json ({reason})") from None


def _evidence(row: Row, place: Place) -> Evidence:
    return Evidence(
        operation=row.operation,
        backend=row.settings.backend if row.settings is not None else "",
        seconds=row.median,
        num_threads=row.num_threads or 1,
        stages=row.stages,
        floor_ratio=row.floor_ratio,
        is_network=place.is_network,
    )


def median_stages(stages: Sequence[dict[str, float]]) -> dict[str, float]:
    """Give the median of each stage over the runs."""
    if not stages:
        return {}
    return {name: statistics.median(run[name] for run in stages) for name in stages[0]}

"""Runs everything in turn and gives the rows.

All cases of all places are run once before any is run again, so that what drifts drifts for
all. Memory, the page cache's too, is touched first, since a virtual machine's host gives it
slowly; what is saved was made before.
"""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tensorbundle.cli.bench.grid import MEMORY, Lists, Task, product, star
from tensorbundle.cli.bench.other_cases import Peer, fio_case, floor_case
from tensorbundle.cli.bench.own_cases import Slot, own_case
from tensorbundle.cli.bench.results import FIO, FLOOR, OWN, Place, Row, Settings, median_stages
from tensorbundle.cli.bench.workloads import Workload, make_model
from tensorbundle.cli.cases import Case, interleave
from tensorbundle.cli.files import StillCachedError, drop_cache, fill_cache, is_cached
from tensorbundle.cli.machine import num_processors
from tensorbundle.cli.memory import warm_memory
from tensorbundle.cli.model import Model
from tensorbundle.core import _core

__all__ = ["Plan", "Runner"]

_COLD = ("cold-load", "first-tensor", "floor-read")
_WARM = ("warm-load", "map")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be run on every place."""

    workloads: Sequence[Workload]
    """Those that everything is run on."""
    sizes: Sequence[Workload]
    """Smaller ones, for saves and cold loads at the defaults only."""
    lists: Lists
    operations: Sequence[str]
    peers: Sequence[str]
    fio: bool
    runs: int
    most_seconds: float
    wait: float


class Runner:
    """Makes the cases of all places, runs them, and gives rows."""

    def __init__(self, plan: Plan, pool: np.ndarray[Any, Any]) -> None:
        self._plan = plan
        self._pool = pool
        self._models = {w.name: make_model(w, pool) for w in (*plan.workloads, *plan.sizes)}
        self._made: list[tuple[Row, Case]] = []
        self._peers: list[tuple[Row, Peer]] = []

    def prepare(self, place: Place, directory: str) -> Slot:
        """Warm memory and page cache, and see whether that can be emptied again."""
        slot = Slot(directory)
        model = self._models[self._plan.workloads[0].name]
        warm_memory(2 * model.num_bytes)
        slot.hold(model, 1)
        fill_cache(directory)
        place.keeps_cache = is_cached(directory)
        if not place.keeps_cache:
            place.skipped["warm-load"] = (
                f"{place.file_system} does not keep files in the page cache: nothing is warm"
            )
        if "cold-load" not in place.skipped:
            try:
                drop_cache(directory)
            except StillCachedError as error:
                reason = f"the page cache cannot be emptied: {error}"
                for operation in ("cold-load", "first-tensor", "floor-read"):
                    place.skipped[operation] = reason
        elif "first-tensor" in self._plan.operations:
            place.skipped["first-tensor"] = place.skipped["cold-load"]
        return slot

    def add(self, place: Place, slot: Slot) -> None:
        """Make the cases of a place."""
        operations = [name for name in self._plan.operations if name not in place.skipped]
        for workload in self._plan.workloads:
            self._add_floors(place, slot, workload)
            if self._plan.lists.vary:
                tasks = product(place.backends, self._plan.lists, self._plan.operations)
            else:
                tasks = star(
                    place.backends, place.auto, self._plan.operations, num_processors()
                )
            self._add_own(place, slot, workload, tasks)
            self._add_peers(place, slot, workload, operations)
        for workload in self._plan.sizes:
            self._add_floors(place, slot, workload)
            own = [name for name in ("save", "cold-load") if name in operations]
            if place.auto in place.backends:
                tasks = [Task(name, Settings(place.auto)) for name in own]
                self._add_own(place, slot, workload, tasks)

    @property
    def num_cases(self) -> int:
        """Cases in one round."""
        return len(self._made)

    def run(self, begin: Callable[[str], None]) -> list[Row]:
        """Run all cases in turn; give their rows, figures and all."""
        for row, case in self._made:
            case.before = _then_warm(case.before, row.num_bytes)
        interleave(
            [case for _, case in self._made],
            self._plan.runs,
            begin=begin,
            warm_up=False,
            most_seconds=self._plan.most_seconds,
            wait=self._plan.wait,
        )
        for row, case in self._made:
            _fill(row, case)
        for row, peer in self._peers:
            guarantee = peer.guarantee(row.operation)
            row.version = peer.version
            if row.operation == "save":
                row.durable = guarantee == "durable"
            else:
                row.verified = guarantee == "verified"
        gc.collect()
        return [row for row, _ in self._made]

    def _add_floors(self, place: Place, slot: Slot, workload: Workload) -> None:
        size = workload.num_bytes
        engines = [FLOOR, FIO] if self._plan.fio else [FLOOR]
        for operation in ("floor-write", "floor-read", "floor-copy"):
            for engine in engines:
                if operation in place.skipped or (engine, operation) == (FIO, "floor-copy"):
                    continue
                row = self._row(place, workload, engine, operation)
                row.durable = True if operation == "floor-write" else None
                make = floor_case if engine == FLOOR else fio_case
                case = make(
                    operation, slot, self._pool, size, _title(row), direct=place.direct
                )
                self._made.append((row, case))

    def _add_own(
        self, place: Place, slot: Slot, workload: Workload, tasks: Sequence[Task]
    ) -> None:
        version = str(_core.build_info()["version"])
        for task in _in_order(tasks):
            # Files in memory are warm on any place.
            if task.operation in place.skipped and task.settings.backend != MEMORY:
                continue
            row = self._row(place, workload, OWN, task.operation)
            row.settings, row.version = task.settings, version
            if task.operation == "save":
                row.durable = task.durable and task.settings.backend != MEMORY
            else:
                row.verified = task.operation in ("cold-load", "warm-load")
            model = self._models[workload.name]
            self._made.append(
                (row, own_case(task, slot, model, _title(row), warm=place.keeps_cache))
            )

    def _add_peers(
        self, place: Place, slot: Slot, workload: Workload, operations: Sequence[str]
    ) -> None:
        model: Model = self._models[workload.name]
        for name in self._plan.peers:
            peer = Peer(name, slot, model)
            for operation in operations:
                if operation in peer.operations:
                    row = self._row(place, workload, name, operation)
                    self._made.append(
                        (row, peer.case(operation, _title(row), warm=place.keeps_cache))
                    )
                    self._peers.append((row, peer))

    def _row(self, place: Place, workload: Workload, engine: str, operation: str) -> Row:
        return Row(
            path=place.path,
            workload=workload.name,
            engine=engine,
            operation=operation,
            num_bytes=workload.num_bytes,
            num_tensors=len(workload.shapes),
            cache=_cache(operation, place),
        )


def _then_warm(before: Callable[[], Any] | None, num_bytes: int) -> Callable[[], None]:
    """Touch memory last: a virtual machine may have lost to its host what a run has freed."""

    def run() -> None:
        if before is not None:
            before()
        warm_memory(num_bytes)

    return run


def _in_order(tasks: Sequence[Task]) -> Iterator[Task]:
    """Group by shards, so that a load finds what a save before it has left; memory last."""

    def key(task: Task) -> tuple[bool, int, bool]:
        memory = task.settings.backend == MEMORY
        return memory, task.settings.num_shards, task.operation != "save"

    yield from sorted(tasks, key=key)  # keeps the order of equals


def _cache(operation: str, place: Place) -> str | None:
    if operation in _COLD or (operation == "map" and not place.keeps_cache):
        return "cold"
    return "warm" if operation in _WARM else None


def _title(row: Row) -> str:
    name = row.engine if row.settings is None else row.settings.named()
    return f"{os.path.basename(row.path) or row.path}: {row.operation}, {name}, {row.workload}"


def _fill(row: Row, case: Case) -> None:
    row.seconds = case.seconds
    row.num_busy = case.num_busy
    row.failure = case.failure
    if not case.notes:
        return
    row.num_threads = case.notes[-1]["num_threads"]
    in_memory = row.settings is not None and row.settings.backend == MEMORY
    row.backend = MEMORY if in_memory else case.notes[-1]["backend"]
    row.stages = median_stages([note["stages"] for note in case.notes])

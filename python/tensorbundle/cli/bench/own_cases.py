"""Our own engine's operations as cases: on files in a slot, or on files in memory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

from tensorbundle import reading, tensors
from tensorbundle.bundle import open as open_bundle
from tensorbundle.cli.bench.grid import MEMORY, Task
from tensorbundle.cli.bench.results import Settings
from tensorbundle.cli.cases import Case
from tensorbundle.cli.files import drop_cache, fill_cache, remove_files
from tensorbundle.cli.memory import touch_all
from tensorbundle.cli.model import Model
from tensorbundle.cli.steps import touch
from tensorbundle.core import _core
from tensorbundle.loading import load
from tensorbundle.saving import save

__all__ = ["Slot", "own_case"]


class Slot:
    """A directory that holds one checkpoint at a time, which its loads find."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.prefix = os.path.join(directory, "model")
        self.held: Any = None
        """What the directory holds, as whoever put it there has named it."""
        self._memory: Any = None

    def empty(self) -> None:
        """Remove everything."""
        self.held = None
        remove_files(self.directory)

    def save(self, model: Model, settings: Settings, *, durable: bool) -> Any:
        """Save the model, and give the report."""
        durability: Any = "full" if durable else "none"
        report = save(
            self.prefix,
            model.tensors,
            num_shards=settings.num_shards,
            durability=durability,
            **_transfer_options(settings),
        )
        self.held = (id(model), settings.num_shards)
        return report

    def hold(self, model: Model, num_shards: int) -> None:
        """Have that model in the slot, saved by whatever setting."""
        if self.held != (id(model), num_shards):
            self.empty()
            self.save(model, Settings("auto", num_shards), durable=True)

    def save_in_memory(self, model: Model, settings: Settings) -> Any:
        """Save the model to files in memory; give the stages as a report has them."""
        self._memory = _core.MemoryStorage()
        return _core.save(
            b"/model",
            tensors.gather(model.tensors),
            num_shards=settings.num_shards,
            alignment=64,
            durable=True,
            backend="auto",
            snapshot=False,
            num_threads=settings.num_threads or 0,
            block_size=settings.block_size or 0,
            queue_depth=0,
            progress=None,
            borrowed_written=None,
            storage=self._memory,
        )

    def hold_in_memory(self, model: Model, settings: Settings) -> None:
        """Have that model in memory."""
        if self._memory is None:
            self.save_in_memory(model, settings)

    def load_from_memory(self, settings: Settings) -> tuple[Any, Any]:
        """Load what was saved to memory; give the arrays, and the report."""
        bundle = _core.Bundle(b"/model", "auto", self._memory)
        options = reading.read_options(
            verify=True, num_threads=settings.num_threads, block_size=settings.block_size
        )
        return reading.read_tensors(bundle, bundle.names(), options)

    def forget_memory(self) -> None:
        """Give the memory of files in memory back."""
        self._memory = None


def own_case(task: Task, slot: Slot, model: Model, title: str, *, warm: bool = True) -> Case:
    """Make the case of a task; without `warm`, maps find files that are not cached."""
    if task.settings.backend == MEMORY:
        return _memory_case(task, slot, model, title)
    if task.operation == "save":
        return Case(
            title,
            lambda: slot.save(model, task.settings, durable=task.durable),
            model.num_bytes,
            before=slot.empty,
            keep=_note,
        )
    run, prepare = _reading(task, slot, model, warm)

    def before() -> None:
        slot.hold(model, task.settings.num_shards)
        prepare(slot.directory)

    return Case(title, run, model.num_bytes, before=before, keep=_note)


def _reading(
    task: Task, slot: Slot, model: Model, warm: bool
) -> tuple[Callable[[], Any], Callable[[str], None]]:
    """Give what reads, and what puts the files into the state that it has to find."""
    options = _transfer_options(task.settings)

    def read() -> Any:
        return load(slot.prefix, **options)

    def map_and_touch() -> int:
        return touch_all(load(slot.prefix, mmap=True))

    def first() -> int:
        return touch(open_bundle(slot.prefix)[model.first])

    return {
        "cold-load": (read, drop_cache),
        "warm-load": (read, fill_cache),
        "map": (map_and_touch, fill_cache if warm else drop_cache),
        "first-tensor": (first, drop_cache),
    }[task.operation]


def _memory_case(task: Task, slot: Slot, model: Model, title: str) -> Case:
    if task.operation == "save":
        return Case(
            title,
            lambda: slot.save_in_memory(model, task.settings),
            model.num_bytes,
            before=slot.forget_memory,
            keep=_note,
        )
    return Case(
        title,
        lambda: slot.load_from_memory(task.settings),
        model.num_bytes,
        before=lambda: slot.hold_in_memory(model, task.settings),
        after=slot.forget_memory,
        keep=lambda loaded: _note(loaded[1]),
    )


def _transfer_options(settings: Settings) -> dict[str, Any]:
    return {
        "backend": settings.backend,
        "num_threads": settings.num_threads,
        "block_size": settings.block_size,
        "queue_depth": settings.queue_depth,
    }


def _note(result: Any) -> dict[str, Any]:
    """Note what a report says of stages, threads and backend."""
    report: Any = getattr(result, "report", result)
    if isinstance(report, dict):  # the core's own, of files in memory
        fields, stages = report, report["stages"]
    elif isinstance(report, int):  # what touching a tensor has given
        return {"num_threads": None, "backend": None, "stages": {}}
    else:
        fields, stages = vars(report), dataclasses.asdict(report.stages)
    return {
        "num_threads": fields["num_threads"],
        "backend": fields.get("backend"),
        "stages": dict(stages),
    }

"""What our own engine is compared with, as cases: floors, and other engines."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tensorbundle.cli import peers, steps
from tensorbundle.cli.bench import floor
from tensorbundle.cli.bench.fio import fio_seconds
from tensorbundle.cli.bench.own_cases import Slot
from tensorbundle.cli.bench.results import OPERATIONS
from tensorbundle.cli.cases import Case
from tensorbundle.cli.files import drop_cache, fill_cache
from tensorbundle.cli.memory import touch_all, touched_memory
from tensorbundle.cli.model import Model
from tensorbundle.cli.steps import Engine, Step

__all__ = ["Peer", "fio_case", "floor_case"]

Array = np.ndarray[Any, Any]

# By peer: operations that it has no way to do. Safetensors maps with torch only.
_LACKS = {
    "safetensors": () if importlib.util.find_spec("torch") else ("map",),
    "tensorflow": ("map",),
    "dcp": ("map",),
    "orbax": ("map", "first-tensor"),
}


def floor_case(
    operation: str, slot: Slot, pool: Array, size: int, title: str, *, direct: bool
) -> Case:
    """Make the case of one of our own floors, over the first `size` bytes of the pool."""
    path = os.path.join(slot.directory, "floor")
    run: dict[str, Callable[[], float]] = {
        "floor-write": lambda: floor.write_seconds(path, pool, size, direct=direct),
        "floor-read": lambda: floor.read_seconds(path, direct=direct),
        "floor-copy": lambda: _copy_seconds(pool, size),
    }
    before: dict[str, Callable[[], None]] = {
        "floor-write": slot.empty,
        "floor-read": lambda: _hold_file(slot, path, pool, size, direct),
        "floor-copy": lambda: None,
    }
    return Case(title, run[operation], size, before=before[operation], own_clock=True)


def fio_case(
    operation: str, slot: Slot, pool: Array, size: int, title: str, *, direct: bool
) -> Case:
    """Make the case of fio's floor: the same bytes, the same requests."""
    path = os.path.join(slot.directory, "floor")
    direction = operation.removeprefix("floor-")

    def before() -> None:
        if direction == "write":
            slot.empty()
        else:
            _hold_file(slot, path, pool, size, direct)

    return Case(
        title,
        lambda: fio_seconds(direction, path, size, direct=direct),
        size,
        before=before,
        own_clock=True,
    )


def _hold_file(slot: Slot, path: str, pool: Array, size: int, direct: bool) -> None:
    if not os.path.exists(path):
        slot.empty()
        floor.write_seconds(path, pool, size, direct=direct)
    drop_cache(slot.directory)


def _copy_seconds(pool: Array, size: int) -> float:
    with touched_memory(size) as memory:
        target = np.frombuffer(memory, dtype=np.uint8)
        seconds = floor.copy_seconds(pool.view(np.uint8)[:size], target)
        del target  # memory that something looks at cannot be given back
    return seconds


class Peer:
    """Another engine; imported when it is first run."""

    def __init__(self, name: str, slot: Slot, model: Model) -> None:
        self.name = name
        self.version = ""
        self._slot = slot
        self._model = model
        self._engine: Engine | None = None
        self._steps: Mapping[str, Step] = {}
        self._key = (name, id(model))

    def case(self, operation: str, title: str, *, warm: bool = True) -> Case:
        """Make the case of one operation; without `warm`, maps find files not cached."""
        cold = ("cold-load", "first-tensor") if warm else ("cold-load", "first-tensor", "map")

        def before() -> None:
            if operation == "save":
                self._begin()
                return
            if self._slot.held != self._key:
                self._begin()
                self._save()
            prepare = drop_cache if operation in cold else fill_cache
            prepare(self._slot.directory)

        run = {
            "save": self._save,
            "cold-load": lambda: self._step(steps.LOAD).run(),
            "warm-load": lambda: self._step(steps.LOAD).run(),
            "map": lambda: touch_all(_as_bytes(self._step(steps.MAP).run())),
            "first-tensor": lambda: self._step(steps.FIRST_TENSOR).run(),
        }[operation]
        return Case(title, run, self._model.num_bytes, before=before)

    @property
    def operations(self) -> tuple[str, ...]:
        """What it can do."""
        lacks = _LACKS.get(self.name, ())
        return tuple(name for name in OPERATIONS if name not in lacks)

    def guarantee(self, operation: str) -> str:
        """Tell what it promises of a step, once it has run; else nothing."""
        name = {"save": steps.SAVE, "map": steps.MAP, "first-tensor": steps.FIRST_TENSOR}
        step = self._steps.get(name.get(operation, steps.LOAD))
        return "" if step is None else step.guarantee

    def _begin(self) -> None:
        if self._engine is None:
            self._engine = peers.make_engine(self.name, self._model)
            self.version = self._engine.version
            made = self._engine.steps(self._slot.directory)
            self._steps = {step.operation: step for step in made}
        self._slot.empty()

    def _save(self) -> None:
        self._step(steps.SAVE).run()
        self._slot.held = self._key

    def _step(self, operation: str) -> Step:
        if operation not in self._steps:
            raise NotImplementedError(f"{self.name} has no such operation")
        return self._steps[operation]


def _as_bytes(loaded: Any) -> dict[str, Array]:
    """Give the memory of mapped torch tensors."""
    torch: Any = importlib.import_module("torch")
    return {
        name: tensor.reshape(-1).view(torch.uint8).numpy() for name, tensor in loaded.items()
    }

"""What is run: a star around the defaults, or the product of what is asked for.

The star has every backend at its defaults, and then varies one setting at a time of the
backend that ``auto`` takes, for durable saves and cold loads. Where any list is given,
every combination of those lists is run instead.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tensorbundle.cli.bench.results import Settings

__all__ = ["BACKENDS", "MEMORY", "Lists", "Task", "product", "star"]

MEMORY: Final = "memory"
"""A file system in our own memory: the ceiling, without device and page cache."""
BACKENDS: Final = ("buffered", "direct", "uring", MEMORY)

_SHARDS: Final = (4,)
_BLOCKS: Final = (1 << 20, 16 << 20)  # bytes; the default lies between
_DEPTHS: Final = (2, 32)  # the same

_IN_MEMORY: Final = ("save", "warm-load")


@dataclasses.dataclass(frozen=True)
class Task:
    """One operation of our own engine."""

    operation: str
    settings: Settings
    durable: bool = True
    """Of saves."""


@dataclasses.dataclass(frozen=True)
class Lists:
    """What was asked for; ``None`` where nothing was."""

    backends: Sequence[str] | None = None
    shards: Sequence[int] | None = None
    threads: Sequence[int] | None = None
    blocks: Sequence[int] | None = None
    depths: Sequence[int] | None = None

    @property
    def vary(self) -> bool:
        """Whether anything but the backends was asked for."""
        return any((self.shards, self.threads, self.blocks, self.depths))


def star(
    backends: Sequence[str], auto: str, operations: Sequence[str], num_processors: int
) -> list[Task]:
    """Give all backends at their defaults, and variations of `auto`."""
    tasks = list(_defaults(backends, operations))
    if "save" in operations and "buffered" in backends:
        tasks.append(Task("save", Settings("buffered"), durable=False))
    if auto in backends:
        for settings in _variations(Settings(auto), num_processors):
            tasks += [Task(name, settings) for name in ("save", "cold-load")]
    return list(_wanted(tasks, operations))


def product(backends: Sequence[str], lists: Lists, operations: Sequence[str]) -> list[Task]:
    """Give every combination; a setting that a backend does not have is left out of it."""
    threads: Sequence[int | None] = lists.threads or [None]
    blocks: Sequence[int | None] = lists.blocks or [None]
    depths: Sequence[int | None] = lists.depths or [None]
    every = itertools.product(backends, lists.shards or [1], threads, blocks, depths)
    combinations = dict.fromkeys(_fitting(Settings(*values)) for values in every)
    tasks = [Task(name, settings) for settings in combinations for name in operations]
    return list(_wanted(tasks, operations))


def _defaults(backends: Sequence[str], operations: Sequence[str]) -> Iterator[Task]:
    for backend in backends:
        for name in operations:
            yield Task(name, Settings(backend))


def _variations(base: Settings, num_processors: int) -> Iterator[Settings]:
    threads = {1, max(1, num_processors // 2), 2 * num_processors} - {num_processors}
    for number in sorted(threads):
        yield dataclasses.replace(base, num_threads=number)
    for size in _BLOCKS:
        yield dataclasses.replace(base, block_size=size)
    if base.backend == "uring":
        for depth in _DEPTHS:
            yield dataclasses.replace(base, queue_depth=depth)
    for number in _SHARDS:
        yield dataclasses.replace(base, num_shards=number)


def _fitting(settings: Settings) -> Settings:
    depth = settings.queue_depth if settings.backend == "uring" else None
    return dataclasses.replace(settings, queue_depth=depth)


def _wanted(tasks: Iterable[Task], operations: Sequence[str]) -> Iterator[Task]:
    """Drop what was not asked for, or says the same for every backend."""
    seen = set()
    for task in tasks:
        backend = task.settings.backend
        if task.operation not in operations:
            continue
        if backend == MEMORY and task.operation not in _IN_MEMORY:
            continue
        # Past the page cache nothing is warm, and a map never is past it.
        if backend != MEMORY and task.operation in ("warm-load", "map", "first-tensor"):
            settings = dataclasses.replace(
                task.settings, backend="buffered", block_size=None, queue_depth=None
            )
            if task.operation != "warm-load":
                settings = Settings("buffered", settings.num_shards)
            task = dataclasses.replace(task, settings=settings)
        if task not in seen:
            seen.add(task)
            yield task

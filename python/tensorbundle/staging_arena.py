"""The memory that saves in the background copy to."""

from __future__ import annotations

from collections.abc import Callable

from tensorbundle.available_memory import available_memory
from tensorbundle.core import _core
from tensorbundle.frameworks import first_answer
from tensorbundle.reports import SnapshotReport

__all__ = ["StagingArena"]


class StagingArena:
    """Memory that grows to what is copied, and is kept: fresh pages cost more than the copy.

    Where torch has used CUDA, it is locked, so that devices copy to it directly.

    Parameters
    ----------
    max_bytes
        How far it grows; ``None`` means half of what the machine has free then.
    num_threads
        Threads that copy; 0 means one per CPU of this process.
    """

    def __init__(self, max_bytes: int | None, num_threads: int) -> None:
        self._max_bytes = max_bytes
        self._num_threads = num_threads
        self.memory = _core.SnapshotArena(0)
        self._unlock: Callable[[], object] | None = None

    def copy(self, tensors: _core.SavedTensors) -> SnapshotReport:
        """Copy what fits; those tensors may change then, until they are saved."""
        self._grow(_core.snapshot_size(tensors))
        return SnapshotReport(*_core.take_snapshot(tensors, self.memory, self._num_threads))

    def free(self) -> None:
        """Give the memory back; the next copy takes some again."""
        if self._unlock is not None:
            self._unlock()
            self._unlock = None
        self.memory = _core.SnapshotArena(0)

    def _grow(self, size: int) -> None:
        if size <= self.memory.size:
            return
        allowed = self._max_bytes if self._max_bytes is not None else available_memory() // 2
        size = min(size, allowed)
        if size > self.memory.size:
            self.free()  # never both at once
            self.memory = _core.SnapshotArena(size)
            lock = (self.memory.address, self.memory.size)
            self._unlock = first_answer("page_lock", lock, ("torch",))

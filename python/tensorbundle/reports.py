"""What an operation really did: bytes, seconds, copies, threads."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["Fault", "LoadReport", "SaveReport", "VerifyReport"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Report:
    prefix: str
    num_tensors: int
    tensor_bytes: int
    """Bytes of all tensors, without gaps and index."""
    seconds: float
    """From call to return."""
    num_threads: int
    backend: str
    """How the bytes moved: ``"buffered"`` (page cache), ``"direct"``, ``"uring"`` or
    ``"mmap"``."""

    @property
    def gb_per_second(self) -> float:
        """Tensor bytes over seconds, in units of 1e9 bytes per second."""
        return self.tensor_bytes / 1e9 / self.seconds if self.seconds > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Give all fields, and `gb_per_second`, as plain values to log."""
        return {**dataclasses.asdict(self), "gb_per_second": self.gb_per_second}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SaveReport(_Report):
    """What a save did."""

    num_shards: int
    """Data files that hold bytes."""
    file_bytes: int
    """Bytes of all files, index included."""
    zero_copy_bytes: int
    """Handed to the system from the caller's own memory."""
    staged_bytes: int
    """Copied to a small buffer first: small tensors, and those not contiguous."""
    backend_reason: str
    """Why `backend` is nothing faster; empty where nothing is."""
    write_seconds: float
    """Of `seconds`: until all data was written and synced."""
    durability: str
    """``"full"``: on the device when `save` returned; ``"none"``: not synced."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadReport(_Report):
    """What a load did."""

    verified: bool
    """Whether the checksum of every tensor was compared."""
    zero_copy_bytes: int
    """Mapped, not read."""
    direct_bytes: int
    """Read past the page cache."""
    copied: tuple[str, ...]
    """Tensors that ``mmap=True`` read after all, since their place in the file does not
    suit their dtype (TensorFlow packs tensors without padding)."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with one tensor."""

    name: str
    code: str
    """For example ``"DataChecksumMismatch"``."""
    message: str
    """The whole line: path, tensor, what is wrong, shard and offset."""
    detail: str
    """Only what is wrong: what was expected and what was found."""
    path: str | None
    shard: int | None
    begin: int | None
    """The tensor's bytes are ``[begin, end)`` of `path`."""
    end: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyReport(_Report):
    """What a verification found."""

    faults: tuple[Fault, ...]
    """Damage: tensors that are not as they were saved, or cannot be read."""
    unchecked: tuple[Fault, ...]
    """Sound as far as the index tells, but of a kind whose bytes are not checked:
    partitioned tensors, variants, big-endian bundles."""

    @property
    def ok(self) -> bool:
        """Whether no damage was found; `unchecked` tells what was not looked at."""
        return not self.faults

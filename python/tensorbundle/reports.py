"""What an operation really did: bytes, seconds, copies, threads."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = [
    "Fault",
    "LoadReport",
    "LoadStages",
    "MergeReport",
    "SaveReport",
    "SaveStages",
    "SnapshotReport",
    "VerifyReport",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stages:
    copy: float = 0.0
    """To or from a buffer; the checksum is taken in the same pass."""
    checksum: float = 0.0
    """Of bytes that need no copy."""
    submit: float = 0.0
    """In the calls that start transfers; through the page cache, that make them."""
    wait: float = 0.0
    """For the device."""

    @classmethod
    def of(cls, seconds: dict[str, float]) -> Any:
        """Take what the core has measured."""
        fields = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in seconds.items() if name in fields})


@dataclasses.dataclass(frozen=True, kw_only=True)
class SaveStages(_Stages):
    """Where a save's time went, in seconds.

    `plan`, `publish` and `remove` are parts of the whole; the others are added over the
    threads, so together they can be more than the time that passed.
    """

    fingerprint: float = 0.0
    """Comparing the tensors with an earlier checkpoint's; a part of the whole, too."""
    plan: float = 0.0
    """Before anything was written."""
    sync: float = 0.0
    """Reserving space for data files, and until they were durable."""
    publish: float = 0.0
    """Writing the index, renaming, and syncing the directory."""
    remove: float = 0.0
    """Removing the data files of the checkpoint that was replaced."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadStages(_Stages):
    """Where a load's time went, in seconds.

    `plan` is a part of the whole; the others are added over the threads, so together they
    can be more than the time that passed. All are 0 for what was only mapped.
    """

    plan: float = 0.0
    """Before anything was read."""
    page_faults: float = 0.0
    """Until the system had given fresh memory its pages, as far as that was done ahead of
    the reads."""


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
    linked_bytes: int
    """Of `file_bytes`: in data files that are hard links of an earlier checkpoint's."""
    recycled_bytes: int
    """Of `file_bytes`: in data files of replaced checkpoints that were written anew."""
    zero_copy_bytes: int
    """Handed to the system from the caller's own memory."""
    staged_bytes: int
    """Copied to a small buffer first: small tensors, and those not contiguous."""
    backend_reason: str
    """Why `backend` is nothing faster; empty where nothing is."""
    incremental_reason: str
    """Why ``incremental=`` linked nothing; empty where it did, or was not given."""
    write_seconds: float
    """Of `seconds`: until all data was written and synced."""
    stages: SaveStages
    """Where the time went."""
    durability: str
    """``"full"``: on the device when `save` returned; ``"none"``: not synced."""

    @property
    def written_bytes(self) -> int:
        """Bytes of the files that were written, index included."""
        return self.file_bytes - self.linked_bytes

    @classmethod
    def of(cls, prefix: str, durability: str, report: dict[str, Any]) -> SaveReport:
        """Take what the core tells of a save."""
        stages = SaveStages.of(report.pop("stages"))
        return cls(prefix=prefix, durability=durability, stages=stages, **report)


@dataclasses.dataclass(frozen=True)
class SnapshotReport:
    """What a save in the background copied before it let the caller go on."""

    copied_bytes: int
    borrowed_bytes: int
    """Of tensors that did not fit: written from their own memory meanwhile."""
    seconds: float
    """For the copy."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadReport(_Report):
    """What a load did."""

    verified: bool
    """Whether the checksum of every tensor was compared."""
    zero_copy_bytes: int
    """Mapped, not read."""
    direct_bytes: int
    """Read past the page cache."""
    stages: LoadStages
    """Where the time went."""
    copied: tuple[str, ...]
    """Tensors that ``mmap=True`` read after all, since their place in the file does not
    suit their dtype (TensorFlow packs tensors without padding), or they are in parts."""
    mmap_reason: str = ""
    """Why ``mmap=True`` read data files instead of mapping them; empty where it did not."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MergeReport:
    """What a merge did."""

    prefix: str
    """Of the merged checkpoint."""
    missing: tuple[str, ...]
    """Prefixes that were passed over, having no checkpoint."""
    num_tensors: int
    num_shards: int
    """Data files."""
    file_bytes: int
    """Bytes of all files, index included."""
    linked_bytes: int
    """Of data files that are hard links of the sources': nothing was written for them."""
    copied_bytes: int
    """Of data files that could not be."""
    copy_reason: str
    """Why they could not; empty where all could."""
    remains: tuple[str, ...]
    """Sources that could not be removed, though ``delete_sources=True``, and why."""
    seconds: float
    """From call to return."""

    def as_dict(self) -> dict[str, Any]:
        """Give all fields as plain values to log."""
        return dataclasses.asdict(self)


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
    """Sound as far as the index tells, but of a kind whose bytes are not checked."""

    @property
    def ok(self) -> bool:
        """Whether no damage was found; `unchecked` tells what was not looked at."""
        return not self.faults

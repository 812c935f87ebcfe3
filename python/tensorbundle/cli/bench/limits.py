"""What limits an operation, told in one sentence that follows from its figures.

The engine tells how long its threads spent in each stage. Stages of the threads are divided
by their number: what is then more than `DOMINANT` of the time that passed is what limits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

__all__ = ["DOMINANT", "NEAR_FLOOR", "OTHER", "STAGES", "Evidence", "Limit", "limit_of",
           "shares_of"]  # fmt: skip

DOMINANT: Final = 0.4
"""Share of the time from which on a stage is what limits."""
NEAR_FLOOR: Final = 0.8
"""Share of the floor's rate from which on only a faster device would help."""
OTHER: Final = "other"
"""The time that passed in no stage."""


@dataclasses.dataclass(frozen=True)
class _Stage:
    cause: str
    """What its time is lost to, a kind of `Limit`."""
    of_the_whole: bool = False
    """It is the calling thread's; the others are added over the threads."""


_STAGES: Final = {
    "plan": _Stage("plan", of_the_whole=True),
    "fingerprint": _Stage("checksum", of_the_whole=True),
    "page_faults": _Stage("page-faults"),
    "copy": _Stage("copy"),
    "checksum": _Stage("checksum"),
    "submit": _Stage("device"),  # of direct calls: see _cause
    "wait": _Stage("device"),
    "sync": _Stage("device"),
    "publish": _Stage("publish", of_the_whole=True),
    "remove": _Stage("publish", of_the_whole=True),
}
STAGES: Final = tuple(_STAGES)
"""In the order in which a transfer comes to them."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The figures of one operation: medians of its runs."""

    operation: str
    backend: str
    seconds: float
    num_threads: int
    stages: Mapping[str, float]
    """Seconds by stage, as in a report; empty where they are not measured."""
    floor_ratio: float | None
    """Its rate over that of its floor."""
    is_network: bool = False
    """Whether something else serves the file system."""


@dataclasses.dataclass(frozen=True)
class Limit:
    """What limits, as a word to compare and as a sentence to read."""

    kind: str
    """``"device"``, ``"checksum"``, ``"copy"``, ``"page-cache"``, ``"mount"``,
    ``"page-faults"``, ``"plan"``, ``"publish"``, ``"overhead"``, ``"mixed"`` or
    ``"unknown"``."""
    sentence: str

    @property
    def short(self) -> str:
        """The sentence, for a column that is titled "limited by"."""
        return self.sentence.removeprefix("limited by ")


def shares_of(evidence: Evidence) -> dict[str, float]:
    """Give the share of the time that passed in each stage, and in ``"other"``."""
    threads = max(1, evidence.num_threads)
    shares = {
        name: evidence.stages[name] / (1 if stage.of_the_whole else threads) / evidence.seconds
        for name, stage in _STAGES.items()
        if evidence.stages.get(name, 0.0) > 0
    }
    # Of threads with less to do than others, the rest is other too.
    return {**shares, OTHER: max(0.0, 1.0 - sum(shares.values()))}


def limit_of(evidence: Evidence) -> Limit:
    """Tell what limits an operation."""
    if not any(evidence.stages.values()) or evidence.seconds <= 0:
        return _without_stages(evidence.floor_ratio)
    shares = shares_of(evidence)
    causes: dict[str, float] = {}
    for stage, share in shares.items():
        cause = _cause(stage, evidence)
        causes[cause] = causes.get(cause, 0.0) + share
    kind = max(causes, key=lambda cause: causes[cause])
    if causes[kind] < DOMINANT:
        largest = sorted(shares, key=lambda stage: -shares[stage])[:3]
        told = ", ".join(f"{name.replace('_', ' ')} {shares[name]:.0%}" for name in largest)
        return Limit("mixed", f"limited by no single stage: {told}")
    return Limit(kind, _sentence(kind, causes[kind], evidence))


def _cause(stage: str, evidence: Evidence) -> str:
    """Name what a stage's time is lost to, which for calls depends on what they do."""
    if stage == OTHER:
        return "overhead"
    if stage == "submit" and evidence.backend == "memory":
        return "copy"
    # A buffered call copies. A direct one returns when the device is done, or, with
    # io_uring, as soon as there is room in its queue: when an earlier one is done.
    if stage == "submit" and evidence.backend == "buffered":
        return "mount" if evidence.is_network else "page-cache"
    return _STAGES[stage].cause


def _sentence(kind: str, share: float, evidence: Evidence) -> str:
    if kind == "device":
        return _device_sentence(share, evidence.floor_ratio)
    cores = evidence.num_threads
    of_cores = "one core's" if cores == 1 else f"{cores} cores'"
    whose = {
        "checksum": f"{of_cores} checksum",
        "copy": f"{of_cores} copying in memory",
        "page-cache": "the kernel's copy, to or from the page cache",
        "mount": "calls to what serves the mount",
        "page-faults": "page faults in fresh memory",
        "plan": "planning: the number of tensors",
        "publish": "publishing: index, renames, directory syncs",
        "overhead": "Python and idle threads",
    }[kind]
    if kind == "page-cache" and evidence.operation == "cold-load":
        whose = "reading through the page cache"
    return f"limited by {whose} ({share:.0%} of the time)"


def _device_sentence(share: float, floor_ratio: float | None) -> str:
    waited = f"{share:.0%} of the time"
    if floor_ratio is None:
        return f"limited by the device ({waited})"
    if floor_ratio >= NEAR_FLOOR:
        return f"limited by the device ({waited}), at {floor_ratio:.2f} of its floor"
    yet = f"yet at {floor_ratio:.2f} of its floor"
    return f"limited by waiting for the device ({waited}), {yet}"


def _without_stages(floor_ratio: float | None) -> Limit:
    if floor_ratio is None:
        return Limit("unknown", "not measured by stages")
    return Limit("unknown", f"at {floor_ratio:.2f} of its floor; not measured by stages")

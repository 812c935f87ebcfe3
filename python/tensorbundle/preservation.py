"""Which checkpoints stay: small rules that add up.

A rule that chooses keeps checkpoints for now: what it no longer chooses, and no other
rule wants, is removed. A rule that preserves is asked about each checkpoint that is due
for removal; what it wants stays for good, and is no longer counted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "BestN",
    "EveryNHours",
    "EveryNSteps",
    "KeepAll",
    "LatestN",
    "Policy",
    "Preserves",
    "SavedCheckpoint",
    "chosen",
    "plain_policies",
    "ranked",
]

_SECONDS_PER_HOUR = 3600.0

Score = Callable[[Mapping[str, float]], float]


@dataclasses.dataclass(frozen=True)
class SavedCheckpoint:
    """One checkpoint, as rules see it."""

    path: str
    """Its prefix."""
    step: int | None
    """The number in its name; ``None`` where there is none."""
    time: float
    """When it was made, in seconds since the epoch."""
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)


# Given all checkpoints that are not kept for good, oldest first, gives those to keep.
Chooses = Callable[[Sequence[SavedCheckpoint]], Iterable[SavedCheckpoint]]


class Preserves:
    """The kind of rule that keeps checkpoints for good."""

    moves_clock = False
    """Whether what it preserves is the next `last` time."""

    def wants(self, checkpoint: SavedCheckpoint, last: float) -> bool:
        """Tell whether one stays for good.

        `last` is the time of the newest checkpoint that was preserved for its time.
        """
        raise NotImplementedError


Policy = Chooses | Preserves


@dataclasses.dataclass(frozen=True)
class LatestN:
    """Chooses the `n` newest."""

    n: int

    def __post_init__(self) -> None:
        _check_positive("n", self.n)

    def __call__(self, checkpoints: Sequence[SavedCheckpoint]) -> Sequence[SavedCheckpoint]:
        """Choose."""
        return checkpoints[-self.n :]


@dataclasses.dataclass(frozen=True)
class BestN:
    """Chooses the `n` best, by a metric's name or a function of the metrics.

    Of equals the earlier is better. One without metrics, without the one that counts, or
    where that is NaN, is never among the best.
    """

    n: int
    metric: str | Score
    mode: str = "min"

    def __post_init__(self) -> None:
        _check_positive("n", self.n)
        if not isinstance(self.metric, str) and not callable(self.metric):
            raise TypeError(
                f"a metric must be a name, or a function of metrics, not {self.metric!r}"
            )
        _check_mode(self.mode)

    def __call__(self, checkpoints: Sequence[SavedCheckpoint]) -> Sequence[SavedCheckpoint]:
        """Choose."""
        return ranked(checkpoints, self.metric, self.mode)[: self.n]


@dataclasses.dataclass(frozen=True)
class KeepAll:
    """Chooses all."""

    def __call__(self, checkpoints: Sequence[SavedCheckpoint]) -> Sequence[SavedCheckpoint]:
        """Choose."""
        return checkpoints


@dataclasses.dataclass(frozen=True)
class EveryNSteps(Preserves):
    """Keeps for good those whose step is a multiple of `n`."""

    n: int

    def __post_init__(self) -> None:
        _check_positive("n", self.n)

    def wants(self, checkpoint: SavedCheckpoint, last: float) -> bool:
        """Tell whether one stays for good."""
        return checkpoint.step is not None and checkpoint.step % self.n == 0


@dataclasses.dataclass(frozen=True)
class EveryNHours(Preserves):
    """Keeps for good the first that is made `hours` or more after the last so kept."""

    hours: float
    moves_clock = True

    def __post_init__(self) -> None:
        if not self.hours > 0:
            raise ValueError(f"hours must be positive, not {self.hours}")

    def wants(self, checkpoint: SavedCheckpoint, last: float) -> bool:
        """Tell whether one stays for good."""
        return checkpoint.time - self.hours * _SECONDS_PER_HOUR >= last


def ranked(
    checkpoints: Iterable[SavedCheckpoint], metric: str | Score, mode: str = "min"
) -> list[SavedCheckpoint]:
    """Sort checkpoints, best first; those that have no such metric are left out."""
    _check_mode(mode)
    sign = 1.0 if mode == "min" else -1.0
    scored = [(sign * _score(saved, metric), saved) for saved in checkpoints]
    # NaN compares with nothing. Sorting is stable: of equals the earlier stays first.
    found = [pair for pair in scored if not math.isnan(pair[0])]
    return [saved for _, saved in sorted(found, key=lambda pair: pair[0])]


def plain_policies(
    max_to_keep: int | None,
    every_n_hours: float | None,
    best: BestN | None,
    keep_best: int | None,
    policy: Policy | Sequence[Policy] | None,
) -> list[Policy]:
    """Make rules of plain options; none where everything is to be kept."""
    rules: list[Policy] = []
    if max_to_keep is not None:
        _check_positive("max_to_keep", max_to_keep)
        rules.append(LatestN(max_to_keep))
    if keep_best is not None:
        if best is None:
            raise ValueError("keep_best needs monitor= or best_fn=")
        _check_positive("keep_best", keep_best)
        rules.append(dataclasses.replace(best, n=keep_best))
    elif rules and best is not None:
        rules.append(best)
    if policy is not None:
        given = policy if isinstance(policy, Sequence) else [policy]
        _check_rules(policy, given)
        rules.extend(given)
    # As in TensorFlow: where nothing is removed nothing has to be preserved.
    if rules and every_n_hours:
        rules.append(EveryNHours(every_n_hours))
    return rules


def _score(saved: SavedCheckpoint, metric: str | Score) -> float:
    if isinstance(metric, str):
        return saved.metrics.get(metric, math.nan)
    return float(metric(saved.metrics)) if saved.metrics else math.nan


def chosen(
    policy: Chooses, checkpoints: Sequence[SavedCheckpoint]
) -> Iterable[SavedCheckpoint]:
    """Ask a rule which to keep.

    Raises
    ------
    TypeError
        What it gives are no checkpoints.
    """
    found = policy(checkpoints)
    kept = list(found) if isinstance(found, Iterable) else [found]
    for saved in kept:
        if not isinstance(saved, SavedCheckpoint):
            raise TypeError(f"policy {policy!r} must give checkpoints to keep, not {saved!r}")
    return kept


def _check_rules(policy: Any, rules: Sequence[Any]) -> None:
    for rule in rules:
        is_rule = callable(rule) or isinstance(rule, Preserves)
        if not is_rule or isinstance(rule, type):
            raise TypeError(
                "policy must be a rule as LatestN(3), a function that chooses from a sequence "
                f"of SavedCheckpoint, or several of them, not {policy!r}"
            )


def _check_positive(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer, not {value!r}")


def _check_mode(mode: str) -> None:
    if mode not in ("min", "max"):
        raise ValueError(f"mode must be 'min' or 'max', not {mode!r}")

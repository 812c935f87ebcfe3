"""The checkpoints of one directory: which are known, which go, and the state file.

Recovering, ordering and recording are `tf.train.CheckpointManager`'s. A state file is
input from outside: a path in it that leaves the directory is followed to load from, and
never removed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from tensorbundle.checkpoint_files import (
    checkpoint_exists,
    is_number,
    numbered_checkpoints,
    remove_bundle,
    sweep_dead_saves,
)
from tensorbundle.checkpoint_search import find_beside, newest_sound, why_no_checkpoint
from tensorbundle.checkpoint_state import (
    CheckpointState,
    get_checkpoint_state,
    state_bytes,
    update_checkpoint_state,
)
from tensorbundle.core import _core
from tensorbundle.directories import make_directories
from tensorbundle.errors import BundleError, StateFileError
from tensorbundle.metrics_file import metrics_path, read_metrics, remove_metrics, write_metrics
from tensorbundle.preservation import Policy, Preserves, SavedCheckpoint, chosen
from tensorbundle.shown_text import shown
from tensorbundle.small_file import sweep_unfinished

__all__ = ["Rotation"]

_LOG = logging.getLogger("tensorbundle")

_MOST_CHARACTERS = 255 - len(".index")  # NAME_MAX


class Rotation:
    """Keeps the list of a directory's checkpoints, and removes what no rule wants.

    Parameters
    ----------
    directory
        Where the checkpoints and the state file are.
    name
        Checkpoints are called ``NAME-<step>``.
    policies
        What stays, besides the newest; empty: everything.
    durability
        Of the state file and the metrics.
    spares
        Where data files go that are no longer needed; ``None``: they are removed.

    Threads: one at a time may change it. Others may ask meanwhile what there is: they find
    it as it was before a change, or after.
    """

    def __init__(
        self,
        directory: str,
        name: str,
        policies: Sequence[Policy],
        durability: Literal["full", "none"] = "full",
        spares: _core.SpareFiles | None = None,
    ) -> None:
        self._directory = directory
        self._name = name
        self._policies = policies
        self._durability = durability
        self._spares = spares
        self.latest: str | None = None
        # By prefix, oldest first. Never changed in place: others may be reading it.
        self._managed: dict[str, SavedCheckpoint] = {}
        self._known: set[str] = set()  # prefixes that are listed, or were saved here
        self._last_preserved = 0.0
        self._seen: bytes | None = None
        self.recover()

    @property
    def managed(self) -> list[SavedCheckpoint]:
        """Those that rules decide about, oldest first."""
        return list(self._managed.values())

    def prefix(self, step: int) -> str:
        """Give the path of the checkpoint of a step."""
        return os.path.join(self._directory, f"{self._name}-{step}")

    def steps(self) -> list[int]:
        """List the steps of all checkpoints in the directory, those kept for good, too."""
        return [step for step, _ in self._numbered()]

    def all_saved(self) -> list[SavedCheckpoint]:
        """List all that exist, with their metrics, those kept for good first."""
        managed = self._managed
        kept = [
            SavedCheckpoint(prefix, step, 0.0, read_metrics(prefix))
            for step, prefix in self._numbered()
            if prefix not in managed
        ]
        return kept + [saved for saved in managed.values() if checkpoint_exists(saved.path)]

    def newest_sound(self) -> str | None:
        """Find the newest whose every checksum is right; why others are not is logged."""
        return newest_sound(self._directory, self._state(), self._name)

    def is_strange(self, step: int) -> bool:
        """Tell whether there is a checkpoint of a step that nothing here has told of."""
        prefix = self.prefix(step)
        return prefix not in self._known and checkpoint_exists(prefix)

    def _numbered(self) -> list[tuple[int, str]]:
        """List the checkpoints that have our names: not those with zeros before a number."""
        found = numbered_checkpoints(self._directory, self._name)
        return [(step, prefix) for step, prefix in found if prefix == self.prefix(step)]

    # ---- Recovering -----------------------------------------------------------------------

    def recover(self) -> None:
        """Read the state file, as it is now."""
        now = time.time()
        self._seen = self._state_bytes()
        self._managed = {}
        # A little back, so that the first checkpoint is later even at once.
        self._last_preserved = now - 1.0
        state = self._state()
        if state is None:
            self.latest = self._newest_left()
            if self._seen is None and self.latest is not None:
                _LOG.warning(
                    "%s: has checkpoints, but no state file: going by their names",
                    shown(self._directory),
                )
            return
        self._last_preserved = state.last_preserved_timestamp
        if now < self._last_preserved:
            _LOG.warning(
                "%s: the clock is %g s behind the last preserved checkpoint",
                self._directory, self._last_preserved - now,
            )  # fmt: skip
            self._last_preserved = now
        self._take_over(state, now)
        self.latest, _ = self._placed(state.model_checkpoint_path)
        reason = why_no_checkpoint(self.latest)
        if reason is not None:
            _LOG.warning("%s: the newest checkpoint is %s", shown(self.latest), shown(reason))
            self.latest = self._newest_left()

    def is_stale(self) -> bool:
        """Tell whether somebody else has written the state file since `recover`."""
        return self._state_bytes() != self._seen

    def _take_over(self, state: CheckpointState, now: float) -> None:
        paths = state.all_model_checkpoint_paths
        found: dict[str, SavedCheckpoint] = {}
        times = state.all_model_checkpoint_timestamps or [self._last_preserved] * len(paths)
        for path, when in zip(paths, times, strict=False):
            prefix, is_inside = self._placed(path)
            metrics = read_metrics(prefix) if is_inside else {}
            # One among the best stays counted though a later one is kept for good.
            if is_inside and (min(when, now) > self._last_preserved or metrics):
                step = self._step_of(prefix)
                found[prefix] = SavedCheckpoint(prefix, step, min(when, now), metrics)
        self._managed = found
        self._known |= found.keys() | {self._placed(path)[0] for path in paths}

    def _placed(self, path: str) -> tuple[str, bool]:
        """Give a path of the state file as we spell it, and whether it is right here."""
        prefix = find_beside(self._directory, path)
        directory, base = os.path.split(prefix)
        is_here = os.path.abspath(directory) == os.path.abspath(self._directory)
        is_name = base not in ("", os.curdir, os.pardir) and len(base) <= _MOST_CHARACTERS
        if not is_here or not is_name:
            return prefix, False
        return os.path.join(self._directory, base), True

    def _state(self) -> CheckpointState | None:
        try:
            return get_checkpoint_state(self._directory)
        except StateFileError as error:
            _LOG.warning("%s", shown(str(error)))
            return None

    def _state_bytes(self) -> bytes | None:
        return state_bytes(self._directory)

    def _newest_left(self) -> str | None:
        candidates = [*reversed(self._managed), *(p for _, p in reversed(self._numbered()))]
        left = (prefix for prefix in candidates if why_no_checkpoint(prefix) is None)
        return next(left, None)

    def _step_of(self, prefix: str) -> int | None:
        name, dash, digits = os.path.basename(prefix).rpartition("-")
        is_ours = dash and name == self._name and is_number(digits)
        return int(digits) if is_ours else None

    def sweep_unfinished(self) -> None:
        """Remove what a process that was killed left: of saves, a state file, metrics.

        What cannot be removed is told in the log.
        """
        sweep_dead_saves(self._directory, self._name)
        metrics = {os.path.basename(metrics_path(prefix)) for _, prefix in self._numbered()}
        try:
            sweep_unfinished(self._directory, {"checkpoint"} | metrics)
        except OSError as error:
            _LOG.warning("%s: an unfinished file stays: %s", self._directory, error)

    # ---- Adding and removing --------------------------------------------------------------

    def make_directory(self) -> None:
        """Make the directory, if it is missing, as durable as what will be in it."""
        make_directories(self._directory, durable=self._durability == "full")

    @contextlib.contextmanager
    def replacing(self, prefix: str, step: int) -> Iterator[None]:
        """Remove what was measured of a checkpoint while it is being replaced.

        A crash must not leave new files with old metrics; a failure gives them back.
        """
        self._known.add(prefix)
        metrics, before = read_metrics(prefix), _identity(prefix)
        remove_metrics(prefix)
        try:
            yield
        except BaseException:
            # Not where it failed after the commit: then they are of other files.
            if metrics and _identity(prefix) == before:
                write_metrics(prefix, step, metrics, durable=self._durability == "full")
            raise

    def add(self, prefix: str, step: int, metrics: dict[str, float]) -> None:
        """Note a checkpoint that has just become durable, as the newest."""
        if metrics:
            durable = self._durability == "full"
            write_metrics(prefix, step, metrics, durable=durable)
        others = {path: saved for path, saved in self._managed.items() if path != prefix}
        self._managed = others | {prefix: SavedCheckpoint(prefix, step, time.time(), metrics)}
        self.latest = prefix
        self._record()

    def sweep(self) -> None:
        """Remove what no rule wants; the newest stays in any case.

        One that cannot be removed is told in the log, and tried again next time.
        """
        due = self._due()
        if not due:
            return
        last, decided = self._last_preserved, []
        for saved in due:
            preserving = self._preserving(saved, last)
            if preserving is not None and preserving.moves_clock:
                last = saved.time
            decided.append((saved, preserving is not None))
        left = dict(self._managed)
        for saved, stays in decided:
            if stays or self._remove(saved):
                del left[saved.path]
        self._managed = left
        self._last_preserved = last
        self._record()

    def _due(self) -> list[SavedCheckpoint]:
        if not self._policies:
            return []
        managed = self.managed
        kept = {self.latest}
        for policy in self._policies:
            if not isinstance(policy, Preserves):
                kept.update(saved.path for saved in chosen(policy, managed))
        return [saved for saved in managed if saved.path not in kept]

    def _preserving(self, saved: SavedCheckpoint, last: float) -> Preserves | None:
        wanting: Iterable[Preserves] = (
            policy
            for policy in self._policies
            if isinstance(policy, Preserves) and policy.wants(saved, last)
        )
        # One that moves the clock first, as the clock is there for it.
        return min(wanting, key=lambda policy: not policy.moves_clock, default=None)

    def _remove(self, saved: SavedCheckpoint) -> bool:
        # By its name alone: nothing outside the directory, whatever the path says.
        prefix = os.path.join(self._directory, os.path.basename(saved.path))
        try:
            remove_bundle(prefix, spares=self._spares)
            remove_metrics(prefix)
        except (BundleError, OSError) as error:
            _LOG.warning("%s: an old checkpoint stays: %s", shown(prefix), shown(str(error)))
            return False
        return True

    def _record(self) -> None:
        assert self.latest is not None
        update_checkpoint_state(
            self._directory,
            self.latest,
            list(self._managed),
            all_model_checkpoint_timestamps=[saved.time for saved in self.managed],
            last_preserved_timestamp=self._last_preserved,
            save_relative_paths=True,
            durability=self._durability,
        )
        self._seen = self._state_bytes()


def _identity(prefix: str) -> tuple[int, int, int] | None:
    """Tell one checkpoint from another that replaced it."""
    try:
        found = os.stat(prefix + ".index")
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns

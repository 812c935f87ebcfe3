"""What a `Saver` has saved of late: named in the state file, each removed in its turn."""

from __future__ import annotations

import collections
import logging
import os
import time
from collections.abc import Iterable
from typing import Literal

from tensorbundle.checkpoint_files import remove_bundle
from tensorbundle.checkpoint_state import update_checkpoint_state
from tensorbundle.core import _core
from tensorbundle.errors import BundleError

__all__ = ["RecentCheckpoints"]

_LOG = logging.getLogger("tensorbundle")

_SECONDS_PER_HOUR = 3600


class RecentCheckpoints:
    """The order, the state file and the removals of ``tf.compat.v1.train.Saver``.

    Parameters
    ----------
    max_to_keep
        How many; 0 keeps all, and names only the newest in the state file.
    keep_every_n_hours
        Of those due for removal, the first made after each such span stays for good.
    save_relative_paths
        As of `update_checkpoint_state`.
    spares
        Where data files go that are no longer needed; ``None``: they are removed.
    """

    def __init__(
        self,
        max_to_keep: int,
        keep_every_n_hours: float,
        save_relative_paths: bool,
        spares: _core.SpareFiles | None = None,
    ) -> None:
        self._max_to_keep = max_to_keep
        self._seconds = keep_every_n_hours * _SECONDS_PER_HOUR
        self._relative = save_relative_paths
        self._spares = spares
        self._last: list[tuple[str, float]] = []
        self._due: collections.deque[tuple[str, float]] = collections.deque()
        self._own: set[str] = set()  # absolute prefixes that were noted
        self._next_kept = time.time() + self._seconds

    @property
    def prefixes(self) -> list[str]:
        """Those not yet due for removal, oldest first; any thread may ask."""
        return [prefix for prefix, _ in self._last]

    def take_over(self, checkpoints: Iterable[tuple[str, float]]) -> None:
        """Take these instead, with the seconds since the epoch when each was made."""
        self._last = list(checkpoints)

    def note(self, prefix: str) -> None:
        """Remember a checkpoint as made here, so that it may be removed."""
        self._own.add(os.path.abspath(prefix))

    def record(
        self, prefix: str, state_name: str, durability: Literal["full", "none"]
    ) -> None:
        """Name a checkpoint as the newest in the state file beside it.

        Then one that is too old is removed; what cannot be removed is told in the log.
        """
        directory = os.path.dirname(prefix)
        if self._max_to_keep:
            # Not changed in place: `prefixes` may be asked for meanwhile.
            last = [known for known in self._last if known[0] != prefix]
            last.append((prefix, time.time()))
            if len(last) > self._max_to_keep:
                self._due.append(last.pop(0))
            self._last = last
        update_checkpoint_state(
            directory,
            prefix,
            self.prefixes,
            state_name,
            save_relative_paths=self._relative,
            durability=durability,
        )
        self._remove_one(directory)

    def _remove_one(self, directory: str) -> None:
        """Remove the checkpoint whose turn it is, unless it is to be kept for good."""
        if not self._due:
            return
        prefix, when = self._due.popleft()
        if when > self._next_kept:
            self._next_kept += self._seconds
            return
        if not self._may_remove(prefix, directory):
            _LOG.warning("%s: not removed: this saver has not made it", prefix)
            return
        try:
            remove_bundle(prefix, spares=self._spares)
        except (BundleError, OSError) as error:
            _LOG.warning("%s: an old checkpoint stays: %s", prefix, error)

    def _may_remove(self, prefix: str, directory: str) -> bool:
        """Tell whether a checkpoint is ours: a list taken over may come from a file."""
        path = os.path.abspath(prefix)
        # The same files under another spelling of the path.
        if any(os.path.abspath(kept) == path for kept in self.prefixes):
            return False
        return path in self._own or os.path.dirname(path) == os.path.abspath(directory)

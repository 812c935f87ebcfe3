"""Looking for a checkpoint: the newest that is sound, and new ones as they come."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator

from tensorbundle.checkpoint_files import checkpoint_exists, is_number, numbered_checkpoints
from tensorbundle.directories import names_in
from tensorbundle.errors import BundleError
from tensorbundle.shown_text import shown
from tensorbundle.state_text import CheckpointState

__all__ = [
    "checkpoints_iterator",
    "find_beside",
    "newest_sound",
    "why_damaged",
    "why_no_checkpoint",
]

_LOG = logging.getLogger("tensorbundle")

# How often TensorFlow looks.
_POLL_SECONDS = 1.0


def checkpoints_iterator(
    checkpoint_dir: str | os.PathLike[str],
    min_interval_secs: float = 0,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
) -> Iterator[str]:
    """Yield the newest checkpoint of a directory, and each newer one when it has come.

    Looks once a second, and only while the caller waits: of several checkpoints made
    meanwhile it gives the last.

    Parameters
    ----------
    checkpoint_dir
        The directory; it need not exist yet.
    min_interval_secs
        Seconds between two checkpoints given, at least.
    timeout
        Seconds to wait for a new one; ``None`` waits for ever.
    timeout_fn
        Called after each checkpoint and each timeout. True ends the iteration; without
        it a timeout does.

    Yields
    ------
    str
        The prefix, as `latest_checkpoint` gives it.
    """
    newest: str | None = None
    while True:
        found = _wait_for_new(checkpoint_dir, newest, timeout)
        if found is not None:
            newest, start = found, time.monotonic()
            yield found
            rest = start + min_interval_secs - time.monotonic()
            if rest > 0:
                time.sleep(rest)
        elif timeout_fn is None:
            return
        if timeout_fn is not None and timeout_fn():
            return


def _wait_for_new(
    directory: str | os.PathLike[str], known: str | None, timeout: float | None
) -> str | None:
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        found = _latest(directory)
        if found is not None and found != known:
            return found
        if end is not None and time.monotonic() + _POLL_SECONDS > end:
            return None
        time.sleep(_POLL_SECONDS)


def _latest(directory: str | os.PathLike[str]) -> str | None:
    from tensorbundle.checkpoint_state import latest_checkpoint

    try:
        return latest_checkpoint(directory)
    except ValueError:  # a state file that somebody is copying here
        return None


def newest_sound(
    directory: str, state: CheckpointState | None, name: str | None = None
) -> str | None:
    """Find the newest checkpoint whose every byte is as it was written.

    Parameters
    ----------
    directory
        Where the state file is.
    state
        What it says; ``None`` where there is none, or it cannot be read: then all checkpoints
        of the directory are candidates, newest files first.
    name
        Of those then take ``NAME-<number>`` alone, greatest numbers first.

    Returns
    -------
    str or None
        The prefix. Why each newer one was passed over is logged as a warning.
    """
    for prefix in _candidates(directory, state, name):
        reason = why_damaged(prefix)
        if reason is None:
            return prefix
        _LOG.warning("%s: passed over: %s", shown(prefix), shown(reason))
    return None


def why_damaged(prefix: str) -> str | None:
    """Read a whole checkpoint; say what is wrong with it, or give ``None``."""
    # Only here, so that looking for checkpoints does not cost NumPy.
    from tensorbundle.bundle import verify

    try:
        report = verify(prefix)
    except (BundleError, OSError) as error:
        return str(error)
    return None if report.ok else report.faults[0].message


def why_no_checkpoint(prefix: str) -> str | None:
    """Say why a prefix has no checkpoint that opens, or give ``None``; reads no tensor."""
    from tensorbundle.paths import open_core

    if not checkpoint_exists(prefix):
        return "gone"
    if not os.path.exists(prefix + ".index"):  # of the V1 format
        return None
    try:
        open_core(prefix)
    except (BundleError, OSError) as error:
        return f"damaged: {error}"
    return None


def find_beside(directory: str, prefix: str) -> str:
    """Give a path of a state file; if it is gone, the one of that name in `directory`.

    Absolute paths in a state file are wrong once the directory was moved.
    """
    beside = os.path.join(directory, os.path.basename(prefix))
    if os.path.isabs(prefix) and not checkpoint_exists(prefix) and checkpoint_exists(beside):
        return beside
    return prefix


def _candidates(directory: str, state: CheckpointState | None, name: str | None) -> list[str]:
    if state is None:
        return _by_age(directory) if name is None else _by_number(directory, name)
    listed = [state.model_checkpoint_path, *reversed(state.all_model_checkpoint_paths)]
    found = [find_beside(directory, prefix) for prefix in listed]
    # Those kept for good are no longer listed, but have names of the same kind.
    name, _, digits = os.path.basename(listed[0]).rpartition("-")
    if is_number(digits):
        found += _by_number(directory, name)
    return list(dict.fromkeys(found))


def _by_number(directory: str, name: str) -> list[str]:
    return [prefix for _, prefix in reversed(numbered_checkpoints(directory, name))]


def _by_age(directory: str) -> list[str]:
    """List the checkpoints of a directory, newest index first."""
    dated = []
    for file_name in names_in(directory):
        path = os.path.join(directory, file_name)
        prefix, dot, suffix = path.rpartition(".")
        if (
            dot
            and suffix == "index"
            and not file_name.startswith(".")
            and os.path.isfile(path)
        ):
            dated.append((os.stat(path).st_mtime_ns, prefix))
    return [prefix for _, prefix in sorted(dated, reverse=True)]

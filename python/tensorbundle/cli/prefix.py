"""From the path on the command line to an open checkpoint."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from tensorbundle.cli.errors import CommandError
from tensorbundle.cli.output import escape
from tensorbundle.paths import absolute

__all__ = ["check_destination", "newest_of", "resolve_prefix"]

# Prefixes told when a directory does not say which of them is meant.
_MOST_TOLD = 3


class _Reasons(logging.Handler):
    """Keeps what the library logs, to be told in our own line."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.messages.append(record.getMessage())


def resolve_prefix(path: str) -> str:
    """Give the prefix that `path` means: a directory stands for its newest checkpoint.

    Raises
    ------
    CommandError
        It is a directory whose ``checkpoint`` file is missing or names none.
    """
    if not os.path.isdir(path) or os.path.exists(path + ".index"):
        return path
    from tensorbundle.checkpoint_state import latest_checkpoint

    logger = logging.getLogger("tensorbundle")
    reasons = _Reasons()
    logger.addHandler(reasons)
    propagated, logger.propagate = logger.propagate, False
    try:
        prefix = latest_checkpoint(path)
    finally:
        logger.propagate = propagated
        logger.removeHandler(reasons)
    if prefix is not None:
        return prefix
    found = sorted(
        entry.path.removesuffix(".index")
        for entry in os.scandir(path)
        if entry.name.endswith(".index")
    )
    reason = "; ".join(reasons.messages) or f"{path}: a directory without 'checkpoint' file"
    told = ", ".join(map(repr, found[:_MOST_TOLD])) + (", ..." if found[_MOST_TOLD:] else "")
    raise CommandError(f"{reason}; " + (f"it has {told}" if found else "no .index in it"))


def newest_of(path: str, prefix: str) -> str:
    """Give what tells that `path`, a directory, was taken for `prefix`: ``"run/ckpt-7: "``.

    Empty where `path` is the prefix itself: the user knows.
    """
    return "" if path == prefix else f"{escape(prefix)}: "


def check_destination(
    path: str, *, overwrite: bool, sources: Sequence[str] = (), advice: str = ""
) -> str:
    """Give back the prefix that is to be written to.

    Parameters
    ----------
    overwrite
        Whether a checkpoint that is there may be replaced.
    sources
        Prefixes whose checkpoints the command reads, and may replace without being asked:
        their tensors are in what it writes.
    advice
        What the user may have meant instead, told with the refusal.

    Raises
    ------
    CommandError
        It is a directory: files beside it were hardly meant. Or a checkpoint is there.
    """
    if not os.path.lexists(path + ".index"):
        if os.path.isdir(path):
            example = os.path.join(path, "ckpt")
            raise CommandError(f"{path}: a directory; give a prefix in it, as {example!r}")
        return path
    if overwrite or _place(path) in map(_place, sources):
        return path
    told = "; ".join(filter(None, [advice, "--overwrite replaces it"]))
    raise CommandError(f"{path}: there is a checkpoint already; {told}")


def _place(prefix: str) -> tuple[bytes, bytes]:
    """Give the directory and the name of a prefix, the same however it is spelled."""
    directory, name = os.path.split(absolute(prefix))
    return os.path.realpath(directory), name

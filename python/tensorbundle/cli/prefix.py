"""From the path on the command line to an open checkpoint."""

from __future__ import annotations

import logging
import os

from tensorbundle.cli.errors import CommandError

__all__ = ["check_destination", "resolve_prefix"]

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


def check_destination(path: str) -> str:
    """Give back the prefix that is to be written to.

    Raises
    ------
    CommandError
        It is a directory: files beside it were hardly meant.
    """
    if os.path.isdir(path) and not os.path.exists(path + ".index"):
        example = os.path.join(path, "ckpt")
        raise CommandError(f"{path}: a directory; give a prefix in it, as {example!r}")
    return path

"""What the commands say when something goes wrong, and with which exit status."""

from __future__ import annotations

from typing import Final

from tensorbundle.errors import BundleError, CorruptionError

__all__ = ["DAMAGED", "EXPECTED", "INTERRUPTED", "OK", "PIPE_CLOSED", "UNUSABLE",
           "CommandError", "exit_status", "message_of"]  # fmt: skip

OK: Final = 0
DAMAGED: Final = 1
UNUSABLE: Final = 2
"""Wrong usage, a missing file, a full disk: nothing was learnt about the checkpoint."""
INTERRUPTED: Final = 130
"""What shells report for a process ended by SIGINT: 128 + 2."""
PIPE_CLOSED: Final = 141
"""The same for SIGPIPE: 128 + 13."""


class CommandError(Exception):
    """The command cannot do what it was asked to; the message says why."""


EXPECTED: Final = (CommandError, BundleError, OSError, ValueError, MemoryError)
"""Failures that are the world's, not ours: one line is printed, no traceback."""


def exit_status(error: BaseException) -> int:
    """Give the exit status that stands for an expected failure."""
    return DAMAGED if isinstance(error, CorruptionError) else UNUSABLE


def message_of(error: BaseException) -> str:
    """Tell a failure in one line, the path first."""
    if isinstance(error, OSError) and not isinstance(error, BundleError) and error.strerror:
        place = "" if error.filename is None else f"{error.filename}: "
        return place + error.strerror
    if isinstance(error, MemoryError):
        return "not enough memory"
    return str(error) or type(error).__name__

"""What the commands say when something goes wrong, and with which exit status."""

from __future__ import annotations

import errno
import os
from typing import Any, Final

from tensorbundle.errors import BundleError, CorruptionError

__all__ = ["DAMAGED", "EXPECTED", "INTERRUPTED", "OK", "PIPE_CLOSED", "UNUSABLE",
           "CommandError", "as_json", "exit_status", "message_of"]  # fmt: skip

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


def as_json(error: BaseException) -> dict[str, Any]:
    """Give what ``--json`` prints of an expected failure."""
    # What a command tells in its own words is still the fault that it was.
    fault = error.__cause__ if isinstance(error, CommandError) and error.__cause__ else error
    path = getattr(fault, "path", None) or getattr(fault, "filename", None)
    number = getattr(fault, "errno", None)
    return {
        "error": {
            "code": getattr(fault, "code", "") or type(fault).__name__,
            "errno": None if number is None else errno.errorcode.get(number),
            "message": message_of(error),
            "path": os.fsdecode(path) if isinstance(path, (str, bytes)) else None,
            "key": getattr(fault, "key", None),
            "shard": getattr(fault, "shard", None),
            "offset": getattr(fault, "offset", None),
        }
    }

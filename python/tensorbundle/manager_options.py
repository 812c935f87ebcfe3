"""What a checkpoint manager is told, checked when it is told.

Raises, all of them
-------------------
TypeError
    It is of no kind that will do; the message says which will.
ValueError
    It is out of range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tensorbundle.async_saving import AsyncSaver
from tensorbundle.save_options import check_save_options
from tensorbundle.step_interval import as_step

__all__ = [
    "as_callbacks",
    "as_number",
    "as_save_options",
    "check_flag",
    "check_function",
    "check_saver",
]


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(value, (int, np.bool_)) or value not in (False, True):
        raise TypeError(f"{name} must be True or False, not {value!r}")


def check_function(name: str, value: Any) -> None:
    """Refuse what can neither be called nor is ``None``."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be a function or None, not {value!r}")


def check_saver(saver: Any) -> None:
    """Refuse what does not save in the background."""
    if saver is not None and not isinstance(saver, AsyncSaver):
        raise TypeError(f"saver must be a tensorbundle.AsyncSaver or None, not {saver!r}")


def as_callbacks(callbacks: Any) -> Sequence[Callable[[str], object]]:
    """Give the functions that are called of each checkpoint."""
    if callable(callbacks) or not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a sequence of functions, not {callbacks!r}")
    found = tuple(callbacks)
    for callback in found:
        if not callable(callback):
            raise TypeError(f"callbacks must be functions, not {callback!r}")
    return found


def as_save_options(options: Any) -> dict[str, Any]:
    """Give the options of all saves."""
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"save_options must be a mapping, not {options!r}")
    found = dict(options or {})
    check_save_options(found, "CheckpointManager(save_options=)")
    return found


def as_number(given: Any) -> int | None:
    """Give the number that a checkpoint is to have, if one was given."""
    if given is None:
        return None
    number = as_step(given, "checkpoint_number")
    if number < 0:
        raise ValueError(f"checkpoint_number must not be negative, but is {number}")
    return number

"""The options of `save`, where others hand them on: checked when they are given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Collection, Mapping
from typing import Any

from tensorbundle.saving import prepare, write_options
from tensorbundle.transfer_options import check_names

__all__ = ["check_save_options"]


def check_save_options(
    options: Mapping[str, Any], call: str, *, also: Collection[str] = ()
) -> None:
    """Refuse what `save` would refuse later on.

    Parameters
    ----------
    options
        As of `tensorbundle.save`.
    call
        What the user has called, for the message.
    also
        Names that are taken besides.

    Raises
    ------
    TypeError
        An option has no such name, or a value of another type.
    ValueError, OSError
        As `save`, of a value that is out of range, or a ``config`` that cannot be read.
    """
    known = _defaults()
    check_names(options, [*known, *also], call)
    progress = options.get("progress")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function, not {progress!r}")
    values = {**known, **options}
    names = inspect.signature(write_options).parameters
    write_options(**{name: values[name] for name in names})


@functools.cache
def _defaults() -> dict[str, Any]:
    """Give what a save takes for options that are not given."""
    parameters = inspect.signature(prepare).parameters.values()
    return {
        option.name: option.default
        for option in parameters
        if option.kind is option.KEYWORD_ONLY and option.name != "spares"
    }

"""What a checkpoint manager adds to the options of an incremental save."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorbundle.managed_state import writes_itself

__all__ = ["check_incremental", "incremental_options"]


def check_incremental(checkpoint: Any) -> None:
    """Refuse what writes itself: only this library's saves share data files.

    Raises
    ------
    TypeError
        It has ``write`` and ``restore`` of its own, and is no `tensorbundle.Checkpoint`.
    """
    if writes_itself(checkpoint):
        raise TypeError(
            f"a {type(checkpoint).__qualname__} writes itself, and not incrementally; "
            "put its objects into a tensorbundle.Checkpoint"
        )


def incremental_options(options: Any, latest: str | None) -> dict[str, Any]:
    """Give the options of a save that goes by the newest checkpoint, if there is one.

    Without one, what the next save needs is left beside this one all the same.

    Raises
    ------
    TypeError
        They are no mapping but, for example, ``tf.train.CheckpointOptions``.
    """
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(
            f"options of an incremental save must be a mapping, not {type(options).__name__}"
        )
    return {"incremental": True if latest is None else latest, **(options or {})}

"""What a checkpoint manager adds to the options of an incremental save."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["incremental_options"]


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

"""Data files of replaced checkpoints, kept for the next save to write into."""

from __future__ import annotations

import weakref
from typing import Any

from tensorbundle.core import _core
from tensorbundle.managed_state import writes_itself

__all__ = ["check_recycle", "spare_files"]


def spare_files(owner: object, recycle: bool) -> _core.SpareFiles | None:
    """Give what keeps such files for `owner`; ``None`` where nothing is to be kept.

    They go when it goes, at the interpreter's exit at the latest.
    """
    if not recycle:
        return None
    spares = _core.SpareFiles()
    weakref.finalize(owner, spares.clear)
    return spares


def check_recycle(checkpoint: Any) -> None:
    """Refuse what writes itself: only this library's saves write into replaced files.

    Raises
    ------
    TypeError
        It has ``write`` and ``restore`` of its own, and is no `tensorbundle.Checkpoint`.
    """
    if writes_itself(checkpoint):
        raise TypeError(
            f"a {type(checkpoint).__qualname__} writes itself, and always new files; "
            "put its objects into a tensorbundle.Checkpoint"
        )

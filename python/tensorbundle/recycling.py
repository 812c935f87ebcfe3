"""Data files of replaced checkpoints, kept for the next save to write into."""

from __future__ import annotations

import weakref

from tensorbundle.core import _core

__all__ = ["spare_files"]


def spare_files(owner: object, recycle: bool) -> _core.SpareFiles | None:
    """Give what keeps such files for `owner`; ``None`` where nothing is to be kept.

    They go when it goes, at the interpreter's exit at the latest.
    """
    if not recycle:
        return None
    spares = _core.SpareFiles()
    weakref.finalize(owner, spares.clear)
    return spares

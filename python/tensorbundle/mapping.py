"""How files are mapped: what `load` and `open` take for ``mmap`` and ``prefetch``."""

from __future__ import annotations

from typing import Literal

from tensorbundle.core import _core

__all__ = ["Mmap", "Prefetch", "map_options"]

Mmap = bool | Literal["always"]
Prefetch = Literal["normal", "sequential", "random", "willneed", "populate"]

_POLICIES = {False: "never", True: "local", "always": "always"}
_PREFETCHES = ("normal", "sequential", "random", "willneed", "populate")


def map_options(
    mmap: Mmap, prefetch: Prefetch | None, *, writable: bool = False
) -> _core.MapOptions:
    """Check how to map, and make what the core takes.

    Writable maps are private: a page that is written to is copied first.
    """
    try:
        policy = _POLICIES[mmap]
    except (KeyError, TypeError):
        raise ValueError(f"mmap must be False, True or 'always', not {mmap!r}") from None
    if prefetch is not None and prefetch not in _PREFETCHES:
        choices = ", ".join(_PREFETCHES)
        raise ValueError(f"prefetch must be None or one of {choices}, not {prefetch!r}")
    if prefetch is not None and not mmap:
        raise ValueError(
            "prefetch= is for the pages of a map, and mmap=False reads every tensor whole"
        )
    return _core.MapOptions(policy=policy, prefetch=prefetch or "normal", writable=writable)

"""Names that would fit but for what wrappers put before them: what to say then."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["advice"]


def advice(own: Collection[str], stored: Mapping[str, Any], *, is_ours: bool) -> str:
    """Say what to do where one prefix parts a module's names from those of a checkpoint.

    Wrappers for several devices ("module.") and compilers ("_orig_mod.") make such names,
    and so do whole models that are saved inside of a dict ("model/").

    Parameters
    ----------
    own
        The names of the module.
    stored
        What the checkpoint has by its names: of a dict inside, its dict.
    is_ours
        Whether the checkpoint is one of `save`.

    Returns
    -------
    str
        A sentence on a line of its own; empty where names differ in other ways.
    """
    if not own or not stored or any(name in stored for name in own):
        return ""
    for key, value in stored.items():
        if isinstance(value, Mapping) and all(name in value for name in own):
            return (
                f"\nthe checkpoint has these names in {key!r}: take "
                f"model.load_state_dict(tensorbundle.torch.load(path)[{key!r}])"
            )
    prefix = _prefix(own, stored)
    if prefix is not None:
        return f"\nthe checkpoint has {prefix!r} before each of these names: " + (
            "take model.load_state_dict({name.removeprefix(" + repr(prefix) + "): value for "
            "name, value in tensorbundle.torch.load(path).items()})"
            if is_ours
            else f"tensorbundle rename PREFIX 's/^{re.escape(prefix)}//' takes it away"
        )
    prefix = _prefix(stored, own)
    if prefix is None:
        return ""
    inner = f"its part {prefix[:-1]!r}" if prefix.endswith(".") else "what it wraps"
    return (
        f"\nthe module has {prefix!r} before each name of the checkpoint: load into {inner}, "
        "not into the wrapper"
    )


def _prefix(names: Collection[str], longer: Collection[str]) -> str | None:
    """Give what has to be put before each name to find all of them."""
    first = next(iter(names))
    for name in longer:
        prefix = name.removesuffix(first)
        if prefix != name and all(f"{prefix}{short}" in longer for short in names):
            return prefix
    return None

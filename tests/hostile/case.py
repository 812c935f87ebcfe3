"""One hostile checkpoint: what its files are, and what a reader has to say to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

GOOD = np.arange(4, dtype=np.float32)
NAME = "ckpt"

# Which call is the first to find the fault: to open, to list the one block, to read the
# entry, to find the tensor's parts, to read the bytes; or none, as the file is to be accepted.
INDEX, BLOCK, ENTRY, PARTS = "index", "block", "entry", "parts"
DATA, ACCEPT = "data", "accept"


@dataclass(frozen=True)
class Case:
    """A row of the checklist."""

    row: str
    """Section and number, as in the checklist; those with a letter behind are our own."""
    what: str
    make: Callable[[Path], None]
    """Writes the files; the prefix is `NAME` in that directory."""
    level: str = INDEX
    code: str | tuple[str, ...] = ""
    """The error's code, or those that will do."""
    key: str | None = "bad"
    """The tensor that is at fault; at the level of the index ``None``."""
    file: str = ""
    """What the error's path ends in, where it is not that of the index or the shard."""
    good: tuple[str, ...] = ("good",)
    """Tensors that must be readable all the same."""
    maps: bool = False
    """Whether the tensor at fault can be mapped, or is put together from maps: nobody compares
    its checksums then."""
    values: dict[str, Any] = field(default_factory=dict)
    """What an accepted file holds, where it is not `GOOD` under each of `good`."""
    unchecked: bool = False
    """Whether a verification leaves the tensor alone instead of naming it damaged."""
    needs: str = ""
    """``"nobody"``: permissions, which do not bind root."""

    @property
    def id(self) -> str:
        return f"{self.row}-{self.what.replace(' ', '_')}"

    @property
    def codes(self) -> tuple[str, ...]:
        return (self.code,) if isinstance(self.code, str) else self.code

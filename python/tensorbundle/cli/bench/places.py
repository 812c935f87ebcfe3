"""The directories to be measured: what they can do, and whether they have the room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any

from tensorbundle.available_memory import available_memory
from tensorbundle.cli.bench.grid import BACKENDS, MEMORY
from tensorbundle.cli.bench.results import Place
from tensorbundle.cli.doctor import require_writable
from tensorbundle.cli.errors import CommandError
from tensorbundle.cli.machine import file_system_of
from tensorbundle.cli.output import format_bytes
from tensorbundle.core import _core

__all__ = ["probe", "require_disk", "require_memory"]

# Files on the disk at once: one, and what its file system has not freed yet.
_DISK_COPIES = 2
# Of a disk, what stays free whatever is asked for.
_LEAST_FREE = 0.02
_PROGRAM_BYTES = 500_000_000


def probe(path: str, wanted: Sequence[str]) -> Place:
    """Tell what a directory can do with the wanted backends.

    Raises
    ------
    CommandError
        It is no directory, or cannot be written to.
    """
    require_writable(path)
    traits = _core.probe_directory(os.fsencode(path))
    skipped = {
        backend: reason
        for backend in BACKENDS
        if backend in wanted and (reason := _why_not(backend, traits))
    }
    place = Place(
        path=os.path.abspath(path),
        file_system=file_system_of(os.path.realpath(path)),
        backends=tuple(b for b in BACKENDS if b in wanted and b not in skipped),
        auto=traits["auto"],
        direct=traits["direct"],
        is_network=traits["is_network"],
        skipped=skipped,
    )
    if traits["is_memory"]:
        place.skipped["cold-load"] = place.skipped["floor-read"] = (
            f"{place.file_system} is the page cache: nothing there is ever cold"
        )
        place.notes.append(
            f"durable on {place.file_system} means synced: it is gone when the power is"
        )
    if traits["is_network"]:
        place.notes.append(
            f"cold on {place.file_system} means out of this machine's page cache for it; "
            "what lies behind the mount may have its own cache"
        )
    return place


def _why_not(backend: str, traits: dict[str, Any]) -> str:
    if backend in ("buffered", MEMORY):
        return ""
    if not traits["direct"]:
        return str(traits["direct_reason"])
    if backend == "uring":
        info = _core.build_info()
        return "" if info["io_uring"] else str(info["io_uring_reason"])
    return ""


def require_disk(place: Place, num_bytes: int) -> None:
    """Refuse to begin what might fill the disk.

    Raises
    ------
    CommandError
        Two copies would not leave a little of it free.
    """
    usage = shutil.disk_usage(place.path)
    needed = _DISK_COPIES * num_bytes + int(_LEAST_FREE * usage.total)
    if usage.free < needed:
        raise CommandError(
            f"{place.path}: {format_bytes(needed)} of free disk space are needed, of which "
            f"{_LEAST_FREE:.0%} of the disk stay free; {format_bytes(usage.free)} are free; "
            "try a smaller --gb"
        )


def require_memory(places: Sequence[Place], num_bytes: int, num_copies: int) -> None:
    """Refuse to begin what might take all memory.

    `num_copies` of the model are in memory at once; a file system in memory has two more.

    Raises
    ------
    CommandError
        That is more than what can be allocated.
    """
    in_memory = any("cold-load" in place.skipped for place in places)
    needed = (num_copies + _DISK_COPIES * in_memory) * num_bytes + _PROGRAM_BYTES
    available = available_memory()
    if available < needed:
        raise CommandError(
            f"{format_bytes(needed)} of memory are needed, {format_bytes(available)} are "
            "available; try a smaller --gb"
        )

"""``tensorbundle doctor``: what a directory can do, and what ``auto`` makes of it."""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import tempfile
from typing import Any

from tensorbundle.cli.errors import OK, CommandError
from tensorbundle.cli.files import StillCachedError, drop_cache
from tensorbundle.cli.machine import file_system_of, machine
from tensorbundle.cli.output import escape, format_bytes, print_json
from tensorbundle.core import _core

__all__ = ["run"]

_HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/"
_PROBE_BYTES = 1 << 20  # of the file whose cache is dropped


def run(arguments: argparse.Namespace) -> int:
    """Look, and print; what is written to find out is gone again."""
    findings = examine(arguments.path)
    if arguments.json:
        print_json(findings)
    else:
        _print(findings)
    return OK


def examine(path: str) -> dict[str, Any]:
    """Find out everything, by trying where trying is the only way to know.

    Raises
    ------
    CommandError
        It is no directory, or cannot be written to.
    """
    require_writable(path)
    traits = _core.probe_directory(os.fsencode(path))
    info = _core.build_info()
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return {
        "path": os.path.abspath(path),
        "file_system": file_system_of(os.path.realpath(path)),
        "is_memory": traits["is_memory"],
        "is_network": traits["is_network"],
        "free_bytes": shutil.disk_usage(path).free,
        "total_bytes": shutil.disk_usage(path).total,
        "direct_io": traits["direct"],
        "direct_io_reason": traits["direct_reason"],
        "offset_granule": traits["offset_granule"],
        "memory_granule": traits["memory_granule"],
        "io_uring": info["io_uring"],
        "io_uring_reason": info["io_uring_reason"],
        "huge_pages": _setting(_HUGE_PAGES + "enabled"),
        "shared_huge_pages": _setting(_HUGE_PAGES + "shmem_enabled"),
        "memlock_soft": None if soft == resource.RLIM_INFINITY else soft,
        "memlock_hard": None if hard == resource.RLIM_INFINITY else hard,
        "cold_reason": _why_never_cold(path, traits["is_memory"]),
        "auto": traits["auto"],
        "auto_reason": traits["auto_reason"],
        "smallest_direct_save": traits["smallest_direct_save"],
        "machine": machine(),
    }


def require_writable(path: str) -> None:
    """Refuse what is no directory that can be written to.

    Raises
    ------
    CommandError
        The message says which.
    """
    if not os.path.isdir(path):
        missing = "is not a directory" if os.path.exists(path) else "does not exist"
        raise CommandError(f"{path}: {missing}")
    read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    if read_only or not os.access(path, os.W_OK | os.X_OK):
        raise CommandError(f"{path}: not writable")


def _why_never_cold(path: str, is_memory: bool) -> str:
    """Try to put a small file out of the page cache; give why that cannot be, or nothing."""
    if is_memory:
        return "its files are the page cache"
    with tempfile.TemporaryDirectory(prefix="tensorbundle-doctor-", dir=path) as directory:
        with open(os.path.join(directory, "probe"), "wb") as file:
            file.write(os.urandom(_PROBE_BYTES))
        try:
            drop_cache(directory)
        except StillCachedError as error:
            return str(error).removeprefix(directory)
    return ""


def _setting(path: str) -> str | None:
    """Give the word in brackets, as in ``"always [madvise] never"``, or ``None``."""
    try:
        with open(path) as file:
            chosen = re.search(r"\[(\w+)\]", file.read())
    except OSError:
        return None
    return None if chosen is None else chosen[1]


def _print(found: dict[str, Any]) -> None:
    rows = {**_of_path(found), **_of_machine(found), **_of_auto(found)}
    width = max(map(len, rows))
    for title, text in rows.items():
        print(f"{title:{width}}  {escape(text)}")


def _of_path(found: dict[str, Any]) -> dict[str, str]:
    kind = " (memory)" if found["is_memory"] else " (network or FUSE)" * found["is_network"]
    granules = (
        f"requests in multiples of {found['offset_granule']} bytes, memory at multiples of "
        f"{found['memory_granule']}"
    )
    free, total = format_bytes(found["free_bytes"]), format_bytes(found["total_bytes"])
    return {
        "path": found["path"],
        "file system": found["file_system"] + kind,
        "free space": f"{free} of {total}",
        "direct I/O": _yes_or_no(found["direct_io"], granules, found["direct_io_reason"]),
        "cold reads": _yes_or_no(
            not found["cold_reason"],
            "its files can be put out of the page cache",
            found["cold_reason"],
        ),
    }


def _of_machine(found: dict[str, Any]) -> dict[str, str]:
    made = found["machine"]
    huge = found["huge_pages"] or "not in this kernel"
    shared = found["shared_huge_pages"] or "not in this kernel"
    return {
        "io_uring": _yes_or_no(found["io_uring"], "", found["io_uring_reason"]),
        "huge pages": f"{huge}; for tmpfs: {shared}",
        "locked memory": f"{_limit(found['memlock_soft'])}, at most "
        f"{_limit(found['memlock_hard'])}",
        "processors": f"{made['num_processors']}, {made['processor']}",
        "memory": format_bytes(made["memory"]),
        "checksum": made["crc32c"],
        "kernel": f"Linux {made['kernel']}",
    }


def _of_auto(found: dict[str, Any]) -> dict[str, str]:
    auto, why = found["auto"], found["auto_reason"]
    because = f": {why}" if why else ": the fastest that works here"
    least = format_bytes(found["smallest_direct_save"])
    if auto == "buffered":
        return {"auto, saves": f"buffered{because}", "auto, loads": f"buffered{because}"}
    return {
        "auto, saves": f"{auto} from {least} on{because}; smaller ones buffered",
        "auto, loads": f"{auto}; buffered where most of a file is in the page cache",
    }


def _yes_or_no(fact: bool, more: str, reason: str) -> str:
    if fact:
        return f"yes: {more}" if more else "yes"
    return f"no: {reason}" if reason else "no"


def _limit(size: int | None) -> str:
    return "unlimited" if size is None else format_bytes(size)

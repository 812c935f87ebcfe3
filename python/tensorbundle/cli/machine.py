"""What the machine has: for checks before, and to be told with, what is measured. Linux."""

from __future__ import annotations

import os
import platform
from typing import Any

__all__ = ["available_memory", "file_system_of", "machine", "num_processors"]

_CGROUP = "/sys/fs/cgroup"


def num_processors() -> int:
    """Give the number of processors this process may run on."""
    return len(os.sched_getaffinity(0))


def available_memory() -> int:
    """Give the bytes that can be allocated: what the kernel has, within the cgroup's limit."""
    available = _fields("/proc/meminfo").get("MemAvailable:", 0) * 1024
    try:
        with open(f"{_CGROUP}/memory.max") as file:
            limit = file.read().strip()
        with open(f"{_CGROUP}/memory.current") as file:
            used = int(file.read())
    except OSError:
        return available  # no cgroup of version 2
    if limit == "max":
        return available
    # Cached file pages count as used, but are given up when memory is asked for.
    cached = _fields(f"{_CGROUP}/memory.stat").get("inactive_file", 0)
    return min(available, int(limit) - used + cached)


def file_system_of(path: str) -> str:
    """Give the type of the file system that `path` is on: ``"ext4"``; ``"?"`` if unknown."""
    best = ("", "?")
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, mount, kind, *_ = line.split(" ")
            inside = path == mount or path.startswith(mount.rstrip("/") + "/")
            if inside and len(mount) >= len(best[0]):
                best = (mount, kind)
    return best[1]


def machine() -> dict[str, Any]:
    """Describe processor, memory, kernel, Python, and how busy it has been."""
    from tensorbundle.core import _core

    return {
        "processor": _processor_name(),
        "num_processors": num_processors(),
        "memory": _fields("/proc/meminfo").get("MemTotal:", 0) * 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "version": str(_core.build_info()["version"]),
        "crc32c": str(_core.build_info()["crc32c"]),
        "load": os.getloadavg()[0],
    }


def _processor_name() -> str:
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _fields(path: str) -> dict[str, int]:
    with open(path) as file:
        rows = (line.split() for line in file)
        return {row[0]: int(row[1]) for row in rows if len(row) >= 2}

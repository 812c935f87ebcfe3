"""What the machine has: for checks before, and to be told with, what is measured. Linux."""

from __future__ import annotations

import os
import platform
from typing import Any

from tensorbundle.available_memory import fields_of

__all__ = ["file_system_of", "machine", "num_processors"]


def num_processors() -> int:
    """Give the number of processors this process may run on."""
    return len(os.sched_getaffinity(0))


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
        "memory": fields_of("/proc/meminfo").get("MemTotal:", 0) * 1024,
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

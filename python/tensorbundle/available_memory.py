"""How much memory a process may still take. Linux."""

from __future__ import annotations

__all__ = ["available_memory", "fields_of"]

_CGROUP = "/sys/fs/cgroup"


def available_memory() -> int:
    """Give the bytes that can be allocated: what the kernel has, within the cgroup's limit."""
    available = fields_of("/proc/meminfo").get("MemAvailable:", 0) * 1024
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
    cached = fields_of(f"{_CGROUP}/memory.stat").get("inactive_file", 0)
    return max(0, min(available, int(limit) - used + cached))


def fields_of(path: str) -> dict[str, int]:
    """Read a file of names and numbers, as the kernel has several."""
    with open(path) as file:
        rows = (line.split() for line in file)
        return {row[0]: int(row[1]) for row in rows if len(row) >= 2}

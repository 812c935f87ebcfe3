"""Saves and rotates again and again, and watches what grows: python soak.py DIR CYCLES."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading

import numpy as np
from stories import model, require

import tensorbundle as tb
from tensorbundle.directories import names_in


def resident() -> int:
    """Bytes of memory that this process has, in pages of its own or shared."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def state(directory: str) -> dict[str, int]:
    """What must not grow."""
    gc.collect()
    return {
        "descriptors": len(names_in("/proc/self/fd")),
        "threads": len(names_in("/proc/self/task")),
        "python_threads": threading.active_count(),
        "maps": sum(1 for _ in open("/proc/self/maps")) // 100,  # roughly
        "names": len(names_in(directory)),
    }


def run(directory: str, cycles: int) -> dict[str, object]:
    """Of each ten cycles one maps, one saves in the background, one overwrites."""
    version, sizes = [0], []
    warm_up = max(100, cycles // 10)
    before: dict[str, int] = {}
    manager = tb.CheckpointManager(
        lambda: model(version[0], 1000), directory, 3, monitor="loss",
        save_options={"durability": "none", "num_shards": 2},
    )  # fmt: skip
    with manager, tb.AsyncSaver() as saver:
        for version[0] in range(cycles + warm_up):
            if version[0] == warm_up:
                before = state(directory)
            newest = manager.save(metrics={"loss": float(version[0] % 7)})
            require(newest is not None, "no interval was asked for")
            if version[0] % 10 == 3:
                mapped = tb.load(newest, mmap=True)
                require(mapped["version"] == version[0], "another version")
            if version[0] % 10 == 6:
                saver.save(f"{directory}/background", model(version[0], 1000)).result()
            if version[0] % 10 == 9:
                tb.save(f"{directory}/overwritten", model(version[0]), backend="auto")
            if version[0] >= warm_up:
                sizes.append(resident())
    mapped = None
    after = state(directory)
    slope = float(np.polyfit(np.arange(len(sizes)), sizes, 1)[0]) if len(sizes) > 1 else 0.0
    grown = {key: after[key] - before[key] for key in before}
    return {"cycles": cycles, "bytes_per_cycle": round(slope), "grown": grown,
            "resident": sizes[-1]}  # fmt: skip


def main() -> None:
    """Read the command line; fail where something grows."""
    directory, cycles = sys.argv[1:]
    found = run(directory, int(cycles))
    print(json.dumps(found))
    # Less would not tell from what the allocator keeps.
    if int(cycles) >= 5000:
        require(found["bytes_per_cycle"] < 1000, "memory grows")
    require(all(grown <= 0 for grown in found["grown"].values()), "something grows")


if __name__ == "__main__":
    main()

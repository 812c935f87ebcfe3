"""Writers and readers that meet: python races.py writers|readers|recycling DIR NUMBER.

``writers``: two processes begin a save of one prefix at the same moment, again and again.
``readers``: 64 readers, 8 threads in each of 8 processes, load the newest checkpoint while
a manager saves and rotates; each keeps the last one mapped for a while. ``recycling``: the
same, and the manager writes into the files of what it has removed.
"""

from __future__ import annotations

import collections
import json
import multiprocessing
import os
import sys
import threading
from functools import partial
from typing import Any

import numpy as np
from stories import model, require, version_of

import tensorbundle as tb
from tensorbundle.directories import names_in

PROCESSES, THREADS = 8, 8
CONTEXT = multiprocessing.get_context("fork")


def writers(directory: str, rounds: int) -> dict[str, int]:
    """In each round one is refused at once, or both save one after the other."""
    prefix = f"{directory}/model"
    barrier, answers = CONTEXT.Barrier(3), CONTEXT.Array("i", 3)  # the last: who has come
    children = [
        CONTEXT.Process(target=write, args=(prefix, own, rounds, barrier, answers))
        for own in range(2)
    ]
    for child in children:
        child.start()
    counts = collections.Counter[str]()
    for number in range(rounds):
        answers[2] = 0
        barrier.wait()  # they begin
        barrier.wait()  # both have ended
        saved = sorted(answers[:2])
        counts[{(0, 1): "refused", (1, 1): "both"}[tuple(saved)]] += 1
        require(version_of(prefix) in (2 * number, 2 * number + 1), "of an earlier round")
        require(len(names_in(directory)) == 3, f"left over: {names_in(directory)}")
    for child in children:
        child.join()
        require(child.exitcode == 0, "a writer failed")
    return dict(counts)


def write(prefix: str, own: int, rounds: int, barrier: Any, answers: Any) -> None:
    """One writer: 1 for a save that returned, 0 for one that was refused."""
    for number in range(rounds):
        tensors = model(2 * number + own, size=500_000)
        barrier.wait()
        with answers.get_lock():
            answers[2] += 1
        while answers[2] < 2:  # not asleep: so that they meet
            pass
        try:
            tb.save(prefix, tensors, num_shards=2, durability="none")
            answers[own] = 1
        except tb.LockedError:
            answers[own] = 0
        barrier.wait()


def readers(directory: str, rotations: int, recycle: bool = False) -> dict[str, int]:
    """No reader meets anything but whole checkpoints, and `CheckpointGoneError`."""
    over, ready = CONTEXT.Event(), CONTEXT.Barrier(PROCESSES + 1)
    answers = CONTEXT.SimpleQueue()
    version = [0]
    recycled = 0
    with tb.CheckpointManager(
        lambda: model(version[0], 2000), directory, 2, recycle=recycle
    ) as manager:
        manager.save()
        children = [
            CONTEXT.Process(target=read, args=(directory, over, ready, answers))
            for _ in range(PROCESSES)
        ]
        for child in children:
            child.start()
        ready.wait()
        for version[0] in range(1, rotations + 1):
            manager.save()
            recycled += manager.save_report.recycled_bytes > 0
        over.set()
    counts = collections.Counter[str]({"recycled": recycled} if recycle else {})
    for _ in children:
        counts.update(answers.get())
    for child in children:
        child.join()
        require(child.exitcode == 0, "a reader failed")
    return dict(counts)


def read(directory: str, over: Any, ready: Any, answers: Any) -> None:
    """Eight readers: how often each thing was met."""
    counts = collections.Counter[str]()
    ready.wait()

    def loop() -> None:
        mapped = None
        while not over.is_set():
            counts[look(directory)] += 1
            if mapped is not None:
                counts["a map held" if is_whole(mapped) else "a map has changed"] += 1
            try:
                mapped = map_newest(directory)
            except Exception as error:
                counts[repr(error)] += 1
                raise

    threads = [threading.Thread(target=loop) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.put(dict(counts))


def map_newest(directory: str) -> dict[str, Any] | None:
    """Map the newest checkpoint, whose values nobody checks yet."""
    newest = tb.latest_checkpoint(directory)
    try:
        return None if newest is None else tb.load(newest, mmap=True, verify=False)
    except (tb.CheckpointGoneError, FileNotFoundError):
        return None


def is_whole(found: dict[str, Any]) -> bool:
    """Tell whether all values are of one version."""
    expected = model(int(found["version"]), found["large"].size)
    return all(np.array_equal(found[name], value) for name, value in expected.items())


def look(directory: str) -> str:
    """Load the newest checkpoint once, by reading or by mapping."""
    newest = tb.latest_checkpoint(directory)
    if newest is None:
        return "rotated before it was opened"
    try:
        version_of(newest)
    except tb.CheckpointGoneError:
        return "gone"
    except FileNotFoundError as error:
        if error.filename == newest + ".index":
            return "rotated before it was opened"
        return repr(error)
    except (tb.BundleError, OSError, AssertionError) as error:
        return repr(error)
    return "loads"


def main() -> None:
    """Read the command line."""
    which, directory, number = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    programs = {
        "writers": writers,
        "readers": readers,
        "recycling": partial(readers, recycle=True),
    }
    print(json.dumps(programs[which](directory, int(number))))


if __name__ == "__main__":
    main()

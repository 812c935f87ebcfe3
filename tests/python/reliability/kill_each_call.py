"""Kills a save before each of its system calls: python kill_each_call.py DIR STORY OPTIONS."""

from __future__ import annotations

import signal
from collections.abc import Callable

from stories import Story, main, require
from system_calls import Call, Signal, attempt


def run(story: Story) -> dict[str, int]:
    """After each kill the old or the new checkpoint is whole, and the next save sweeps."""
    found = {1: 0, 2: 0}
    # How often a ring is entered differs from save to save, so these calls have numbers of
    # their own.
    kill_all(story, lambda call: not is_of_ring(call) and is_worth(story, call), found)
    kill_all(story, is_of_ring, found)
    return {"kills": found[1] + found[2], "old": found[1], "new": found[2]}


def is_of_ring(call: Call) -> bool:
    """Tell whether it is io_uring's."""
    return call.name == "io_uring_enter"


def is_worth(story: Story, call: Call) -> bool:
    """Tell whether a kill before it may leave what a kill before a later one does not."""
    return not story.changes or call.changes()


def kill_all(story: Story, counts: Callable[[Call], bool], found: dict[int, int]) -> None:
    """Kill before the k-th of these calls, for each k until there are fewer."""
    for k in range(1, 1000):
        story.begin()
        kill = Signal(signal.SIGKILL, k, counts=counts)
        status, told = attempt(lambda: story.act(2), story.directory, kill)
        if status == 0:
            story.check({2})
            require(not story.litter(), f"left over by a save that returned: {story.litter()}")
            return
        require(status == -9, f"{kill.last}: status {status}: {told}")
        try:
            found[story.check({1, 2})] += 1
            story.check_next()
        except Exception as error:
            raise AssertionError(f"killed before call {k}, {kill.last}") from error
    raise AssertionError("a save makes fewer calls")


if __name__ == "__main__":
    main(run)

"""Kills a save before each of its system calls: python kill_each_call.py DIR STORY OPTIONS."""

from __future__ import annotations

import signal

from stories import Story, main, require
from system_calls import Signal, attempt


def run(story: Story) -> dict[str, int]:
    """After each kill the old or the new checkpoint is whole, and the next save sweeps."""
    found = {1: 0, 2: 0}
    for k in range(1, 1000):
        story.begin()
        kill = Signal(signal.SIGKILL, k, changes=story.changes)
        status, told = attempt(lambda: story.act(2), story.directory, kill)
        if status == 0:
            story.check({2})
            require(not story.litter(), f"left over by a save that returned: {story.litter()}")
            return {"kills": k - 1, "old": found[1], "new": found[2]}
        require(status == -9, f"{kill.last}: status {status}: {told}")
        try:
            found[story.check({1, 2})] += 1
            story.check_next()
        except Exception as error:
            raise AssertionError(f"killed before call {k}, {kill.last}") from error
    raise AssertionError("a save makes fewer calls")


if __name__ == "__main__":
    main(run)

"""Ctrl-C at each system call of a save: python interrupt_each_call.py DIR STORY OPTIONS."""

from __future__ import annotations

import contextlib
import os
import signal

from stories import Story, main, require
from system_calls import Signal, attempt


def run(story: Story) -> dict[str, int]:
    """After each the old or the new checkpoint is whole, and there is no litter at all."""
    found = {1: 0, 2: 0}
    for k in range(1, 1000):
        story.begin()
        interrupt = Signal(signal.SIGINT, k, until="/over")
        status, told = attempt(lambda: act(story), story.directory, interrupt)
        try:
            require(status == 0, told)
            if not interrupt.last:
                return {"interrupts": k - 1, "old": found[1], "new": found[2]}
            version, story.unrecorded = told[0], set(told[1])
            found[version] += 1
            story.check({9})
            require(not story.litter(), f"left over: {story.litter()}")
        except Exception as error:
            raise AssertionError(f"interrupted at call {k}, {interrupt.last}") from error
    raise AssertionError("a save makes fewer calls")


def act(story: Story) -> tuple[int, list[str]]:
    """In the child: save, be interrupted, look, and save again in the same process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        story.act(2)
        with contextlib.suppress(OSError):
            os.rmdir(f"{story.directory}/over")  # where interrupting ends
    except KeyboardInterrupt:
        story.check({1, 2})
        require(not story.unfinished(), f"left over: {story.unfinished()}")
    found = story.check({1, 2})
    story.check_next()
    return found, sorted(story.unrecorded)


if __name__ == "__main__":
    main(run)

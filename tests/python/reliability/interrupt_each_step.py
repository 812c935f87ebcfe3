"""Ctrl-C at each step of a save in Python: python interrupt_each_step.py DIR STORY OPTIONS."""

from __future__ import annotations

import collections
import gc
from functools import partial

from steps import Steps
from stories import Story, main, require

from tensorbundle.directories import names_in


def run(story: Story) -> dict[str, int]:
    """In one process: after each interrupt a checkpoint is whole, and nothing is held."""
    every = story.options.pop("every", 1)
    counts = collections.Counter[str]()
    descriptors = 0
    while True:
        story.begin()
        steps = Steps(1 + every * counts["interrupts"])
        if not steps.interrupt(partial(story.act, 2)):
            counts["steps"] = steps.count
            return dict(counts)
        counts["interrupts"] += 1
        try:
            counts["new" if story.check_disturbed() == 2 else "old"] += 1
            gc.collect()
            now = len(names_in("/proc/self/fd"))
            require(now <= (descriptors or now), "a descriptor is left")
            descriptors = now
        except Exception as error:
            raise AssertionError(f"interrupt at step {steps.last}, {steps.where}") from error


if __name__ == "__main__":
    main(run)

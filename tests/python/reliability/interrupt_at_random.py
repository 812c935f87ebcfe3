"""Ctrl-C at random times of a save: python interrupt_at_random.py DIR STORY OPTIONS."""

from __future__ import annotations

import collections
import random
import signal

from stories import Story, main


def run(story: Story) -> dict[str, int]:
    """In one process: after each interrupt a checkpoint is whole, and nothing is held."""
    rounds = story.options.pop("rounds")
    # As SIGINT's, but sent by a timer.
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    counts, chance = collections.Counter[str](), random.Random(1)
    # Grows while saves are interrupted and shrinks when one ends: however busy the machine
    # is, about a third of them come to their end.
    longest = 0.01
    for number in range(rounds):
        story.begin()
        interrupted = False
        try:
            # Once disarmed it may still come, until this block has ended.
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, longest))
                story.act(2)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted = True
        longest *= 1.05 if interrupted else 0.9
        counts["interrupted"] += interrupted
        try:
            counts["new" if story.check_disturbed() == 2 else "old"] += 1
        except Exception as error:
            raise AssertionError(f"interrupt {number}") from error
    return dict(counts)


if __name__ == "__main__":
    main(run)

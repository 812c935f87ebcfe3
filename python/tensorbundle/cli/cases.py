"""Cases that are run in turn: whatever drifts on a machine, drifts for all of them."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Case", "interleave", "wait_until_quiet"]

_LOOK_SECONDS = 0.25  # in which the processors are watched
_QUIET = 0.9  # share of their time in which they idle


@dataclass
class Case:
    """Something measured: `run` is timed, or itself gives the seconds where `own_clock`."""

    name: str
    run: Callable[[], Any]
    num_bytes: int = 0  # moved by `run`: gives GB/s
    before: Callable[[], Any] | None = None
    after: Callable[[], Any] | None = None
    own_clock: bool = False
    keep: Callable[[Any], Any] | None = None
    """What to note of a result, after the clock has stopped, in `notes`."""
    seconds: list[float] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)
    num_busy: int = 0
    """Runs during which other programs did not leave the processors."""
    failure: str = ""

    @property
    def median(self) -> float:
        """The median of the measured seconds; NaN where there are none."""
        return statistics.median(self.seconds) if self.seconds else float("nan")


def interleave(
    cases: Sequence[Case],
    runs: int,
    *,
    begin: Callable[[str], None] | None = None,
    warm_up: bool = True,
    most_seconds: float = float("inf"),
    wait: float = 30.0,
) -> int:
    """Run all cases in turn; give the number of rounds that were measured.

    A case that fails is left out from then on; its row will say why.

    Parameters
    ----------
    cases
        What is run, in this order in every round.
    runs
        Rounds that are measured.
    begin
        Told the title of each run; ``None`` prints it on standard error.
    warm_up
        Whether one round comes first that is not measured.
    most_seconds
        No round is begun that would, going by the longest before it, end later. The
        first measured one always is.
    wait
        Seconds to wait at most, before each run, for other programs.
    """
    started = time.monotonic()
    longest = 0.0
    measured = 0
    for number in range(0 if warm_up else 1, runs + 1):
        round_started = time.monotonic()
        if number > 1 and round_started - started + longest > most_seconds:
            break
        for case in cases:
            if not case.failure:
                title = f"{number}/{runs} {case.name}"
                (begin or _print_title)(title)
                _run_once(case, measured=number > 0, wait=wait)
        longest = max(longest, time.monotonic() - round_started)
        measured += number > 0
    return measured


def _print_title(title: str) -> None:
    print(title, file=sys.stderr, flush=True)


def _run_once(case: Case, *, measured: bool, wait: float) -> None:
    try:
        if case.before:
            case.before()
        gc.collect()
        quiet = wait_until_quiet(wait)
        start = time.perf_counter()
        result = case.run()
        seconds = time.perf_counter() - start
        if measured:
            case.seconds.append(result if case.own_clock else seconds)
            case.num_busy += not quiet
            if case.keep is not None:
                case.notes.append(case.keep(result))
        del result
        if case.after:
            case.after()
    except Exception as error:  # noqa: BLE001 - a peer may raise anything
        told = (str(error).splitlines() or ["no message"])[0]
        case.failure = f"{type(error).__name__}: {told}"


def wait_until_quiet(at_most: float) -> bool:
    """Wait while other programs have more than a tenth of the processors.

    Gives whether they left them in time; ``True`` at once where `at_most` is 0.
    """
    if at_most <= 0:
        return True
    end = time.monotonic() + at_most
    while time.monotonic() < end:
        before = _processor_ticks()
        time.sleep(_LOOK_SECONDS)
        idle, total = (new - old for new, old in zip(_processor_ticks(), before, strict=True))
        if idle >= _QUIET * total:
            return True
    return False


def _processor_ticks() -> tuple[int, int]:
    """Give the ticks that the processors idled or waited for a disk, and those of all."""
    with open("/proc/stat") as file:
        ticks = [int(text) for text in file.readline().split()[1:]]
    return ticks[3] + ticks[4], sum(ticks)

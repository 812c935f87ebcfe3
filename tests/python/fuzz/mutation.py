"""A fuzzer without instruments: it keeps the inputs whose outcome nobody has seen yet.

A target takes bytes and gives what came of them, in so few words that inputs which took the
same way give the same: the kind of error, the number of fields. What is not an outcome is a
finding: a target raises it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

Target = Callable[[bytes], Hashable]

_BATCH = 1000  # executions between two looks at the clock
_MOST_KEPT = 5000


class FindingError(Exception):
    """An input that broke a promise; the file that it is in, and why as the cause."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the input is {path}")
        self.path = path


@dataclass
class Report:
    executions: int
    corpus: int
    """Inputs that were kept, those given included."""
    seconds: float


class Mutator:
    """Changes an input in a few places, at random."""

    def __init__(self, random: Random, words: Sequence[bytes], most_bytes: int) -> None:
        self._random = random
        self._words = [*words, b"\0", b"\xff", b"\x80", b"\x01", b"\x7f"]
        self._most_bytes = most_bytes

    def mutated(self, data: bytes, other: bytes) -> bytes:
        """Give `data` with one to four changes; some are taken from `other`."""
        changed = bytearray(data)
        for _ in range(1 + (self._random.getrandbits(8) * 4 >> 8)):
            self._change(changed, other)
        return bytes(changed[: self._most_bytes])

    def _change(self, data: bytearray, other: bytes) -> None:
        how, at, size = self._random.getrandbits(3), self._below(len(data) + 1), self._size()
        if how == 0:
            del data[at : at + size]
        elif how == 1 and at < len(data):
            data[at] ^= 1 << self._random.getrandbits(3)
        elif how == 2 and at < len(data):
            data[at] = self._random.getrandbits(8)
        elif how == 3:
            begin = self._below(len(other) + 1)
            data[at:at] = other[begin : begin + size]
        elif how == 4:
            begin = self._below(len(other) + 1)
            data[at : at + size] = other[begin : begin + size]
        elif how == 5:
            data[at:at] = data[at : at + size] * (1 + self._random.getrandbits(2))
        else:
            word = self._words[self._below(len(self._words))]
            data[at : at + (size if how == 6 else 0)] = word

    def _below(self, limit: int) -> int:
        return self._random.getrandbits(24) * limit >> 24

    def _size(self) -> int:
        return 1 + (self._random.getrandbits(5) >> self._random.getrandbits(2))


def fuzz(
    target: Target,
    seeds: Iterable[bytes],
    *,
    found: Path,
    words: Sequence[bytes] = (),
    most_bytes: int = 512,
    seconds: float = float("inf"),
    executions: int | None = None,
    random: Random | None = None,
) -> Report:
    """Run `target` on the seeds, and on what can be made of them, until time is up.

    Raises
    ------
    FindingError
        At the first input for which `target` raised; it is kept in the directory `found`.
    """
    random = random or Random()
    mutator = Mutator(random, words, most_bytes)
    start = time.monotonic()
    seen: set[Hashable] = set()
    corpus: list[bytes] = []
    done = 0

    def run(data: bytes) -> None:
        nonlocal done
        done += 1
        try:
            outcome = target(data)
        except Exception as error:
            raise FindingError(_kept(found, data)) from error
        if outcome not in seen and len(corpus) < _MOST_KEPT:
            seen.add(outcome)
            corpus.append(data)

    for seed in seeds:
        run(seed)
    most = executions if executions is not None else 1 << 62
    while done < most and time.monotonic() - start < seconds:
        for _ in range(min(_BATCH, most - done)):
            # The newest are taken oftener: they are where something is still to be seen.
            newest = len(corpus) - 1 - (mutator._below(len(corpus)) >> random.getrandbits(2))
            run(mutator.mutated(corpus[newest], corpus[mutator._below(len(corpus))]))
    return Report(done, len(corpus), time.monotonic() - start)


def _kept(directory: Path, data: bytes) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"FOUND-{hashlib.sha1(data).hexdigest()}"
    path.write_bytes(data)
    return path

"""Every state a power cut may leave of a manager's saves: python power_cut_states.py DIR.

What a real save and rotation ask of the kernel is recorded, call by call and byte by byte
(`system_calls`); the states that file systems may make of it are put into a directory, and
judged by the package itself. The model is that of ``tests/cpp/io/crash_states.h``, where it
is explained, with fewer fates of a write: the core's test goes through all of them.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from stories import STORIES, Overwrite, Story, require
from system_calls import Call, Record, attempt

MOST_COMBINED = 256  # combinations tried at one point; more are sampled
FEWER_COMBINED = 64  # where there are twice the points: the core's test goes through more
LOST, THERE, ZEROS, HALF = range(4)
NAME_CALLS = ("create", "rename", "unlink")
BYTE_CALLS = ("write", "pwrite", "fallocate", "ftruncate")
Image = dict[str, bytes]


class Log:
    """What was asked for, as changes of numbered files and of names."""

    def __init__(self, directory: str, before: Image) -> None:
        self.directory = directory
        self.before = before
        self.most_combined = MOST_COMBINED
        self.changes: list[tuple[Call, int]] = []  # with the number of the file, if any
        self.returned: dict[int, int] = {}  # by position: the version whose save returned
        self._names = {name: number for number, name in enumerate(before)}
        self.numbers_before = dict(self._names)
        self._last = len(before)
        self._synced = set(self.numbers_before.values())
        self.reused: set[int] = set()  # files that were written to after a sync of theirs

    def add(self, call: Call) -> None:
        """Add one call that did not fail."""
        name = os.path.basename(call.path)
        if name.startswith("returned-"):
            self.returned[len(self.changes)] = int(name.rpartition("-")[2])
        elif call.name == "open":
            if call.flags & os.O_CREAT and name not in self._names:
                self._last += 1
                self._names[name] = self._last
                call.name = "create"
                self.changes.append((call, self._last))
        elif call.name == "rename":
            number = self._names.pop(name)
            self._names[os.path.basename(call.destination)] = number
            self.changes.append((call, number))
        elif call.name == "unlink":
            self.changes.append((call, self._names.pop(name)))
        elif call.name in (*BYTE_CALLS, "fsync", "fdatasync"):
            is_directory = call.path == self.directory
            number = -1 if is_directory else self._names[name]
            self.changes.append((call, number))
            if call.name in ("fsync", "fdatasync"):
                self._synced.add(number)
            elif number in self._synced:
                self.reused.add(number)

    def points(self) -> list[int]:
        """Before each sync, where a save returned, and at the end."""
        syncs = [
            i for i, (c, _) in enumerate(self.changes) if c.name in ("fsync", "fdatasync")
        ]
        return sorted({*syncs, *self.returned, len(self.changes)})

    def states(self, end: int, in_order: bool, chance: random.Random) -> Iterator[Image]:
        """Give each different state after a power cut at that point."""
        synced: set[int] = set()
        names: list[int] = []
        fates: list[list[dict[int, int]]] = []
        for i in range(end - 1, -1, -1):
            call, number = self.changes[i]
            if call.name in ("fsync", "fdatasync"):
                synced.add(number)
            elif call.name in NAME_CALLS:
                if -1 not in synced:
                    names.insert(0, i)
            elif number not in synced:
                kinds = (LOST, THERE, ZEROS, HALF) if "write" in call.name else (LOST, THERE)
                fates.append([{i: kind} for kind in kinds])
        if in_order:
            fates.append([dict.fromkeys(names[n:], LOST) for n in range(len(names) + 1)])
        else:
            fates += [[{i: LOST}, {}] for i in names]
        seen = set()
        for choice in self._combinations(fates, chance):
            image = self._build(end, {k: v for fate in choice for k, v in fate.items()})
            key = tuple(sorted(image.items()))
            if key not in seen:
                seen.add(key)
                yield image

    def _combinations(
        self, fates: list[list[dict[int, int]]], chance: random.Random
    ) -> Iterator:
        total = 1
        for options in fates:
            total *= len(options)
        if total <= self.most_combined:
            yield from itertools.product(*fates)
            return
        for _ in range(self.most_combined):
            yield [chance.choice(options) for options in fates]

    def _build(self, end: int, fates: dict[int, int]) -> Image:
        names = dict(self.numbers_before)
        for i, (call, number) in enumerate(self.changes[:end]):
            if call.name not in NAME_CALLS or fates.get(i) == LOST:
                continue
            name = os.path.basename(call.path)
            if call.name != "create" and names.get(name) == number:
                del names[name]
            if call.name != "unlink":
                names[os.path.basename(call.destination) or name] = number
        contents = {n: bytearray(self.before[name]) for name, n in self.numbers_before.items()}
        for i, (call, number) in enumerate(self.changes[:end]):
            if call.name in BYTE_CALLS:
                change(contents.setdefault(number, bytearray()), call, fates.get(i, THERE))
        return {name: bytes(contents.get(number, b"")) for name, number in names.items()}


def change(content: bytearray, call: Call, fate: int) -> None:
    """Let one change of a file's bytes take place, or what is left of it."""
    if fate == LOST:
        return
    if call.name == "ftruncate":
        del content[call.arguments[1] :]
    size = call.arguments[1] if call.name == "ftruncate" else 0
    if call.name == "fallocate":
        size = call.arguments[2] + call.arguments[3]
    offset = call.arguments[3] if call.name == "pwrite" else len(content)
    data = call.bytes if fate == THERE else call.bytes[: len(call.bytes) // 2 * (fate == HALF)]
    size = max(size, offset + len(call.bytes) if call.bytes else 0)
    content.extend(bytes(max(0, size - len(content))))
    if data:
        content[offset : offset + len(data)] = data


def image_of(directory: str) -> Image:
    """Read every file of a directory."""
    return {path.name: path.read_bytes() for path in Path(directory).iterdir()}


def put(image: Image, directory: str) -> None:
    """Make a directory hold exactly these files."""
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    for name, content in image.items():
        Path(directory, name).write_bytes(content)


def act(story: Story) -> None:
    """In the child: two saves, with a mark after each."""
    for version in (2, 3):
        story.act(version)
        os.close(os.open(f"{story.directory}/returned-{version}", os.O_CREAT | os.O_RDONLY))


def record(story: Story) -> Log:
    """Let two saves run, and keep what they asked for."""
    story.begin()
    log = Log(os.path.realpath(story.directory), image_of(story.directory))
    recorder = Record()
    status, told = attempt(lambda: act(story), story.directory, recorder)
    require(status == 0, told)
    for call in recorder.calls:
        log.add(call)
    return log


def check(log: Log, story: Story) -> collections.Counter[str]:
    """Judge every state.

    What a manager's next save sweeps it knows by older names, a lock or the state file: so
    it needs the order of names that ext4 and XFS keep. All else needs no order.
    """
    counts = collections.Counter[str]()
    chance = random.Random(1)
    for end, in_order in itertools.product(log.points(), (True, False)):
        last = max((v for at, v in log.returned.items() if at <= end), default=1)
        counts["points"] += 1
        for image in log.states(end, in_order, chance):
            counts["states"] += 1
            put(image, story.directory)
            story.unrecorded = set()
            try:
                story.check({last, last + 1})
                story.check_next(sweeps=in_order or isinstance(story, Overwrite))
            except Exception as error:
                told = {name: len(content) for name, content in image.items()}
                raise AssertionError(f"cut after change {end}: {told}") from error
    return counts


def main() -> None:
    """Read the command line: DIRECTORY STORY [recycles]."""
    directory, name, *recycles = sys.argv[1:]
    options = {"backend": "buffered", "size": 4000, "recycles": recycles == ["recycles"]}
    story = STORIES[name](directory, options)
    log = record(story)
    if story.recycles:
        log.most_combined = FEWER_COMBINED
    start = time.perf_counter()
    counts = check(log, story)
    rate = counts["states"] / (time.perf_counter() - start)
    found = {**counts, "changes": len(log.changes), "reused": len(log.reused)}
    print(json.dumps({**found, "per_second": round(rate)}))


if __name__ == "__main__":
    main()

"""What the programs here have in common: a save that is disturbed, and what must hold then."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tensorbundle as tb
from tensorbundle.async_saving import default_saver
from tensorbundle.directories import names_in
from tensorbundle.recycling import spare_files
from tensorbundle.saving import prepare

FOREIGN = {
    "notes.txt": b"not ours",
    "ckpt.index": b"a prefix without a number",
    "ckpt-x.data-00000-of-00001": b"no number either",
    ".ckpt-x.index.tmp.0123456789abcdef": b"nor here",
    "ckpt-1-best.index": b"another name",
}


def model(version: int, size: int = 40_000) -> dict[str, Any]:
    """Tensors that tell their version; in several writes with a small block size."""
    return {
        "large": np.full(size, float(version), np.float32),
        "small": np.arange(version, version + 7),
        "text": np.array([b"v%d" % version], dtype=object),
        "version": version,
    }


def version_of(prefix: str) -> int:
    """Load a checkpoint, verified; give the version that all of its tensors are of."""
    found = tb.load(prefix)
    version = int(found["version"])
    expected = model(version, found["large"].size)
    assert found.keys() == expected.keys(), found.keys()
    for name, value in expected.items():
        assert np.array_equal(found[name], value), f"{prefix}: {name} is of another save"
    return version


def require(condition: object, message: str) -> None:
    """Fail with a message, under ``python -O`` too."""
    if not condition:
        raise AssertionError(message)


class Story:
    """A save into a directory that holds an older checkpoint and foreign files."""

    def __init__(self, directory: str, options: dict[str, Any]) -> None:
        self.directory = directory
        options = dict(options)
        # Whether only calls that change something are worth a kill.
        self.changes = bool(options.pop("changes", False))
        self.unrecorded: set[str] = set()  # checkpoints that came to stand, but nobody noted
        self.size = options.pop("size", 40_000)  # elements of the largest tensor
        # Whether data files of replaced checkpoints are written anew: by a second save, of the
        # same version.
        self.recycles = bool(options.pop("recycles", False))
        self.recycled = 0  # bytes, in this process
        self.options = {"num_shards": 2, "block_size": 65_536, **options}

    def begin(self) -> None:
        """Make the directory as it is before."""
        self.unrecorded = set()
        template = Path(self.directory + ".before")
        if not template.exists():
            os.makedirs(self.directory)
            for name, content in FOREIGN.items():
                Path(self.directory, name).write_bytes(content)
            self.act(1)
            shutil.copytree(self.directory, template)
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.copytree(template, self.directory)

    def act(self, version: int) -> None:
        """Save a version."""
        raise NotImplementedError

    def version(self) -> int:
        """Load the newest checkpoint, and give its version."""
        raise NotImplementedError

    def expected(self) -> set[str]:
        """Patterns of the names that may be in the directory after a save that returned."""
        raise NotImplementedError

    def check(self, versions: set[int]) -> int:
        """One of these versions loads whole, and nothing foreign has changed."""
        found = self.version()
        require(found in versions, f"version {found} instead of one of {versions}")
        for name, content in FOREIGN.items():
            path = Path(self.directory, name)
            require(path.read_bytes() == content, f"{name} was changed")
        return found

    def names(self) -> list[str]:
        """List the directory."""
        return names_in(self.directory)

    def litter(self) -> list[str]:
        """List what a save that returned does not leave."""
        patterns = "|".join(self.expected())
        return [
            name
            for name in sorted(self.names())
            if name not in FOREIGN and not re.fullmatch(patterns, name)
        ]

    def unfinished(self) -> list[str]:
        """List the temporary files and locks, of which a save that fails leaves none."""
        return [n for n in self.names() if n.startswith(".") and n not in FOREIGN]

    def check_disturbed(self) -> int:
        """One checkpoint is whole, nothing is held, and the next save works."""
        found = self.check({1, 2})
        require(not self.unfinished(), f"left over: {self.unfinished()}")
        self.check_next()
        return found

    def check_next(self, version: int = 9, sweeps: bool = True) -> None:
        """The next save works, and sweeps."""
        self.act(version)
        self.check({version})
        require(not sweeps or not self.litter(), f"left over: {self.litter()}")


class Overwrite(Story):
    """`tensorbundle.save` to a prefix that exists."""

    def act(self, version: int) -> None:
        prefix, tensors = f"{self.directory}/model", model(version, self.size)
        if not self.recycles:
            tb.save(prefix, tensors, **self.options)
            return
        # Not an AsyncSaver, whose thread would make each run another one.
        spares = spare_files(self, True)
        try:
            for _ in range(2):
                report = prepare(prefix, tensors, spares=spares, **self.options).run()
                self.recycled += report.recycled_bytes
        finally:
            spares.clear()

    def version(self) -> int:
        return version_of(f"{self.directory}/model")

    def expected(self) -> set[str]:
        count = tb.open(f"{self.directory}/model").num_shards
        return {r"model\.index", rf"model\.data-\d{{5}}-of-{count:05d}"}


class Rotate(Story):
    """A manager that keeps one checkpoint, with metrics."""

    def act(self, version: int) -> None:
        with self.manager(version) as manager:
            for _ in range(1 + self.recycles):
                manager.save(metrics={"loss": 1.0 / version})
                self.recycled += manager.save_report.recycled_bytes

    def manager(self, version: int) -> tb.CheckpointManager:
        return tb.CheckpointManager(
            lambda: model(version, self.size), self.directory, 1, save_options=self.options,
            recycle=self.recycles,
        )  # fmt: skip

    def version(self) -> int:
        newest = tb.latest_checkpoint(self.directory)
        require(newest is not None, "the state file names no checkpoint that exists")
        return version_of(newest)

    def check(self, versions: set[int]) -> int:
        found = super().check(versions)
        state = tb.get_checkpoint_state(self.directory)
        recorded = {os.path.basename(path) for path in state.all_model_checkpoint_paths}
        newest = self._step(state.model_checkpoint_path)
        for name in self.names():
            stem, _, suffix = name.rpartition(".")
            if suffix == "index" and stem not in recorded and self._step(stem) > newest:
                # It died between the commit and the state file: whole, but no manager's to
                # remove.
                version_of(f"{self.directory}/{stem}")
                self.unrecorded.add(stem)
        return found

    def expected(self) -> set[str]:
        newest = os.path.basename(tb.latest_checkpoint(self.directory))
        suffixes = (r"\.index", r"\.data-\d{5}-of-\d{5}", r"\.metrics\.json")
        names = {newest, *self.unrecorded}
        return {"checkpoint", *(re.escape(n) + suffix for n in names for suffix in suffixes)}

    @staticmethod
    def _step(prefix: str) -> int:
        digits = prefix.rpartition("-")[2]
        return int(digits) if digits.isdigit() else -1


class InBackground(Overwrite):
    """The same by an `AsyncSaver`."""

    saver: tb.AsyncSaver | None = None

    def act(self, version: int) -> None:
        prefix, tensors = f"{self.directory}/model", model(version, self.size)
        with tb.AsyncSaver(recycle=self.recycles) as self.saver:
            for _ in range(1 + self.recycles):
                handle = self.saver.save(prefix, tensors, **self.options)
                self.recycled += handle.result().recycled_bytes

    def check(self, versions: set[int]) -> int:
        if self.saver is not None:
            self.saver.close()  # which may have been interrupted
        return super().check(versions)


class Overlapping(InBackground):
    """Tensors copied beside the caller's work; those for which there is no room, borrowed."""

    def act(self, version: int) -> None:
        prefix, tensors = f"{self.directory}/model", model(version, self.size)
        with tb.AsyncSaver(max_bytes=1000, overlap=True, recycle=self.recycles) as self.saver:
            for _ in range(1 + self.recycles):
                handle = self.saver.save(prefix, tensors, **self.options)
                handle.staged.result()
                self.recycled += handle.result().recycled_bytes


class RotateInBackground(Rotate):
    """A manager that saves in the background."""

    def act(self, version: int) -> None:
        with self.manager(version) as manager:
            for _ in range(1 + self.recycles):
                handle = manager.save(metrics={"loss": 1.0 / version}, blocking=False)
                self.recycled += handle.result().recycled_bytes

    def check(self, versions: set[int]) -> int:
        default_saver().drain()
        return super().check(versions)


class Gappy(Rotate):
    """The same with numbers that never come again: what died must be swept by others."""

    def act(self, version: int) -> None:
        with self.manager(version) as manager:
            manager.save(10 * version, metrics={"loss": 1.0 / version})


STORIES = {
    "overwrite": Overwrite, "rotate": Rotate, "gappy": Gappy,
    "in background": InBackground, "overlapping": Overlapping,
    "rotate in background": RotateInBackground,
}  # fmt: skip


def main(run: Callable[[Story], dict[str, Any]]) -> None:
    """Tell one story: PROGRAM DIRECTORY STORY OPTIONS, the last as JSON."""
    directory, name, options = sys.argv[1:]
    print(json.dumps(run(STORIES[name](directory, json.loads(options)))))

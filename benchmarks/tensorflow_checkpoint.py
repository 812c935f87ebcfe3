"""How much faster is tensorbundle.tensorflow.Checkpoint than tf.train.Checkpoint?

Two models: 3,000 small variables, where walking over the objects costs most, and 2 GB in 85
variables. Each of the two saves and restores variables of its own, in turn, with the same
values. Saves are durable: TensorFlow's files are synced after `write`, and so is their
directory. The first save of each, untimed, lets ours get to know the objects and TensorFlow
trace its functions.

Before each restore the variables are assigned to, so that they lie in memory that
TensorFlow has allocated for them, as after the start of a program; it is freed as they get
their values. Restores of the large model are shown beside what limits them: from the page
cache `load`, which needs as much new memory, and the same into memory that is there; from
the disk fio. The last table adds an update of each variable, which is in place or makes a
copy first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
import tensorflow as tf

import tensorbundle as tb
import tensorbundle.tensorflow as tbtf

KINDS = {"tensorbundle": tbtf.Checkpoint, "tf.train": tf.train.Checkpoint}


class Side:
    """One of the two, with variables and a directory of its own."""

    def __init__(self, name: str, arrays: list[Any], scratch: str) -> None:
        self.name = name
        self.module = tf.Module()
        self.module.variables_ = [tf.Variable(array) for array in arrays]
        self.num_bytes = sum(array.nbytes for array in arrays)
        self.checkpoint = KINDS[name](model=self.module)
        self.directory = os.path.join(scratch, name)
        os.mkdir(self.directory)
        self.prefix = os.path.join(self.directory, "ckpt")

    def save(self) -> None:
        self.checkpoint.write(self.prefix)
        if type(self.checkpoint) is tf.train.Checkpoint:
            for file in Path(self.directory).iterdir():
                common.sync(str(file))
            common.sync(self.directory)

    def restore(self) -> None:
        self.checkpoint.read(self.prefix).expect_partial()

    def update(self) -> None:
        """Take a step of 0 along a gradient."""
        largest = max(v.shape.num_elements() for v in self.module.variables_)
        gradient = tf.zeros(largest)
        for v in self.module.variables_:
            delta = tf.reshape(gradient[: v.shape.num_elements()], v.shape)
            tf.raw_ops.ResourceApplyGradientDescent(var=v.handle, alpha=0.0, delta=delta)

    def renew(self) -> None:
        """Move the variables to memory that TensorFlow allocates."""
        for variable in self.module.variables_:
            variable.assign(variable + 0.0)

    @property
    def data(self) -> str:
        return str(next(Path(self.directory).glob("*.data-*")))

    def case(self, run: Callable[[], Any], before: Callable[[], Any]) -> common.Case:
        size = (
            self.num_bytes if self.num_bytes > 1e8 else 0
        )  # a rate of small ones says nothing
        return common.Case(self.name, run, num_bytes=size, before=before)


def saves(sides: list[Side]) -> list[common.Case]:
    """Give saves, each into an empty directory."""
    return [s.case(s.save, lambda s=s: common.remove_files(s.directory)) for s in sides]


def restores(sides: list[Side], *, cold: bool, step: bool = False) -> list[common.Case]:
    """Give restores of what was saved last; with `step` each variable is updated too."""

    def prepare(side: Side) -> None:
        side.renew()
        (common.drop_cache if cold else common.fill_cache)(side.directory)

    def run(side: Side) -> None:
        side.restore()
        if step:
            side.update()

    return [s.case(lambda s=s: run(s), lambda s=s: prepare(s)) for s in sides]


def warm_limits(side: Side) -> list[common.Case]:
    """Give what no restore from the page cache can be faster than."""
    names = [n for n, _ in tb.list_variables(side.prefix) if n.startswith("model/")]
    own = {
        n: np.zeros(e.shape, e.dtype) for n in names for e in [tb.open(side.prefix).entry(n)]
    }
    fill = lambda: common.fill_cache(side.directory)  # noqa: E731
    size = side.num_bytes
    return [
        common.Case("limit: load", lambda: tb.load(side.prefix, names), size, fill),
        common.Case("limit: load(into=)", lambda: tb.load(side.prefix, into=own), size, fill),
    ]


def cold_limits(side: Side) -> list[common.Case]:
    """Give what no restore from the disk can be faster than."""
    size = side.num_bytes
    return [
        common.Case(
            "limit: fio", lambda: common.fio_seconds("read", side.data, size), size,
            lambda: common.drop_cache(side.directory), own_clock=True,
        )
    ]  # fmt: skip


def measure(title: str, cases: list[common.Case], runs: int, done: list[Any]) -> None:
    """Run cases in turn and print them."""
    common.interleave(cases, runs)
    common.print_cases(title, cases, cases[0])
    for case in cases:
        case.name = f"{title}: {case.name}"
    done += cases


def main() -> None:
    arguments = common.parse_arguments(
        __doc__ or "",
        count={"type": int, "default": 3000, "help": "small variables"},
        gb={"type": float, "default": 2.0, "help": "of the large model"},
    )
    runs, done = arguments.runs, []
    print(common.machine_line(arguments.dir))
    with common.scratch_in(arguments.dir) as scratch:
        values = np.random.default_rng(0).standard_normal((arguments.count, 32), np.float32)
        sides = [Side(name, list(values), scratch) for name in KINDS]
        title = f"{arguments.count} variables of 128 bytes"
        measure(f"{title}, save", saves(sides), runs, done)
        measure(f"{title}, restore", restores(sides, cold=False), runs, done)
    with common.scratch_in(arguments.dir) as scratch:
        model = common.model_of(common.make_pool(arguments.gb), arguments.gb)
        sides = [Side(name, list(model.tensors.values()), scratch) for name in KINDS]
        del model
        title = f"{arguments.gb} GB"
        measure(f"{title}, save", saves(sides), runs, done)
        warm = restores(sides, cold=False) + warm_limits(sides[0])
        measure(f"{title}, restore, warm", warm, runs, done)
        cold = restores(sides, cold=True) + cold_limits(sides[0])
        measure(f"{title}, restore, cold", cold, runs, done)
        updated = restores(sides, cold=False, step=True)
        measure(f"{title}, restore, warm, and an update", updated, runs, done)
    common.write_json(arguments.json, done, arguments.dir)


if __name__ == "__main__":
    main()

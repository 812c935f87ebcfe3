"""How much faster is tensorbundle.tensorflow.Checkpoint than tf.train.Checkpoint?

Two models: 3,000 small variables, where walking over the objects costs most, and 2 GB in 85
variables. Both save the same variables in turn, durably: TensorFlow's files are synced
after `write`, and so is their directory. The first save of each, untimed, lets ours get to
know the objects and TensorFlow trace its functions. Restores are into the same variables,
from files in the page cache.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import common
import numpy as np
import tensorflow as tf

import tensorbundle.tensorflow as tbtf


def small_variables(count: int) -> Any:
    values = np.random.default_rng(0).standard_normal((count, 32), dtype=np.float32)
    model = tf.Module()
    model.variables_ = [tf.Variable(value) for value in values]
    return model


def large_variables(gb: float) -> Any:
    model = tf.Module()
    arrays = common.model_of(common.make_pool(gb), gb).tensors
    model.variables_ = [tf.Variable(array) for array in arrays.values()]
    return model


def cases(model: Any, num_bytes: int, directory: str) -> tuple[list[Any], list[Any]]:
    """Give saves, and restores of what they saved; ours come first."""
    saves, restores = [], []
    for name, kind in (("tensorbundle", tbtf.Checkpoint), ("tf.train", tf.train.Checkpoint)):
        own = os.path.join(directory, name)
        os.mkdir(own)
        checkpoint, prefix = kind(model=model), os.path.join(own, "ckpt")

        def save(checkpoint: Any = checkpoint, prefix: str = prefix) -> None:
            checkpoint.write(prefix)
            if type(checkpoint) is tf.train.Checkpoint:
                for file in Path(prefix).parent.iterdir():
                    common.sync(str(file))
                common.sync(str(Path(prefix).parent))

        def restore(checkpoint: Any = checkpoint, prefix: str = prefix) -> None:
            checkpoint.read(prefix).expect_partial()

        save()
        saves.append(
            common.Case(
                f"{name}: save", save, num_bytes=num_bytes,
                before=lambda own=own: common.remove_files(own),
            )
        )  # fmt: skip
        restores.append(common.Case(f"{name}: restore", restore, num_bytes=num_bytes))
    return saves, restores


def main() -> None:
    arguments = common.parse_arguments(
        __doc__ or "",
        count={"type": int, "default": 3000, "help": "small variables"},
        gb={"type": float, "default": 2.0, "help": "of the large model"},
    )
    print(common.machine_line(arguments.dir))
    done = []
    for title, model in (
        (f"{arguments.count} variables of 128 bytes", small_variables(arguments.count)),
        (f"{arguments.gb} GB", large_variables(arguments.gb)),
    ):
        with common.scratch_in(arguments.dir) as directory:
            num_bytes = sum(v.shape.num_elements() * 4 for v in model.variables_)
            num_bytes = (
                num_bytes if num_bytes > 1e8 else 0
            )  # a rate of small ones says nothing
            saves, restores = cases(model, num_bytes, directory)
            for group in (saves, restores):
                common.interleave(group, arguments.runs)
                common.print_cases(f"{title}, {group[0].name.split(': ')[1]}", group, group[0])
                done += group
        for case in [*saves, *restores]:
            case.name = f"{title}: {case.name}"
    common.write_json(arguments.json, done, arguments.dir)


if __name__ == "__main__":
    main()

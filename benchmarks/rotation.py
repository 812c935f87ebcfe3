"""What does a save cost that removes an older checkpoint?

A manager keeps two checkpoints, so that each save but the first two removes one; with
`recycle=True` the next save writes into its files. Beside TensorFlow's manager, whose saves
are followed by a sync here.
"""

from __future__ import annotations

import os
from typing import Any

import common
import numpy as np

import tensorbundle as tb
from tensorbundle.cli.files import sync_all

_KEPT = 2


def main() -> None:
    options = common.parse_arguments(
        __doc__,
        gb={"type": float, "default": 1.0, "help": "size of the model"},
        peers={"action": "store_true", "help": "TensorFlow's manager, too"},
    )
    print(common.machine_line(options.dir), flush=True)
    model = common.model_of(common.make_pool(options.gb), options.gb)
    recycled: list[int] = []
    with common.scratch_in(options.dir) as directory:
        managers = {
            name: tb.CheckpointManager(
                model.tensors, os.path.join(directory, name), _KEPT, recycle=recycle
            )
            for name, recycle in (("new files", False), ("recycle=True", True))
        }

        def save(manager: tb.CheckpointManager) -> None:
            manager.save()
            assert manager.save_report is not None
            recycled.append(manager.save_report.recycled_bytes)

        cases = [
            common.Case(name, lambda manager=manager: save(manager), num_bytes=model.num_bytes)
            for name, manager in managers.items()
        ]
        if options.peers:
            cases.append(tensorflow_case(model.tensors, directory, model.num_bytes))
        for case in cases:  # so that each measured save removes one
            for _ in range(_KEPT):
                case.run()
        common.interleave(cases, options.runs)
        for manager in managers.values():
            manager.close()
    title = f"Save of {model.num_bytes:,} B that removes an older one, {options.runs} runs"
    common.print_cases(title, cases, cases[0])
    print(f"\nwritten into files of removed checkpoints: {max(recycled):,} B of a save")
    common.write_json(options.json, cases, options.dir)


def tensorflow_case(tensors: dict[str, Any], directory: str, num_bytes: int) -> common.Case:
    """Save the same tensors by ``tf.train.CheckpointManager``."""
    import tensorflow as tf

    where = os.path.join(directory, "tensorflow")
    variables = {
        name.replace("/", "_"): tf.Variable(np.asarray(value))
        for name, value in tensors.items()
    }
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(**variables), where, _KEPT)

    def save() -> None:
        manager.save()
        sync_all(where)

    return common.Case("TF CheckpointManager", save, num_bytes=num_bytes)


if __name__ == "__main__":
    main()

"""What do many small tensors cost: save, open, list, look up, beside TensorFlow's SaveV2?

A million tensors of 64 bytes by default. The mapping that is saved is made outside the
timed part. Reads are warm, and in a process of their own, without those tensors.
TensorFlow saves from tensors of its own, made beforehand.
"""

from __future__ import annotations

import itertools
import os
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import common
import numpy as np

import tensorbundle as tb

_LOOKUPS = 10_000
_ELEMENTS = 16  # float32: 64 bytes


def make_tensors(count: int) -> dict[str, Any]:
    values = np.random.default_rng(0).standard_normal((count, _ELEMENTS), dtype=np.float32)
    return {f"layer_{i // 100:05}/tensor_{i:08}": values[i] for i in range(count)}


def save_cases(tensors: dict[str, Any], directory: str) -> list[common.Case]:
    """Give durable saves: ours, and TensorFlow's in a directory of its own."""
    ours, theirs = os.path.join(directory, "own"), os.path.join(directory, "tf")
    os.mkdir(ours)
    os.mkdir(theirs)
    prefix = os.path.join(ours, "model")
    cases = [
        common.Case(
            "save", lambda: tb.save(prefix, tensors), before=lambda: common.remove_files(ours)
        )
    ]
    try:
        import tensorflow as tf
    except ImportError:
        cases.append(common.Case("TF SaveV2", lambda: None, failure="not installed"))
        return cases
    with tf.device("CPU"):
        values = [tf.constant(array) for array in tensors.values()]

    def save_v2() -> None:
        slices = [""] * len(tensors)
        path = os.path.join(theirs, "model")
        tf.raw_ops.SaveV2(
            prefix=path, tensor_names=list(tensors), shape_and_slices=slices, tensors=values
        )
        for file in Path(theirs).iterdir():
            common.sync(str(file))
        common.sync(theirs)

    name = f"TF SaveV2 {tf.__version__}"
    cases.append(common.Case(name, save_v2, after=lambda: common.remove_files(theirs)))
    return cases


def read_cases(prefix: str) -> tuple[list[common.Case], list[common.Case]]:
    """Give what readers do with few tensors, and what they do with all."""
    names = list(tb.open(prefix))
    some = random.Random(0).sample(names, min(_LOOKUPS, len(names)))
    one, opened = some[0], tb.open(prefix)

    def each(find: Any) -> None:
        for name in some:
            find(name)

    few = [
        common.Case("open", lambda: tb.open(prefix)),
        common.Case("open + one entry", lambda: tb.open(prefix).entry(one)),
        common.Case("open + one array", lambda: tb.open(prefix)[one]),
        common.Case(f"{len(some)} random entries", lambda: each(opened.entry)),
        common.Case(f"{len(some)} random arrays", lambda: each(opened.__getitem__)),
    ]
    return few, [
        common.Case("open + list all names", lambda: list(tb.open(prefix))),
        common.Case("list_variables", lambda: tb.list_variables(prefix)),
        common.Case("load all", lambda: tb.load(prefix)),
        common.Case("load all, mmap=True", lambda: tb.load(prefix, mmap=True)),
    ]


def measure_reads(prefix: str, runs: int) -> list[common.Case]:
    """Run the cases, those of few tensors first: to free a million slows what comes next."""
    groups = read_cases(prefix)
    for cases in groups:
        common.interleave(cases, runs)
    both = itertools.chain(*groups)
    return [common.Case(c.name, print, seconds=c.seconds, failure=c.failure) for c in both]


def main() -> None:
    options = common.parse_arguments(__doc__, count={"type": int, "default": 1_000_000})
    print(common.machine_line(options.dir), flush=True)
    tensors = make_tensors(options.count)
    with common.scratch_in(options.dir) as directory:
        saves = save_cases(tensors, directory)
        common.interleave(saves, options.runs)
        prefix = os.path.join(directory, "own", "model")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            reads = pool.submit(measure_reads, prefix, options.runs).result()
        index_bytes = Path(prefix + ".index").stat().st_size
    title = f"{options.count:,} tensors of 64 B, index {index_bytes:,} B, {options.runs} runs"
    common.print_cases(f"Durable save, {title}", saves, saves[0])
    common.print_cases(f"Reading, warm, {title}", reads, reads[0])
    common.write_json(options.json, [*saves, *reads], options.dir)


if __name__ == "__main__":
    main()

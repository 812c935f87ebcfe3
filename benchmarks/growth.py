"""Do saves and loads grow linearly with the model, and do they stay as near to the disk?

Models of all sizes are cut from the same random memory and run in turn: durable save,
verified load with the files out of the page cache, verified load with them in it, and
fio's O_DIRECT write and read of the same number of bytes.
"""

from __future__ import annotations

import gc
import os
from typing import Any

import common

import tensorbundle as tb

_OPERATIONS = (
    "fio write",
    "save",
    "fio read",
    "load, cold",
    "load, warm",
    "map + touch, warm",
)


def make_cases(model: Any, gb: float, scratch: str) -> list[common.Case]:
    """Give the operations on one size, in the order in which they need each other."""
    size = model.num_bytes
    directory, other = os.path.join(scratch, f"{gb:g}"), os.path.join(scratch, f"{gb:g}-fio")
    os.mkdir(directory)
    os.mkdir(other)
    prefix, file = os.path.join(directory, "model"), os.path.join(other, "file")

    def cold() -> None:
        common.drop_cache(directory)

    def warm() -> None:
        common.fill_cache(directory)

    def remove() -> None:
        gc.collect()
        common.remove_files(directory)
        common.remove_files(other)

    def map_and_touch() -> None:
        common.touch_all(tb.load(prefix, mmap=True))

    name = dict(zip(_OPERATIONS, (f"{text}, {gb:g} GB" for text in _OPERATIONS), strict=True))
    fio = {"own_clock": True}
    return [
        common.Case(
            name["fio write"], lambda: common.fio_seconds("write", file, size), size, **fio
        ),
        common.Case(name["save"], lambda: tb.save(prefix, model.tensors), size),
        common.Case(
            name["fio read"], lambda: common.fio_seconds("read", file, size), size, **fio
        ),
        common.Case(name["load, cold"], lambda: tb.load(prefix), size, before=cold),
        common.Case(name["load, warm"], lambda: tb.load(prefix), size, before=warm),
        common.Case(name["map + touch, warm"], map_and_touch, size, before=warm, after=remove),
    ]


def plot(cases: list[common.Case], path: str) -> None:
    """Draw seconds over size, one line per operation, with its spread."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("--plot: matplotlib is not installed")
        return
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for number, operation in enumerate(_OPERATIONS):
        mine = [c for c in cases[number :: len(_OPERATIONS)] if c.seconds]
        below = [c.median - min(c.seconds) for c in mine]
        above = [max(c.seconds) - c.median for c in mine]
        sizes, medians = [c.num_bytes / 1e9 for c in mine], [c.median for c in mine]
        style = {"linestyle": "--"} if operation.startswith("fio") else {}
        axes.errorbar(
            sizes, medians, [below, above], marker="o", capsize=3, label=operation, **style
        )
    axes.set(xlabel="GB", ylabel="seconds, median and range", xlim=(0, None), ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    options = common.parse_arguments(
        __doc__,
        sizes={"type": float, "nargs": "+", "default": [1.0, 2.0, 4.0], "help": "in GB"},
        plot={"metavar": "FILE", "help": "draw a PNG with matplotlib"},
    )
    print(common.machine_line(options.dir), flush=True)
    with common.scratch_in(options.dir) as scratch:
        pool = common.make_pool(max(options.sizes))
        models = {gb: common.model_of(pool, gb) for gb in options.sizes}
        common.warm_memory(int(2e9 * max(options.sizes)))
        cases = [c for gb, model in models.items() for c in make_cases(model, gb, scratch)]
        common.interleave(cases, options.runs)
    for number, operation in enumerate(_OPERATIONS):
        mine = cases[number :: len(_OPERATIONS)]
        common.print_cases(f"{operation}, {options.runs} runs", mine, mine[0])
    if options.plot:
        plot(cases, options.plot)
    common.write_json(options.json, cases, options.dir)


if __name__ == "__main__":
    main()

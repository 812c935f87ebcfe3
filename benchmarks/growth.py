"""Do saves and loads grow linearly with the model, and do they stay as near to the disk?

Models of all sizes are cut from the same random memory and run in turn: durable save,
verified load with the files out of the page cache and with them in it, and fio's O_DIRECT
write and read of the same number of bytes.  With `into=` a load fills the model's own
memory; without it new memory is asked for, which a virtual machine may have to get from
its host first: that grows faster than the model once the sum nears the machine's memory.
"""

from __future__ import annotations

import gc
import importlib
import os
from typing import Any

import common

import tensorbundle as tb

_OPERATIONS = (
    "fio write",
    "save",
    "fio read",
    "load, cold",
    "load into=, cold",
    "load, warm",
    "load into=, warm",
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

    def load_into() -> None:
        tb.load(prefix, into=model.tensors)

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
        common.Case(name["load into=, cold"], load_into, size, before=cold),
        common.Case(name["load, warm"], lambda: tb.load(prefix), size, before=warm),
        common.Case(name["load into=, warm"], load_into, size, before=warm),
        common.Case(name["map + touch, warm"], map_and_touch, size, before=warm, after=remove),
    ]


def plot(cases: list[common.Case], path: str) -> None:
    """Draw seconds over size, one line per operation, with its spread, as a page."""
    from plotly import graph_objects as go

    figure = go.Figure()
    for number, operation in enumerate(_OPERATIONS):
        mine = [c for c in cases[number :: len(_OPERATIONS)] if c.seconds]
        spread = {
            "array": [max(c.seconds) - c.median for c in mine],
            "arrayminus": [c.median - min(c.seconds) for c in mine],
        }
        figure.add_scatter(
            x=[c.num_bytes / 1e9 for c in mine],
            y=[c.median for c in mine],
            error_y=spread,
            name=operation,
            line={"dash": "dash"} if operation.startswith("fio") else None,
        )
    figure.update_xaxes(title="GB", rangemode="tozero")
    figure.update_yaxes(title="seconds, median and range", rangemode="tozero")
    figure.write_html(path)


def main() -> None:
    options = common.parse_arguments(
        __doc__,
        sizes={"type": float, "nargs": "+", "default": [1.0, 2.0, 4.0], "help": "in GB"},
        plot={"metavar": "FILE", "help": "draw a page (HTML) with plotly"},
    )
    if options.plot:
        importlib.import_module("plotly")  # missing: to be told before an hour of runs
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

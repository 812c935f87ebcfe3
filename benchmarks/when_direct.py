"""From what size on is it worth writing past the page cache?

Durable saves of 1 MiB to 1 GiB by each backend. The engine's auto writes buffered below
kSmallSave (cpp/engine/backend_choice.h): the limit belongs where the columns cross.
"""

from __future__ import annotations

import os
from typing import Any

import common

import tensorbundle as tb
from tensorbundle.cli.output import Column, format_range, format_seconds, print_table

_BACKENDS = ("buffered", "direct", "uring", "auto")
_NUM_TENSORS = 8


def make_case(pool: Any, mib: int, backend: str, directory: str) -> common.Case:
    """Save so many MiB, in equal tensors, by a backend."""
    words = mib * 2**20 // 4 // _NUM_TENSORS
    tensors = {f"{i}": pool[i * words : (i + 1) * words] for i in range(_NUM_TENSORS)}
    prefix = os.path.join(directory, "model")
    return common.Case(
        f"{mib} MiB, {backend}",
        lambda: tb.save(prefix, tensors, backend=backend),
        mib * 2**20,
        after=lambda: common.remove_files(directory),
    )


def main() -> None:
    sizes = [2**power for power in range(11)]
    options = common.parse_arguments(
        __doc__, mib={"type": int, "nargs": "+", "default": sizes, "help": "sizes in MiB"}
    )
    print(common.machine_line(options.dir), flush=True)
    pool = common.make_pool(max(options.mib) * 2**20 / 1e9 + 1e-6)
    common.warm_memory(2 * pool.nbytes)
    with common.scratch_in(options.dir) as directory:
        grid = {
            mib: [make_case(pool, mib, backend, directory) for backend in _BACKENDS]
            for mib in options.mib
        }
        cases = [case for row in grid.values() for case in row]
        common.interleave(cases, options.runs)
    print(f"\nDurable save in {_NUM_TENSORS} tensors: median (min-max), {options.runs} runs")
    columns = [Column(title, right=True) for title in ("MiB", *_BACKENDS, "fastest")]
    print_table(columns, [_row(mib, row) for mib, row in grid.items()])
    common.write_json(options.json, cases, options.dir)


def _row(mib: int, row: list[common.Case]) -> list[str]:
    cells = [case.failure or _cell(case.seconds, case.median) for case in row]
    ran = {b: c.median for b, c in zip(_BACKENDS[:3], row, strict=False) if c.seconds}
    return [str(mib), *cells, min(ran, key=ran.__getitem__) if ran else "-"]


def _cell(seconds: list[float], median: float) -> str:
    return f"{format_seconds(median)} ({format_range(min(seconds), max(seconds), median)})"


if __name__ == "__main__":
    main()

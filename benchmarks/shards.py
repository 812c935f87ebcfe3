"""Into how many shards should a model go?

Durable saves and cold verified loads of the same model in 1, 2 and 4 shards by backend.
"""

from __future__ import annotations

import gc
import os
from typing import Any

import common

import tensorbundle as tb


def make_cases(model: Any, directory: str, shards: list[int]) -> list[common.Case]:
    """Give fio's write, then a save and the load of it for each backend and count."""
    prefix, size = os.path.join(directory, "model"), model.num_bytes

    def remove() -> None:
        gc.collect()
        common.remove_files(directory)

    def cold() -> None:
        common.drop_cache(directory)

    file = os.path.join(directory, "fio")
    fio = common.Case("fio write", lambda: common.fio_seconds("write", file, size), size)
    fio.own_clock, fio.after = True, remove
    cases = [fio]
    for backend in ("buffered", "direct", "uring"):
        for n in shards:
            name = f"{backend}, {n} shard{'s'[: n != 1]}"
            options = {"backend": backend, "num_shards": n}
            cases.append(
                common.Case(
                    f"save, {name}",
                    lambda options=options: tb.save(prefix, model.tensors, **options),
                    size,
                )
            )
            cases.append(
                common.Case(
                    f"load, {name}",
                    lambda backend=backend: tb.load(prefix, backend=backend),
                    size,
                    before=cold,
                    after=remove,
                )
            )
    return cases


def main() -> None:
    options = common.parse_arguments(
        __doc__,
        gb={"type": float, "default": 2.0},
        shards={"type": int, "nargs": "+", "default": [1, 2, 4]},
    )
    print(common.machine_line(options.dir), flush=True)
    with common.scratch_in(options.dir) as directory:
        model = common.model_of(common.make_pool(options.gb), options.gb)
        common.warm_memory(2 * model.num_bytes)
        cases = make_cases(model, directory, options.shards)
        common.interleave(cases, options.runs)
    fio, saves, loads = cases[0], cases[1::2], cases[2::2]
    title = f"{model.num_bytes:,} B in {len(model.tensors)} tensors, {options.runs} runs"
    common.print_cases(f"Durable save, {title}", [fio, *saves], fio)
    common.print_cases(f"Cold verified load, {title}", loads, loads[0])
    common.write_json(options.json, cases, options.dir)


if __name__ == "__main__":
    main()

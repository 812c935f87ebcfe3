"""What should a map's pages do: the ways of prefetch=, cold and warm, and verification?

Every case maps all tensors and then reads every byte of them, or of some. Cold: the files
were synced and dropped from the page cache. Warm: they were read just before.
"""

from __future__ import annotations

import gc
import os
from typing import Any

import common

import tensorbundle as tb

_PREFETCHES = (None, "sequential", "willneed", "populate")


def touch_rows(arrays: Any) -> int:
    """Read one page in a thousand, as a lookup in a large table does."""
    return sum(int(array.reshape(-1)[:: 1024 * 1000].sum()) for array in arrays.values())


def cases_of(prefix: str, size: int, *, cold: bool) -> list[common.Case]:
    """Give every way of prefetch, then verification, then few pages of many."""
    prepare = common.drop_cache if cold else common.fill_cache
    directory = os.path.dirname(prefix)
    cases: list[common.Case] = []

    def add(name: str, run: Any, num_bytes: int = size) -> None:
        before = lambda: prepare(directory)  # noqa: E731
        cases.append(common.Case(name, run, num_bytes, before=before, after=gc.collect))

    def mapped(**options: Any) -> Any:
        return tb.load(prefix, mmap=True, **options)

    for how in _PREFETCHES:
        add(f"{how} + touch", lambda how=how: common.touch_all(mapped(prefetch=how)))
    add("populate alone", lambda: mapped(prefetch="populate"))
    add("populate alone, 1 thread", lambda: mapped(prefetch="populate", num_threads=1))
    add("verify + touch", lambda: common.touch_all(mapped(verify=True)))
    add(
        "verify, 1 thread + touch",
        lambda: common.touch_all(mapped(verify=True, num_threads=1)),
    )
    add(
        "verify directly + touch",
        lambda: common.touch_all(mapped(verify=True, backend="direct")),
    )
    for how in (None, "random"):
        add(f"{how} + few pages", lambda how=how: touch_rows(mapped(prefetch=how)), 0)
    return cases


def main() -> None:
    options = common.parse_arguments(__doc__, gb={"type": float, "default": 2.0})
    print(common.machine_line(options.dir), flush=True)
    with common.scratch_in(options.dir) as scratch:
        model = common.model_of(common.make_pool(options.gb), options.gb)
        prefix = os.path.join(scratch, "model")
        tb.save(prefix, model.tensors)
        size = model.num_bytes
        groups = {"Cold": cases_of(prefix, size, cold=True)}
        groups["Warm"] = cases_of(prefix, size, cold=False)
        for cases in groups.values():
            common.interleave(cases, options.runs)
    for title, cases in groups.items():
        title += f", {size:,} B in {len(model.tensors)} tensors, {options.runs} runs"
        common.print_cases(title, cases, cases[0])
    every = [case for cases in groups.values() for case in cases]
    common.write_json(options.json, every, options.dir)


if __name__ == "__main__":
    main()

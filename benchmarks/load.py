"""How fast is a load: cold from the disk, warm into own arrays, and mapped?

Cold: the files were synced and dropped from the page cache, and mincore(2) found none of
their pages. Warm: they were read just before. Each engine reads what it has saved itself.
"""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import common
import numpy as np

import tensorbundle as tb
from tensorbundle.cli.peers import choose_peers, make_engine
from tensorbundle.cli.steps import LOAD, SAVE

_PAGE = 4096


class Files:
    """What every engine has saved, each in a directory of its own."""

    def __init__(self, model: Any, scratch: str) -> None:
        self.size = model.num_bytes
        self.loads: dict[str, Any] = {}  # by the peer's name
        self.directories: dict[str, str] = {}
        for name in ["tensorbundle", *choose_peers("auto")]:
            directory = os.path.join(scratch, name)
            os.mkdir(directory)
            engine = make_engine(name, model)
            steps = {step.operation: step.run for step in engine.steps(directory)}
            steps[SAVE]()
            self.loads[name] = steps[LOAD]
            self.directories[name] = directory
        self.prefix = os.path.join(self.directories["tensorbundle"], "model")

    def cache_anew(self) -> None:
        """Cache all files in the same way: by how a page got there it is large or small."""
        for directory in self.directories.values():
            common.drop_cache(directory)
            common.fill_cache(directory)

    def case(
        self, name: str, run: Any, engine: str, *, cold: bool, **more: Any
    ) -> common.Case:
        """Make a case that finds the engine's files cold or warm."""
        prepare = common.drop_cache if cold else common.fill_cache
        directory = self.directories[engine]
        return common.Case(
            name, run, self.size, before=lambda: prepare(directory), after=gc.collect, **more
        )


def cold_cases(files: Files, own: dict[str, Any], scattered: Any) -> list[common.Case]:
    """Give fio, ours and the peers, each with its files out of the cache."""
    data = str(next(Path(files.directories["tensorbundle"]).glob("*.data-*")))
    path, size = files.prefix, files.size

    def add(name: str, run: Any, engine: str = "tensorbundle", **more: Any) -> None:
        cases.append(files.case(name, run, engine, cold=True, **more))

    cases: list[common.Case] = []
    add("fio", lambda: common.fio_seconds("read", data, size), own_clock=True)
    add(
        "fio, buffers of 4 KiB pages",
        lambda: common.fio_seconds("read", data, size, huge_pages=False),
        own_clock=True,
    )
    add("tensorbundle", lambda: tb.load(path))
    for backend in ("buffered", "direct", "uring"):
        add(f"  {backend}", lambda backend=backend: tb.load(path, backend=backend))
    add("  not verified", lambda: tb.load(path, verify=False))
    add("  into=", lambda: tb.load(path, into=own))
    add("  into= of 4 KiB pages", lambda: tb.load(path, into=scattered))
    add("  mmap=True + touch", lambda: common.touch_all(tb.load(path, mmap=True)))
    for peer, load in files.loads.items():
        if peer != "tensorbundle":
            add(peer, load, peer)
    return cases


def warm_cases(files: Files, model: Any, own: dict[str, Any]) -> list[common.Case]:
    """Give memcpy, ours, and mapping beside safetensors' mapping."""
    path = files.prefix

    def add(name: str, run: Any, engine: str = "tensorbundle", **more: Any) -> None:
        cases.append(files.case(name, run, engine, cold=False, **more))

    cases: list[common.Case] = []
    add("memcpy, 1 thread", lambda: copy(model, own, 1))
    add("memcpy, 2 threads", lambda: copy(model, own, 2))
    add("load(into=)", lambda: tb.load(path, into=own))
    add("load(into=), 1 thread", lambda: tb.load(path, into=own, num_threads=1))
    add("load(into=), not verified", lambda: tb.load(path, into=own, verify=False))
    add("load()", lambda: tb.load(path))
    add("load(mmap=True) + touch", lambda: common.touch_all(tb.load(path, mmap=True)))
    if "safetensors" in files.directories:
        file = os.path.join(files.directories["safetensors"], "model.safetensors")
        add("safetensors map + touch", lambda: map_safetensors(file), "safetensors")
    return cases


def first_cases(prefix: str) -> list[common.Case]:
    """Give the ways to a first tensor of 64 MB in a file that is cached."""

    def touch_pages() -> int:
        return int(tb.open(prefix)[common.FIRST_64MB].view(np.uint8)[::_PAGE].sum())

    return [
        common.Case("open + [name]", lambda: tb.open(prefix)[common.FIRST_64MB]),
        common.Case("open + [name] + touch each page", touch_pages),
    ]


def map_safetensors(file: str) -> int:
    import safetensors.torch

    return common.touch_all(safetensors.torch.load_file(file))


def copy(model: Any, own: dict[str, Any], num_threads: int) -> None:
    """Copy the model by memcpy; NumPy lets go of the GIL for it."""
    with ThreadPoolExecutor(num_threads) as threads:
        list(threads.map(lambda name: np.copyto(own[name], model.tensors[name]), own))


def main() -> None:
    options = common.parse_arguments(__doc__, gb={"type": float, "default": 2.0})
    print(common.machine_line(options.dir), flush=True)
    with common.scratch_in(options.dir) as scratch:
        model = common.model_of(common.make_pool(options.gb), options.gb)
        own = common.model_of(common.make_pool(options.gb), options.gb).tensors
        small = common.make_pool(options.gb, huge_pages=False)
        small = common.model_of(small, options.gb).tensors
        common.warm_memory(2 * model.num_bytes)
        files = Files(model, scratch)
        groups = {
            "Cold": cold_cases(files, own, small),
            "Warm": warm_cases(files, model, own),
            "First tensor of 64 MB, warm": first_cases(files.prefix),
        }
        for title, cases in groups.items():
            if title == "Warm":
                files.cache_anew()
            common.interleave(cases, options.runs)
        same = all(np.array_equal(own[name], model.tensors[name]) for name in own)
    assert same, "what was loaded is not what was saved"
    bases = {"Cold": 2, "Warm": 2}
    for title, cases in groups.items():
        title += f", {model.num_bytes:,} B in {len(model.tensors)} tensors"
        common.print_cases(
            f"{title}, {options.runs} runs", cases, cases[bases.get(title[:4], 0)]
        )
    every = [case for cases in groups.values() for case in cases]
    common.write_json(options.json, every, options.dir)


if __name__ == "__main__":
    main()

"""How fast is a durable save, beside the disk's own speed and other ways to save?

Every save ends with an fsync of its files and their directory. fio writes the same number
of bytes with O_DIRECT in requests of 16 MiB, eight in flight, by io_uring, and syncs.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import common

from tensorbundle import save
from tensorbundle.cli.peers import choose_peers, make_engine
from tensorbundle.cli.steps import SAVE

GRID = {"buffered": (2,), "direct": (1, 2, 4), "uring": (1, 2, 4)}  # threads by backend


def memory_growth(gb: float, directory: str, backend: str) -> tuple[int, Any]:
    """Give the bytes by which a save raises this process's peak memory, and its report."""
    model = common.model_of(common.make_pool(gb), gb)
    save(os.path.join(directory, "small"), {"x": 1})  # what is loaded once is not counted
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from VmRSS
    before = _kilobytes("VmHWM:")
    report = save(os.path.join(directory, "memory"), model.tensors, backend=backend)
    grown = (_kilobytes("VmHWM:") - before) * 1024
    common.remove_files(directory)
    return grown, report


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def print_memory(sizes: list[float], directory: str) -> dict[str, int]:
    """Save in a process of its own for each size and backend; print how it grew."""
    print("\nPeak memory above the model (VmHWM), and bytes copied to a buffer first")
    growth = {}
    for gb in sizes:
        for backend in ("auto", "buffered", "direct", "uring"):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                grown, report = pool.submit(memory_growth, gb, directory, backend).result()
            growth[f"{gb:g} GB {backend}"] = grown
            print(
                f"{gb:4g} GB  {backend:8} ({report.backend}, {report.num_threads} threads)"
                f"  +{grown / 2**20:.1f} MiB  copied {report.staged_bytes:,} B ="
                f" {report.staged_bytes / report.tensor_bytes:.4%}",
                flush=True,
            )
    return growth


def make_cases(model: Any, scattered: Any, directory: str) -> list[common.Case]:
    """Give fio, ours by default, ours by backend and threads, and the peers."""
    size, prefix = model.num_bytes, os.path.join(directory, "model")
    cases = []

    def add(name: str, run: Any, **more: Any) -> None:
        cleaned = {"after": lambda: common.remove_files(directory)}
        cases.append(common.Case(name, run, size, **cleaned, **more))

    fio_file = os.path.join(directory, "fio")
    add("fio", lambda: common.fio_seconds("write", fio_file, size), own_clock=True)
    small = {"huge_pages": False}
    add(
        "fio, buffers of 4 KiB pages",
        lambda: common.fio_seconds("write", fio_file, size, **small),
        own_clock=True,
    )
    add("tensorbundle", lambda: save(prefix, model.tensors))
    for backend, threads in GRID.items():
        for n in threads:
            options = {"backend": backend, "num_threads": n}
            name = f"  {backend}, {n} thread{'s'[: n != 1]}"
            add(name, lambda options=options: save(prefix, model.tensors, **options))
    add("  snapshot=True", lambda: save(prefix, model.tensors, snapshot=True))
    add("  memory in 4 KiB pages", lambda: save(prefix, scattered.tensors))
    add("  the same, zero_copy=True", lambda: save(prefix, scattered.tensors, zero_copy=True))
    for peer in choose_peers("auto"):
        engine = make_engine(peer, model)
        step = next(s for s in engine.steps(directory) if s.operation == SAVE)
        add(f"{peer} {engine.version}", step.run)
    return cases


def main() -> None:
    options = common.parse_arguments(
        __doc__,
        gb={"type": float, "default": 2.0},
        memory_gb={"type": float, "nargs": "*", "default": [2.0]},
    )
    print(common.machine_line(options.dir), flush=True)
    with common.scratch_in(options.dir) as directory:
        growth = print_memory(options.memory_gb, directory)
        model = common.model_of(common.make_pool(options.gb), options.gb)
        common.warm_memory(2 * model.num_bytes)
        small = common.make_pool(options.gb, huge_pages=False)
        cases = make_cases(model, common.model_of(small, options.gb), directory)
        common.interleave(cases, options.runs)
    title = f"Durable save of {model.num_bytes:,} B in {len(model.tensors)} tensors"
    common.print_cases(f"{title}, {options.runs} runs", cases, cases[2])
    share = cases[0].median / cases[2].median
    print(f"tensorbundle reaches {share:.2f} of fio's rate")
    common.write_json(options.json, cases, options.dir, memory_growth=growth)


if __name__ == "__main__":
    main()

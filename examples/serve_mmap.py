"""Several processes serve one model and hold its weights in memory once, all together.

Each process makes the model without weights, maps the checkpoint and takes the mapped tensors
for weights: the pages are the kernel's page cache, shared by all. A process that writes to a
weight gets its own copy of that page; the file and the others stay as they are.

    python examples/serve_mmap.py --processes 4 --mb 200
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from multiprocessing.synchronize import Barrier
from typing import Any

import torch

import tensorbundle.torch as tbt

WIDTH = 1024  # a layer has 4 MB


def make_model(layers: int) -> torch.nn.Sequential:
    """Make a model of so many square layers."""
    return torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH) for _ in range(layers)))


def mapped_memory(path: str) -> dict[str, int]:
    """Give the megabytes of the checkpoint that this process has, shared and private."""
    found = {"shared": 0, "private": 0}
    is_ours = False
    with open("/proc/self/smaps", encoding="utf-8") as maps:
        for line in maps:
            field, *values = line.split()
            if not field.endswith(":"):  # the first line of a mapping
                is_ours = path in line and ".data-" in line
            elif is_ours and field.startswith(("Shared_", "Private_")):
                kind = "shared" if field.startswith("Shared_") else "private"
                found[kind] += int(values[0])
    return {kind: kilobytes // 1024 for kind, kilobytes in found.items()}


def serve(path: str, layers: int, barrier: Barrier, results: Any) -> None:
    """Map the model, answer a request, and look at the memory while all others have it too."""
    torch.set_num_threads(1)
    with torch.device("meta"):
        model = make_model(layers)
    tbt.load_model(model, path, assign=True, mmap=True)
    with torch.no_grad():
        answer = model(torch.ones(1, WIDTH)).sum().item()
    barrier.wait()
    memory = mapped_memory(path)
    barrier.wait()  # nobody goes before everybody has looked
    results.put({"pid": os.getpid(), "answer": answer, **memory})


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Serve from several processes; give what each of them tells."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--mb", type=int, default=200, help="size of the model")
    options = parser.parse_args(arguments)
    layers = max(1, options.mb // 4)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "model")
        report = tbt.save_model(make_model(layers), path)
        print(f"a model of {report.tensor_bytes / 1e6:.0f} MB, {options.processes} processes")
        barrier, results = context.Barrier(options.processes), context.Queue()
        processes = [
            context.Process(target=serve, args=(path, layers, barrier, results))
            for _ in range(options.processes)
        ]
        for process in processes:
            process.start()
        told = [results.get(timeout=300) for _ in processes]
        for process in processes:
            process.join()
    print("process   answer  shared MB  private MB")
    for row in told:
        print(f"{row['pid']:7} {row['answer']:8.3f} {row['shared']:10} {row['private']:11}")
    return told


if __name__ == "__main__":
    main()

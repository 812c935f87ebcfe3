"""What do saves in the background at every step cost a training loop?

A torch model on the CPU trains without saves, with `save(..., blocking=False)` after every
step, and with a saver that copies beside the next forward pass (`AsyncSaver(overlap=True)`);
each also with `recycle=True`, which writes into the files of checkpoints that were replaced.
The batch is chosen so that a step takes a given multiple of one memcpy of the model. The
writer needs processors too: torch has all of them, or all but one.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from typing import Any

import common
import numpy as np
import torch

import tensorbundle as tb
from tensorbundle.cli.machine import num_processors
from tensorbundle.cli.output import Column, format_seconds, print_table

_LAYERS = 8
HOW: dict[str, dict[str, bool]] = {
    "blocking=False": {},
    "recycle": {"recycle": True},
    "overlap": {"overlap": True},
    "overlap, recycle": {"overlap": True, "recycle": True},
}


class Loop:
    """A multilayer perceptron that learns noise, and what it is saved with."""

    def __init__(self, mb: int, directory: str) -> None:
        width = int((mb * 1e6 / 4 / _LAYERS) ** 0.5)
        layers: list[torch.nn.Module] = []
        for _ in range(_LAYERS):
            layers += [torch.nn.Linear(width, width), torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*layers)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-6)
        self.directory = directory
        self.inputs = torch.randn(1, width)
        self.num_bytes = sum(p.nbytes for p in self.model.parameters())
        self.blocked: list[float] = []

    def copy_seconds(self) -> float:
        """Time one memcpy of the model into memory that has been touched: the best of 9."""
        sources = [p.detach().numpy() for p in self.model.parameters()]
        targets = [np.ones_like(source) for source in sources]
        best = float("inf")
        for _ in range(9):
            start = time.perf_counter()
            for target, source in zip(targets, sources, strict=True):
                np.copyto(target, source)
            best = min(best, time.perf_counter() - start)
        return best

    def fit_batch(self, seconds: float) -> None:
        """Enlarge the batch until a step takes so long."""
        size = 4
        while True:
            self.inputs = torch.randn(size, self.inputs.shape[1])
            self.step()
            taken = min(_time(self.step) for _ in range(3))
            if taken >= seconds:
                return
            size = max(size + 1, int(size * min(seconds / taken, 8) * 1.02))

    def step(self, staged: Any = None) -> None:
        loss = self.model(self.inputs).square().mean()
        loss.backward()
        if staged is not None:
            start = time.perf_counter()
            staged.result()
            self.blocked[-1] += time.perf_counter() - start
        self.optimizer.step()
        self.optimizer.zero_grad()

    def run(self, steps: int, saver: tb.AsyncSaver | None, name: str) -> float:
        """Give the seconds of one step, over `steps` of them, saved under that name."""
        staged = None
        prefix = os.path.join(self.directory, name)
        start = time.perf_counter()
        for number in range(steps):
            self.step(staged)
            if saver is not None:
                began = time.perf_counter()
                handle = saver.save(f"{prefix}-{number % 2}", self.model.state_dict())
                self.blocked.append(time.perf_counter() - began)
                staged = handle.staged
        # The last save ends beside no step, so its rest belongs to none.
        seconds = (time.perf_counter() - start) / steps
        if saver is not None:
            saver.wait()
        return seconds


def _time(function: Any) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    options = common.parse_arguments(
        __doc__,
        mb={"type": int, "default": 100, "help": "size of the model"},
        steps={"type": int, "default": 30, "help": "steps of one run"},
        ratios={"type": float, "nargs": "+", "default": [3.0, 12.0, 30.0],
                "help": "least seconds of a step over those of one memcpy of the model"},
        torch_threads={"type": int, "nargs": "+",
                       "default": sorted({max(1, num_processors() - 1), num_processors()})},
    )  # fmt: skip
    print(common.machine_line(options.dir), flush=True)
    rows, cases = [], []
    with common.scratch_in(options.dir) as directory:
        for threads in options.torch_threads:
            for ratio in options.ratios:
                torch.set_num_threads(threads)
                found = measure(options, directory, threads, ratio)
                rows += found[0]
                cases += found[1]
    titles = ("torch threads", "saves", "step / copy", "step", "loses", "blocked",
              "blocked / copy")  # fmt: skip
    print(
        f"\n{options.mb} MB saved at every step, {options.runs} runs of {options.steps} steps"
    )
    print_table([Column(title, right=i != 1) for i, title in enumerate(titles)], rows)
    common.write_json(options.json, cases, options.dir)


def measure(
    options: Any, directory: str, threads: int, ratio: float
) -> tuple[list[list[str]], list[common.Case]]:
    """Run the three loops in turn; give their rows."""
    loop = Loop(options.mb, directory)
    copy = loop.copy_seconds()
    loop.fit_batch(ratio * copy)
    with ExitStack() as stack:
        savers: dict[str, tb.AsyncSaver | None] = {"none": None}
        for name, how in HOW.items():
            savers[name] = stack.enter_context(tb.AsyncSaver(**how))
        cases = {
            name: common.Case(
                f"{name}, {threads} torch threads, step {ratio:g} copies",
                lambda saver=saver, name=name: loop.run(options.steps, saver, name),
                own_clock=True,
                before=loop.blocked.clear,
                keep=lambda _: float(np.median(loop.blocked)) if loop.blocked else 0.0,
            )
            for name, saver in savers.items()
        }
        common.interleave(list(cases.values()), options.runs)
    alone = cases["none"].median
    rows = []
    for name, case in cases.items():
        if case.failure:
            rows.append([str(threads), name, case.failure, *[""] * 4])
            continue
        blocked = float(np.median(case.notes))
        rows.append([
            str(threads), name, f"{alone / copy:.1f}", format_seconds(case.median),
            f"{1 - alone / case.median:.1%}", format_seconds(blocked), f"{blocked / copy:.2f}",
        ])  # fmt: skip
    return rows, list(cases.values())


if __name__ == "__main__":
    main()

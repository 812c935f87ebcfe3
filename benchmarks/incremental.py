"""What does an incremental save gain when much of a model is frozen, and cost when nothing is?

Durable saves of one model, each after one of the same model in which the first tensors, so
many per cent of its bytes, had the same values. The fingerprints' part is told below the
table.
"""

from __future__ import annotations

import os
import statistics
from typing import Any

import common
import numpy as np

import tensorbundle as tb


def change(model: Any, frozen: float) -> None:
    """Alter one element of each tensor behind the first `frozen` of the model's bytes."""
    seen = 0
    for tensor in model.tensors.values():
        if seen >= frozen * model.num_bytes:
            tensor.reshape(-1)[0] += np.float32(1)
        seen += tensor.nbytes


def make_cases(model: Any, directory: str, shares: list[int]) -> list[common.Case]:
    first, second = os.path.join(directory, "first"), os.path.join(directory, "second")

    def clean() -> None:
        common.remove_files(directory)

    cases = [
        common.Case("save", lambda: tb.save(first, model.tensors), model.num_bytes),
    ]
    cases[0].after = clean
    for percent in shares:

        def prepare(percent: int = percent) -> None:
            tb.save(first, model.tensors, incremental=True)
            change(model, percent / 100)

        case = common.Case(
            f"incremental, {percent} % frozen",
            lambda: tb.save(second, model.tensors, incremental=first),
            model.num_bytes,
        )
        case.before, case.after = prepare, clean
        case.keep = lambda report: (report.stages.fingerprint, report.written_bytes)
        cases.append(case)
    return cases


def main() -> None:
    options = common.parse_arguments(
        __doc__,
        gb={"type": float, "default": 2.0},
        frozen={"type": int, "nargs": "+", "default": [0, 50, 90, 100]},
    )
    print(common.machine_line(options.dir), flush=True)
    with common.scratch_in(options.dir) as directory:
        model = common.model_of(common.make_pool(options.gb), options.gb)
        common.warm_memory(2 * model.num_bytes)
        cases = make_cases(model, directory, options.frozen)
        common.interleave(cases, options.runs)
    title = f"{model.num_bytes:,} B in {len(model.tensors)} tensors, {options.runs} runs"
    common.print_cases(f"Durable save, {title}", cases, cases[0])
    print()
    for case in cases[1:]:
        if case.notes:
            seconds = statistics.median(note[0] for note in case.notes)
            written = case.notes[-1][1]
            share = 100 * written / model.num_bytes
            print(
                f"{case.name}: fingerprints {seconds:.3f} s, wrote {share:.1f} % of the bytes"
            )
    common.write_json(options.json, cases, options.dir)


if __name__ == "__main__":
    main()

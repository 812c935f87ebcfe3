"""How fast are two checkpoints compared by their indexes?

Two durable saves of the same model, one tensor of the second changed. The function in this
process, and the command, whose time is mostly the start of Python. Warm; no data file is
opened. With values, everything that has another checksum is read: here that one tensor.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import common
import numpy as np

import tensorbundle as tb


def save_pair(model: Any, directory: str) -> tuple[str, str]:
    """Save a model, and once more with one element changed; give both prefixes."""
    first, second = (os.path.join(directory, name) for name in "ab")
    tb.save(first, model.tensors)
    name = next(iter(model.tensors))
    changed = np.array(model.tensors[name])
    changed.flat[0] += 1
    tb.save(second, {**model.tensors, name: changed})
    return first, second


def make_cases(first: str, second: str) -> list[common.Case]:
    """Give the function, the same with values, and the command."""

    def command() -> None:
        arguments = [sys.executable, "-m", "tensorbundle", "diff", first, second]
        done = subprocess.run(arguments, stdout=subprocess.DEVNULL, check=False)
        assert done.returncode == 1, done.returncode

    return [
        common.Case("tb.diff", lambda: tb.diff(first, second)),
        common.Case("tb.diff, values=True", lambda: tb.diff(first, second, values=True)),
        common.Case("tensorbundle diff", command),
    ]


def main() -> None:
    options = common.parse_arguments(
        __doc__,
        gb={"type": float, "default": 2.0},
    )
    print(common.machine_line(options.dir), flush=True)
    with common.scratch_in(options.dir) as directory:
        model = common.model_of(common.make_pool(options.gb), options.gb)
        cases = make_cases(*save_pair(model, directory))
        common.interleave(cases, options.runs)
    title = f"{model.num_bytes:,} B in {len(model.tensors)} tensors, {options.runs} runs"
    common.print_cases(f"Two checkpoints compared, warm, {title}", cases, cases[0])
    common.write_json(options.json, cases, options.dir)


if __name__ == "__main__":
    main()

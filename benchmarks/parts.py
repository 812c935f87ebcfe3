"""What do streaming, parts and slices cost, beside a save and a load of whole tensors?

One model is saved at once, tensor by tensor, and with every large tensor in parts; then
read from each of these files. Slices are read cold: the disk's bytes are those that the
system counted for the process. Last, one tensor in very many parts, which come in no order.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import common
import numpy as np

import tensorbundle as tb

_PARTS = 4
_MIN_ROWS = 64


def in_parts(array: np.ndarray[Any, Any], axis: int) -> Any:
    """Cut a matrix in four along an axis; leave small tensors whole."""
    if array.ndim < 2 or min(array.shape) < _MIN_ROWS:
        return array
    parts, begin = [], 0
    for piece in np.array_split(array, _PARTS, axis):
        parts.append(((begin, 0) if axis == 0 else (0, begin), piece))
        begin += piece.shape[axis]
    return tb.Partitioned(array.shape, parts)


def stream(prefix: str, tensors: dict[str, Any]) -> None:
    """Save tensor by tensor."""
    with tb.Writer(prefix) as writer:
        for name, array in tensors.items():
            writer.add(name, array)


def save_cases(tensors: dict[str, Any], size: int, directory: str) -> list[common.Case]:
    """Give durable saves of one model; what each leaves is read later."""
    rows = {name: in_parts(array, 0) for name, array in tensors.items()}
    columns = {name: in_parts(array, 1) for name, array in tensors.items()}

    def at(name: str) -> str:
        return os.path.join(directory, name)

    def case(title: str, name: str, run: Any) -> common.Case:
        # Replacing what the last run left would be measured, too.
        def remove() -> None:
            if tb.checkpoint_exists(at(name)):
                tb.remove_checkpoint(at(name))

        return common.Case(title, lambda: run(at(name)), size, before=remove)

    return [
        case("save", "whole", lambda prefix: tb.save(prefix, tensors)),
        case("Writer", "streamed", lambda prefix: stream(prefix, tensors)),
        case("save, rows in 4 parts", "rows", lambda prefix: tb.save(prefix, rows)),
        case("save, columns in 4 parts", "columns", lambda prefix: tb.save(prefix, columns)),
    ]


def load_cases(size: int, directory: str) -> list[common.Case]:
    """Give warm, verified loads of what was saved."""

    def case(title: str, name: str) -> common.Case:
        return common.Case(title, lambda: tb.load(os.path.join(directory, name)), size)

    return [
        case("load", "whole"),
        case("load, rows in parts", "rows"),
        case("load, columns in parts", "columns"),
    ]


def many_parts_cases(number: int, directory: str) -> list[common.Case]:
    """Give a durable save of a tensor whose rows are its parts, and reads of it."""
    prefix = os.path.join(directory, "many")
    row = np.ones((1, 16), np.float32)
    order = np.random.default_rng(0).permutation(number).tolist()

    def save() -> None:
        with tb.Writer(prefix) as writer:
            for i in order:
                writer.add_slice("table", (number, 16), (i, 0), row)

    return [
        common.Case("Writer, part by part", save),
        common.Case("load", lambda: tb.load(prefix)),
        common.Case("one row", lambda: tb.open(prefix).read_slice("table", number // 2)),
    ]


def read_bytes() -> int:
    """Give the bytes that the disk has moved for this process."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def print_slices(shape: tuple[int, int], directory: str) -> list[int]:
    """Save one matrix whole, drop it from the page cache, and read slices of it."""
    prefix = os.path.join(directory, "matrix")
    row = np.random.default_rng(0).standard_normal(shape[1], dtype=np.float32)
    with tb.Writer(prefix) as writer:  # one tensor, without the memory for it
        writer.add("matrix", np.broadcast_to(row, shape))
    size = 4 * shape[0] * shape[1]
    print(f"\nSlices of one unsliced float32 matrix {shape}, {size:,} B")
    moved = []
    for title, index in (
        ("one row", np.s_[shape[0] // 2]),
        ("ten rows", np.s_[1000:1010]),
        ("a square of 100 x 100", np.s_[500:600, 7:107]),
    ):
        common.sync(directory)
        common.drop_cache(directory)
        bundle = tb.open(prefix)
        bundle.entry("matrix")
        before = read_bytes()
        part = bundle.read_slice("matrix", index)
        moved.append(read_bytes() - before)
        print(f"{title:22} {part.nbytes:>12,} B wanted  {moved[-1]:>12,} B from the disk")
    return moved


def main() -> None:
    options = common.parse_arguments(
        __doc__,
        gb={"type": float, "default": 2.0},
        parts={"type": int, "default": 100_000},
    )
    print(common.machine_line(options.dir), flush=True)
    model = common.model_of(common.make_pool(options.gb), options.gb)
    with common.scratch_in(options.dir) as directory:
        saves = save_cases(model.tensors, model.num_bytes, directory)
        common.interleave(saves, options.runs)
        loads = load_cases(model.num_bytes, directory)
        common.interleave(loads, options.runs)
        common.remove_files(directory)
        many = many_parts_cases(options.parts, directory)
        common.interleave(many, options.runs)
        common.remove_files(directory)
        moved = print_slices((int(options.gb * 1e9) // (4 * 8192), 8192), directory)
    title = f"{options.gb:g} GB, {options.runs} runs"
    common.print_cases(f"Durable save, {title}", saves, saves[0])
    common.print_cases(f"Load, warm and verified, {title}", loads, loads[0])
    common.print_cases(
        f"One tensor in {options.parts:,} parts, {options.runs} runs", many, many[0]
    )
    common.write_json(options.json, [*saves, *loads, *many], options.dir, slice_bytes=moved)


if __name__ == "__main__":
    main()

"""How long does it take to merge many checkpoints into one, beside TensorFlow?

256 of 1,000 tensors of 1 KiB by default. Ours is durable when it returns; TensorFlow's
MergeV2Checkpoints renames, and syncs nothing. It uses its sources up, as
``delete_sources=True`` does, so both get hard links of them, made outside the timed part.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import common
import numpy as np

import tensorbundle as tb


def make_sources(directory: str, bundles: int, tensors: int) -> list[str]:
    """Save the checkpoints; names of neighbours in the index are of different ones."""
    values = np.random.default_rng(0).standard_normal((tensors, 256), dtype=np.float32)
    prefixes = []
    for i in range(bundles):
        prefixes.append(os.path.join(directory, f"part-{i:05}"))
        named = {f"layer_{k:05}/shard_{i:05}": values[k] for k in range(tensors)}
        tb.save(prefixes[-1], named)
    return prefixes


def link_files(source: str, target: str) -> None:
    """Give every file of one directory a second name in the other, emptied before."""
    common.remove_files(target)
    for path in Path(source).iterdir():
        os.link(path, os.path.join(target, path.name))
    common.sync(target)


def make_cases(directory: str, prefixes: list[str]) -> list[common.Case]:
    kept, work = os.path.dirname(prefixes[0]), os.path.join(directory, "work")
    os.mkdir(work)
    used_up = [os.path.join(work, os.path.basename(prefix)) for prefix in prefixes]
    destination = os.path.join(work, "merged")

    def prepare() -> None:
        link_files(kept, work)

    def note(report: Any) -> tuple[int, int]:
        return report.linked_bytes, report.copied_bytes

    cases = [
        common.Case("merge", lambda: tb.merge(prefixes, destination), keep=note),
        common.Case(
            "merge, delete_sources=True",
            lambda: tb.merge(used_up, destination, delete_sources=True),
            keep=note,
        ),
    ]
    try:
        import tensorflow as tf
    except ImportError:
        cases.append(common.Case("TF MergeV2Checkpoints", lambda: None))
        cases[-1].failure = "not installed"
    else:

        def merge_v2() -> None:
            tf.raw_ops.MergeV2Checkpoints(
                checkpoint_prefixes=used_up, destination_prefix=destination
            )

        cases.append(common.Case("TF MergeV2Checkpoints", merge_v2))
    for case in cases:
        case.before = prepare
    return cases


def main() -> None:
    options = common.parse_arguments(
        __doc__,
        bundles={"type": int, "default": 256},
        tensors={"type": int, "default": 1000},
    )
    print(common.machine_line(options.dir), flush=True)
    with common.scratch_in(options.dir) as directory:
        sources = os.path.join(directory, "sources")
        os.mkdir(sources)
        prefixes = make_sources(sources, options.bundles, options.tensors)
        cases = make_cases(directory, prefixes)
        common.interleave(cases, options.runs)
    linked, copied = cases[0].notes[-1]
    print(f"\nlinked {linked:,} B of data, copied {copied:,} B")
    title = f"Merge of {options.bundles} checkpoints of {options.tensors:,} tensors each"
    common.print_cases(f"{title}, {options.runs} runs", cases, cases[0])
    common.write_json(options.json, cases, options.dir, linked=linked, copied=copied)


if __name__ == "__main__":
    main()

"""``tensorbundle verify``: every byte of a checkpoint against its checksums."""

from __future__ import annotations

import argparse

from tensorbundle.bundle import verify
from tensorbundle.cli.errors import DAMAGED, OK, UNUSABLE
from tensorbundle.cli.output import (
    byte_progress,
    count,
    escape,
    format_bytes,
    format_seconds,
    print_json,
)
from tensorbundle.cli.prefix import newest_of, resolve_prefix
from tensorbundle.reports import Fault, VerifyReport

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Verify a checkpoint; give the exit status.

    That of a checkpoint in which nothing is damaged, but something cannot be checked,
    is neither "OK" nor "damaged": 2.
    """
    prefix = resolve_prefix(arguments.prefix)
    with byte_progress(f"verifying {prefix}") as progress:
        report = verify(prefix, num_threads=arguments.threads, progress=progress)
    if arguments.json:
        print_json({"ok": report.ok, **report.as_dict()})
    else:
        for fault in report.faults:
            print(f"DAMAGED {_line(fault)}")
        for fault in report.unchecked:
            print(f"not checked {_line(fault)}")
        print(_summary(report, newest_of(arguments.prefix, prefix)))
    if report.faults:
        return DAMAGED
    return UNUSABLE if report.unchecked else OK


def _line(fault: Fault) -> str:
    # The message names path, tensor, shard and offset.
    if fault.begin is None or fault.end is None or fault.begin == fault.end:
        return f"{escape(fault.message)} ({fault.code})"
    return f"{escape(fault.message)}, bytes [{fault.begin}, {fault.end}) ({fault.code})"


def _summary(report: VerifyReport, newest: str) -> str:
    tensors = newest + count(report.num_tensors, "tensor")
    read = (
        f"{format_bytes(report.tensor_bytes)} in {format_seconds(report.seconds)} "
        f"({report.gb_per_second:.2f} GB/s)"
    )
    parts = []
    if report.faults:
        parts.append(f"{len(report.faults):,} damaged")
    if report.unchecked:
        parts.append(f"{len(report.unchecked):,} not checked")
    if not parts:
        return f"OK: {tensors}, {read}"
    return f"NOT OK: {tensors}, {', '.join(parts)}, {read}"

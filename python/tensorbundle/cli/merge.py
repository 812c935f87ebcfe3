"""``tensorbundle merge``: one checkpoint of several."""

from __future__ import annotations

import argparse

from tensorbundle.cli.errors import OK, UNUSABLE
from tensorbundle.cli.output import (
    byte_progress,
    count,
    escape,
    format_seconds,
    linked_and_copied,
    print_json,
)
from tensorbundle.cli.prefix import check_destination, resolve_prefix
from tensorbundle.merging import merge
from tensorbundle.reports import MergeReport

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Merge checkpoints; give the exit status: 2 where a source could not be removed."""
    sources = [resolve_prefix(source) for source in arguments.sources]
    destination = check_destination(
        arguments.destination,
        overwrite=arguments.overwrite,
        sources=sources,
        advice="the first argument is where the merged checkpoint is written",
    )
    with byte_progress(f"merging into {destination}") as progress:
        report = merge(
            sources,
            destination,
            delete_sources=arguments.delete_sources,
            allow_missing=arguments.allow_missing,
            progress=progress,
        )
    if arguments.json:
        print_json(report.as_dict())
    else:
        _print(report)
    return UNUSABLE if report.remains else OK


def _print(report: MergeReport) -> None:
    for prefix in report.missing:
        print(f"missing {escape(prefix)}")
    print(
        f"{escape(report.prefix)}: {count(report.num_tensors, 'tensor')} in "
        f"{count(report.num_shards, 'data file')}, {linked_and_copied(report)}, "
        f"in {format_seconds(report.seconds)}"
    )
    for remaining in report.remains:
        print(f"not removed {escape(remaining)}")

"""``tensorbundle rename``: other names for tensors, by regular expressions."""

from __future__ import annotations

import argparse
import sys

from tensorbundle.cli.errors import OK
from tensorbundle.cli.output import (
    byte_progress,
    count,
    escape,
    linked_and_copied,
    print_json,
    shown_name,
)
from tensorbundle.cli.prefix import check_destination, newest_of, resolve_prefix
from tensorbundle.cli.substitution import substitute
from tensorbundle.renaming import RenameReport, rename

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Rename tensors; give the exit status."""
    names = substitute(arguments.rules)
    prefix = resolve_prefix(arguments.prefix)
    output = arguments.output
    if output is not None:
        check_destination(output, overwrite=arguments.overwrite, sources=[prefix])
    with byte_progress(f"renaming {prefix}") as progress:
        report = rename(
            prefix,
            names,
            output=output,
            dry_run=arguments.dry_run,
            progress=progress,
        )
    if arguments.json:
        print_json(report.as_dict())
    else:
        _print(report, newest_of(arguments.prefix, prefix))
    if report.lost_to_objects:
        print(_warning(report), file=sys.stderr)
    return OK


def _print(report: RenameReport, newest: str) -> None:
    for old, new in report.renamed:
        print(f"{shown_name(old)} -> {shown_name(new)}")
    would = "would be " if report.dry_run else ""
    told = f"{len(report.renamed):,} of {count(report.num_tensors, 'tensor')} {would}renamed"
    if report.output is not None:
        told += f" in {escape(report.output)}"
        if not report.dry_run:
            told += f", {linked_and_copied(report)}"
    print(newest + told)


def _warning(report: RenameReport) -> str:
    return (
        f"tensorbundle: warning: the object graph knows {len(report.lost_to_objects):,} of "
        "them by their old names, so that tf.train.Checkpoint and tensorbundle.Checkpoint "
        "will not find them; what restores by names will"
    )

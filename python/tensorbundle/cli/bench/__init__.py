"""``tensorbundle bench``: what a disk does with a checkpoint, and what limits it."""

from __future__ import annotations

import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Run the command. Imported here, so that its arguments alone cost nothing."""
    from tensorbundle.cli.bench.command import run as run_command

    return run_command(arguments)

"""The ``tensorbundle`` command: its arguments, and what every command has in common.

Exit status: 0 all well, 1 damage found, 2 wrong usage or surroundings, 130 Ctrl-C.
Commands are imported when called, so that each pays only for what it needs.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from tensorbundle.cli.argument_types import positive, tolerance
from tensorbundle.cli.bench.arguments import add_bench, add_doctor
from tensorbundle.cli.errors import (
    EXPECTED,
    INTERRUPTED,
    OK,
    PIPE_CLOSED,
    UNUSABLE,
    as_json,
    exit_status,
    message_of,
)
from tensorbundle.cli.output import escape, print_json
from tensorbundle.cli.parsers import CommandParser, Parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv
        Its arguments, without the program's name; ``None`` means ``sys.argv[1:]``.

    Returns
    -------
    int
        The exit status.
    """
    _make_output_forgiving()
    given = sys.argv[1:] if argv is None else list(argv)
    try:
        status = _dispatch(given)
        if sys.stdout is not None:
            sys.stdout.flush()
    except SystemExit as leaving:  # argparse, having printed what it had to say
        return leaving.code if isinstance(leaving.code, int) else UNUSABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _settle_output()
        return PIPE_CLOSED
    except EXPECTED as error:
        if "--json" in given and sys.stdout is not None:
            with contextlib.suppress(OSError):  # which may be the failure
                print_json(as_json(error))
        _settle_output()
        _print_error(message_of(error))
        return exit_status(error)
    return status


def _dispatch(given: list[str]) -> int:
    parser = _make_parser()
    arguments = parser.parse_args(given)
    if arguments.version:
        return _print_version()
    if arguments.command is None:
        parser.error(
            "a command is needed: ls, cat, verify, diff, rename, merge, demo, bench or doctor"
        )
    # The module of the command's name: argparse has checked that it is one of them.
    command = importlib.import_module(f"tensorbundle.cli.{arguments.command}")
    return int(command.run(arguments))


def _print_version() -> int:
    from tensorbundle.core import _core

    info = _core.build_info()
    print(f"tensorbundle {info['version']} ({info['compiler']}, crc32c {info['crc32c']})")
    return OK


def _print_error(message: str) -> None:
    print(f"tensorbundle: error: {escape(message)}", file=sys.stderr)


def _make_output_forgiving() -> None:
    # A name the terminal's encoding lacks must not end the listing.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _settle_output() -> None:
    """Write what is still buffered; where that fails, keep Python from trying again."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="tensorbundle",
        description="Checkpoints in TensorFlow's V2 format: see, check, compare, rename, "
        "merge, measure. 'tensorbundle COMMAND --help' tells more.",
        epilog="exit status: 0 all well, 1 damage found (diff: they differ), 2 wrong usage or "
        "surroundings",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", parser_class=CommandParser
    )
    _add_ls(commands)
    _add_cat(commands)
    _add_verify(commands)
    _add_diff(commands)
    _add_rename(commands)
    _add_merge(commands)
    _add_demo(commands)
    add_bench(commands)
    add_doctor(commands)
    return parser


_PREFIX_HELP = "the checkpoint's path without suffix, or a directory: its newest checkpoint"


def _add_ls(commands: Any) -> None:
    parser = commands.add_parser("ls", help="list tensors")
    parser.add_argument("prefix", metavar="PREFIX", help=_PREFIX_HELP)
    parser.add_argument(
        "patterns", nargs="*", default=[], metavar="PATTERN",
        help="only names that match one of these shell globs; * matches / too",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--sort", choices=("name", "size", "shape", "dtype", "offset"), default="name",
        help="order of the rows, the least first (default: %(default)s, by its bytes)",
    )  # fmt: skip
    parser.add_argument("--reverse", action="store_true", help="turn the order round")


def _add_cat(commands: Any) -> None:
    parser = commands.add_parser("cat", help="print one tensor, or a slice of it")
    parser.add_argument("prefix", metavar="PREFIX", help=_PREFIX_HELP)
    parser.add_argument(
        "tensor",
        metavar="NAME[SLICE]",
        help="a tensor, or a slice of it as in NumPy: 'dense/kernel[0:10, -1]'",
    )
    parser.add_argument(
        "--npy", metavar="FILE", help="write it to a .npy file instead; - is standard output"
    )
    parser.add_argument("--full", action="store_true", help="print every element")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--verify", action=argparse.BooleanOptionalAction, default=None,
        help="compare the checksum, which reads the whole tensor (default: not of a slice, "
        "but for parts that are wholly in it); --no-verify shows damaged ones",
    )  # fmt: skip


def _add_verify(commands: Any) -> None:
    parser = commands.add_parser("verify", help="read everything and compare all checksums")
    parser.add_argument("prefix", metavar="PREFIX", help=_PREFIX_HELP)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="that read and compare (default: one per processor)",
    )


def _add_diff(commands: Any) -> None:
    parser = commands.add_parser(
        "diff",
        help="compare two checkpoints by their indexes, or by their values",
        epilog="exit status: 0 they are the same, 1 they differ, 2 trouble",
    )
    parser.add_argument("a", metavar="A", help=_PREFIX_HELP)
    parser.add_argument("b", metavar="B", help="the checkpoint to compare it with")
    parser.add_argument(
        "--values", action="store_true",
        help="compare the numbers of tensors that the checksums do not tell to be the same",
    )  # fmt: skip
    parser.add_argument(
        "--rtol", type=tolerance, default=0.0, metavar="R",
        help="with --values: numbers are the same where |a - b| <= ATOL + RTOL * |b|",
    )  # fmt: skip
    parser.add_argument("--atol", type=tolerance, default=0.0, metavar="A", help="see --rtol")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_rename(commands: Any) -> None:
    parser = commands.add_parser(
        "rename",
        help="give tensors other names, in place; writes the index anew, and no data",
        epilog="example: tensorbundle rename run/ckpt 's|^model/||' 's/kernel$/weight/'",
    )
    parser.add_argument("prefix", metavar="PREFIX", help=_PREFIX_HELP)
    parser.add_argument(
        "rules", nargs="+", metavar="RULE",
        help="s/REGEX/REPLACEMENT/[gi] as in sed -E: \\1 is a group, & the match; in turn",
    )  # fmt: skip
    parser.add_argument(
        "--output", metavar="NEW",
        help="leave it as it is; write the renamed checkpoint at the prefix NEW, with hard "
        "links of the data files",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="with --output: replace what is there"
    )
    parser.add_argument("--dry-run", action="store_true", help="show it, but write nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_merge(commands: Any) -> None:
    parser = commands.add_parser(
        "merge",
        help="make one checkpoint of several, without copying their tensors",
        epilog="example: tensorbundle merge run/ckpt run/part-0 run/part-1",
    )
    parser.add_argument(
        "destination", metavar="DEST", help="the prefix of the merged checkpoint, given first"
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=_PREFIX_HELP)
    parser.add_argument(
        "--overwrite", action="store_true",
        help="replace a checkpoint that is at DEST (not needed where it is a SOURCE too)",
    )  # fmt: skip
    parser.add_argument(
        "--delete-sources", action="store_true",
        help="remove the sources, but for DEST, once the merged checkpoint is on the device",
    )  # fmt: skip
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="pass over sources that do not exist; one must",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_demo(commands: Any) -> None:
    parser = commands.add_parser(
        "demo", help="save, load and map a large model; compare with what else is installed"
    )
    parser.add_argument(
        "--gb",
        type=float,
        default=2.0,
        help="size of the model, in 1e9 bytes (default: %(default)s)",
    )
    parser.add_argument(
        "--dir", default=".", help="where to write; all is removed again (default: here)"
    )
    parser.add_argument(
        "--runs",
        type=positive,
        default=3,
        metavar="N",
        help="of each, interleaved (default: %(default)s)",
    )
    parser.add_argument(
        "--peers", default="auto", metavar="auto|none|LIST",
        help="compare with: torch,safetensors,tensorflow (default: those installed)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")

"""The arguments of ``bench`` and ``doctor``. Every command imports it: it imports little."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, TypeVar

from tensorbundle.cli.argument_types import positive

__all__ = ["add_bench", "add_doctor"]

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

T = TypeVar("T")


def add_bench(commands: Any) -> None:
    """Add ``bench``."""
    parser = commands.add_parser(
        "bench", help="measure what a disk does with a checkpoint, and what limits it",
        epilog="lists have commas: --threads 1,2,4. Where any of --shards, --threads, "
        "--block-sizes and --queue-depths is given, all combinations are run; else one at a "
        "time is changed.",
    )  # fmt: skip
    parser.add_argument(
        "paths", nargs="*", metavar="PATH",
        help="directories to measure; what is written is removed again (default: here)",
    )  # fmt: skip
    _add_what(parser)
    _add_how(parser)
    _add_outputs(parser)


def _add_what(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is saved and loaded")
    group.add_argument(
        "--gb", type=_list_of(_size_in_gb), metavar="LIST",
        help="sizes of a model like Llama, in 1e9 bytes, of which the largest is run with all "
        "settings (default: 1 and less; none with --models)",
    )  # fmt: skip
    group.add_argument(
        "--models", type=_list_of(str), metavar="LIST",
        help="real models' shapes: llama-8b-shard, resnet50, many-small",
    )  # fmt: skip
    group.add_argument(
        "--operations", type=_list_of(str), metavar="LIST",
        help="of: save, cold-load, warm-load, map, first-tensor (default: all)",
    )  # fmt: skip
    group.add_argument(
        "--backends", type=_list_of(str), metavar="LIST",
        help="of: buffered, direct, uring, memory (default: all that the path supports)",
    )  # fmt: skip
    group.add_argument(
        "--shards", type=_list_of(positive), metavar="LIST", help="data files per checkpoint"
    )
    group.add_argument(
        "--threads", type=_list_of(positive), metavar="LIST", help="that save and load"
    )
    group.add_argument(
        "--block-sizes", type=_list_of(_block_size), metavar="LIST",
        help="bytes per request: multiples of 64k; k, m and g are powers of 1024",
    )  # fmt: skip
    group.add_argument(
        "--queue-depths", type=_list_of(positive), metavar="LIST",
        help="requests in flight per thread, of uring",
    )  # fmt: skip


def _add_how(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it is measured")
    group.add_argument(
        "--runs", type=positive, default=3, metavar="N",
        help="of each, interleaved (default: %(default)s; fewer call nothing faster)",
    )  # fmt: skip
    group.add_argument(
        "--minutes", type=float, default=5.0,
        help="begin no round that would end later (default: %(default)g)",
    )  # fmt: skip
    group.add_argument(
        "--wait", type=float, default=1.0, metavar="SECONDS",
        help="for other programs, before each run, at most (default: %(default)g)",
    )  # fmt: skip
    group.add_argument(
        "--peers", nargs="?", const="auto", default="none", metavar="LIST",
        help="compare with torch,safetensors,tensorflow,dcp,orbax, or those installed; "
        "give PATH first",
    )  # fmt: skip
    group.add_argument("--fio", action="store_true", help="measure fio's floor too")


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what comes out")
    group.add_argument("--json", action="store_true", help="print one JSON object")
    group.add_argument(
        "--html", metavar="FILE", help="write a page with plots, which needs plotly"
    )
    group.add_argument(
        "--recommend",
        metavar="FILE",
        help="write the best settings of one PATH, for config= of tensorbundle.save and load",
    )
    group.add_argument(
        "--compare", nargs=2, metavar=("BEFORE", "AFTER"),
        help="measure nothing: show two files of --json output side by side",
    )  # fmt: skip


def add_doctor(commands: Any) -> None:
    """Add ``doctor``."""
    parser = commands.add_parser(
        "doctor", help="tell what a directory can do, and which backend is taken there"
    )
    parser.add_argument(
        "path", nargs="?", default=".", metavar="PATH", help="a directory (default: here)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _list_of(item: Callable[[str], T]) -> Callable[[str], list[T]]:
    def parse(text: str) -> list[T]:
        return list(dict.fromkeys(item(part.strip()) for part in text.split(",")))

    return parse


def _size_in_gb(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number of GB, not {text!r}") from None


def _block_size(text: str) -> int:
    number = text.lower().removesuffix("ib").rstrip("kmg")
    unit = text.lower().removesuffix("ib")[len(number) :]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or len(number) > 12:
        raise argparse.ArgumentTypeError(f"must be a size like 4m, not {text!r}")
    size = int(number) * _UNITS[unit]
    if size == 0 or size % (64 << 10) or size > 1 << 30:
        raise argparse.ArgumentTypeError(f"must be a multiple of 64k up to 1g, not {text!r}")
    return size

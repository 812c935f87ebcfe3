"""``tensorbundle bench``: checks everything, measures, and hands the result on."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence

from tensorbundle.cli.bench import compare, places, recommend, report, workloads
from tensorbundle.cli.bench.fio import has_fio
from tensorbundle.cli.bench.grid import BACKENDS, Lists
from tensorbundle.cli.bench.results import OPERATIONS, Place, Result, read_result
from tensorbundle.cli.bench.runner import Plan, Runner
from tensorbundle.cli.bench.workloads import Workload
from tensorbundle.cli.errors import OK, UNUSABLE, CommandError
from tensorbundle.cli.machine import machine
from tensorbundle.cli.memory import make_pool
from tensorbundle.cli.model import LEAST_GB
from tensorbundle.cli.output import format_bytes, print_json, step_progress
from tensorbundle.cli.peers import ALL_PEERS, choose_peers
from tensorbundle.cli.scratch import scratch_directories

__all__ = ["run"]

_DEFAULT_GB = 1.0
# Of the default size, to show how time grows with it.
_SMALLER = (1 / 16, 1 / 4)
# In memory at once: the model, what was loaded, files in memory, and what a peer copies.
_MEMORY_COPIES = 3


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; give the exit status. Leaves nothing but what was asked for."""
    if arguments.compare:
        before, after = (read_result(path) for path in arguments.compare)
        names = tuple(arguments.compare)
        if arguments.json:
            print_json(compare.as_json(before, after, names))
        else:
            compare.print_comparison(before, after, names)
        return OK
    plan = _plan(arguments)
    measured = [places.probe(path, _backends(arguments)) for path in arguments.paths or ["."]]
    _require(arguments, plan, measured)
    _require_unlike(measured)
    result = _measure(plan, measured)
    _hand_on(arguments, result)
    return UNUSABLE if report.failed_own(result) else OK


def _plan(arguments: argparse.Namespace) -> Plan:
    """Check what was asked for, before anything is looked at."""
    operations = arguments.operations or list(OPERATIONS)
    for name in operations:
        if name not in OPERATIONS:
            raise CommandError(f"--operations: {name!r} is none of {', '.join(OPERATIONS)}")
    for name, value in (("--minutes", arguments.minutes), ("--wait", arguments.wait)):
        if not math.isfinite(value) or value < 0:
            raise CommandError(f"{name} must be a number from 0 on, not {value:g}")
    peers = choose_peers(arguments.peers, ALL_PEERS)
    if arguments.peers == "auto" and not peers:
        raise CommandError(f"--peers: none of {', '.join(ALL_PEERS)} is installed")
    if arguments.fio and not has_fio():
        raise CommandError("--fio: fio is not installed (Debian: apt-get install fio)")
    _backends(arguments)
    main, sizes = _workloads(arguments)
    return Plan(
        workloads=main,
        sizes=sizes,
        lists=Lists(
            arguments.backends, arguments.shards, arguments.threads,
            arguments.block_sizes, arguments.queue_depths,
        ),
        operations=operations,
        peers=peers,
        fio=arguments.fio,
        runs=arguments.runs,
        most_seconds=arguments.minutes * 60,
        wait=arguments.wait,
    )  # fmt: skip


def _backends(arguments: argparse.Namespace) -> Sequence[str]:
    for name in arguments.backends or ():
        if name not in BACKENDS:
            raise CommandError(f"--backends: {name!r} is none of {', '.join(BACKENDS)}")
    return arguments.backends or BACKENDS


def _workloads(arguments: argparse.Namespace) -> tuple[list[Workload], list[Workload]]:
    """Give what everything is run on, and what shows how time grows with size.

    Of several sizes the largest is run in full.
    """
    models = [workloads.named(name) for name in arguments.models or ()]
    asked = sorted(arguments.gb or ([] if models else [_DEFAULT_GB]), reverse=True)
    sizes = [workloads.of_size(gb) for gb in asked]
    if arguments.gb is None and sizes:
        smaller = [_DEFAULT_GB * share for share in _SMALLER]
        sizes += [workloads.of_size(gb) for gb in smaller if gb >= LEAST_GB]
    return [*models, *sizes[:1]], sizes[1:]


def _require(arguments: argparse.Namespace, plan: Plan, measured: Sequence[Place]) -> None:
    """Refuse what cannot end well: too little room, no plotting, nowhere to write."""
    largest = max(workload.pool_bytes for workload in plan.workloads)
    for place in measured:
        places.require_disk(place, largest)
    copies = _MEMORY_COPIES + ("tensorflow" in plan.peers)
    places.require_memory(measured, largest, copies)
    if arguments.html:
        from tensorbundle.cli.bench.page import require_plotting

        require_plotting()
    if arguments.recommend and len(measured) != 1:
        raise CommandError("--recommend writes the settings of one PATH; give one")
    for option, path in (("--html", arguments.html), ("--recommend", arguments.recommend)):
        if path and not os.access(os.path.dirname(os.path.abspath(path)), os.W_OK):
            raise CommandError(f"{option}: {path}: its directory cannot be written to")


def _require_unlike(measured: Sequence[Place]) -> None:
    paths = [place.path for place in measured]
    for path in paths:
        if paths.count(path) > 1:
            raise CommandError(f"{path}: given twice")


def _measure(plan: Plan, measured: Sequence[Place]) -> Result:
    with scratch_directories([place.path for place in measured], "bench") as directories:
        every = (*plan.workloads, *plan.sizes)
        largest = max(workload.pool_bytes for workload in every)
        # The number of steps is known once it is known what a cache can do.
        with step_progress(1 + len(measured)) as begin:
            begin(f"making {format_bytes(largest)} of random data")
            runner = Runner(plan, make_pool(largest))
            for place, directory in zip(measured, directories, strict=True):
                begin(f"{place.path}: warming memory and page cache")
                slot = runner.prepare(place, directory)
                runner.add(place, slot)
        with step_progress(plan.runs * runner.num_cases) as begin:
            rows = runner.run(begin)
    result = Result(machine(), list(measured), rows, plan.runs)
    result.analyse()
    return result


def _hand_on(arguments: argparse.Namespace, result: Result) -> None:
    if arguments.json:
        print_json(result.as_dict())
    else:
        report.print_result(result)
    if arguments.html:
        from tensorbundle.cli.bench.page import write_page

        write_page(result, arguments.html)
    if arguments.recommend:
        place = result.places[0]
        text = recommend.to_toml(recommend.best(result, place), place)
        with open(arguments.recommend, "w", encoding="utf-8") as file:
            file.write(text)

"""``tensorbundle demo``: the main job, measured, beside what else is installed."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import os
import shutil
import time
from typing import Any

import numpy as np

from tensorbundle.available_memory import available_memory
from tensorbundle.cli.demo_report import Measurements, print_measurements
from tensorbundle.cli.errors import OK, CommandError
from tensorbundle.cli.files import fill_cache, sync
from tensorbundle.cli.model import LEAST_GB, MOST_GB, Model, make_model
from tensorbundle.cli.output import format_bytes, step_progress
from tensorbundle.cli.peers import OWN, choose_peers, make_engine
from tensorbundle.cli.scratch import scratch_directories
from tensorbundle.cli.steps import LOAD, MAP, SAVE, Engine

__all__ = ["run"]

# Checkpoints on the disk at once: one, and what its file system has not freed yet.
_DISK_COPIES = 2
# Models in memory at once: the one saved and one loaded, with half a GB for programs.
_MEMORY_COPIES = 2
_PROGRAM_BYTES = 500_000_000


@dataclasses.dataclass
class _Runs:
    """What goes on in one demo."""

    model: Model
    measurements: Measurements
    scratch: str  # directory
    operation: str = SAVE
    """The one going on, or that has failed."""
    engines: dict[str, Engine] = dataclasses.field(default_factory=dict)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; give the exit status. Leaves no file behind."""
    if not LEAST_GB <= arguments.gb <= MOST_GB:
        raise CommandError(f"--gb must be between {LEAST_GB:g} and {MOST_GB:g}")
    peers = choose_peers(arguments.peers)
    _require_room(arguments.dir, int(arguments.gb * 1e9), peers)
    with scratch_directories([arguments.dir], "demo") as (scratch,):
        measurements = _measure(arguments, [OWN, *peers], scratch)
    print_measurements(measurements, as_json=arguments.json)
    return OK


def _measure(arguments: argparse.Namespace, names: list[str], scratch: str) -> Measurements:
    with step_progress(1 + arguments.runs * len(names)) as begin:
        begin(f"making a model of {arguments.gb:g} GB")
        model = make_model(arguments.gb)
        measurements = Measurements(model, names, arguments.runs, os.path.abspath(scratch))
        runs = _Runs(model, measurements, scratch)
        for number in range(1, arguments.runs + 1):
            for name in names:  # interleaved: whatever drifts, drifts for all
                if name not in measurements.failures:
                    begin(f"run {number} of {arguments.runs}: {name}")
                    _run_engine(runs, name)
    return measurements


def _run_engine(runs: _Runs, name: str) -> None:
    """Run an engine once; a peer that fails is left out from then on."""
    if name == OWN:
        _run_steps(runs, name)
        return
    try:
        _run_steps(runs, name)
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        message = (str(error) or "no message").splitlines()[0]
        failure = f"{runs.operation}: {type(error).__name__}: {message}"
        runs.measurements.failures[name] = failure


def _run_steps(runs: _Runs, name: str) -> None:
    if name not in runs.engines:
        runs.operation = SAVE
        runs.engines[name] = make_engine(name, runs.model)
        runs.measurements.versions[name] = runs.engines[name].version
    directory = os.path.join(runs.scratch, name)
    os.mkdir(directory)
    try:
        for step in runs.engines[name].steps(directory):
            runs.operation = step.operation
            gc.collect()
            start = time.perf_counter()
            result = step.run()
            seconds = time.perf_counter() - start
            first_run = runs.measurements.add(name, step, seconds)
            if first_run and name == OWN and step.operation in (LOAD, MAP):
                _require_same(result, runs.model)
            del result
            if step.operation == SAVE:
                fill_cache(directory)
    finally:
        shutil.rmtree(directory)
        # Else the next engine's fsync waits for the freed blocks to be discarded.
        sync(runs.scratch)


def _require_same(loaded: dict[str, Any], model: Model) -> None:
    """Compare what was loaded with what was saved, value by value."""
    same = loaded.keys() == model.tensors.keys() and all(
        np.array_equal(loaded[name], array) for name, array in model.tensors.items()
    )
    if not same:
        raise CommandError("what was loaded is not what was saved")


def _require_room(directory: str, model_bytes: int, peers: list[str]) -> None:
    needed = _DISK_COPIES * model_bytes
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise CommandError(
            f"{directory}: {format_bytes(needed)} of free disk space are needed, "
            f"{format_bytes(free)} are free; try a smaller --gb or another --dir"
        )
    # TensorFlow saves from tensors of its own.
    copies = _MEMORY_COPIES + ("tensorflow" in peers)
    needed = copies * model_bytes + _PROGRAM_BYTES
    available = available_memory()
    if available < needed:
        raise CommandError(
            f"{format_bytes(needed)} of memory are needed, {format_bytes(available)} are "
            "available; try a smaller --gb"
        )

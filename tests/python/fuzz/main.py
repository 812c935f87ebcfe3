"""Runs one of the fuzzers in Python, and prints what it did as libFuzzer does.

python tests/python/fuzz/main.py state|differential SECONDS DIRECTORY
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Hashable
from pathlib import Path
from random import Random

if __name__ == "__main__":  # as a program: the packages are above this one
    sys.path[:0] = [str(Path(__file__).resolve().parents[i]) for i in (3, 2)]

from tests.python.fuzz.mutation import FindingError, Report, fuzz

CORPUS = Path(__file__).resolve().parent / "corpus"
MEMORY = Path("/dev/shm")  # bundles are written and read thousands of times


def state_seeds() -> list[bytes]:
    """Give the state files of the repository."""
    return [path.read_bytes() for path in sorted((CORPUS / "state").iterdir())]


def fuzz_state(seconds: float, directory: Path) -> Report:
    """Feed the parser of state files."""
    from tests.python.fuzz.state_target import WORDS, Target

    return fuzz(Target(), state_seeds(), found=directory, words=WORDS, seconds=seconds)


def fuzz_differential(seconds: float, directory: Path) -> Report:
    """Feed the core and the oracle what Hypothesis makes of bytes."""
    from hypothesis import HealthCheck, given, settings
    from tests.python.fuzz.differential_target import Input, compare, inputs

    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        outcomes: list[Hashable] = []

        @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @given(inputs())
        def test(given_input: Input) -> None:
            outcomes.append(compare(Path(place), given_input))

        def target(data: bytes) -> Hashable:
            outcomes.clear()
            test.hypothesis.fuzz_one_input(data)
            return tuple(outcomes)  # none, where the bytes make no bundle

        # Random bytes: which of them make what is up to Hypothesis's version.
        seeds = [Random(i).randbytes(64 << i % 5) for i in range(20)]
        try:
            return fuzz(target, seeds, found=directory, most_bytes=2048, seconds=seconds)
        except FindingError as finding:
            shutil.copytree(place, f"{finding.path}.bundle")
            raise


FUZZERS: dict[str, Callable[[float, Path], Report]] = {
    "state": fuzz_state,
    "differential": fuzz_differential,
}


def main(name: str, seconds: str, directory: str) -> int:
    try:
        report = FUZZERS[name](float(seconds), Path(directory))
    except FindingError as finding:
        traceback.print_exc()
        print(finding)
        return 1
    print(f"corp: {report.corpus}")
    print(f"stat::number_of_executed_units: {report.executions}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

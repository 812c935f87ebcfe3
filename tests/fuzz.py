"""Runs every fuzzer for a while, and tells what each did.

    python tests/fuzz.py [--seconds 60] [--jobs N] [NAME...]

Those of the core (`tests/cpp/fuzz`) are built first, by the preset `fuzz`; those in Python
(`tests/python/fuzz`) are `state` and `differential`. An input that breaks a promise is kept
where the line of its fuzzer says, and the program ends with 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "fuzz"
CORE = ("index", "entries", "tensors", "slices", "v1")
PYTHON = ("state", "differential")

# Small inputs, so that what is tried is many of them; a hang is 10 s. Without entropic
# scheduling, stacks of allocations and a look for leaks after each input two to three times as
# many are tried; leaks are looked for by `make sanitize`, which runs the corpus.
OPTIONS = (
    "-max_len=1024", "-entropic=0", "-detect_leaks=0", "-reload=0", "-timeout=10",
    "-rss_limit_mb=1024", "-print_final_stats=1",
)  # fmt: skip
ASAN_OPTIONS = "malloc_context_size=0:quarantine_size_mb=4:detect_leaks=0"


@dataclass
class Result:
    name: str
    executions: int
    cpu_seconds: float
    corpus: int
    found: list[Path]
    """Inputs that broke a promise, of this run."""
    log: Path
    status: int

    @property
    def sound(self) -> bool:
        return not self.found and self.status == 0

    def __str__(self) -> str:
        rate = self.executions / self.cpu_seconds if self.cpu_seconds else 0.0
        if self.sound:
            end = "nothing found"
        elif self.found:
            end = f"FOUND {', '.join(map(str, self.found))}; see {self.log}"
        else:
            end = f"FAILED with {self.status}; see {self.log}"
        return (
            f"{self.name:>12}  {self.executions:>13,} executions  {rate:>9,.0f} per second and"
            f" core  {self.corpus:>6,} inputs in the corpus  {end}"
        )


def main() -> int:
    """Run what the command line says; give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="of each fuzzer")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="fuzzers at a time")
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(CORE + PYTHON))
    arguments = parser.parse_args()
    names = arguments.names or [*CORE, *PYTHON]
    unknown = set(names) - {*CORE, *PYTHON}
    if unknown:
        parser.error(f"no fuzzer is named {', '.join(sorted(unknown))}")
    if not set(names).isdisjoint(CORE):
        build()
    sound = True
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(lambda name: run(name, arguments.seconds), names):
            print(result, flush=True)
            sound = sound and result.sound
    return 0 if sound else 1


def build() -> None:
    """Build the fuzzers of the core, or say what is lacking."""
    if shutil.which("clang++") is None:
        sys.exit("make fuzz needs clang with libFuzzer (Debian: apt-get install clang llvm)")
    BUILD.mkdir(parents=True, exist_ok=True)
    log = BUILD / "build.log"
    with log.open("w") as file:
        for command in (
            ("cmake", "--preset", "fuzz", "-G", "Ninja"),
            ("cmake", "--build", "--preset", "fuzz"),
        ):
            if subprocess.run(command, cwd=ROOT, stdout=file, stderr=file).returncode:
                sys.exit(f"{log.read_text()}\nThe fuzzers could not be built.")


def run(name: str, seconds: int) -> Result:
    """Run one; its corpus grows in `build/fuzz/found`, beside what it finds."""
    directory = BUILD / "found" / name
    directory.mkdir(parents=True, exist_ok=True)
    before = set(directory.glob("FOUND-*"))
    log = BUILD / f"{name}.log"
    command = core_command if name in CORE else python_command
    with log.open("w") as file:
        process = subprocess.Popen(
            command(name, seconds, directory), cwd=ROOT, stdout=file, stderr=file,
            env={**os.environ, "ASAN_OPTIONS": ASAN_OPTIONS},
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(errors="replace")
    return Result(
        name,
        executions=number_in(text, r"^stat::number_of_executed_units: *(\d+)"),
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        corpus=number_in(text, r"corp: (\d+)"),
        found=[path.relative_to(ROOT) for path in {*directory.glob("FOUND-*")} - before],
        log=log.relative_to(ROOT),
        status=process.returncode,
    )


def core_command(name: str, seconds: int, directory: Path) -> list[str]:
    corpus = ROOT / "tests" / "cpp" / "fuzz" / "corpus" / name
    own = (f"-max_total_time={seconds}", f"-artifact_prefix={directory}/FOUND-")
    program = BUILD / "tests" / "cpp" / "fuzz" / f"{name}_fuzz"
    return [str(program), *OPTIONS, *own, str(directory), str(corpus)]


def python_command(name: str, seconds: int, directory: Path) -> list[str]:
    program = ROOT / "tests" / "python" / "fuzz" / "main.py"
    return [sys.executable, str(program), name, str(seconds), str(directory)]


def number_in(text: str, pattern: str) -> int:
    """Give the last number that a fuzzer told in that way."""
    found = re.findall(pattern, text, re.MULTILINE)
    return int(found[-1]) if found else 0


if __name__ == "__main__":
    sys.exit(main())

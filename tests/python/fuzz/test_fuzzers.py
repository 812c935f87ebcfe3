"""The fuzzers in Python and the program that runs all of them, for a short while."""

from __future__ import annotations

import sys
from random import Random

import pytest
from tests import fuzz as runner
from tests.python.fuzz import main, state_target
from tests.python.fuzz.mutation import FindingError, Mutator, fuzz

# Protobuf warns of the escapes that Python does not know.
pytestmark = pytest.mark.filterwarnings("ignore:invalid:DeprecationWarning")


@pytest.mark.parametrize("data", main.state_seeds())
def test_every_state_of_the_corpus_is_read_as_protobuf_reads_it(data):
    state_target.run(data)


def test_no_state_is_found_that_protobuf_reads_otherwise(tmp_path):
    report = fuzz(
        state_target.Target(), main.state_seeds(), found=tmp_path, words=state_target.WORDS,
        executions=5000, random=Random(1),
    )  # fmt: skip
    assert report.executions == 5000 and report.corpus > 20
    assert not list(tmp_path.iterdir())


def test_the_core_and_the_oracle_agree_on_random_bytes(tmp_path):
    report = main.fuzz_differential(1, tmp_path)
    assert report.executions and not list(tmp_path.iterdir())


def test_a_fuzzer_finds_what_is_there_and_keeps_it(tmp_path):
    def target(data):
        assert b"bug" not in data
        return data[:1]

    with pytest.raises(FindingError) as told:
        fuzz(target, [b"a"], found=tmp_path, words=[b"bug"], random=Random(1))
    assert b"bug" in told.value.path.read_bytes()
    assert [told.value.path] == list(tmp_path.iterdir())


def test_mutations_end_and_keep_to_their_size():
    mutator = Mutator(Random(1), [b"word"], 16)
    data, sizes = b"", set()
    for _ in range(2000):
        data = mutator.mutated(data, b"other")
        sizes.add(len(data))
    assert sizes == set(range(17))


@pytest.fixture
def of_program(monkeypatch, tmp_path):
    """Give the function that runs a Python program in the place of a fuzzer."""
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "BUILD", tmp_path / "build")

    def run(program):
        monkeypatch.setattr(
            runner,
            "core_command",
            lambda *given: [sys.executable, "-c", program, *map(str, given)],
        )
        return runner.run("index", 7)

    return run


def test_what_a_fuzzer_did_is_told(of_program):
    result = of_program(
        "import sys; assert sys.argv[1:3] == ['index', '7'];"
        "print('#9 DONE cov: 8 ft: 9 corp: 12/3Kb'); sum(range(10**6));"
        "print('stat::number_of_executed_units: 4500')"
    )
    assert result.sound and (result.executions, result.corpus) == (4500, 12)
    assert result.cpu_seconds > 0
    assert "4,500 executions" in str(result) and "nothing found" in str(result)


def test_a_finding_is_told_with_its_place(of_program):
    result = of_program("import sys; open(sys.argv[3] + '/FOUND-1', 'w'); sys.exit(77)")
    assert not result.sound
    assert "FOUND build/found/index/FOUND-1; see build/index.log" in str(result)


def test_a_fuzzer_that_fails_is_no_success(of_program):
    result = of_program("import sys; sys.exit('no clang')")
    assert not result.sound and "FAILED with 1; see build/index.log" in str(result)


def test_an_unknown_fuzzer_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "nobody"])
    with pytest.raises(SystemExit) as told:
        runner.main()
    assert told.value.code == 2
    assert "no fuzzer is named nobody" in capsys.readouterr().err

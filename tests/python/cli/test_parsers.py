"""Options may stand before, between and after a command's other arguments."""

from __future__ import annotations

import importlib
import re

import numpy as np
import pytest

import tensorbundle as tb

# The command, its options, and its other arguments.
COMMANDS = [
    ("ls", ["--sort", "size"], ["p", "a*", "b*"]),
    ("ls", ["--reverse", "--json"], ["p"]),
    ("cat", ["--npy", "f"], ["p", "x"]),
    ("cat", ["--no-verify"], ["p", "x[0]"]),
    ("verify", ["--threads", "2"], ["p"]),
    ("diff", ["--values", "--rtol", "0.1"], ["p", "q"]),
    ("rename", ["--output", "q"], ["p", "s/a/b/", "s/c/d/"]),
    ("merge", ["--delete-sources", "--overwrite"], ["d", "p", "q"]),
    ("demo", ["--gb", "1"], []),
    ("bench", ["--runs", "1", "--fio"], ["d", "e"]),
    ("bench", ["--compare", "f", "g"], []),
    ("doctor", ["--json"], ["d"]),
]


@pytest.fixture
def parsed(run, monkeypatch):
    """Give what a command is called with, as a dictionary."""

    def parse(command, *arguments):
        found = {}
        module = importlib.import_module(f"tensorbundle.cli.{command}")
        monkeypatch.setattr(module, "run", lambda given: found.update(vars(given)) or 0)
        assert run(command, *arguments) == (0, "", "")
        return found

    return parse


@pytest.mark.parametrize(("command", "options", "others"), COMMANDS)
def test_options_stand_anywhere(parsed, command, options, others):
    expected = parsed(command, *options, *others)
    assert expected["command"] == command
    for place in range(1, len(others) + 1):
        assert parsed(command, *others[:place], *options, *others[place:]) == expected


def test_every_command_is_tried(run):
    tried = {command for command, _, _ in COMMANDS}
    listed = run("--help").out.partition("COMMAND\n")[2].partition("\n\n")[0].splitlines()
    assert {line.split()[0] for line in listed if line[4:5].strip()} == tried


@pytest.mark.parametrize(
    "arguments",
    [
        ["--", "p", "-x"],
        ["p", "--", "-x"],
        ["p", "--json", "--", "-x"],
        ["--json", "p", "--", "-x"],
        ["--json", "--", "p", "-x"],
    ],
)
def test_what_follows_two_dashes_is_no_option(parsed, arguments):
    found = parsed("cat", *arguments)
    assert (found["prefix"], found["tensor"]) == ("p", "-x")
    assert found["json"] == ("--json" in arguments)
    found = parsed("ls", *arguments)
    assert (found["prefix"], found["patterns"]) == ("p", ["-x"])


def test_every_argument_has_its_help(run):
    for command in {command for command, _, _ in COMMANDS}:
        outcome = run(command, "--help")
        assert (outcome.status, outcome.err) == (0, "")
        lines = outcome.out.partition("\n\n")[2].splitlines()
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            if re.match(r"  [-\w]", line):
                told = re.search(r"\S {2,}\S", line) or following.startswith(" " * 8)
                assert told, f"{command}: {line}"


def test_patterns_are_taken_after_an_option(run, tmp_path):
    prefix = tmp_path / "c"
    tb.save(prefix, {"model/a": np.zeros(9), "model/b": np.zeros(2), "step": 1})
    outcome = run("ls", prefix, "--sort", "size", "model/*")
    assert outcome.status == 0
    assert [line.split()[0] for line in outcome.out.splitlines()[1:3]] == [
        "model/b",
        "model/a",
    ]


def test_what_is_unknown_or_missing_is_told(run):
    told = run("verify", "p", "q").err
    assert told.endswith("unrecognized arguments: q (see tensorbundle verify --help)\n")
    assert "unrecognized arguments: --sorted" in run("ls", "p", "--sorted", "a").err
    assert "required: NAME[SLICE] (see" in run("cat", "p", "--json").err

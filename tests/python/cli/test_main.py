"""What all commands have in common: statuses, errors in one line, start-up."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

import tensorbundle as tb


def assert_one_error_line(outcome):
    assert outcome.status == 2
    assert outcome.out == ""
    assert re.fullmatch(r"tensorbundle: error: [^\n]+\n", outcome.err)


def test_version_tells_compiler_and_checksum_code(run):
    info = tb.build_info()
    outcome = run("--version")
    assert outcome.status == 0
    assert outcome.out == (
        f"tensorbundle {info['version']} ({info['compiler']}, crc32c {info['crc32c']})\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["ls"],
        ["ls", "x", "--sort", "colour"],
        ["verify", "x", "--threads", "0"],
        ["verify", "x", "--threads", "-1"],
        ["verify", "x", "--threads", "9" * 30],
        ["cat", "x"],
        ["--unknown"],
    ],
)
def test_wrong_usage_is_one_line_and_status_2(run, arguments):
    assert_one_error_line(run(*arguments))


@pytest.mark.parametrize("command", [["ls"], ["cat"], ["verify"]])
def test_a_prefix_that_is_not_there_is_named(run, tmp_path, command):
    extra = ["x"] if command == ["cat"] else []
    outcome = run(*command, tmp_path / "nope", *extra)
    assert_one_error_line(outcome)
    assert f"{tmp_path}/nope.index: open: No such file or directory" in outcome.err


def test_a_prefix_with_suffix_is_explained(run, prefix):
    outcome = run("ls", prefix + ".index")
    assert_one_error_line(outcome)
    assert "without suffix" in outcome.err


def test_control_characters_of_arguments_are_escaped_in_errors(run):
    outcome = run("ls", "/nope/\x1b[31m\r\udcff")
    assert_one_error_line(outcome)
    assert r"\x1b[31m\x0d\xff" in outcome.err


def test_a_damaged_index_is_damage(run, prefix):
    with open(prefix + ".index", "r+b") as file:
        file.seek(3)
        file.write(b"\xff\xff")
    for command in (["ls"], ["verify"], ["cat"]):
        extra = ["step"] if command == ["cat"] else []
        outcome = run(*command, prefix, *extra)
        assert outcome.status == 1
        assert outcome.err.startswith("tensorbundle: error: ")
        assert prefix + ".index" in outcome.err
        assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("command", ["ls", "verify"])
def test_a_directory_stands_for_its_newest_checkpoint(run, prefix, tmp_path, command):
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt"\n')
    assert run(command, tmp_path).status == 0


@pytest.mark.parametrize(
    ("command", "more", "line"),
    [
        ("ls", [], r"{}: 8 tensors, .*"),
        ("verify", [], r"OK: {}: 8 tensors, .*"),
        ("rename", ["s/step/x/", "--dry-run"], r"{}: 1 of 8 tensors would be renamed"),
        ("diff", ["PREFIX"], r"{0} and {0}: 8 with the same checksum"),
    ],
)
def test_the_checkpoint_that_a_directory_stood_for_is_named(
    run, prefix, tmp_path, command, more, line
):
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt"\n')
    more = [prefix if argument == "PREFIX" else argument for argument in more]
    last = run(command, tmp_path, *more).out.splitlines()[-1]
    assert re.fullmatch(line.format(re.escape(prefix)), last)
    assert prefix not in run(command, prefix, *more).out


def test_a_directory_without_state_file_tells_what_it_has(run, prefix, tmp_path):
    outcome = run("ls", tmp_path)
    assert_one_error_line(outcome)
    assert repr(prefix) in outcome.err


def test_a_state_file_that_names_what_is_gone_is_one_line(run, tmp_path):
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "gone"\n')
    outcome = run("ls", tmp_path)
    assert_one_error_line(outcome)
    assert "gone" in outcome.err


def test_ctrl_c_is_status_130_without_a_word(run, prefix, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("tensorbundle.cli.ls.run", interrupted)
    assert run("ls", prefix) == (130, "", "")


def test_the_module_runs_as_a_program(run_process, prefix):
    outcome = run_process("ls", prefix)
    assert outcome.status == 0
    assert outcome.err == ""
    assert "dense/kernel" in outcome.out


@pytest.mark.parametrize("arguments", [["--version"], ["ls", "PREFIX"], ["--help"]])
def test_it_starts_without_numpy_and_rich(prefix, arguments):
    arguments = [prefix if a == "PREFIX" else a for a in arguments]
    program = (
        "import sys; from tensorbundle.cli.main import main\n"
        f"status = main({arguments!r})\n"
        "heavy = {'numpy', 'rich', 'ml_dtypes', 'torch', 'importlib.metadata'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_closed_pipe_is_quiet(command, golden):
    """The reader takes one line of a listing larger than a pipe holds, and leaves."""
    process = subprocess.Popen(
        [*command, "ls", "--json", str(golden / "keys")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"{\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141
    process.stderr.close()


def test_a_full_device_is_an_error_in_one_line(command, prefix):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*command, "ls", prefix], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert done.stderr == b"tensorbundle: error: No space left on device\n"


def run_on_terminal(command, *arguments):
    """Run with standard output and error on a pseudo-terminal; give status and text."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [*command, *arguments], stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    chunks = []
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # EIO: the last writer has gone
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(leader)
    return process.wait(), b"".join(chunks).decode()


def test_on_a_terminal_tables_are_drawn_by_rich(command, prefix):
    status, text = run_on_terminal(command, "ls", prefix)
    assert status == 0
    assert "\x1b[1m" in text
    assert "odd[0]" in text  # not taken for markup
    assert r"bell\x07\\name" in text


def test_on_a_terminal_verify_shows_a_bar(command, prefix):
    status, text = run_on_terminal(command, "verify", prefix)
    assert status == 0
    assert "verifying" in text
    assert "OK: 8 tensors" in text

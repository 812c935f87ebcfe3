"""Every row about state files: what is believed, what is removed, what is told."""

from __future__ import annotations

import os

import pytest

from hostile.state_rows import ROWS, make_around

MIB = 1 << 20


@pytest.mark.parametrize("case", ROWS, ids=[case.id for case in ROWS])
def test_row(case, judge, tmp_path, described):
    run = make_around(case, tmp_path)
    victim = described(tmp_path / "victim")
    others = {
        name: state
        for name, state in described(run).items()
        if not name.startswith(("ckpt-1.", "ckpt-2.", "checkpoint"))
    }
    answer = judge.ask(directory=str(run))
    assert not answer["hung"], "a call did not return"
    assert answer["ended"] == 0, "the process died"
    assert "died_of" not in answer, answer
    assert answer["grown"] < 64 * MIB, f"{answer['grown'] >> 20} MiB"
    said, log = answer["said"], answer["log"]
    assert described(tmp_path / "victim") == victim, "a foreign checkpoint was touched"
    after = described(run)
    assert {name: after.get(name) for name in others} == others, "a foreign file was touched"

    newest = said["manager"]["value"][0]
    assert (newest and os.path.basename(newest)) == case.latest, said["manager"]
    assert os.path.basename(said["latest valid"]["value"]) == case.latest
    assert case.logged in log
    assert all(c.isprintable() or c == "\n" for c in log)
    for call in ("state", "latest", "iterate"):
        error = said[call]
        assert "value" in error or error["code"] == "StateFileInvalid", (call, error)

    if case.row == "H191b":  # nothing can be renamed over a directory
        assert "IsADirectoryError" in said["save"]["kinds"]
        return
    saved = said["save"]["value"]
    assert said["manager again"]["value"] == [saved[-1], [saved[-1]]], said["manager again"]
    assert not os.path.islink(run / "checkpoint")
    assert os.path.exists(saved[-1] + ".index")
    assert not os.path.exists(saved[0] + ".index")

"""Writers, readers and processes that meet."""

from __future__ import annotations

import numpy as np

import tensorbundle as tb

from ..helpers import run_program


def test_of_two_writers_one_is_refused_and_no_race_mixes_files(tell, in_memory):
    found = tell("races.py", "writers", in_memory / "run", 1000)
    assert sum(found.values()) == 1000
    assert found["refused"] > 20


def test_64_readers_beside_a_rotating_writer_meet_whole_checkpoints(tell, in_memory):
    found = tell("races.py", "readers", in_memory / "run", 200)
    assert min(found["loads"], found["a map held"]) > 64
    assert found.keys() <= {"loads", "a map held", "gone", "rotated before it was opened"}


def test_they_do_beside_one_that_writes_into_the_files_it_has_removed(tell, in_memory):
    found = tell("races.py", "recycling", in_memory / "run", 200)
    assert min(found["loads"], found["a map held"]) > 64
    assert found.pop("recycled") > 20
    assert found.keys() <= {"loads", "a map held", "gone", "rotated before it was opened"}


def run_silently(code, *arguments):
    done = run_program(code, *arguments)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fork_in_a_background_save_harms_neither_process(tmp_path):
    run_silently(
        """
        import os, sys, threading
        import numpy as np
        import tensorbundle as tb

        begun, go_on = threading.Event(), threading.Event()
        def progress(done, total):
            begun.set()
            assert go_on.wait(60)
        prefix = sys.argv[1]
        handle = tb.save(prefix, {"a": np.arange(1 << 20)}, blocking=False, progress=progress)
        assert begun.wait(60)
        children = []
        for how in ("return", "exit", "save"):
            child = os.fork()
            if child == 0:
                if how == "exit":
                    os._exit(0)
                if how == "save":
                    tb.save(prefix + "-child", {"a": 1}, blocking=False)
                sys.exit(0)  # what is to be done at exit is not the parent's
            children.append(child)
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not os.path.exists(prefix + ".index")
        go_on.set()
        handle.result()
        """,
        tmp_path / "ckpt",
    )
    np.testing.assert_array_equal(tb.load(tmp_path / "ckpt")["a"], np.arange(1 << 20))
    assert tb.load(tmp_path / "ckpt-child")["a"] == 1
    assert len(list(tmp_path.iterdir())) == 4


def test_an_exit_beside_a_save_in_a_thread_leaves_a_whole_checkpoint_or_none(tmp_path):
    run_silently(
        """
        import sys, threading
        import numpy as np
        import tensorbundle as tb

        begun = threading.Event()
        def save():
            model = {"a": np.arange(1 << 22)}
            for i in range(3):
                tb.save(f"{sys.argv[1]}-{i}", model, progress=lambda *_: begun.set())
        threading.Thread(target=save, daemon=True).start()
        begun.wait()
        """,
        tmp_path / "ckpt",
    )
    for index in tmp_path.glob("ckpt-?.index"):
        assert tb.verify(index.with_suffix("")).ok
    tb.save(tmp_path / "ckpt-0", {"a": 1})

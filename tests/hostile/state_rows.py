"""Section H: the state file of a directory, and what is removed because of it.

Every directory holds two sound checkpoints, ``ckpt-1`` and the newer ``ckpt-2``; beside it,
in ``victim``, lies a foreign one, ``best``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reference.bundle import write_bundle

OURS = ("ckpt-1", "ckpt-2")


@dataclass(frozen=True)
class StateCase:
    row: str
    what: str
    make: Callable[[Path], None]
    """Writes the state file of that directory, and more if it likes."""
    latest: str | None = "ckpt-2"
    """What a manager takes for the newest, by its last part."""
    logged: str = ""
    """A word that the log must have."""

    @property
    def id(self) -> str:
        return f"{self.row}-{self.what.replace(' ', '_')}"


def make_around(case: StateCase, root: Path) -> Path:
    """Write the directory and the victim; give the directory."""
    run, victim = root / "run", root / "victim"
    for directory in (run, victim):
        directory.mkdir(parents=True)
    write_bundle(victim / "best", {"w": np.zeros(2)})
    for i, name in enumerate(OURS):
        write_bundle(run / name, {"w": np.full(2, float(i))})
        os.utime(run / f"{name}.index", (1e9 + i, 1e9 + i))
    case.make(run)
    return run


def text(content: str | bytes):
    """Make the function that writes it; ``{d}`` is the directory, ``{v}`` the victim."""

    def make(run: Path) -> None:
        data = (
            content
            if isinstance(content, bytes)
            else content.replace("{d}", str(run))
            .replace("{v}", str(run.parent / "victim"))
            .encode()
        )
        (run / "checkpoint").write_bytes(data)

    return make


def listed(newest: str, *others: str):
    lines = [f'model_checkpoint_path: "{newest}"']
    lines += [f'all_model_checkpoint_paths: "{path}"' for path in (*others, newest)]
    times = "".join(
        f"all_model_checkpoint_timestamps: {1e9 + i}\n" for i in range(len(lines) - 1)
    )
    return text("\n".join(lines) + "\n" + times + "last_preserved_timestamp: 1\n")


def linked_out(run: Path) -> None:
    (run / "link").symlink_to(run.parent / "victim")
    listed("ckpt-2", "link/best", "ckpt-1")(run)


def special(make_special: Callable[[Path], None]):
    return lambda run: make_special(run / "checkpoint")


def linked_state(run: Path) -> None:
    listed("ckpt-2", "ckpt-1")(run.parent / "victim")
    (run / "checkpoint").symlink_to(run.parent / "victim" / "checkpoint")


def no_index(content: bytes | None):
    def make(run: Path) -> None:
        index = run / "ckpt-2.index"
        if content is None:
            index.unlink()
        else:
            index.write_bytes(content)
        listed("ckpt-2", "ckpt-1")(run)

    return make


def prefix_twins(run: Path) -> None:
    for name in ("ckpt-10", "ckpt-1x", "ckpt-1.index.backup"):
        write_bundle(run / name, {"w": np.zeros(2)})
    listed("ckpt-2", "ckpt-1")(run)


def numbered(*names: str):
    def make(run: Path) -> None:
        for name in names:
            write_bundle(run / name, {"w": np.zeros(2)})
        listed("ckpt-2", "ckpt-1")(run)

    return make


def metrics(make_special: Callable[[Path], None]):
    def make(run: Path) -> None:
        make_special(run / "ckpt-1.metrics.json")
        listed("ckpt-2", "ckpt-1")(run)

    return make


MANY = "".join(f'all_model_checkpoint_paths: "ckpt-{i:07d}-x"\n' for i in range(300_000))
ROWS = [
    StateCase("H177", "state as it should be", listed("ckpt-2", "ckpt-1")),
    StateCase("H178", "absolute path outside", listed("ckpt-2", "{v}/best", "ckpt-1")),
    StateCase("H179", "path that climbs", listed("ckpt-2", "../victim/best", "ckpt-1")),
    StateCase("H179b", "climbs and comes back", listed("ckpt-2", "../run/../victim/best")),
    StateCase("H180", "path with a pattern", listed("ckpt-2", "ckpt-?", "*", "ckpt-[12]")),
    StateCase("H181", "link to a directory outside", linked_out),
    StateCase("H182", "path is the directory", listed("ckpt-2", "{d}", "{d}/")),
    StateCase("H182b", "empty path and dots", listed("ckpt-2", "", ".", "..", "./..")),
    StateCase(
        "H183",
        "path with a null byte",
        listed("ckpt-2", r"ckpt-1\000"),
        logged="StateFileInvalid",
    ),
    StateCase("H183b", "path of 100,000 digits", listed("ckpt-2", "ckpt-" + "9" * 100_000)),
    StateCase("H183c", "path of 100,000 slashes", listed("ckpt-2", "/" * 100_000)),
    StateCase("H184", "state of no bytes", text(b""), logged="names no newest"),
    StateCase("H184b", "state of zero bytes", text(bytes(4096)), logged="StateFileInvalid"),
    StateCase(
        "H185",
        "state not UTF-8",
        text(b'model_checkpoint_path: "\xff\xfe"\n'),
        logged="StateFileInvalid",
    ),
    StateCase(
        "H185b",
        "escapes that are not UTF-8",
        text(r'model_checkpoint_path: "\377"'),
        logged="StateFileInvalid",
    ),
    StateCase(
        "H186",
        "unknown field",
        text('model_checkpoint_path: "ckpt-2"\nx: 1\n'),
        logged="StateFileInvalid",
    ),
    StateCase(
        "H186b",
        "a text cut in the middle",
        text('model_checkpoint_path: "ckpt-'),
        logged="StateFileInvalid",
    ),
    StateCase(
        "H187",
        "300,000 lines",
        text(f'model_checkpoint_path: "ckpt-2"\n{MANY}'),
        logged="LimitExceeded",
    ),
    StateCase(
        "H187b",
        "10 MB of one path",
        text('model_checkpoint_path: "' + "a" * 10_000_000 + '"'),
        logged="LimitExceeded",
    ),
    StateCase(
        "H187c",
        "8 MB of quotes",
        text(b"model_checkpoint_path: " + b"'" * 8_000_000),
        logged="LimitExceeded",
    ),
    StateCase("H188", "newest has no index", no_index(None), latest="ckpt-1", logged="ckpt-2"),
    StateCase(
        "H188b",
        "newest has an index of no bytes",
        no_index(b""),
        latest="ckpt-1",
        logged="ckpt-2",
    ),
    StateCase(
        "H189",
        "more paths than times",
        text(
            'model_checkpoint_path: "ckpt-2"\n'
            'all_model_checkpoint_paths: ["ckpt-1", "ckpt-2"]\n'
            "all_model_checkpoint_timestamps: 5\n"
        ),
    ),
    StateCase(
        "H189b",
        "times that are no times",
        text(
            'model_checkpoint_path: "ckpt-2"\n'
            'all_model_checkpoint_paths: ["ckpt-1", "ckpt-2"]\n'
            "all_model_checkpoint_timestamps: [nan, -inf]\nlast_preserved_timestamp: inf\n"
        ),
    ),
    StateCase("H190", "one path twice", listed("ckpt-2", "ckpt-2", "ckpt-1", "./ckpt-2")),
    StateCase("H191", "state is a FIFO", special(os.mkfifo), logged="NotRegularFile"),
    StateCase(
        "H191b",
        "state is a directory",
        special(lambda path: path.mkdir()),
        logged="NotRegularFile",
    ),
    StateCase("H191c", "state is a link", linked_state),
    StateCase(
        "H191d",
        "state is /dev/zero",
        special(lambda path: path.symlink_to("/dev/zero")),
        logged="NotRegularFile",
    ),
    StateCase(
        "H191e",
        "state is a loop of links",
        special(lambda path: path.symlink_to("checkpoint")),
    ),
    StateCase("H192", "metrics are a FIFO", metrics(os.mkfifo)),
    StateCase(
        "H192b",
        "metrics nested without end",
        metrics(lambda path: path.write_text("[" * 200_000) and None),
    ),
    StateCase(
        "H192c",
        "metrics of a number beyond floats",
        metrics(
            lambda path: path.write_text('{"metrics": {"a": 1' + "0" * 400 + "}}") and None
        ),
    ),
    StateCase("H193", "names that only begin alike", prefix_twins),
    StateCase("H193b", "step 2^63", numbered("ckpt-9223372036854775808")),
    StateCase("H193c", "steps that are no numbers", numbered("ckpt-x", "ckpt--3", "ckpt-٣")),
    StateCase("H193d", "control characters in a path", listed("ckpt-2", r"ckpt\n\033[2Jx")),
]

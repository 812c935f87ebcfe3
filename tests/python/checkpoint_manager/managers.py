"""Managers of small states, and what they leave in a directory."""

from __future__ import annotations

import errno
import os

import numpy as np

import tensorbundle as tb

from ..helpers import listed


def state():
    return {"w": np.zeros(3), "step": np.array(0)}


def manage(directory, max_to_keep=None, *, value=None, **options):
    options.setdefault("save_options", {"durability": "none"})
    return tb.CheckpointManager(value or state(), directory, max_to_keep, **options)


def prefixes(directory):
    return [
        name.removesuffix(".index") for name in listed(directory) if name.endswith(".index")
    ]


def names(paths):
    return [os.path.basename(path) for path in paths]


class Counted:
    """Something with a counter that is a plain number."""

    save_counter = 0
    fails = False
    fails_late = False

    def write(self, prefix, **options):
        if self.fails:
            raise OSError(errno.ENOSPC, "full")
        tb.save(prefix, {"n": self.save_counter}, **options)
        if self.fails_late:
            raise KeyboardInterrupt

    def restore(self, prefix):
        self.save_counter = int(tb.load(prefix)["n"])

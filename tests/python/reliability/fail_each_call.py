"""Fails each system call of a save in turn: python fail_each_call.py DIR STORY OPTIONS."""

from __future__ import annotations

import collections
import errno
import os
from typing import Any

from stories import Overwrite, Story, main, require
from system_calls import Call, Fail, attempt

NAMES = ("open", "write", "pwrite", "fallocate", "ftruncate", "fdatasync", "fsync", "close",
         "rename", "unlink", "mkdir", "flock", "getdents")  # fmt: skip
ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINTR)
# What the kernel does not end with EINTR, or what is begun again after it.
REPEATED = ("open", "write", "pwrite", "fallocate", "ftruncate", "flock")


def run(story: Story) -> dict[str, Any]:
    """The old or the new checkpoint loads, without litter; the error tells what failed."""
    counts = collections.Counter[str]()
    errors = ERRORS if isinstance(story, Overwrite) else set(ERRORS) - {errno.EDQUOT}
    for name in NAMES:
        for error in (*errors, "short"):
            if error == "short" and name not in ("write", "pwrite"):
                continue
            for for_ever in (False, True):
                if for_ever and error != errno.ENOSPC:
                    continue
                fail_all(story, name, error, for_ever, counts)
    return dict(counts)


def fail_all(story: Story, name: str, error: Any, for_ever: bool, counts: Any) -> None:
    """Fail the k-th call of a name, for each k until there are fewer."""
    for k in range(1, 200):
        story.begin()
        before = set(story.names())
        fail = Fail(name, k, error, for_ever)
        status, told = attempt(lambda: act(story), story.directory, fail)
        if fail.failed is None:
            return
        call = f"{name} of {os.path.basename(fail.failed.path)}, call {k}: {error}"
        call += " for ever" * for_ever
        counts["failed"] += 1
        try:
            require(status == 0, told)
            found = story.check({1, 2})
            if told is None:
                counts["survived"] += 1
                require(found == 2, "the save returned, and the old version loads")
                require(name in ("unlink", "flock", "close", "open", "getdents") or error
                        in ("short", errno.EINTR) or is_of_spare(fail.failed, story),
                        "a failed call was overlooked")  # fmt: skip
            else:
                check_error(told, name, error, story)
                left = set(story.names()) - before
                left &= set(story.litter())  # else it failed after the commit
                if (
                    story.recycles
                ):  # the second save may have failed so, which replaced the first
                    left = {name for name in left if name.startswith(".")}
                may_stay = name == "unlink" or (for_ever and name == "flock")
                require(may_stay or not left, f"left over: {left}")
            if error == "short" or (error == errno.EINTR and name in REPEATED):
                require(told is None, f"not repeated: {told}")
            if told is None and fail.failed.path.endswith("/checkpoint"):
                story.unrecorded.add("ckpt-1")  # whose turn it was, nobody could read
            story.check_next()
        except Exception as problem:
            raise AssertionError(f"failed {call}: told {told}") from problem
    raise AssertionError("a save makes fewer calls")


def is_of_spare(call: Call, story: Story) -> bool:
    """Tell whether a save does without what the call was for: a file to write anew.

    It is moved to and from temporary names, after a sync of the directory.
    """
    if not story.recycles:
        return False
    hidden = os.path.basename(call.destination).startswith(".")
    return (call.name == "rename" and hidden) or call.path == story.directory


def check_error(told: dict[str, Any], name: str, error: int, story: Story) -> None:
    """The errno, the path and the operation are told."""
    require(told["errno"] == error, "another errno")
    require((told["filename"] or "").startswith(story.directory), "no path")
    operation = "readdir" if name == "getdents" else name
    require(operation in told["text"], f"{operation} is not in the message")


def act(story: Story) -> dict[str, Any] | None:
    """In the child: save, and tell the error."""
    try:
        story.act(2)
    except OSError as error:
        return {"errno": error.errno, "filename": error.filename, "text": str(error)}
    return None


if __name__ == "__main__":
    main(run)

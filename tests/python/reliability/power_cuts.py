"""Cuts the power of a file system in the middle of saves: python power_cuts.py --help.

A file system of its own on a loop device is shut down by ioctl(2) at a random moment, while
a child process saves; the log is flushed or not. Then it is mounted again, which replays
its journal as after a real power cut, and the last save that returned has to be there, or a
later one. Needs root and Linux; `why_not` says what is missing.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import ctypes
import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from stories import STORIES, Story, require

# EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are one: _IOR('X', 125, __u32).
SHUTDOWN = 0x8004587D
FLUSH_LOG, DROP_LOG = 1, 2
SLOWEST_CUT = 0.04  # seconds after the start of the child's saves
MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}
SIZES = {"ext4": 64 << 20, "xfs": 320 << 20}  # bytes, sparse; mkfs.xfs takes no less than 300
KINDS = [
    (name, {"backend": backend})
    for name in ("rotate", "overwrite")
    for backend in ("buffered", "uring")
]


def why_not(file_system: str) -> str:
    """Say what keeps us from it; "" where nothing does."""
    if os.geteuid() != 0:
        return "mounting a file system and shutting it down takes root"
    for program in (MKFS[file_system][0], "mount", "umount"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    with tempfile.TemporaryDirectory(dir=scratch()) as directory:
        try:
            with Disk(file_system, directory) as disk, disk.mounted():
                pass
        except OSError as error:
            return str(error)
    return ""


def mount_privately() -> None:
    """See to it that mounts go with this process, even if it is killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_namespace, recursive_private = 0x20000, 0x4000 | 0x40000
    if libc.unshare(new_namespace) or libc.mount(b"none", b"/", None, recursive_private, None):
        raise OSError(ctypes.get_errno(), "no mount namespace of its own")


def scratch() -> str:
    """Where images are: in memory, if there is room."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()


class Disk:
    """A file system in an image, unmounted and gone at the end in any case."""

    def __init__(self, file_system: str, directory: str) -> None:
        self._file_system = file_system
        self._image = os.path.join(directory, "image")
        self.path = os.path.join(directory, "disk")

    def __enter__(self) -> Disk:
        os.mkdir(self.path)
        with open(self._image, "wb") as file:
            file.truncate(SIZES[self._file_system])
        self._run(*MKFS[self._file_system], self._image)
        return self

    def __exit__(self, *error: object) -> None:
        # Not ismount(): a file system without power does not answer.
        with open("/proc/self/mounts") as file:
            mounted = any(line.split()[1] == self.path for line in file)
        if mounted:
            self._run("umount", "--lazy", self.path)
        os.unlink(self._image)

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount it: replays the journal. The loop device goes with the mount."""
        self._run("mount", "-t", self._file_system, "-o", "loop", self._image, self.path)
        try:
            yield
        finally:
            self._unmount()

    def _unmount(self) -> None:
        # The kernel gives back the files of a killed process with a ring a little later.
        for _ in range(500):
            with contextlib.suppress(OSError):
                return self._run("umount", self.path)
            time.sleep(0.01)
        return self._run("umount", self.path)

    def cut_power(self, how: int) -> None:
        """Nothing that is not on the device by now will ever be."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(descriptor)

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


class Saver:
    """A child process that saves one version after the other, and tells which returned."""

    def __init__(self, story: Story, first: int) -> None:
        self._returned, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.write(writing, b"0")  # it is about to begin
                for version in range(first, first + 1000):
                    story.act(version)
                    os.write(writing, b".")
            finally:  # whatever a disk without power makes of it
                os._exit(0)
        os.close(writing)
        os.read(self._returned, 1)
        os.set_blocking(self._returned, False)
        self._last = first - 1

    def last(self) -> int:
        """Give the last version whose save has returned by now."""
        with contextlib.suppress(BlockingIOError):
            self._last += len(os.read(self._returned, 1 << 16))
        return self._last

    def kill(self) -> int:
        """End it; give the last version whose save has returned, with power or without."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        last = self.last()
        os.close(self._returned)
        return last


def cut(disk: Disk, story: Story, how: int, delay: float) -> tuple[int, bool]:
    """Cut the power once; how many saves had returned, and whether a later one is there."""
    with disk.mounted():
        before = story.version()
        saver = Saver(story, before + 1)
        time.sleep(delay)  # the random moment is what this is about
        last = saver.last()
        disk.cut_power(how)
        # The child does not know that it has no power: XFS' fsync(2) of a directory may even
        # return 0 by then. So what came between counts as begun.
        newest = saver.kill() + 1
    with disk.mounted():
        found = story.check(set(range(last, newest + 1)))
        story.check_next(newest + 1)
    return last - before, found > last


def run(file_system: str, cuts: int, seed: int, durability: str) -> None:
    """Cut the power so many times, and tell what was found."""
    chance = random.Random(seed)
    totals = collections.Counter[str]()
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(dir=scratch()))
        disk = stack.enter_context(Disk(file_system, directory))
        stories = []
        with disk.mounted():
            for number, (name, options) in enumerate(KINDS):
                story = STORIES[name](
                    f"{disk.path}/{number}", {**options, "durability": durability}
                )
                story.begin()
                stories.append(story)
            os.sync()
        for number in range(cuts):
            story = stories[number % len(stories)]
            how = chance.choice([FLUSH_LOG, DROP_LOG])
            delay = chance.uniform(0, SLOWEST_CUT)
            try:
                returned, is_later = cut(disk, story, how, delay)
            except Exception as error:
                told = f"cut {number} of seed {seed}, {KINDS[number % len(KINDS)]}"
                raise AssertionError(f"{file_system}: {told}, flag {how}") from error
            totals["saves"] += returned
            totals["later"] += is_later
    rate = cuts / (time.perf_counter() - start)
    print(
        f"{file_system}: {cuts} power cuts, {totals['saves']} saves had returned, none was"
        f" lost; {totals['later']} times one more was there; {rate:.1f} cuts per second"
    )
    require(totals["saves"] > 0, "no save returned: the cuts come too early to tell anything")


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("cuts", type=int, help="how many, for each file system")
    parser.add_argument("--file-system", choices=MKFS, action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--durability", choices=["full", "none"], default="full", help="none must lose some"
    )
    arguments = parser.parse_args()
    if os.geteuid() == 0:
        mount_privately()
    skipped = 0
    for file_system in arguments.file_system or MKFS:
        reason = why_not(file_system)
        if reason:
            print(f"SKIPPED {file_system}: {reason}")
            skipped += 1
        else:
            run(file_system, arguments.cuts, arguments.seed, arguments.durability)
    return 1 if skipped else 0


if __name__ == "__main__":
    sys.exit(main())

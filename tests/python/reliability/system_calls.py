"""Stands in the way of a child's system calls: watches, kills, fails or shortens them.

ptrace(2), so that it meets whatever makes the call: the core, its threads, Python. Only
calls that touch files below one directory count, and those of io_uring. For x86-64 Linux;
`why_not` says whether it can work here.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

TRACEME, GETREGS, SETREGS, SYSCALL, SETOPTIONS = 0, 12, 13, 24, 0x4200
GET_SYSCALL_INFO = 0x420E
# PTRACE_O_TRACESYSGOOD, _TRACECLONE, _EXITKILL
OPTIONS = 0x1 | 0x8 | 0x100000
SYSCALL_STOP = signal.SIGTRAP | 0x80
WALL = 0x40000000
ENTRY, EXIT = 1, 2
RAX, RDX, ORIG_RAX, NUM_REGISTERS = 10, 12, 15, 27

# By number: the name, and which argument is a path ("p") or a descriptor ("d").
CALLS = {
    0: ("read", "d0"), 1: ("write", "d0"), 2: ("open", "p0"), 3: ("close", "d0"),
    17: ("pread", "d0"), 18: ("pwrite", "d0"), 73: ("flock", "d0"), 74: ("fsync", "d0"),
    75: ("fdatasync", "d0"), 77: ("ftruncate", "d0"), 82: ("rename", "p0"),
    83: ("mkdir", "p0"), 84: ("rmdir", "p0"), 87: ("unlink", "p0"), 217: ("getdents", "d0"),
    257: ("open", "p1"), 258: ("mkdir", "p1"), 263: ("unlink", "p1"), 264: ("rename", "p1"),
    285: ("fallocate", "d0"), 316: ("rename", "p1"), 426: ("io_uring_enter", ""),
}  # fmt: skip
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_LIBC.ptrace.restype = ctypes.c_long


class _Info(ctypes.Structure):
    """struct ptrace_syscall_info, as it is on entry."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64),
        ("number", ctypes.c_uint64),  # on exit: what the call returned
        ("arguments", ctypes.c_uint64 * 6),
        ("rest", ctypes.c_uint64),
    )


@dataclasses.dataclass
class Call:
    """One system call on a file below the directory."""

    name: str
    path: str
    arguments: tuple[int, ...]
    thread: int
    result: int = 0
    flags: int = 0
    """Of an open."""
    destination: str = ""
    """Of a rename."""
    bytes: bytes = b""
    """What is written."""

    def changes(self) -> bool:
        """Tell whether it may change the file system, or make a change durable."""
        if self.name == "open":
            return bool(self.flags & os.O_CREAT)
        return self.name not in ("read", "pread", "getdents", "close", "flock")


class Meddler:
    """Told of each call before and after; leaves all of them alone."""

    def before(self, call: Call, child: Child) -> None:
        """Do something before the call takes place."""

    def after(self, call: Call, child: Child) -> None:
        """Do something once it has."""


class Signal(Meddler):
    """A signal before the k-th call takes place; not after one on a path that ends so.

    Only calls count for which `counts` is true.
    """

    def __init__(
        self,
        number: int,
        k: int,
        *,
        until: str = "\0",
        counts: Callable[[Call], bool] = lambda call: True,
    ) -> None:
        self.number, self.k, self.until, self.counts = number, k, until, counts
        self.last = ""  # what it was sent at; "" until then

    def before(self, call: Call, child: Child) -> None:
        if call.path.endswith(self.until):
            self.k = 0
        if not self.counts(call):
            return
        self.k -= 1
        if self.k == 0:
            self.last = f"{call.name} {os.path.basename(call.path)}"
            os.kill(child.pid, self.number)


class Fail(Meddler):
    """The k-th call of a name fails, and if so wanted all after it; short: half is done."""

    def __init__(self, name: str, k: int, error: int | str, for_ever: bool = False) -> None:
        self.name, self.k, self.error, self.for_ever = name, k, error, for_ever
        self.failed: Call | None = None
        self._pending: set[int] = set()  # threads

    def before(self, call: Call, child: Child) -> None:
        if call.name != self.name:
            return
        self.k -= 1
        if self.k > 0 or (self.k < 0 and not self.for_ever):
            return
        self.failed = self.failed or call
        if self.error == "short":
            half = max(1, call.arguments[2] // 2)
            child.set_register(call.thread, RDX, half)
        else:
            child.set_register(call.thread, ORIG_RAX, -1)
            self._pending.add(call.thread)

    def after(self, call: Call, child: Child) -> None:
        if call.thread in self._pending:
            self._pending.discard(call.thread)
            assert isinstance(self.error, int)
            child.set_register(call.thread, RAX, -self.error)


class Record(Meddler):
    """Keeps every call that did not fail, with the bytes that it wrote."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def before(self, call: Call, child: Child) -> None:
        if call.name in ("write", "pwrite"):
            call.bytes = child.memory(call.arguments[1], call.arguments[2])

    def after(self, call: Call, child: Child) -> None:
        if call.result >= 0:
            self.calls.append(call)


class Child:
    """A forked process that runs a function, each of its system calls in our sight."""

    def __init__(self, function: Callable[[], object], directory: str) -> None:
        self._directory = directory
        self._under_way: dict[int, Call] = {}  # by thread
        self.output, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _be_traced(function, writing)
        os.close(writing)

    def run(self, meddler: Meddler) -> int:
        """Let it run to its end; give its exit status, negative for a signal."""
        os.waitpid(self.pid, 0)
        _ptrace(SETOPTIONS, self.pid, OPTIONS)
        _resume(self.pid, 0)
        while True:
            thread, status = os.waitpid(-1, WALL)
            if not os.WIFSTOPPED(status):
                if thread == self.pid:
                    return os.waitstatus_to_exitcode(status)
                continue
            number = os.WSTOPSIG(status)
            if number == SYSCALL_STOP:
                self._at_call(thread, meddler)
            # A new thread's first stop, and the one of its clone(2), are not for it.
            is_ours = number in (SYSCALL_STOP, signal.SIGTRAP, signal.SIGSTOP)
            _resume(thread, 0 if is_ours else number)

    def told(self) -> Any:
        """What the function returned; of what it raised, the text."""
        with open(self.output, "rb") as file:
            return json.loads(file.read() or "null")

    def memory(self, address: int, size: int) -> bytes:
        """Read its memory."""
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as file:
            file.seek(address)
            return file.read(size)

    def set_register(self, thread: int, register: int, value: int) -> None:
        """Change one register of a stopped thread."""
        registers = (ctypes.c_uint64 * NUM_REGISTERS)()
        _ptrace(GETREGS, thread, 0, ctypes.addressof(registers))
        registers[register] = value % 2**64
        _ptrace(SETREGS, thread, 0, ctypes.addressof(registers))

    def _at_call(self, thread: int, meddler: Meddler) -> None:
        info = _Info()
        try:
            _ptrace(GET_SYSCALL_INFO, thread, ctypes.sizeof(info), ctypes.addressof(info))
        except ProcessLookupError:
            return  # killed meanwhile
        if info.op == ENTRY and info.number in CALLS:
            call = self._decode(thread, info)
            if call is not None:
                self._under_way[thread] = call
                meddler.before(call, self)
        elif info.op == EXIT and thread in self._under_way:
            call = self._under_way.pop(thread)
            call.result = ctypes.c_int64(info.number).value
            meddler.after(call, self)

    def _decode(self, thread: int, info: _Info) -> Call | None:
        name, place = CALLS[info.number]
        arguments = tuple(info.arguments)
        call = Call(name, "", arguments, thread)
        if not place:
            return call
        position = int(place[1])
        if place[0] == "p":
            call.path = self._text(arguments[position])
        else:
            call.path = self._opened(arguments[position])
        if name == "open":
            call.flags = arguments[position + 1]
        if name == "rename":
            step = 1 if position == 0 else 2
            call.destination = self._text(arguments[position + step])
        is_below = call.path == self._directory or call.path.startswith(self._directory + "/")
        return call if is_below else None

    def _text(self, address: int) -> str:
        text = b""
        while b"\0" not in text:  # not past the page's end, where memory may end
            text += self.memory(address + len(text), 4096 - (address + len(text)) % 4096)
        return text.partition(b"\0")[0].decode()

    def _opened(self, descriptor: int) -> str:
        try:
            return os.readlink(f"/proc/{self.pid}/fd/{descriptor}")
        except OSError:
            return ""


def attempt(
    function: Callable[[], object], directory: str, meddler: Meddler
) -> tuple[int, Any]:
    """Run a function in a child; give its exit status, 1 if it raised, and what it told."""
    child = Child(function, os.path.realpath(directory))
    status = child.run(meddler)
    return status, child.told()


def why_not() -> str:
    """Say why this cannot work here; "" where it can."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        return f"system calls are told apart for x86-64 Linux only, not {platform.machine()}"
    try:
        status, told = attempt(lambda: None, "/", Meddler())
    except OSError as error:
        return f"ptrace is refused: {error}"
    return "" if status == 0 else f"ptrace is refused: {told}"


def _be_traced(function: Callable[[], object], output: int) -> None:
    """In the child: run, tell, end."""
    status = 1
    try:
        _ptrace(TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        os.write(output, json.dumps(function()).encode())
        status = 0
    except BaseException:  # noqa: BLE001 - told, whatever it is
        os.write(output, json.dumps(traceback.format_exc()).encode())
    finally:
        os._exit(status)


def _resume(thread: int, number: int) -> None:
    # Killed meanwhile: its end is still to be waited for.
    with contextlib.suppress(ProcessLookupError):
        _ptrace(SYSCALL, thread, 0, number)


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> None:
    if request == SETOPTIONS:
        address, data = 0, address
    if _LIBC.ptrace(request, pid, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace {request}: {errno.errorcode.get(number, number)}")

from collections.abc import Callable, Iterator
from typing import Any

_Progress = Callable[[int, int], object] | None

def set_error_factory(factory: Callable[..., Exception]) -> None: ...
def build_info() -> dict[str, Any]: ...
def probe_directory(directory: bytes) -> dict[str, Any]: ...

class FileLock:
    """A held lock."""

    def __init__(self, path: bytes) -> None: ...
    def release(self) -> None:
        """Give it back; again is harmless."""

def replace_file(path: bytes, content: bytes, *, durable: bool) -> None: ...
def remove_unfinished(path: bytes) -> None: ...
def dtypes() -> list[tuple[int, str, str, int]]: ...
def crc32c(data: Any, value: int = 0) -> int: ...
def fingerprint(data: Any) -> bytes: ...
def copy_crc32c(destination: Any, source: Any, value: int = 0) -> int: ...

class SavedTensors:
    def __init__(self, numbers: dict[Any, int]) -> None: ...
    def take_plain(self, items: Iterator[Any], outer: bytes) -> tuple[Any, Any] | None: ...
    def add(self, name: str | bytes, number: int, value: Any, negated: int) -> None: ...
    def add_stream(
        self,
        name: str | bytes,
        number: int,
        shape: tuple[int, ...],
        size: int,
        read: Callable[[int, memoryview], object],
    ) -> None: ...
    def add_partitioned(
        self,
        name: str | bytes,
        full_shape: tuple[int, ...],
        parts: list[tuple[tuple[int, ...], int, Any, int]],
        partial: bool,
    ) -> None: ...
    def release(self) -> None: ...

def save(
    prefix: bytes,
    tensors: SavedTensors,
    *,
    num_shards: int,
    alignment: int,
    durable: bool,
    backend: str,
    snapshot: bool,
    zero_copy: bool | None = ...,
    previous: bytes = b"",
    num_threads: int,
    block_size: int,
    queue_depth: int,
    progress: _Progress,
    borrowed_written: Latch | None,
    spares: SpareFiles | None = None,
    storage: MemoryStorage | None = None,
) -> dict[str, Any]: ...

class SpareFiles:
    """Data files of replaced checkpoints, for saves to write into."""

    def __init__(self) -> None: ...
    def keep(self, path: bytes) -> bool:
        """Take over a data file that no index names; false where it is to be removed."""
    def clear(self) -> None:
        """Remove what is left. May be used on."""

def merge(
    prefixes: list[bytes],
    destination: bytes,
    *,
    delete_sources: bool,
    allow_missing: bool,
    num_threads: int,
    progress: _Progress,
) -> dict[str, Any]: ...
def rename(
    prefix: bytes,
    names: list[tuple[str, str]],
    *,
    destination: bytes,
    num_threads: int,
    progress: Callable[[int, int], object] | None,
) -> dict[str, Any]: ...

class Writer:
    def __init__(
        self,
        prefix: bytes,
        *,
        num_shards: int,
        alignment: int,
        durable: bool,
        backend: str,
        num_threads: int,
        block_size: int,
        queue_depth: int,
        partial: bool,
        storage: MemoryStorage | None = None,
    ) -> None: ...
    def add(self, tensors: SavedTensors) -> None: ...
    def add_part(
        self, tensors: SavedTensors, full_shape: list[int], offsets: list[int]
    ) -> None: ...
    def finish(self) -> dict[str, Any]: ...
    def abort(self) -> None: ...
    @property
    def is_open(self) -> bool: ...

class MemoryStorage:
    """Files in memory, in place of the file system; they go with it."""

    def __init__(self) -> None: ...

class Latch:
    def open(self) -> None: ...
    def wait(self, seconds: float) -> bool: ...

class SnapshotArena:
    def __init__(self, size: int) -> None: ...
    @property
    def size(self) -> int: ...
    @property
    def address(self) -> int: ...

def snapshot_size(tensors: SavedTensors) -> int: ...
def take_snapshot(
    tensors: SavedTensors, arena: SnapshotArena, num_threads: int
) -> tuple[int, int, float]: ...

class ReadOptions:
    def __init__(
        self,
        *,
        verify: bool,
        num_threads: int,
        block_size: int,
        queue_depth: int,
        progress: _Progress,
        fresh: bool = ...,
    ) -> None: ...
    def again(self) -> ReadOptions: ...

class MapOptions:
    def __init__(self, *, policy: str, prefetch: str, writable: bool) -> None: ...

class Bundle:
    def __init__(
        self, prefix: bytes, backend: str, storage: MemoryStorage | None = None
    ) -> None: ...
    @property
    def num_shards(self) -> int: ...
    def shard_path(self, shard: int) -> str: ...
    def diff(self, other: Bundle) -> dict[str, list[Any]]: ...
    def names(self) -> list[str]: ...
    def shapes(self) -> list[tuple[str, list[int]]]: ...
    def dtypes(self) -> list[int]: ...
    def entries(self) -> list[tuple[str, Any]]: ...
    def find(self, name: str | bytes) -> tuple[Any, ...]: ...
    def contains(self, name: str | bytes) -> bool: ...
    def map(
        self,
        names: list[str],
        *,
        dtypes: dict[int, Any],
        how: MapOptions,
        options: ReadOptions,
    ) -> tuple[list[Any], dict[str, Any]]: ...
    def load(
        self,
        names: list[str],
        *,
        into: list[Any],
        dtypes: dict[int, Any],
        options: ReadOptions,
    ) -> tuple[list[Any], dict[str, Any]]: ...
    def read_box(
        self,
        name: str | bytes,
        begin: list[int],
        size: list[int],
        shape: list[int],
        *,
        dtypes: dict[int, Any],
        options: ReadOptions,
    ) -> Any: ...
    def verify(
        self, names: list[str], *, options: ReadOptions
    ) -> tuple[dict[str, Any], list[tuple[str, Exception, tuple[int, int, int] | None]]]: ...

class V1Checkpoint(Bundle):
    """Has the methods of a bundle; it is no subclass of it."""

    def __init__(self, paths: list[bytes]) -> None: ...

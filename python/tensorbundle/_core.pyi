from collections.abc import Callable, Iterator
from typing import Any

_Progress = Callable[[int, int], object] | None

def set_error_factory(factory: Callable[..., Exception]) -> None: ...
def build_info() -> dict[str, Any]: ...
def dtypes() -> list[tuple[int, str, str, int]]: ...
def crc32c(data: Any, value: int = 0) -> int: ...
def copy_crc32c(destination: Any, source: Any, value: int = 0) -> int: ...

class SavedTensors:
    def __init__(self, numbers: dict[Any, int]) -> None: ...
    def take_plain(self, items: Iterator[Any], outer: bytes) -> tuple[Any, Any] | None: ...
    def add(self, name: str | bytes, number: int, value: Any, negated: int) -> None: ...

def save(
    prefix: bytes,
    tensors: SavedTensors,
    *,
    num_shards: int,
    alignment: int,
    durable: bool,
    backend: str,
    snapshot: bool,
    num_threads: int,
    block_size: int,
    queue_depth: int,
    progress: _Progress,
) -> dict[str, Any]: ...

class ReadOptions:
    def __init__(
        self,
        *,
        verify: bool,
        num_threads: int,
        block_size: int,
        queue_depth: int,
        progress: _Progress,
    ) -> None: ...

class Bundle:
    def __init__(self, prefix: bytes, backend: str) -> None: ...
    @property
    def num_shards(self) -> int: ...
    def shard_path(self, shard: int) -> str: ...
    def names(self) -> list[str]: ...
    def entries(self) -> list[tuple[str, Any]]: ...
    def find(self, name: str | bytes) -> tuple[Any, ...]: ...
    def contains(self, name: str | bytes) -> bool: ...
    def map(
        self,
        names: list[str],
        *,
        dtypes: dict[int, Any],
        writable: bool,
        options: ReadOptions,
    ) -> tuple[list[Any], list[str], int, int]: ...
    def load(
        self,
        names: list[str],
        *,
        into: list[Any],
        dtypes: dict[int, Any],
        options: ReadOptions,
    ) -> tuple[list[Any], dict[str, Any]]: ...
    def verify(
        self, names: list[str], *, options: ReadOptions
    ) -> tuple[dict[str, Any], list[tuple[str, Exception]]]: ...

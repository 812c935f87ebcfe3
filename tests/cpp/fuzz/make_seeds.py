"""Makes the inputs that the fuzzers start from, of the hostile rows and the golden files.

    python tests/cpp/fuzz/make_seeds.py DIRECTORY

What is worth keeping of them, and of what the fuzzers find, is in `corpus`: see README.md.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TESTS))

from hostile.make_hostile import ALL, make  # noqa: E402

MOST_BYTES = 1024


def main(root: Path) -> None:
    for name in ("index", "entries", "tensors", "slices", "v1"):
        (root / name).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        for case in ALL:
            make(case, Path(directory) / case.row)
        paths = [*Path(directory).glob("*/*.index"), *(TESTS / "golden").glob("**/*.index")]
        for path in paths:
            if path.is_file() and path.stat().st_size <= MOST_BYTES:
                add(root / "index", path.read_bytes())
                # Blocks as the fuzzers wrap them: the first bytes are a data block.
                for kind in (1, 2, 3, 4):
                    add(root / "entries", bytes([kind]) + path.read_bytes()[:-48])
    add(
        root / "entries",
        b"\x00\x01"
        + b"\x03bad\x13\x00"
        + bytes.fromhex("0801120412020804281035d8fd7d89")
        + b"\x04good\x13\x00",
    )
    for path in (TESTS / "golden").glob("v1_*"):
        if path.stat().st_size <= 2 * MOST_BYTES:
            add(root / "v1", b"\x00" + path.read_bytes())
    # Two tensors as v1_target.cc takes them: flags, dtype, shape, slices, elements.
    for flags in (0x01, 0x09):
        for dtype, field in ((1, 0x45), (3, 0x07), (7, 0x08), (9, 0x0A), (18, 0xCC)):
            tensor = bytes([flags, dtype, 4, 0xFF, field, 0, 2, field, 2, 2, field])
            add(root / "v1", bytes([2, 1]) + tensor + tensor)
    # A tensor as slices_target.cc takes it: rank, dtype, shape, seed, cuts, layout, fault.
    for fault in range(12):
        for dtype in (0, 6, 17, 19):
            for head in (2, 0x82):
                tensor = bytes([head, dtype, 4, 3, 1, 2, 0, 0, 1, 1, 1, 0, 0, fault, 1])
                add(root / "slices", tensor + bytes([1, 2, 0, 2, 0, 4, 1, 1]))
    # Entries as tensors_target.cc takes them: flags, dtype, rank, sizes, offset, size, crc.
    for flags in range(64):
        for dtype in (0, 6, 7, 9, 19):
            entry = bytes([flags, dtype, 1, 4, 0, 0, 16, 0, 1, 0, 2, 2, 2])
            add(
                root / "tensors",
                bytes([1]) + entry + entry + b"\x02\x00\x06" + bytes(range(64)),
            )


def add(directory: Path, content: bytes) -> None:
    (directory / hashlib.sha1(content).hexdigest()).write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

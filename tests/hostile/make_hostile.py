"""Makes every hostile checkpoint: a directory per row of the checklist, named for it.

    python tests/hostile/make_hostile.py DIRECTORY [ROW...]

All checksums are right but where a row says that they are wrong, so that what is behind them
is what a reader meets. The bytes come from the oracle, `tests/reference`; sparse files may
look large and take no room.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # as a program: the packages are beside this one
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hostile import (
    block_rows,
    byte_order_rows,
    data_rows,
    entry_rows,
    header_rows,
    index_rows,
    name_rows,
    slice_rows,
    string_rows,
    v1_rows,
    variant_rows,
)
from hostile.case import Case

SECTIONS: dict[str, list[Case]] = {
    "index": index_rows.ROWS,
    "block": block_rows.ROWS,
    "header": header_rows.ROWS,
    "byte order": byte_order_rows.ROWS,
    "entry": entry_rows.ROWS,
    "variant": variant_rows.ROWS,
    "data": data_rows.ROWS,
    "string": string_rows.ROWS,
    "slice": slice_rows.ROWS,
    "name": name_rows.ROWS,
    "V1": v1_rows.ROWS,
}
ALL = [case for cases in SECTIONS.values() for case in cases]


def make(case: Case, directory: Path) -> str:
    """Write one; give its prefix."""
    from hostile.case import NAME

    directory.mkdir(parents=True, exist_ok=True)
    case.make(directory)
    return str(directory / NAME)


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    root, *wanted = arguments
    for case in ALL:
        if not wanted or case.row in wanted:
            print(make(case, Path(root) / case.id))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m tensorbundle`` is the ``tensorbundle`` command."""

from __future__ import annotations

import sys

from tensorbundle.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""What the manager's tests share: a directory that is not there yet."""

from __future__ import annotations

import pytest


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"

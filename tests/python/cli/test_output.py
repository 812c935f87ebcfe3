from __future__ import annotations

import pytest

from tensorbundle.cli import output


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (1234, "1.23 kB"), (12_340, "12.3 kB"),
        (123_400, "123 kB"), (999_499, "999 kB"), (999_500, "1.00 MB"), (9_996, "10.0 kB"),
        (2_000_000_000, "2.00 GB"), (10**15, "1.00 PB"), (10**18, "1000 PB"),
    ],
)  # fmt: skip
def test_sizes_have_three_digits(size, expected):
    assert output.format_bytes(size) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "0.00 us"), (1e-6, "1.00 us"), (0.0123, "12.3 ms"), (0.99996, "1.00 s"),
     (123.4, "123 s")],
)  # fmt: skip
def test_durations_have_three_digits(seconds, expected):
    assert output.format_seconds(seconds) == expected


def test_a_range_is_in_the_unit_of_its_median():
    assert output.format_range(0.9, 1.2, like=1.1) == "0.90-1.20"
    assert output.format_range(0.9, 1.2, like=0.95) == "900-1200"


def test_shown_names_are_never_alike():
    names = ["\x07", "\\x07", "\\\\x07", "\udc87", "\u0087", "\\u0087", "\U000e0001"]
    shown = [output.shown_name(name) for name in names]
    assert len(set(shown)) == len(names)
    assert all(text.isascii() and text.isprintable() for text in shown)

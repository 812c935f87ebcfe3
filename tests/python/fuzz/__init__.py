"""Fuzzers of what Python reads, and of the core against the oracle; see `tests/fuzz.py`."""

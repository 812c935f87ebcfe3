"""Crashes, faults, races and large numbers: what docs/reliability.md promises."""

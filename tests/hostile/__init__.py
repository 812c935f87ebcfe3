"""Checkpoints as an attacker would write them; `make_hostile.py` makes them all."""

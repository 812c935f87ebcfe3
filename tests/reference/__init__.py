"""The oracle: a second, plain implementation of the format, written from its description.

It shares no code with the engine, so that agreement between the two means something. It is
slow and holds everything in memory. Start at `bundle.py`.
"""

"""The Python package's tests, named after its modules."""

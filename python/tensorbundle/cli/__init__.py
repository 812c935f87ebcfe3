"""The ``tensorbundle`` command; `tensorbundle.cli.main` is its entry point."""

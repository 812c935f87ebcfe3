"""The default grid is a star around the defaults; lists give every combination."""

from __future__ import annotations

from tensorbundle.cli.bench.grid import Lists, Task, product, star
from tensorbundle.cli.bench.results import OPERATIONS, Settings

ALL = ("buffered", "direct", "uring", "memory")


def test_the_star_has_every_backend_and_one_setting_at_a_time():
    tasks = star(ALL, "uring", OPERATIONS, 8)
    assert len(tasks) == len(set(tasks))
    for backend in ALL:
        assert Task("save", Settings(backend)) in tasks
    for task in tasks:
        changed = [
            task.settings.num_shards != 1, task.settings.num_threads, task.settings.block_size,
            task.settings.queue_depth,
        ]  # fmt: skip
        assert sum(map(bool, changed)) <= 1
        if any(changed):
            assert task.settings.backend == "uring"
    assert {t.settings.num_threads for t in tasks} == {None, 1, 4, 16}
    assert Task("save", Settings("buffered"), durable=False) in tasks


def test_without_direct_io_there_are_no_depths():
    tasks = star(("buffered", "memory"), "buffered", OPERATIONS, 2)
    assert {t.settings.queue_depth for t in tasks} == {None}
    assert {t.settings.num_shards for t in tasks} == {1, 4}


def test_what_finds_files_in_the_page_cache_is_run_through_it_once():
    tasks = product(ALL, Lists(), OPERATIONS)
    warm = [t for t in tasks if t.operation in ("warm-load", "map", "first-tensor")]
    assert [(t.operation, t.settings.backend) for t in warm] == [
        ("warm-load", "buffered"), ("map", "buffered"), ("first-tensor", "buffered"),
        ("warm-load", "memory"),
    ]  # fmt: skip


def test_lists_give_every_combination_that_a_backend_has():
    lists = Lists(shards=[1, 2], threads=[1, 2, 4], blocks=[1 << 20], depths=[4, 8])
    saves = product(("buffered", "uring"), lists, ("save",))
    by_backend = {
        backend: [t for t in saves if t.settings.backend == backend]
        for backend in ("buffered", "uring")
    }
    assert {backend: len(tasks) for backend, tasks in by_backend.items()} == {
        "buffered": 6,
        "uring": 12,
    }


def test_only_what_was_asked_for_is_run():
    tasks = star(ALL, "uring", ("cold-load",), 2)
    assert {t.operation for t in tasks} == {"cold-load"}

"""The sentence follows from the figures: constructed cases, one per cause."""

from __future__ import annotations

import pytest

from tensorbundle.cli.bench.limits import Evidence, limit_of, shares_of


def evidence(backend="uring", seconds=1.0, threads=2, floor=None, operation="save", **stages):
    network = stages.pop("is_network", False)
    return Evidence(operation, backend, seconds, threads, stages, floor, network)


@pytest.mark.parametrize(
    ("figures", "kind", "sentence"),
    [
        (
            evidence(wait=1.6, checksum=0.2, floor=0.93),
            "device", "limited by the device (80% of the time), at 0.93 of its floor",
        ),
        (
            evidence(wait=1.0, sync=0.6, floor=0.5), "device",
            "limited by waiting for the device (80% of the time), yet at 0.50 of its floor",
        ),
        (evidence(wait=1.6), "device", "limited by the device (80% of the time)"),
        # With io_uring a call waits for room in its queue.
        (evidence(submit=1.6, floor=1.0), "device", "limited by the device (80% of the time)"),
        (
            evidence(threads=1, checksum=0.7, wait=0.2, floor=0.4),
            "checksum", "limited by one core's checksum (70% of the time)",
        ),
        (
            evidence(threads=4, checksum=2.8, wait=0.4),
            "checksum", "limited by 4 cores' checksum (70% of the time)",
        ),
        (
            evidence("buffered", page_faults=1.2, submit=0.4, operation="warm-load"),
            "page-faults", "limited by page faults in fresh memory (60% of the time)",
        ),
        (
            evidence("buffered", submit=1.4, sync=0.2),
            "page-cache",
            "limited by the kernel's copy, to or from the page cache (70% of the time)",
        ),
        (
            evidence("buffered", submit=1.4, operation="cold-load"),
            "page-cache", "limited by reading through the page cache",
        ),
        (
            evidence("buffered", submit=1.4, is_network=True),
            "mount", "limited by calls to what serves the mount (70% of the time)",
        ),
        (evidence("buffered", sync=1.4), "device", "limited by the device"),
        (evidence("memory", submit=1.4), "copy", "limited by 2 cores' copying in memory"),
        (evidence(copy=1.4), "copy", "limited by 2 cores' copying in memory"),
        (evidence(plan=0.8), "plan", "limited by planning: the number of tensors (80%"),
        (evidence(publish=0.3, remove=0.2), "publish", "limited by publishing"),
        (evidence(wait=0.2), "overhead", "limited by Python and idle threads"),
        (
            evidence(wait=0.6, checksum=0.6, copy=0.6),
            "mixed", "limited by no single stage: copy 30%, checksum 30%, wait 30%",
        ),
        (evidence(), "unknown", "not measured by stages"),
        (evidence(floor=0.5), "unknown", "at 0.50 of its floor; not measured by stages"),
    ],
)  # fmt: skip
def test_what_limits_is_what_the_figures_say(figures, kind, sentence):
    limit = limit_of(figures)
    assert limit.kind == kind
    assert limit.sentence.startswith(sentence)


def test_stages_of_threads_are_divided_by_their_number_and_others_are_not():
    shares = shares_of(evidence(seconds=2.0, threads=4, plan=0.5, wait=4.0))
    assert shares == pytest.approx({"plan": 0.25, "wait": 0.5, "other": 0.25})


def test_stages_that_overlap_leave_nothing_else():
    assert shares_of(evidence(wait=3.0))["other"] == 0

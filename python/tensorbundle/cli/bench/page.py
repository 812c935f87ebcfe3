"""A result as one page of HTML: plots and all figures, without a network.

The plots are plotly's, whose code is put into the page. plotly is optional: the extra
``tensorbundle[bench]``.
"""

from __future__ import annotations

import html
import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tensorbundle.cli.bench import plots
from tensorbundle.cli.bench.recommend import best
from tensorbundle.cli.bench.report import (
    describe,
    figures_of,
    floor_agreement,
    guarantee,
    limit_told,
    who,
    workload_told,
)
from tensorbundle.cli.bench.results import NOISY_SPREAD, Place, Result, Row
from tensorbundle.cli.errors import CommandError
from tensorbundle.cli.output import count

__all__ = ["require_plotting", "write_page"]

_STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff;
       max-width: 1120px; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; }
h2 { font-size: 1.25rem; margin-top: 2.5rem; border-top: 1px solid #d5dae1;
     padding-top: 1.2rem; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; }
p.quiet, li.quiet { color: #57606a; margin: .2rem 0; }
.best { background: #eef6f1; border-left: 4px solid #2a7f55; padding: .6rem 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; width: 100%; }
th, td { text-align: left; padding: .25rem .7rem .25rem 0; vertical-align: top;
         border-bottom: 1px solid #eaeef2; }
th { font-weight: 600; white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.failed td { color: #a40e26; }
"""


def require_plotting() -> None:
    """Refuse before anything is measured what could not be drawn afterwards.

    Raises
    ------
    CommandError
        plotly is not installed.
    """
    if importlib.util.find_spec("plotly") is None:
        raise CommandError(
            "--html: plotly is not installed: pip install 'tensorbundle[bench]'"
        )


def write_page(result: Result, path: str) -> None:
    """Write the page; everything it needs is in it."""
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(_page(result))


def _page(result: Result) -> Iterator[str]:
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'  # else a browser asks for one
        f"<title>tensorbundle bench</title>\n<style>{_STYLE}</style></head><body>\n"
        f"<h1>tensorbundle bench</h1>\n<p class=quiet>{html.escape(describe(result))}</p>\n"
    )
    numbers = itertools.count()
    for place in result.places:
        yield from _place(result, place, numbers)
    yield "</body></html>\n"


def _place(result: Result, place: Place, numbers: Iterator[int]) -> Iterator[str]:
    rows = list(result.of_place(place.path))
    yield f"<h2>{html.escape(place.path)} ({html.escape(place.file_system)})</h2>\n"
    yield from _closing(result, place, rows)
    for title, told, figure in plots.figures(place, rows):
        yield f"<h3>{html.escape(title)}</h3>\n<p class=quiet>{html.escape(told)}</p>\n"
        yield _figure(figure, next(numbers))
    for workload in dict.fromkeys(row.workload for row in rows):
        yield from _table(place, [row for row in rows if row.workload == workload])


def _closing(result: Result, place: Place, rows: Sequence[Row]) -> Iterator[str]:
    choices = best(result, place)
    if choices:
        yield '<div class="best">'
        for section, choice in choices.items():
            told = html.escape(f"{choice.settings.named()}: {choice.why}")
            yield f"<div><b>Best for {section}:</b> {told}</div>"
        yield "</div>\n"
    lines = [f"Not run: {what}: {why}." for what, why in place.skipped.items()]
    lines += [f"Note: {note}." for note in place.notes]
    agreement = floor_agreement(rows)
    lines += [f"{agreement[0].upper()}{agreement[1:]}."] if agreement else []
    busy = sum(row.num_busy for row in rows)
    if busy:
        total = sum(len(row.seconds) for row in rows)
        lines.append(f"Other programs were busy in {busy} of {count(total, 'run')}.")
    yield "<ul>" + "".join(f"<li class=quiet>{html.escape(line)}</li>" for line in lines)
    yield "</ul>\n"


def _figure(figure: Any, number: int) -> str:
    text: str = figure.to_html(
        full_html=False,
        include_plotlyjs=number == 0,
        config={"displaylogo": False, "responsive": True, "displayModeBar": False},
        div_id=f"plot-{number}",
    )
    return text + "\n"


def _table(place: Place, rows: Sequence[Row]) -> Iterator[str]:
    titles = ("operation", "with", "runs", "median", "min-max", "GB/s", "of floor",
              "guarantee", "limited by")  # fmt: skip
    yield f"<h3>{html.escape(workload_told(rows[0]))}</h3>\n"
    heads = "".join(f"<th>{name}</th>" for name in titles)
    yield f"<div class=scroll><table><thead><tr>{heads}</tr></thead><tbody>\n"
    for operation in dict.fromkeys(row.operation for row in rows):
        yield from (_table_row(r, place) for r in rows if r.operation == operation)
    yield "</tbody></table></div>\n"
    if any(row.is_noisy for row in rows):
        yield (
            f"<p class=quiet>~: slowest and fastest run differ by more than "
            f"{NOISY_SPREAD:.0%} of the median</p>\n"
        )


def _table_row(row: Row, place: Place) -> str:
    name = html.escape(who(row, place))
    if not row.seconds:
        told = html.escape(row.failure or "not run")
        return (
            f"<tr class=failed><td>{row.operation}</td><td>{name}</td>"
            f"<td colspan=7>failed: {told}</td></tr>\n"
        )
    numbers = (str(len(row.seconds)), *figures_of(row))
    cells = "".join(f"<td class=number>{number}</td>" for number in numbers)
    return (
        f"<tr><td>{row.operation}</td><td>{name}</td>{cells}"
        f"<td>{guarantee(row)}</td><td>{html.escape(limit_told(row))}</td></tr>\n"
    )

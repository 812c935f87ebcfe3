"""The plots of a result, by plotly: rates, ratios to the floor, stages, settings, sizes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tensorbundle.cli.bench.limits import OTHER, STAGES, Evidence, shares_of
from tensorbundle.cli.bench.report import who
from tensorbundle.cli.bench.results import FIO, FLOOR, OWN, Place, Row, Settings

__all__ = ["STAGE_COLOURS", "figures"]

# Okabe and Ito's colours, which the colour-blind can tell apart; grey for what is no stage.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072b2", "#d55e00", "#009e73", "#8c959f"
STAGE_COLOURS: Final = {
    "plan": "#999933", "fingerprint": "#aa4499", "page_faults": "#cc79a7", "copy": "#e69f00",
    "checksum": "#d55e00", "submit": "#56b4e9", "wait": "#0072b2", "sync": "#004c76",
    "publish": "#009e73", "remove": "#66c2a5", OTHER: "#c8ced6",
}  # fmt: skip
_OPERATION_COLOURS: Final = {
    "save": _BLUE, "cold-load": _ORANGE, "warm-load": _GREEN, "map": "#cc79a7",
}  # fmt: skip
_BAR_HEIGHT = 26  # pixels
_FRAME = 110  # pixels of a plot that are not bars

Figure = tuple[str, str, Any]


def figures(place: Place, rows: Sequence[Row]) -> Iterator[Figure]:
    """Give title, explanation and figure of each plot that there are figures for."""
    plotly: Any = importlib.import_module("plotly.graph_objects")
    largest = max(row.num_bytes for row in rows)
    main = [row for row in rows if row.num_bytes == largest and row.seconds]
    yield from _rates(plotly, place, main)
    yield from _ratios(plotly, place, main)
    yield from _stages(plotly, place, main)
    yield from _settings(plotly, place, main)
    yield from _sizes(plotly, place, rows)


def _is_default(row: Row) -> bool:
    return row.settings is None or row.settings == Settings(row.settings.backend)


def _label(row: Row, place: Place) -> str:
    name = who(row, place)
    if row.operation == "save" and row.durable is False and row.backend != "memory":
        name += ", not durable"
    return name


def _rates(plotly: Any, place: Place, rows: Sequence[Row]) -> Iterator[Figure]:
    """Rates at the defaults, with floors and peers; bars by operation."""
    for operation, title in (
        ("save", "Saving: GB/s"),
        ("cold-load", "Loading from a cold disk: GB/s"),
        ("warm-load", "Loading and mapping what is cached: GB/s"),
    ):
        wanted = {
            "save": ("floor-write", "save"),
            "cold-load": ("floor-read", "cold-load"),
            "warm-load": ("floor-copy", "warm-load", "map"),
        }[operation]
        chosen = [row for row in rows if row.operation in wanted and _is_default(row)]
        if all(row.is_floor for row in chosen):
            continue
        told = "Median; the line spans slowest to fastest run. Grey: floors. Orange: others."
        yield title, told, _bars(plotly, place, chosen)


def _bars(plotly: Any, place: Place, rows: Sequence[Row]) -> Any:
    rows = list(reversed(rows))  # plotly draws the first at the bottom
    rates = [row.gb_per_second or 0.0 for row in rows]
    labels = [_bar_label(row, place) for row in rows]
    figure = plotly.Figure(
        plotly.Bar(
            x=rates, y=labels, orientation="h", marker_color=[_bar_colour(r) for r in rows],
            error_x={
                "type": "data", "symmetric": False, "color": "#1b1f24", "thickness": 1.2,
                "array": [_fastest(row) - rate for row, rate in zip(rows, rates, strict=True)],
                "arrayminus": [
                    rate - _slowest(row) for row, rate in zip(rows, rates, strict=True)
                ],
            },
            hovertemplate="%{y}: %{x:.2f} GB/s<extra></extra>",
        )
    )  # fmt: skip
    _dress(figure, len(rows), "GB/s")
    _write_values(figure, labels, rates)
    return figure


def _bar_label(row: Row, place: Place) -> str:
    label = _label(row, place)
    if row.is_floor:
        names = {"floor-write": "write", "floor-read": "read", "floor-copy": "memcpy"}
        return f"{row.engine}: {names[row.operation]}"
    return f"map, {label}" if row.operation == "map" else label


def _bar_colour(row: Row) -> str:
    if row.engine in (FLOOR, FIO):
        return _GREY
    return _BLUE if row.engine == OWN else _ORANGE


def _fastest(row: Row) -> float:
    return row.num_bytes / 1e9 / min(row.seconds)


def _slowest(row: Row) -> float:
    return row.num_bytes / 1e9 / max(row.seconds)


def _ratios(plotly: Any, place: Place, rows: Sequence[Row]) -> Iterator[Figure]:
    """How far everything is from the floor."""
    chosen = [row for row in rows if row.floor_ratio is not None and _is_default(row)]
    if not chosen:
        return
    order = list(_OPERATION_COLOURS)
    chosen.sort(key=lambda row: -order.index(row.operation))
    labels = [f"{row.operation}: {_label(row, place)}" for row in chosen]
    figure = plotly.Figure(
        plotly.Bar(
            x=[row.floor_ratio for row in chosen],
            y=labels,
            orientation="h",
            marker_color=[_OPERATION_COLOURS[row.operation] for row in chosen],
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    )
    figure.add_vline(x=1, line_dash="dash", line_color="#1b1f24")
    _dress(figure, len(chosen), "rate / rate of the floor")
    _write_values(figure, labels, [row.floor_ratio or 0.0 for row in chosen])
    most = max(row.floor_ratio or 0.0 for row in chosen)
    figure.update_xaxes(range=[0, 1.05 * max(1.0, most)])
    told = (
        "1 is what the device, or memcpy for what is cached and for files in memory, does "
        "with the same bytes and no checksum."
    )
    yield "How far from the floor", told, figure


def _stages(plotly: Any, place: Place, rows: Sequence[Row]) -> Iterator[Figure]:
    """Where the time of our own operations goes."""
    chosen = [row for row in rows if any(row.stages.values()) and _is_default(row)]
    if not chosen:
        return
    chosen.reverse()
    shares = [
        shares_of(Evidence("", "", row.median, row.num_threads or 1, row.stages, None))
        for row in chosen
    ]
    labels = [f"{row.operation}: {_label(row, place)}" for row in chosen]
    figure = plotly.Figure()
    for stage in (*STAGES, OTHER):
        seconds = [s.get(stage, 0.0) * r.median for s, r in zip(shares, chosen, strict=True)]
        if not any(seconds):
            continue
        figure.add_bar(
            x=seconds, y=labels, orientation="h", name=stage.replace("_", " "),
            marker_color=STAGE_COLOURS[stage],
            hovertemplate="%{y}: %{x:.3f} s<extra>" + stage + "</extra>",
        )  # fmt: skip
    legend = {"orientation": "h", "y": -0.25, "traceorder": "normal"}
    figure.update_layout(barmode="stack", legend=legend)
    _dress(figure, len(chosen), "seconds", legend=True)
    told = (
        "Stages of threads divided by their number. Other: Python, and threads that had "
        "nothing to do."
    )
    yield "Where the time goes", told, figure


def _settings(plotly: Any, place: Place, rows: Sequence[Row]) -> Iterator[Figure]:
    """Vary one setting at a time."""
    own = [row for row in rows if row.engine == OWN and row.settings is not None]
    for operation in ("save", "cold-load"):
        chosen = [
            row
            for row in own
            if row.operation == operation
            and row.durable is not False
            and (not _is_default(row) or row.settings == Settings(place.auto))
        ]
        if all(_is_default(row) for row in chosen):
            continue
        title = f"Settings, {operation}: GB/s"
        told = "The first is the default; the others differ in what they are named by."
        chosen.sort(key=lambda row: not _is_default(row))
        yield title, told, _bars(plotly, place, chosen)


def _sizes(plotly: Any, place: Place, rows: Sequence[Row]) -> Iterator[Figure]:
    """Time over size at the defaults."""
    figure = plotly.Figure()
    for operation in ("save", "cold-load"):
        chosen = [
            row
            for row in rows
            if row.operation == operation
            and row.seconds
            and row.engine == OWN
            and row.settings == Settings(place.auto)
            and row.durable is not False
        ]
        chosen.sort(key=lambda row: row.num_bytes)
        if len(chosen) < 2:
            continue
        figure.add_scatter(
            x=[row.num_bytes / 1e9 for row in chosen],
            y=[row.median for row in chosen],
            name=operation, mode="lines+markers",
            line_color=_OPERATION_COLOURS[operation],
            error_y={
                "type": "data", "symmetric": False,
                "array": [max(row.seconds) - row.median for row in chosen],
                "arrayminus": [row.median - min(row.seconds) for row in chosen],
            },
            hovertemplate="%{x:.3g} GB: %{y:.3f} s<extra>" + operation + "</extra>",
        )  # fmt: skip
    if not figure.data:
        return
    _dress(figure, 9, "GB", legend=True)
    figure.update_yaxes(title="seconds", rangemode="tozero")
    figure.update_xaxes(rangemode="tozero")
    told = f"{place.auto}, at its defaults. A straight line from near 0 is a constant rate."
    yield "How time grows with size", told, figure


def _dress(figure: Any, bars: int, unit: str, *, legend: bool = False) -> None:
    figure.update_layout(
        template="plotly_white",
        height=_FRAME + _BAR_HEIGHT * bars + 40 * legend,
        margin={"l": 10, "r": 60, "t": 10, "b": 50},
        showlegend=legend,
        bargap=0.25,
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#1b1f24"},
    )
    figure.update_xaxes(title=unit, rangemode="tozero", automargin=True)
    figure.update_yaxes(automargin=True, ticksuffix="  ")


def _write_values(figure: Any, labels: Sequence[str], values: Sequence[float]) -> None:
    """Write each bar's value beside the plot, where no line crosses it."""
    for label, value in zip(labels, values, strict=True):
        figure.add_annotation(
            x=1, xref="paper", xanchor="left", xshift=8, y=label, yref="y",
            text=f"{value:.2f}", showarrow=False,
        )  # fmt: skip

"""The ratios of a report as one picture: a bar for each way of a peer, its spread over the turns on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_bert_zoo.benchmark.report import SECTIONS, Report, Row
from keras_bert_zoo.errors import DataError
from keras_bert_zoo.files import new_file

WIDTH, LINE, ROOM = 9.0, 0.27, 0.95  # inches: the picture, a bar, and a panel's title and axis
COLOURS = {"fp32": "#33658a", "bf16": "#f26419", "int8": "#86a873", "ids": "#758e9f"}


def write_picture(report: Report, path: Path) -> None:
    """Write the picture as a PNG; it appears whole or not at all.  Raises: DataError where no peer was measured."""
    panels = _panels(report)
    if not panels:
        raise DataError(f"{path}: no peer was measured, so there are no ratios to draw. Install '.[peers]'.")
    with new_file(path) as partial:
        figure(report).savefig(partial, format="png", dpi=130)


def figure(report: Report) -> Figure:
    """Draw one panel for each workload that has peers."""
    panels = _panels(report)
    heights = [ROOM + LINE * len(rows) for _, rows in panels]
    drawn = Figure(figsize=(WIDTH, sum(heights) + 0.6))
    FigureCanvasAgg(drawn)
    places = drawn.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for place, (title, rows) in zip(places, panels, strict=True):
        _draw(place, title, rows)
    drawn.suptitle("How many times as quick keras-bert-zoo is", x=0.02, ha="left", fontsize=13, weight="bold")
    told = (
        f"{report.date}, {report.machine['processor']}, {report.machine['cores']} cores; bars: median, lines: all turns"
    )
    drawn.text(0.02, 0.004, told, fontsize=7, color="0.4")
    drawn.tight_layout(rect=(0, 0.01, 1, 0.985))
    return drawn


def _panels(report: Report) -> list[tuple[str, list[Row]]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in report.rows:
        if row.ratio is not None:
            found.setdefault((row.section, row.workload), []).append(row)
    return [(f"{SECTIONS[section].title} - {workload}", rows) for (section, workload), rows in found.items()]


def _draw(place: Any, title: str, rows: list[Row]) -> None:
    for height, row in enumerate(rows):
        assert row.ratio is not None
        middle = row.ratio.median
        place.barh(height, middle, 0.7, color=COLOURS.get(row.precision, "0.5"))
        below, above = [middle - row.ratio.low], [row.ratio.high - middle]
        place.errorbar(middle, height, xerr=(below, above), color="0.15", lw=1, capsize=2)
        place.text(row.ratio.high, height, f"  {middle:.2f} ×", va="center", fontsize=7)
    place.axvline(1, color="0.15", lw=1, ls=":")
    place.set_yticks(range(len(rows)), [f"{row.contender}, {row.way}" for row in rows], fontsize=7)
    place.invert_yaxis()
    place.set_xlim(0, 1.15 * max(max(row.ratio.high for row in rows if row.ratio), 1))
    place.tick_params(axis="x", labelsize=7)
    place.set_title(title, fontsize=9, loc="left")
    place.spines[["top", "right"]].set_visible(False)

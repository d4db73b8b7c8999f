"""A report for people: one table a section, on a terminal or as Markdown."""

from __future__ import annotations

from pathlib import Path

from keras_bert_zoo.benchmark.report import SECTIONS, Report, Row
from keras_bert_zoo.benchmark.turns import Spread
from keras_bert_zoo.files import new_file

Sheet = tuple[str, tuple[str, ...], list[tuple[str, ...]]]  # title, header, cells

QUIET = 0.03  # share of the processor that others may take

HEADER: tuple[str, ...] = ("workload", "contender", "way", "median", "lowest to highest", "ours is", "differs by")


def tables(report: Report) -> list[Sheet]:
    """Return title, header and cells of each section that was measured, and of what is missing."""
    found: list[Sheet] = []
    for name, section in SECTIONS.items():
        rows = [row for row in report.rows if row.section == name]
        if not rows:
            continue
        header = (*HEADER, "of the ceiling") if any(row.share for row in rows) else HEADER
        cells = [_cells(row)[: len(header)] for row in rows]
        found.append((f"{section.title}, {section.unit}", header, cells))
    if report.missing:
        lost = [(one.section, one.contender, one.way or "all", one.why) for one in report.missing]
        found.append(("Not measured", ("section", "contender", "way", "why"), [*lost]))
    return found


def settings_table(report: Report) -> Sheet:
    """Return the settings of every way, each told once."""
    told = dict.fromkeys((row.section, row.contender, row.way, row.settings) for row in report.rows)
    return "Settings", ("section", "contender", "way", "settings"), list(told)


def heading(report: Report) -> list[str]:
    """Return the lines that say when, on what and with which versions."""
    machine = report.machine
    lines = [
        f"{report.date}, {machine['processor']}, {machine['cores']} cores ({' '.join(machine['instructions'])}),"
        f" {machine['memory_gib']} GiB, Python {machine['python']}",
        ", ".join(f"{name} {number}" for name, number in report.versions.items()),
        f"{report.plan['repeats']} turns of each side; median, lowest and highest. Ratios: how many times as quick ours"
        " is, turn by turn.",
    ]
    if machine["others"] > QUIET:
        lines.append(
            f"Not quiet: others took {machine['others']:.0%} of the processor. That slows sides unevenly; trust"
            " only a quiet run."
        )
    if report.tokens:
        told = (f"{name} {mean:.1f} (longest {longest})" for name, (mean, longest) in report.tokens.items())
        lines.append(f"Tokens a text: {', '.join(told)}.")
    return lines


def write_markdown(report: Report, path: Path) -> None:
    """Write the whole report as Markdown; the file appears whole or not at all."""
    parts = ["\n".join(f"{line}  " for line in heading(report))]
    for title, header, cells in [*tables(report), settings_table(report)]:
        rows = [header, tuple("---" for _ in header), *cells]
        parts.append(f"### {title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows))
    with new_file(path) as partial:
        partial.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.workload,
        row.contender,
        row.way,
        _number(row.figure.median),
        f"{_number(row.figure.low)} to {_number(row.figure.high)}",
        "" if row.ratio is None else f"{_ratio(row.ratio)}" + ("" if row.against == row.way else f", {row.against}"),
        "" if row.difference is None else f"{row.difference:.0e}" if row.difference else "0",
        "" if row.share is None else f"{row.share.median:.0%}",
    )


def _ratio(value: Spread) -> str:
    return f"{value.median:.2f} × ({value.low:.2f} to {value.high:.2f})"


def _number(value: float) -> str:
    """Return three or more digits that matter."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

"""What people see: the tables by value, and a picture with a bar for each ratio."""

import matplotlib.image
import pytest

from keras_bert_zoo.benchmark.picture import figure, write_picture
from keras_bert_zoo.benchmark.report import Missing, Report, Row
from keras_bert_zoo.benchmark.tables import heading, settings_table, tables, write_markdown
from keras_bert_zoo.benchmark.turns import Spread
from keras_bert_zoo.errors import DataError


def row(section, workload, contender, way, precision, ratio=None, **more):
    ratio = ratio and Spread(*ratio)
    against = "fp32" if ratio else None
    return Row(
        section, workload, contender, way, precision, "as told", Spread(12.345, 9, 123.4), ratio, against, **more
    )


REPORT = Report(
    date="2026-11-21",
    command="kbz benchmark",
    machine={
        "processor": "Abacus", "instructions": ["avx2"], "cores": 2, "memory_gib": 4.0, "python": "3.11.7",
        "others": 0.2,
    },
    versions={"keras": "3.15.1"},
    plan={"repeats": 5},
    tokens={"short": [25.25, 60]},
    rows=[
        row("encoder", "forward", "keras-bert-zoo", "fp32", "fp32", share=Spread(0.891, 0.8, 0.9)),
        row("encoder", "forward", "KerasHub", "fp32", "fp32", (1.5, 1.25, 2)),
        row("serving", "sorted", "keras-bert-zoo", "fp32", "fp32"),
        row("serving", "sorted", "OpenVINO", "fp32", "fp32", (0.75, 0.5, 1), difference=4e-7),
        row("serving", "sorted", "ONNX Runtime", "int8", "int8", (3, 2, 4), difference=0.04),
        row("serving", "as they come", "OpenVINO", "fp32", "fp32", (1.125, 1, 1.25), difference=0.0),
    ],
    missing=[Missing("serving", "PyTorch", None, "not installed: torch")],
)  # fmt: skip


def test_a_bar_for_each_ratio():
    drawn = figure(REPORT)
    bars = {place.get_title(loc="left"): [bar.get_width() for bar in place.patches] for place in drawn.axes}
    assert bars == {
        "Encoder alone, and the ceiling: the best matrix product - forward": [1.5],
        "End to end: strings to probabilities - sorted": [0.75, 3],
        "End to end: strings to probabilities - as they come": [1.125],
    }
    assert [label.get_text() for label in drawn.axes[1].get_yticklabels()] == ["OpenVINO, fp32", "ONNX Runtime, int8"]
    top, bottom = drawn.axes[1].get_ylim()
    assert top > bottom  # the first on top


def test_the_picture_is_a_png_and_nothing_else_is_left(tmp_path):
    write_picture(REPORT, tmp_path / "new" / "ratios.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["ratios.png"]
    pixels = matplotlib.image.imread(tmp_path / "new" / "ratios.png")
    assert pixels.shape[0] > 300
    assert pixels.std() > 0.05  # not an empty sheet


def test_without_peers_there_is_no_picture(tmp_path):
    import dataclasses

    alone = dataclasses.replace(REPORT, rows=REPORT.rows[:1])
    with pytest.raises(DataError, match=r"a\.png: no peer was measured, so there are no ratios to draw"):
        write_picture(alone, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_tables_by_value():
    encoder, serving, missing = tables(REPORT)
    assert encoder[0] == "Encoder alone, and the ceiling: the best matrix product, GFLOP/s"
    assert encoder[1][-1] == "of the ceiling"
    assert encoder[2] == [
        ("forward", "keras-bert-zoo", "fp32", "12.3", "9.00 to 123", "", "", "89%"),
        ("forward", "KerasHub", "fp32", "12.3", "9.00 to 123", "1.50 × (1.25 to 2.00)", "", ""),
    ]
    assert serving[2][1:] == [
        ("sorted", "OpenVINO", "fp32", "12.3", "9.00 to 123", "0.75 × (0.50 to 1.00)", "4e-07"),
        ("sorted", "ONNX Runtime", "int8", "12.3", "9.00 to 123", "3.00 × (2.00 to 4.00), fp32", "4e-02"),
        ("as they come", "OpenVINO", "fp32", "12.3", "9.00 to 123", "1.12 × (1.00 to 1.25)", "0"),
    ]
    assert missing[2] == [("serving", "PyTorch", "all", "not installed: torch")]
    assert len(settings_table(REPORT)[2]) == 5  # each way of a section once


def test_the_heading_tells_when_it_was_not_quiet():
    text = "\n".join(heading(REPORT))
    assert "Not quiet: others took 20% of the processor." in text
    assert "keras 3.15.1" in text
    assert "short 25.2 (longest 60)" in text


def test_markdown_has_every_table(tmp_path):
    write_markdown(REPORT, tmp_path / "new" / "report.md")
    text = (tmp_path / "new" / "report.md").read_text(encoding="utf-8")
    assert text.count("\n### ") == 4
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")
    assert "| forward | KerasHub | fp32 | 12.3 | 9.00 to 123 | 1.50 × (1.25 to 2.00) |  |  |" in text
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.md"]

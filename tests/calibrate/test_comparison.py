"""The picture of designs beside one another shows the figures of the table, and is a file like any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from sweetspot.calibrate.report import page, plots
from sweetspot.calibrate.study import compare
from sweetspot.calibrate.study.compare import DesignRow
from sweetspot.rigs.errors import BadInput


def rows() -> tuple[DesignRow, ...]:
    levels = np.array([19.5, 17.0, 18.25, 16.0, 12.5])
    return tuple(
        DesignRow(
            name,
            mean=levels - i,
            p10=levels - 4.0 - 2 * i,
            nominal=levels + 3.0,
            effort=levels / 2.0 - i,
            colour_nominal=0.3,
            colour_scored=0.6,
            ringing=-300.0,
            drifted=levels - 1.0 - i,
            loudness=-3.0 - i,
        )
        for i, name in enumerate(("sweetspot", "exact inverse", "contrast"))
    )


def test_the_picture_holds_the_figures_of_the_table() -> None:
    figure = Figure()
    above, beneath = figure.subplots(2, 1)
    plots.designs(above, rows())
    plots.efforts(beneath, rows())
    means = [line.get_ydata() for line in above.get_lines() if line.get_marker() == "o"]
    tenths = [line.get_ydata() for line in above.get_lines() if line.get_marker() == "_"]
    for row, mean, tenth in zip(rows(), means, tenths, strict=True):
        assert mean == pytest.approx(row.mean)
        assert tenth == pytest.approx(row.p10)
    heights = [bar.get_height() for bar in beneath.patches]
    assert heights == pytest.approx(np.concatenate([r.effort for r in rows()]))
    (names,) = above.artists
    assert names.labels == ["sweetspot", "exact inverse", "contrast"]
    assert " 18.5/ 13.5/ 22.5" in compare.table(rows(), "title")


def test_a_band_in_which_a_design_does_not_play_has_dashes() -> None:
    """One tweeter below its band: what it would take to play there is no effort, and its figures are of noise."""
    tweeter = replace(rows()[0], name="one driver", effort=np.array([51.0, 34.0, 2.0, -4.0, -6.0]))
    plain, silent = compare.table((rows()[0], tweeter), "title").splitlines()[2:]
    assert len(plain) == len(silent)
    assert silent.split()[2] == "-/"
    assert silent.count("    -/    -/    -     -") == 2
    assert "E  +2" in silent
    figure = Figure()
    above, beneath = figure.subplots(2, 1)
    plots.designs(above, (tweeter,))
    plots.efforts(beneath, (tweeter,))
    assert above.get_lines()[0].get_ydata() == pytest.approx(tweeter.mean[2:])
    assert [bar.get_height() for bar in beneath.patches] == pytest.approx([2.0, -4.0, -6.0])


def test_the_picture_is_a_png_file_the_same_each_time(tmp_path: Path) -> None:
    first, second = (page.comparison(rows(), tmp_path / name) for name in ("a.png", "b.png"))
    assert first.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(BadInput, match="does not exist; create it first"):
        page.comparison(rows(), tmp_path / "nowhere" / "c.png")

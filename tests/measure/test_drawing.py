"""Drawings show what they were given: values where the scales say, within their box, alike in SVG, PNG and PDF."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest
from PIL import Image

from sweetspot.measure.drawing import Sheet, shades
from sweetspot.measure.drawing.canvas import Letters, Stroke, broken, runs, thinned
from sweetspot.measure.drawing.scale import Scale

RED, BLUE = "#d1570a", "#0b6cb6"


def sheet() -> Sheet:
    """A curve that jumps out of its box, an area and a map; unequal scales, one of them turned round."""
    made = Sheet((4.0, 3.0), "A title", "#fefefe")
    ax = made.ax()
    ax.map(np.array([0.5, 1.5, 2.5]), np.array([1.0, 3.0]), np.arange(6.0).reshape(2, 3), colours="viridis", low=0.0,
           high=5.0)  # fmt: skip
    ax.line([0.0, 1.0, 2.0, 3.0], [2.0, 2.0, 90.0, 2.0], colour=RED, width=3.0, name="curve <1>")
    ax.x.low, ax.x.high, ax.x.label = 3.0, 0.0, "x, cm"
    ax.y.low, ax.y.high, ax.y.label = 0.0, 4.0, "y, dB"
    ax.frame.keyed = True
    return made


def pixels(made: Sheet, dpi: float = 144.0) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(made.file("png", dpi))).convert("RGB")).astype(int)


def test_a_value_is_drawn_where_the_scales_say() -> None:
    made = sheet()
    left, top, right, bottom = made.boxes()[0]
    seen = pixels(made)
    assert seen.shape == (432, 576, 3)
    row, unit = round(2.0 * 0.5 * (top + bottom)), (right - left) / 3.0
    red = np.abs(seen[row] - (0xD1, 0x57, 0x0A)).sum(axis=-1) < 30
    where = np.flatnonzero(red) / 2.0
    assert where.max() == pytest.approx(right, abs=1.0)  # x = 0 stands at the right
    assert where[where > left + 1.9 * unit].min() == pytest.approx(right - unit, abs=2.0)  # the curve leaves at x = 1
    assert not (np.abs(seen[: round(2 * top) - 4, round(2 * left) : round(2 * right) - 40] - (0xD1, 0x57, 0x0A)).sum(
        axis=-1) < 30)[30:].all(axis=-1).any()  # fmt: skip
    outside = np.abs(seen - (0xD1, 0x57, 0x0A)).sum(axis=-1) < 30
    assert not outside[round(2 * bottom) + 4 :].any()
    first = tuple(seen[round(2 * (bottom - 0.1 * (bottom - top))), round(2 * (right - 0.3 * unit))])
    assert first == pytest.approx(shades(np.array(0.0), 0.0, 5.0, "viridis"), abs=2)  # x 0.3, y 0.4: the first value


def test_the_same_in_svg_and_pdf_and_nothing_else_twice() -> None:
    drawn = sheet().file("svg").decode()
    root = ET.fromstring(drawn)
    assert [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")].count("curve <1>") == 1
    path = next(p.attrib["d"] for p in root.iter("{http://www.w3.org/2000/svg}path") if RED in p.attrib["style"])
    points = np.array([float(v) for v in re.findall(r"-?[\d.]+", path)]).reshape(-1, 2)
    made = sheet()
    left, top, right, bottom = made.boxes()[0]
    np.testing.assert_allclose(
        points[[0, -1]], [[right, 0.5 * (top + bottom)], [left, 0.5 * (top + bottom)]], atol=0.01
    )
    pdf = sheet().file("pdf")
    assert pdf == sheet().file("pdf")
    assert drawn == sheet().file("svg").decode()
    table = int(pdf.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert pdf[table:].startswith(b"xref")
    for number, entry in enumerate(re.findall(rb"(\d{10}) 00000 n", pdf), 1):
        assert pdf[int(entry) :].startswith(b"%d 0 obj" % number)
    packed = pdf.split(b"4 0 obj", 1)[1].split(b"stream\n", 1)[1].split(b"\nendstream")[0]
    operators = zlib.decompress(packed).decode("cp1252")
    curve = next(line for line in operators.splitlines() if line.count(" l") == 3 and not line.endswith("h"))
    x, y = (float(v) for v in curve.split()[:2])
    assert (x, y) == pytest.approx((right, 216.0 - 0.5 * (top + bottom)), abs=0.01)
    assert "(curve <1>) Tj" in operators


def test_an_element_of_a_page_keeps_its_ids_and_colours_to_itself() -> None:
    made = sheet().element("fig", "a < b", {RED: "var(--heard)"})
    assert re.match(r'<svg viewBox="0 0 288 216" role="img" aria-labelledby="fig-title"><title id="fig-title">', made)
    assert "a &lt; b" in made
    assert "stroke: var(--heard)" in made
    assert RED not in made
    assert set(re.findall(r'id="(\w+)', made)) == {"fig"}
    assert {*re.findall(r"url\(#([^)]+)\)", made)} <= {*re.findall(r'id="([^"]+)"', made)}
    assert "xmlns" not in made


def test_names_have_room_on_every_side() -> None:
    made = Sheet((3.0, 2.0))
    a, b = made.grid(1, 2)
    for ax, low in ((a, -12345.0), (b, 1e-3)):
        ax.line([0.0, 1.0], [low, 2.0 * low], colour=BLUE)
        ax.y.label, ax.frame.title = "level, dB", "one"
    canvas = made.canvas()
    for item in canvas.items:
        if isinstance(item, Letters):
            wide = 0.6 * item.size * len(item.text)
            first = item.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[item.anchor] * (0.0 if item.turned else wide)
            assert first > -2.0
            assert 0.0 < item.y <= canvas.height
    boxes = made.boxes()
    assert boxes[0][2] < boxes[1][0] - 20.0


def test_scales_have_round_ticks_that_are_told_apart() -> None:
    scale = Scale(low=-0.013, high=0.0213)
    ticks, names = scale.ticked(5)
    assert names == ["\N{MINUS SIGN}0.01", "0.00", "0.01", "0.02"]
    np.testing.assert_allclose(ticks, [-0.01, 0.0, 0.01, 0.02], atol=1e-12)
    log = Scale(log=True, low=20.0, high=20000.0)
    np.testing.assert_allclose(log.share([20.0, 632.455532, 20000.0]), [0.0, 0.5, 1.0], atol=1e-9)
    free = Scale()
    free.see([1.0, np.nan, 3.0])
    assert free.ends() == (0.9, 3.1)


def test_thinning_keeps_every_peak_and_gaps_stay_gaps() -> None:
    x = np.linspace(0.0, 100.0, 40001)
    y = np.sin(3.0 * x)
    y[12345] = 40.0
    kept = thinned(np.stack([x, y], axis=-1))
    assert len(kept) < 1100
    assert kept[:, 1].max() == 40.0
    gappy = np.stack([x, np.where((x > 20.0) & (x < 30.0), np.nan, y)], axis=-1)
    assert [len(r) for r in runs(gappy)] == [8001, 28001]


def test_a_broken_line_has_strokes_and_gaps_of_the_lengths_asked_for() -> None:
    line = np.array([(0.0, 0.0), (6.0, 8.0), (6.0, 13.0)])  # 10 and 5 long
    strokes = broken(line, (4.0, 2.0))
    lengths = [float(np.hypot(*np.diff(s, axis=0).T).sum()) for s in strokes]
    np.testing.assert_allclose(lengths, [4.0, 4.0, 3.0], atol=1e-9)
    np.testing.assert_allclose(strokes[1], [(3.6, 4.8), (6.0, 8.0)], atol=1e-9)


def test_values_that_are_not_known_are_clear_and_hatching_stays_inside() -> None:
    made = Sheet((2.0, 2.0))
    ax = made.ax()
    ax.map(np.array([0.5, 1.5]), np.array([0.5, 1.5]), np.ones((2, 2)), colours="magma", low=0.0, high=1.0,
           known=np.array([[True, False], [True, True]]))  # fmt: skip
    ax.bars(np.array([(0.0, 2.0, 0.0, 1.0)]), colour=BLUE, hatch="////", edge="#fefefe")
    canvas = made.canvas()
    bitmap = next(i for i in canvas.items if hasattr(i, "pixels"))
    assert np.count_nonzero(bitmap.pixels[..., 3] == 0) == 1
    lines = next(i for i in canvas.items if isinstance(i, Stroke) and i.colour == "#fefefe" and not i.fill)
    area = next(i for i in canvas.items if isinstance(i, Stroke) and i.fill == BLUE).lines[0]
    for line in lines.lines:
        assert (line >= area.min(axis=0) - 1e-6).all()
        assert (line <= area.max(axis=0) + 1e-6).all()

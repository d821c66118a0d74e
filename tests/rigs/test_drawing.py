"""Drawings: what they show against hand calculations, their colours and letters against matplotlib's, three formats."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.image import imread

from sweetspot.rigs.drawing import Axes, Canvas, Drawing, save
from sweetspot.rigs.drawing.canvas import Path as Lines
from sweetspot.rigs.drawing.canvas import RasterImage, Text
from sweetspot.rigs.drawing.colours import CLEAR, cells, palette
from sweetspot.rigs.drawing.curves import drawable, hatching
from sweetspot.rigs.drawing.letters import width
from sweetspot.rigs.drawing.png import indexed, rgb
from sweetspot.rigs.drawing.scale import Scale, numbers


def some() -> Drawing:
    """A drawing with one of each thing."""
    drawing = Drawing((4.0, 3.0))
    ax = drawing.single()
    x = np.linspace(100.0, 10000.0, 50)
    ax.x.log = True
    ax.plot(x, np.sin(x / 500.0), color="#d1570b", label="a < b")
    ax.set_ylim(-0.5, 1.1)
    ax.fill_between(x, np.sin(x / 500.0) - 0.1, np.sin(x / 500.0) + 0.1, color="#0b6cb6", alpha=0.3)
    ax.map(np.outer(np.arange(5.0), np.arange(7.0)), (0.0, 24.0), "viridis", smooth=True)
    ax.contour(x[::10], np.arange(-1.0, 2.0), np.outer([0.0, 1.0, 0.5], np.ones(5)), [0.7], color="#ffffff",
               linewidth=1.0)  # fmt: skip
    ax.set_ylabel("level, dB")
    ax.set_legend()
    drawing.colour_bar([ax], "viridis", (0.0, 24.0), "dB")
    return drawing


def test_a_curve_keeps_what_can_be_seen() -> None:
    """A peak of one sample among 100,000, first and last point; a gap is no line."""
    x, y = np.linspace(0.0, 300.0, 100_000), np.zeros(100_000)
    y[43_210] = -50.0
    (line,) = drawable(x, y)
    assert len(line) < 5000
    assert line[0] == pytest.approx([0.0, 0.0])
    assert line[-1] == pytest.approx([300.0, 0.0])
    at = int(np.argmin(line[:, 1]))
    assert line[at] == pytest.approx([x[43_210], -50.0])
    y[50_000:60_000] = np.nan
    before, after = drawable(x, y)
    assert before[-1, 0] == pytest.approx(x[49_999])
    assert after[0, 0] == pytest.approx(x[60_000])


def test_a_slow_slope_is_not_taken_for_a_level() -> None:
    x = np.linspace(0.0, 400.0, 1601)
    y = 2.0 * np.sin(x / 60.0)
    (line,) = drawable(x, y)
    assert np.interp(x, line[:, 0], line[:, 1]) == pytest.approx(y, abs=0.02)


def test_a_line_that_turns_back_keeps_its_turn() -> None:
    (line,) = drawable(np.array([0.0, 5.0, 2.0]), np.zeros(3))
    assert line[:, 0].tolist() == [0.0, 5.0, 2.0]


def test_places_on_linear_logarithmic_and_turned_scales() -> None:
    scale = Scale()
    scale.see([1.0, np.inf, 3.0])
    assert scale.limits() == pytest.approx((0.9, 3.1))
    scale.see(0.0, held=True)
    assert scale.limits() == pytest.approx((0.0, 3.15))
    scale.turned = True
    assert scale.limits() == pytest.approx((3.15, 0.0))
    scale.ends, scale.log = (10.0, 1000.0), True
    assert scale.share([10.0, 100.0, 1000.0]) == pytest.approx([0.0, 0.5, 1.0])
    assert not np.isfinite(scale.share([0.0])).any()


@pytest.mark.parametrize(
    ("ends", "most", "labels"),
    [
        ((0.0, 10.0), 5, ["0", "2", "4", "6", "8", "10"]),
        ((-0.06, 0.06), 1, ["\N{MINUS SIGN}0.05", "0.00", "0.05"]),
        ((5.1, 9.1), 9, ["5.5", "6.0", "6.5", "7.0", "7.5", "8.0", "8.5", "9.0"]),
        ((21.0, 0.0), 9, ["0.0", "2.5", "5.0", "7.5", "10.0", "12.5", "15.0", "17.5", "20.0"]),
    ],
)
def test_ticks_are_round_and_at_least_two(ends: tuple[float, float], most: int, labels: list[str]) -> None:
    scale = Scale()
    scale.ends = ends
    at, names = scale.ticks(most)
    assert names == labels
    assert at == pytest.approx([float(n.replace("\N{MINUS SIGN}", "-")) for n in labels])


def test_numbers_have_the_digits_that_tell_them_apart() -> None:
    assert numbers(np.array([-0.0, 0.25, 10.0])) == ["0.00", "0.25", "10.00"]


@pytest.mark.parametrize(("name", "most"), [("viridis", 2), ("magma", 2), ("cividis", 5), ("viridis_r", 2)])
def test_scales_of_colours_are_those_of_the_field(name: str, most: int) -> None:
    known = mpl.colormaps[name](np.linspace(0.0, 1.0, CLEAR))[:, :3] * 255.0
    assert np.abs(palette(name)[:CLEAR] - known).max() <= most


def test_letters_are_as_wide_as_in_the_font() -> None:
    font = FT2Font(findfont(FontProperties("DejaVu Sans")))
    font.set_size(1000.0, 72.0)
    text = "Level at 2 kHz, dB (front left) ± 30° m²"
    wide = sum(font.load_char(ord(c), LoadFlags.NO_HINTING).linearHoriAdvance / 65536.0 for c in text)
    assert width(text, 1000.0) == pytest.approx(wide, rel=0.005)


def test_pixels_come_back_from_our_files() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    read = np.round(imread(io.BytesIO(rgb(pixels, 130.0))) * 255.0)
    assert (read[..., :3] == pixels).all()
    values = np.array([[0.0, 1.0, 2.0], [np.nan, 5.0, -1.0]])
    read = np.round(imread(io.BytesIO(indexed(cells(values, 0.0, 2.0), palette("magma")))) * 255.0)
    assert (read[0, 0, :3] == palette("magma")[0]).all()
    assert (read[0, 2, :3] == palette("magma")[CLEAR - 1]).all()
    assert (read[1, 1] == read[0, 2]).all()
    assert (read[1, 2] == read[0, 0]).all()
    assert read[1, 0, 3] == 0.0
    assert read[..., 3].sum() == 5.0 * 255.0


def test_things_are_where_their_scales_put_them(tmp_path: Path) -> None:
    """A bar from 0 to 5 of 10 over the middle half of the axes, as pixels of the picture."""
    drawing = Drawing((2.0, 1.0), left=0.5, right=0.5, top=0.25, bottom=0.25)
    ax = drawing.single()
    ax.frameless()
    ax.labelled_x = ax.labelled_y = False
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, 10.0)
    ax.bar(np.array([0.5]), np.array([5.0]), width=0.5, color="#ff0000")
    save(drawing.canvas(), tmp_path / "a.png", dpi=100.0)
    pixels = imread(tmp_path / "a.png")
    assert pixels.shape[:2] == (100, 200)
    red = (pixels[..., 0] > 0.9) & (pixels[..., 1] < 0.1)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert (rows[0], rows[-1]) == (50, 74)
    assert (columns[0], columns[-1]) == (75, 124)


def test_an_image_stands_upright_in_every_format(tmp_path: Path) -> None:
    """The first row of a map is at the bottom: bright above, dark below."""
    drawing = Drawing((1.0, 1.0), left=0.0, right=0.0, top=0.0, bottom=0.0)
    ax = drawing.single()
    ax.frameless()
    ax.labelled_x = ax.labelled_y = False
    ax.map(np.array([[0.0, 0.0], [1.0, 0.0]]), (0.0, 1.0), "viridis", smooth=False)
    save(drawing.canvas(), tmp_path / "a.png", dpi=100.0)
    light = imread(tmp_path / "a.png")[..., :3].sum(axis=2) > 1.5
    assert light[:48, :48].all()
    assert not light[52:, :].any()
    assert not light[:, 52:].any()
    (image,) = (i for i in drawing.canvas().items if isinstance(i, RasterImage))
    assert image.cells[0, 0] > image.cells[1, 0]


@pytest.mark.parametrize("kind", [".png", ".svg", ".pdf"])
def test_the_same_drawing_gives_the_same_file(kind: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(some().canvas(), tmp_path / f"{name}{kind}")
    content = (tmp_path / f"a{kind}").read_bytes()
    assert content == (tmp_path / f"b{kind}").read_bytes()
    if kind == ".pdf":
        assert content.startswith(b"%PDF-")
    elif kind == ".png":
        assert imread(tmp_path / "a.png").shape[:2] == (390, 520)
    else:
        found = ElementTree.fromstring(content)
        names = {element.tag.split("}")[1] for element in found.iter()}
        assert names == {"svg", "defs", "clipPath", "rect", "path", "text", "image"}
        assert any(element.text == "a < b" for element in found.iter())
        ids = {e.get("id") for e in found.iter() if e.get("id")}
        used = {e.get("clip-path") for e in found.iter() if e.get("clip-path")}
        assert used <= {f"url(#{i})" for i in ids}


def test_text_stands_on_its_place_and_is_read_upwards_when_turned() -> None:
    canvas = Canvas(100.0, 100.0)
    canvas.text(10.0, 20.0, "a\nb", size=10.0, va="middle")
    canvas.text(10.0, 20.0, "c", size=10.0, va="top", turned=True)
    a, b, c = (item for item in canvas.items if isinstance(item, Text))
    assert 0.5 * (a.y + b.y) == pytest.approx(23.6)
    assert b.y - a.y == pytest.approx(12.0)
    assert (c.x, c.y) == pytest.approx((17.6, 20.0))


@pytest.mark.parametrize("kind", ["/", "x", "."])
def test_hatching_stays_within_its_rectangle(kind: str) -> None:
    lines = hatching((10.0, 20.0, 7.0, 5.0), kind)
    points = np.concatenate(lines)
    assert len(lines) > 2
    assert (points.min(axis=0) >= [9.6, 19.6]).all()
    assert (points.max(axis=0) <= [17.4, 25.4]).all()


def test_a_colour_bar_is_as_high_as_its_axes_when_they_shrink() -> None:
    drawing = Drawing((4.0, 3.0))
    ((left, right),) = drawing.grid(1, 2, share_x=True, share_y=True)
    left.set_xlim(0.0, 1.0)
    left.set_ylim(0.0, 1.0)
    left.set_equal()
    right.set_equal()
    drawing.colour_bar([left, right], "viridis", (0.0, 1.0), "dB")
    drawing.canvas()
    bar = drawing.axes[-1]
    assert isinstance(bar, Axes)
    assert left.rect[2] == pytest.approx(left.rect[3])
    assert (bar.rect[1], bar.rect[3]) == pytest.approx((left.rect[1], left.rect[3]))
    assert left.rect[0] + left.rect[2] < right.rect[0]
    assert right.rect[0] + right.rect[2] < bar.rect[0]


def test_curves_are_cut_at_their_axes() -> None:
    drawing = Drawing((2.0, 2.0))
    ax = drawing.single()
    ax.set_ylim(0.0, 1.0)
    ax.plot([0.0, 1.0], [0.2, 0.4], color="#000001")
    ax.plot([0.0, 1.0], [0.2, 4.0], color="#000002")
    lines = {i.stroke: i.clip for i in drawing.canvas().items if isinstance(i, Lines)}
    assert lines["#000001"] is None
    assert lines["#000002"] == ax.rect

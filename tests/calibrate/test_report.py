"""The report's page: whole by itself, readable in order, honest about what was not heard, and clean in a browser."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import h5py
import jinja2
import numpy as np
import pytest
import soundfile
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.auditory import Assessment, ZoneMap
from sweetspot.calibrate.auditory.zone import OwnError
from sweetspot.calibrate.design import Design, Limits
from sweetspot.calibrate.report import (
    device_pictures,
    evidence,
    image_pictures,
    pictures,
    plots,
    sounds,
    standing,
    svg,
    templates,
)
from sweetspot.calibrate.report import page as parts
from sweetspot.calibrate.report import writing as report
from sweetspot.measure import plan
from sweetspot.measure import run as hardware
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.measure.share import PlainFigure, Values
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import Description, parse
from sweetspot.rigs.storage import file_sha256, seal
from sweetspot.rigs.units import db

NOW = datetime(2026, 3, 4, 12, 30, 0, tzinfo=UTC)
SERIAL = "T.1_a-2"
MARKUP = "# <T&1> </code>"
"""A comment of the rig file that would break a page which does not escape it."""


class Page(HTMLParser):
    """Page and methods of the tests."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.svgs: list[dict[str, str | None]] = []
        self.titles: dict[str, str] = {}
        self.words: list[str] = []
        self._title = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "svg":
            self.svgs.append(a)
        self._title = (a.get("id") or "") if tag == "title" else ""
        self.ids += [i for i in [a.get("id")] if i]
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href", "data", "action") and v]

    def handle_data(self, data: str) -> None:
        if self._title:
            self.titles[self._title] = data
            self._title = ""
        self.words.append(data)

    @property
    def text(self) -> str:
        """All text with single spaces."""
        return " ".join(" ".join(self.words).split())


def quiet(_: Any, __: int) -> Any:
    return nullcontext(lambda _: None)


def nobody(_: str) -> None:
    """No operator is needed in the lab."""


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory, crooked_text: str, lab_rig: Callable[..., Rig]) -> Path:
    """A small unit with three drivers and five head positions, carried to its verification."""
    here = tmp_path_factory.mktemp("report") / "crooked-run"
    here.mkdir()
    crooked_text += MARKUP + "\n"
    (here / "rig.toml").write_text(crooked_text, encoding="utf-8")
    rig = lab_rig(parse(crooked_text, folder=here), SERIAL)
    measured(here, rig.description, rig)
    fitted = steps.calibrate(here, Design(), "")
    steps.measure_verification(here, rig, fitted, NOW, ask=nobody, track=quiet)
    steps.judge(here, fitted, Limits())
    return here


def measured(here: Path, description: Description, rig: Rig) -> None:
    with Session.create(here / "session.h5", description, SERIAL, "2026-03-04T12:00:00Z") as session:
        for name in ("ears", "polar"):
            wanted = plan.make(description, "ears" if name == "ears" else "polar")
            hardware.measure(rig, session, wanted, ask=nobody, step=lambda _: None)


@pytest.fixture(scope="module")
def page(verified: Path) -> Page:
    """The page of the verified unit."""
    return Page(report.write(verified).read_text(encoding="utf-8"))


@pytest.fixture
def unheard(verified: Path, tmp_path: Path) -> Path:
    """The same run before its verification."""
    here = tmp_path / verified.name
    here.mkdir()
    for name in ("rig.toml", "session.h5", "filterset.h5"):
        shutil.copy(verified / name, here / name)
    return here


def edited(path: Path, member: str, value: Any) -> None:
    """Replace a member of a file, or with ``None`` remove it, and give the file the checksum of its new content."""
    with h5py.File(path, "r+") as file:
        parent, _, name = member.rpartition("/")
        group = file[parent or "/"]
        place = group.attrs if name.startswith("@") else group
        del place[name.removeprefix("@")]
        if value is not None:
            place[name.removeprefix("@")] = value
    seal.close(path)


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("filterset.h5:prediction/virtual", None, r"/prediction: cannot be understood \('virtual' is missing\)"),
        ("filterset.h5:prediction/virtual/@shelf", "much", "/prediction: cannot be understood .*'much'"),
        ("filterset.h5:prediction/polar", np.zeros((2, 7)), "/prediction: cannot be understood .*has shape"),
        ("filterset.h5:prediction/azimuths", np.zeros(3), r"azimuths has shape \(3,\); .* is needed"),
        ("filterset.h5:prediction/whole/polar_gate/@seconds", 0.0, "a gate of 0.0 s"),
        ("filterset.h5:prediction/reference", [0, 9], "reference drivers 0 and 9, counted from 0, of 3"),
        ("verify.h5:limits", "much", "/limits and /verdict: cannot be understood .* Verify again: sweetspot verify"),
        ("verify.h5:verdict", "[]", "/limits and /verdict: cannot be understood"),
        ("verify.h5:through", "[1]", "/through: cannot be understood .* Verify again: sweetspot verify"),
        ("verify.h5:@schema_version", [1, 1], "schema is 'sweetspot-verification' version array"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_part(
    verified: Path, tmp_path: Path, member: str, value: Any, message: str
) -> None:
    here = shutil.copytree(verified, tmp_path / "edited")
    (here / "report.html").unlink(missing_ok=True)
    file, _, name = member.partition(":")
    edited(here / file, name, value)
    if file == "filterset.h5":
        (here / "verify.h5").unlink()
    with pytest.raises(BadInput, match=message):
        report.write(here)


def test_page_is_whole_by_itself(verified: Path, page: Page) -> None:
    path = verified / "report.html"
    assert 100_000 < path.stat().st_size < 3_000_000
    outside = [v for v in page.links if not v.startswith(("#", "data:"))]
    assert outside == []
    assert not re.search(r"@import|url\((?!#)", path.read_text(encoding="utf-8"))
    assert not list(verified.glob(".*.part"))


def test_every_reference_inside_the_page_has_one_target(verified: Path, page: Page) -> None:
    text = (verified / "report.html").read_text(encoding="utf-8")
    assert len(page.ids) == len(set(page.ids))
    wanted = {v[1:] for v in page.links if v.startswith("#")} | set(re.findall(r"url\(#([^)]+)\)", text))
    assert wanted - set(page.ids) == set()


def test_numbers_have_one_minus_and_zeros_none() -> None:
    """By hand: what is text gets a minus, tags, pictures, commands and names keep their hyphens."""
    page = (
        '<p title="-3">-0.0 dB, -0.04 dB, (-21.5 to -3), +-30°, +0.0, low-pass, U-7, 3-4, -0 µs. -0.</p>'
        "<pre>limits_deg = [-180, 180]</pre><code>--gain -3</code><svg><text>-5</text></svg>-6"
    )
    assert templates.typeset(page) == (
        '<p title="-3">0.0 dB, \u22120.04 dB, (\u221221.5 to \u22123), ±30°, +0.0, low-pass, U-7, 3-4, 0 µs. '
        "0.</p><pre>limits_deg = [-180, 180]</pre><code>--gain -3</code><svg><text>-5</text></svg>\u22126"
    )


def test_no_negative_number_of_a_page_has_a_hyphen(verified: Path) -> None:
    text = re.sub(
        r"<(script|style|svg|pre|code|time)\b.*?</\1>|<[^>]*>", " ", (verified / "report.html").read_text(), flags=re.S
    )
    assert "\u2212" in text
    assert re.findall(r"[^\w.\u2013-]-\d|\+-", text) == []


def test_headings_are_in_order(page: Page) -> None:
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert page.headings.count(2) == 11
    assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False))


def test_every_drawing_says_what_it_shows(page: Page) -> None:
    assert len(page.svgs) > 15
    for drawing in page.svgs:
        assert drawing["role"] == "img"
        assert len(page.titles[drawing["aria-labelledby"] or ""]) > 25


def test_page_holds_the_verdict_and_its_figures(verified: Path, page: Page) -> None:
    verdict = steps.judge(verified, steps.fitted_of(verified), Limits())
    text = page.text.replace("\N{MINUS SIGN}", "-")
    assert ("✓ PASS" if verdict.passed else "✗ FAIL") in text
    for metric in verdict.metrics:
        assert metric.name.replace("+-", "±") in text
        assert f"{metric.heard:z.1f}" in text
    for reason in verdict.reasons[:3]:
        assert reason.replace("+-", "±") in text
    assert SERIAL in page.text
    assert file_sha256(verified / "filterset.h5") in page.text
    assert (verified / "rig.toml").read_text(encoding="utf-8").split()[-1] in page.text


def test_what_a_listener_gets_is_read_as_it_was_judged(verified: Path) -> None:
    """Every digit of every arm comes back from verify.h5, where it would be computed for a second otherwise."""
    fitted = steps.fitted_of(verified)
    computed = steps.verdict_of(verified, fitted, Limits())[1].image
    with Session.read(verified / "verify.h5", VERIFICATION) as session:
        kept = session.annotation("image")
    assert computed is not None
    assert kept == computed.kept()
    read = Assessment.of(kept)
    for name, arm in computed.arms.items():
        for field in ("azimuth", "focus", "drr_db", "c50_db", "iacc", "tone_db", "tone_heads_db"):
            np.testing.assert_array_equal(getattr(read.arms[name], field), getattr(arm, field))
        assert read.arms[name].loudness_db == arm.loudness_db
    assert (read.loudness, read.head, read.reference_from) == (
        computed.loudness,
        computed.head,
        computed.reference_from,
    )


def test_same_run_same_page(verified: Path) -> None:
    first = report.write(verified).read_bytes()
    assert report.write(verified).read_bytes() == first


def test_a_run_not_verified_yet_says_so_and_what_to_do(unheard: Path) -> None:
    message = Page(report.write(unheard).read_text(encoding="utf-8")).text
    assert "NOT VERIFIED" in message
    assert f"sweetspot verify runs/{SERIAL}/{unheard.name}" in message  # a path from where sweetspot was called
    assert "PASS" not in message
    assert "✓ pass" not in message


def test_what_was_heard_through_other_filters_is_not_shown(verified: Path, unheard: Path) -> None:
    shutil.copy(verified / "verify.h5", unheard / "verify.h5")
    steps.calibrate(unheard, Design.model_validate({"filter": {"taps": 256, "delay": 80}}), "")
    message = Page(report.write(unheard).read_text(encoding="utf-8")).text
    assert "NOT VERIFIED" in message
    assert "earlier filter set" in message


def test_the_circle_is_closed_and_on_axis_is_zero() -> None:
    """A field of ``2 + cos`` of the azimuth from 30 degrees, so that its level is known in every direction."""
    azimuths = np.radians(np.arange(-180.0, 180.0, 15.0))
    f = np.linspace(0.0, 24000.0, 2049)
    shape = 2.0 + np.cos(azimuths - np.radians(30.0))
    degrees, level = evidence.around(shape[:, None] * np.ones(len(f)) + 0j, azimuths, f)
    assert degrees[0] == pytest.approx(-180.0)
    assert degrees[-1] == pytest.approx(180.0)
    np.testing.assert_allclose(level[0], level[-1])
    expected = 20.0 * np.log10((2.0 + np.cos(np.radians(degrees - 30.0))) / (2.0 + np.cos(np.radians(30.0))))
    np.testing.assert_allclose(level, np.repeat(expected[:, None], len(evidence.FINE), axis=1), atol=1e-9)


def test_drawings_keep_their_ids_and_colours_to_themselves() -> None:
    file = (
        '<?xml version="1.0"?><svg xmlns="urn:x" width="5pt" viewBox="0 0 5 5"><metadata>m</metadata>'
        f'<path id="a" style="stroke: {plots.HEARD}; clip-path: url(#b)"/><use xlink:href="#a" x="1.23456"/></svg>'
    )
    made = svg.inline(file, "fig", "a < b")
    assert 'id="fig-a" style="stroke: var(--heard); clip-path: url(#fig-b)"' in made
    assert '<use href="#fig-a" x="1.23"/>' in made
    assert '<title id="fig-title">a &lt; b</title>' in made
    assert "metadata" not in made
    assert "xmlns" not in made
    assert "width" not in made


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.usefixtures("page")
def test_browser_opens_it_without_complaint(verified: Path, tmp_path: Path, width: int) -> None:
    """No message on the console, nothing wider than the window; a script error in the page must be seen here."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.fail("chromium is not on PATH: `make test` installs it (apt-get install chromium)")
    text = (verified / "report.html").read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(text.replace("</body>", f"<script>{PROBE}</script></body>"), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<!DOCTYPE html><body><script>onmessage=(e)=>{document.body.dataset.found=e.data}</script>"
        f'<iframe src="page.html" width="{width}" height="900"></iframe></body>'
    )
    done = browsed(browser, frame, tmp_path)
    assert "CONSOLE" not in done.stderr, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert (
        f'data-found="window {width}: fits true, enlarged true, value true, put back true, by keys true, '
        'printed whole true"'
    ) in done.stdout


PROBE = """addEventListener("load", () => {
  const d = document, box = d.querySelector(".drawing[data-hover]"), svg = box.querySelector("svg");
  const r = svg.getBoundingClientRect();
  const fits = d.documentElement.scrollWidth <= innerWidth;
  box.dispatchEvent(new PointerEvent("pointermove", {clientX: r.left + r.width / 2, clientY: r.top + 20}));
  const value = /kHz\\n/.test(d.getElementById("tip").textContent) && !d.getElementById("tip").hidden;
  box.click();
  const enlarged = d.getElementById("zoom").open && !box.contains(svg);
  d.querySelector("#zoom button").click();
  const button = box.parentElement.querySelector(".enlarge"), tip = d.getElementById("tip");
  const key = (name) => button.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
  key("ArrowRight"); const first = tip.textContent; key("ArrowRight");
  dispatchEvent(new Event("beforeprint"));
  const printed = !d.querySelector("details:not([open])");  // paper cannot be unfolded
  dispatchEvent(new Event("afterprint"));
  const folded = d.querySelector("details:not([open])") !== null;
  const keys = /Hz\\n/.test(first) && tip.textContent !== first && !tip.hidden;
  setTimeout(() => parent.postMessage(`window ${innerWidth}: fits ${fits}, enlarged ${enlarged}, value ${value}, ` +
    `put back ${box.contains(svg)}, by keys ${keys}, printed whole ${printed && folded}`, "*"), 200);
});"""
"""Tries a page as a reader would, and reports to its frame (a window itself is never as narrow as a phone)."""


def browsed(browser: str, page: Path, home: Path) -> subprocess.CompletedProcess[str]:
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr"]
    words += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--v=0"]
    words += [f"--user-data-dir={home / 'profile'}", "--window-size=1400,1000", "--virtual-time-budget=10000"]
    words += ["--dump-dom", page.as_uri()]
    environment = os.environ | {"HOME": str(home)}
    return subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment, check=True)


AUDIT = """addEventListener("load", () => axe.run().then((r) => {
  const found = r.violations.map((v) => `${v.impact} ${v.id} ${v.nodes[0].target}`);
  const dark = getComputedStyle(document.body).backgroundColor === "rgb(20, 24, 28)" ? "dark" : "light";
  parent.postMessage(`${dark} ${innerWidth}, passed ${r.passes.length}; found: ${found.join("; ")}.`, "*");
}));"""
"""Runs the checker on the page, and sends its result to the frame around it."""


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
@pytest.mark.usefixtures("page")
def test_accessibility_checker_finds_nothing(verified: Path, tmp_path: Path, scheme: str, width: int) -> None:
    """axe-core: headings, names, contrast, landmarks; no finding of any weight, light and dark, wide and narrow."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser is not None, "chromium is not on PATH: `make test` installs it"
    checker = (resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    text = re.sub(r"<meta http-equiv=.Content-Security-Policy[^>]*>", "", (verified / "report.html").read_text("utf-8"))
    if scheme == "dark":
        text = text.replace("(prefers-color-scheme: dark)", "all").replace(
            "color-scheme: light dark", "color-scheme: dark"
        )
    (tmp_path / "page.html").write_text(
        text.replace("</body>", f"<script>{checker}</script><script>{AUDIT}</script></body>"), "utf-8"
    )
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<!DOCTYPE html><body><script>onmessage=(e)=>{document.body.dataset.axe=e.data}</script>"
        f'<iframe src="page.html" width="{width}" height="900"></iframe></body>'
    )
    done = browsed(browser, frame, tmp_path)
    message = re.search(rf'data-axe="{scheme} {width}, passed (\d+); found: (.*?)\."', done.stdout, re.DOTALL)
    assert message, done.stdout[-2000:]
    assert int(message[1]) > 20
    assert message[2] == ""


def test_one_driver_in_the_middle_has_a_plan(verified: Path) -> None:
    rig = evidence.of_session(verified).rig
    alone = rig.model_copy(update={"driver": (rig.driver[0].model_copy(update={"at": (0.0, 0.0, 0.0)}),)})
    device_pictures.device(alone, 2.0)  # axes without extent are a warning of matplotlib, which would fail here


def test_head_positions_off_the_axis_fill_their_plan(verified: Path) -> None:
    with Session.read(verified / "session.h5") as session:
        ears = session.responses("ears")
    aside = ears.positions.copy()
    aside["y"] += 0.6
    figure = PlainFigure(figsize=(4.0, 4.0))
    plots.heads(ax := figure.subplots(), replace(ears, positions=aside))
    left, right = ax.get_xlim()
    assert right < 100.0 * aside["y"].min() < 100.0 * aside["y"].max() < left
    spans = [100.0 * float(np.ptp(aside[axis])) for axis in "xy"]
    assert left - right < 1.5 * max(*spans, 2.0)


@pytest.mark.parametrize(("drivers", "numbered"), [(4, True), (32, False)])
def test_cells_have_numbers_and_columns_names_only_where_there_is_room(drivers: int, numbered: bool) -> None:
    figure = PlainFigure(figsize=(5.6, 5.4))
    ax = figure.subplots()
    columns = [f"{side} {i + 1}" for side in "LR" for i in range(drivers)]
    plots.snr_map(ax, np.linspace(40.0, 80.0, 22 * drivers).reshape(11, -1), columns, (40.0, 80.0), numbered=True)
    assert any(isinstance(artist, Values) for artist in ax.artists) == numbered
    assert (len(ax.get_xticks()) == len(columns)) == numbered
    assert 5 < len(ax.get_xticks()) <= len(columns)


def test_upright_names_of_many_drivers_keep_apart(crooked: Description) -> None:
    many = tuple(crooked.driver[0].model_copy(update={"at": (0.0, 0.42 - 0.84 * i / 31, 0.0)}) for i in range(32))
    figure = PlainFigure(figsize=(5.2, 4.6))
    ax = figure.subplots()
    plots.device(ax, crooked.model_copy(update={"driver": many}), 2.4)
    shown = FigureCanvasAgg(figure).get_renderer()
    boxes = sorted(t.get_window_extent(shown).x0 for t in ax.texts if t.get_rotation() == 90.0)
    assert 5 < len(boxes) < 32
    assert min(np.diff(boxes)) > 12.0


def test_an_area_of_a_map_that_is_grey_everywhere_is_unknown() -> None:
    """Nothing within the limits of what is known is at least 0.0 m2; nothing known is not."""
    trusted = np.array([[True, False, False], [True, False, False]])
    zone = ZoneMap(
        x=np.array([1.0, 2.0]),
        y=np.array([-0.5, 0.0, 0.5]),
        wanted_deg=30.0,
        azimuth_deg={"calibrated": np.full((2, 3, 3), 0.0)},
        drr_db={"calibrated": np.zeros((2, 3, 3))},
        cancellation_db=np.zeros((2, 3)),
        uncertainty_deg=np.zeros((2, 3)),
        margin_db=np.zeros((2, 3, 2)),
        trusted=trusted,
        trusted_centre=np.zeros((2, 3), dtype=bool),
        own=OwnError(0.0, 0.0, 0.0),
    )
    assert image_pictures.area(zone, "calibrated", "sides", " m²") == "≥ 0.0 m²"
    assert image_pictures.area(zone, "calibrated", "centre", " m²") == "unknown"


def test_what_can_be_listened_to_is_what_the_ears_hear(verified: Path, tmp_path: Path) -> None:
    """The left burst moves to the left ear, the centre stays; a broken file of music is reported, not left out."""
    (clip,) = sounds.clips(verified, None)
    level = {}
    for name, uri in (("before", clip.before), ("after", clip.after)):
        y, fs = soundfile.read(io.BytesIO(base64.b64decode(uri.split(",")[1])))
        parts = [y[int(at * fs) : int((at + 0.6) * fs)] for at in (0.1, 1.15, 2.2)]
        level[name] = [float(db(np.sqrt(np.mean(p[:, 0] ** 2)) / np.sqrt(np.mean(p[:, 1] ** 2)))) for p in parts]
    assert level["after"][0] > level["before"][0] + 2.0
    assert level["after"][2] < level["before"][2] - 2.0
    assert abs(level["after"][1]) < 1.5
    (tmp_path / "noise.wav").write_bytes(b"no sound at all")
    with pytest.raises(BadInput, match="cannot be read as sound"):
        sounds.clips(verified, tmp_path / "noise.wav")


@pytest.mark.parametrize(("count", "rows"), [(4, 1), (8, 2), (13, 3)])
def test_names_of_many_drivers_stay_within_their_picture(count: int, rows: int) -> None:
    from sweetspot.measure.share.plots import key

    def draw(figure: Any) -> None:
        ax = figure.subplots()
        for i in range(count):
            ax.plot([0.0, 1.0], [0.0, float(i)], label=f"bar {i}")
        key(ax)

    figure = pictures.picture("levels", "Levels", "levels", "", draw).figure
    assert figure is not None
    renderer = FigureCanvasAgg(figure).get_renderer()
    (names,) = figure.axes[0].artists
    box = names.get_window_extent(renderer)
    height = figure.bbox.height
    assert box.y1 <= height + 4.0, f"{rows} rows of names reach above the picture"
    assert box.y0 >= figure.axes[0].get_window_extent(renderer).y1 - 2.0
    saved = figure.get_tightbbox(renderer)  # type: ignore[arg-type]
    assert saved.y1 * figure.dpi >= box.y1 - 1.0, "a picture saved as a file has lost its names"


def test_a_page_that_would_be_the_same_is_left(verified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made anew in another folder of the same name it has the same bytes; anything else that changes makes it anew."""
    run = tmp_path / "one" / "run"
    shutil.copytree(verified, run, ignore=shutil.ignore_patterns("report.html"))
    page = report.write(run)
    first, made = page.read_bytes(), page.stat().st_mtime_ns

    def again() -> bool:
        """Whether it was written; it must be as good as the first."""
        nonlocal made
        before, made = made, report.write(run).stat().st_mtime_ns
        return made != before

    assert not again()
    other = tmp_path / "two" / "run"
    shutil.copytree(verified, other, ignore=shutil.ignore_patterns("report.html"))
    assert report.write(other).read_bytes() == first

    for damaged in (first.replace(b"M1", b"M2", 1), b"\xff\xfe", first + b"<p>more</p>\n"):
        page.write_bytes(damaged)
        made = page.stat().st_mtime_ns
        assert again()
        assert page.read_bytes() == first
        assert not again()

    with monkeypatch.context() as patched:
        patched.setattr(standing, "program", lambda: "another version")
        assert again()
        assert b"another version" in page.read_bytes()
    assert again()
    assert page.read_bytes() == first

    tone = 0.1 * np.sin(np.arange(48000) / 20.0)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, tone], axis=1), 48000)
    heard = report.write(run, tmp_path / "tone.wav").read_bytes()
    assert b"tone.wav" in heard
    made = page.stat().st_mtime_ns
    report.write(run, tmp_path / "tone.wav")
    assert page.stat().st_mtime_ns == made
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, -tone], axis=1), 48000)
    assert report.write(run, tmp_path / "tone.wav").read_bytes() != heard
    assert again()
    assert page.read_bytes() == first

    with Session.resume(run / "verify.h5", VERIFICATION) as session:
        session.annotate("note", "changed")
    assert again()
    assert not again()
    (run / "verify.h5").unlink()
    assert again()
    assert b"NOT VERIFIED" in page.read_bytes()


def test_a_page_made_while_a_file_was_written_is_not_taken_for_whole(
    verified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(verified, run, ignore=shutil.ignore_patterns("report.html"))
    usual = evidence.of_session

    def meanwhile(run: Path) -> evidence.Evidence:
        os.utime(run / "verify.h5", ns=(1, 1))
        return usual(run)

    with monkeypatch.context() as patched:
        patched.setattr(evidence, "of_session", meanwhile)
        page = report.write(run)
    assert b"made from" not in page.read_bytes()
    assert not standing.stands(run, page, None)
    report.write(run)
    assert standing.stands(run, page, None)


def test_every_change_of_the_program_s_text_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "room"
    (room / "inner").mkdir(parents=True)
    (room / "inner" / "a.py").write_text("x = 1\n")
    (room / "page.html.j2").write_text("<p>")
    seen = [standing.source_sha256([room], "1")]
    seen.append(standing.source_sha256([room], "2"))
    (room / "inner" / "a.py").write_text("x = 2\n")
    seen.append(standing.source_sha256([room], "1"))
    (room / "page.html.j2").write_text("<b>")
    seen.append(standing.source_sha256([room], "1"))
    (room / "inner" / "a.py").rename(room / "inner" / "b.py")
    seen.append(standing.source_sha256([room], "1"))
    assert len(set(seen)) == len(seen)
    given: list[Path] = []
    with monkeypatch.context() as patched:
        patched.setattr(standing, "source_sha256", lambda folders, more: given.extend(folders) or more)
        assert f"numpy {np.__version__}" in standing.program.__wrapped__()
    assert (given[3] / "report" / "page.html.j2").is_file()
    assert (given[0] / "storage" / "seal.py").is_file()


def test_a_template_is_compiled_once_for_each_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    usual = jinja2.Environment.compile

    def compiled(self: jinja2.Environment, source: str, name: str, filename: str) -> Any:
        made.append(name)
        return usual(self, source, name, filename)

    (tmp_path / "templates.py").write_text("settings")
    monkeypatch.setattr(templates, "__file__", str(tmp_path / "templates.py"))
    monkeypatch.setattr(jinja2.Environment, "compile", compiled)
    values = [templates.page("figures.html.j2").render() for _ in range(2)]
    assert made == ["figures.html.j2"]
    assert values[0] == values[1]
    templates.page("page.css")
    monkeypatch.setattr(jinja2, "__version__", "of tomorrow")
    templates.page("figures.html.j2")
    assert made == ["figures.html.j2", "page.css", "figures.html.j2"]
    assert len([*(tmp_path / "__pycache__").iterdir()]) == 2, "the earlier one was left"


@pytest.mark.parametrize("name", [*standing.LIBRARIES, "sweetspot"])
def test_versions_are_those_of_the_installed_packages(name: str) -> None:
    assert standing.version(name) == metadata.version(name)


def test_a_page_is_written_without_what_fits_and_measures(verified: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(verified, run, ignore=shutil.ignore_patterns("report.html"))
    asked = (
        "import sys; from pathlib import Path; from sweetspot.calibrate.report import write; write(Path(sys.argv[1]))\n"
        "spared = 'calibrate.filters.unit_filters', 'measure.run', 'calibrate.study.compare'\n"
        "print([name for name in spared if f'sweetspot.{name}' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", asked, run], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (run / "report.html").is_file()


def test_what_is_drawn_early_needs_nothing_of_the_verification(verified: Path) -> None:
    """The same with and without it; the other parts are not."""
    known = evidence.of_session(verified)
    whole = evidence.with_verdict(verified, known)

    def drawn(e: evidence.Evidence, name: str) -> list[str]:
        return [str(p.svg) + p.hover for p in parts.PARTS[name](e)]

    with pictures.styled():
        assert all(drawn(known, name) == drawn(whole, name) for name in parts.EARLY)
        assert drawn(known, "cancellation") != drawn(whole, "cancellation")
    assert set(parts.EARLY) < set(parts.PARTS)


def test_a_metric_that_warns_is_not_counted_as_within_its_limit(verified: Path) -> None:
    e = evidence.with_verdict(verified, evidence.of_session(verified))
    assert e.verdict
    first, *rest = (replace(m, heard=m.limit, uncertainty=None, warns=False) for m in e.verdict.metrics)
    beyond = replace(first, heard=first.limit - 1.0, sense="at least", warns=True)
    shown = parts.values(replace(e, verdict=replace(e.verdict, metrics=(beyond, *rest))), "run")
    assert shown["verdict"] == "pass"
    assert shown["within"] == shown["total"] - 1 == len(rest)


def test_a_run_is_calibrated_without_what_verifies_exports_and_compares(verified: Path, tmp_path: Path) -> None:
    """Nor by what reads words, which a copy of the process does: the same output and bytes as without one."""
    run = tmp_path / "run"
    shutil.copytree(verified, run)
    asked = (
        "import json, os, sys; from sweetspot import command_line\n"
        "if sys.argv.pop() == 'alone': os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "several = len(os.sched_getaffinity(0)) > 1\n"
        "try: command_line.main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "spared = 'calibrate.verify.verification', 'calibrate.run.golden', 'calibrate.bank.fitting', "
        "'calibrate.study.compare', 'processor.export.engines'\n"
        "print(json.dumps([[name for name in spared if f'sweetspot.{name}' in sys.modules],"
        " several and 'typer' in sys.modules]))"
    )
    found = []
    for cores in ("all", "alone"):
        (run / "filterset.h5").unlink()
        words = [sys.executable, "-c", asked, "calibrate", run, cores]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        *lines, loaded = done.stdout.splitlines()
        assert json.loads(loaded) == [[], False]
        found.append((lines, (run / "filterset.h5").read_bytes()))
    assert found[0] == found[1]

"""What a listener gets: four arms predicted and heard, in JSON under the documented keys."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.auditory import ARMS, Arm, EarModel, Pair, arms, assessment, figures_of, modelled
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.auditory.assessment import levels
from sweetspot.calibrate.auditory.figures import depth_of, direct_spectra, judged_of
from sweetspot.calibrate.auditory.reference import facing_gain
from sweetspot.calibrate.design import Design, Limits, StereoDesign
from sweetspot.calibrate.filters import virtualize
from sweetspot.calibrate.plant import head_of, nearest_ahead
from sweetspot.calibrate.plant.places import Heads
from sweetspot.calibrate.verify import verification
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.processor import store
from sweetspot.rigs.layout import turned
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.rig_file import parse
from sweetspot.rigs.units import from_db, power_db

FS = 47872


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, measured: Path) -> Path:
    """The crooked run, calibrated and verified; its copy of the rig file is the measured one."""
    here = tmp_path_factory.mktemp("assessed") / "run"
    shutil.copytree(measured, here)
    fitted = steps.calibrate(here, Design(), "")
    rig = parse((here / "rig.toml").read_text(), here)
    with open_rig(rig, serial="T-9", now=lambda: datetime(2026, 3, 4, tzinfo=UTC)) as lab:
        silent = lambda title, count: nullcontext(lambda note: None)  # noqa: E731
        steps.measure_verification(
            here, lab, fitted, datetime(2026, 3, 4, tzinfo=UTC), ask=lambda move: None, track=silent
        )
    return here


def test_predicted_and_heard_agree_and_are_reported(run: Path) -> None:
    fitted = steps.fitted_of(run)
    want = steps.image(run, fitted)
    got = steps.judge(run, fitted, Limits()).image
    assert got is not None
    assert set(want.arms) == set(got.arms) == set(ARMS)
    for name in ARMS:
        assert np.allclose(want.arms[name].azimuth_deg, got.arms[name].azimuth_deg, atol=1.0), name
        assert np.allclose(want.arms[name].drr_db, got.arms[name].drr_db, atol=1.0) or name == "calibrated"
    kept = json.loads(json.dumps(steps.summary(steps.judge(run, fitted, Limits()))))
    assert kept["image"]["reference_from"] == "model"
    for figures in kept["image"]["arms"].values():
        assert len(figures["azimuth_deg"]) == 5
        assert set(figures["drr_db"]) == set(figures["c50_db"]) == set(figures["iacc"]) == {"left", "right", "centre"}
        assert set(figures["loudness_re_plain_db"]) == {"music", "speech"}
        assert {"width_deg", "balance_deg", "focus_deg", "tone_rms_db"} <= set(figures)
    assert set(kept["loudness"]) == {"max_spl_db", "insertion_db", "headroom_db"}
    lost = next(m["predicted"] for m in kept["metrics"] if m["key"] == "loudness")
    assert lost == pytest.approx(-min(want.arms["calibrated"].loudness_db.values()), abs=1e-9)
    assert "nan" not in json.dumps(kept["image"]).lower()
    with Session.read(run / "session.h5") as session:
        ears, rig = session.responses("ears"), session.rig()
    assert levels(rig, ears, fitted.filters).max_spl_db == pytest.approx(want.loudness.max_spl_db, abs=3.0)
    relative = levels(rig, replace(ears, unit="relative"), fitted.filters).beside({})
    assert relative.to_dict()["max_spl_db"] is None
    assert "SPL unknown" in relative.text


def test_plain_stereo_keeps_the_drivers_own_limits_as_the_filters_do(run: Path) -> None:
    """Filters held 24 dB lower by ``power_w`` lost 14.9 dB against plain stereo that passed it by 8 dB."""
    filters, text = store.read(run), (run / "rig.toml").read_text()
    with Session.read(run / "session.h5") as session:
        ears = session.responses("ears")
    lower = 0.25 * filters.ceiling
    for key in ("max_v", "power_w"):
        value = 20.0 * lower if key == "max_v" else (20.0 * lower) ** 2 / 8.0  # 4 ohm
        rig = parse(text.replace("[[driver]]", f"[[driver]]\nv_per_fs = 20.0\n{key} = {value}"), run)
        for scale in (1.0, 0.5):  # filters that the SPL limit lowers too
            made = replace(filters, ceiling=scale * filters.ceiling)
            own, free = (arms.on_unit(ears, r, made) for r in (rig, parse(text, run)))
            for held, other in zip(own, free, strict=True):
                assert np.allclose(held.h, 0.25 * other.h, rtol=1e-6, atol=0.0), (key, scale, held.name)


def test_what_a_listener_gets_is_the_same_when_it_is_computed_while_the_verification_is_measured(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digit by digit; of other ears or filters nothing is known."""
    fitted, quiet = steps.fitted_of(run), nullcontext(lambda note: None)
    after = steps.summary(steps.judge(run, fitted, Limits()))
    shutil.copytree(run, tmp_path / "run")
    here, rig = tmp_path / "run", parse((run / "rig.toml").read_text(), run)
    noon = datetime(2026, 3, 4, tzinfo=UTC)
    with steps.ListenerAhead(here, fitted) as listener:
        with open_rig(rig, serial="T-9", now=lambda: noon) as lab:
            steps.measure_verification(
                here, lab, fitted, noon, ask=lambda _: None, track=lambda *_: quiet, listener=listener
            )
        (given,) = listener._given
        assert listener.knows(given, fitted.filters)
        assert not listener.knows(given, replace(fitted.filters))
        assert not listener.knows(replace(given, ir=replace(given.ir, h=1.001 * given.ir.h)), fitted.filters)
        assert given.errors is not None
        wider = replace(given.errors, stderr=1.001 * given.errors.stderr)
        assert not listener.knows(replace(given, errors=wider), fitted.filters)
        listener()
        monkeypatch.setattr(auditory, "of_verification", never)
        monkeypatch.setattr(auditory, "unit", never)
        ahead = steps.summary(steps.judge(here, fitted, Limits(), listener))
    monkeypatch.undo()
    assert json.dumps(ahead) == json.dumps(after)


def test_distortion_is_kept_of_the_ears_near_each_stimulus(run: Path) -> None:
    """Left at the left ear, right at the right, both at both: as found at all ears, in the session's order of them."""
    fitted, limits = steps.fitted_of(run), Limits()
    steps.judge(run, fitted, limits)
    rig = parse((run / "rig.toml").read_text(), run)
    with Session.read(run / steps.VERIFIED, VERIFICATION) as captured:
        used = json.loads(captured.annotation("through") or "")
        wanted = verification.plan(rig, "ears", fitted.filters, steps.engine_of(fitted.filters), share=used["share"])
        listener, first = CaptureAnalyser.of(rig, wanted), wanted.order[0]
        whole = {name: listener.distortion(captured, first, i) for i, name in enumerate(wanted.sources.names)}
    kept = used["distortion"]
    assert {(r["stimulus"], r["ear"]) for r in kept} == {("left", 0), ("right", 1), ("both", 0), ("both", 1)}
    for row in kept:
        one = whole[row["stimulus"]]
        assert one is not None
        (there,) = (octave for octave in one.in_octaves(row["ear"], 0.0) if octave["hz"] == row["hz"])
        assert row["floor_percent"] == pytest.approx(there["floor"], rel=1e-6)


def never(*_: object, **__: object) -> None:
    """In the place of what must not be computed again."""
    raise AssertionError


def test_left_is_left_and_the_unit_is_wider_than_plain_stereo(run: Path) -> None:
    found = steps.image(run, steps.fitted_of(run)).arms
    for name in ("reference", "calibrated"):
        az = found[name].azimuth_deg
        assert np.all(np.diff(az) < 0.0), f"{name}: hard left stands on the left (positive), hard right on the right"
    assert found["calibrated"].width_deg > found["plain"].width_deg + 10.0
    assert found["reference"].width_deg == pytest.approx(60.0, abs=3.0)


def test_swapped_programs_are_heard_on_the_wrong_side(run: Path) -> None:
    fitted = steps.fitted_of(run)
    swapped = replace(fitted.filters, taps=fitted.filters.taps[[1, 0, 2]])
    found = auditory.predicted(run, swapped, fitted.ears).arms["calibrated"]
    assert found.azimuth_deg[0] < -5.0 < 5.0 < found.azimuth_deg[-1]


def test_a_tilted_centre_shows_in_the_tone(run: Path) -> None:
    fitted = steps.fitted_of(run)
    taps = np.fft.rfft(fitted.filters.taps, axis=-1)
    f = np.fft.rfftfreq(fitted.filters.length, 1.0 / FS)
    taps[2] *= 10.0 ** (np.clip(4.0 * np.log2(np.maximum(f, 1.0) / 1000.0), -8.0, 8.0) / 20.0)
    tilted = replace(fitted.filters, taps=np.fft.irfft(taps, fitted.filters.length, axis=-1))
    before, after = (
        auditory.predicted(run, x, fitted.ears).arms["calibrated"].tone_db[2] for x in (fitted.filters, tilted)
    )
    assert np.sqrt(np.mean((after - before) ** 2)) > 3.0


def synthetic(late_db: float, model: EarModel) -> Arm:
    """One driver at 30 degrees in a head's ears with a diffuse tail of known energy; a crooked zero."""
    rng = np.random.default_rng(6)
    n, zero = 9000, 37
    h = np.zeros((1, 2, 3, n))
    at = zero + round(0.004 * FS)
    h[:, :, :, at] = 1.0
    t = np.arange(n) - at
    tail = np.where(t > 0.008 * FS, rng.standard_normal((1, 2, 3, n)) * np.exp(-t / (0.03 * FS)), 0.0)
    f = np.fft.rfftfreq(n, 1.0 / FS)
    weight = np.where((f >= 400.0) & (f <= 6400.0), 1.0 / np.maximum(f, 1.0), 0.0)
    energy = (np.abs(np.fft.rfft(tail)) ** 2 @ weight) / (np.abs(np.fft.rfft(h)) ** 2 @ weight)
    h += tail * np.sqrt(10.0 ** (late_db / 10.0) / energy)[..., None]
    return Arm("plain", h, FS, zero, np.array([0.004]), arms.stereo_shares())


@pytest.mark.parametrize("late_db", [-12.0, 3.0])
def test_direct_over_reverberant_sound_of_a_known_tail(run: Path, late_db: float) -> None:
    model = auditory.model_of(parse((run / "rig.toml").read_text(), run))
    arm = synthetic(late_db, model)
    found = figures_of(arm, model, np.zeros(1), 2.0, arm)
    assert np.allclose(found.drr_db[:, :2], -late_db, atol=0.2)
    assert found.critical_distance_m["left"] == pytest.approx(2.0 * 10.0 ** (-late_db / 20.0), rel=0.03)
    assert np.all(found.c50_db > found.drr_db), "what comes before 50 ms is clear"


def test_figures_under_noise_are_those_of_the_whole(run: Path) -> None:
    """What is judged, and depth alone, without the rest; other arms have passed in between."""
    model = auditory.model_of(parse((run / "rig.toml").read_text(), run))
    arm, other, third = (synthetic(late, model) for late in (-12.0, 3.0, -3.0))
    h = np.stack([arm.h[:, 0], 0.7 * np.roll(arm.h[:, 1], 9, axis=-1)], axis=1)
    h[:, 1, 0, 1:] -= 0.9 * h[:, 1, 0, :-1]
    arm = replace(arm, h=h)
    whole = figures_of(arm, model, np.full(1, 0.1), 2.0, other)
    judged = judged_of(arm, model, np.full(1, 0.1), 2.0, other)
    for name in ("azimuth", "focus", "drr_db", "tone_db"):
        assert np.array_equal(getattr(judged, name), getattr(whole, name)), name
        assert np.any(getattr(whole, name)), name
    assert (judged.c50_db.size, judged.iacc.size, judged.tone_heads_db.size) == (0, 0, 0)
    assert np.array_equal(depth_of(arm, 2.0).drr_db, whole.drr_db)
    assert depth_of(third, 2.0).drr_loss_db(whole) == figures_of(third, model, np.zeros(1), 2.0, arm).drr_loss_db(whole)


def test_a_computed_pair_stands_where_it_is_put(run: Path) -> None:
    """At another yaw and place the pair's direction is that of the geometry, and its tail is the room's."""
    rig = parse((run / "rig.toml").read_text(), run)
    model = auditory.model_of(rig)
    heads = Heads(np.array([[1.5, 0.1]]), np.array([0.2]))
    table = np.zeros(1, POSITION)
    rng = np.random.default_rng(2)
    h = np.zeros((1, 2, 2, 4000))
    h[..., 300] = 1.0
    h[..., 900:] = 0.01 * rng.standard_normal((1, 2, 2, 3100))
    ears = ImpulseResponse(
        h, FS, table, ("ear_left", "ear_right"), ("a", "b"), 40, "Pa/FS", np.full((1, 2, 2), 60.0), (100, 9000)
    )
    plain = arms.of_taps("plain", ears, 0.5 * np.eye(3, 2)[..., None], 0.0, arms.stereo_shares())
    pair = Pair(np.radians(40.0), 1.8, 1.4)
    made = modelled(pair, model.templates, (heads.places, heads.yaw), 343.0, plain)
    image = np.degrees(model.image(direct_spectra(made)).azimuth[0])
    where = pair.places - heads.places[0]
    wanted = np.degrees(np.arctan2(where[:, 1], where[:, 0]) - np.pi - 0.2)
    wanted = (wanted + 180.0) % 360.0 - 180.0
    assert np.allclose(image[[0, -1]], wanted, atol=2.5)
    turned = modelled(pair, model.templates, (heads.places, heads.yaw), 343.0, plain, facing=2.0)
    both = figures_of(made, model, np.zeros(1), 1.4, made), figures_of(turned, model, np.zeros(1), 1.4, made)
    assert np.allclose(both[1].drr_db[:, :2] - both[0].drr_db[:, :2], power_db(4.0), atol=0.1)
    late = made.h[0, :, :2, 1200:]
    assert np.allclose(power_db(np.mean(late**2)), power_db(np.mean(plain.h[0, :, :2, 1200:] ** 2)), atol=0.1)


def test_a_driver_that_faces_aside_is_louder_in_front_of_it() -> None:
    """Two drivers at +-40 degrees with a lobe of their own; a reflection 3 ms later counts for nothing."""
    table = np.zeros(36, POSITION)
    table["azimuth_deg"] = np.arange(-170.0, 181.0, 10.0)
    gain = np.stack([from_db(-12.0 * (1.0 - np.cos(np.radians(table["azimuth_deg"] - a)))) for a in (40.0, -40.0)])
    h = np.zeros((36, 1, 2, 1500))
    h[:, 0, :, 300] = gain.T
    h[:, 0, :, 300 + round(0.004 * FS)] = 0.9
    polar = ImpulseResponse(h, FS, table, ("m",), ("a", "b"), 40, "Pa/FS", np.full((36, 1, 2), 60.0), (100, 9000))
    assert power_db(facing_gain(polar, (0, 1)) ** 2) == pytest.approx(12.0 * (1.0 - np.cos(np.radians(40.0))), abs=0.05)


def test_what_the_session_lacks_is_reported(run: Path, tmp_path: Path) -> None:
    from sweetspot.rigs.errors import BadInput

    with pytest.raises(BadInput, match=r"session\.h5"):
        auditory.predicted(tmp_path, store.read(run), None)


@pytest.mark.parametrize(("y", "turn"), [(0.0, 25.0), (0.6, 0.0), (-0.4, 10.0)])
def test_a_seat_off_the_axis_is_judged_as_one_on_it(run: Path, y: float, turn: float) -> None:
    """The reference pair, the phantom's power and the nominal position go with the listener."""
    text = (run / "rig.toml").read_text()
    at = [(0.0, 0.0, 0.0), (0.0, 0.05, 0.0), (0.0, -0.05, 0.0), (0.04, 0.01, 7.0), (-0.04, -0.01, -7.0)]
    aside = -np.radians(turn) + np.arctan2(y, 2.0)
    far = 2.0 / np.cos(np.arctan2(y, 2.0))
    spots, rows = [], []
    for dx, dy, yaw in at:
        x, across = turned(np.array([far + dx, dy, 0.0]), np.arctan2(y, 2.0))[:2]
        face = yaw + np.degrees(np.arctan2(y, 2.0))
        spots.append(f"{{ x = {x - 2.0}, y = {across}, yaw_deg = {face}, turn_deg = {turn} }}")
        row = turned(np.array([far + dx, dy, 0.0]), aside)
        rows.append((np.degrees(np.arctan2(row[1], row[0])), row[0], row[1], 0.0, yaw + np.degrees(aside), b"design"))
    begin = text.index("[ears]")
    rest = text[text.index("[polar]") :]
    rig = parse(f"{text[:begin]}[ears]\ndistance_m = 2.0\npositions = [{', '.join(spots)}]\n{rest}", run)
    table = np.array(rows, POSITION)
    straight = np.array([(0.0, far + dx, dy, 0.0, yaw, b"design") for dx, dy, yaw in at], POSITION)
    places = turned(np.pad(Pair(np.radians(30.0), 2.0, 2.0).places, ((0, 0), (0, 1))), aside)[:, :2]
    assert np.allclose(assessment.pair_of(rig).places, places, atol=1e-4)
    ears = ImpulseResponse(
        np.ones((5, 2, 2, 8)), FS, table, ("ear_left", "ear_right"), ("a", "b"), 0, "Pa/FS", np.ones((5, 2, 2)), (1, 9)
    )
    assert (nearest_ahead(ears), assessment.nominal(Heads.of(ears))) == (0, 0)
    head, wish = head_of(rig)[0], StereoDesign()
    here, ahead = (virtualize.phantom_power(head, p, wish, far, 343.0) for p in (table, straight))
    assert np.allclose(here, ahead, rtol=1e-6)

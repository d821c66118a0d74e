"""What a listener gets, judged: images against the reference pair, depth and tone; rooms that the gate does not see."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.auditory import Assessment, Draw, ImageFigures, UnitImage
from sweetspot.calibrate.auditory.levels import Loudness
from sweetspot.calibrate.design import Design, Limits
from sweetspot.calibrate.filters.beam import handover
from sweetspot.calibrate.verify import default_limits, listener_metrics, verdict_text, whole_response
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.verification import Verification
from sweetspot.measure import plan
from sweetspot.measure import run as hardware
from sweetspot.measure.judge import uncertainty
from sweetspot.measure.session import Session
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import Description, parse

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
WANTED = (30.0, 14.0, 0.0, -14.0, -30.0)
HEADS = 3


def arm(name: str, azimuth: tuple[float, ...], drr: tuple[float, float, float] = (5.0, 5.0, 5.0)) -> ImageFigures:
    """An arm whose heads differ by a degree each; no colour."""
    turned = np.radians(np.array(azimuth) + np.arange(-1.0, HEADS - 1.0)[:, None])
    same = np.broadcast_to(np.array(drr), (HEADS, 3))
    return ImageFigures(name, turned, 0.1 * np.ones((HEADS, 5)), same, same, 0.5 * np.ones((HEADS, 3)),
                        np.zeros((5, 24)), 2.0)  # fmt: skip


def judged(own: ImageFigures, predicted: tuple[float, ...], limits: Limits | None = None, noise: float = 0.1) -> Any:
    """Metrics by name of a unit beside plain stereo with 5 dB of direct over reverberant sound and a perfect pair."""
    arms = {
        "plain": arm("plain", (2.0, 1.0, 0.0, -1.0, -2.0)),
        "calibrated": own,
        "reference": arm("reference", WANTED),
    }
    image = Assessment(arms, "model", Loudness({}, 90.0, 0.0, 0.0), "sphere")
    rng = np.random.default_rng(2)
    draws = [replace(own, azimuth=own.azimuth + np.radians(noise * rng.standard_normal(5))) for _ in range(40)]
    unit = UnitImage(
        replace(arm("calibrated", predicted), loudness_db=own.loudness_db),
        tuple(Draw(d, arms["plain"], 0.2 * float(rng.standard_normal())) for d in draws),
    )
    return {m.name: m for m in listener_metrics.of(image, unit, limits or Limits())}


def test_a_pair_as_a_unit_passes_everything() -> None:
    found = judged(arm("calibrated", WANTED), WANTED)
    assert [m.verdict for m in found.values()] == ["pass"] * 10
    assert all(m.uncertainty is not None for m in found.values())
    left = found["image, hard left, azimuth error"]
    assert left.heard == pytest.approx(0.0, abs=1e-9)
    assert left.spread == pytest.approx(1.0)
    assert "over 3 head positions" in left.over_heads


def test_width_focus_and_loudness_are_judged_against_pair_and_plain_stereo() -> None:
    own = arm("calibrated", (20.0, 9.0, 0.0, -9.0, -20.0))
    found = judged(replace(own, loudness_db={"music": -11.0, "speech": -3.0}, focus=0.4 * np.ones((HEADS, 5))), WANTED)
    width, loud = found["image, width error"], found["loudness, loss against plain stereo"]
    assert (width.verdict, width.heard) == ("fail", pytest.approx(20.0))
    assert "spans 40°, against 60°" in width.explanation
    assert (loud.verdict, loud.heard) == ("warn", pytest.approx(11.0))
    assert "on music" in loud.explanation
    assert loud.uncertainty == pytest.approx(0.2, rel=0.4)
    blur = found["image, blur beyond the pair's"]
    assert (blur.verdict, blur.heard) == ("warn", pytest.approx(np.degrees(0.3)))
    given = judged(replace(own, loudness_db={"music": -11.0}), WANTED, Limits(loudness_loss=10.0))
    assert given["loudness, loss against plain stereo"].verdict == "fail", "a limit from a file fails"


def test_a_right_image_at_20_degrees_fails_as_a_unit_and_warns_as_a_design() -> None:
    """The unit that was to stand at 27 degrees fails; where the design itself was to reach 20, the verdict warns."""
    own, name = arm("calibrated", (29.0, 13.0, 0.0, -10.0, -20.0)), "image, hard right, azimuth error"
    as_unit = judged(own, (29.0, 13.0, 0.0, -13.0, -27.0))
    assert as_unit[name].verdict == "fail"
    assert as_unit["image, hard left, azimuth error"].verdict == "pass"
    as_design = judged(own, (29.0, 13.0, 0.0, -10.0, -20.0))
    assert as_design[name].verdict == "warn"
    assert "10.0" in as_design[name].text
    given = judged(own, (29.0, 13.0, 0.0, -10.0, -20.0), Limits(side_azimuth=7.0))
    assert given[name].verdict == "fail"
    assert as_unit["image, asymmetry"].verdict == "fail"
    assert judged(own, (29.0, 13.0, 0.0, -13.0, -27.0), noise=3.0)[name].verdict == "grey"


def test_a_noisy_unit_that_is_as_predicted_is_not_measured_again() -> None:
    """Its margin is smaller than the noise, but it is within 3 degrees of its prediction: the design decides."""
    noisy = judged(arm("calibrated", (29.0, 13.0, 0.0, -13.0, -24.0)), (29.0, 13.0, 0.0, -13.0, -27.5), noise=1.3)
    right = noisy["image, hard right, azimuth error"]
    assert (right.heard, right.verdict) == (pytest.approx(6.0), "grey"), "3.5 degrees beyond its prediction"
    noisy = judged(arm("calibrated", (29.0, 13.0, 0.0, -13.0, -24.0)), (29.0, 13.0, 0.0, -13.0, -26.5), noise=1.3)
    right = noisy["image, hard right, azimuth error"]
    assert right.guard > right.margin > 0.0
    assert (right.heard, right.verdict) == (pytest.approx(6.0), "pass")


def test_sides_that_sink_into_the_room_and_a_coloured_centre_warn() -> None:
    deep = judged(arm("calibrated", WANTED, (-6.0, -3.0, 4.0)), WANTED)
    sides = deep["direct to reverberant, loss of the sides"]
    assert (sides.verdict, sides.heard) == ("warn", pytest.approx(11.0))
    assert "-6.0 dB where plain stereo on this unit has 5.0 dB" in sides.explanation
    assert deep["direct to reverberant, loss of the centre"].verdict == "pass"
    tone = np.zeros((5, 24))
    tone[2] = np.where(np.arange(24) < 12, 4.0, -4.0)
    coloured = judged(replace(arm("calibrated", WANTED), tone_db=tone), WANTED)["tone across pan"]
    assert (coloured.verdict, coloured.heard) == ("warn", pytest.approx(4.0))
    assert "the centre" in coloured.explanation


def test_far_beyond_a_default_limit_a_unit_must_be_better_than_plain_stereo() -> None:
    """Plain stereo spans 4 degrees: 20 is a narrow image, 6 is none; lopsided, sunken and quiet units are worse."""
    narrow = (10.0, 5.0, 0.0, -5.0, -10.0)
    assert {m.verdict for m in judged(arm("calibrated", narrow), narrow).values()} == {"pass", "warn"}
    none = judged(arm("calibrated", (3.0, 1.0, 0.0, -1.0, -3.0)), (3.0, 1.0, 0.0, -1.0, -3.0))
    failed = {name for name, m in none.items() if m.verdict == "fail"}
    assert {"image, width error", "image, hard left, azimuth error", "image, hard right, azimuth error"} <= failed
    assert "Plain stereo on this unit has 56.0 °." in none["image, width error"].explanation
    aside = judged(arm("calibrated", (16.0, 0.0, 0.0, 0.0, -1.0)), (16.0, 0.0, 0.0, 0.0, -1.0))
    assert aside["image, asymmetry"].verdict == "fail"
    assert aside["image, hard left, azimuth error"].verdict == "warn"
    sunken = judged(arm("calibrated", WANTED, (-15.0, -12.0, 4.0)), WANTED)
    assert sunken["direct to reverberant, loss of the sides"].verdict == "fail"
    quiet = judged(replace(arm("calibrated", WANTED), loudness_db={"music": -20.5}), WANTED)
    assert quiet["loudness, loss against plain stereo"].verdict == "fail"


def test_a_warning_does_not_fail_the_unit_and_is_reported() -> None:
    metrics = (Metric("a", "x", None, 9.0, 6.0, "at most", warns=True), Metric("b", "x", None, 1.0, 6.0, "at most"))
    z = np.zeros((1, 2, 3, 4), dtype=complex)
    found = Verification(np.arange(4.0), z, z, z[0, 0], z[0, 0], np.zeros(3), metrics, default_limits=True)
    assert (found.verdict, found.reasons) == ("pass", ())
    text = verdict_text.lines(found)
    assert "WARNING: a: 9.0 dB" in text
    assert "no limits file: judged on agreement with its prediction" in text
    assert text.splitlines()[-1] == "PASS"


def test_default_limits_follow_the_unit_and_given_ones_do_not() -> None:
    low = Metric("cancellation, mean", "x", 10.4, 10.3, 12.0, "at least", key="cancellation_mean")
    ((relaxed,), names) = default_limits.followed((low,), Limits())
    assert (relaxed.limit, relaxed.verdict, names) == (pytest.approx(8.4), "pass", ("cancellation, mean",))
    assert default_limits.followed((low,), Limits(cancellation_mean=12.0))[0] == (low,)
    assert default_limits.followed((low,), Limits(cancellation_mean=12.5))[0] == (low,)
    high = replace(low, predicted=20.0, heard=13.0)
    assert default_limits.followed((high,), Limits())[0] == (high,)
    held_back = default_limits.followed((low,), Limits(), {"cancellation_mean": 20.0})
    assert held_back == ((low,), ())


def test_energy_of_third_octaves_by_the_naive_sum() -> None:
    rng = np.random.default_rng(3)
    f = np.linspace(0.0, 23936.0, 2000)
    pair = rng.standard_normal((3, 2, 2, len(f))) + 1j * rng.standard_normal((3, 2, 2, len(f)))
    found = whole_response.energy_cells(pair, f)
    band = int(np.argmin(np.abs(THIRD_OCTAVES - 1000.0)))
    inside = (f >= 1000.0 * 2 ** (-1 / 6)) & (f < 1000.0 * 2 ** (1 / 6))
    for position in range(3):
        near, far = (np.sum(np.abs(pair[position, ear, 0, inside]) ** 2) for ear in (0, 1))
        assert found[position, 0, band] == pytest.approx(10 * np.log10(near / far), abs=0.15)
    spread = whole_response.OverHeads.of(found, np.ones(len(THIRD_OCTAVES), dtype=bool))
    assert spread.spread == pytest.approx(np.std(found.mean(axis=(1, 2)), ddof=1))


def test_a_tail_that_rings_on_is_no_noise() -> None:
    """Stretches of stationary noise are taken as they are; under a tail 24 dB above it the noise is found to 4 dB."""
    rng = np.random.default_rng(1)
    noise = rng.chisquare(2, (8, 2, 3000)) / 2.0
    assert 10 * np.log10(uncertainty.floor(noise).mean()) == pytest.approx(0.0, abs=0.2)
    tail = (1.0 + 1e3 * 0.5 ** np.arange(8.0))[:, None, None] * noise
    assert abs(10 * np.log10(np.median(uncertainty.floor(tail)))) < 5.0
    assert 10 * np.log10(tail.mean()) > 20.0


def test_all_drivers_in_phase_give_what_is_wanted() -> None:
    rng = np.random.default_rng(4)
    ahead = rng.standard_normal((7, 3)) + 1j * rng.standard_normal((7, 3))
    wanted = rng.standard_normal(7) + 1j * rng.standard_normal(7)
    w = handover.in_phase(ahead, wanted)
    assert np.sum(w * ahead, axis=1) == pytest.approx(wanted)
    assert np.angle(w * ahead / wanted[:, None]) == pytest.approx(np.zeros((7, 3)), abs=1e-9)


LATE = """
[lab.room]
size_m = [5.43, 12.0, 10.0]
device_m = [2.57, 6.0, 5.0]
absorption = 1.0
walls = { front = 0.3, back = 0.4 }
"""
"""Two bare walls: reflections 8.5 and 15 ms after the direct sound, behind every gate."""


HALL = """
[lab.room]
size_m = [14.0, 10.0, 6.0]
device_m = [5.0, 5.3, 2.6]
absorption = 0.2
"""
"""Rings on for longer than what is kept of a response."""


@pytest.mark.parametrize(
    ("room", "seconds", "most"), [(LATE, 0.6, 14.0), (HALL, 1.2, 6.0)], ids=["two late reflections", "hall"]
)
def test_rooms_behind_the_gate_are_reported(
    room: str, seconds: float, most: float, crooked_text: str, lab_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """The direct sound keeps its cancellation, the whole response does not; a tail makes nothing inconclusive."""
    text = crooked_text.replace("seconds = 0.6", f"seconds = {seconds}") + room
    (tmp_path / "rig.toml").write_text(text, encoding="utf-8")
    rig = lab_rig(parse(text, folder=tmp_path), "T-1")
    _measured(tmp_path, rig.description, rig)
    fitted = steps.calibrate(tmp_path, Design(), "")
    steps.measure_verification(
        tmp_path, rig, fitted, NOON, ask=lambda _: None, track=lambda *_: nullcontext(lambda _: None)
    )
    verdict = steps.judge(tmp_path, fitted, Limits())
    _, scored = verdict.cancellation
    assert scored.direct is not None
    assert scored.direct.mean > 12.0
    assert scored.room.mean < min(most, scored.direct.mean - 4.0)
    assert f"whole response in the room {scored.room.mean:.1f}" in verdict_text.lines(verdict)
    assert [m.name for m in verdict.metrics if m.verdict == "grey"] == []
    levels = [m for m in verdict.metrics if m.uncertainty is not None and m.unit == "dB" and m.key != "difference"]
    assert max(m.guard for m in levels) < 6.0


def _measured(here: Path, description: Description, rig: Rig) -> None:
    with Session.create(here / "session.h5", description, "T-1", "2026-03-04T12:00:00Z") as session:
        hardware.measure(rig, session, plan.make(description, "ears"), ask=lambda _: None, step=lambda _: None)

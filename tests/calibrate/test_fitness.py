"""Designs that can't work end in a message that names the cause; a sound session passes; bands are explained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sweetspot.calibrate.design import Design, FilterDesign
from sweetspot.calibrate.filters import fitness
from sweetspot.calibrate.plant import Fitted, positions
from sweetspot.calibrate.study import explain, held_out
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.rig_file.description import Description, parse
from tests.calibrate import predictions

Build = Callable[..., ImpulseResponse]


@pytest.fixture(scope="module")
def rig(crooked_text: str) -> Description:
    return parse(crooked_text, folder=Path())


@pytest.fixture(scope="module")
def ears(rig: Description) -> ImpulseResponse:
    """True responses of the crooked unit, as a session holds them: the left ear first."""
    world, places = World(rig, "T-1"), rig.ears.positions
    h = np.fft.irfft(np.stack([world.at_ears(p.pose) for p in places]), world.taps, axis=-1)
    h = np.concatenate([np.zeros((*h.shape[:3], 100)), h], axis=-1)
    rows = [(0.0, rig.ears.distance_m + p.x, p.y, 0.0, p.yaw_deg, p.use.encode()) for p in places]
    drivers = tuple(d.name for d in rig.driver)
    snr = np.full(h.shape[:3], 60.0)
    table = np.array(rows, dtype=POSITION)
    return ImpulseResponse(h, rig.fs, table, ("ear_left", "ear_right"), drivers, 100, "Pa/FS", snr, (60.0, 19000.0))


def test_a_sound_session_passes(ears: ImpulseResponse, rig: Description) -> None:
    fitness.check(ears, rig)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda e: dataclasses.replace(e, h=e.h[:, ::-1]), "the ears are swapped: 'woofer'"),
        (
            lambda e: dataclasses.replace(e, h=e.h * np.array([1.0, -1.0])[:, None, None]),
            "one ear has its polarity inverted",
        ),
        (lambda e: dataclasses.replace(e, h=e.h * [[1.0], [1e-4], [1.0]]), "driver 'left' is dead.*-8. dB re"),
        (
            lambda e: dataclasses.replace(e, snr_db=e.snr_db - [0.0, 0.0, 58.0]),
            "'right' is lost in noise.*best SNR 2 dB",
        ),
        (
            lambda e: dataclasses.replace(e, h=np.repeat(e.h[:1], 5, axis=0)),
            "all 5 positions recorded exactly the same",
        ),
        (lambda e: dataclasses.replace(e, h=np.repeat(e.h[:, :1], 2, axis=1)), "both ears recorded exactly the same"),
        (lambda e: e.used_for("design"), "no head position is used for 'score': give some"),
        (lambda e: dataclasses.replace(e, fs=12000), "12000 Hz: third octaves up to 8000 Hz.*at least 14159 Hz"),
        (
            lambda e: dataclasses.replace(e, h=e.h[:, :, :1], drivers=("woofer",), snr_db=e.snr_db[:, :, :1]),
            "one driver .'woofer'.",
        ),
    ],
    ids=["swapped", "inverted", "dead", "noisy", "not moved", "one ear", "nothing to score", "slow", "one driver"],
)
def test_what_cannot_work_is_named(
    break_it: Callable[[ImpulseResponse], ImpulseResponse], message: str, ears: ImpulseResponse, rig: Description
) -> None:
    with pytest.raises(BadInput, match=message):
        fitness.check(break_it(ears), rig)


def test_reverberation_does_not_swap_the_ears(ears: ImpulseResponse, rig: Description) -> None:
    """A hall in which the late sound of each driver reaches the wrong ear sooner, with more energy than the direct."""
    late = np.roll(ears.h[:, ::-1], round(0.02 * ears.fs), axis=-1)
    fitness.check(dataclasses.replace(ears, h=ears.h + 2.0 * late), rig)
    with pytest.raises(BadInput, match="the ears are swapped"):
        fitness.check(dataclasses.replace(ears, h=ears.h[:, ::-1] + 2.0 * late[:, ::-1]), rig)


def test_heads_that_face_beside_the_device_are_noted(ears: ImpulseResponse) -> None:
    """Half a metre aside and unturned; not those that face the device, or of which some face to either side."""
    assert positions.faced_aside(ears) == ""
    there = ears.positions.copy()
    there["x"], there["y"], there["yaw_deg"] = 2.0, 0.5 + 0.02 * np.arange(5), [0.0, 3.0, -3.0, 1.0, -1.0]
    aside = dataclasses.replace(ears, positions=there)
    assert "face 15 degrees beside the device" in positions.faced_aside(aside)
    assert "add +15 to yaw_deg" in positions.faced_aside(aside)
    there = there.copy()
    there["yaw_deg"] += 15.0
    assert positions.faced_aside(dataclasses.replace(ears, positions=there)) == ""


def test_a_driver_of_a_narrow_band_is_alive(ears: ImpulseResponse, crooked_text: str) -> None:
    """A subwoofer from 30 to 150 Hz: its peak is 44 dB below the others', its level within its band is not."""
    rig = parse(crooked_text.replace("band_hz = [80, 15000]", "band_hz = [30, 150]"), folder=Path())
    f = np.fft.rfftfreq(ears.h.shape[-1], 1.0 / ears.fs)
    h = ears.h.copy()
    h[:, :, 0] = np.fft.irfft(np.exp(-2j * np.pi * f * 0.02) * ((f > 28.0) & (f < 155.0)), h.shape[-1])
    h[:, :, 0] *= 10 ** (-44.0 / 20.0) * np.abs(h[:, :, 1:]).max() / np.abs(h[:, :, 0]).max()
    fitness.check(dataclasses.replace(ears, h=h), rig)
    h[:, :, 0] *= 1e-3
    with pytest.raises(BadInput, match="'woofer' is dead"):
        fitness.check(dataclasses.replace(ears, h=h), rig)


def test_positions_are_left_out_in_turn(ears: ImpulseResponse, rig: Description) -> None:
    """Five positions, the nominal one always kept: four designs, each scored where it was not fitted."""
    design = Design(filter=FilterDesign(taps=256, delay=90))
    parts = [np.setdiff1d(np.arange(5), [0, k]) for k in (1, 2, 3, 4)]
    by_hand = [held_out.split(ears.at(np.r_[0, p]), ears.at(np.array([k])), rig, design)[0].mean
               for k, p in zip((1, 2, 3, 4), parts, strict=True)]  # fmt: skip
    found = held_out.cross_validated(ears, rig, design)
    assert found[0].mean == pytest.approx(np.mean(by_hand, axis=0), abs=0.02)
    assert found[0].mean[1] > found[-1].mean[1] + 5.0
    with pytest.raises(BadInput, match="2 positions were measured"):
        held_out.cross_validated(ears.at(np.array([0, 1])), rig, design)


def test_a_position_is_spared_for_scoring_where_the_rig_has_none(ears: ImpulseResponse, rig: Description) -> None:
    """Five design positions: the one nearest to their mean but the nominal is taken, by hand the fourth."""
    table = ears.positions.copy()
    table["use"] = b"design"
    bare = dataclasses.replace(ears, positions=table)
    x = np.stack([100 * table["x"], 100 * table["y"], table["yaw_deg"]], axis=1)
    away = [float(np.sqrt(np.sum((row - x.mean(axis=0)) ** 2))) for row in x]
    assert np.argsort(away)[:2].tolist() == [0, 3]  # the first is the nominal one
    found = positions.scoring(bare)
    assert found.positions["use"].tolist() == [b"design"] * 3 + [b"score", b"design"]
    assert "position 4 (x +1.410 m, y +0.020 m, yaw -3 degrees) was held out" in positions.held_out_text(bare)
    fitness.check(found, rig)
    assert positions.scoring(ears) is ears
    assert positions.held_out_text(ears) == ""
    assert positions.scoring(bare.at(np.array([0, 1]))).positions["use"].tolist() == [b"design"] * 2


def test_explanation_names_the_limit_and_the_shortfall(rig: Description) -> None:
    """20 dB wanted and 14 dB got: 6 dB short, for the reason that decided most bins of the band."""
    f = np.linspace(0.0, 24000.0, 2401)
    pair = np.zeros((1, 2, 3, len(f)), dtype=complex)
    pair[0, 0, 0], pair[0, 1, 0] = 1.0, 10 ** (-14.0 / 20)
    pair[0, 1, 1], pair[0, 0, 1] = 1.0, 10 ** (-25.0 / 20)
    far = np.zeros(len(f), dtype=complex)
    target = np.full(len(f), 20.0)
    prediction = predictions.dry(f, pair, np.zeros((0, len(f))), np.zeros(0), far, target)
    limits = np.where(f < 1000.0, "effort", "target").reshape(1, -1).repeat(2, axis=0)
    counted = np.where(f < 3000.0, 17.0, 20.9) * np.ones((2, 1))
    fitted = Fitted(None, prediction, limits, (0, 1), None, expected_db=counted)
    bands = {(b.side, b.f): b for b in explain.bands(fitted, rig)}
    low = bands["left", 500.0]
    assert (low.limit, low.share) == ("effort", 1.0)
    assert low.design_db == pytest.approx(14.0)
    assert low.reason.startswith("6.0 dB short: the effort limit is active")
    assert bands["right", 2000.0].expected_db == pytest.approx(17.0)
    assert bands["right", 2000.0].reason.startswith("3.0 dB short of an active target: filters this short")
    assert "low frequencies" not in bands["right", 2000.0].reason
    assert low.reason.endswith(explain.WIDER)
    assert explain._reason("effort", 9.0, 25.0, 9.0, 9.0, f=8000.0, apart=0.9).endswith(explain.CLOSER)
    assert bands["right", 4000.0].reason.startswith("exceeds its target by 0.9 dB: filters are too short")
    unkept = explain.bands(Fitted(None, prediction, limits, (0, 1), None), rig)
    assert explain.to_dict(unkept)[0]["expected_db"] is None
    assert {b.side + str(b.f): b for b in unkept}["right4000.0"].reason == explain.WHY["target"]


@pytest.mark.parametrize(("f0", "q"), [(900.0, 12.0), (2400.0, 20.0), (3300.0, 8.0)])
def test_a_loud_narrow_band_does_not_make_an_ear_look_inverted(ears: ImpulseResponse, f0: float, q: float) -> None:
    """Its period is short: ears that hear it half of one apart correlate as strongly with opposite signs."""
    f = np.fft.rfftfreq(4096, 1.0 / ears.fs)
    peak = 1.0 + 30.0 / (1.0 + 2j * q * (f - f0) / f0)
    late = np.exp(-2j * np.pi * f * np.array([[0.0], [0.5 / f0]]))  # of the right ear
    h = np.fft.irfft(np.fft.rfft(ears.h, 4096) * (peak * late)[None, :, None, :], 4096)
    turned = h * np.array([1.0, -1.0])[None, :, None, None]
    assert fitness._compared(h, ears.fs)[1] < 0.7
    assert fitness._compared(turned, ears.fs)[1] > 1.5

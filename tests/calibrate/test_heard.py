"""From measured sets with a room to a verdict: direct sound judged, the room reported, correct errors; ears matched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweetspot.calibrate.design import Design, FilterDesign, Limits
from sweetspot.calibrate.filters.unit_filters import fit
from sweetspot.calibrate.plant import Fitted, expected, matched_ears, metrics, prediction, uncertainty
from sweetspot.calibrate.plant.errors import MeasurementError
from sweetspot.calibrate.plant.measured_set import MeasuredSet
from sweetspot.calibrate.plant.uncertainty import within
from sweetspot.calibrate.run import records
from sweetspot.calibrate.study import overview
from sweetspot.calibrate.verify import comparison, figures, verification
from sweetspot.measure import ear_matching
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.smooth import band_means
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.rig_file.description import Description, parse

ZERO, TAPS = 120, 2600
LATE_S, LEVEL = 0.0031, 0.6
NOISE = 5e-5
BAND = (60.0, 19000.0)
DESIGN = Design(filter=FilterDesign(taps=256, delay=90))
LOOSE = Limits(cancellation_mean=5.0, cancellation_p10=0.0, target_shortfall=-30.0, contrast=-20.0, balance=6.0)


@pytest.fixture(scope="module")
def rig(crooked_text: str) -> Description:
    return parse(crooked_text, folder=Path())


def roomy(h: np.ndarray, fs: int) -> np.ndarray:
    """Responses ``(..., tap)`` with a reflection and a tail after it, each path its own, by hand."""
    rng = np.random.default_rng(17)
    out = np.concatenate([np.zeros((*h.shape[:-1], ZERO)), h, np.zeros((*h.shape[:-1], TAPS))], axis=-1)[..., :TAPS]
    late = round(LATE_S * fs) + rng.integers(0, 8, h.shape[:-1])
    for i in np.ndindex(h.shape[:-1]):
        out[i][ZERO + late[i] :] += LEVEL * out[i][ZERO : TAPS - late[i]]
        tail = rng.standard_normal(TAPS) * np.exp(-np.arange(TAPS) / (0.02 * fs)) * np.abs(h[i]).max() * 0.1
        start = ZERO + 2 * late[i] + int(np.argmax(np.abs(h[i])))
        out[i][start:] += tail[: TAPS - start]
    return out


class Unit:
    """The crooked unit in a room, measured with noise, fitted."""

    def __init__(self, rig: Description) -> None:
        world, places = World(rig, "T-1"), rig.ears.positions
        self.rig, self.rng = rig, np.random.default_rng(3)
        true = np.fft.irfft(np.stack([world.at_ears(p.pose) for p in places]), world.taps, axis=-1)
        azimuths = np.arange(-180.0, 180.0, 30.0)
        around = np.fft.irfft(np.array([[world.at_microphone(-np.radians(a))] for a in azimuths]), world.taps, axis=-1)
        self.level = float(np.abs(true).max())
        self.ears_true, self.polar_true = roomy(true, rig.fs), roomy(around, rig.fs)
        rows = [(0.0, rig.ears.distance_m + p.x, p.y, 0.0, p.yaw_deg, p.use.encode()) for p in places]
        self.at = np.array(rows, dtype=POSITION)
        self.around = np.array([(a, 2.0, 0.0, 0.0, 0.0, b"design") for a in azimuths], dtype=POSITION)
        names = tuple(d.name for d in rig.driver)
        self.ears = self.noisy(self.ears_true, self.at, names)
        self.polar = self.noisy(self.polar_true, self.around, names)
        self.measured, around = self.known(self.ears), self.known(self.polar)
        self.fitted: Fitted = fit(self.measured, around, rig, DESIGN, serial="T-1", source="0" * 64)

    def noisy(self, h: np.ndarray, rows: np.ndarray, names: tuple[str, ...]) -> ImpulseResponse:
        x = h + NOISE * self.level * self.rng.standard_normal(h.shape)
        mics = ("ear_left", "ear_right") if h.shape[1] == 2 else ("polar",)
        return ImpulseResponse(x, self.rig.fs, rows, mics, names, ZERO, "Pa/FS", np.full(h.shape[:3], 50.0), BAND)

    def known(self, ir: ImpulseResponse) -> MeasuredSet:
        n = ir.h.shape[-1]
        stderr = np.full((*ir.h.shape[:3], n // 2 + 1), NOISE * self.level * np.sqrt(n))
        return MeasuredSet(ir, MeasurementError(stderr, 0.0))

    def verdict(self, gains: np.ndarray | float = 1.0) -> verification.Verification:
        """Heard with fresh noise, each driver with a gain."""
        filters, n = self.fitted.filters, 4096
        w = filters.response(np.fft.rfftfreq(n, 1.0 / self.rig.fs))
        w = np.moveaxis(expected(np.moveaxis(w, 0, 1), filters), 1, 0) * (np.ones(3) * gains)[None, :, None]
        score = self.at["use"] == b"score"
        sets = []
        for h, rows, chosen in ((self.ears_true[score], self.at[score], w), (self.polar_true, self.around, w[2:])):
            x = np.fft.irfft(np.einsum("pmdf,sdf->pmsf", np.fft.rfft(h, n), chosen), n)[..., :TAPS]
            sets.append(self.noisy(x, rows, ("left", "right", "both")[-len(chosen) :]))
        ears, polar = (self.known(s) for s in sets)
        return verification.judge(ears, polar, self.measured, self.fitted.prediction, filters, LOOSE)


@pytest.fixture(scope="module")
def unit(rig: Description) -> Unit:
    return Unit(rig)


def test_filters_are_fitted_to_the_direct_sound(unit: Unit) -> None:
    """The gate ends before the reflection; the same unit without a room has the same direct sound."""
    p = unit.fitted.prediction
    assert p.whole.gate.reflection_s == pytest.approx(LATE_S, abs=0.0005)
    score = unit.at["use"] == b"score"
    alone = unit.ears_true[score].copy()
    first = np.argmax(np.abs(alone), axis=-1)
    alone *= np.arange(TAPS) < first[..., None] + round(0.9 * LATE_S * unit.rig.fs)
    n = 2 * (len(p.f) - 1)
    h = np.fft.rfft(alone, n) * np.exp(2j * np.pi * np.fft.rfftfreq(n) * ZERO)
    want = metrics.cancellation_db(
        metrics.unvirtualized(np.einsum("pedf,cdf->pecf", h, unit.fitted.filters.response(p.f)), p.far_ear), p.f
    )
    got = metrics.cancellation_db(metrics.unvirtualized(p.score, p.far_ear), p.f)
    inside = figures.band(metrics.SCORED, p.lowest)[0]
    assert got[..., inside].mean() == pytest.approx(want[..., inside].mean(), abs=0.7)
    assert got[..., inside].mean() > 8.0


def test_predicted_and_heard_agree_as_often_as_stated(unit: Unit) -> None:
    """With nothing but noise between them, 95 % of cells within two standard uncertainties; nothing fails."""
    found = unit.verdict()
    assert found.agreement.share > 0.9
    c = found.compared
    assert c is not None
    want, got = c.ears.at(figures.NEAR_AND_BOTH)
    assert 0.5 < within(want, got, 1.0)[..., 5:].mean() < 0.9
    assert found.verdict != "fail", found.reasons
    assert all(m.uncertainty is not None for m in found.metrics if "cancellation" in m.name)


def test_predictions_scatter_as_stated(unit: Unit) -> None:
    """The session measured again and again, through the same filters: third-octave levels at the near ears."""
    p, filters = unit.fitted.prediction, unit.fitted.filters
    message = uncertainty.levels(comparison.forecast(p, filters, unit.measured), p.f, p.whole.gate.seconds)
    names, draws = unit.ears.drivers, []
    for _ in range(40):
        again = unit.noisy(unit.ears_true, unit.at, names).used_for("score")
        x = expected(prediction.programs(again, filters, p.whole.gate), filters)
        draws.append(10 * np.log10(band_means(np.abs(x) ** 2, p.f)))
    ratio = np.std(draws, axis=0) / message.u
    assert 0.7 < np.median(ratio[..., 4:]) < 1.1


def test_a_driver_that_changed_does_not_agree(unit: Unit) -> None:
    found = unit.verdict(np.array([1.0, 0.8, 1.0]))
    assert found.agreement.share < 0.6
    assert "near-ear level" in " ".join(found.reasons)


def test_near_a_limit_it_is_grey(unit: Unit) -> None:
    """The limit a tenth of an uncertainty away from what is heard: neither passed nor failed."""
    found, mean = unit.verdict(), unit.verdict().metrics[0]
    assert mean.uncertainty is not None
    grey = replace(mean, limit=mean.heard - 0.1 * mean.uncertainty)
    unsure = replace(found, metrics=(grey, replace(mean, limit=0.0)))
    assert unsure.verdict == "grey"
    assert "verify it again" in records.operator(unsure, "T-1")
    kept = records.record(unsure, {"unit": "T-1"})
    assert kept["verdict"] == "grey"
    assert kept["metrics"][mean.name]["uncertainty"] == mean.uncertainty
    failed = replace(mean, limit=mean.heard + 9.0 * mean.uncertainty)
    assert replace(found, metrics=(grey, failed)).verdict == "fail"


def test_the_room_is_shown_beside_it(unit: Unit) -> None:
    """Whole responses cancel less than the direct sound; predicted and heard alike; a table names what the room did."""
    found = unit.verdict()
    assert [r.low for r in found.room][-1] == 6400.0
    for r in found.room:
        assert r.heard == pytest.approx(r.predicted, abs=0.2)
        assert r.heard < found.metrics[0].heard - 3.0
    rows = {r.name: r for r in overview.rows(unit.fitted, unit.ears, unit.polar)}
    assert set(overview.MEANINGS) - {"cancellation"} <= set(rows)
    change = [
        b - a
        for a, b in zip(*(rows[f"direct to reverberant, {n}"].bands for n in ("one driver", "filtered")), strict=True)
        if a is not None and b is not None
    ]
    assert [v for v in rows["direct to reverberant, change"].bands if v is not None] == pytest.approx(change)
    assert overview.table(tuple(rows.values())).count("\n") == len(rows) + 1


def test_one_driver_has_no_ratio_where_it_does_not_play(unit: Unit) -> None:
    """A tweeter as the reference: below its band its direct sound over what is left is noise over noise."""
    tweeters = unit.ears.h.copy()
    spectrum = np.fft.rfft(tweeters[:, :, list(unit.fitted.reference)], axis=-1)
    spectrum[..., np.fft.rfftfreq(tweeters.shape[-1], 1.0 / unit.ears.fs) < 3200.0] *= 1e-4
    tweeters[:, :, list(unit.fitted.reference)] = np.fft.irfft(spectrum, tweeters.shape[-1], axis=-1)
    rows = {r.name: r for r in overview.rows(unit.fitted, replace(unit.ears, h=tweeters), unit.polar)}
    alone, filtered, change = (rows[f"direct to reverberant, {n}"].bands for n in ("one driver", "filtered", "change"))
    resolved = [v is not None for v in filtered]
    assert [v is not None for v in alone] == [v is not None for v in change]
    playing = [low >= 3200.0 for low, _ in metrics.OCTAVES]
    assert [v is not None for v in alone] == [r and p for r, p in zip(resolved, playing, strict=True)]


def mirrored(louder_db: float, noise_db: float = 0.0) -> ImpulseResponse:
    """Three places in mirror order and a pair of drivers; the left microphone is louder than its file states."""
    h, rng = np.zeros((3, 2, 2, 900)), np.random.default_rng(5)
    reach = rng.uniform(0.5, 1.0, (3, 2, 2))
    for p, e, d in np.ndindex(3, 2, 2):
        gain = 0.5 * (reach[p, e, d] + reach[(0, 2, 1)[p], 1 - e, 1 - d])
        gain *= 10 ** (((1 - e) * louder_db + noise_db * rng.standard_normal()) / 20)
        h[p, e, d, 100:160] = gain * np.sin(np.arange(60) * 0.4) * np.exp(-np.arange(60) / 9.0)
    rows = np.array([(0.0, 2.0, y, 0.0, t, b"design") for y, t in ((0.0, 0.0), (0.04, 8.0), (-0.04, -8.0))], POSITION)
    return ImpulseResponse(h, 47872, rows, ("ear_left", "ear_right"), ("left", "right"), 50, "Pa/FS",
                           np.full((3, 2, 2), 60.0), (60.0, 19000.0))  # fmt: skip


def test_ears_are_matched_where_both_drivers_play(crooked_text: str) -> None:
    """A woofer that lies opposite a tweeter: what is read outside a driver's band is noise, not a microphone."""
    text = crooked_text.replace("at = [0.03, -0.07, 0.0]", "at = [0.01, -0.08, 0.0]")
    rig = parse(text.replace("band_hz = [120, 20000]", "band_hz = [2500, 18000]", 1), folder=Path())
    whole, found = mirrored(0.7, 0.02), mirrored(0.7, 0.02)
    assert ear_matching.match(found, rig).f.min() > 2500.0
    deaf = next(i for i, d in enumerate(rig.driver) if d.band_hz[0] == 2500.0)
    f = np.fft.rfftfreq(900, 1.0 / 47872)
    for ear, low in enumerate((6.0, 0.2)):
        spectrum = np.fft.rfft(whole.h[:, ear, deaf]) * np.where(f < 2000.0, low, 1.0)
        h = found.h.copy()
        h[:, ear, deaf] = np.fft.irfft(spectrum, 900)
        found = replace(found, h=h)
    assert ear_matching.match(found, rig).overall_db == pytest.approx(0.7, abs=0.15)
    rig = parse(text.replace("band_hz = [120, 20000]", "band_hz = [5000, 18000]", 1), folder=Path())
    assert "no third octave" in matched_ears.matched(mirrored(0.7), rig, "auto").text


def test_ears_that_differ_are_matched(crooked_text: str) -> None:
    """0.7 dB too loud is found and halved between the ears; within its error, or switched off, nothing is done."""
    text = crooked_text.replace("at = [0.03, -0.07, 0.0]", "at = [0.01, -0.08, 0.0]")
    rig = parse(text.replace("band_hz = [120, 20000]", "band_hz = [100, 18000]"), folder=Path())
    found = matched_ears.matched(mirrored(0.7, 0.02), rig, "auto")
    assert found.left_db == pytest.approx(-0.35, abs=0.02)
    assert found.right_db == -found.left_db
    corrected = matched_ears.corrected(mirrored(0.7), found.gains)
    ratio = np.sum(corrected.h[0, 0] ** 2) / np.sum(mirrored(0.0).h[0, 0] ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(0.35, abs=0.03)
    assert matched_ears.matched(mirrored(0.02, 0.3), rig, "auto").left_db == 0.0
    assert "switched off" in matched_ears.matched(mirrored(0.7), rig, "off").text
    with pytest.raises(BadInput, match="more than 3 dB apart"):
        matched_ears.matched(mirrored(4.0), rig, "auto")
    unsure = mirrored(3.5, 9.0)
    assert "within 3 standard errors" in matched_ears.matched(unsure, rig, "auto").text
    with pytest.raises(BadInput, match="more than 3 dB apart"):
        matched_ears.matched(unsure, rig, "on")
    lone = parse(crooked_text, folder=Path())
    assert "not matched" in matched_ears.matched(mirrored(0.7).at(np.array([0])), lone, "auto").text


def test_a_room_that_is_louder_at_one_ear_is_no_microphone(crooked_text: str) -> None:
    """With a single pair of mirrored paths the error is the scatter of its bands: a wall makes some louder, a wrong
    sensitivity all alike. A good rig in a room was refused."""
    text = crooked_text.replace("at = [0.03, -0.07, 0.0]", "at = [0.01, -0.08, 0.0]")
    rig = parse(text.replace("band_hz = [120, 20000]", "band_hz = [100, 18000]"), folder=Path())
    one = mirrored(4.0).at(np.array([0]))
    with pytest.raises(BadInput, match="more than 3 dB apart"):
        matched_ears.matched(one, rig, "auto")
    f = np.fft.rfftfreq(900, 1.0 / 47872)
    ripple = np.interp(np.log(f + 1.0), np.log(100.0) + 0.23 * np.arange(24), np.tile([-3.0, 4.0, 0.0], 8))
    h = one.h.copy()  # peaks and dips at the left ear
    h[0, 0] = np.fft.irfft(np.fft.rfft(h[0, 0]) * 10 ** (ripple / 20.0), 900)
    found = matched_ears.matched(replace(one, h=h), rig, "auto")
    assert (found.left_db, found.right_db) == (0.0, 0.0)
    assert "error of a single one is not known" in found.text
    with pytest.raises(BadInput, match="more than 3 dB apart"):
        matched_ears.matched(replace(one, h=h), rig, "on")


def test_levels_of_a_comparison_are_computed_once(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ears, directions, cancellation and contrast, each predicted and heard; every metric takes its cells from them."""
    made = []
    for name in ("levels", "cancellation", "contrast"):
        real = getattr(uncertainty, name)
        monkeypatch.setattr(uncertainty, name, lambda *a, real=real, name=name: (made.append(name), real(*a))[1])
    unit.verdict()
    assert sorted(made) == sorted(2 * ["levels", "levels", "cancellation", "contrast"])

"""Figures of image and chain, each against a change of known size, and the uncertainty of the delay against draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.plant.prediction import Prediction
from sweetspot.calibrate.plant.spectrum import frequencies
from sweetspot.calibrate.plant.uncertainty import UncertainResponse
from sweetspot.calibrate.verify import chain_figures, image
from sweetspot.calibrate.verify.comparison import Comparison
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.verification import ProcessorUsed, Verification
from sweetspot.processor.filterset import FilterSet
from tests.calibrate import predictions

FS = 47872
F = frequencies(FS)
AZIMUTHS = np.radians([-90.0, -40.0, 0.0, 35.0, 90.0, 180.0])
PLACES = 3
LIMITS = Limits()


def known(x: np.ndarray, noise: float = 0.0) -> UncertainResponse:
    return UncertainResponse(x, np.full(x.shape, noise), np.zeros(x.shape))


def predicted() -> np.ndarray:
    """Ears in a crooked room: near 0 dB and later with the position, far about -5 dB and 250 us later."""
    late = np.array([0.0, 1e-4, 3e-4])[:, None] + 0.006
    wave = np.exp(-2j * np.pi * F * late)
    near, far = wave * (1.0 + 0.2 * np.sin(F / 700.0)), 0.55 * wave * np.exp(-2j * np.pi * F * 250e-6)
    x = np.empty((PLACES, 2, 3, len(F)), dtype=complex)
    x[:, 0, 0], x[:, 1, 1], x[:, 1, 0], x[:, 0, 1] = near, 0.9 * near, far, 1.1 * far
    x[:, :, 2] = 0.7 * near[:, None]
    return x


def around() -> np.ndarray:
    return np.array([0.02, 0.7, 1.0, 0.8, 0.03, 0.1])[:, None] * np.ones(len(F), dtype=complex)


def compared(heard: np.ndarray, polar: np.ndarray | None = None, noise: float = 0.0) -> Comparison:
    want, ring = predicted(), around()
    return Comparison(
        F, known(want, noise), known(heard, noise), known(ring), known(ring if polar is None else polar),
        want, heard, 0.006, 0.02, np.full(len(F), 0.5 + 0j), AZIMUTHS,
    )  # fmt: skip


def prediction() -> Prediction:
    x = predicted()
    return predictions.dry(F, x, around(), AZIMUTHS, np.full(len(F), 0.5 + 0j), np.full(len(F), 15.0))


def sides(c: Comparison) -> dict[str, Metric]:
    return {m.name.split()[-1]: m for m in image.of_sides(c, prediction(), LIMITS)}


@pytest.mark.parametrize("side", [0, 1])
def test_a_far_ear_that_is_late_and_quiet_is_reported_by_how_much(side: int) -> None:
    x = predicted()
    x[:, 1 - side, side] *= 10 ** (-1.2 / 20) * np.exp(-2j * np.pi * F * 23e-6)
    found = sides(compared(x))
    assert found["level"].heard == pytest.approx(1.2, abs=0.01)
    assert ("left", "right")[side] in found["level"].explanation
    assert found["delay"].heard == pytest.approx(23.0, abs=0.1)
    assert found["delay"].unit == "µs"
    assert sides(compared(predicted()))["delay"].heard == pytest.approx(0.0, abs=1e-6)


def test_both_ears_late_together_are_no_change_of_place() -> None:
    x = predicted() * np.exp(-2j * np.pi * F * 40e-6)
    assert sides(compared(x))["delay"].heard == pytest.approx(0.0, abs=1e-6)
    assert image.polarity(compared(-predicted()), LIMITS).heard == pytest.approx(-1.0)
    one = predicted()
    one[:, 1, 1] *= -1
    assert image.polarity(compared(one), LIMITS).verdict == "fail"


def test_the_delay_is_as_uncertain_as_drawn_noise_makes_it() -> None:
    rng, noise = np.random.default_rng(4), 2e-3
    size = round(FS * 0.02)
    found = []
    for _ in range(60):
        white = rng.standard_normal((2, PLACES, 2, 3, size)) * np.sqrt(noise / size)
        grid = np.exp(-2j * np.pi * np.outer(np.arange(size), F[F < 1600.0]) / FS)
        errors = white @ grid
        c = compared(predicted(), noise=noise)
        inside = slice(0, int(np.count_nonzero(F < 1600.0)))
        want, got = predicted(), predicted()
        want[..., inside] += errors[0]
        got[..., inside] += errors[1]
        c = replace(c, predicted=known(want, noise), heard=known(got, noise), seconds=0.02)
        found.append(sides(c)["delay"])
    drawn = np.sqrt(np.mean([m.heard**2 for m in found]))
    stated = np.mean([m.uncertainty for m in found if m.uncertainty is not None])
    assert drawn < 2.0 * stated
    assert stated < 2.5 * drawn


def test_a_tilted_phantom_centre_is_coloured() -> None:
    x = predicted()
    plain = image.of_phantom(compared(x), prediction(), LIMITS)
    x[:, :, 2] *= 10 ** (np.log2(np.maximum(F, 50.0) / 1000.0) / 20)
    tilted = image.of_phantom(compared(x), prediction(), LIMITS)
    assert plain.heard == pytest.approx(0.0, abs=0.01)
    assert tilted.predicted == pytest.approx(plain.heard)
    thirds = np.arange(17) / 3.0
    assert tilted.heard == pytest.approx(np.std(thirds), abs=0.05), "1 dB an octave over 17 third octaves"


def test_a_beam_that_leans_is_reported_outside_its_nulls_only() -> None:
    ring = around()
    ring[3] *= 10 ** (2.5 / 20)
    ring[0] *= 4.0
    found = image.of_beam(compared(predicted(), ring), prediction(), LIMITS)
    assert found.heard == pytest.approx(2.5, abs=0.01)
    assert "at 35 degrees" in found.explanation
    assert found.verdict == "fail"
    louder = image.of_beam(compared(predicted(), 2.0 * around()), prediction(), LIMITS)
    assert louder.heard == pytest.approx(0.0, abs=1e-9)


def filters() -> FilterSet:
    taps = np.zeros((3, 2, 64))
    taps[:, :, 20] = 0.1
    return FilterSet(taps, 47800, ("a", "b"), 0.5, 239, 20.0, (1, 2), "0" * 64, "T-1")


def test_latency_is_the_filters_and_the_processors() -> None:
    own = chain_figures.latency(filters(), None, LIMITS)
    assert own.heard == pytest.approx(5.0)
    assert "the built-in engine adds that of its upmix" in own.explanation
    slow = chain_figures.latency(filters(), ProcessorUsed("device", "stereo", 0.12 * 47800, 47800), LIMITS)
    assert slow.heard == pytest.approx(125.0)
    assert slow.explanation.startswith("From stereo input to loudspeaker")
    assert slow.predicted == pytest.approx(5.0)
    assert slow.text == "latency: 125.0 ms, at most 100 ms is needed"


@pytest.mark.parametrize(("stimulus", "hz"), [(0, 10000.0), (1, 12500.0), (2, 16000.0)])
def test_treble_that_is_lost_fails_by_itself(stimulus: int, hz: float) -> None:
    """A low-pass that begins above all other metrics; what the unit does not play is not missed."""
    want = predicted()
    found = verification(want, want)
    (whole,) = chain_figures.treble(found, 20000.0, LIMITS)
    assert whole.heard == pytest.approx(0.0, abs=1e-9)
    assert whole.verdict == "pass"
    quiet = want.copy()
    quiet[:, :, stimulus, 0.88 * hz < F] *= 0.5
    (lower,) = chain_figures.treble(verification(want, 0.5 * want), 20000.0, LIMITS)
    assert lower.heard == pytest.approx(0.0, abs=1e-9), "a level that is low everywhere is none of the treble"
    (lost,) = chain_figures.treble(verification(want, quiet), 20000.0, LIMITS)
    assert (lost.heard, lost.verdict) == (pytest.approx(6.02, abs=0.1), "fail")
    assert f"here {('left', 'right', 'both')[stimulus]}" in lost.explanation
    (cause,) = chain_figures.causes([lost], ())
    assert (cause.name, cause.text[:27]) == ("treble", "the treble is 6.0 dB low, 3")
    assert chain_figures.treble(verification(want, quiet), 11000.0, LIMITS) == []
    dull = want.copy()
    dull[..., F > 8900.0] *= 0.05
    assert chain_figures.treble(verification(dull, 0.1 * dull), 20000.0, LIMITS) == []


def buzz(stimulus: str, level_db: float | None, hz: float | None = 300.0, floor_db: float = -60.0) -> dict[str, Any]:
    return {"stimulus": stimulus, "hz": hz, "level_db": level_db, "floor_db": floor_db}


def test_a_buzz_fails_by_itself_and_its_cause_names_the_stimuli() -> None:
    rows = [buzz("left", -31.0), buzz("right", -50.0), buzz("both", -36.0, 280.0)]
    metric = chain_figures.rub_and_buzz(rows, LIMITS)
    assert (metric.heard, metric.verdict) == (-31.0, "fail")
    (cause,) = chain_figures.causes([metric], rows)
    assert cause.name == "rub and buzz"
    assert "buzzes by -31.0 dB" in cause.text
    assert cause.text.endswith("with left and both at 280 to 300 Hz")
    alone = rows[:1]
    assert chain_figures.causes([chain_figures.rub_and_buzz(alone, LIMITS)], alone)[0].text.endswith("left at 300 Hz")
    assert chain_figures.rub_and_buzz([buzz("left", -50.0)], LIMITS).verdict == "pass"
    assert chain_figures.rub_and_buzz([buzz("left", None, None)], LIMITS).heard == -60.0


def test_noise_that_hides_a_buzz_leaves_a_given_limit_grey_and_the_default_one_warns() -> None:
    hidden = [buzz("left", None, None, -35.0), buzz("right", -41.0, 300.0, -50.0)]
    usual = chain_figures.rub_and_buzz(hidden, LIMITS)
    assert (usual.verdict, usual.heard) == ("warn", -35.0)
    assert usual.explanation.endswith("noise hides more than the limit.")
    given = chain_figures.rub_and_buzz(hidden, Limits(rub_and_buzz=-40.0))
    assert (given.verdict, given.heard) == ("grey", -35.0)
    loud = [hidden[0], buzz("right", -30.0)]
    assert chain_figures.rub_and_buzz(loud, LIMITS).verdict == "fail"
    assert chain_figures.causes([usual], hidden) == ()


def verification(want: np.ndarray, got: np.ndarray) -> Verification:
    return Verification(F, want, got, around(), around(), AZIMUTHS, ())


def row(thd: float | None, floor: float) -> dict[str, object]:
    return {"stimulus": "left", "ear": 0, "hz": 500.0, "thd_percent": thd, "floor_percent": floor}


def test_distortion_fails_what_is_heard_and_leaves_grey_what_noise_hides() -> None:
    assert chain_figures.distortion([row(1.0, 0.01), row(None, 0.1)], LIMITS).heard == pytest.approx(-40.0)
    assert chain_figures.distortion([row(1.0, 0.01), row(None, 0.1)], LIMITS).verdict == "pass"
    assert chain_figures.distortion([row(10.0, 0.01), row(None, 20.0)], LIMITS).verdict == "fail"
    hidden = chain_figures.distortion([row(1.0, 0.01), row(None, 10.0)], LIMITS)
    assert hidden.verdict == "grey"
    assert hidden.heard == pytest.approx(-20.0)
    quiet = chain_figures.distortion([row(None, 0.1)], LIMITS)
    assert quiet.verdict == "pass"
    assert "nothing is above the noise" in quiet.explanation


def test_what_was_predicted_to_fail_is_laid_to_the_design() -> None:
    h = np.zeros((1, 2, 3, 4), dtype=complex)
    beam = Metric("centre beam, on axis", "", 5.0, 5.1, 12.0, "at least", 0.1)
    apart = Metric("near-ear level, heard against predicted", "", None, 0.2, 1.0, "at most", 0.1, coarsest=3.0)

    def found(*judged: Metric) -> Verification:
        return Verification(np.arange(4.0), h, h, h[0, 0], h[0, 0], np.zeros(3), judged)

    assert found(beam, apart).by_design == (beam,)
    assert not found(beam, replace(apart, heard=4.0)).by_design, "the unit differs from what was predicted, too"
    assert not found(replace(beam, predicted=15.0), apart).by_design
    assert not found(apart).by_design

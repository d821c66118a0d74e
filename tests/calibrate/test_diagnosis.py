"""Causes put into a scene are found, with their values; limits and records are as documented."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from sweetspot.calibrate.design import Limits, limits_text, read_limits
from sweetspot.calibrate.run import records
from sweetspot.calibrate.verify.diagnose import causes as diagnosis
from sweetspot.calibrate.verify.diagnose import driver_faults, head_faults
from sweetspot.calibrate.verify.diagnose.causes import Cause
from sweetspot.calibrate.verify.diagnose.head_faults import EAR_M
from sweetspot.calibrate.verify.diagnose.residual import Residual, disagreement_db, weight_of
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.verification import Verification
from sweetspot.rigs.acoustics.sphere import field
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import from_db

FS = 47872
F = np.arange(210.3, 5000.0, 35.0)
AT = np.array([[0.07, 0.05, 0.0], [0.01, 0.08, 0.0], [0.02, -0.08, 0.0]])
NAMES = ("woofer", "left", "right")
HEAD_M = 1.6
PLACES = [(0.0, 0.01, 0.02), (0.03, -0.02, -0.09), (-0.02, 0.04, 0.12)]


def paths(shift: tuple[float, float, float] = (0.0, 0.0, 0.0), c: float = 343.0) -> np.ndarray:
    """Points on a rigid sphere to two points where the ears are, ``(position, ear, driver, f)``; delays kept."""
    k = 2.0 * np.pi * F / c
    around = np.arctan2(AT[:, 1], AT[:, 0])
    out = np.empty((len(PLACES), 2, 3, len(F)), dtype=complex)
    for i, (x, y, yaw) in enumerate(PLACES):
        turn = yaw + shift[2]
        for ear, side in enumerate((-1.0, 1.0)):
            way = EAR_M * side
            px = HEAD_M + x + shift[0] - way * np.sin(turn)
            py = y + shift[1] + way * np.cos(turn)
            r = float(np.hypot(px, py))
            out[i, ear] = field(np.cos(np.arctan2(py, px) - around), k, 0.0875, r)
    return out


def weights(seed: int = 3) -> np.ndarray:
    """Smooth random filters ``(stimulus, driver, f)``."""
    rng = np.random.default_rng(seed)
    taps = rng.standard_normal((3, 3, 24)) * np.exp(-np.arange(24) / 6.0)
    return taps @ np.exp(-2j * np.pi * np.outer(np.arange(24), F) / FS)


def scene(
    h: np.ndarray | None = None, w: np.ndarray | None = None, *, late: float = 0.0, timed: bool = True
) -> Residual:
    """What is heard through ``h`` and ``w``, with noise 50 dB below, against the scene's own paths and filters."""
    rng = np.random.default_rng(1)
    heard = np.einsum("pedf,sdf->pesf", paths() if h is None else h, weights() if w is None else w)
    heard = heard * np.exp(-2j * np.pi * F * late)
    size = 0.003 * np.sqrt(np.mean(np.abs(heard) ** 2) / 2.0)
    heard = heard + size * (rng.standard_normal(heard.shape) + 1j * rng.standard_normal(heard.shape))
    near = np.mean(np.abs(np.einsum("pedf,sdf->pesf", paths(), weights())) ** 2, axis=(0, 1, 2))
    return Residual(paths(), weights(), heard, F, 1.0 / near / F, FS, timed)


def found(s: Residual, **more: np.ndarray) -> Cause:
    return diagnosis.ranked(diagnosis.causes(s, NAMES, AT, HEAD_M, more))[0]


def changed(driver: int, factor: np.ndarray | complex) -> np.ndarray:
    w = weights()
    w[:, driver] *= factor
    return w


def late(samples: float) -> np.ndarray:
    return np.exp(-2j * np.pi * F * samples / FS)


def louder(ear: int, db: float) -> np.ndarray:
    h = paths().copy()
    h[:, ear] *= float(from_db(db))
    return h


def bell(centre: float, db: float, q: float = 2.5) -> np.ndarray:
    """A peaking equaliser: what a loose cone or a leak does to one driver, magnitude and phase."""
    g, x = float(from_db(db / 2.0)), 1j * F / centre
    return (x**2 + x * g / q + 1.0) / (x**2 + x / (g * q) + 1.0)


def one_input_inverted(side: int) -> np.ndarray:
    """The stimuli of left, right and both where that input has the opposite sign: what both share is no centre."""
    signs = np.array([1.0, 1.0])
    signs[side] = -1.0
    left, right = signs[:, None, None] * weights()[:2]
    return np.stack([left, right, left + right])


def one_input_times(side: int, gain: float) -> np.ndarray:
    """The stimuli of left, right and both where that input has a gain."""
    w = weights()
    w[2] += (gain - 1.0) * w[side]
    w[side] *= gain
    return w


def plain() -> np.ndarray:
    w = np.zeros((3, 3, len(F)), dtype=complex)
    w[0, 1] = w[1, 2] = w[2, 1] = w[2, 2] = 0.3
    return w


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda: scene(w=changed(1, float(from_db(-1.5)))), "driver level", "'left' is 1.5 dB low"),
        (lambda: scene(w=changed(0, float(from_db(2.0)))), "driver level", "'woofer' is 2.0 dB high"),
        (lambda: scene(w=changed(2, -1.0)), "polarity", "'right' has its polarity inverted"),
        (lambda: scene(w=changed(2, 0.0)), "dead driver", "'right' is silent"),
        (lambda: scene(w=changed(0, late(3.25))), "driver delay", "'woofer' is 3.25 samples late"),
        (lambda: scene(w=changed(1, late(-1.0))), "driver delay", "'left' is 1.00 samples early"),
        (lambda: scene(w=weights()[:, [2, 1, 0]]), "drivers swapped", "'woofer' and 'right' are swapped"),
        (lambda: scene(w=weights()[[1, 0, 2]]), "left-right swap", "left and right"),
        (lambda: scene(h=paths()[:, ::-1]), "ears swapped", "two ears"),
        (lambda: scene(w=0.7 * weights()), "level", "everything is 3.1 dB low"),
        (lambda: scene(w=plain(), late=0.0031), "bypassed", "not active"),
        (lambda: scene(h=louder(1, 1.5)), "ear gain", "the right ear is 1.5 dB high"),
        (lambda: scene(h=louder(0, -2.0)), "ear gain", "the left ear is 2.0 dB low"),
        (lambda: scene(h=at_ear(0, -np.ones(len(F)))), "ear polarity", "the left ear has its polarity inverted"),
        (lambda: scene(h=at_ear(1, -np.ones(len(F))), late=0.0021, timed=False), "ear polarity", "the right ear"),
        (lambda: scene(w=-weights()), "polarity of all", "everything has its polarity inverted"),
        (lambda: scene(w=one_input_inverted(1)), "program polarity", "the right program has its polarity inverted"),
        (
            lambda: scene(w=one_input_times(0, 0.8)),
            "program level",
            "the left program is 1.9 dB low: its input or cable",
        ),
        (
            lambda: scene(w=one_input_times(1, 1.3), late=0.0021, timed=False),
            "program level",
            "the right program is 2.2",
        ),
        (lambda: scene(w=one_input_times(1, 0.0)), "program silent", "the right program is silent: its input or cable"),
        (lambda: scene(w=changed(1, bell(1800.0, 6.0))), "driver response", "'left' has changed from"),
        (lambda: scene(w=changed(0, bell(600.0, -5.0))), "driver response", "'woofer' has changed from"),
        (lambda: scene(h=paths((0.05, 0.0, 0.0))), "head moved", "5.0 cm farther"),
        (lambda: scene(h=paths((0.0, -0.06, 0.0))), "head moved", "6.7 cm to the right"),
    ],
)
def test_the_cause_that_was_put_in_is_named(make: Callable[[], Residual], name: str, message: str) -> None:
    cause = found(make())
    assert cause.name == name, cause
    assert message in cause.text
    assert cause.explained > 0.9


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("ear", [0, 1])
def test_an_ears_cable_at_another_microphone_is_named(ear: int, timed: bool) -> None:
    """The other one stands 70 cm before the head, to the side; it is no ear, and no fault of an ear."""
    h = paths()
    k = 2.0 * np.pi * F / 343.0
    way = np.linalg.norm(AT[:, :2] - np.array([HEAD_M - 0.7, 0.4]), axis=1)[:, None]
    h[:, ear] = np.exp(-1j * k * way) / way * 10.0 ** (-6.0 / 20.0)
    cause = found(scene(h=h, late=0.0 if timed else 0.0021, timed=timed))
    side = ("left", "right")[ear]
    assert (cause.name, cause.text.split(":")[0]) == ("ear cable", f"the {side} ear's input carries something else")


@pytest.mark.parametrize(
    ("w", "text"), [(changed(2, -1.0), "'right' has its polarity inverted"), (changed(0, 0.0), "'woofer' is silent")]
)
def test_swapped_ears_beside_a_drivers_fault_are_named_with_it(w: np.ndarray, text: str) -> None:
    cause = found(scene(h=paths()[:, ::-1], w=w))
    assert cause.name == "ears swapped, driver", cause
    assert cause.text == f"the two ears are swapped, and driver {text}"
    assert cause.explained > 0.9


@pytest.mark.parametrize(
    ("w", "name", "message"),
    [
        (changed(2, -1.0), "polarity", "'right' has its polarity inverted"),
        (changed(0, late(1.0)), "driver delay", "'woofer' is 1.00 samples late"),
        (changed(1, late(-2.4)), "driver delay", "'left' is 2.40 samples early"),
        (changed(0, 0.0), "dead driver", "'woofer' is silent"),
        (changed(1, float(from_db(-1.5))), "driver level", "'left' is 1.5 dB low"),
        (weights()[:, [2, 1, 0]], "drivers swapped", "'woofer' and 'right' are swapped"),
    ],
)
def test_a_driver_is_named_where_the_latency_is_unknown_too(w: np.ndarray, name: str, message: str) -> None:
    """What one driver does moves the common delay that fits best: both are fitted together."""
    cause = found(scene(w=w, late=0.00317, timed=False))
    assert cause.name == name, cause
    assert message in cause.text
    assert cause.explained > 0.98


@pytest.mark.parametrize("louder", [0.5, 2.0, 6.0])
def test_a_moved_head_in_a_live_room_is_no_other_room(louder: float) -> None:
    """The room's sound at another place is another, and no model has it; the direct sound is that of the head."""
    rng, direct, w = np.random.default_rng(4), paths(), weights()
    size = louder * np.sqrt(np.mean(np.abs(direct) ** 2) / 2.0)
    then, now = size * (rng.standard_normal((2, *direct.shape)) + 1j * rng.standard_normal((2, *direct.shape)))

    def heard(there: np.ndarray) -> Residual:
        early = np.einsum("pedf,sdf->pesf", there - direct, w)
        got = np.einsum("pedf,sdf->pesf", there + now, w)
        return replace(scene(), h=direct + then, heard=got, early=early, gated=direct)

    for place in ((0.03, 0.02, 0.1), (0.004, 0.003, 0.0)):
        cause = found(heard(paths(place)))
        assert cause.name == "head moved", cause
        assert cause.explained > 0.9
    assert found(heard(direct)).name == "room changed"


@pytest.mark.parametrize("delay", [0.0, 0.0021, -0.0013])
def test_a_moved_head_is_found_where_the_latency_is_unknown(delay: float) -> None:
    s = scene(h=paths((0.03, 0.02, 0.1)), late=delay, timed=False)
    ((_, message, left, _),) = head_faults.moved(s, AT, HEAD_M)
    assert left < 0.02 * s.left_over(s.predicted())
    turned = float(re.findall(r"turned by ([\d.]+) degrees to the left", message)[0])
    assert turned == pytest.approx(np.degrees(0.1), abs=0.5)


def shelf(corner: float, db: float) -> np.ndarray:
    """A high shelf of the second order, magnitude and phase: what a covered microphone or a tone control does."""
    a, x = float(from_db(db / 2.0)), 1j * F / corner
    return a * (a * x**2 + np.sqrt(2.0 * a) * x + 1.0) / (x**2 + np.sqrt(2.0 * a) * x + a)


def above(corner: float, db: float) -> np.ndarray:
    """A step of level, without phase."""
    return np.where(corner < F, float(from_db(db)), 1.0)


def at_ear(ear: int, factor: np.ndarray) -> np.ndarray:
    h = paths()
    h[:, ear] *= factor
    return h


def gains(first: float, second: float) -> np.ndarray:
    w = changed(1, float(from_db(first)))
    w[:, 2] *= float(from_db(second))
    return w


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda: scene(w=weights() * above(3000.0, -4.0)), "response", "everything has changed above"),
        (lambda: scene(w=weights() * shelf(3000.0, -4.0)), "response", "everything has changed above"),
        (lambda: scene(w=weights() * shelf(2000.0, 3.0), late=0.003, timed=False), "response", "everything"),
        (lambda: scene(h=at_ear(0, above(2000.0, -4.0))), "ear response", "the left ear has changed above"),
        (lambda: scene(h=at_ear(1, shelf(2000.0, -4.0))), "ear response", "the right ear has changed above"),
        (lambda: scene(w=gains(-2.0, 2.0)), "two driver levels", "'left' is 2.0 dB low and driver 'right' 2.0 dB high"),
        (
            lambda: scene(w=gains(-2.0, 2.0), late=0.003, timed=False),
            "two driver levels",
            "driver 'left' is 1.8 dB low",
        ),
    ],
)
def test_what_changed_in_a_band_or_in_two_drivers_is_no_moved_head_and_no_single_driver(
    make: Callable[[], Residual], name: str, message: str
) -> None:
    """A shelf's phase below its corner is a small delay: a fit there does not explain the difference above."""
    every = diagnosis.causes(make(), NAMES, AT, HEAD_M)
    first = diagnosis.ranked(every)[0]
    assert (first.name, message in first.text) == (name, True), first
    assert first.explained > 0.9
    assert max(c.explained for c in every if c.name == "head moved") < 0.7


def test_a_third_level_or_noise_is_not_taken_for_two_drivers() -> None:
    w = gains(-2.0, 2.0)
    names = [c.name for c in diagnosis.causes(scene(w=w * bell(1500.0, 6.0)), NAMES, AT, HEAD_M)]
    assert "two driver levels" not in names


def test_levels_of_all_drivers_are_not_two_drivers() -> None:
    """Two gains of a design that cancels explain most of what three changed."""
    off_db = np.array([1.6, -2.2, -0.9])
    w = weights() * from_db(off_db)[None, :, None]
    for one in (scene(w=w), scene(w=w, late=0.003, timed=False)):
        cause = found(one)
        assert cause.name == "driver levels", cause
        assert cause.explained > 0.9
    assert "'woofer' is 1.6 dB high, driver 'left' 2.2 dB low and driver 'right' 0.9 dB low" in found(scene(w=w)).text


SHARE = 0.85


def mixed(sides: tuple[float, float, float], centre: float) -> np.ndarray:
    """Filters of left, right and both, where ``sides`` multiply left, right, and what they share outside the centre."""
    left, right, middle = weights(5)
    return np.stack([sides[0] * left, sides[1] * right, sides[2] * (left + right) + centre * middle])


def heard_as(w: np.ndarray, late: float = 0.0, *, timed: bool = True) -> Residual:
    """A scene whose third stimulus is 85 % centre program."""
    own = mixed((1.0, 1.0, 1.0 - SHARE), SHARE)
    s = replace(scene(w=w, late=late, timed=timed), w=own, share=SHARE)
    return replace(s, weight=weight_of(np.mean(np.abs(s.predicted()) ** 2, axis=(0, 1, 2)), F))


@pytest.mark.parametrize(
    ("w", "name", "message"),
    [
        (mixed((1.0, 1.0, 0.15), 0.0), "centre missing", "their common signal is not played"),
        (mixed((1.0, 1.0, 0.15), 0.5 * SHARE), "centre level", "the centre program is 6.0 dB low"),
        (mixed((1.0, 1.0, 0.15), 1.5 * SHARE), "centre level", "the centre program is 3.5 dB high"),
        (mixed((1.0, 1.0, 1.0), 0.0), "upmix off", "both sides play through their own filters"),
    ],
)
def test_what_is_wrong_with_the_centre_is_named(w: np.ndarray, name: str, message: str) -> None:
    cause = found(heard_as(w))
    assert (cause.name, message in cause.text) == (name, True), cause
    assert cause.explained > 0.98
    assert found(heard_as(w, 0.0021, timed=False)).name == name


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_linear_upmix_in_place_of_the_adaptive_one_is_named_with_its_share(share: float) -> None:
    """Of ``C = a (L + R)`` each side alone gives ``a`` to the centre, both together twice as much."""
    left, right, middle = weights(5)
    apart = middle - left - right
    cause = found(heard_as(np.stack([left + share * apart, right + share * apart, left + right + 2 * share * apart])))
    assert cause.name == "upmix linear", cause
    assert f"C = {share:.2f} (L + R)" in cause.text
    assert cause.explained > 0.98


@pytest.mark.parametrize(
    ("ratio", "known"),
    [(44100.0 / 48000.0, True), (48000.0 / 44100.0, True), (2.0, True), (44100.0 / 48000.0, False), (2.0, False)],
)
def test_filters_at_another_rate_are_named(ratio: float, known: bool) -> None:
    """Taps read at another rate: their response at ``f`` is what it was at ``ratio f``, also where they are scaled."""
    rng = np.random.default_rng(3)
    taps = rng.standard_normal((3, 3, 24)) * np.exp(-np.arange(24) / 6.0)

    def at(f: np.ndarray) -> np.ndarray:
        return taps @ np.exp(-2j * np.pi * np.outer(np.arange(24), f) / FS)

    s = scene(w=0.8 * at(F * ratio))
    cause = found(replace(s, at=at) if known else s)
    if known:
        assert cause.name == "sampling rate", cause
        assert f"{1.0 / ratio:.3f} times" in cause.text
        assert cause.explained > 0.98
    else:  # what lies above the scene's band is not known
        rated = [c for c in diagnosis.causes(s, NAMES, AT, HEAD_M) if c.name == "sampling rate"]
        assert max(rated, key=lambda c: c.explained).text.endswith(f"{1.0 / ratio:.3f} times their sampling rate")


def test_drivers_that_clip_are_named_with_their_level() -> None:
    def cut(level: float) -> np.ndarray:
        w = weights()
        w[0] *= level
        w[2] *= 0.5 * (1.0 + level) * np.exp(-1j * (1.0 - level) * F / 4000.0)
        return w

    level = float(from_db(-3.5))
    cause = found(replace(scene(w=cut(level)), clipped=cut))
    assert cause.name == "clipping", cause
    assert "clipped 3.5 dB below" in cause.text
    assert "clipping" not in {c.name for c in diagnosis.causes(scene(), NAMES, AT, HEAD_M)}


def test_what_comes_after_the_direct_sound_is_the_room() -> None:
    rng = np.random.default_rng(7)
    s = scene()
    late = 0.3 * np.abs(s.heard) * np.exp(2j * np.pi * rng.random(s.heard.shape))
    quiet = s.heard - s.predicted()
    cause = found(replace(s, heard=s.heard + late, early=quiet))
    assert cause.name == "room changed", cause
    assert cause.explained > 0.98
    assert found(replace(s, heard=s.heard + late, early=quiet + late)).name != "room changed"


def test_unfiltered_drivers_leave_nothing_at_their_own_delay() -> None:
    s = scene(w=plain(), late=0.0031)
    base = s.power(s.heard)
    assert diagnosis._unfiltered(s, 0.0031) < 1e-4 * base
    assert diagnosis._unfiltered(s, 0.0031 + 3.0 / FS) > 1e-2 * base
    bypassed = [c for c in diagnosis.causes(s, NAMES, AT, HEAD_M) if c.name == "bypassed"]
    assert bypassed[0].explained > 0.999


def test_the_common_delay_is_found_wherever_the_first_bin_lies() -> None:
    for first in (0.0, 17.5, 5.0):
        s = replace(scene(), f=F + first)
        cross = np.exp(-2j * np.pi * s.f * 0.00731) * (1.0 + s.f / 900.0)
        assert abs(s.lag(cross) - 0.00731) < 1e-7


def test_filters_of_another_unit_are_recognised() -> None:
    cause = found(scene(w=weights(8)), **{"unit X": weights(9), "unit Y": weights(8)})
    assert cause.name == "other filter set"
    assert "unit Y" in cause.text


def test_what_lies_below_all_bands_is_no_difference() -> None:
    """There nothing is played: what the noise leaves is many times the prediction, and must not weigh."""
    s, below = scene(), F[0] * 1.3 > F
    gone = np.where(below, 1e-5, 1.0)
    near = np.mean(np.abs(np.einsum("pedf,sdf->pesf", s.h, s.w * gone)) ** 2, axis=(0, 1, 2))
    heard = s.heard * gone + np.where(below, 3e-4, 0.0) * np.abs(s.heard).max()
    dead = replace(s, w=s.w * gone, heard=heard, weight=weight_of(near, F))
    assert disagreement_db(dead) < -40.0
    assert disagreement_db(replace(dead, weight=1.0 / near / F)) > 0.0


def test_a_sound_unit_differs_by_its_noise_alone_and_latency_is_a_difference_only_where_it_is_known() -> None:
    assert disagreement_db(scene()) < -45.0
    assert disagreement_db(scene(late=0.002)) > -10.0
    assert disagreement_db(scene(late=0.002, timed=False)) < -40.0
    moved = scene(w=changed(1, float(from_db(-2.0))), late=0.0023, timed=False)
    assert found(moved).name == "driver level"


def test_the_band_of_a_changed_driver_is_reported() -> None:
    text = found(scene(w=changed(1, bell(1800.0, 6.0)))).text
    low, high = (float(v) for v in text.split("from ")[1].split(" Hz")[0].split(" to "))
    assert 900.0 < low < 1800.0 < high < 3600.0
    assert float(text.split("by up to ")[1].split(" dB")[0]) == pytest.approx(6.0, abs=0.7)
    softer = found(scene(w=changed(1, bell(1800.0, -5.0)))).text
    assert float(softer.split("by up to ")[1].split(" dB")[0]) == pytest.approx(-5.0, abs=0.7)


def test_a_cause_is_ruled_out_by_its_best_fit_alone() -> None:
    fits = [Cause("polarity", "", 0.6, 0), Cause("level", "", 0.02, 1), Cause("polarity", "", 0.01, 0)]
    assert diagnosis.ruled_out(fits) == ("level",)
    assert diagnosis.ruled_out(fits[::-1]) == ("level",)


def test_what_no_cause_explains_is_unclear_and_what_was_ruled_out_is_reported() -> None:
    """Every path changed in its own way: nothing explains half of the difference, so nothing is called likely."""
    rng = np.random.default_rng(4)
    each = 1.0 + 0.4 * (rng.standard_normal(paths().shape[:3]) + 1j * rng.standard_normal(paths().shape[:3]))
    every = diagnosis.causes(scene(h=paths() * each[..., None]), NAMES, AT, HEAD_M)
    first = diagnosis.ranked(every)[0]
    assert first.name == diagnosis.UNCLEAR
    assert first.explained < 0.5
    assert "unclear" in first.text
    ruled_out = diagnosis.ruled_out(every)
    assert "head moved" in ruled_out or "left-right swap" in ruled_out
    clear = diagnosis.causes(scene(w=changed(2, -1.0)), NAMES, AT, HEAD_M)
    assert "ears swapped" in diagnosis.ruled_out(clear)
    assert "polarity" not in diagnosis.ruled_out(clear)


def verdict(passed: bool = True) -> Verification:
    empty = np.zeros((1, 2, 3, 4))
    heard = 20.0 if passed else 5.0
    metrics = (
        Metric("cancellation, mean", "x", 21.0, heard, 12.0, "at least"),
        Metric("balance", "x", None, 0.2, 1.0, "at most"),
    )
    causes = () if passed else (Cause("head moved", "the head is +8.0 cm farther", 0.97, 3),)
    z = empty.astype(complex)
    return Verification(np.arange(4.0), z, z, z[0, 0], z[0, 0], np.zeros(3), metrics, causes)


ABOUT = {"verified_utc": "2026-03-04T12:00:00Z", "unit": "A<1>", "rig": "desk", "run": "runs/A/1"}


def test_records_grow_by_a_line_and_are_read_by_their_readers(tmp_path: Path) -> None:
    for passed in (False, True):
        files = records.keep(tmp_path / "new", records.record(verdict(passed), ABOUT))
    lines = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert [r["verdict"] for r in lines] == ["fail", "pass"]
    assert lines[0]["causes"][0]["name"] == "head moved"
    with files[1].open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [r["verdict"] for r in rows] == ["fail", "pass"]
    assert float(rows[0]["cancellation, mean"]) == 5.0
    assert rows[0]["cause"] == "the head is +8.0 cm farther"
    suite = ElementTree.fromstring(files[2].read_text())
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("A<1>", "2", "0")
    assert ElementTree.fromstring(records.junit(lines[0])).find("testcase/failure") is not None
    with pytest.raises(BadInput, match=r"passed on 2026-03-04.*--again"):
        records.check_new(tmp_path / "new", "A<1>")
    records.check_new(tmp_path / "new", "B")
    files[0].write_text(files[0].read_text() + '{"unit": "B", "verd')  # a power cut while writing
    records.check_new(tmp_path / "new", "B")
    files[1].write_text(files[1].read_text()[:-9])
    records.keep(tmp_path / "new", records.record(verdict(), ABOUT | {"unit": "B"}))
    whole = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert [r["unit"] for r in whole] == ["A<1>", "A<1>", "B"]
    assert files[0].with_name("verify.jsonl.partial").read_text() == '{"unit": "B", "verd\n'
    with files[1].open(newline="") as table:
        assert [r["unit"] for r in csv.DictReader(table)] == ["A<1>", "A<1>", "B"]


@pytest.mark.parametrize(
    "change", [{"causes": [5]}, {"causes": None}, {"metrics": 5}, {"reasons": None}, {"unit": None}]
)
def test_a_record_that_was_edited_costs_its_own_row_alone(tmp_path: Path, change: dict[str, object]) -> None:
    """The table is written anew from the lines: before it, one of these ended the verification with a traceback."""
    first, second = (records.record(verdict(), ABOUT | {"unit": unit}) for unit in "AB")
    whole = {k: v for k, v in (first | change).items() if v is not None}
    (tmp_path / records.JSONL).write_text(json.dumps(whole) + "\n" + json.dumps(first) + "\n")
    records.keep(tmp_path, second)
    rows = list(csv.DictReader((tmp_path / records.CSV).read_text().splitlines()))
    assert [row["unit"] for row in rows] == ["A", "B"]


def test_a_number_that_passes_on_two_lines_at_once_passes_once(tmp_path: Path) -> None:
    """Each was checked before the other was recorded, so neither was refused at its scan."""
    first, second = (records.record(verdict(), ABOUT | {"unit": "A", "run": f"runs/A/{n}"}) for n in (1, 2))
    for _ in range(2):
        records.check_new(tmp_path, "A")
    page = records.keep(tmp_path, first)[-1]
    suite = page.read_bytes()
    with pytest.raises(BadInput, match=r"unit A passed on 2026-03-04T12:00:00Z too, on another line.*set both aside"):
        records.keep(tmp_path, second)
    kept = records.earlier(tmp_path, "A")
    assert [(r["run"], r["verdict"]) for r in kept] == [("runs/A/1", "pass"), ("runs/A/2", "error")]
    rows = list(csv.DictReader((tmp_path / records.CSV).read_text().splitlines()))
    assert [row["verdict"] for row in rows] == ["pass", "error"]
    assert page.read_bytes() == suite
    records.keep(tmp_path, records.record(verdict(passed=False), ABOUT | {"unit": "A"}))
    records.keep(tmp_path, second, again=True)
    assert [r["verdict"] for r in records.earlier(tmp_path, "A")] == ["pass", "error", "fail", "pass"]


def test_records_repeat_byte_for_byte(tmp_path: Path) -> None:
    """JSON Lines, CSV and JUnit of the same verdicts, at an hour that is given; a failed one with its cause."""
    for name in ("one", "two"):
        for passed in (False, True):
            records.keep(tmp_path / name, records.record(verdict(passed), ABOUT))
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert {Path(name).suffix for name in one} >= {".jsonl", ".csv", ".xml"}
    assert one == two


def test_a_table_with_other_columns_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / records.CSV).write_text("something,else\n1,2\n")
    with pytest.raises(BadInput, match=r"no table of records \(it begins with 'something, else'"):
        records.keep(tmp_path, records.record(verdict(), ABOUT))
    with pytest.raises(BadInput, match="no table of records"):
        records.check_folder(tmp_path)
    assert not (tmp_path / records.JSONL).exists()
    assert (tmp_path / records.CSV).read_text() == "something,else\n1,2\n"


def test_units_of_several_kinds_share_a_table(tmp_path: Path) -> None:
    """Without a polar set, or where noise leaves no rub and buzz, a unit has fewer metrics: it had no record at all."""
    whole = records.record(verdict(), ABOUT | {"unit": "A"})
    names = list(whole["metrics"])
    fewer = {**whole, "unit": "B", "metrics": {n: whole["metrics"][n] for n in names[1:]}}
    other = {**whole, "unit": "C", "metrics": {**fewer["metrics"], "one more": whole["metrics"][names[0]]}}
    for found in (fewer, whole, other, {**fewer, "unit": "D"}):
        records.keep(tmp_path, found)
    head, *rows = csv.reader((tmp_path / records.CSV).read_text().splitlines())
    assert head == [*records.COLUMNS, *names[1:], names[0], "one more"]
    assert [row[1] for row in rows] == ["B", "A", "C", "D"]
    assert [[cell == "" for cell in row[-2:]] for row in rows] == [
        [True, True],
        [False, True],
        [True, False],
        [True, True],
    ]
    assert all(float(row[len(records.COLUMNS)]) == whole["metrics"][names[1]]["heard"] for row in rows)
    (tmp_path / records.CSV).unlink()
    records.keep(tmp_path, {**fewer, "unit": "E"})
    assert len((tmp_path / records.CSV).read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("text", "pattern", "message"),
    [
        ("B7", None, "was scanned"),
        ("AB1", r"[A-Z]\d+", "does not fit"),
        ("A 1", None, "no serial number"),
        ("A1", "(", "no regular expression"),
        (" ", None, "no serial number"),
    ],
)
def test_serial_numbers_that_do_not_fit_are_refused(text: str, pattern: str | None, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        records.check_serial(text, pattern, "A1", Path("runs/A1/x"))
    records.check_serial(" A1\n", r"[A-Z]\d+", "A1", Path("runs/A1/x"))


def test_the_operator_sees_one_verdict_and_one_action() -> None:
    assert "put the next one on" in records.operator(verdict(), "A1")
    failed = records.operator(verdict(passed=False), "A1")
    assert "dummy head back on its mark" in failed
    assert failed.count("Next:") == 1


def test_limits_are_read_checked_and_written(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(limits_text({"cancellation_mean": 14.256, "difference": -25.0}, "from 12 good runs"))
    assert read_limits(path) == Limits(cancellation_mean=14.26, difference=-25.0)
    assert read_limits(None) == Limits()
    for text, message in (
        ("cancelation_mean = 3", "did you mean 'cancellation_mean'"),
        ("snr = true", "snr: True is not valid: true and false are no values of this key"),
        ("snr = 1e9", "less than or equal to 200"),
        ("snr = ", "not valid TOML"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=message):
            read_limits(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_limits(tmp_path / "gone.toml")


def test_the_edges_of_a_changed_band_are_those_of_its_sixth_octaves() -> None:
    f = np.arange(100.0, 8000.0, 10.0)
    bins: Any = SimpleNamespace(f=f, weight=np.ones(len(f)))
    own = np.ones((1, 1, 1, len(f)), dtype=complex)
    rest = own * np.where((f >= 400.0) & (f < 800.0), from_db(6.0), 1.0)
    change = driver_faults.band_change(bins, rest, own)
    assert change is not None
    assert change.text == "from 400 to 790 Hz, by up to +6.0 dB"
    assert change.gained == pytest.approx(40 * float(from_db(6.0) - 1.0) ** 2)


def test_the_narrowest_band_may_be_one_sixth_octave() -> None:
    assert driver_faults._narrowest(np.array([0.1, 0.0, 9.0, 0.0])) == (2, 2)
    assert driver_faults._narrowest(np.array([0.1, 5.0, 4.0, 0.0])) == (1, 2)


def test_a_head_is_described_by_where_it_went() -> None:
    away = head_faults._place(-0.021, -0.013, -0.5, HEAD_M)
    assert away == "the head is 2.1 cm nearer and 1.3 cm to the right, turned by 28.6 degrees to the right"
    near = head_faults._place(0.021, 0.013, 0.5, HEAD_M)
    assert near == "the head is 2.1 cm farther and 1.3 cm to the left, turned by 28.6 degrees to the left"


@pytest.mark.parametrize("kelvin", [8.0, -5.0])
def test_warmer_air_is_named_beside_a_nearer_head(kelvin: float) -> None:
    """Both change all delays alike; the head's place alone would send the operator to move it."""
    s = replace(scene(), heard=scene(h=paths(c=343.0 * np.sqrt(1.0 + kelvin / 293.0))).heard)
    cause = diagnosis.ranked(diagnosis.causes(s, NAMES, AT, HEAD_M))[0]
    assert cause.name == "head moved"
    air = f"or the air is {abs(kelvin):.0f} K {'warmer' if kelvin > 0 else 'colder'} than in the session"
    assert cause.text.endswith(air), cause


def test_the_three_best_causes_are_reported_each_with_its_share() -> None:
    found = [Cause(f"cause {i}", "", 0.9 - 0.1 * i, 1) for i in range(5)]
    best = diagnosis.ranked(found)
    assert [c.name for c in best] == ["cause 0", "cause 1", "cause 2"]
    assert best[0].evidence == "explains 90 % of the difference"
    weak = diagnosis.ranked([replace(c, explained=0.5 * c.explained) for c in found])
    assert [c.name for c in weak] == ["unclear", "cause 0", "cause 1"]
    assert weak[0].evidence == "nothing explains more than 45 % of the difference"


def test_an_inverted_driver_is_a_cause_without_a_fitted_number() -> None:
    s = heard_as(weights(), timed=False)
    p = np.einsum("pedf,sdf->pesf", s.h, s.w)
    own = np.einsum("pef,sf->pesf", s.h[:, :, 0], s.w[:, 0])
    names = [f"d{i}" for i in range(s.h.shape[2])]
    first = next(one for one in driver_faults.untimed(replace(s, heard=p - 2.0 * own), p, names))
    assert first[0] == "polarity"
    assert first[2] == pytest.approx(0.0, abs=1e-6 * s.power(p))
    assert first[3] == 0


def test_the_disagreement_does_not_depend_on_the_unit_of_the_weights() -> None:
    s = scene(louder(0, 3.0))
    assert disagreement_db(replace(s, weight=1e-6 * s.weight)) == pytest.approx(disagreement_db(s), abs=1e-9)


def test_a_changed_ear_counts_as_four_fitted_numbers() -> None:
    s = scene(at_ear(0, bell(2000.0, 8.0)))
    each = {name: numbers for name, _, _, numbers in head_faults.banded(s, s.predicted())}
    assert each["ear response"] == 4


def test_without_a_share_of_the_centre_no_cause_lies_in_it() -> None:
    assert list(diagnosis._centre(replace(scene(), share=0.0))) == []


def test_clipping_counts_as_one_fitted_number() -> None:
    s = scene()
    each = list(diagnosis._clipping(replace(s, clipped=lambda c: 0.9 * s.w)))
    assert [(name, numbers) for name, _, _, numbers in each] == [("clipping", 1)]


def of_driver(s: Residual, d: int) -> tuple[np.ndarray, np.ndarray]:
    """What the other drivers give, and what this one does."""
    own = np.einsum("pef,sf->pesf", s.h[:, :, d], s.w[:, d])
    return s.predicted() - own, own


def power(s: Residual, x: np.ndarray) -> float:
    return float(np.sum(s.weight * np.abs(x) ** 2))


def delayed(x: np.ndarray, samples: float) -> np.ndarray:
    return np.asarray(x * late(samples))


def fitted_gain(s: Residual, target: np.ndarray, part: np.ndarray) -> float:
    return float(np.sum(s.weight * (target * part.conj()).real) / np.sum(s.weight * np.abs(part) ** 2))


@pytest.mark.parametrize("driver", [0, 1, 2])
@pytest.mark.parametrize(
    ("factor", "names", "words"),
    [
        (0.5, {"driver level": 1}, "driver 'NAME' is 6.0 dB low"),
        (2.0, {"driver level": 1}, "driver 'NAME' is 6.0 dB high"),
        (-0.7, {"polarity": 0, "driver level": 2}, "driver 'NAME' has its polarity inverted"),
        (0.02, {"dead driver": 0}, "driver 'NAME' is silent"),
        (-0.02, {"dead driver": 0}, "driver 'NAME' is silent"),
    ],
)
@pytest.mark.parametrize("timed", [True, False])
def test_gains_of_each_driver_by_least_squares(
    driver: int, factor: float, names: dict[str, int], words: str, timed: bool
) -> None:
    """In words, with the number of what was fitted and what is left; where latency is unknown, after the best delay."""
    behind = 0.0 if timed else 151.3
    s = scene(w=changed(driver, factor), late=behind / FS, timed=timed)
    p, which = s.predicted(), NAMES[driver]
    each = list((driver_faults.timed if timed else driver_faults.untimed)(s, p, NAMES))
    ours = {name: (text, left, n) for name, text, left, n in each if f"'{which}'" in text and name != "driver delay"}
    assert {name: n for name, (_, _, n) in ours.items()} == names
    assert next(iter(ours.values()))[0] == words.replace("NAME", which)
    others, own = of_driver(s, driver)
    others, own = delayed(others, behind), delayed(own, behind)
    g = fitted_gain(s, s.heard - others, own)
    assert g == pytest.approx(factor, abs=0.01)
    level = "polarity" if factor < -0.1 else "dead driver" if abs(factor) < 0.1 else "driver level"
    known = {"polarity": -1.0, "dead driver": 0.0, "driver level": g}[level]
    around = [0.0] if timed else np.arange(-2.0, 2.0, 0.01)
    each_left = [power(s, s.heard - delayed(others + known * own, t)) for t in around]
    assert ours[level][1] <= min(each_left) * (1.0 + 1e-3)
    assert ours[level][1] == pytest.approx(min(each_left), rel=0.01)
    if factor < -0.1:
        text, left, _ = ours["driver level"]
        assert text == f"driver {which!r} is inverted and {abs(20 * np.log10(-g)):.1f} dB low"
        assert left == pytest.approx(power(s, s.heard - others - g * own), rel=1e-3)
        assert left < 0.5 * ours["polarity"][1]


@pytest.mark.parametrize("samples", [0.4, -0.4, 5.37, -41.2])
@pytest.mark.parametrize("timed", [True, False])
def test_delays_of_one_driver_by_least_squares(samples: float, timed: bool) -> None:
    behind = 0.0 if timed else 151.3
    s = scene(w=changed(1, late(samples)), late=behind / FS, timed=timed)
    each = list((driver_faults.timed if timed else driver_faults.untimed)(s, s.predicted(), NAMES))
    ((text, left, n),) = [(t, left, n) for name, t, left, n in each if name == "driver delay" and "'left'" in t]
    assert text == f"driver 'left' is {abs(samples):.2f} samples {'late' if samples > 0 else 'early'}"
    assert n == 1
    others, own = of_driver(s, 1)
    assert left == pytest.approx(power(s, s.heard - delayed(others, behind) - delayed(own, behind + samples)), rel=0.02)
    sound = scene(late=behind / FS, timed=timed)
    each = list((driver_faults.timed if timed else driver_faults.untimed)(sound, sound.predicted(), NAMES))
    assert not [text for name, text, _, _ in each if name == "driver delay"]


def test_one_drivers_part_and_the_others_each_with_a_delay() -> None:
    """The fit by correlations against sums over the responses themselves."""
    s = scene(w=changed(2, 1.4 * late(2.3)), late=80.0 / FS, timed=False)
    others, own = of_driver(s, 2)
    pair = driver_faults._Pair(s, others, own, 80.0 / FS)
    for t, u, g in ((80.0, 80.0, 1.0), (79.0, 83.5, -0.7), (0.0, 0.0, 2.0)):
        left = power(s, s.heard - delayed(others, t) - g * delayed(own, u))
        assert pair.left(t / FS, u / FS, g) == pytest.approx(left, rel=1e-9)
        assert pair.gain(t / FS) == pytest.approx(fitted_gain(s, s.heard - delayed(others, t), delayed(own, t)))
    fine = np.arange(76.0, 84.0, 0.002)

    def at_best_gain(t: float) -> float:
        rest, part = s.heard - delayed(others, t), delayed(own, t)
        return power(s, rest - fitted_gain(s, rest, part) * part)

    best = fine[int(np.argmin([at_best_gain(t) for t in fine[::20]])) * 20]
    near = fine[np.abs(fine - best) < 0.05]
    assert pair.common() * FS == pytest.approx(near[int(np.argmin([at_best_gain(t) for t in near]))], abs=0.003)
    for g in (0.0, -1.0):
        each = [power(s, s.heard - delayed(others, t) - g * delayed(own, t)) for t in np.arange(16.0, 144.0, 0.05)]
        assert pair.least(g) == pytest.approx(min(each), rel=2e-3)
        assert pair.least(g) <= min(each) * (1.0 + 1e-9)
    apart, left = pair.delay()
    coarse = [
        power(s, s.heard - delayed(others, t) - delayed(own, u))
        for t in np.arange(76.0, 84.0, 0.2)
        for u in np.arange(76.0, 88.0, 0.2)
    ]
    assert left <= min(coarse)
    assert left == pytest.approx(min(coarse), rel=0.05)
    assert apart == pytest.approx(2.3, abs=0.25)  # a gain of 1.4 is taken for some of it


@pytest.mark.parametrize(("gain", "named"), [(0.09, False), (0.11, True), (9.0, True), (11.0, False)])
def test_more_than_twenty_decibels_are_no_wrong_level(gain: float, named: bool) -> None:
    """Of everything, of an ear, of the centre, and of two drivers."""
    s = heard_as(mixed((1.0, 1.0, 1.0 - SHARE), SHARE))
    p = s.predicted()
    words = f"{abs(20 * np.log10(gain)):.1f} dB {'high' if gain > 1 else 'low'}"
    every = list(diagnosis._level(replace(s, heard=gain * p), p))
    assert [(name, text, n) for name, text, _, n in every] == [("level", f"everything is {words}", 1)] * named
    assert all(left < 1e-9 * power(s, p) for _, _, left, _ in every)
    for ear, side in enumerate(("left", "right")):
        heard = p.copy()
        heard[:, ear] *= gain
        each = list(head_faults.ear_gain(replace(s, heard=heard), p))
        text = f"the {side} ear is {words}: its microphone's gain or calibration"
        assert [(t, n) for name, t, _, n in each if name == "ear gain" and side in t] == [(text, 1)] * named
        other = next((t, left) for _, t, left, _ in each if side not in t)
        assert "is 0.0 dB" in other[0]
        assert other[1] == pytest.approx((gain - 1.0) ** 2 * power(s, p[:, ear]), rel=1e-9)
    centre = replace(s, heard=np.einsum("pedf,sdf->pesf", s.h, mixed((1.0, 1.0, 1.0 - SHARE), gain * SHARE)))
    levels = [text for name, text, _, _ in diagnosis._centre(centre) if name == "centre level"]
    assert levels == [f"the centre program is {words}"] * named
    w = s.w.copy()
    w[:, 0] *= gain
    w[:, 1] *= 1.5
    noise = 1e-4 * np.random.default_rng(2).standard_normal(p.shape)  # of which the third driver takes next to nothing
    two = list(driver_faults.paired(replace(s, heard=s.predicted(w=w) + noise), p, NAMES))
    text = f"driver 'woofer' is {words} and driver 'left' 3.5 dB high"
    assert [(name, t, n) for name, t, _, n in two] == [("two driver levels", text, 2)] * named


def test_where_nothing_differs_no_levels_are_named() -> None:
    w = weights()
    w[:, 1:] = 0.0
    s = replace(scene(), w=w)
    same = replace(s, heard=s.h[:, :, None, 0] * w[None, None, :, 0])
    assert list(driver_faults.paired(same, same.predicted(), NAMES)) == []


def test_causes_at_the_centre_and_what_each_leaves() -> None:
    """Of something between all of them, so that each leaves something: its own filters give the sum."""
    left, right, middle = weights(5)
    s = heard_as(0.9 * mixed((1.0, 1.0, 0.15), 0.7 * SHARE) + 0.1 * mixed((1.0, 1.0, 1.0), 0.0))
    each = list(diagnosis._centre(s))

    def part(w: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("pedf,sdf->pesf", s.h, w))

    missing = mixed((1.0, 1.0, 1.0 - SHARE), 0.0)
    centre = mixed((0.0, 0.0, 0.0), SHARE)
    g = fitted_gain(s, s.heard - part(missing), part(centre))
    off, apart = mixed((1.0, 1.0, 1.0), 0.0), middle - left - right
    linear = np.stack([apart, apart, 2.0 * apart])
    a = fitted_gain(s, s.heard - part(off), part(linear))
    assert 0.05 < a < 0.95
    level = f"{abs(20 * np.log10(g)):.1f} dB {'high' if g > 1 else 'low'}"
    assert [(name, text, n) for name, text, _, n in each] == [
        ("centre missing", "the centre program is missing: their common signal is not played", 0),
        ("centre level", f"the centre program is {level}", 1),
        ("upmix off", "the upmix is off: both sides play through their own filters, the centre program is silent", 0),
        ("upmix linear", f"the upmix is the linear one, C = {a:.2f} (L + R), in place of the adaptive one", 1),
    ]
    wanted = [power(s, s.heard - part(w)) for w in (missing, missing + g * centre, off, off + a * linear)]
    assert [left for _, _, left, _ in each] == pytest.approx(wanted, rel=1e-9)
    assert diagnosis.LEAST_SHARE == 0.05
    for share, named in ((0.04, False), (0.06, True), (0.94, True), (0.96, False)):
        linear_s = replace(s, heard=part(off + share * linear))
        names = [name for name, *_ in diagnosis._centre(linear_s)]
        assert ("upmix linear" in names) is named


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
@pytest.mark.parametrize("alone", [True, False])
def test_the_delay_of_a_bypass_is_found_to_a_fraction_of_a_sample(order: list[int], alone: bool) -> None:
    """That of the loudest driver, wherever it stands in the order; the others' sound moves the first estimate."""
    w = (0.05 if alone else 1.0) * plain()
    w[:2, 0], w[2, 0] = [[1.0], [0.4]], 1.4
    s = scene(w=w, late=0.0031)
    s = replace(s, h=s.h[:, :, order], w=s.w[:, order])
    ((name, text, left, n),) = diagnosis._bypassed(s)
    assert (name, text, n) == (
        "bypassed",
        "the filters are not active: every driver plays its input unfiltered",
        2,
    )
    assert left <= diagnosis._unfiltered(s, 0.0031 + 0.03 / FS)
    assert left <= diagnosis._unfiltered(s, 0.0031 - 0.03 / FS)


def test_causes_without_a_fitted_number_are_other_sums() -> None:
    """Swapped drivers, sides and ears, other filters, and the room: in words, and what each leaves."""
    s = scene(w=weights(4))
    swaps = [(0, 1, "'woofer' and 'left'"), (0, 2, "'woofer' and 'right'"), (1, 2, "'left' and 'right'")]
    each = list(diagnosis._swapped(s, NAMES))
    assert [(name, text, n) for name, text, _, n in each] == [
        ("drivers swapped", f"drivers {two} are swapped", 0) for _, _, two in swaps
    ]
    for (a, b, _), (_, _, left, _) in zip(swaps, each, strict=True):
        order = [{a: b, b: a}.get(d, d) for d in range(3)]
        assert left == pytest.approx(power(s, s.heard - s.predicted(w=s.w[:, order])))
    sides, ears = diagnosis._sides(s)
    assert (sides[0], sides[1], sides[3]) == ("left-right swap", "left and right are swapped", 0)
    assert sides[2] == pytest.approx(power(s, s.heard - s.predicted(w=s.w[[1, 0, 2]])))
    assert (ears[0], ears[1], ears[3]) == ("ears swapped", "the two ears are swapped", 0)
    assert ears[2] == pytest.approx(power(s, s.heard - s.predicted()[:, ::-1]))
    ((name, text, left, n),) = diagnosis._others(s, {"unit X": weights(4)})
    assert (name, text, n) == ("other filter set", "the filters are those of unit X", 0)
    assert left == pytest.approx(power(s, s.heard - s.predicted(w=weights(4))))
    assert list(diagnosis._room(s)) == []
    ((name, text, left, n),) = diagnosis._room(replace(s, early=0.1 * s.heard))
    assert (name, n) == ("room changed", 0)
    assert text == "the difference comes after the direct sound: the room, or an object in it, has changed"
    assert left == pytest.approx(0.01 * power(s, s.heard))


@pytest.mark.parametrize(("best_db", "words"), [(-0.7, "0.7"), (-2.1, "2.1"), (-8.3, "8.3"), (-18.7, "18.7")])
def test_clipping_is_tried_between_its_levels_and_never_above_the_peak(best_db: float, words: str) -> None:
    s, asked, best = scene(), list[float](), float(from_db(best_db))

    def clipped(level: float) -> np.ndarray:
        asked.append(level)
        return np.asarray(s.w * (1.0 + abs(np.log(level / best))))

    ((_, text, left, _),) = diagnosis._clipping(replace(s, clipped=clipped))
    assert text == f"the drivers are clipped {words} dB below the peak of the loudest sweep"
    assert left == pytest.approx(power(s, s.heard - s.predicted()), rel=0.05)
    assert max(asked) < 1.0
    assert {round(float(-20 * np.log10(level)), 2) for level in asked} >= {0.7, 1.4, 2.8, 4.2, 5.6, 7.0, 9.0, 18.0}


def test_what_is_good_is_as_predicted_and_what_is_unclear_fits_no_number() -> None:
    assert Cause(diagnosis.DESIGN, "", 1.0, 0).evidence == "as predicted"
    assert Cause("level", "", -0.2, 0).evidence == "explains 0 % of the difference"
    found = [Cause("level", "", 0.4, 1), Cause("polarity", "", 0.051, 0), Cause("ear gain", "", 0.049, 0)]
    first, *rest = diagnosis.ranked(found, 5)
    assert (first.name, first.explained, first.numbers) == ("unclear", 0.4, 0)
    assert first.text == ("unclear: no single cause explains half of the difference; the best is level, with 40 %")
    assert rest == found[:2]
    assert diagnosis.ranked([replace(found[0], explained=0.5)]) == [replace(found[0], explained=0.5)]
    assert diagnosis.ranked([]) == []


def test_a_simpler_cause_goes_first_unless_another_explains_far_more() -> None:
    """Each fitted number must explain 3 % more."""
    every = diagnosis.causes(scene(w=changed(1, -0.9)), NAMES, AT, HEAD_M)
    worth = [c.explained - 0.03 * c.numbers for c in every]
    assert worth == sorted(worth, reverse=True)
    assert [(c.name, c.numbers) for c in every[:2]] == [("polarity", 0), ("driver level", 2)]
    assert every[1].explained > every[0].explained


def bins_of(f: np.ndarray) -> Any:
    return SimpleNamespace(f=f, weight=np.linspace(1.0, 2.0, len(f)))


def test_a_factor_that_turns_the_phase_far_is_no_changed_response() -> None:
    f = np.arange(100.0, 8000.0, 10.0)
    bins, own = bins_of(f), np.ones((1, 2, 1, len(f)), dtype=complex)
    changes = np.where((f >= 400.0) & (f < 800.0), from_db(6.0), 1.0).astype(complex)
    changes[f >= 3200.0] = 3.0 * np.exp(1j * np.radians(46.0))
    change = driver_faults.band_change(bins, own * changes, own)
    assert change is not None
    assert change.text == "from 400 to 790 Hz, by up to +6.0 dB"
    inside = (f >= 400.0) & (f < 800.0)
    assert change.gained == pytest.approx(2.0 * bins.weight[inside].sum() * float(from_db(6.0) - 1.0) ** 2)
    changes[f >= 3200.0] = 3.0 * np.exp(1j * np.radians(44.0))
    change = driver_faults.band_change(bins, own * changes, own)
    assert change is not None
    assert change.text.startswith("above 3230 Hz, by up to +9.5 dB") or change.text.startswith("above 3200 Hz")


@pytest.mark.parametrize(("bands", "named"), [(7, True), (8, False)])
def test_a_band_is_at_most_seven_tenths_of_all(bands: int, named: bool) -> None:
    f = np.arange(100.0, 316.0, 1.0)
    each = driver_faults._sixths(f)
    assert len(each) == 10
    own = np.ones((1, 1, 1, len(f)), dtype=complex)
    rest = own * np.where(np.arange(len(f)) < each[bands - 1].stop, 2.0, 1.0)
    assert (driver_faults.band_change(bins_of(f), rest, own) is not None) is named


def test_what_lies_beside_the_changed_band_is_not_named_with_it() -> None:
    """A large factor that hardly weighs, just above."""
    f = np.arange(100.0, 8000.0, 10.0)
    bins, beside = bins_of(f), (f >= 800.0) & (f < 900.0)
    bins.weight[beside] = 1e-6
    own = np.ones((1, 1, 1, len(f)), dtype=complex)
    rest = own * np.where(beside, 8.0, np.where((f >= 400.0) & (f < 800.0), 2.0, 1.0))
    change = driver_faults.band_change(bins, rest, own)
    assert change is not None
    assert change.text == "from 400 to 790 Hz, by up to +6.0 dB"


@pytest.mark.parametrize("timed", [True, False])
def test_a_drivers_part_comes_with_the_common_delay(timed: bool) -> None:
    """At any level, also where one stimulus has nothing in a bin."""
    s = scene(w=1e-3 * weights(), late=0.0 if timed else 151.3 / FS, timed=timed)
    s = replace(s, w=1e-3 * s.w)
    s.w[1, :, 3] = 0.0
    p, (_, own) = s.predicted(), of_driver(s, 1)
    q, part = driver_faults._together(s, p, own)
    behind = 0.0 if timed else 151.3
    assert q == pytest.approx(delayed(p, behind), abs=2e-2 * np.abs(p).max())
    assert q == pytest.approx(s.aligned(p), abs=1e-9 * np.abs(p).max())
    assert part == pytest.approx(own * s.aligned(p)[0, 0, 0] / p[0, 0, 0], abs=1e-9 * np.abs(p).max())


@pytest.mark.parametrize(("db", "named"), [(0.45, False), (0.55, True), (-0.45, False), (-0.55, True)])
def test_half_a_decibel_is_a_changed_response(db: float, named: bool) -> None:
    f = np.arange(100.0, 8000.0, 10.0)
    own = np.ones((1, 1, 1, len(f)), dtype=complex)
    rest = own * np.where(f >= 4000.0, from_db(db), 1.0)
    change = driver_faults.band_change(bins_of(f), rest, own)
    assert (change.text if change else "") == (f"above 4040 Hz, by up to {db:+.1f} dB" if named else "")


def test_sixth_octaves_hold_two_bins_at_least() -> None:
    """Of bins 10 Hz apart: edges at 112, 126, 141, 159 and 178 Hz."""
    few = driver_faults._sixths(np.arange(100.0, 200.0, 10.0))
    assert few == [slice(0, 2), slice(2, 5), slice(5, 8), slice(8, 10)]
    f = np.arange(100.0, 801.0, 1.0)
    bands = driver_faults._sixths(f)
    assert [b.start for b in bands] == [0, *(int(np.ceil(100 * 2 ** (k / 6) - 1e-9)) - 100 for k in range(1, 18))]
    assert [b.stop for b in bands] == [*(b.start for b in bands[1:]), len(f)]


def test_the_narrowest_run_keeps_nearly_all() -> None:
    assert driver_faults._narrowest(np.array([0.0, 1.0, 1.0, 1.0, 1.0])) == (1, 4)
    assert driver_faults._narrowest(np.ones(3)) == (0, 2)
    assert driver_faults._narrowest(np.array([4.9, 90.2, 4.9])) == (0, 1)
    assert driver_faults._narrowest(np.array([2.4, 95.2, 2.4])) == (1, 1)
    assert driver_faults._narrowest(np.array([1.0, -3.0, 0.5])) == (0, 0)
    assert driver_faults._narrowest(np.array([-1.0])) == (0, 0)


@pytest.mark.parametrize(("high", "counts"), [(158.0, False), (177.0, True)])
def test_five_bands_are_needed_to_tell_a_band_from_all(high: float, counts: bool) -> None:
    f = np.arange(100.0, high, 1.0)
    own = np.ones((1, 1, 1, len(f)), dtype=complex)
    assert len(driver_faults._sixths(f)) == (5 if counts else 4)
    rest = own * np.where(f < 112.0, 2.0, 1.0)
    assert (driver_faults.band_change(bins_of(f), rest, own) is not None) is counts


@pytest.mark.parametrize("scaled", [0.05, 0.7])
def test_filters_at_other_rates_are_read_between_bins(scaled: float) -> None:
    """Where they are known at the scene's bins alone, there is nothing above; a gain is fitted unless it is tiny."""
    s = scene(w=scaled * weights(7))
    each = list(diagnosis._rates(s))
    for ratio, (name, text, left, n) in zip((44.1 / 48.0, 48.0 / 44.1, 0.5, 2.0), each, strict=True):
        at = F * ratio
        w = np.zeros_like(s.w)
        for i in np.ndindex(3, 3):
            w[i] = np.interp(at, F, s.w[i].real) + 1j * np.interp(at, F, s.w[i].imag)
        low = at < F[0]
        w[..., low] = s.w[..., :1]
        w[..., at >= F[-1]] = 0.0
        p = s.predicted(w=w)
        g = fitted_gain(s, s.heard, p)
        wanted = [power(s, s.heard - p), *([power(s, s.heard - g * p)] if g > 0.1 else [])]
        assert (name, n) == ("sampling rate", 1)
        assert text == f"the filters run at {1.0 / ratio:.3f} times their sampling rate"
        assert left == pytest.approx(min(wanted), rel=1e-6)


def test_changed_responses_at_the_head_in_words() -> None:
    f_high = F > 3000.0
    for ear, side in enumerate(("left", "right")):
        s = scene(h=at_ear(ear, np.where(f_high, 0.5, 1.0)))
        each = [one for one in head_faults.banded(s, s.predicted()) if one[0] == "ear response"]
        ((_, text, left, n),) = [one for one in each if side in one[1]]
        assert re.fullmatch(
            rf"the {side} ear has changed above \d+ Hz, by up to -6\.\d dB: its microphone, its calibration or an "
            "obstruction",
            text,
        )
        assert n == 4
        assert left < 0.1 * power(s, s.heard - s.predicted())
    s = scene(w=weights() * np.where(f_high, 0.5, 1.0))
    ((_, text, left, n),) = [one for one in head_faults.banded(s, s.predicted()) if one[0] == "response"]
    assert re.fullmatch(
        r"everything has changed above \d+ Hz, by up to -6\.\d dB, at both ears: all drivers, an equaliser or the "
        "amplifier",
        text,
    )
    assert n == 4
    assert left < 0.1 * power(s, s.heard - s.predicted())

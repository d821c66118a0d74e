"""Why ours is kept where a classical design has the higher mean: words and figures follow the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sweetspot.calibrate.design import CrosstalkDesign, FilterDesign
from sweetspot.calibrate.filters.sides import pair
from sweetspot.calibrate.plant import Plant
from sweetspot.calibrate.study import compare, reasons
from sweetspot.calibrate.study.compare import ALONE, OURS, DesignRow


def row(name: str, mean: list[float], *, effort: float, drifted: float, p10: float, loudness: float) -> DesignRow:
    """A design whose other figures are the same in all bands."""
    flat = np.ones(5)
    return DesignRow(name, np.array(mean), p10 * flat, 30.0 * flat, effort * flat, 0.2, 0.3, -200.0,
                     drifted=drifted * flat, loudness=loudness)  # fmt: skip


OWN = row(OURS, [21.0, 17.0, 19.0, 20.0, 25.0], effort=8.0, drifted=15.0, p10=12.0, loudness=-4.5)
AHEAD = row("exact inverse", [20.0, 19.5, 19.6, 18.0, 17.0], effort=14.5, drifted=13.75, p10=12.5, loudness=-11.0)
BEHIND = row("Kirkeby", [12.0, 16.2, 18.0, 18.0, 17.0], effort=6.0, drifted=14.0, p10=9.0, loudness=-3.0)
SINGLE = row(ALONE, [30.0] * 5, effort=0.0, drifted=0.0, p10=0.0, loudness=0.0)


def test_equal_bands_are_not_called_better_by_nothing() -> None:
    (found,) = reasons.beaten((OWN, row("contrast", [22.0, 18.0, 20.0, 20.0, 25.01], effort=8.0, drifted=15.0,
                                        p10=12.0, loudness=-4.5)))  # fmt: skip
    assert found.text.endswith("In the other bands the two are equal.")


def test_a_design_with_the_higher_mean_is_named_with_figures_and_differences() -> None:
    (found,) = reasons.beaten((OWN, AHEAD, BEHIND, SINGLE))
    assert (found.theirs, found.bands) == (AHEAD, (1, 2))
    off = {"effort_db": -6.5, "drifted_db": 1.25, "p10_db": -0.5, "loudness_db": 6.5}
    assert found.differences() == pytest.approx(off)
    assert found.text == (
        "exact inverse has the higher mean at 800-1600 Hz (19.5 against 17.0 dB, +2.5 dB) and at 1600-3200 Hz (19.6 "
        "against 19.0 dB, +0.6 dB). In favour of sweetspot: effort there 8.0 against 14.5 dB (-6.5 dB); mean there "
        "after 0.25 dB of drift in every path 15.0 against 13.8 dB (+1.2 dB); loudness of music at the same level of "
        "the loudest driver -4.5 against -11.0 dB (+6.5 dB). Also for exact inverse: tenth percentile there 12.0 "
        "against 12.5 dB (-0.5 dB). In the other bands sweetspot is better by up to 8.0 dB (6400-12000 Hz)."
    )
    plain = found.to_dict()
    assert plain["ours_less_theirs"] == pytest.approx(off)
    assert plain["higher_mean"]["800-1600 Hz"] == {"ours_db": 17.0, "theirs_db": 19.5}
    assert (len(plain["for_ours"]), len(plain["for_theirs"])) == (3, 1)
    assert found.text in reasons.table((OWN, AHEAD, BEHIND, SINGLE))


def test_nothing_is_made_up_where_nothing_speaks_for_ours() -> None:
    better = replace(AHEAD, name="contrast", mean=OWN.mean + 1.0, effort=OWN.effort - 2.0, drifted=OWN.drifted + 1.0,
                     p10=OWN.p10 + 1.0, loudness=-4.0)  # fmt: skip
    (found,) = reasons.beaten((OWN, better))
    assert found.bands == (0, 1, 2, 3, 4)
    assert (
        "Nothing compared is in favour of sweetspot. Also for contrast: effort there 8.0 against 6.0 dB" in found.text
    )
    assert "other bands" not in found.text
    assert found.to_dict()["for_ours"] == []


def test_where_none_is_ahead_the_nearest_is_named() -> None:
    assert reasons.beaten((OWN, BEHIND, SINGLE)) == ()
    words = "has a higher mean than sweetspot in any band; nearest is Kirkeby at 800-1600 Hz, 0.8 dB below."
    assert words in reasons.table((OWN, BEHIND, SINGLE))
    assert "no classical design" in reasons.table((OWN, SINGLE))


def test_drift_is_what_draws_of_it_give() -> None:
    """0.25 dB in level and as much in phase on every path, drawn 4000 times, against the closed form."""
    rng = np.random.default_rng(5)
    h, W = (rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in ((2, 2, 3, 4), (2, 3, 4)))
    sigma = 0.25 / (20.0 / np.log(10.0))
    level, phase = sigma * rng.standard_normal((2, 4000, *h.shape))
    drawn = np.einsum("npedf,sdf->npesf", h * np.exp(level + 1j * phase) - h, W)
    power = np.mean(np.abs(drawn) ** 2, axis=0) + np.abs(np.einsum("pedf,sdf->pesf", h, W)) ** 2
    added = compare.drifted(h, W).real ** 2 - np.abs(compare.ear_responses(h, W)) ** 2
    assert added == pytest.approx(power - np.abs(compare.ear_responses(h, W)) ** 2, rel=0.12)


def test_ours_with_their_effort_is_shown_beside() -> None:
    matched = replace(OWN, mean=AHEAD.mean - 0.1, effort=AHEAD.effort, drifted=AHEAD.drifted + 0.2, loudness=-10.8)
    (found,) = reasons.beaten((OWN, replace(AHEAD, matched=matched), BEHIND))
    words = (
        "Given the effort of exact inverse, sweetspot has there: mean 19.4 against 19.6 dB, tenth percentile 12.0 "
        "against 12.5 dB, after drift 13.9 against 13.8 dB, effort 14.5 against 14.5 dB, loudness -10.8 against -11.0 "
        "dB."
    )
    assert words in found.text
    assert found.theirs.to_dict()["sweetspot_with_this_effort"]["loudness_db"] == -10.8
    assert "sweetspot_with_this_effort" not in BEHIND.to_dict()


def test_the_same_effort_cancels_as_much_as_the_largest_contrast() -> None:
    """Three points in free field: what contrast maximisation cancels more is bought with effort alone."""
    f = np.linspace(0.0, 24000.0, 513)
    drivers = np.array([[0.0, -0.13], [0.02, 0.01], [0.0, 0.15]])
    heads = np.array([[2.0, 0.0], [2.02, 0.02], [1.97, -0.015], [2.01, -0.01]])
    ears = heads[:, None] + np.array([[0.0, -0.09], [0.0, 0.085]])
    r = np.linalg.norm(ears[:, :, None] - drivers, axis=-1)
    h = np.exp(-2j * np.pi * f * r[..., None] / 343.0) / r[..., None]
    plant = Plant(h[:3], f, 100.0, np.zeros((3, 2, 3)))
    wish = CrosstalkDesign(effort_db=3.0, tolerance_db=0.1)
    cost = np.ones((513, 3))
    both = pair.steer(plant, 0, cost, wish)
    scene = compare.TestPlaces(plant, 0, h[:1], h[3:], 48000)
    own, *others = compare.rows(scene, both, cost, FilterDesign(taps=256), matched=(wish, cost))
    contrast = next(row for row in others if row.name == "contrast")
    assert 1 in compare.ahead(own, contrast)
    assert contrast.effort[1] > own.effort[1] + 2.0
    assert contrast.matched is not None
    assert contrast.matched.effort[1:4] == pytest.approx(contrast.effort[1:4], abs=1.0)
    assert contrast.matched.mean[1:4] == pytest.approx(contrast.mean[1:4], abs=1.2)
    assert all((row.matched is None) == (not compare.ahead(own, row)) for row in others)

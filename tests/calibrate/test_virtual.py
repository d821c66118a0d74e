"""Virtual loudspeakers: fitted to the head that measured, and what they miss, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sweetspot.calibrate.design import StereoDesign
from sweetspot.calibrate.filters import virtualize
from sweetspot.calibrate.study import virtual
from sweetspot.rigs.acoustics import SphereHead

F = np.fft.rfftfreq(4096, 1.0 / 47872.0)


def test_a_known_error_comes_back() -> None:
    """2 dB too much at one head, 2 too little at the other, both 40 us late."""
    rng = np.random.default_rng(3)
    near = np.exp(2j * np.pi * rng.uniform(size=(2, 1))) * (1.0 + F / 9000.0)
    wanted = 0.5 * np.exp(-2j * np.pi * F * 260e-6)
    far = wanted * near * 10.0 ** (np.array([[2.0], [-2.0]]) / 20.0) * np.exp(-2j * np.pi * F * 40e-6)
    level, delay = virtual.errors(near, far, wanted, F)
    assert level == pytest.approx(2.0, abs=1e-6)
    assert delay == pytest.approx(40.0, rel=0.03)
    assert virtual.errors(near, wanted * near, wanted, F) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_a_larger_head_has_its_far_ear_later() -> None:
    """Fitted to a head of 20 cm, the delay grows with its size; both sides of a lopsided head count alike."""
    wish, c = StereoDesign(), 343.0
    small, large = (
        virtualize.fit(virtualize.ratio_of(SphereHead(d, np.radians(100.0)), wish, virtualize.FIT_HZ, c),
                       virtualize.FIT_HZ)
        for d in (0.175, 0.2)
    )  # fmt: skip
    assert small == virtualize.reference(wish, c)
    assert large.delay_s / small.delay_s == pytest.approx(0.2 / 0.175, rel=0.08)

    class Lopsided:
        """Its left ear hears everything 20 us sooner."""

        def response(self, azimuth: np.ndarray, k: np.ndarray, distance: float, c: float) -> np.ndarray:
            ears = SphereHead(0.175, np.radians(100.0)).response(azimuth, k, distance, c)
            return np.stack([ears[0] * np.exp(1j * k * c * 20e-6), ears[1]])

    both = virtualize.ratio_of(Lopsided(), wish, virtualize.FIT_HZ, c)
    assert both == pytest.approx(virtualize.sphere_ratio(wish, virtualize.FIT_HZ, c), abs=1e-9)

"""The two small solvers of the design, beside SciPy's, which would take half a second to import."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares, nnls

from sweetspot.calibrate.design import StereoDesign
from sweetspot.calibrate.filters import virtualize
from sweetspot.calibrate.plant import metrics
from sweetspot.rigs.units import db


def test_non_negative_least_squares_as_lawson_and_hanson_find_them() -> None:
    rng = np.random.default_rng(11)
    for rows in (4, 5, 9, 30):
        for _ in range(20):
            a, b = rng.standard_normal((rows, 4)), rng.standard_normal(rows)
            np.testing.assert_allclose(metrics.non_negative(a, b), nnls(a, b)[0], atol=1e-11)
    np.testing.assert_array_equal(metrics.non_negative(np.ones((3, 1)), -np.ones(3)), [0.0])


@pytest.mark.parametrize("angle", [9.0, 30.0, 60.0, 80.0])
def test_the_far_ear_is_fitted_as_well_as_by_a_general_solver(angle: float) -> None:
    f = np.geomspace(200.0, 8000.0, 120)
    ratio = virtualize.sphere_ratio(StereoDesign(angle_deg=angle), f, 344.0)
    found = virtualize.fit(ratio, f)
    low = f < 1500.0

    def misfit(p: np.ndarray) -> np.ndarray:
        model = virtualize.FarEar(p[0], p[1], p[2] * 1e-6, 0.0).response(f)
        return np.concatenate([db(model) - db(ratio), 8.0 * np.angle(model[low] / ratio[low])])

    ours = np.array([found.corner_hz, found.shelf, 1e6 * found.delay_s])
    theirs = least_squares(misfit, [700.0, 0.4, 250.0], x_scale=[700.0, 0.4, 250.0], xtol=1e-12, ftol=1e-12)
    np.testing.assert_allclose(ours, theirs.x, rtol=1e-4)
    assert np.sum(misfit(ours) ** 2) <= 2.0 * theirs.cost * (1.0 + 1e-9)

"""What drivers cost: by hand for bands, power and excursion, by quadrature over the sphere for what they radiate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sweetspot.calibrate.design import CrosstalkDesign
from sweetspot.calibrate.filters.sides import crosstalk, effort, multiplier, ratio
from sweetspot.calibrate.plant.responses import Plant
from sweetspot.rigs.acoustics.sphere import field
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file.description import Description, Driver, parse
from sweetspot.rigs.units import power_db

F = np.array([50.0, 100.0, 1000.0, 4000.0])
AZIMUTHS = np.radians([-93.0, -32.0, 28.0, 90.0])


def test_a_driver_that_bears_half_of_the_power_costs_twice() -> None:
    drivers = [Driver(name=n, channel=i, at=(0, 0, 0), band_hz=(20, 20000), power_w=p)
               for i, (n, p) in enumerate((("big", 40.0), ("small", 20.0), ("unknown", None)), start=1)]  # fmt: skip
    cost = effort.driver_cost(drivers, F)
    assert cost[2] == pytest.approx([1.0, 2.0, 1.0], rel=1e-3)


def test_excursion_of_a_small_source_by_hand() -> None:
    """1 Pa peak at 1 m and 100 Hz from 50 cm^2: 4 pi / (1.2 * 0.005 * (200 pi)^2) = 5.305 mm; the limit is 5 mm."""
    driver = Driver(name="woofer", channel=1, at=(0, 0, 0), band_hz=(20, 20000), excursion_mm=5.0, area_cm2=50.0)
    free = Driver(name="free", channel=2, at=(0, 0, 0), band_hz=(20, 20000))
    level = np.ones((4, 2))
    share = effort.excursion([driver, free], F, level)
    assert share[1] == pytest.approx([1.0610, 0.0], abs=1e-4)
    assert share[2, 0] == pytest.approx(1.0610 / 100.0, rel=1e-3)
    cost = effort.driver_cost([driver, free], F, level)
    assert cost[1, 0] - cost[1, 1] == pytest.approx(1.0610**2, rel=1e-3)


def test_an_excursion_limit_needs_an_area(crooked_text: str) -> None:
    with pytest.raises(BadInput, match=r"driver\[2\].excursion_mm: needs area_cm2"):
        parse(crooked_text.replace('name = "left"', 'name = "left"\nexcursion_mm = 3'), folder=Path())


def sphere(f: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A ring each 10 degrees; power over the whole sphere by Gauss quadrature, ``(frequency, driver, driver)``."""
    k, around = 2 * np.pi * f / 343.0, np.radians(np.arange(-180.0, 180.0, 10.0))
    h = field(np.cos(around[None] - AZIMUTHS[:, None]), k, 0.0875, 2.0)
    z, weight = np.polynomial.legendre.leggauss(24)
    turns = np.arange(48) * 2 * np.pi / 48
    level = np.sqrt(1 - z[:, None] ** 2) * np.cos(turns - AZIMUTHS[:, None, None])
    dense = field(level.reshape(4, -1), k, 0.0875, 2.0)
    over = np.repeat(weight, 48) / 96.0
    return k, h, around, np.einsum("mif,nif,i->fmn", dense.conj(), dense, over, optimize=True)


def test_radiated_power_of_a_ring_is_that_of_the_sphere() -> None:
    """Where drivers have much in common the encoded ring gives the sphere's matrix; a ring as it is misses 17 %."""
    f = np.array([150.0, 200.0, 300.0, 350.0, 400.0])
    k, h, around, true = sphere(f)
    true = true / np.mean(np.einsum("fmm->fm", true).real, axis=1)[:, None, None]
    found = effort.radiated(h, around, k, 0.0875, np.ones((5, 4))) - effort.FLOOR * np.eye(4)
    ring = np.einsum("mif,nif->fmn", h.conj(), h)
    ring = ring / np.mean(np.einsum("fmm->fm", ring).real, axis=1)[:, None, None]
    off, raw = (np.linalg.norm(x - true, axis=(1, 2)) / np.linalg.norm(true, axis=(1, 2)) for x in (found, ring))
    assert off.max() < 0.05
    assert (off < 0.35 * raw).all()


def test_paying_with_radiated_power_radiates_less_for_the_same_cancellation() -> None:
    """True power over the sphere at the same near-ear response and far-ear power: 2 dB less and more at 400 Hz."""
    f = np.array([300.0, 400.0, 500.0, 600.0])
    k, h, around, true = sphere(f)
    own = np.ones((4, 4))
    ears = np.radians([-4.0, 3.5, -2.5, 5.0])
    heard = field(np.cos(ears[:, None] - AZIMUTHS), k, 0.0875, 2.0)
    g, far = heard[1].T, ratio.covariance(heard[[0, 2]]) + 1e-5 * np.eye(4)
    target, much = np.full(4, 10**1.2), np.full(4, 1e12)
    found = [multiplier.steer(crosstalk.MultiplierSweep.of(g, far, cost, np.ones(4, complex)), target, much)
             for cost in (own, effort.radiated(h, around, k, 0.0875, own))]  # fmt: skip
    assert all(set(x.limit) == {"target"} for x in found)
    spent = [np.einsum("fm,fmn,fn->f", x.w.conj(), true, x.w).real for x in found]
    assert np.einsum("fm,fm->f", g, found[1].w) == pytest.approx(np.ones(4))
    assert power_db(spent[0] / spent[1]).min() > 2.0


def test_radiated_cost_without_a_polar_set_says_what_to_measure(crooked: Description) -> None:
    plant = Plant(np.ones((1, 2, 3, 4), complex), F, 100.0, np.zeros((1, 2, 3)))
    with pytest.raises(BadInput, match="needs the polar set"):
        effort.costs(crooked, plant, CrosstalkDesign(cost="radiated"), None)
    own, spent = effort.costs(crooked, plant, CrosstalkDesign(), None)
    assert own is spent

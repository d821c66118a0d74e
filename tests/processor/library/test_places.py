"""The C library follows a listener through a bank as our engine does: the same places, refusals and crossfades."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from sweetspot.processor.bank import FilterBank, Follower, ListenerPose
from sweetspot.processor.convolver import convolver
from sweetspot.processor.engine import Engine
from sweetspot.processor.export import Options, Places
from sweetspot.processor.export.c_library import blob_of
from tests.processor.library.loaded import Library, Real, checked, crooked, error_db, music

FACING = float("nan")
WALK: list[tuple[float, float, float]] = [
    (2.0, 0.0, FACING),
    (2.0, 0.19, FACING),
    (2.0, 0.21, FACING),
    (2.0, 0.205, FACING),
    (2.0, 0.19, FACING),
    (2.0, 0.2, 25.0),
    (1.6, -0.35, -170.0),
    (2.1, 0.1, 190.0),
    (2.55, 0.5, FACING),
    (2.65, 0.5, FACING),
    (0.1, 0.05, FACING),
    (2.0, -0.7, 0.0),
    (float("nan"), 0.0, 0.0),
    (2.0, float("inf"), 0.0),
    (2.0, 0.3, float("inf")),
    (1.9, -0.4, FACING),
]
"""Poses x, y in m and yaw in degrees: steps around the border of two places, turned heads, outside, inside the body."""


def bank(method: str = "off") -> FilterBank:
    """Seven places in no order, some of which differ in yaw alone."""
    home = crooked(3, 90, method=method)
    rng = np.random.default_rng(2)
    x = [
        (1.7, -0.4, 0.1),
        (2.0, 0.4, 0.0),
        (2.0, 0.0, 0.0),
        (2.0, 0.4, 0.5),
        (2.3, 0.4, -3.0),
        (1.7, 0.0, 3.1),
        (2.3, 0.1, 0.2),
    ]
    taps = rng.standard_normal((7, 3, 3, 90)) * np.exp(-np.arange(90) / 20.0) / 20.0
    return FilterBank(home, np.array(x), taps.astype(np.float32), 2, 0.2)


def blob(held: FilterBank) -> bytes:
    return blob_of(held.at(held.default), Options(places=Places(held.places, held.taps, held.default, held.nearest_m)))


def pose(x: float, y: float, yaw: float) -> ListenerPose:
    return ListenerPose(x, y, None if np.isnan(yaw) else float(np.radians(yaw)))


def floats(*values: float) -> list[ctypes.c_float]:
    return [ctypes.c_float(v) for v in values]


def test_it_chooses_the_places_that_our_follower_chooses(shared: ctypes.CDLL) -> None:
    held = bank()
    one, ours = Library(shared, blob(held), 64), Follower(held)
    assert one.set() == ours.place == 2
    refused = 0
    rng = np.random.default_rng(1)
    near = rng.uniform((1.3, -0.8, -400.0), (2.7, 0.8, 400.0), (300, 3)).tolist()
    for step, where in enumerate([*WALK, *near]):
        fault = held.fault(pose(*where))
        if not fault:
            ours.offer(10.0 * step, pose(*where))
        refused += bool(fault)
        assert one.set_listener(*where, 0.03) == (0 if fault else 1), (where, fault)
        assert one.set() == ours.place, where
    assert refused > 20
    code, info = checked(shared, blob(held))
    assert code == "OK"
    for where in near:
        found = shared.sweetspot_nearest(info, *floats(*where), 256)
        assert found == held.nearest(pose(*where)), where


@pytest.mark.parametrize("method", ["off", "low-latency"])
def test_walking_sounds_as_with_our_engine(shared: ctypes.CDLL, method: str) -> None:
    """Poses at block borders; those that come within a crossfade wait for its end, and the last one counts."""
    held, b = bank(method), 64
    x = music(400 * b)
    one, ours = Library(shared, blob(held), b), Engine(held.at(2), b, walks=True)
    found, wanted, place, waiting = [], [], 2, 2
    for k in range(400):
        if k % 15 == 0:
            where = WALK[k // 15 % len(WALK)]
            one.set_listener(*where, 0.03)
            if not held.fault(pose(*where)):
                waiting = held.nearest(pose(*where), waiting)
        if waiting != place and not ours.changing:
            ours.walk(held.at(waiting), convolver(held.taps[waiting].astype(np.float64), b, None, np.dtype(np.float64)))
            place = waiting
        found.append(one.process(x[:, k * b : (k + 1) * b]))
        wanted.append(ours.process(x[:, k * b : (k + 1) * b].astype(np.float64)))
    assert error_db(joined(found), joined(wanted)) < -120


def joined(pieces: list[Real]) -> Real:
    return np.concatenate(pieces, axis=1)


def test_an_older_place_is_left_only_for_one_that_is_clearly_nearer(shared: ctypes.CDLL) -> None:
    """A head that sways by 10 mm about the middle of two places changes nothing."""
    held = bank()
    one = Library(shared, blob(held), 64)
    middle = 0.2
    found = []
    for sway in (-0.02, 0.002, -0.002, 0.004, -0.004):
        one.set_listener(2.0, middle + sway, 0.0, 0.0)
        found.append(one.set())
    assert len(set(found)) == 1

"""The library's SPL limiter, in floats and in fixed point, turns programs down as our engine does, and nothing else."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sweetspot.processor.engine import Engine
from sweetspot.processor.export import Options
from sweetspot.processor.export.c_library import blob_of
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.plain import bypass, on_pair
from tests.processor.library.loaded import FIXED, FLOAT, Library, Real, crooked, detectors, error_db, ragged

FS, BLOCK = 47872, 64
FORMS = pytest.mark.parametrize("prefix", [FLOAT, FIXED])


def unit(loud: float, taps: int = 301) -> FilterSet:
    """A unit whose guard has nothing to do."""
    made: FilterSet = crooked(2, 20, FS, "off")
    return replace(made, detectors=detectors(loud, taps)) if loud else made


def tone(seconds: float = 0.5) -> Real:
    """One that is not the same on both sides."""
    t = np.arange(int(seconds * FS) // BLOCK * BLOCK) / FS
    return np.stack([0.9 * np.sin(2.0 * np.pi * 900.0 * t), 0.5 * np.sin(2.0 * np.pi * 900.0 * t + 1.0)])


def noise(seconds: float = 0.5) -> Real:
    x: Real = np.random.default_rng(4).uniform(-0.9, 0.9, (2, int(seconds * FS) // BLOCK * BLOCK))
    return x


def waves() -> Real:
    """A tone on one side that swells and fades: in between detectors still run although they would not begin to."""
    t = np.arange(FS // BLOCK * BLOCK) / FS
    x = (0.55 + 0.45 * np.sin(2.0 * np.pi * 4.0 * t)) * np.sin(2.0 * np.pi * 6708.0 * t)
    return np.stack([x, 0.0 * x])


def onset() -> Real:
    """Silence, then all at once, then a hundredth of it."""
    x = tone()
    x[:, : x.shape[1] // 3] = 0.0
    x[:, 3 * x.shape[1] // 4 :] *= 0.01
    return x


def unity(one: Library) -> float:
    return 2.0**-31 if one._scale > 1.0 else 1.0


def followed(one: Library, ours: Engine, x: Real) -> tuple[Real, Real, Real]:
    """Lowest gain in each block, ours and the library's ``(block, 2)``, and both outputs."""
    gains, outputs = [], []
    for at in range(0, x.shape[1], BLOCK):
        ours.spl.memory.least = 1.0
        piece = x[:, at : at + BLOCK]
        outputs.append((ours.process(piece), one.process(piece)))
        gains.append((ours.spl.limiter[0], one.least_spl_gain() * unity(one)))
    wanted, found = (np.concatenate(rows, axis=1) for rows in zip(*outputs, strict=True))
    return np.array(gains), wanted, found


@FORMS
@pytest.mark.parametrize("loud", [1e-6, 3.0, 100.0, 1e5])
@pytest.mark.parametrize("sound", [tone, noise, onset, waves])
def test_it_decides_as_ours_block_by_block(shared: ctypes.CDLL, prefix: str, loud: float, sound: Any) -> None:
    filters = unit(loud, 2048 if loud == 1e5 else 301)
    gains, wanted, found = followed(Library(shared, blob_of(filters), BLOCK, prefix), Engine(filters, BLOCK), sound())
    assert gains[:, 1] == pytest.approx(gains[:, 0], rel=3e-4)
    assert (gains.min() < 0.5) == (loud >= 100.0)
    if loud <= 100.0:
        assert error_db(found, wanted) < -120.0


@FORMS
def test_the_larger_gain_of_a_fade_counts(shared: ctypes.CDLL, prefix: str) -> None:
    """Of now and of its end, as the volume comes behind."""
    filters, x = unit(40.0), noise()
    ours, one = Engine(filters, BLOCK), Library(shared, blob_of(filters), BLOCK, prefix)
    rows = []
    for gain, seconds in ((0.05, 0.1), (1.0, 0.2), (0.2, 0.3)):
        ours.fade(gain, seconds)
        one.set_gain(*((gain, seconds) if prefix == FLOAT else (int(gain * 2**31 - 1), round(seconds * FS))))
        rows.append(followed(one, ours, x))
    gains = np.concatenate([row[0] for row in rows])
    wanted, found = (np.concatenate([row[i] for row in rows], axis=1) for i in (1, 2))
    assert gains[:, 1] == pytest.approx(gains[:, 0], rel=1e-3)
    assert error_db(found, wanted) < -100.0
    at = [int(s * FS / BLOCK) for s in (0.05, 0.45, 0.52, 0.99)]
    assert 3.0 * gains[at[0], 1] < gains[at[1], 1]
    assert gains[at[2], 1] < 0.7 * gains[at[1], 1]


@FORMS
def test_quiet_programme_passes_bit_for_bit(shared: ctypes.CDLL, prefix: str) -> None:
    """While detectors run too, and again once a reduction is over."""
    filters, x = unit(2.2), 0.2 * noise(2.0)
    ours = Engine(filters, BLOCK)
    ours.process(x)
    assert ours.spl.memory.runs == 0
    x[:, : FS // 2] *= 4.0
    ours.process(x[:, : FS // 2])
    assert ours.spl.memory.runs == 1
    one, plain = (Library(shared, blob_of(f), BLOCK, prefix) for f in (filters, unit(0.0)))
    assert one.process(x, ragged(x.shape[1])).tobytes() == plain.process(x, ragged(x.shape[1])).tobytes()
    assert one.least_spl_gain() * unity(one) == pytest.approx(1.0, abs=1e-9)
    for part in (one, plain):
        part.process(np.sign(tone(0.3)))
    assert one.least_spl_gain() * unity(one) < 0.95
    assert one.process(x).tobytes() != plain.process(x).tobytes()
    assert one.process(x).tobytes() == plain.process(x).tobytes()
    assert plain.least_spl_gain() * unity(plain) == pytest.approx(1.0, abs=1e-9)


@FORMS
def test_the_bypass_has_detectors_of_its_own(shared: ctypes.CDLL, prefix: str) -> None:
    """From the moment at which it is asked for, and up to that at which the filters are."""
    filters, x, sides = unit(1.0, 5), 0.4 * noise(0.4), on_pair((0, 1), 2)
    plain = bypass(filters, sides)
    assert np.array_equal(plain.detectors[0], filters.detectors[1])
    one = Library(shared, blob_of(filters, Options(plain=sides)), BLOCK, prefix)
    one.set_bypass(1, 0.0 if prefix == FLOAT else 0)
    ours = Engine(plain, BLOCK)
    gains, wanted, found = followed(one, ours, x)
    assert gains[:, 1] == pytest.approx(gains[:, 0], rel=1e-3)
    assert gains.min() < 0.8
    assert error_db(found, wanted) < -120.0
    one.set_bypass(0, 0.05 if prefix == FLOAT else 2000)
    ours.spl.exchange(filters.detectors[0])
    gains, _, _ = followed(one, ours, x)
    assert gains[:, 1] == pytest.approx(gains[:, 0], rel=1e-3)


@FORMS
def test_a_reset_forgets_the_past(shared: ctypes.CDLL, prefix: str) -> None:
    data, x = blob_of(unit(20.0)), noise(0.1)
    one, fresh = (Library(shared, data, BLOCK, prefix) for _ in range(2))
    one.process(tone(0.3))
    one.reset()
    assert one.process(x).tobytes() == fresh.process(x).tobytes()


@FORMS
def test_the_memory_holds_past_and_detectors(shared: ctypes.CDLL, prefix: str) -> None:
    """Nothing more is asked for without them."""
    sizes = [
        getattr(shared, f"{prefix}memory")(Library(shared, blob_of(unit(loud, 301)), BLOCK, prefix).info, BLOCK)
        for loud in (1.0, 0.0)
    ]
    words, part = 304, 32
    wanted = 4 * (3 * (3 * words - 1 + 16 * part) + part)
    assert wanted <= sizes[0] - sizes[1] <= wanted + 10 * 64

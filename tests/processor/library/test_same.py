"""The C library is the same processor as our engine: sample by sample, stop by stop, over one table of cases."""

from __future__ import annotations

import ctypes
import shutil
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweetspot.processor.engine import Engine
from sweetspot.processor.export import Options, Places
from sweetspot.processor.export.c_library import blob_of
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.plain import bypass
from tests.processor.library.cases import CASES, Case
from tests.processor.library.loaded import Library, Real, built, crooked, error_db, music, ragged, two_ways


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_plays_what_our_engine_plays(shared: ctypes.CDLL, case: Case) -> None:
    filters = case.filters()
    x = case.sound()
    ours = Engine(filters, case.block)
    wanted = ours.process(x.astype(np.float64))
    whole, cut = (Library(shared, blob_of(filters), case.block) for _ in range(2))
    assert whole.latency() == ours.latency
    found = whole.process(x)
    assert error_db(found, wanted) < -120
    assert error_db(cut.process(x, ragged(x.shape[1])), wanted) < -120
    assert whole.least_gain() == pytest.approx(ours.guard.least_gain, abs=1e-5)
    assert whole.least_spl_gain() == pytest.approx(ours.spl.limiter[0], rel=1e-4)
    assert abs(whole.limited() - ours.guard.limited) <= 1e-3 * ours.guard.limited
    assert (ours.guard.least_gain < 0.9) == (case.loud > 1.0)
    assert (ours.spl.limiter[0] < 0.9) == (case.spl > 1.0)
    ceilings = np.minimum(filters.ceiling, filters.caps or 1.0)
    assert (np.abs(found).max(axis=1) <= np.float32(ceilings)).all()
    if case.caps and case.loud > 1.0:
        assert (np.abs(found).max(axis=1) > 0.9 * ceilings).any()


@pytest.mark.parametrize("case", [c for c in CASES if c.loud > 1.0], ids=str)
def test_the_guard_decides_as_ours_block_by_block(shared: ctypes.CDLL, case: Case) -> None:
    """How much is taken in each block, when it begins, when it is over, and which driver stops it."""
    filters, b = case.filters(), case.block
    x = case.sound()[:, : case.fs // b * b]
    x[:, -case.fs // 2 :] = 1.0
    ours, one = Engine(filters, b), Library(shared, blob_of(filters), b)
    least, stopped = [], 0
    for at in range(0, x.shape[1], b):
        ours.guard._seen[0] = 1.0
        ours.process(x[:, at : at + b].astype(np.float64))
        one.process(x[:, at : at + b])
        least.append((ours.guard.least_gain, one.least_gain()))
        assert bool(ours.stopped) == (one.stopped() > 0), at
        if ours.stopped and not stopped:
            stopped = at
            assert one.stopped() == 3
            assert f"driver {one.stopper() + 1} " in ours.stopped
    taken = np.array(least)
    assert np.abs(taken[:, 0] - taken[:, 1]).max() < 1e-4
    assert (taken[:, 0] < 1.0).any()
    assert (taken[:, 0] == 1.0).any()


def test_the_linear_upmix_is_the_linear_form(shared: ctypes.CDLL) -> None:
    """By its definition, with numpy's convolution: C = a (L + R) with a = amount / 2, and the sides keep the rest."""
    filters = crooked(3, 40, method="off")
    data = bytearray(blob_of(filters))
    struct.pack_into("<I", data, 40, 5)
    struct.pack_into("<I", data, 16, zlib.crc32(data[20:]))
    x = music(3000)
    c = 0.45 * (x[0] + x[1])
    programs = np.stack([x[0] - c, x[1] - c, c]).astype(np.float64)
    wanted = [
        sum(np.convolve(p, h)[:3000] for p, h in zip(programs, filters.taps[:, d], strict=True)) for d in range(3)
    ]
    one = Library(shared, bytes(data), 64)
    late = one.latency()
    assert error_db(one.process(x)[:, late:], np.array(wanted)[:, : 3000 - late]) < -120


def test_the_guard_stops_what_our_guard_stops(shared: ctypes.CDLL) -> None:
    filters = crooked(method="off", loud=5.0)
    for bad in (np.nan, np.inf):
        x = music(4000)
        x[1, 2000] = bad
        one = Library(shared, blob_of(filters), 64)
        y = one.process(x)
        assert one.stopped() == 1
        assert not y[:, 2000:].any()
        assert one.process(music(4000)).any() is np.False_
        one.reset()
        assert one.stopped() == 0
        assert one.process(music(4000)).any()
    steady = np.full((2, 47872), 1.0, dtype=np.float32)
    ours, one = Engine(filters, 64), Library(shared, blob_of(filters), 64)
    stopped = [next((i for i in range(0, 47872, 64) if step(steady[:, i : i + 64])), -1) for step in (
        lambda x: (ours.process(x.astype(np.float64)), ours.stopped)[1],
        lambda x: (one.process(x), one.stopped())[1],
    )]  # fmt: skip
    assert one.stopped() == 3
    assert stopped[0] > 0
    assert abs(stopped[0] - stopped[1]) <= 64


def test_nothing_passes_the_ceiling(shared: ctypes.CDLL) -> None:
    filters = crooked(method="low-latency", loud=30.0)
    one = Library(shared, blob_of(filters), 64)
    square = np.sign(np.sin(2 * np.pi * 90 * np.arange(40000) / filters.fs))
    y = one.process(np.stack([square, -square]))
    assert one.stopped() == 0
    assert 0.49 < np.abs(y).max() <= np.float32(0.5)


def test_controls_do_what_ours_do(shared: ctypes.CDLL) -> None:
    """Another set, the bypass and the gain: where the fades are over, exactly the other signal."""
    filters, x = crooked(method="low-latency"), music(30000)
    other = replace(filters, taps=filters.taps[::-1, ::-1])
    at = np.array([[0.0, 0.0, 0.0], [0.0, 0.4, 0.1]])
    data = blob_of(filters, Options(plain=two_ways(), places=Places(at, np.stack([filters.taps, other.taps]))))

    def played(change: Any) -> Real:
        one = Library(shared, data, 64)
        one.process(x[:, :9000])
        change(one)
        return one.process(x[:, 9000:], ragged(21000))[:, 6000:]

    def wanted(f: FilterSet) -> Real:
        return Engine(f, 64).process(x.astype(np.float64))[:, 15000:]

    assert error_db(played(lambda one: one.select(1, 0.05)), wanted(other)) < -120
    assert error_db(played(lambda one: one.set_bypass(1, 0.03)), wanted(bypass(filters, two_ways()))) < -120
    assert error_db(played(lambda one: one.set_gain(0.25, 0.03)), 0.25 * wanted(filters)) < -120


def test_a_change_of_sets_is_our_crossfade(shared: ctypes.CDLL) -> None:
    """Our engine lets the new filters hear their own length first; the library's have heard everything already."""
    filters, x = crooked(method="off"), music(12000)
    other = replace(filters, taps=-filters.taps[::-1])
    ours, one = (
        Engine(filters, 64),
        Library(
            shared,
            blob_of(filters, Options(places=Places(np.zeros((2, 3)), np.stack([filters.taps, other.taps])))),
            64,
        ),
    )
    begin = 5000
    head = ours.process(x[:, : begin - filters.length].astype(np.float64))
    ours.exchange(other, 0.05)
    wanted = np.concatenate([head, ours.process(x[:, begin - filters.length :].astype(np.float64))], axis=1)
    first = one.process(x[:, :begin])
    one.select(1, 0.05)
    assert error_db(np.concatenate([first, one.process(x[:, begin:])], axis=1), wanted) < -120


def test_a_build_without_vectors_plays_the_same(folder: Path, tmp_path: Path) -> None:
    """For processors and compilers that have none."""
    there = shutil.copytree(folder, tmp_path / "scalar")
    case = CASES[0]
    one = Library(built(there, "-O1", "-DSWEETSPOT_SCALAR"), blob_of(case.filters()), case.block)
    x = case.sound()
    assert error_db(one.process(x), Engine(case.filters(), case.block).process(x.astype(np.float64))) < -120

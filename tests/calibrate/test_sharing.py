"""Loudness by design: drivers share the side signal, gain follows the guard, the centre has the tone of a real pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweetspot.calibrate.design import Design, StereoDesign
from sweetspot.calibrate.filters import loudest as loudest_of
from sweetspot.calibrate.filters import staged_filters, staging, virtualize
from sweetspot.calibrate.filters.sides import sharing
from sweetspot.calibrate.plant import programme_of
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.session import Session
from sweetspot.processor import store
from sweetspot.processor.dynamics import Guard
from sweetspot.processor.filterset import NO_DETECTORS, FilterSet, UpmixSettings, louder
from sweetspot.processor.plain import bypass, on_pair
from sweetspot.processor.render import render, upmixed
from sweetspot.rigs.acoustics import SphereHead
from sweetspot.rigs.rig_file import parse
from sweetspot.rigs.units import Complex, Float

FS = 47872
PLAIN = on_pair((1, 2), 3)
F: Float = np.arange(1.0, 9000.0, 23.0)


def test_weights_follow_the_root_of_what_the_side_signal_drives_and_are_alike_in_a_mirror_pair() -> None:
    amplitude = np.array([0.4, 0.4, 0.9, 0.7])
    w = np.zeros((2, len(F), 4), complex)
    w[0], w[1] = 3.0 + amplitude, 3.0 - amplitude  # the common part is far larger, and counts for nothing
    found = sharing.weights(w, F, np.zeros(len(F), complex), [(0, 1), (2, 3)])
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert found[2] / found[0] == pytest.approx(np.sqrt((0.81 + 0.49) / 0.32), rel=1e-6)
    assert sharing.weights(w * [1, 1, 1, 1e-6], F, np.zeros(len(F), complex), []).min() == sharing.RANGE[0]


def test_gain_is_the_largest_at_which_the_guard_seldom_takes_more_than_six_decibels() -> None:
    rng = np.random.default_rng(3)
    taps = rng.standard_normal((3, 3, 40)) * np.exp(-np.arange(40) / 8.0)
    gain = staging.programme_gain(taps, FS, 0.4)
    shares = []
    for more in (1.0, 10 ** (1.0 / 20.0)):
        most = 0.0
        for name in ("music", "speech"):
            made = upmixed(UpmixSettings(), FS, programme_of(name, FS))[:, FS // 2 : FS // 2 + 2 * FS]
            y = gain * more * np.stack([sum(np.convolve(taps[c, d], made[c]) for c in range(3)) for d in range(3)])
            guard, passed = Guard(3, 0.4, FS), 0
            for first in range(0, y.shape[1], 64):  # the live guard in small blocks: another way to the same reduction
                guard._seen[0] = 1.0
                guard.process(y[:, first : first + 64])
                passed += guard.least_gain < 10 ** (-6.0 / 20.0)
            most = max(most, passed / (y.shape[1] / 64))
        shares.append(most)
    assert shares[0] <= staging.SHARE + 0.015  # a block counts whole
    assert shares[1] > staging.SHARE


def test_the_gain_is_the_least_of_each_programme_by_itself() -> None:
    """Two sets of filters of which either programme limits one, in either order."""
    rng, limits = np.random.default_rng(4), set()
    for lowest in (0.0, 2500.0):
        taps = rng.standard_normal((3, 2, 256)) * np.exp(-np.arange(256) / 30.0)
        f = np.fft.rfftfreq(256, 1.0 / FS)
        taps = np.fft.irfft(np.fft.rfft(taps) * (f >= lowest), 256)
        played = dict(zip(("music", "speech"), staging._played(taps, FS), strict=True))
        each = {name: staging._loudest(y, FS, 0.4, np.inf) for name, y in played.items()}
        assert staging.programme_gain(taps, FS, 0.4) == min(each.values())
        limits.add(min(each, key=lambda name: each[name]))
        for name, gain in each.items():
            assert staging._loudest(played[name], FS, 0.4, 0.7 * gain) >= 0.7 * gain
            assert staging._loudest(played[name], FS, 0.4, 1.5 * gain) == gain
    assert limits == {"music", "speech"}


def test_the_gain_is_the_last_of_all_that_the_guard_bears() -> None:
    """A search through all gains; it may end early where a lower gain was found before."""
    rng = np.random.default_rng(6)
    taps = rng.standard_normal((3, 2, 64)) * np.exp(-np.arange(64) / 9.0)
    y = next(staging._played(taps, FS))[:, : FS // 2]
    gains = 0.4 / np.max(np.abs(y)) * 10 ** (staging.LARGEST_DB / 20.0 * np.arange(2**staging.STEPS) / 2**staging.STEPS)
    borne = [staging._left(y * np.float32(g), FS, 0.4) >= 10 ** (-staging.TAKEN_DB / 20.0) for g in gains[::4]]
    last = 4 * (len(borne) - 1 - borne[::-1].index(True))
    assert 0 < last < len(gains) - 4
    gain = staging._loudest(y, FS, 0.4, np.inf)
    assert gains[last] <= gain < gains[last + 4]
    assert staging._loudest(y, FS, 0.4, 0.8 * gain) == pytest.approx(gains[np.searchsorted(gains, 0.8 * gain)])
    assert staging._loudest(y, FS, 0.4, 0.5 * gains[0]) == pytest.approx(gains[0])


class _Open:
    """A head that casts no shadow and has both ears in its middle."""

    def response(self, directions: Float, k: Float, r: float, c: float) -> Complex:
        return np.ones((2, len(k)), complex)


def test_a_phantom_by_hand_and_its_notches_that_a_moving_head_fills() -> None:
    table = np.dtype([("x", float), ("y", float), ("yaw_deg", float)])
    middle = np.array([(2.0, 0.0, 0.0)], dtype=table)
    moved = np.array([(2.0, y, 8.0) for y in (-0.04, 0.04)], dtype=table)
    power, spread = (virtualize.phantom_power(_Open(), p, StereoDesign(), 2.0, 343.0) for p in (middle, moved))
    assert power == pytest.approx(4.0, rel=1e-9)
    r = [np.hypot(2.0 * np.cos(np.pi / 6), 1.0 + side * 0.04) for side in (-1.0, 1.0)]
    k = 2.0 * np.pi * virtualize.GRID / 343.0
    by_hand = np.abs(np.exp(-1j * k * r[0]) / r[0] + np.exp(-1j * k * r[1]) / r[1]) ** 2
    assert spread == pytest.approx(by_hand / np.mean([1 / r[0] ** 2, 1 / r[1] ** 2]), rel=1e-9)


def test_a_spheres_phantom_is_kept_for_all_that_it_follows_from(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Float] = {}

    def kept_array(name: str, what: str, sources: tuple[Path, ...], make: Callable[[], Float]) -> Float:
        assert name == "phantom"
        assert all(source.is_file() for source in sources)
        if what not in kept:
            kept[what] = make()
        return kept[what]

    monkeypatch.setattr(virtualize, "kept_array", kept_array)
    places = np.array([(2.0, 0.1, 0.2), (1.9, 0.0, 0.0)])
    usual = SphereHead(0.17, 1.7), places.tobytes(), 30.0, 2.0, 343.0
    asked = [usual]
    changes = SphereHead(0.18, 1.7), (places + 0.01).tobytes(), 31.0, 2.1, 344.0
    asked += [(*usual[:i], change, *usual[i + 1 :]) for i, change in enumerate(changes)]  # type: ignore[list-item]
    asked.append((SphereHead(0.17, 1.6), *usual[1:]))
    for number, how in enumerate([*asked, *asked]):
        virtualize._phantom_power.cache_clear()
        assert np.array_equal(virtualize._phantom_power(*how), virtualize._pair_power(*how))
        assert len(kept) == min(number + 1, len(asked))


def loudest(filters: FilterSet, x: Float, ears: ImpulseResponse) -> float:
    """Largest level of a stereo signal over 125 ms at any place, through engine and responses, dB SPL."""
    y = np.asarray(render(filters, x, filters.fs))
    n, size = y.shape[1] + ears.h.shape[-1], filters.fs // 8
    heard = np.fft.irfft(np.einsum("pmdf,df->pmf", np.fft.rfft(ears.h, n), np.fft.rfft(y, n)))
    total = np.cumsum(np.pad(heard**2, [(0, 0), (0, 0), (1, 0)]), axis=-1)
    power = np.max(total[..., size:] - total[..., :-size]) / size
    return float(10.0 * np.log10(power / (20e-6) ** 2))


@pytest.mark.parametrize("program", [0, 2])
def test_a_lone_tone_keeps_to_the_spl_limit_wherever_it_is_loudest(program: int, measured: Path) -> None:
    """At the frequency of a program that is loudest at any place, from its beginning, with 20 dB of volume and without;
    also of the bypass. Without detectors it passes the limit, to which programme keeps, by several decibels."""
    with Session.read(measured / "session.h5") as session:
        ears, rig = session.responses("ears"), session.rig()
    taps = np.zeros((3, 3, 64))
    taps[0, 1, 8] = taps[1, 2, 8] = 0.4  # the bypass is 8 dB louder
    taps[2, :, 8] = 0.3
    limit = 80.0
    text = rig.text.replace("ceiling_dbfs = -5.0", f"ceiling_dbfs = -5.0\nloudest_db_spl = {limit}")
    rig = parse(text, folder=measured)
    made = staged_filters(taps, ears, rig, Design(), plain=PLAIN, late=0, serial="T-9", source="s")
    assert made.ceiling < rig.limits.ceiling, "programme is at the limit already"
    n = 1 << 15
    heard = np.fft.rfft(ears.h, n)
    for filters in (made, louder(made, 20.0), bypass(made, PLAIN)):
        sounds = np.abs(np.einsum("pmdf,df->pmf", heard, np.fft.rfft(filters.taps[program], n))).max(axis=(0, 1))
        hz = float(np.argmax(sounds)) * rig.fs / n
        t = np.arange(rig.fs) / rig.fs
        sides = np.array([[1.0], [0.0 if program == 0 else 1.0]])
        x = sides * np.sin(2.0 * np.pi * hz * t) * (t > 0.3)
        assert loudest(replace(filters, detectors=NO_DETECTORS), x, ears) > limit + 1.0
        assert limit - 6.0 < loudest(filters, x, ears) < limit + 0.05


def test_without_levels_there_are_no_detectors(measured: Path) -> None:
    with Session.read(measured / "session.h5") as session:
        ears, rig = session.responses("ears"), session.rig()
    taps = np.ones((3, 3, 64))
    assert loudest_of.detectors([[taps]], replace(ears, unit="FS/FS"), rig).shape == (1, 3, 0)
    half, both = loudest_of.detectors([[0.5 * taps], [0.5 * taps, taps]], ears, rig)
    assert half.shape[1] > 100
    assert both == pytest.approx(2.0 * half, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("under_db", [-3.0, 7.0])
def test_programme_at_any_gain_keeps_to_the_spl_limit(under_db: float, measured: Path) -> None:
    """Loud mono noise through engine and guard, and the unit's responses, by hand; a limit that is far off changes
    nothing."""
    with Session.read(measured / "session.h5") as session:
        ears, rig = session.responses("ears"), session.rig()
    taps = np.zeros((3, 3, 64))
    taps[0, 1, 8] = taps[1, 2, 8] = 1.0
    taps[2, :, 8] = 0.7
    free = staged_filters(taps, ears, rig, Design(), plain=PLAIN, late=0, serial="T-9", source="s")
    free = replace(free, detectors=NO_DETECTORS)
    x = 10.0 * np.random.default_rng(3).standard_normal((1, rig.fs))  # far above the ceiling
    f = np.maximum(np.fft.rfftfreq(rig.fs, 1.0 / rig.fs), 40.0)
    x = np.repeat(np.fft.irfft(np.fft.rfft(x) / np.sqrt(f / 40.0), rig.fs), 2, axis=0)

    limit = loudest(free, x, ears) - under_db
    text = rig.text.replace("ceiling_dbfs = -5.0", f"ceiling_dbfs = -5.0\nloudest_db_spl = {limit}")
    quiet = parse(text, folder=measured)
    lowered = staged_filters(taps, ears, quiet, Design(), plain=PLAIN, late=0, serial="T-9", source="s")
    gain = lowered.ceiling / free.ceiling
    assert lowered.taps == pytest.approx(gain * free.taps)
    assert lowered.headroom_db == pytest.approx(free.headroom_db - 20.0 * np.log10(gain))
    assert loudest(lowered, x, ears) < limit + 0.5
    assert (gain < 1.0) is (under_db > 0.0)


def test_filters_state_which_limit_of_which_driver_holds_their_level(measured: Path, tmp_path: Path) -> None:
    """20 V at full scale into 4 ohm: 1 mW is a sine of 0.089 V, 47 dB below."""
    with Session.read(measured / "session.h5") as session:
        ears, rig = session.responses("ears"), session.rig()
    taps = np.zeros((3, 3, 64))
    taps[0, 1, 8] = taps[1, 2, 8] = 1.0
    taps[2, 0, 8] = 0.7

    def staged(limit: str, kind: str) -> FilterSet:
        text = rig.text.replace('name = "left"', f'name = "left"\nv_per_fs = 20.0\n{limit}', 1)
        design = Design.model_validate({"filter": {"staging": kind}})
        return staged_filters(
            taps, ears, parse(text, folder=measured), design, plain=PLAIN, late=0, serial="T-9", source="s"
        )

    for kind in ("programme", "sines"):
        free, held = staged("", kind), staged("power_w = 0.001", kind)
        assert free.held_by == ()
        assert held.held_by == ("power_w of 'left'",)
        assert held.held_db == pytest.approx(held.headroom_db - free.headroom_db, abs=0.2)
        assert held.held_db > 30.0
    assert staged("max_v = 0.1", "sines").held_by == ("max_v of 'left'",)
    assert staged("excursion_mm = 0.02\narea_cm2 = 5.0", "sines").held_by == ("excursion_mm of 'left'",)
    store.write(tmp_path / "filterset.h5", held)
    again = store.read(tmp_path)
    assert (again.held_db, again.held_by) == (held.held_db, held.held_by)
    assert again.held_text == f"{held.held_db:.1f} dB quieter because of power_w of 'left'"

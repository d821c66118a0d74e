"""Reverberation of noise with a known decay, and where a figure is not to be had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from sweetspot.calibrate.report.device_pictures import reverberation_times
from sweetspot.calibrate.report.pictures import styled
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.share import reverberation
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Float

FS, ZERO, LATE = 47872, 400, 83
FULL = ((40.0, 20000.0), (300.0, 20000.0))


def room(seconds: float, decay_s: float, noise_db: float, *, paths: int = 4, early: float = 0.0) -> ImpulseResponse:
    """Two drivers in an ideal room: noise that decays from the arrival on, over stationary noise."""
    rng, taps = np.random.default_rng(8), int(seconds * FS)
    h = np.zeros((paths, 1, 2, ZERO + LATE + taps))
    h[..., ZERO + LATE :] = rng.standard_normal((paths, 1, 2, taps)) * 10.0 ** (-3.0 * np.arange(taps) / FS / decay_s)
    h[..., ZERO + LATE :] *= 1.0 + early * np.exp(-np.arange(taps) / FS / 0.01)
    h += 10.0 ** (noise_db / 20.0) * rng.standard_normal(h.shape)
    table = np.zeros(paths, dtype=POSITION)
    return ImpulseResponse(h, FS, table, ("m",), ("a", "b"), ZERO, "Pa/FS", np.zeros((paths, 1, 2)), (40.0, 20000.0))


@pytest.mark.parametrize(("decay_s", "noise_db"), [(0.3, -70.0), (0.8, -55.0)])
def test_decay_and_clarity_of_noise_that_decays_exponentially(decay_s: float, noise_db: float) -> None:
    """Early over late energy is exp(13.816 t / T) - 1; deviations stay within three of ISO 3382-2's for 8 places."""
    found = reverberation.of(room(1.2, decay_s, noise_db), FULL)
    assert found.hz.tolist() == [63, 125, 250, 500, 1000, 2000, 4000, 8000]
    high = slice(3, None)
    for name, least in (("t20_s", 0.88), ("t30_s", 0.55), ("edt_s", 1.2)):
        expected = least * np.sqrt(decay_s / (8.0 * 0.7 * found.hz[high]))
        assert np.all(np.abs(found.mean(name)[0][high] - decay_s) < 3.0 * expected + 0.01 * decay_s), name
    clear = 10.0 * np.log10(np.exp(13.816 * 0.05 / decay_s) - 1.0)
    assert found.mean("c50_db")[0][-3:] == pytest.approx(np.full(3, clear), abs=0.5)
    assert found.mean("d50")[0][-1] == pytest.approx(1.0 - np.exp(-13.816 * 0.05 / decay_s), abs=0.02)
    assert found.range_db[..., -1] == pytest.approx(np.full((4, 1, 2), -noise_db), abs=3.0)


def test_what_lacks_decay_range_has_no_figure() -> None:
    """A range of 40 dB gives T20 and EDT, of 25 dB only EDT; what a driver does not play has none."""
    forty, less = (reverberation.of(room(1.0, 0.4, noise), FULL) for noise in (-40.0, -27.0))
    assert np.all(np.isfinite(forty.mean("t20_s")[0][4:]))
    assert np.all(np.isnan(forty.mean("t30_s")[0]))
    assert np.all(np.isfinite(less.mean("edt_s")[0][4:]))
    assert np.all(np.isnan(less.mean("t20_s")[0]))
    assert np.all(np.isnan(forty.values["t20_s"][:, :, 1, :3]))
    rows = {(r["driver"], r["hz"]): r for r in forty.rows()}
    assert rows["b", 250.0]["t20_s"] == {"mean": None, "sd": None, "valid": 0.0}
    assert rows["a", 1000.0]["t20_s"]["valid"] == 1.0  # type: ignore[index]
    line = next(x for x in less.text().splitlines() if x.split()[0] == "1000")
    assert line.split()[4:6] == ["-", "-"]


def test_a_response_that_ends_early_is_its_own_limit() -> None:
    """Without noise, but cut where it has decayed by 30 dB: EDT alone, and no steep end is taken for a decay."""
    found = reverberation.of(room(0.25, 0.5, -200.0), FULL)
    assert np.all(np.isnan(found.mean("t20_s")[0]))
    assert found.mean("edt_s")[0][5:] == pytest.approx(np.full(3, 0.5), abs=0.05)


def test_a_pulse_has_no_reverberation() -> None:
    """A pulse over noise 90 dB below is as short as the filters: their ringing is no decay."""
    pulse = room(0.5, 1e-5, -90.0)
    assert all(np.all(np.isnan(reverberation.of(pulse, FULL).values[n])) for n in ("edt_s", "t20_s", "t30_s"))


@pytest.mark.parametrize("decay_s", [0.02, 0.03, 0.04])
def test_no_figure_is_shorter_than_the_filters_allow(decay_s: float) -> None:
    """Of short decays in octaves, and of any path: bandwidth times decay time is at least 4."""
    found = reverberation.of(room(0.6, decay_s, -90.0), FULL)
    products = np.stack([found.values[n] for n in ("edt_s", "t20_s", "t30_s")]) * found.hz / 2.0**0.5
    assert np.isfinite(products[..., -2:]).all()
    assert np.nanmin(products) > 3.9


def test_silence_has_no_figure_and_zeros_are_no_decay() -> None:
    """A dead driver, and a response followed by digital zeros, as windowed files have them."""
    power = np.zeros(24000)
    assert reverberation.figures(power, FS, 100, 700.0) == {"range_db": 0.0}
    power[100:340] = 1.0
    found = reverberation.figures(power, FS, 100, 700.0)
    assert not {"edt_s", "t20_s", "t30_s"} & found.keys()
    power[100:12000] = 10.0 ** (-6.0 * np.arange(11900) / FS / 0.4)
    assert reverberation.figures(power, FS, 100, 700.0)["t20_s"] == pytest.approx(0.4, rel=0.02)


def test_a_decay_of_two_slopes_is_called_curved() -> None:
    """Energy that is 19 dB up at first and gone after 20 ms."""
    found = reverberation.of(room(1.2, 0.5, -80.0, early=8.0), FULL)
    assert np.all(np.median(found.curved[..., 5:], axis=(0, 1, 2)) > reverberation.CURVED)
    assert "~" in next(x for x in found.text().splitlines() if x.split()[0] == "4000")


def test_thirds_lie_in_the_band() -> None:
    found = reverberation.of(room(0.6, 0.3, -70.0, paths=1), FULL, "third")
    assert found.hz[[0, -1]].tolist() == [50.0, 16000.0]
    assert found.mean("t20_s")[0][-6:] == pytest.approx(np.full(6, 0.3), abs=0.06)


def test_filters_are_those_of_scipy_run_backwards() -> None:
    low, high = 707.9, 1412.5
    x = np.zeros(4096)
    x[3000] = 1.0
    sos = signal.butter(3, [low, high], "band", fs=FS, output="sos")
    wanted: Float = signal.sosfilt(sos, x[::-1])[::-1]
    found = np.fft.irfft(np.fft.rfft(x, 8192) * reverberation.backwards(8192, FS, low, high))[:4096]
    assert found == pytest.approx(wanted, abs=0.005 * wanted.max())


def test_places_are_left_out_only_where_a_figure_can_have_no_mean() -> None:
    every = room(0.6, 0.3, -70.0)
    for silent in range(4):
        ir = replace(every, h=np.concatenate([np.zeros_like(every.h[:silent]), every.h[silent:]]))
        found, sought = reverberation.of(ir, FULL), reverberation.of(ir, FULL, sought="t20_s")
        assert np.array_equal(found.mean("t20_s")[:2], sought.mean("t20_s")[:2], equal_nan=True)
        assert np.isfinite(sought.values["t20_s"][3]).any() == (silent < 3)


def test_a_page_shows_the_reverberation_of_a_room_and_of_no_dry_set(crooked: Description) -> None:
    with styled():
        (drawn,) = reverberation_times(room(1.0, 0.4, -70.0), crooked, (0, 1))
        assert reverberation_times(room(0.5, 1e-5, -90.0), crooked, (0, 1)) == []
    assert "0.40 s at 4000 Hz" in drawn.help or "0.41 s at 4000 Hz" in drawn.help or "0.39 s at 4000 Hz" in drawn.help

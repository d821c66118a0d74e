"""Deconvolution against known filters, and standard errors against the scatter of many captures."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from sweetspot.measure import folder, plan
from sweetspot.measure.deconvolve import Inverse, circular, edges, inverse
from sweetspot.measure.judge import uncertainty
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.measure.sweep import stimulus, synchronised
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import parse
from tests.bench import deconvolution as bench


@pytest.mark.parametrize(
    ("snr_db", "which", "limit_db", "complex_db"), [(None, 0, 1e-3, -120.0), (60.0, 1, 0.012, -69.0)]
)
def test_error_of_a_response(snr_db: float | None, which: int, limit_db: float, complex_db: float) -> None:
    """Without noise a thousandth of a decibel at worst; at 60 dB the noise alone is left, in 99 % of bins."""
    case = bench.made(snr_db, channels=3)
    found = bench.error(case, bench.ours(case, inverse(case.sweep, case.played, len(case.played))))
    assert found[which] < limit_db
    assert found[2] < complex_db


def test_standard_error_is_the_scatter_of_many_captures() -> None:
    """40 captures of one filter with noise of their own: the spread per bin equals the error stated by one of them."""
    case = bench.made(None, seconds=1.0, tail=0.3, channels=1)
    inv = inverse(case.sweep, case.played, len(case.played))
    rng = np.random.default_rng(4)
    before, after = bench.BEFORE, bench.AFTER
    kept, done = [], []
    for _ in range(40):
        noisy = case.heard + 1e-3 * rng.standard_normal(case.heard.shape).astype(np.float32)
        whole = circular(inv, inv.transfer(inv.recorded(noisy)), 0.0, before)
        kept.append(whole[..., : before + after] * edges(before, after))
        done.append(uncertainty.of_one(whole, before, after, case.sweep.rate, bench.FS))
    f = np.fft.rfftfreq(before + after, 1 / bench.FS)
    band = (f > 100) & (f < 18000)
    scatter = np.std(np.fft.rfft(kept, axis=-1), axis=0)[0, band]
    ratio = np.mean(done, axis=0)[0, band] / scatter
    assert np.median(ratio) == pytest.approx(1.0, abs=0.05)
    mean_error, coherence = uncertainty.of_mean(kept[:8], done[:8])
    assert np.median(mean_error[0, band] / scatter) == pytest.approx(8**-0.5, rel=0.15)
    assert coherence[0, band].min() > 0.99


@pytest.mark.parametrize("seed", range(8))
def test_strong_noise_below_the_band_is_no_tail_and_counts_for_its_own_bins(seed: int) -> None:
    """White noise, and 50 dB more of it up to 8 Hz: from 300 Hz on the error is that of the white noise."""
    rng, taps, before, fs = np.random.default_rng(seed), 3840, 957, 48000
    whole = 1e-6 * rng.standard_normal((2, 40 * taps))
    slow = np.fft.rfft(rng.standard_normal(whole.shape))
    slow[:, np.fft.rfftfreq(whole.shape[1], 1.0 / fs) > 8.0] = 0.0
    whole += 1e-5 * np.fft.irfft(slow) / np.std(np.fft.irfft(slow))
    error = uncertainty.of_one(whole, before, taps - before, 0.4, fs)
    white = 1e-6 * np.sqrt(np.sum(edges(before, taps - before) ** 2))
    assert np.all(np.abs(20.0 * np.log10(error[:, 24:] / white)) < 4.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_room_that_rings_on_beyond_what_is_kept_is_no_noise(seed: int) -> None:
    """A decay 25 dB over the noise in the first stretch, which reaches it halfway; without it, nothing is taken off."""
    rng, taps, before, fs = np.random.default_rng(seed), 3840, 957, 48000
    size = 40 * taps
    noise = 1e-6 * rng.standard_normal((2, size))
    tail = 2e-5 * rng.standard_normal((2, size)) * 10.0 ** (-2.0 * np.arange(size) / size)
    white = 1e-6 * np.sqrt(np.sum(edges(before, taps - before) ** 2))
    for whole, most in ((noise, 0.3), (noise + tail, 1.5)):
        error = uncertainty.of_one(whole, before, taps - before, 0.4, fs)
        assert abs(20.0 * np.log10(np.median(error) / white)) < most


def test_what_changes_between_repeats_counts() -> None:
    h = np.zeros((4, 1, 64))
    h[:, 0, 5] = [1.0, 1.2, 0.8, 1.0]
    error, coherence = uncertainty.of_mean(list(h), [np.full((1, 33), 1e-6)] * 4)
    assert error[0] == pytest.approx(np.std(h[:, 0, 5], ddof=1) / 2.0)
    assert coherence[0] == pytest.approx(1.0 / np.mean(h[:, 0, 5] ** 2))


def test_a_session_keeps_standard_errors(crooked_text: str, lab_rig: Callable[..., Rig], tmp_path: Path) -> None:
    twice = parse(crooked_text.replace("seconds = 0.6", "seconds = 0.6\nrepeats = 2"), tmp_path)
    run = folder.new(tmp_path / "runs", "T-1", twice, datetime(2026, 3, 4, tzinfo=UTC))
    with Session.resume(run / "session.h5") as session:
        measure(lab_rig(twice), session, plan.make(twice, "ears"), ask=lambda move: None, step=lambda note: None)
        ir = session.responses("ears")
        stderr, coherence = session.per_bin("ears", "stderr"), session.per_bin("ears", "coherence")
    assert stderr.shape == coherence.shape == (5, 2, 3, ir.h.shape[-1] // 2 + 1)
    f = np.fft.rfftfreq(ir.h.shape[-1], 1 / ir.fs)
    band = (f > 200) & (f < 15000)
    relative = stderr[..., band] / np.abs(np.fft.rfft(ir.h))[..., band]
    assert 1e-6 < np.median(relative) < 1e-2
    assert np.median(coherence[..., band]) > 0.9999


@pytest.mark.parametrize("samples", [70000, 69999, 65610, 59049])
def test_spectra_of_large_captures_are_the_definition_s_and_never_change(samples: int) -> None:
    """Of even and odd lengths, longer and shorter recordings; what is held stays, its memory is used again after."""
    inv = long_inverse(samples)
    rng = np.random.default_rng(4)
    xs = [rng.standard_normal((9, n)).astype(np.float32) for n in (inv.size, inv.size - 501, inv.size + 77)]
    wanted = [np.fft.rfft(x.astype(float), inv.size, axis=-1) for x in xs]
    held = [inv.recorded(x) for x in xs]
    for made, true in zip(held, wanted, strict=True):
        assert made.dtype == np.complex64
        assert np.max(np.abs(made - true)) < 1e-6 * np.max(np.abs(true))
    part, left = held[2][3, 100:200], held[2][3, 100:200].copy()
    del made, held
    again = inv.recorded(xs[0])
    assert not np.shares_memory(again, part)
    assert np.array_equal(part, left), "a part of it is held"
    where = again.ctypes.data
    del again
    assert inv.recorded(xs[2]).ctypes.data == where


def test_transforms_in_several_threads_do_not_share_memory() -> None:
    inv = long_inverse(65610)
    rng = np.random.default_rng(5)
    xs = [rng.standard_normal((9, inv.size)).astype(np.float32) for _ in range(4)]
    alone = [circular(inv, inv.transfer(inv.recorded(x)), 1e-3, 40) for x in xs]
    kept = circular(inv, inv.transfer(inv.recorded(xs[0].astype(float))), 1e-3, 40)
    assert np.max(np.abs(kept - alone[0])) < 1e-5 * np.max(np.abs(kept)), "another precision takes other memory"
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            made = pool.map(lambda x: circular(inv, inv.transfer(inv.recorded(x)), 1e-3, 40), xs)
            for one, true in zip(made, alone, strict=True):
                assert np.array_equal(one, true)


def long_inverse(samples: int) -> Inverse:
    """Of a sweep that fills so many samples."""
    sweep = synchronised((90.0, 3100.0), 0.8 * samples / 8009, 8009)
    played = stimulus(sweep, 0.5, samples - len(sweep.x))
    return inverse(sweep, played, len(played))

"""Filters beside a rig file: ceiling, voltages, powers and bands hold, however the filters were edited."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sweetspot.processor import store
from sweetspot.processor.export import firmware
from sweetspot.processor.export.unguarded import UNGUARDED, without_guard
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.plain import bypass, on_pair
from sweetspot.processor.run_folder import driver_limits, within_rig
from tests.filter_sets import filter_set

FS = 47872
RIG = """
schema = 1
fs = 47872
[interface]
driver = "lab"
loopback = { out = 9, in = 4 }
[limits]
ceiling_dbfs = -5.0
[[driver]]
name = "woofer"
channel = 5
at = [0.0, 0.1, 0.0]
band_hz = [90, 6000]
[[driver]]
name = "tweeter"
channel = 2
at = [0.0, -0.1, 0.0]
band_hz = [2500, 20000]
v_per_fs = 20.0
max_v = 3.0
power_w = 2.0
"""
"""3 V of 20 V are 0.15 of full scale; 2 W at 4 ohm are 2.83 V rms, a sine of 0.2."""


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def kept(tmp_path: Path) -> FilterSet:
    """Filters that keep to both bands, beside the rig; music of 2 s, 9 dB under full scale."""
    (tmp_path / "rig.toml").write_text(RIG)
    f = np.fft.rfftfreq(512, 1.0 / FS)
    low = np.clip((f - 85.0) / 300.0, 0.0, 1.0) * (f < 6000.0)
    high = np.sin(0.5 * np.pi * np.clip((f - 2500.0) / 900.0, 0.0, 1.0)) ** 2
    one = np.fft.irfft(np.stack([low, high]) * np.exp(-2j * np.pi * f * 256 / FS))
    taps = 0.1 * np.stack([one, 0.7 * one, 0.5 * one])
    more = {"fs": FS, "drivers": ("woofer", "tweeter"), "channels": (5, 2), "delay_samples": 256, "headroom_db": 20.0}
    made = filter_set(taps, **more)
    store.write(tmp_path / "filterset.h5", made)
    x = np.random.default_rng(5).standard_normal((FS, 2))
    soundfile.write(tmp_path / "in.wav", np.clip(0.3 * x, -1, 1), FS)
    return made


def test_an_edited_filter_set_is_held_to_what_the_rig_allows_now(
    sweetspot: Run, kept: FilterSet, tmp_path: Path
) -> None:
    """Ceiling 1.0 and taps times 1000: -5 dBFS at the woofer, 0.15 at the tweeter, sample by sample."""
    store.write(tmp_path / "filterset.h5", replace(kept, ceiling=1.0, taps=1000.0 * kept.taps))
    done = sweetspot("process", tmp_path, tmp_path / "in.wav", tmp_path / "out.wav", "--gain", "12")
    assert done.returncode == 0, done.stderr
    peak = np.abs(soundfile.read(tmp_path / "out.wav")[0]).max(axis=0)
    assert 0.9 * 10 ** (-5 / 20) < peak[0] <= 10 ** (-5 / 20) + 1e-6
    assert 0.9 * 0.15 < peak[1] <= 0.15 + 1e-6


def test_filters_within_the_limits_stay_as_they_are(kept: FilterSet, tmp_path: Path) -> None:
    found, changes = within_rig(tmp_path, kept)
    assert (found.ceiling, changes, np.array_equal(found.taps, kept.taps)) == (0.5, (), True)
    assert found.caps == pytest.approx((10 ** (-5 / 20), 0.15))


def test_a_lower_spl_limit_of_today_applies(sweetspot: Run, kept: FilterSet, tmp_path: Path) -> None:
    """Made for 95 dB, 80 dB in the rig file now: some 15 dB less of what reached it; a higher one changes nothing."""
    detectors = np.zeros((2, 3, 8))
    detectors[..., 0] = 4.0
    held = replace(kept, detectors=detectors, loudest_db_spl=95.0)
    store.write(tmp_path / "filterset.h5", held)
    rms = {}
    for limit in (95, 80, 110):
        (tmp_path / "rig.toml").write_text(RIG.replace("[limits]", f"[limits]\nloudest_db_spl = {limit}"))
        found, changes = within_rig(tmp_path, held)
        assert found.loudest_db_spl == min(limit, 95)
        assert found.detectors == pytest.approx(detectors * 10 ** (max(95 - limit, 0) / 20))
        assert [("the SPL limit is 80 dB now, 95 dB in filterset.h5" in c) for c in changes] == [True] * (limit == 80)
        done = sweetspot("process", tmp_path, tmp_path / "in.wav", tmp_path / "out.wav", "--json")
        assert json.loads(done.stdout)["spl_limiter_db"] > 3.0
        rms[limit] = json.loads(done.stdout)["rms_dbfs"][0]
    assert rms[95] - rms[80] == pytest.approx(15.0, abs=1.5)
    assert rms[110] == rms[95]
    unknown = replace(held, loudest_db_spl=np.inf)
    assert np.array_equal(within_rig(tmp_path, unknown)[0].detectors, detectors), "made for a limit that nobody states"


@pytest.mark.parametrize("how", ["process", "play"])
@pytest.mark.parametrize("fault", ["full band", "band of today"])
def test_filters_below_a_drivers_band_are_refused(
    sweetspot: Run, how: str, fault: str, kept: FilterSet, tmp_path: Path
) -> None:
    """The filters were edited, or the band in the rig file: one message, exit code 2, before any device opens."""
    if fault == "full band":
        taps = kept.taps.copy()
        taps[2, 1, 256] = 0.05
        store.write(tmp_path / "filterset.h5", replace(kept, taps=taps))
    else:
        (tmp_path / "rig.toml").write_text(RIG.replace("[2500,", "[3500,"))
    files = [tmp_path / "in.wav"] + ([tmp_path / "out.wav"] if how == "process" else ["--device", "nothing-like-this"])
    done = sweetspot(how, tmp_path, *files)
    text = " ".join(done.stderr.split())
    assert done.returncode == 2, text
    assert "driver 'tweeter' (output 2)" in text
    assert "woofer" not in text
    assert "sweetspot calibrate" in text
    assert not (tmp_path / "out.wav").exists()


def test_the_bypass_keeps_to_the_bands(kept: FilterSet, tmp_path: Path) -> None:
    plain = bypass(kept, on_pair((0, 1), len(kept.drivers)), driver_limits(tmp_path, kept))
    power = np.abs(np.fft.rfft(plain.taps, 4096)) ** 2
    f = np.fft.rfftfreq(4096, 1.0 / FS)
    below = power[1, 1, f < 2500.0].sum() / power[1, 1].sum()
    assert 10 * np.log10(below) < -40.0
    assert 10 * np.log10(power[1, 1, np.searchsorted(f, 8000.0)]) == pytest.approx(-20.0, abs=0.1)


@pytest.mark.parametrize("engine", UNGUARDED)
def test_full_scale_through_an_engine_without_a_guard_keeps_to_each_driver(
    kept: FilterSet, tmp_path: Path, engine: str
) -> None:
    """Sines on both sides and on the centre, filtered by hand: ceiling 0.562 at the woofer, 0.15 at the tweeter."""
    loud, _ = within_rig(tmp_path, replace(kept, ceiling=1.0, taps=1000.0 * kept.taps))
    lowered, cost_db, note = without_guard(loud, engine)
    assert cost_db > 30.0
    assert "keeps to the" in note
    for f in (150.0, 3000.0, 9000.0):
        sine = np.sin(2 * np.pi * f * np.arange(4000) / FS)
        for programs in ((0, 1), (2,)):
            played = sum(np.array([np.convolve(sine, row)[: sine.size] for row in lowered.taps[p]]) for p in programs)
            peak = np.abs(played[:, 600:]).max(axis=1)
            assert (peak <= np.array([10 ** (-5 / 20), 0.15]) * (1.0 + 1e-6)).all()


def test_exports_name_each_drivers_limit(kept: FilterSet, tmp_path: Path) -> None:
    filters, _ = within_rig(tmp_path, kept)
    assert filters.limits == pytest.approx((0.5, 0.15))
    files = firmware.bundle(filters).files
    header = next(data.decode() for name, data in files.items() if name.endswith(".h") and b"_limits" in data)
    assert [
        float(v.strip("f")) for v in re.findall(r"limits\[SWEETSPOT_DRIVERS\] = {(.*?)}", header)[0].split(", ")
    ] == (pytest.approx([0.5, 0.15], rel=1e-6))
    assert json.loads(files["filterset.json"])["limits"] == pytest.approx([0.5, 0.15])


MOVES = "excursion_mm = {mm}\narea_cm2 = 30.0\n"
SHEET = "v_per_fs = 12.0\nsensitivity_db_spl = 86.0\n"


def displaced(y: np.ndarray, sheet: bool = True) -> float:
    """How far the woofer moves, mm, by hand: mass-controlled above 90 Hz, as far as there below; 86 dB at 2.83 V."""
    n = 4 * len(y)
    f = np.maximum(np.fft.rfftfreq(n, 1.0 / FS), 90.0)
    pascal = 12.0 * 20e-6 * 10 ** (86 / 20) / 2.83
    per_sample = (2.0 * np.pi * pascal / (1.2 * 30e-4 * (2.0 * np.pi * f) ** 2)) if sheet else (90.0 / f) ** 2
    return float(1e3 * np.abs(np.fft.irfft(np.fft.rfft(y, n) * per_sample, n)).max())


def worst_programme(taps: np.ndarray) -> np.ndarray:
    """Full scale with the sign at each sample that moves the woofer most: the reversed response's sign."""
    n = 1 << 15
    f = np.maximum(np.fft.rfftfreq(n, 1.0 / FS), 90.0)
    response = np.roll(np.fft.irfft(np.fft.rfft(taps, n) / f**2, n), n // 2)
    return np.sign(response[::-1])


@pytest.mark.parametrize("sheet", [True, False])
def test_no_programme_moves_a_cone_farther_than_the_rig_allows(
    sheet: bool, sweetspot: Run, kept: FilterSet, tmp_path: Path
) -> None:
    """Filters, bypass and volume; without a data sheet, the limit is what the filters reach."""
    rig, left, right = RIG.replace("[90, 6000]\n", "[90, 6000]\n" + MOVES), kept.taps[0, 0], kept.taps[1, 0]
    sides = np.stack([worst_programme(left), worst_programme(right)])
    music = np.random.default_rng(8).uniform(-1.0, 1.0, sides.shape)
    beats = np.sign(np.sin(2 * np.pi * np.array([[95.0], [120.0]]) * np.arange(sides.shape[1]) / FS))
    reached = [displaced(np.convolve(x[0], left) + np.convolve(x[1], right), sheet) for x in (sides, music, beats)]
    most = reached[0]
    assert max(reached) == most, "the worst programme is the worst"
    rig = rig.replace("area_cm2 = 30.0\n", "area_cm2 = 30.0\n" + SHEET * sheet)
    (tmp_path / "rig.toml").write_text(rig.replace("{mm}", f"{1.02 * most if sheet else 0.01}"))
    wav = tmp_path / "worst.wav"
    soundfile.write(wav, 1.5 * sides.T, FS, subtype="FLOAT")
    done = sweetspot("process", str(tmp_path), str(wav), str(tmp_path / "out.wav"), "--subtype", "FLOAT")
    assert done.returncode == 0, done.stderr
    out, _ = soundfile.read(tmp_path / "out.wav")
    assert 0.97 * most < displaced(out[:, 0], sheet) < 1.01 * most, "what is over full scale is clipped"
    loud = sweetspot("process", str(tmp_path), str(wav), str(tmp_path / "out.wav"), "--gain", "1")
    assert loud.returncode == 2
    assert re.search(r"gain is 1 dB; up to 0\.[02] dB the drivers stay within excursion_mm", loud.stderr)
    filters, _ = within_rig(tmp_path, store.read(tmp_path))
    plain = bypass(filters, on_pair((0, 1), len(filters.drivers)), driver_limits(tmp_path, filters))
    moved = displaced(np.convolve(worst_programme(plain.taps[0, 0]), plain.taps[0, 0]), sheet)
    assert moved < 1.021 * most
    assert plain.most_db == pytest.approx(20.0 * np.log10(1.02 * most / moved) if sheet else 0.0, abs=0.02)
    if sheet:
        (tmp_path / "rig.toml").write_text(rig.replace("{mm}", f"{0.5 * most}"))
        far = sweetspot("process", str(tmp_path), str(wav), str(tmp_path / "out.wav"))
        assert far.returncode == 2
        assert "could exceed its excursion_mm by 6.0 dB. Nothing was played" in far.stderr

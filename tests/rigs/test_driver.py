"""Drivers of the lab: box, breakup and tolerance against closed forms; distortion and heat in what is recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sweetspot.rigs.lab.sound.driver import DriverModel
from sweetspot.rigs.lab.sound.motor import MotorDistortion, Thermal
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import Description, parse
from sweetspot.rigs.rig_file.lab_tables import DistortionTable, ThermalTable
from sweetspot.rigs.units import db

FS = 47872
QUIET = "mic_noise_db_spl = -200\nconverter_noise_dbfs = -250\n"
EXACT = "tolerance_db = 0.0\ntolerance_percent = 0.0\n"


def unit(text: str, tmp_path: Path, serial: str = "T-1", driver: int = 0) -> DriverModel:
    rig = parse(text, tmp_path)
    return DriverModel.of_unit(rig.driver[driver], rig.lab, serial)


def low_end(model: DriverModel, f: NDArray[np.float64]) -> NDArray[np.float64]:
    """Magnitude re the same driver without a lower end."""
    s = 1j * f / model.high_hz
    return np.abs(model.response(f) * (1 + s / model.high_q + s**2)) / model.gain


@pytest.mark.parametrize("q", [0.5, 0.707, 1.1])
def test_a_sealed_box_has_its_q_at_its_corner(crooked_text: str, tmp_path: Path, q: float) -> None:
    model = unit(f'{crooked_text}{EXACT}[lab.low_end]\nbox = "sealed"\nq = {q}\n', tmp_path)
    assert low_end(model, np.array([80.0]))[0] == pytest.approx(q)
    slope = db(low_end(model, np.array([8.0]))) - db(low_end(model, np.array([4.0])))
    assert slope[0] == pytest.approx(12.04, abs=0.15)


def test_a_vented_box_is_butterworth_at_its_alignment(crooked_text: str, tmp_path: Path) -> None:
    """Q 0.383, compliance ratio 1.414, box tuned to the driver: maximally flat, 24 dB an octave (Thiele, Small)."""
    model = unit(f'{crooked_text}{EXACT}[lab.low_end]\nbox = "vented"\n', tmp_path)
    f = np.geomspace(10.0, 2000.0, 300)
    butterworth = 1.0 / np.sqrt(1.0 + (80.0 / f) ** 8)
    assert np.abs(db(low_end(model, f)) - db(butterworth)).max() < 0.02


def test_leakage_of_a_vented_box_costs_level_at_its_tuning(crooked_text: str, tmp_path: Path) -> None:
    tight, leaky = (
        unit(f'{crooked_text}{EXACT}[lab.low_end]\nbox = "vented"\nleakage_q = {q}\n', tmp_path) for q in (1e9, 7.0)
    )
    lost = db(low_end(tight, np.array([80.0])) / low_end(leaky, np.array([80.0])))[0]
    assert 1.0 < lost < 3.5


def test_a_breakup_stands_out_by_its_height_over_its_width(crooked_text: str, tmp_path: Path) -> None:
    with_it = unit(f"{crooked_text}{EXACT}[lab.breakup]\nfrequency_hz = 7000\nheight_db = 9\nq = 12\n", tmp_path)
    without = unit(crooked_text + EXACT, tmp_path)
    f = np.array([700.0, 7000.0, 7000.0 * (1 - 1 / 24), 20000.0])
    rise = db(with_it.response(f) / without.response(f))
    assert rise[1] == pytest.approx(9.0, abs=1e-6)
    assert abs(rise[0]) < 0.1
    assert abs(rise[3]) < 0.2
    assert 4.0 < rise[2] < 7.5


def test_serial_numbers_spread_level_and_phase_by_the_tolerances(crooked_text: str, tmp_path: Path) -> None:
    rig = parse(f"{crooked_text}tolerance_db = 0.8\ntolerance_percent = 0.0\ntolerance_deg = 5.0\n", tmp_path)
    units = [DriverModel.of_unit(rig.driver[1], rig.lab, f"S{n}") for n in range(400)]
    heard = np.array([u.response(np.array([1000.0]))[0] for u in units])
    assert np.std(db(heard)) == pytest.approx(0.8, rel=0.12)
    assert np.degrees(np.std(np.angle(heard / heard.mean()))) == pytest.approx(5.0, rel=0.12)
    again = DriverModel.of_unit(rig.driver[1], rig.lab, "S7")
    assert again == units[7]
    assert DriverModel.of_unit(rig.driver[2], rig.lab, "S7") != units[7]


def test_harmonics_in_a_recording_have_the_stated_level(
    crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]
) -> None:
    """A sine of the stated peak: each harmonic is so many percent of it, times what the way does to its frequency."""
    described: Description = parse(
        f"{crooked_text}{QUIET}[lab.distortion]\nh2_percent = 1.5\nh3_percent = 0.6\nat_dbfs = -10\n", tmp_path
    )
    rig = lab_rig(described)
    f, seconds = 704.0, 0.5
    n = int(FS * seconds)
    y = np.zeros((6, n), dtype=np.float32)
    y[4] = y[5] = 10 ** (-10 / 20) * np.sin(2 * np.pi * f * np.arange(n) / FS)
    x = rig.interface.capture(y).x[:, n // 2 :]
    spectra = np.abs(np.fft.rfft(x * np.hanning(x.shape[1]), axis=1))
    bins = [round(k * f * x.shape[1] / FS) for k in (1, 2, 3)]
    lines = np.stack([spectra[:, b - 3 : b + 4].max(axis=1) for b in bins])
    world = rig.interface.world  # type: ignore[attr-defined]
    way = np.abs([world.at_microphone(0.0)[0][np.argmin(np.abs(world.f - k * f))] for k in (1, 2, 3)])
    shrunk = 1.0 - 3 * 0.006  # the cubic takes 3 h3 off the fundamental
    wanted = np.array([1.5, 0.6]) / 100.0 * way[1:] / way[0] / shrunk
    assert lines[1:, 2] / lines[0, 2] == pytest.approx(wanted, rel=0.02)
    assert db(lines[1:, 1] / lines[0, 1]).max() < -100.0, "the cable of the loopback distorts"


@pytest.mark.parametrize("share", [0.17, 0.31, 0.42])
def test_products_of_high_tones_do_not_fold_back(share: float) -> None:
    n = 16384
    cycles = round(share * n)
    v = (0.25 * np.sin(2 * np.pi * cycles * np.arange(3 * n) / n))[None].astype(np.float32)
    y = MotorDistortion(DistortionTable(h2_percent=3.0, h3_percent=3.0), 1, FS).process(v)[0, n : 2 * n]
    spectrum = np.abs(np.fft.rfft(y.astype(float)))
    allowed = [0] + [k * cycles for k in (1, 2, 3) if k * cycles <= n // 2]
    spectrum_below = spectrum[: round(0.46 * n)]
    rest = np.delete(spectrum_below, [k for k in allowed if k < len(spectrum_below)])
    assert db(rest.max() / spectrum[cycles]) < -75.0
    fold = abs(n - 2 * cycles)
    if share > 0.26:
        naive = np.abs(np.fft.rfft(v[0, :n].astype(float) ** 2))
        assert naive[fold] > 100 * spectrum[fold], "a polynomial at the plain rate would fold"


def test_bass_alone_distorts_below_a_knee() -> None:
    """One pole: an octave above the knee the second harmonic has lost twice 7 dB, and its own way down on top."""
    n = 47872
    t = np.arange(n) / FS
    found = []
    for f in (40.0, 4000.0):
        v = (0.25 * np.sin(2 * np.pi * f * t))[None].astype(np.float32)
        y = MotorDistortion(DistortionTable(h2_percent=2.0, knee_hz=400.0), 1, FS).process(v)[0]
        spectrum = np.abs(np.fft.rfft(y[:n].astype(float) * np.hanning(n)))
        found.append(spectrum[int(2 * f)] / spectrum[int(f)])
    assert found[0] == pytest.approx(0.02, rel=0.03)
    assert db(found[1] / found[0]) == pytest.approx(-2 * 20 * np.log10(np.hypot(1, 10)), abs=0.5)


def test_distortion_in_blocks_is_that_of_the_whole() -> None:
    v = np.random.default_rng(4).uniform(-0.4, 0.4, (3, 2560)).astype(np.float32)
    table = DistortionTable(h2_percent=2.0, h3_percent=1.0, knee_hz=900.0)
    whole = MotorDistortion(table, 3, FS).process(v)
    parts = MotorDistortion(table, 3, FS)
    blocks = np.concatenate([parts.process(b) for b in np.split(v, 10, axis=1)], axis=1)
    assert np.abs(whole - blocks).max() < 1e-6
    assert np.abs(MotorDistortion(DistortionTable(), 3, FS).process(v)[:, 64:] - v[:, :-64]).max() == 0.0


def test_a_coil_that_heats_loses_its_level_with_its_time_constant() -> None:
    table = ThermalTable(drop_db=1.2, at_dbfs=-12.0, seconds=0.5)
    t = np.arange(4 * FS) / FS
    v = (10 ** (-12 / 20) * np.sin(2 * np.pi * 1000 * t))[None].astype(np.float32)
    heated = Thermal(table, 1, FS)
    y = np.concatenate([heated.process(b) for b in np.split(v, 8, axis=1)], axis=1)[0]
    envelope = db(_peaks(y))
    fall = -12.0 - envelope
    assert fall[-1] == pytest.approx(1.2, abs=0.01)
    assert fall[round(0.5 / 0.01)] == pytest.approx(1.2 * (1 - np.exp(-1)), abs=0.02)
    assert np.abs(heated.process(np.zeros((1, FS), dtype=np.float32))).max() == 0.0


def _peaks(y: NDArray[np.float32]) -> NDArray[np.float64]:
    """Largest sample of every 10 ms."""
    size = FS // 100
    return np.asarray(np.abs(y[: len(y) // size * size]).reshape(-1, size).max(axis=1), dtype=float)


def test_level_drifts_over_a_session(crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]) -> None:
    heat = "[lab.thermal]\ndrop_db = 2.0\nat_dbfs = -12\nseconds = 0.6\n"
    rig = lab_rig(parse(crooked_text + QUIET + heat, tmp_path))
    n = FS // 4
    y = np.zeros((6, n), dtype=np.float32)
    y[0] = 0.25 * np.sin(2 * np.pi * 900 * np.arange(n) / FS)
    levels = db([np.abs(rig.interface.capture(y).x[3, n // 2 :]).max() for _ in range(8)])
    assert (np.diff(levels) < 0).all()
    assert levels[0] - levels[-1] == pytest.approx(2.0 * (np.exp(-0.16 / 0.6) - np.exp(-1.95 / 0.6)), abs=0.25)


def test_defaults_change_nothing(crooked: Description, lab_rig: Callable[..., Rig]) -> None:
    """Without a word on motors, clocks or faults a recording is the convolution, the latency and the noise."""
    rig = lab_rig(crooked)
    world = rig.interface.world  # type: ignore[attr-defined]
    y = np.zeros((6, 5000), dtype=np.float32)
    y[2, 40:90] = 0.3
    heard = rig.interface.capture(y).x
    paths = world.paths(Pose()).astype(float)
    for channel in (0, 2, 3):
        wanted = np.convolve(y[2].astype(float), paths[channel, 2])[: 5000 - 437]
        assert np.std(heard[channel, 437:] - wanted) < 1.1 * np.std(heard[channel, :437])

"""Converters, clocks and cables of the lab, by the samples that are recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.electronics import electrical
from sweetspot.rigs.lab.electronics.electrical import HALF, SLIP, SPILL, SignalLine, interpolated
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import Description, parse
from sweetspot.rigs.rig_file.lab_tables import Lab as LabTable
from sweetspot.rigs.units import db

FS = 47872
QUIET = "mic_noise_db_spl = -200\nconverter_noise_dbfs = -250\n"
LOOP = 1
Lab = Callable[..., Rig]


@pytest.fixture
def click() -> NDArray[np.float32]:
    y = np.zeros((6, 4000), dtype=np.float32)
    y[5, 30] = 0.9
    return y


def tone(f: float, samples: int, channel: int = 5) -> NDArray[np.float32]:
    y = np.zeros((6, samples), dtype=np.float32)
    y[channel] = 0.4 * np.sin(2 * np.pi * f * np.arange(samples) / FS)
    return y


@pytest.mark.parametrize("share", [0.02, 0.21, 0.4])
def test_values_between_samples(share: float) -> None:
    n = np.arange(4000)
    x = np.cos(2 * np.pi * share * n + 0.3)[None].astype(np.float32)
    at = np.sort(np.random.default_rng(2).uniform(HALF, 4000 - HALF - 1, 3000))
    error = interpolated(x, at)[0] - np.cos(2 * np.pi * share * at + 0.3)
    assert db(np.abs(error).max()) < -100.0


@pytest.mark.parametrize("ppm", [35.0, -120.0])
def test_two_clocks_change_the_pitch_by_their_offset(
    crooked_text: str, tmp_path: Path, lab_rig: Lab, ppm: float
) -> None:
    """Sample m of a recording whose clock runs fast was there at m / (1 + ppm): a sine is the reference."""
    rig = lab_rig(parse(f"{crooked_text}{QUIET}clock_ppm = {ppm}\n", tmp_path))
    n, f = 48000, 5000.0
    heard = rig.interface.capture(tone(f, n)).x[LOOP]
    m = np.arange(n)
    wanted = 0.4 * np.sin(2 * np.pi * f * (m / (1 + ppm * 1e-6) - 437) / FS)
    assert db(np.abs(heard - wanted)[600:-1].max() / 0.4) < -90.0
    steady = 0.4 * np.sin(2 * np.pi * f * (m - 437) / FS)
    assert db(np.abs(heard - steady)[600:].max()) > -20.0, "the check cannot see an offset"


def test_the_buffer_between_two_clocks_is_emptied_at_a_stroke() -> None:
    """A fast recording falls behind until the buffer holds too much, then loses it; a slow one repeats a little."""
    ramp = np.arange(12000)[None].astype(np.float32)  # shows which sample is recorded
    for ppm, stroke, before in ((900.0, SLIP, 4090.0), (-900.0, -SPILL, 70.0)):
        line = SignalLine(1, 100, ppm)
        line._at = int(before / 900e-6)
        heard = np.concatenate([line.process(b) for b in np.split(ramp, 30, axis=1)], axis=1)[0].astype(float)
        steps = np.diff(heard)[4400:]
        far = steps[np.abs(steps - 1) > 20]
        assert len(far) >= 1
        assert far.sum() == pytest.approx(stroke + 1, abs=70.0 if stroke > 0 else 3.0)


def test_a_line_in_blocks_is_that_of_the_whole() -> None:
    x = np.random.default_rng(6).standard_normal((2, 4096)).astype(np.float32)
    for ppm, jumps in ((0.0, []), (0.0, [(700, 60), (2000, -500)]), (80.0, [(1030, 33)])):
        whole = SignalLine(2, 311, ppm).process(x, jumps)
        parts = SignalLine(2, 311, ppm)
        blocks = [
            parts.process(x[:, a : a + 256], [(i - a, k) for i, k in jumps if a <= i < a + 256])
            for a in range(0, 4096, 256)
        ]
        assert np.abs(np.concatenate(blocks, axis=1) - whole).max() < 1e-5


def test_a_line_is_late_loses_and_repeats() -> None:
    x = np.arange(1.0, 2001.0, dtype=np.float32)[None]
    out = SignalLine(1, 100).process(x, [(500, 60), (1200, -300)])[0]
    assert (out[:100] == 0).all()
    assert (out[100:500] == x[0, :400]).all()
    assert (out[500:1200] == x[0, 460:1160]).all()
    assert (out[1200:] == x[0, 860:1660]).all()


def test_latency_moves_between_streams_and_is_the_same_again(
    crooked_text: str, tmp_path: Path, lab_rig: Lab, click: NDArray[np.float32]
) -> None:
    described = parse(f"{crooked_text}{QUIET}latency_spread_samples = 40\n", tmp_path)
    lags = []
    for _ in range(2):
        interface = lab_rig(described).interface
        lags.append([int(np.argmax(interface.capture(click).x[LOOP])) - 30 - 437 for _ in range(12)])
    assert lags[0] == lags[1]
    assert len(set(lags[0])) > 6
    assert min(lags[0]) >= 0
    assert max(lags[0]) <= 40


def test_noise_of_the_converters(crooked_text: str, tmp_path: Path, lab_rig: Lab) -> None:
    rig = lab_rig(parse(crooked_text + "mic_noise_db_spl = -200\nconverter_noise_dbfs = -93\n", tmp_path))
    silence = np.zeros((6, 40000), dtype=np.float32)
    first, second = (rig.interface.capture(silence).x for _ in range(2))
    assert db(first.std(axis=1)) == pytest.approx(np.full(4, -93.0), abs=0.2)
    assert abs(np.corrcoef(first[0], second[0])[0, 1]) < 0.02
    assert np.abs(np.corrcoef(first) - np.eye(4)).max() < 0.02


def test_inputs_clip_at_full_scale(crooked_text: str, tmp_path: Path, lab_rig: Lab) -> None:
    loud = lab_rig(parse(f"{crooked_text}{QUIET}sensitivity_db_spl = 130\n", tmp_path)).interface
    heard = loud.capture(tone(600.0, 8000, channel=0)).x
    assert np.abs(heard).max() == 1.0
    assert np.count_nonzero(np.abs(heard[2]) == 1.0) > 1000


def test_hum_is_in_the_microphones_with_its_harmonics(crooked_text: str, tmp_path: Path, lab_rig: Lab) -> None:
    rig = lab_rig(
        parse(
            f"{crooked_text}{QUIET}[lab.hum]\nlevel_dbfs = -70\nfrequency_hz = 60\nharmonics_db = [-9, -4]\n", tmp_path
        )
    )
    silence = np.zeros((6, FS // 2), dtype=np.float32)
    x = np.concatenate([rig.interface.capture(silence).x for _ in range(2)], axis=1).astype(float)
    assert db(np.sqrt(np.mean(x[[0, 2, 3]] ** 2, axis=1))) == pytest.approx(np.full(3, -70.0), abs=0.15)
    assert db(x[LOOP].std()) < -140.0
    lines = np.abs(np.fft.rfft(x[2] * np.hanning(FS)))[[60, 120, 180, 240]]
    assert db(lines[1:3] / lines[0]) == pytest.approx([-9.0, -4.0], abs=0.3)
    assert db(lines[3] / lines[0]) < -50.0


def test_channels_leak_into_their_neighbours(crooked_text: str, tmp_path: Path, lab_rig: Lab) -> None:
    rig = lab_rig(parse(f"{crooked_text}{QUIET}[lab.crosstalk]\ninputs_db = -60\noutputs_db = -50\n", tmp_path))
    n = 12000
    heard = rig.interface.capture(tone(997.0, n)).x[:, n // 2 :].astype(float)
    plain = lab_rig(parse(crooked_text + QUIET, tmp_path)).interface
    y = tone(997.0, n)
    y[4] = y[5] * 10 ** (-50 / 20)
    through_woofer = plain.capture(y).x[:, n // 2 :].astype(float)
    loop = through_woofer[LOOP]
    assert np.std(heard[0] - through_woofer[0] - 1e-3 * loop) < 1e-3 * np.std(heard[0])
    assert np.std(heard[3] - through_woofer[3] - 1e-3 * through_woofer[2]) < 1e-3 * np.std(heard[3])


def test_everything_at_once_gives_the_same_bytes_again(crooked_text: str, tmp_path: Path, lab_rig: Lab) -> None:
    more = (
        "clock_ppm = 22.0\nlatency_spread_samples = 9\n[lab.hum]\nlevel_dbfs = -80\n[lab.distortion]\nh2_percent = 1\n"
        "[lab.thermal]\ndrop_db = 1\n[lab.crosstalk]\ninputs_db = -70\noutputs_db = -70\n"
        '[lab.faults]\nschedule = ["slam at=2 s=0.05", "speech at=1 for=0.2", "drop at=2 s=0.1"]\n'
    )
    y = np.random.default_rng(1).uniform(-0.3, 0.3, (6, 12000)).astype(np.float32)
    described: Description = parse(crooked_text + more, tmp_path)
    labs = [lab_rig(described, serial).interface for serial in ("A", "A", "B")]
    first, again, other = ([lab.capture(y).x.tobytes() for _ in range(2)] for lab in labs)
    assert first == again
    assert first[0] != other[0]
    assert first[0] != first[1]


def test_clocks_and_motors_need_latency(crooked_text: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"lab.latency_samples: 100 is too few .* at least 128"):
        parse(f"{crooked_text}latency_samples = 100\nclock_ppm = 3.0\n[lab.distortion]\nh2_percent = 1\n", tmp_path)


@pytest.mark.parametrize("bits", [8, 16, 24])
def test_converters_deliver_whole_counts_nearest_to_the_signal(bits: int) -> None:
    x = np.random.default_rng(3).uniform(-1.2, 1.2, (3, 5000)).astype(np.float32)
    delivered = electrical.digital(x, LabTable(converter_bits=bits, converter_noise_dbfs=-40.0))
    counts = delivered.astype(np.float64) * 2.0 ** (bits - 1)
    assert np.array_equal(counts, np.round(counts))
    assert np.abs(counts).max() == 2.0 ** (bits - 1)
    inside = np.abs(x) <= 1.0
    assert np.abs(counts - x.astype(np.float64) * 2.0 ** (bits - 1))[inside].max() <= 0.5


def test_above_24_bits_samples_keep_single_precision() -> None:
    x = np.random.default_rng(3).uniform(-0.9, 0.9, (2, 5000)).astype(np.float32)
    assert np.array_equal(electrical.digital(x, LabTable(converter_bits=32)), x)
    assert not np.array_equal(electrical.digital(x, LabTable(converter_bits=24)), x)


@pytest.mark.parametrize(("noise_dbfs", "ideal"), [(-149.0, False), (-150.0, True)])
def test_converters_with_less_noise_than_that_of_rounding_are_ideal(noise_dbfs: float, ideal: bool) -> None:
    x = np.random.default_rng(3).uniform(-0.9, 0.9, (2, 5000)).astype(np.float32)
    assert np.array_equal(electrical.digital(x, LabTable(converter_noise_dbfs=noise_dbfs)), x) == ideal


def test_captures_of_the_lab_are_counts_of_its_converters() -> None:
    text = find("crooked").read_text(encoding="utf-8")
    for bits, whole in ((24, True), (32, False)):
        rig = parse(text.replace("[lab]", f"[lab]\nconverter_bits = {bits}", 1), folder=Path("."))
        with open_rig(rig, serial="S-1") as made:
            x = made.interface.capture(np.zeros((rig.outputs, 4000), dtype=np.float32)).x
        assert np.any(x)
        counts = x.astype(np.float64) * 2.0**23
        assert np.array_equal(counts, np.round(counts)) == whole

"""The upmix on a scene with known parts, and on real music: how well the centre is found, and what leaks into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from sweetspot.processor.choices import METHODS
from sweetspot.processor.filterset import UpmixSettings
from sweetspot.processor.upmix import chosen

Real = NDArray[Any]
FS = 48000
DATA = Path(__file__).parents[2].parent / "shared" / "data"
SINGING = [m for m in METHODS if m != "off"]


def voice(seed: int, seconds: float, low: float, high: float) -> Real:
    """Notes of random pitch and length with harmonics, some vibrato, and pauses: sparse as music is."""
    rng, n = np.random.default_rng(seed), round(seconds * FS)
    y, at = np.zeros(n), 0
    while at < n:
        length = min(int(rng.uniform(0.15, 0.7) * FS), n - at)
        t = np.arange(length) / FS
        pitch = rng.uniform(low, high) * (1.0 + 0.004 * np.sin(2 * np.pi * 5.5 * t))
        phase = 2 * np.pi * np.cumsum(pitch) / FS
        count = int(min(25, 16000 // high))
        tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, count + 1))
        fade = np.minimum(1.0, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.02 * FS))
        y[at : at + length] += tone * fade * np.exp(-1.5 * t)
        at += length + int(rng.uniform(0.0, 0.2) * FS)
    return np.asarray(0.1 * y / np.sqrt(np.mean(y**2)))


def parts(seconds: float = 8.0) -> dict[str, Real]:
    """Stereo ``(2, samples)`` of each: a voice in the middle, two hard-panned, ambience."""
    n = round(seconds * FS)
    ambience = 0.02 * np.random.default_rng(9).standard_normal((2, n))
    hard = [voice(2, seconds, 90, 300), voice(3, seconds, 300, 900)]
    return {
        "middle": np.tile(voice(1, seconds, 150, 500), (2, 1)),
        "left": np.stack([hard[0], np.zeros(n)]),
        "right": np.stack([np.zeros(n), hard[1]]),
        "ambience": ambience,
    }


def programs(x: Real, method: str, **kw: Any) -> Real:
    """Left, right and centre, delay taken out."""
    up = chosen(UpmixSettings(method=method, **kw), FS)
    return up.process(np.concatenate([x, np.zeros((2, up.latency))], axis=1))[:, up.latency :]


def shares(centre: Real, wanted: dict[str, Real]) -> tuple[dict[str, float], float]:
    """Gain of each part in the centre by least squares, and the signal-to-distortion ratio in dB."""
    names = [k for k in wanted if k != "ambience"]
    basis = np.stack([wanted[k].sum(axis=0) / (2 if k == "middle" else 1) for k in names])
    gains = np.linalg.lstsq(basis.T, centre, rcond=None)[0]
    middle = basis[names.index("middle")]
    rest = centre - gains[names.index("middle")] * middle
    sdr = 10 * np.log10(np.sum((centre - rest) ** 2) / np.sum(rest**2))
    return dict(zip(names, map(float, gains), strict=True)), float(sdr)


def correlation(a: Real, b: Real) -> float:
    return float(abs(a @ b) / np.sqrt((a @ a) * (b @ b)))


SDR_DB = {"soft-projection": 10.0, "projection": 6.0, "similarity": 6.0, "pca": 5.0, "low-latency": 8.0}
LEAK_DB = {"soft-projection": -26.0, "projection": -20.0, "similarity": -25.0, "pca": -20.0, "low-latency": -24.0}


@pytest.mark.parametrize("method", SINGING)
def test_the_voice_in_the_middle_is_found_and_hard_panned_ones_stay_out(method: str) -> None:
    scene = parts()
    centre = programs(sum(scene.values()), method)[2]
    gains, sdr = shares(centre, scene)
    leak = 20 * np.log10(max(abs(gains["left"]), abs(gains["right"])))
    print(f"{method}: SDR {sdr:.1f} dB, middle {gains['middle']:.2f}, leak {leak:.1f} dB")
    assert 0.55 < gains["middle"] < 1.1
    assert sdr > SDR_DB[method]
    assert leak < LEAK_DB[method]


def share(method: str, imbalance_db: float, ambience: float) -> float:
    """Gain of a voice near the middle in the centre, by least squares, beside independent noise."""
    wanted, tilt = voice(1, 3.0, 150, 500), 10 ** (imbalance_db / 40)
    noise = ambience * 0.1 * np.random.default_rng(11).standard_normal((2, wanted.size))
    centre = programs(np.stack([tilt * wanted, wanted / tilt]) + noise, method)[2]
    return float(centre @ wanted / (wanted @ wanted))


@pytest.mark.parametrize("ambience", [0.0, 0.1])
@pytest.mark.parametrize("method", ["soft-projection", "low-latency"])
def test_a_voice_that_leans_to_a_side_stays_in_the_centre(method: str, ambience: float) -> None:
    for imbalance_db in (0.05, -0.5, 1.0, -1.5):
        assert share(method, imbalance_db, ambience) > 0.95, imbalance_db
    assert share(method, 10.0, ambience) < 0.1


@pytest.mark.parametrize("method", ["soft-projection", "low-latency"])
def test_a_voice_keeps_its_level_beside_a_hard_panned_one(method: str) -> None:
    """One source at a side is taken away whole; what is quieter is not the voice."""
    scene = parts(4.0)
    gains, _ = shares(programs(scene["middle"] + scene["left"], method)[2], scene)
    print(f"{method}: voice {gains['middle']:.3f}, leak {20 * np.log10(abs(gains['left'])):.1f} dB")
    assert gains["middle"] > 0.94
    assert abs(gains["left"]) < 0.1


def test_the_plain_projection_loses_what_leans_to_a_side() -> None:
    """The fault that the soft projection mends is seen by the same measure."""
    assert share("projection", 0.5, 0.0) < 0.05


@pytest.mark.parametrize("method", ["soft-projection", "low-latency"])
def test_hard_panned_voices_stay_out_beside_a_voice_that_leans(method: str) -> None:
    scene = parts()
    tilt = 10 ** (1.0 / 40)
    x = sum(scene.values()) - scene["middle"] + np.array([[tilt], [1 / tilt]]) * scene["middle"]
    gains, sdr = shares(programs(x, method)[2], scene)
    leak = 20 * np.log10(max(abs(gains["left"]), abs(gains["right"])))
    print(f"{method}: SDR {sdr:.1f} dB, leak {leak:.1f} dB")
    assert sdr > 7.0
    assert leak < -20.0


def test_a_passive_matrix_would_fail_that() -> None:
    """The same measure distinguishes a matrix from an upmix: half of each side leaks."""
    x = sum(parts(4.0).values())
    gains, sdr = shares(0.5 * (x[0] + x[1]), parts(4.0))
    assert gains["left"] > 0.45
    assert sdr < 4.0


@pytest.mark.parametrize("method", SINGING)
def test_left_and_right_are_rebuilt_by_every_method(method: str) -> None:
    x = sum(parts(1.0).values())
    left, right, centre = programs(x, method)
    assert np.max(np.abs(np.stack([left, right]) + centre - x)) < 1e-12


@pytest.mark.parametrize("method", SINGING)
def test_mono_to_the_centre_and_hard_panned_to_its_side_by_every_method(method: str) -> None:
    y = voice(5, 1.0, 100, 400)
    left, right, centre = programs(np.stack([y, y]), method)
    assert max(np.max(np.abs(left)), np.max(np.abs(right))) < 1e-6
    left, right, centre = programs(np.stack([0 * y, y]), method)
    assert max(np.max(np.abs(left)), np.max(np.abs(centre))) < 1e-6


@pytest.mark.parametrize("method", SINGING)
def test_every_method_takes_ragged_pieces(method: str) -> None:
    x = sum(parts(0.4).values())
    up = chosen(UpmixSettings(method=method), FS)
    pieces, done, rng = [], 0, np.random.default_rng(0)
    while done < x.shape[1]:
        n = int(rng.integers(0, 700))
        pieces.append(up.process(x[:, done : done + n]))
        done += n
    y = np.concatenate(pieces, axis=1)
    assert np.max(np.abs(y[:, up.latency :] - programs(x, method)[:, : y.shape[1] - up.latency])) < 1e-12


def test_the_low_latency_form_waits_less_than_three_milliseconds() -> None:
    for fs in (44100, 48000, 96000):
        assert chosen(UpmixSettings(method="low-latency"), fs).latency / fs < 3e-3


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent: no real music to upmix")
@pytest.mark.parametrize("method", SINGING)
def test_real_music(method: str) -> None:
    x, _ = sf.read(DATA / "audio" / "slow_motion_dream_excerpt.flac", always_2d=True)
    x = x.T
    left, right, centre = programs(x, method)
    found = correlation(centre[FS:], (x[0] - x[1])[FS:])
    level = 10 * np.log10(np.mean(centre**2) / np.mean(x**2))
    print(f"{method}: correlation of centre and left minus right {found:.4f}, centre {level:.1f} dB")
    assert np.isfinite(centre).all()
    assert np.max(np.abs(np.stack([left, right]) + centre - x)) < 1e-12
    if method == "projection":
        assert found < 0.01

"""Measurements made elsewhere: SOFA of several kinds, folders of WAV, text exports, recorded sweeps, into sessions."""

from __future__ import annotations

import csv
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import BeamDesign, Design
from sweetspot.measure import delays
from sweetspot.measure.incoming import HeadWish, Wish, imported, sets, text_file
from sweetspot.measure.incoming.imported_set import estimated_errors
from sweetspot.measure.incoming.listing import entries
from sweetspot.measure.incoming.sofa_file import SofaFile
from sweetspot.measure.session import Session
from sweetspot.measure.sweep import stimulus, synchronised
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file.description import parse

Command = Callable[..., subprocess.CompletedProcess[str]]


def taps_of(run: Path) -> np.ndarray:
    """Filters by default, then with a centre of fixed level: ``(design, program, driver, tap)``."""
    fixed = Design(beam=BeamDesign(level_db=0.0))
    return np.stack([steps.fitted(run, design).filters.taps for design in (Design(), fixed)])


@pytest.fixture(scope="module")
def original(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A copy of the measured run and the filters that come of it."""
    run = tmp_path_factory.mktemp("original") / measured.name
    shutil.copytree(measured, run)
    return run, taps_of(run)


@pytest.mark.parametrize("form", ["sofa", "wav"])
def test_a_session_goes_out_and_comes_back_with_the_same_filters(
    form: str, original: tuple[Path, np.ndarray], sweetspot: Command, tmp_path: Path
) -> None:
    run, taps = original
    out = (
        ["sofa", run, "--out", "files"]
        if form == "sofa"
        else ["measure", "export", run, "--to", "wav", "--out", "files"]
    )
    assert sweetspot(*out).returncode == 0
    done = sweetspot("measure", "import", "files", "--unit", "T-9", "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    with Session.read(run / "session.h5") as a, Session.read(tmp_path / outcome["run"] / "session.h5") as b:
        for name in ("ears", "polar"):
            one, two = a.responses(name), b.responses(name)
            assert (one.mics, one.drivers, two.fs) == (two.mics, two.drivers, one.fs)
            assert np.array_equal(one.positions["use"], two.positions["use"])
            after = min(one.h.shape[-1] - one.zero, two.h.shape[-1] - two.zero)
            x, y = (r.h[..., r.zero : r.zero + after] for r in (one, two))
            assert np.max(np.abs(x - y)) < 1e-6 * np.max(np.abs(x))
    again = taps_of(tmp_path / outcome["run"])
    apart = np.sum((again - taps) ** 2, axis=(2, 3)) / np.sum(taps**2, axis=(2, 3))
    assert (apart < 1e-8).all(), apart
    standard_errors_came_along(run, tmp_path / outcome["run"])


def standard_errors_came_along(run: Path, again: Path) -> None:
    with Session.read(run / "session.h5") as a, Session.read(again / "session.h5") as b:
        for name in ("ears", "polar"):
            assert np.array_equal(a.per_bin(name, "stderr"), b.per_bin(name, "stderr"))


def test_errors_of_other_responses_are_not_believed(
    original: tuple[Path, np.ndarray], sweetspot: Command, tmp_path: Path
) -> None:
    """A file of a set with other drivers beside the responses is left alone; a damaged one is named."""
    run, _ = original
    assert sweetspot("measure", "export", run, "--to", "wav", "--out", "files").returncode == 0
    manifest = tmp_path / "files" / "manifest.csv"
    rows = list(csv.reader(manifest.read_text().splitlines()))
    first = rows[1][4]
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows(r for r in rows if r[4] != first)
    found = sets(tmp_path / "files", Wish())
    assert all(s.errors is None for s in found)
    kept = tmp_path / "files" / "errors.npz"
    kept.write_bytes(kept.read_bytes()[:5000])
    with pytest.raises(BadInput, match=r"errors.npz: is damaged"):
        sets(tmp_path / "files", Wish())


def test_a_directivity_comes_in_as_the_polar_set(
    original: tuple[Path, np.ndarray], sweetspot: Command, tmp_path: Path
) -> None:
    """FreeFieldDirectivityTF out and in: the spectra of the polar set within its judged band, at its angles."""
    run, _ = original
    assert sweetspot("sofa", run, "--out", "files").returncode == 0
    done = sweetspot("measure", "import", "files/directivity.sofa", "--unit", "T-8", "--json")
    assert done.returncode == 0, done.stderr
    with (
        Session.read(run / "session.h5") as a,
        Session.read(tmp_path / json.loads(done.stdout)["run"] / "session.h5") as b,
    ):
        one, two = a.responses("polar"), b.responses("polar")
    assert (two.drivers, two.fs, two.unit) == (one.drivers, one.fs, "Pa/FS")
    assert np.allclose(two.positions["azimuth_deg"], one.positions["azimuth_deg"], atol=1e-6)
    assert np.allclose([two.positions[k] for k in "xyz"], [one.positions[k] for k in "xyz"], atol=1e-6)
    n = one.h.shape[-1] - one.zero
    f = np.fft.rfftfreq(n, 1.0 / one.fs)
    inside = (f >= one.band[0]) & (f <= one.band[1])
    want = np.fft.rfft(one.h[..., one.zero :])[..., inside]
    seconds = (np.arange(two.h.shape[-1]) - two.zero) / two.fs
    have = two.h @ np.exp(-2j * np.pi * np.outer(seconds, f[inside]))
    assert np.max(np.abs(have - want)) < 1e-4 * np.max(np.abs(want))


def test_a_silent_file_is_not_called_one_that_counts_clockwise(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "silent.sofa"
    shutil.copy(data / "hrtf" / "MIT_KEMAR_normal_pinna.sofa", file)
    with h5py.File(file, "a") as edited:
        edited["Data.IR"][...] = 0.0
    with pytest.raises(BadInput, match=r"Data\.IR is silent: it holds only zeros"):
        sets(file, Wish(head=HeadWish((25.0, -25.0))))


def test_malformed_files_are_refused_by_name(data: Path) -> None:
    """Files that crashed another reader: truncated, and with damaged metadata."""
    files = sorted((data / "malformed").glob("*.sofa"))
    assert files
    for file in files:
        with pytest.raises(BadInput, match=rf"{re.escape(file.name)}: .*damaged"):
            sets(file, Wish())


def test_ears_that_contradict_their_azimuths_are_refused(data: Path) -> None:
    large, normal = (data / "hrtf" / f"MIT_KEMAR_{p}_pinna.sofa" for p in ("large", "normal"))
    pair = (25.0, -25.0)
    with pytest.raises(BadInput, match="swap-ears"):
        sets(large, Wish(head=HeadWish(pair)))
    mended, sound = (sets(p, Wish(head=HeadWish(pair, swapped=s)))[0] for p, s in ((large, True), (normal, False)))
    for found in (mended, sound):
        energy = np.sum(found.h[0] ** 2, axis=-1)
        assert energy[0, 0] > 2.0 * energy[1, 0]  # the left speaker is louder at the left ear
        assert energy[1, 1] > 2.0 * energy[0, 1]
        assert found.at is not None
        assert found.at[0, 1] < 0 < found.at[1, 1]  # a listener who faces the unit has +y on the right


def test_delays_of_a_sofa_file_count(tmp_path: Path, data: Path) -> None:
    """The same responses with 7.25 samples in Data.Delay arrive that much later."""
    source = data / "hrtf" / "MIT_KEMAR_normal_pinna.sofa"
    late = tmp_path / "late.sofa"
    shutil.copy(source, late)
    with h5py.File(late, "r+") as file:
        file["Data.Delay"][...] = [[7.25, 7.25]]
    one, two = (sets(p, Wish(head=HeadWish((25.0, -25.0))))[0] for p in (source, late))
    n = 2048
    f = np.fft.rfftfreq(n)
    turned = np.fft.rfft(one.h[0, 0, 0], n) * np.exp(-2j * np.pi * f * 7.25)
    inside = (f > 0.02) & (f < 0.4)
    assert np.allclose(np.fft.rfft(two.h[0, 0, 0], n)[inside], turned[inside], atol=2e-3 * np.abs(turned).max())


@pytest.mark.parametrize(
    ("x", "attributes"),
    [
        ([90.0, 0.0, 2.0], {"Units": "degree, degree, metre"}),
        ([np.pi / 2.0, 0.0, 2000.0], {"Type": "Spherical", "Units": "radians radians millimetres"}),
        ([0.0, 200.0, 0.0], {"Type": "cartesian", "Units": "centimetre"}),
        ([90.0, 0.0, 2.0], {}),
    ],
)
def test_places_of_a_sofa_file_in_any_coordinates(x: list[float], attributes: dict[str, str]) -> None:
    named = {("SourcePosition", k): v for k, v in attributes.items()}
    file = SofaFile(Path("a.sofa"), "SimpleFreeFieldHRIR", {"SourcePosition": np.array([x])}, {}, named)
    assert np.allclose(file.cartesian("SourcePosition", 1), [[0.0, 2.0, 0.0]], atol=1e-9)


def test_delays_of_a_sofa_file_in_other_units() -> None:
    values = {"Data.Delay": np.array([[0.5, 1.0]]), "Data.SamplingRate": np.array([48000.0])}
    kept = {("Data.Delay", "Units"): "millisecond"}
    assert SofaFile(Path("a.sofa"), "GeneralFIR", values, {}, kept).delays((3, 2)).tolist() == [[24.0, 48.0]] * 3
    with pytest.raises(BadInput, match="delays in 'metre'"):
        SofaFile(Path("a.sofa"), "GeneralFIR", values, {}, {("Data.Delay", "Units"): "metre"}).delays((3, 2))


def test_a_table_of_responses_over_angles(data: Path) -> None:
    found = sets(data / "polar" / "NS15_02a.txt", Wish(distance_m=1.0))[0]
    assert found.kind == "polar"
    assert found.fs == 44100
    assert found.positions["azimuth_deg"].tolist() == [0, 5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 120, 150, -180]
    assert found.h.shape == (14, 1, 1, 4901)
    level = [float(np.abs(np.fft.rfft(found.h[i, 0, 0, :2048], 4096))[46]) for i in (0, 13)]
    assert 20.0 * np.log10(level[0] / level[1]) == pytest.approx(22.0, abs=1.0)  # stated beside the data


def test_a_transfer_function_as_text_comes_back_as_the_response(tmp_path: Path) -> None:
    """Level and phase with a delay of 4.3 ms, on 96 lines an octave and on even steps of 12 Hz."""
    fs, taps = 48000, 9600
    h = np.zeros(taps)
    h[206], h[230], h[251] = 1.0, -0.4, 0.2
    exact = np.fft.rfft(h)
    for name, f in (("log", 40.0 * 2.0 ** (np.arange(0, 860) / 96.0)), ("even", np.arange(36.0, 20000.0, 12.0))):
        spectrum = np.exp(-2j * np.pi * np.outer(f, np.flatnonzero(h)) / fs) @ h[h != 0]
        lines = [
            f"{a:.4f} {20 * np.log10(abs(s)):.4f} {np.degrees(np.angle(s)):.4f}"
            for a, s in zip(f, spectrum, strict=True)
        ]
        path = tmp_path / f"{name}.txt"
        path.write_text("* Measurement data saved by REW\n* Freq(Hz) SPL(dB) Phase(degrees)\n" + "\n".join(lines))
        found = np.fft.rfft(text_file.read(path, fs, taps).h[0])
        grid = np.fft.rfftfreq(taps, 1 / fs)
        inside = (grid > 60) & (grid < 18000)
        assert np.max(np.abs(found[inside] - exact[inside])) < 0.02


def test_an_impulse_response_of_rew_keeps_its_time_zero(tmp_path: Path) -> None:
    text = "* Impulse Response data saved by REW V5.31\n0.2 // Peak value before normalisation\n10 // Peak index\n"
    text += "32 // Response length\n2.0833333333333333E-5 // Sample interval (seconds)\n"
    text += "-1.0416666E-4 // Start time (seconds)\n"
    text += "* Data start\n" + "\n".join(f"{v:.6f}" for v in np.arange(32) / 100)
    (tmp_path / "woofer.txt").write_text(text)
    found = text_file.read(tmp_path / "woofer.txt", None, 100)
    assert (found.fs, found.zero, found.h.shape) == (48000, 5, (1, 32))
    (tmp_path / "comma.txt").write_text(text.replace(".", ","))
    assert np.array_equal(text_file.read(tmp_path / "comma.txt", None, 100).h, found.h)
    (tmp_path / "cut.txt").write_text(text[:-60])
    with pytest.raises(BadInput, match="is truncated: its response length is 32, 26 samples are there"):
        text_file.read(tmp_path / "cut.txt", None, 100)


def test_a_transfer_function_that_was_cut_short_is_refused_and_its_band_is_kept(tmp_path: Path) -> None:
    rows = [f"{f:.2f}\t-3.0\t{-0.1 * f:.3f}" for f in np.geomspace(25.0, 18000.0, 200)]
    for driver in ("left", "right"):
        for mic in ("ear_left", "ear_right"):
            (tmp_path / f"{driver} {mic}.frd").write_text("\n".join(rows))
    wish = Wish(pattern="{driver} {mic}")
    assert sets(tmp_path, wish)[0].band == (25.0, 18000.0)
    assert sets(tmp_path, replace(wish, fs=44100))[0].fs == 44100, "a transfer function goes with any rate"
    (tmp_path / "left ear_right.frd").write_text("\n".join(rows[:120]))
    with pytest.raises(BadInput, match=r"left ear_right.frd: ends at \d+ Hz, where others of the set end at 18000 Hz"):
        sets(tmp_path, wish)
    (tmp_path / "left ear_right.frd").write_text("\n".join(row.split("\t")[0] for row in rows))
    with pytest.raises(BadInput, match="1 column; frequency, level and phase are needed"):
        sets(tmp_path, wish)


@pytest.mark.parametrize("loopback", [True, False])
def test_recorded_sweeps(loopback: bool, tmp_path: Path) -> None:
    """Known paths of two drivers to two ears, recorded late and with noise: the paths come back."""
    fs = 44100
    rng = np.random.default_rng(5)
    sweep = synchronised((60.0, 18000.0), 1.5, fs)
    played = stimulus(sweep, 0.5, round(0.3 * fs))
    soundfile.write(tmp_path / "sweep.wav", played, fs, subtype="FLOAT")
    paths = {}
    (tmp_path / "rec").mkdir()
    for position in range(2):
        for d, driver in enumerate(("low", "high")):
            h = np.zeros((2, 600))
            for ear in range(2):
                h[ear, 260 + 9 * position + 20 * d + 7 * ear] = 0.5 - 0.1 * ear
                h[ear, 400 + 11 * d] = 0.1
            paths[position, driver] = h
            rows = [np.convolve(played, one)[: len(played)] for one in h]
            late = 1234 + (400 * position if loopback else 0)
            rows = (
                [np.pad(r, (late, 500)) for r in (*rows, 0.9 * played)]
                if loopback
                else [np.pad(r, (late, 500)) for r in rows]
            )
            x = np.stack(rows, axis=1) + 1e-4 * rng.standard_normal((len(rows[0]), len(rows)))
            soundfile.write(tmp_path / "rec" / f"ears_p{position}_{driver}.wav", x, fs, subtype="FLOAT")
    wish = Wish(stimulus=tmp_path / "sweep.wav", loopback=3 if loopback else None, after_ms=60.0, distance_m=2.0)
    found = sets(tmp_path / "rec", wish)[0]
    assert found.drivers == ("low", "high") or set(found.drivers) == {"low", "high"}
    assert (found.zero is not None) == loopback
    assert found.errors is not None
    for (position, driver), h in paths.items():
        got = found.h[position, :, found.drivers.index(driver)]
        n = 1 << 13
        f = np.fft.rfftfreq(n, 1 / fs)
        inside = (f > 100) & (f < 15000)
        start = found.zero if loopback else int(np.argmax(np.abs(found.h[0, 0, found.drivers.index("low")]))) - 260
        have = np.fft.rfft(got, n)[:, inside] * np.exp(2j * np.pi * f[inside] * start / fs)
        want = np.fft.rfft(h, n)[:, inside] / (0.9 if loopback else 1.0)
        error = np.sum(np.abs(have - want * (0.9 if loopback else 1.0)) ** 2) / np.sum(np.abs(want) ** 2)
        assert 10 * np.log10(error) < -40.0


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file or folder"):
        sets(tmp_path / "gone", Wish())
    (tmp_path / "a").mkdir()
    with pytest.raises(BadInput, match="no file ends in"):
        sets(tmp_path / "a", Wish())
    soundfile.write(tmp_path / "a" / "ears_p0_left.wav", np.zeros((100, 3)) + 0.1, 48000)
    with pytest.raises(BadInput, match="3 channels"):
        sets(tmp_path / "a", Wish())
    soundfile.write(tmp_path / "a" / "ears_p0_left.wav", np.ones((40000, 2)), 48000, subtype="FLOAT")
    sweep = synchronised((50.0, 15000.0), 0.5, 48000)
    soundfile.write(tmp_path / "s.wav", stimulus(sweep, 0.5, 100), 48000, subtype="FLOAT")
    with pytest.raises(BadInput, match=r"sweeps of s.wav: ears_p0_left.wav: reaches full scale"):
        sets(tmp_path / "a", Wish(stimulus=tmp_path / "s.wav"))
    with pytest.raises(BadInput, match="no \\{driver\\}"):
        sets(tmp_path / "a", Wish(pattern="{mic}"))
    with (tmp_path / "u.csv").open("w") as file:
        csv.writer(file).writerows([["file", "driver", "use"], ["a/ears_p0_left.wav", "left", "seat"]])
    with pytest.raises(BadInput, match="use 'seat' is none of design, score, anchor"):
        sets(tmp_path / "a", Wish(manifest=tmp_path / "u.csv"))
    with (tmp_path / "m.csv").open("w") as file:
        csv.writer(file).writerows([["file", "driver", "postion"], ["a/ears_p0_left.wav", "left", "1"]])
    with pytest.raises(BadInput, match="'postion' is not known"):
        sets(tmp_path / "a", Wish(manifest=tmp_path / "m.csv"))


def test_a_file_that_was_cut_short_is_refused_and_a_silent_one_is_named(sweetspot: Command, tmp_path: Path) -> None:
    rng, place = np.random.default_rng(5), tmp_path / "wav"
    place.mkdir()
    for driver in ("left", "right", "front"):
        for position in (1, 2):
            x = 0.1 * rng.standard_normal((700, 2)) * np.exp(-np.arange(700) / 50.0)[:, None]
            soundfile.write(place / f"{driver}_{position}.wav", x, 48000, subtype="FLOAT")
    wish = Wish(pattern="{driver}_{position}")
    assert not sets(place, wish)[0].silent
    soundfile.write(place / "right_2.wav", np.zeros((700, 2)), 48000, subtype="FLOAT")
    assert sets(place, wish)[0].silent[0] == "'right' is silent at 'ear_left', position 2"
    done = sweetspot("measure", "import", "wav", "--unit", "ONE", "--pattern", "{driver}_{position}")
    assert done.returncode == 0, done.stderr
    assert "'right' is silent at 'ear_left', position 2, which calibrate refuses" in " ".join(done.stdout.split())
    made, then = done.stdout.splitlines()[-2:]
    assert then == f"next: sweetspot calibrate {made}"
    soundfile.write(place / "right_2.wav", 0.1 * rng.standard_normal((7, 2)), 48000, subtype="FLOAT")
    with pytest.raises(BadInput, match=r"right_2\.wav: 7 samples, where others of the set have 700"):
        sets(place, wish)
    with pytest.raises(BadInput, match=r"m\.csv: the manifest cannot be read: No such file or directory$"):
        sets(place, Wish(manifest=tmp_path / "m.csv"))


@pytest.mark.parametrize(
    ("pattern", "name", "mic", "driver"),
    [
        ("{mic}_{driver}", "ear_left_front", "ear_left", "front"),
        ("{mic}_{driver}", "right_front_right", "right", "front_right"),
        ("{driver}_{mic}", "front_left_ear_right", "ear_right", "front_left"),
        ("{mic}_{driver}", "boom_woofer", "boom", "woofer"),
    ],
)
def test_known_microphones_are_found_before_a_name_is_split(
    tmp_path: Path, pattern: str, name: str, mic: str, driver: str
) -> None:
    (tmp_path / f"{name}.wav").touch()
    (found,) = entries(tmp_path, ("wav",), pattern, None)
    assert (found.mic, found.driver) == (mic, driver)


def test_stated_uses_are_kept_and_the_others_chosen(tmp_path: Path) -> None:
    """A seat that only banks use stays one beside positions without a use."""
    rng, rows = np.random.default_rng(2), [["file", "set", "driver", "y", "use"]]
    for i, use in enumerate(["", "anchor", "", "", ""]):
        soundfile.write(tmp_path / f"p{i}.wav", 0.1 * rng.standard_normal((700, 2)), 48000)
        rows.append([f"p{i}.wav", "ears", "left", f"{0.1 * i:g}", use])
    with (tmp_path / "manifest.csv").open("w") as file:
        csv.writer(file).writerows(rows)
    (found,) = sets(tmp_path, Wish())
    assert found.positions["use"].tolist() == [b"design", b"anchor", b"design", b"score", b"design"]


def test_one_set_of_a_folder_is_imported_alone(tmp_path: Path) -> None:
    """Files that state the other set are left out; before it, ``--as ears`` took directions for head positions."""
    rng, rows = np.random.default_rng(2), [["file", "set", "mic", "driver", "position", "azimuth_deg"]]
    for kind, mics, count in (("ears", ("ear_left", "ear_right"), 2), ("polar", ("mic",), 3)):
        for mic, i in itertools.product(mics, range(count)):
            name = f"{kind}{i}{mic}.wav"
            soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(700), 48000)
            place = [str(i + 1), ""] if kind == "ears" else ["", f"{30 * i}"]
            rows.append([name, kind, mic, "left", *place])
    with (tmp_path / "manifest.csv").open("w") as file:
        csv.writer(file).writerows(rows)
    assert [(s.kind, s.h.shape[0]) for s in sets(tmp_path, Wish())] == [("ears", 2), ("polar", 3)]
    (ears,) = sets(tmp_path, Wish(kind="ears"))
    assert (ears.kind, ears.mics, ears.h.shape[0]) == ("ears", ("ear_left", "ear_right"), 2)
    assert ears.notes[0] == "3 files of the polar set left out"
    (polar,) = sets(tmp_path, Wish(kind="polar"))
    assert (polar.kind, polar.h.shape[0]) == ("polar", 3)
    with (tmp_path / "m.csv").open("w") as file:
        csv.writer(file).writerows([rows[0], *(r for r in rows if r[1] == "polar")])
    with pytest.raises(BadInput, match="stated to be of the polar set, not --as ears"):
        sets(tmp_path, Wish(kind="ears", manifest=tmp_path / "m.csv"))


def test_positions_of_a_rig_file_come_in_its_order_with_its_uses(tmp_path: Path, crooked_text: str) -> None:
    """Three drivers at five positions, files in another order and without uses: a verification visits the rig's."""
    rig, rng = parse(crooked_text, folder=tmp_path), np.random.default_rng(4)
    assert rig.ears is not None
    rows, level = [["file", "set", "driver", "x", "y", "yaw_deg"]], {}
    for i in (3, 0, 4, 2, 1):
        place = rig.ears.positions[i]
        for j, driver in enumerate(rig.driver_names):
            name = f"{len(rows):02d}.wav"
            x = rng.standard_normal((700, 2)) * np.exp(-np.arange(700) / 60.0)[:, None]
            level[i, j] = float(np.sum(x**2))
            soundfile.write(tmp_path / name, 0.05 * x, rig.fs, subtype="FLOAT")
            rows.append([name, "ears", driver, f"{place.x:.3f}", f"{place.y:.3f}", f"{place.yaw_deg:.1f}"])
    with (tmp_path / "manifest.csv").open("w") as file:
        csv.writer(file).writerows(rows)
    found = sets(tmp_path, Wish(distance_m=rig.ears.distance_m))
    assert found[0].positions["use"].tolist() == [b"design", b"design", b"score", b"design", b"design"]
    now = datetime(2026, 3, 4, tzinfo=UTC)
    run, notes = imported(found, "a folder", "I-7", now, runs=tmp_path / "runs", rig=rig)
    with Session.read(run / "session.h5") as session:
        ears = session.responses("ears")
    assert ears.positions["use"].tolist() == [p.use.encode() for p in rig.ears.positions]
    assert np.allclose(ears.positions["y"], [p.y for p in rig.ears.positions])
    energy = np.sum(ears.h**2, axis=(1, 3)) / 0.05**2
    assert np.allclose(energy, [[level[i, j] for j in range(3)] for i in range(5)], rtol=0.02)
    assert not any("scoring positions" in note for note in notes)
    other = parse(crooked_text.replace("x = 0.03, y = -0.02", "x = 0.09, y = -0.02"), folder=tmp_path)
    _, notes = imported(found, "a folder", "I-8", now, runs=tmp_path / "runs", rig=other)
    assert "scoring positions were not stated: 1 of 5 were chosen" in notes


def test_a_single_position_is_designed_from_and_scored_with_a_warning(sweetspot: Command, tmp_path: Path) -> None:
    """Three drivers 1.6 m from a head without a shadow, one position: calibrated, with a note on its prediction."""
    f = np.fft.rfftfreq(4096, 1.0 / 44100)
    high_pass = (1j * f / 150.0) ** 2 / (1.0 + 1.4j * f / 150.0 - (f / 150.0) ** 2) / (1.0 + 1j * f / 18000.0)
    (tmp_path / "wav").mkdir()
    for driver, y in (("left", 0.08), ("right", -0.07), ("front", 0.01)):
        paths = [(1.6 + 0.05 * np.sign(ear) * -y, ear * y > 0) for ear in (-1.0, 1.0)]
        waves = [high_pass / r * np.exp(-2j * np.pi * f * (r / 343.0 + 0.002)) for r, _ in paths]
        x = [wave * (1.0 if near else 0.8) for wave, (_, near) in zip(waves, paths, strict=True)]
        h = np.fft.irfft(np.stack(x))[:, :3000] + 1e-7 * np.random.default_rng(3).standard_normal((2, 3000))
        soundfile.write(tmp_path / "wav" / f"{driver}.wav", 0.3 * h.T, 44100, subtype="FLOAT")
    done = sweetspot("measure", "import", "wav", "--unit", "ONE", "--pattern", "{driver}")
    assert done.returncode == 0, done.stderr
    assert "the only head position: used for both design and scoring" in " ".join(done.stdout.split())
    with Session.read(next((tmp_path / "runs" / "ONE").iterdir()) / "session.h5") as session:
        ears = session.responses("ears")
    assert ears.positions["use"].tolist() == [b"design", b"score"]
    assert np.array_equal(ears.h[0], ears.h[1])
    (tmp_path / "d.toml").write_text("[filter]\ntaps = 256\n")
    made = sweetspot("calibrate", "ONE", "--design", "d.toml")
    assert made.returncode == 0, made.stderr
    assert "Predicted at the design positions, optimistic" in made.stdout


def test_one_file_of_sound_is_the_driver_that_it_is_named_after(data: Path) -> None:
    """A recording of both ears by itself, and a room's response for one microphone of a polar set."""
    folder = data / "sweep_recording"
    wish = Wish(stimulus=folder / "sweep-seg-FL-mono-6.15s-48000Hz-32bit-2.93Hz-24000Hz.wav")
    (found,) = sets(folder / "FC.wav", wish)
    assert (found.kind, found.drivers, found.h.shape[:3]) == ("ears", ("FC",), (1, 2, 1))
    assert found.notes == ("too few positions to hold one out for scoring",)
    with pytest.raises(BadInput, match="1 channel; left and right ear are needed"):
        sets(data / "rir" / "living_room_1.wav", Wish())


def test_a_damaged_sofa_file_is_one_message(data: Path, tmp_path: Path) -> None:
    whole = (data / "hrtf" / "MIT_KEMAR_normal_pinna.sofa").read_bytes()
    rng = np.random.default_rng(11)
    for turn in range(20):
        damaged = bytearray(whole[: rng.integers(1000, len(whole))] if turn % 3 == 0 else whole)
        for at in rng.integers(0, min(len(damaged), 60000), 8):
            damaged[at] ^= int(rng.integers(1, 256))
        path = tmp_path / "damaged.sofa"
        path.write_bytes(bytes(damaged))
        with suppress(BadInput):
            sets(path, Wish(head=HeadWish((25.0, -25.0))))


@pytest.mark.parametrize("bins", [3, 64, 65, 200])
def test_the_delay_of_an_envelope_is_that_of_the_sum_at_each_time(bins: int) -> None:
    rng = np.random.default_rng(bins)
    f = np.sort(rng.uniform(20.0, 20000.0, bins))
    spectrum = rng.uniform(0.5, 2.0, bins) * np.exp(-2j * np.pi * f * 0.0123)
    flat = np.exp(1j * np.angle(spectrum)) * np.gradient(f) * np.exp(-((np.log(f / 1500.0) / 1.2) ** 2))
    step = 1.0 / (delays.ENVELOPE_FINE * np.clip(np.diff(f).max(), 2000.0, 8000.0))
    times = np.arange(-0.005, min(delays.ENVELOPE_S, 1.0 / np.diff(f).min()), step)
    sums = [abs(np.sum(flat * np.exp(2j * np.pi * f * t))) for t in times]
    assert delays.envelope_delay_s(f, spectrum) == times[int(np.argmax(sums))]


def ear_files(folder: Path, names: list[str], subtype: str = "FLOAT", level: float = 0.1) -> None:
    """Files of both ears, each another response that ends in silence."""
    rng = np.random.default_rng(7)
    for name in names:
        x = level * rng.standard_normal((2400, 2)) * np.exp(-np.arange(2400) / 40.0)[:, None]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, x, 48000, subtype=subtype)


@pytest.mark.parametrize(("separator", "encoding"), [(",", "utf-8-sig"), (";", "utf-8"), ("\t", "utf-16")])
def test_a_manifest_is_read_as_spreadsheets_on_windows_write_it(tmp_path: Path, separator: str, encoding: str) -> None:
    """Capital names of columns, backslashes, decimal commas, empty rows at the end, tabs in UTF-16 ("Unicode text")."""
    ear_files(tmp_path, ["sub/a.wav", "sub/b.wav"])
    x = "2.1" if separator == "," else "2,1"
    rows = [["File", "Driver", "X"], [r"sub\a.wav", "left", x], [r"sub\b.wav", "right", x], ["", "", ""]]
    text = "\r\n".join(separator.join(row) for row in rows)
    (tmp_path / "manifest.csv").write_bytes(text.encode(encoding))
    found = entries(tmp_path, ("wav",), None, None)
    assert [(e.path.name, e.driver, e.place) for e in found] == [
        ("a.wav", "left", {"x": 2.1}),
        ("b.wav", "right", {"x": 2.1}),
    ]
    (tmp_path / "manifest.csv").write_text("file,driver\n" + r"sub\c.wav,left")
    with pytest.raises(BadInput, match=r"line 2: 'sub\\c\.wav': no such file"):
        entries(tmp_path, ("wav",), None, None)


def test_files_that_fit_no_pattern_are_named_and_those_of_the_system_are_not(tmp_path: Path) -> None:
    ear_files(tmp_path, ["ears_p1_left.wav", "ears_p1_right.wav", "ears_P2-left.wav"])
    (tmp_path / "._ears_p1_left.wav").write_bytes(bytes(200))
    (note,) = [n for n in sets(tmp_path, Wish())[0].notes if "left out" in n]
    assert note == "1 file left out, as no pattern fits: ears_P2-left.wav"
    (tmp_path / "ears_P2-left.wav").unlink()
    assert not any("left out" in n for n in sets(tmp_path, Wish())[0].notes)


def test_a_direction_in_two_files_is_named_with_both(tmp_path: Path) -> None:
    for degrees in (-180, 0, 180):
        soundfile.write(tmp_path / f"front_hor_{degrees}.wav", np.ones(100) * 0.1, 48000)
    with pytest.raises(BadInput, match=r"front_hor_180\.wav: .*azimuth -180 degrees, is also in front_hor_-180\.wav"):
        sets(tmp_path, Wish())


@pytest.mark.parametrize(("level", "text"), [(0.0, "all responses are silent"), (1e30, "at most 101325 .pascal")])
def test_what_no_session_can_hold_leaves_no_run(sweetspot: Command, tmp_path: Path, level: float, text: str) -> None:
    ear_files(tmp_path / "wav", ["ears_p1_left.wav", "ears_p1_right.wav"], level=level)
    done = sweetspot("measure", "import", "wav", "--unit", "ONE")
    assert done.returncode == 2
    assert re.search(text, done.stderr)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24), ("FLOAT", 0)])
def test_samples_in_steps_are_as_noisy_as_their_rounding(tmp_path: Path, subtype: str, bits: int) -> None:
    """Tails of 16 bits are exactly zero, which was taken for a noise of -120 dB."""
    ear_files(tmp_path, ["ears_p1_left.wav", "ears_p1_right.wav"], subtype, level=0.01)
    (found,) = sets(tmp_path, Wish())
    rounding = 2.0 ** (1 - bits) / 12.0**0.5 * 2400**0.5 if bits else 0.0
    errors = estimated_errors(found.h, 0, found.step)
    assert (errors >= 0.999 * rounding).all()
    if bits:
        exact = np.random.default_rng(7).standard_normal((2400, 2)) * np.exp(-np.arange(2400) / 40.0)[:, None] * 0.01
        wrong = np.fft.rfft(found.h[0, :, 0] - exact.T)
        assert np.sqrt(np.mean(np.abs(wrong) ** 2)) == pytest.approx(rounding, rel=0.6)


def test_a_value_that_is_no_number_is_named_with_its_file(tmp_path: Path) -> None:
    """In a recorded sweep it was a missing response, in the stimulus one without energy."""
    x = np.random.default_rng(3).uniform(-0.1, 0.1, (4000, 2))
    x[30, 1] = np.nan
    soundfile.write(tmp_path / "ears_p1_left.wav", x, 48000, subtype="FLOAT")
    soundfile.write(tmp_path / "s.wav", x[:, 0], 48000, subtype="FLOAT")
    soundfile.write(tmp_path / "broken.wav", x[:, 1], 48000, subtype="FLOAT")
    for wish, name in (
        (Wish(), r"ears_p1_left\.wav: sample 30 of channel 2"),
        (Wish(stimulus=tmp_path / "s.wav"), r"ears_p1_left\.wav: sample 30 of channel 2"),
        (Wish(stimulus=tmp_path / "broken.wav"), r"broken\.wav: sample 30 of channel 1"),
    ):
        with pytest.raises(BadInput, match=name + " is not a number"):
            sets(tmp_path, wish)


@pytest.mark.parametrize("metres", [2000.0, np.inf])
def test_a_polar_microphone_in_millimetres_leaves_no_run(sweetspot: Command, tmp_path: Path, metres: float) -> None:
    """The session was written, and could not be read again."""
    for degrees in (-90, 0, 90):
        (tmp_path / "wav").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "wav" / f"front_hor_{degrees}.wav", np.ones(100) * 0.1, 48000)
    done = sweetspot("measure", "import", "wav", "--unit", "ONE", "--distance", metres)
    assert done.returncode == 2
    assert "m from the device; at most 30 m is possible: is it in cm or mm?" in " ".join(done.stderr.split())
    assert not (tmp_path / "runs").exists()

"""Exports: engines that are installed play them unmodified and answer as we do; the others by their formats' rules."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from sweetspot.processor import files, store
from sweetspot.processor.export import camilladsp, equalizerapo, jconvolver
from sweetspot.processor.export.bundles import stereo, wave
from sweetspot.processor.export.engines import ENGINES, bundle
from sweetspot.processor.export.firmware import shift
from sweetspot.processor.export.options import Options, linear
from sweetspot.processor.export.running import engine_check
from sweetspot.processor.export.unguarded import sines_gain, without_guard
from sweetspot.processor.filterset import NO_DETECTORS, FilterSet
from sweetspot.processor.partition import PartitionedMatrix
from sweetspot.rigs.errors import BadInput
from tests.filter_sets import filter_set

Real = NDArray[Any]
DATA = Path(__file__).parents[2].parent / "shared" / "data"


def wired(drivers: int) -> tuple[int, ...]:
    """Channels that are neither in order nor without gaps: the second driver on 1, the first on 4, the last on 7."""
    return (4, 1, *(c + 2 for c in range(3, drivers + 1)))[:drivers] if drivers > 1 else (2,)


def crooked(
    drivers: int = 5, taps: int = 300, fs: int = 48000, gain: float = 1.0, detectors: Real = NO_DETECTORS
) -> FilterSet:
    rng = np.random.default_rng(drivers)
    h = rng.standard_normal((3, drivers, taps)) * np.exp(-np.arange(taps) / 60.0)
    names = ("front left", "é/top", "c", "d", "e", *(f"x{i}" for i in range(20)))[:drivers]
    taps = gain * h / np.abs(h).sum(axis=(0, 2)).max()
    more = {"fs": fs, "drivers": names, "channels": wired(drivers), "delay_samples": 3, "headroom_db": 1.0}
    return filter_set(taps, "soft-projection", unit_serial="SN-1", detectors=detectors, **more)


def needs(program: str) -> pytest.MarkDecorator:
    where = engine_check.UNPACKAGED.get(program, f"apt-get install {engine_check.PACKAGES.get(program, program)}")
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is absent: {where}")


RUNNABLE = [pytest.param(e, marks=needs(p)) for e, p in engine_check.NEEDS.items() if e not in engine_check.WHOLE]
WHOLE = [pytest.param(e, marks=needs(engine_check.NEEDS[e])) for e in engine_check.WHOLE]


@pytest.mark.parametrize("engine", RUNNABLE)
@pytest.mark.parametrize(
    ("drivers", "taps", "fs"), [(5, 300, 48000), (2, 1024, 44100), (15, 77, 48000), (1, 20, 48000)]
)
def test_an_impulse_and_noise_come_out_as_ours(engine: str, drivers: int, taps: int, fs: int) -> None:
    filters = crooked(drivers, taps, fs)
    found = engine_check.check(filters, engine, bundle(filters, engine))
    assert found.error_db is not None
    assert found.error_db < -120


@pytest.mark.parametrize("engine", WHOLE)
def test_the_whole_processor_comes_out_as_ours_and_a_wrong_tap_is_found(engine: str) -> None:
    filters = crooked(3, 100, 47872)
    wrong = filters.taps.copy()
    wrong[2, 1, 50] += 1e-4
    found = engine_check.check(filters, engine, bundle(filters, engine))
    assert found.error_db is not None
    assert found.error_db < -120
    found = engine_check.check(filters, engine, bundle(replace(filters, taps=wrong), engine))
    assert found.passed is False


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent: no real music to play")
@pytest.mark.parametrize("engine", [p for p in RUNNABLE if p.values != ("firmware",)])
def test_music_comes_out_as_ours(engine: str) -> None:
    music, fs = sf.read(DATA / "audio" / "slow_motion_dream_excerpt.flac", frames=400000, always_2d=True)
    filters = crooked(5, 1024, fs)
    found = engine_check.check(filters, engine, bundle(filters, engine), music.T)
    assert found.error_db is not None
    assert found.error_db < -120


@pytest.mark.parametrize("engine", RUNNABLE)
def test_a_wrong_tap_is_found(engine: str) -> None:
    filters = crooked()
    wrong = filters.taps.copy()
    wrong[1, 3, 100] += 1e-4
    made = bundle(replace(filters, taps=wrong), engine)
    if engine == "firmware":
        right = bundle(filters, engine)
        made = replace(made, files=made.files | {k: v for k, v in right.files.items() if "reference" in k})
    found = engine_check.check(filters, engine, made)
    assert found.error_db is not None
    assert -100 < found.error_db < -40
    assert found.passed is False


@needs("cc")
def test_firmware_scales_filters_whose_sum_passes_full_scale() -> None:
    loud = crooked(gain=5.0)
    assert shift(loud) == 3
    assert shift(crooked(gain=0.9)) == 0
    assert engine_check.check(loud, "firmware", bundle(loud, "firmware")).passed


def test_a_float_wav_is_read_back_the_same_and_carries_no_time() -> None:
    x = np.random.default_rng(0).standard_normal((5, 33)).astype(np.float32)
    data = wave(x, 47872)
    y, fs = sf.read(io.BytesIO(data), dtype="float32", always_2d=True)
    assert fs == 47872
    assert np.array_equal(y.T, x)
    assert wave(x, 47872) == data


def played(taps: dict[str, Real], x: Real, routes: list[tuple[int, str, int]], drivers: int) -> Real:
    """What routes (input, file, output) give, by numpy's convolution."""
    y = np.zeros((drivers, x.shape[1] + 299))
    for source, name, o in routes:
        y[o] += np.convolve(x[source], taps[name])
    return y


def filters_in(made: dict[str, bytes]) -> dict[str, Real]:
    return {n: sf.read(io.BytesIO(d), always_2d=True)[0][:, 0] for n, d in made.items() if n.endswith(".wav")}


def test_camilladsp_by_its_own_rules() -> None:
    """Mixers, filters and pipeline followed as CamillaDSP does it."""
    filters = crooked()
    made = bundle(filters, "camilladsp").files
    conf = json.loads(made[camilladsp.CONF])
    x = np.random.default_rng(2).standard_normal((2, 400))
    channels, taps = list(x), filters_in(made)
    for step in conf["pipeline"]:
        if step["type"] == "Mixer":
            mixer = conf["mixers"][step["name"]]
            assert len(channels) == mixer["channels"]["in"]
            mixed = {m["dest"]: sum(channels[s["channel"]] for s in m["sources"]) for m in mixer["mapping"]}
            channels = [mixed.get(c, np.zeros(1)) for c in range(mixer["channels"]["out"])]
        else:
            (at,), (name,) = step["channels"], step["names"]
            channels[at] = np.convolve(channels[at], taps[conf["filters"][name]["parameters"]["filename"]])
    wanted = [sum(np.convolve(x[i], stereo(filters)[i, o]) for i in range(2)) for o in range(5)]
    assert np.allclose([channels[c - 1] for c in filters.channels], wanted, atol=1e-6)
    assert not np.any(channels[1])
    assert conf["devices"]["samplerate"] == 48000
    assert conf["devices"]["playback"]["channels"] == 7


KNOWN = {
    "devices": {"samplerate", "chunksize", "capture", "playback"},
    "capture": {"type", "filename", "extra_samples"},
    "playback": {"type", "channels", "filename", "format", "wav_header"},
    "filter": {"type", "parameters"},
    "parameters": {"type", "filename", "channel"},
    "mixer": {"channels", "mapping"},
    "mapping": {"dest", "sources"},
    "source": {"channel", "gain", "inverted"},
    "Filter": {"type", "channels", "names"},
    "Mixer": {"type", "name"},
}
"""Keys that CamillaDSP 4 takes at each place (its config structs refuse any other)."""


def test_camilladsp_gets_no_key_that_it_refuses() -> None:
    conf = json.loads(bundle(crooked(), "camilladsp").files[camilladsp.CONF])
    assert set(conf) == {"devices", "filters", "mixers", "pipeline"}
    devices = conf["devices"]
    assert set(devices) == KNOWN["devices"]
    assert set(devices["capture"]) <= KNOWN["capture"]
    assert set(devices["playback"]) == KNOWN["playback"]
    assert devices["playback"]["format"] in {"S16_LE", "S24_3_LE", "S32_LE", "F32_LE", "F64_LE"}
    for entry in conf["filters"].values():
        assert set(entry) == KNOWN["filter"]
        assert set(entry["parameters"]) == KNOWN["parameters"]
    for mixer in conf["mixers"].values():
        assert set(mixer) == KNOWN["mixer"]
        for line in mixer["mapping"]:
            assert set(line) == KNOWN["mapping"]
            assert all(set(source) == KNOWN["source"] for source in line["sources"])
    for step in conf["pipeline"]:
        assert set(step) == KNOWN[step["type"]]


@pytest.mark.parametrize("version", [2, 3, 4])
def test_camilladsp_versions_and_live_devices(version: int) -> None:
    options = Options(version=version, capture="hw:1", playback="hw:Device", backend="alsa", block=512)
    conf = json.loads(bundle(crooked(), "camilladsp", options).files[camilladsp.CONF])
    devices, step = conf["devices"], conf["pipeline"][1]
    assert devices["capture"] | devices["playback"] | {"channels": 0} == {
        **{"type": "Alsa", "device": "hw:Device", "channels": 0},
        "format": {2: "S32LE", 3: "S32LE", 4: "S32_LE"}[version],
    }
    assert (devices["capture"]["channels"], devices["playback"]["channels"], devices["chunksize"]) == (2, 7, 512)
    assert step == {"type": "Filter", "names": step["names"]} | ({"channel": 0} if version == 2 else {"channels": [0]})
    with pytest.raises(BadInput, match="version 5 is not known; choose one of: 2, 3, 4"):
        bundle(crooked(), "camilladsp", Options(version=5))
    with pytest.raises(BadInput, match="no backend 'tape'"):
        bundle(crooked(), "camilladsp", replace(options, backend="tape"))


def test_jack_engines_connect_each_driver_to_the_port_of_its_channel() -> None:
    options = Options(capture="system", playback="system")
    text = bundle(crooked(), "brutefir", options).files["matrix-jack.conf"].decode()
    assert '"system:capture_1", "system:capture_2"' in text
    assert '"system:playback_4", "system:playback_1", "system:playback_5"' in text
    lines = bundle(crooked(), "jconvolver", options).files[jconvolver.LIVE].decode().splitlines()
    assert "/output/name 4 channel_4 system:playback_4" in lines
    assert "/output/name 2 channel_2" in lines


@pytest.mark.skipif(
    shutil.which("lv2_validate") is None, reason="lv2_validate is absent: apt-get install lv2-dev sordi"
)
def test_the_plug_ins_description_is_valid(tmp_path: Path) -> None:
    files.write_all(tmp_path, bundle(crooked(), "lv2").everything())
    names = [str(tmp_path / n) for n in ("manifest.ttl", "sweetspot.ttl")]
    done = subprocess.run(["lv2_validate", *names], capture_output=True, text=True, timeout=60, check=False)
    assert "Found 0 errors" in done.stdout + done.stderr, done.stderr[-800:]


def test_the_linear_form_is_three_programs_in_two_filters() -> None:
    """C = a (L + R), L - C and R - C through their own filters, against left and right through the new ones."""
    filters, a = crooked(), 0.3
    x = np.random.default_rng(4).standard_normal((2, 500))
    c = a * (x[0] + x[1])
    wanted = PartitionedMatrix(filters.taps, 64).process(np.stack([x[0] - c, x[1] - c, c]))
    found = PartitionedMatrix(stereo(linear(filters, a)), 64).process(x)
    assert np.allclose(found, wanted, atol=1e-12)
    assert np.allclose(linear(filters, 0.0).taps, filters.taps)
    with pytest.raises(BadInput, match="holds all three programs"):
        bundle(filters, "lv2", Options(form="linear"))
    with pytest.raises(BadInput, match="no centre program"):
        linear(replace(filters, programs=("left", "right", "other")), a)


@needs("fconvolver")
def test_an_engine_plays_the_linear_form() -> None:
    options = Options(form="linear", share=0.5)
    made = bundle(crooked(), "jconvolver", options)
    assert engine_check.check(crooked(), "jconvolver", made, options=options).passed
    assert engine_check.check(crooked(), "jconvolver", made).passed is False


def test_matlab_sofa_and_rew_files_are_read_back(tmp_path: Path) -> None:
    import sofar
    from scipy.io import loadmat

    filters = crooked()
    for kind in ("mat", "sofa", "rew"):
        files.write_all(tmp_path, bundle(filters, kind).files)
    read = loadmat(tmp_path / "filters.mat")
    assert np.array_equal(read["taps"], filters.taps)
    assert read["channels"].ravel().tolist() == list(filters.channels)
    made = sofar.read_sofa(str(tmp_path / "filters.sofa"), verbose=False)
    assert np.allclose(made.Data_IR, filters.taps)
    assert made.GLOBAL_SOFAConventions == "GeneralFIR"
    text = (tmp_path / "centre_1___top.txt").read_text().splitlines()
    values = [float(v) for v in text[text.index("* Data start") + 1 :]]
    assert np.allclose(values, filters.taps[2, 1], rtol=1e-8)
    rows = np.loadtxt(tmp_path / "centre_1___top.frd", comments="*")
    wanted = filters.response(rows[:50, 0])[2, 1]
    assert np.allclose(rows[:50, 1], 20 * np.log10(np.abs(wanted)), atol=1e-3)


def test_equalizer_apo_by_its_own_rules() -> None:
    """Commands followed line by line as its parser does it."""
    filters = replace(crooked(), channels=(1, 2, 5, 6, 8))
    made = bundle(filters, "equalizerapo").files
    x = np.random.default_rng(3).standard_normal((2, 400))
    held: dict[str, Any] = {"L": x[0], "R": x[1]}
    chosen, taps = [""], filters_in(made)
    for line in made[equalizerapo.CONF].decode().splitlines():
        command, _, rest = line.partition(": ")
        if command == "Channel":
            chosen = [rest]
            assert rest == rest.upper() or rest == "all"
        elif command == "Convolution":
            held[chosen[0]] = np.convolve(held[chosen[0]], taps[rest])
        else:
            before = dict(held)
            for word in rest.split():
                name, _, terms = word.partition("=")
                held[name] = sum(0.0 if t == "0" else before[t] for t in terms.split("+"))
    wanted = [sum(np.convolve(x[i], stereo(filters)[i, o]) for i in range(2)) for o in range(5)]
    assert np.allclose([held[c] for c in ("L", "R", "RL", "RR", "SR")], wanted, atol=1e-6)
    assert held["C"] == 0.0


def test_an_engine_too_small_is_reported() -> None:
    with pytest.raises(BadInput, match="'x3' is on channel 11"):
        bundle(crooked(9), "equalizerapo")
    with pytest.raises(BadInput, match="choose one of: camilladsp"):
        bundle(crooked(), "toaster")
    with pytest.raises(BadInput, match="no program 'right'"):
        bundle(replace(crooked(), programs=("left", "centre", "other")), "wav")


@needs("fconvolver")
def test_an_engine_that_refuses_is_quoted() -> None:
    made = bundle(crooked(), "jconvolver")
    broken = replace(made, files=made.files | {jconvolver.CONF: b"/convolver/new nonsense\n"})
    with pytest.raises(BadInput, match="fconvolver refused"):
        engine_check.check(crooked(), "jconvolver", broken)


@pytest.mark.parametrize("engine", list(ENGINES))
def test_same_filters_same_bytes_and_the_notes_say_what_is_missing(engine: str) -> None:
    one, two = bundle(crooked(), engine), bundle(crooked(), engine)
    assert one.everything() == two.everything()
    if engine != "wav":
        assert "upmix" in one.everything()["README.txt"].decode()


def sweetspot(*words: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "sweetspot", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


@needs("fconvolver")
def test_the_command_writes_and_checks(tmp_path: Path) -> None:
    store.write(tmp_path / "filterset.h5", crooked())
    out = tmp_path / "new" / "deploy"
    outcome = sweetspot("export", tmp_path, "--to", "jconvolver", "--out", out, "--check", "--json")
    assert outcome.returncode == 0, outcome.stderr
    data = json.loads(outcome.stdout)
    assert data["passed"] is True
    assert data["error_db"] < -120
    assert sorted(p.name for p in out.iterdir()) == data["files"]
    outcome = sweetspot("export", tmp_path, "--to", "camilladsp", "--out", out, "--check")
    assert outcome.returncode == (0 if shutil.which("camilladsp") else 4)
    assert "check: " in outcome.stdout
    assert sweetspot("export", tmp_path, "--to", "toaster", "--out", out).returncode == 2


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        files.write_all(tmp_path / "file" / "deeper", {"a": b"b"})


@pytest.mark.parametrize("form", ["stereo", "linear"])
def test_engines_without_a_guard_get_a_gain_that_keeps_full_scale_sines_to_the_ceiling(form: str) -> None:
    loud, options = crooked(3, 300, 47872, gain=9.0), Options(form=form)
    lowered, by_db, note = without_guard(loud, "camilladsp", options)
    assert by_db > 1.0
    assert f"lowered by {by_db:.1f} dB" in note
    assert lowered.taps == pytest.approx(loud.taps * 10 ** (-by_db / 20), rel=1e-12)
    played, worst = linear(lowered, options.share) if form == "linear" else lowered, 0.0
    t = np.arange(2400) / loud.fs
    for f in np.linspace(0.0, loud.fs / 2, 700):  # sines of the worst phase, by the naive sum
        for driver in range(3):
            sides = [abs(np.sum(h * np.exp(-2j * np.pi * f * t[: h.size]))) for h in played.taps[:2, driver]]
            worst = max(worst, sum(sides))
    assert worst <= 1.001 * loud.ceiling
    assert without_guard(loud, "lv2", options) == (loud, 0.0, "")
    assert without_guard(lowered, "camilladsp", options)[1:] == (0.0, "")


def heard(gain: float) -> np.ndarray:
    """Detectors, of the filters and of the bypass, for which the sound pressure over the limit is this gain."""
    made = np.zeros((2, 3, 8))
    made[..., 0] = gain
    return made


@pytest.mark.parametrize("engine", list(ENGINES))
def test_an_spl_limit_that_nobody_can_hold_is_stated_with_every_export(engine: str) -> None:
    known, unknown = (crooked(detectors=d) for d in (heard(0.1), NO_DETECTORS))
    texts = [bundle(one, engine).everything()["README.txt"].decode() for one in (known, unknown)]
    assert ["SPL limit is not held" in text for text in texts] == [False, True]


def test_a_gain_for_the_ceiling_promises_no_spl_limit_that_is_not_known() -> None:
    loud = crooked(3, 300, 47872, gain=9.0)
    known = replace(loud, detectors=heard(0.1))
    notes = [without_guard(one, "ffmpeg")[2] for one in (known, loud)]
    assert ["dBFS and the rig's SPL limit" in note for note in notes] == [True, False]


@pytest.mark.parametrize("engine", ["wav", "rew", "mat", "sofa"])
def test_filters_at_their_own_level_state_what_they_pass(engine: str) -> None:
    quiet = crooked(gain=0.001, detectors=heard(0.1))
    loud = replace(quiet, detectors=heard(20.0))
    over = -20 * np.log10(sines_gain(loud))
    assert over == pytest.approx(20 * np.log10(2 * 20.0 / 2**0.5), abs=0.01)
    assert f"by up to {over:.1f} dB" in bundle(loud, engine).everything()["README.txt"].decode()
    assert "without them" in bundle(quiet, engine).everything()["README.txt"].decode()


def test_the_command_in_a_plug_ins_notes_finds_it(tmp_path: Path) -> None:
    assert "LV2_PATH=$(dirname $PWD) jalv" in bundle(crooked(), "lv2").use


def test_names_that_begin_with_a_dash_are_no_options_of_ffmpeg(tmp_path: Path) -> None:
    (tmp_path / "ffmpeg").write_text('#!/bin/sh\nfor last; do :; done\necho "$last"\n')
    (tmp_path / "ffmpeg").chmod(0o755)
    (tmp_path / "render.sh").write_bytes(bundle(crooked(), "ffmpeg").files["render.sh"])
    command = ["sh", "render.sh", "-in.wav", "-out.wav"]
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, timeout=20)
    assert done.stdout == "file:-out.wav\n", done.stderr

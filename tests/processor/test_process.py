"""``sweetspot process`` as a user runs it: real music, and everything that can be wrong with a file."""

from __future__ import annotations

import hashlib
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

from sweetspot import roof
from sweetspot.commands import COMMANDS
from sweetspot.processor import files, store
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.render import measured, render, render_file
from sweetspot.rigs.errors import BadInput
from tests.filter_sets import filter_set

DATA = Path(__file__).parents[2].parent / "shared" / "data"
FS = 48000
music = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent: no real music to process")


@pytest.fixture
def filters() -> FilterSet:
    rng = np.random.default_rng(0)
    h = rng.standard_normal((3, 5, 300)) * np.exp(-np.arange(300) / 40.0)
    h /= np.abs(h).sum(axis=2).max() * 2.5
    names, taps = ("one", "two", "three", "four", "five"), h - h.mean(axis=2, keepdims=True)
    more = {"fs": FS, "drivers": names, "channels": (1, 2, 3, 4, 5), "delay_samples": 8, "headroom_db": 6.0}
    return filter_set(taps, "soft-projection", unit_serial="SN", **more)


@pytest.fixture
def run_folder(tmp_path: Path, filters: FilterSet) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    store.write(folder / "filterset.h5", filters)
    return folder


def wav(path: Path, x: Any, fs: int = FS, subtype: str = "FLOAT") -> Path:
    sf.write(path, np.asarray(x).T, fs, subtype=subtype)
    return path


def sweetspot(*words: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "sweetspot", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


def stereo(n: int = 20000) -> Any:
    return np.random.default_rng(1).uniform(-0.3, 0.3, (2, n))


@music
@pytest.mark.parametrize("name", ["slow_motion_dream_excerpt.flac", "slow_motion_dream_excerpt.mp3"])
def test_real_music_gives_one_sound_channel_per_driver(tmp_path: Path, filters: FilterSet, name: str) -> None:
    with files.SoundSource(DATA / "audio" / name) as source:
        done = render_file(filters, source, tmp_path / "out.wav", subtype="FLOAT")
        seconds = source.samples / source.fs
    y, fs = sf.read(tmp_path / "out.wav", always_2d=True)
    assert fs == FS
    assert y.shape == (done.samples, 5)
    assert y.shape[0] / fs == pytest.approx(seconds + 299 / FS, abs=0.001)
    assert np.isfinite(y).all()
    assert np.max(np.abs(y)) <= filters.ceiling
    assert (np.sqrt(np.mean(y**2, axis=0)) > 1e-3).all()
    assert done.peak == pytest.approx(np.max(np.abs(y), axis=0))


def test_the_file_equals_the_rendering_of_the_array(tmp_path: Path, filters: FilterSet) -> None:
    x = stereo(150001).astype(np.float32)
    with files.SoundSource(wav(tmp_path / "in.wav", x)) as source:
        render_file(filters, source, tmp_path / "out.wav", subtype="FLOAT")
    y = sf.read(tmp_path / "out.wav")[0].T
    wanted = render(filters, x, FS, tail=True)
    assert np.max(np.abs(y - wanted)) < 2e-6 * np.max(np.abs(wanted))


def test_the_command_says_what_it_did(tmp_path: Path, run_folder: Path) -> None:
    out = tmp_path / "out.wav"
    outcome = sweetspot(
        "process", run_folder, wav(tmp_path / "in.wav", stereo(), 44100), out, "--upmix", "off", "--json"
    )
    assert outcome.returncode == 0, outcome.stderr
    data = json.loads(outcome.stdout)
    assert data["drivers"] == ["one", "two", "three", "four", "five"]
    assert len(data["peak_dbfs"]) == len(data["rms_dbfs"]) == 5
    assert data["resampled_from"] == 44100
    assert data["spl_limit_held"] is False, "filters without detectors"
    assert "44100 Hz, resampled to the filters' 48000 Hz" in outcome.stderr
    assert sf.info(out).subtype == "PCM_24"


def test_one_channel_is_refused_and_mono_plays_it_to_both_sides(tmp_path: Path, run_folder: Path) -> None:
    x = stereo()[:1]
    outcome = sweetspot("process", run_folder, wav(tmp_path / "in.wav", x), tmp_path / "out.wav")
    assert outcome.returncode == 2
    assert "has 1 channel, 2 are needed" in outcome.stderr
    assert "--mono" in outcome.stderr
    assert not (tmp_path / "out.wav").exists()
    outcome = sweetspot(
        "process", run_folder, tmp_path / "in.wav", tmp_path / "out.wav", "--mono", "--subtype", "FLOAT"
    )
    assert outcome.returncode == 0, outcome.stderr
    wanted = render(store.read(run_folder), np.repeat(x.astype(np.float32), 2, axis=0), FS, tail=True)
    assert np.max(np.abs(sf.read(tmp_path / "out.wav")[0].T - wanted)) < 1e-6


def bad_file(path: Path, what: str) -> None:
    x = stereo()
    match what:
        case "nan":
            x[1, 12345] = np.nan
            wav(path, x)
        case "infinite":
            x = stereo(100_000)
            x[0, 70_000] = -np.inf
            wav(path, x)
        case "many":
            wav(path, np.zeros((24, 10)))
        case "no samples":
            wav(path, np.zeros((2, 0)))
        case "empty":
            path.touch()
        case "counts":
            wav(path, np.round(32767 * stereo(30000) / 0.3))
        case "huge":
            wav(path, np.full((2, 30000), 3e38))
        case "text":
            path.write_text("no sound")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nan", "channel 2 holds nan at sample 12345"),
        ("many", "has 24 channels, 2 are needed .*ffmpeg -i IN -ac 2 OUT"),
        ("no samples", "has no samples"),
        ("empty", "is empty"),
        ("text", "cannot be read as sound"),
        ("folder", "is a folder"),
        ("pipe", "is a pipe or a device; a sound file is needed"),
        ("missing", "no such file"),
        ("infinite", "channel 1 holds -inf at sample 70000"),
        ("counts", r"channel 1 holds -?\d{3,5} at sample 0 .*full scale is 1, .*divide them .*32768"),
        ("huge", r"channel 1 holds 3e\+38 at sample 0"),
    ],
)
def test_a_bad_input_gets_one_message_and_leaves_the_output_alone(
    tmp_path: Path, filters: FilterSet, what: str, message: str
) -> None:
    out = tmp_path / "out.wav"
    out.write_text("precious")
    bad_file(tmp_path / "in.wav", what)
    with pytest.raises(BadInput, match=message), files.SoundSource(tmp_path / "in.wav") as source:
        render_file(filters, source, out)
    assert out.read_text() == "precious"
    assert not list(tmp_path.glob(".*"))


def test_an_interruption_leaves_nothing_behind(tmp_path: Path, filters: FilterSet) -> None:
    def interrupted(note: str) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out.wav"
    with files.SoundSource(wav(tmp_path / "in.wav", stereo(200000))) as source, pytest.raises(KeyboardInterrupt):
        render_file(filters, source, out, step=interrupted)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.wav"]


@pytest.mark.parametrize(
    ("name", "subtype", "message"),
    [
        ("out.xyz", "PCM_24", "no format"),
        ("out.flac", "FLOAT", "does not support FLOAT"),
        ("out.mp3", "PCM_24", "MP3 holds none of PCM_16, .*OUT.wav or OUT.flac"),
        ("gone/out.wav", "PCM_24", "does not exist"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(
    tmp_path: Path, filters: FilterSet, name: str, subtype: str, message: str
) -> None:
    with files.SoundSource(wav(tmp_path / "in.wav", stereo())) as source, pytest.raises(BadInput, match=message):
        render_file(filters, source, tmp_path / name, subtype=subtype)


@pytest.mark.parametrize(
    "options", [("--split", "--at-ears"), ("--split", "--measure", "m.h5"), ("--at-ears", "--measure", "m.h5")]
)
def test_options_that_would_have_no_effect_are_refused(
    tmp_path: Path, run_folder: Path, options: tuple[str, ...]
) -> None:
    outcome = sweetspot("process", run_folder, wav(tmp_path / "in.wav", stereo()), tmp_path / "out.wav", *options)
    assert outcome.returncode == 2
    assert f"{options[0]} cannot be combined with" in outcome.stderr
    assert not (tmp_path / "out.wav").exists()


def test_a_disk_without_room_is_reported_before_anything_is_written(
    tmp_path: Path, filters: FilterSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda where: shutil._ntuple_diskusage(10**6, 10**6 - 5, 5))
    with files.SoundSource(wav(tmp_path / "in.wav", stereo())) as source, pytest.raises(BadInput, match="free, 0"):
        render_file(filters, source, tmp_path / "out.wav")


def test_a_disk_that_fills_up_keeps_the_old_output(tmp_path: Path, filters: FilterSet) -> None:
    """A small file system of its own; needs the right to mount one."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small file system here")
    try:
        (small / "out.wav").write_text("precious")
        with files.SoundSource(wav(tmp_path / "in.wav", stereo(200000), 44100)) as heard:
            heard.samples = 10  # as a header that states too few
            with pytest.raises(BadInput, match="the disk is full"):
                render_file(filters, heard, small / "out.wav")
        assert (small / "out.wav").read_text() == "precious"
        assert [p.name for p in small.iterdir()] == ["out.wav"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_silence_and_a_file_that_breaks_off_are_named(tmp_path: Path, run_folder: Path) -> None:
    whole = wav(tmp_path / "whole.wav", np.zeros((2, 9000))).read_bytes()
    (tmp_path / "in.wav").write_bytes(whole[:8000])
    outcome = sweetspot("process", run_folder, tmp_path / "in.wav", tmp_path / "out.wav")
    assert outcome.returncode == 0, outcome.stderr
    assert "is truncated: its header states 72000 bytes, 79" in outcome.stderr
    assert outcome.stdout.count("silent\n") == 5
    assert "300.00 dBFS" not in outcome.stdout


def test_a_stream_without_an_end_in_its_header_does_not_break_off(tmp_path: Path) -> None:
    whole = bytearray(wav(tmp_path / "in.wav", stereo(100)).read_bytes())
    at = whole.index(b"data") + 4
    whole[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "in.wav").write_bytes(whole)
    with files.SoundSource(tmp_path / "in.wav") as source:
        assert source.cut == ""
        assert source.samples == 100


def test_full_scale_square_waves_stay_below_the_ceiling(tmp_path: Path, filters: FilterSet) -> None:
    square = np.where(np.arange(40000) // 240 % 2, 1.0, -1.0)
    loud = replace(filters, taps=4.0 * filters.taps / np.abs(filters.taps).sum(axis=(0, 2)).max())
    with files.SoundSource(wav(tmp_path / "in.wav", np.stack([square, -square]))) as source:
        done = render_file(loud, source, tmp_path / "out.wav", subtype="FLOAT")
    assert done.limited > 0
    assert np.abs(sf.read(tmp_path / "out.wav")[0]).max() <= filters.ceiling


@pytest.mark.parametrize("fs", [8000, 384000])
def test_unusual_rates(tmp_path: Path, filters: FilterSet, fs: int) -> None:
    with files.SoundSource(wav(tmp_path / "in.wav", stereo(fs // 4), fs)) as source:
        done = render_file(filters, source, tmp_path / "out.wav")
    assert done.samples == FS // 4 + 299
    assert done.resampled_from == fs


def test_sixteen_bit_is_dithered(tmp_path: Path, filters: FilterSet) -> None:
    quiet = replace(filters, taps=filters.taps * 1e-5)
    with files.SoundSource(wav(tmp_path / "in.wav", stereo())) as source:
        render_file(quiet, source, tmp_path / "out.wav", subtype="PCM_16")
    y = sf.read(tmp_path / "out.wav")[0] * 32768
    assert set(np.unique(np.round(y))) <= {-1.0, 0.0, 1.0}
    assert 0.1 < np.mean(np.abs(y)) < 0.5


def test_one_file_per_driver_holds_the_same(tmp_path: Path, run_folder: Path, filters: FilterSet) -> None:
    source, out = wav(tmp_path / "in.wav", stereo()), tmp_path / "out.wav"
    assert sweetspot("process", run_folder, source, out, "--subtype", "FLOAT").returncode == 0
    assert sweetspot("process", run_folder, source, out, "--subtype", "FLOAT", "--split").returncode == 0
    whole = sf.read(out)[0].T
    assert [p.name for p in files.parts(out, filters.drivers)][:2] == ["out_1_one.wav", "out_2_two.wav"]
    for row, part in zip(whole, files.parts(out, filters.drivers), strict=True):
        assert np.array_equal(sf.read(part)[0], row)


def test_the_processors_own_transfer_functions(tmp_path: Path, run_folder: Path, filters: FilterSet) -> None:
    out = tmp_path / "measured.h5"
    outcome = sweetspot("process", run_folder, "--measure", out)
    assert outcome.returncode == 0, outcome.stderr
    found = store.read(out)
    assert np.max(np.abs(found.taps - filters.taps)) < 1e-6 * np.max(np.abs(filters.taps))
    assert sweetspot("process", run_folder, "--measure", out, "--upmix", "off").returncode == 0
    both = filters.taps[0] + filters.taps[1]
    assert np.max(np.abs(store.read(out).taps[2] - both)) < 1e-6 * np.max(np.abs(both))
    assert sweetspot("process", run_folder).returncode == 2


def test_commands_that_start_without_the_other_rooms_are_those_of_this_one() -> None:
    def commands(*rooms: str) -> dict[str, Any]:
        return {c.name or "": c.callback for c in roof.build(*rooms).registered_commands}

    own, everything = commands("processor", "processor.export.command"), commands()
    alone = {
        name for name, command in COMMANDS.items() if set(command.rooms) <= {"processor", "processor.export.command"}
    }
    assert set(own) == alone == {"process", "play", "export"}
    assert all(everything[name] is callback for name, callback in own.items())


def test_a_file_is_processed_without_the_library_for_terminals_and_its_session_is_hashed_once(
    tmp_path: Path, run_folder: Path
) -> None:
    """As a whole, beside the loading of modules; no program is started for the record of the machine, and nothing is
    loaded that follows a listener or shows live sound.
    """
    session = run_folder / "session.h5"
    session.write_bytes(bytes(5 << 20))
    source = hashlib.sha256(session.read_bytes()).hexdigest()
    store.write(run_folder / "filterset.h5", replace(store.read(run_folder), source=source))
    asked = (
        "import subprocess, sys\n"
        "subprocess.Popen = None\n"
        "from sweetspot import command_line\n"
        "from sweetspot.rigs.storage import seal\n"
        "try: command_line.main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert [start for (_, _, size, _), start in seal._hashed if size == 5 << 20] == [0]\n"
        "assert not seal._underway\n"
        "unused = {'rich', 'sweetspot.processor.bank.walk', 'sweetspot.processor.live.console'}\n"
        "sys.exit(len(unused & set(sys.modules)))"
    )
    words = ("process", str(run_folder), str(wav(tmp_path / "in.wav", stereo())), str(tmp_path / "out.wav"))
    done = subprocess.run([sys.executable, "-c", asked, *words], capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Compiling loops")]  # of a first use
    assert (done.returncode, len(lines)) == (0, 1), done.stderr


def test_transfer_functions_of_filters_that_would_pass_the_ceiling(filters: FilterSet) -> None:
    found = measured(replace(filters, ceiling=0.01))
    assert np.max(np.abs(found.taps - filters.taps)) < 1e-5 * np.max(np.abs(filters.taps))


def test_gain_raises_what_is_quiet_and_the_guard_holds_what_is_loud(tmp_path: Path, run_folder: Path) -> None:
    quiet, loud = wav(tmp_path / "quiet.wav", 0.1 * stereo()), wav(tmp_path / "loud.wav", 3.0 * stereo())
    for name, source, gain in (("a", quiet, 0.0), ("b", quiet, -7.5), ("c", loud, 20.0)):
        done = sweetspot("process", run_folder, source, tmp_path / f"{name}.wav", "--gain", str(gain), "--json")
        assert done.returncode == 0, done.stderr
        outcome = json.loads(done.stdout)
        assert outcome["gain_db"] == gain
        assert (outcome["limiter_db"] > 0.0) == (name == "c")
    a, b, c = (sf.read(tmp_path / f"{name}.wav")[0] for name in "abc")
    assert b == pytest.approx(10 ** (-7.5 / 20) * a, abs=3e-7)
    assert 0.45 < np.abs(c).max() <= 0.5
    wrong = sweetspot("process", run_folder, quiet, tmp_path / "d.wav", "--gain", "25")
    assert wrong.returncode == 2
    assert "24" in wrong.stderr


def test_process_reports_what_the_filters_cost_in_loudness(
    tmp_path: Path, run_folder: Path, filters: FilterSet
) -> None:
    store.write(run_folder / "filterset.h5", filters, {"loudness": [json.dumps({"music": -4.25, "speech": -1.0})]})
    done = sweetspot("process", run_folder, wav(tmp_path / "in.wav", stereo()), tmp_path / "out.wav")
    assert "loudness re plain stereo at the same ceiling, predicted without gain: music -4.2 dB, speech -1.0 dB" in (
        done.stdout
    )

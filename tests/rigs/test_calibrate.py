"""Calibrations: tones of known level, judged and kept; the rig file's one line; the virtual calibrator end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sweetspot import roof
from sweetspot.measure.preflight import calibration, calibrator, files
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.interface import LabInterface
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.load import find
from sweetspot.rigs.rig_file.description import Description, parse

FS = 47872
NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
LONG = round((calibrator.SKIP_S + calibrator.SECONDS) * FS)


def tone(
    rms: float = 0.05,
    f: float = 1000.0,
    second: float = 0.0,
    noise: float = 1e-6,
    fall_db: float = 0.0,
    hum: float = 0.0,
) -> NDArray[np.float32]:
    """A calibrator's tone, made here apart from the lab's."""
    t = np.arange(LONG) / FS
    wave = np.sqrt(2) * rms * (np.sin(2 * np.pi * f * t + 0.3) + second * np.sin(4 * np.pi * f * t))
    wave *= 10 ** (-fall_db * np.clip(t - calibrator.SKIP_S, 0, None) / calibrator.SECONDS / 20)
    wave += np.sqrt(2) * hum * np.sin(2 * np.pi * 50.0 * t)
    return (wave + noise * np.random.default_rng(5).standard_normal(LONG)).astype(np.float32)


def test_a_tone_is_read_as_it_is() -> None:
    for f in (999.3, 1000.0, 250.0, 997.123):
        reading = calibrator.read(tone(f=f, second=0.01, noise=0.05 * 0.001), FS, 1000.0)
        assert reading.frequency_hz == pytest.approx(f, abs=1e-3)
        assert reading.rms == pytest.approx(0.05, rel=1e-4)
        assert reading.distortion_percent == pytest.approx(1.0, abs=0.01)
        assert reading.snr_db == pytest.approx(60.0, abs=0.2)
        assert reading.drift_db < 0.01
        assert reading.clipped == 0
        assert not calibrator.refused(reading, f)


def test_noise_and_hum_do_not_count_as_tone() -> None:
    loud = calibrator.read(tone(noise=0.0005, hum=0.005), FS, 1000.0)
    assert loud.rms == pytest.approx(0.05, rel=2e-3)
    assert loud.snr_db == pytest.approx(20.0, abs=0.3)
    assert "only 20 dB over the noise" in calibrator.refused(loud, 1000.0)[0]


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (tone(rms=0.0), "no tone in the recording"),
        (tone(f=1021.0), r"the tone is at 1021\.0 Hz, \+2\.1 % from 1000 Hz"),
        (tone(f=250.0), "another calibrator, or another --frequency"),
        (tone(fall_db=0.2), r"level drift 0\.1\d dB \(limit 0\.1 dB\): seat it firmly"),
        (tone(second=0.04), r"4\.0 % distortion \(limit 3 %\)"),
        (tone(noise=0.003), r"only 2\d dB over the noise"),
        (np.clip(tone(rms=0.75), -1, 1), "it clips: .* samples at full scale"),
    ],
    ids=["silent", "off", "another", "leak", "distorted", "noisy", "clipped"],
)
def test_what_is_no_calibration_is_refused(x: NDArray[np.float32], reason: str) -> None:
    import re

    message = calibrator.refused(calibrator.read(x, FS, 1000.0), 1000.0)
    assert any(re.search(reason, s) for s in message), message


def test_just_inside_the_limits_is_accepted() -> None:
    for x in (tone(f=1019.0), tone(fall_db=0.08), tone(second=0.029), tone(noise=0.0014)):
        assert not calibrator.refused(calibrator.read(x, FS, 1000.0), 1000.0)


def test_sensitivity_by_hand() -> None:
    """94 dB is 1.0024 Pa: 0.05 of full scale rms, full scale 0.3 V, makes 15 mV, so 14.96 mV/Pa; 114 dB ten times."""
    reading = calibrator.Reading(0.05, 1000.0, 0.0, 0.0, 0.0, 0)
    assert calibrator.sensitivity(reading, 94.0, 0.3) == pytest.approx(15.0 / 1.00237, rel=1e-4)
    assert calibrator.sensitivity(reading, 114.0, 0.3) == pytest.approx(1.5 / 1.00237, rel=1e-4)
    up = calibrator.sensitivity(reading, 94.0, 0.3, deviates=10 ** (1.0 / 20))
    assert up == pytest.approx(15.0 / 1.00237 / 1.122, rel=1e-3)
    high = calibrator.sensitivity(reading, 94.0, 0.3, hpa=900.0)
    assert high == pytest.approx(15.0 / 1.00237 * 1013.25 / 900.0, rel=1e-4)


# one calibration against a history


def listening(rig: Description, mic: str, serial: str = "T", **table: float) -> LabInterface:
    """A lab with the calibrator on a microphone."""
    pressed = "".join(f"{k} = {v}\n" for k, v in table.items())
    text = rig.text + f'[lab.calibrator]\nmic = "{mic}"\n{pressed}'
    return LabInterface(World(parse(text, folder=rig.folder), serial), lambda: NOON)


def calibrated(rig: Description, history: list[dict[str, Any]], on: str = "boom", **options: Any) -> Any:
    table = {k: options.pop(k) for k in ("level_db_spl", "leak_db_per_s", "frequency_hz") if k in options}
    interface = options.pop("interface", None) or listening(rig, on, **table)
    wanted = {"level_db_spl": 94.0, "frequency_hz": 1000.0, **options}
    return calibration.calibrate(rig, interface, calibration.chosen(rig, "boom"), history, **wanted)


once = calibrated


def test_the_virtual_calibrator(crooked: Description) -> None:
    found = calibrated(crooked, [])
    assert found.accepted
    assert found.mv_per_pa == pytest.approx(20.0, rel=1e-4), "boom is a 20 mV/Pa microphone"
    assert found.change_db is None
    assert found.reading.distortion_percent == pytest.approx(0.5, abs=0.01)


def test_the_cavity_lets_nothing_else_in(crooked: Description) -> None:
    world = listening(crooked, "boom").world
    paths = world.paths(Pose())
    assert not paths[2].any()
    assert paths[0].any()


def test_on_another_microphone(crooked: Description) -> None:
    found = calibrated(crooked, [], on="ear_left")
    assert not found.accepted
    assert any("ear_left (input 4) has a tone of 1000 Hz" in r for r in found.reasons), found.reasons


def test_a_leak(crooked: Description) -> None:
    assert "seat it firmly" in calibrated(crooked, [], leak_db_per_s=0.05).reasons[0]


def test_jumps_against_the_history(crooked: Description) -> None:
    pressed = listening(crooked, "boom")

    def calibrated(rig: Description, history: list[dict[str, Any]], **options: Any) -> Any:
        return once(rig, history, interface=pressed, **options)

    def before(mv: float, **more: Any) -> list[dict[str, Any]]:
        return [{"mic": "boom", "sensitivity_mv_per_pa": mv, "accepted": True, "when": "yesterday", **more}]

    fine = calibrated(crooked, before(20.2))
    assert fine.accepted
    assert fine.notes == ()
    assert fine.change_db == pytest.approx(-0.086, abs=0.01)
    noted = calibrated(crooked, before(21.0))
    assert noted.accepted
    assert "-0.42 dB against 21 mV/Pa of yesterday" in noted.notes[0]
    jump = calibrated(crooked, before(30.0))
    assert not jump.accepted
    assert "-3.52 dB against 30 mV/Pa of yesterday (limit 1 dB)" in jump.reasons[0]
    assert calibrated(crooked, before(30.0), accept=True).accepted
    assert calibrated(crooked, before(30.0, accepted=False)).accepted, "what was refused does not count"
    assert calibrated(crooked, [*before(30.0), *before(20.0)]).accepted, "the last one counts"
    assert calibrated(crooked, before(30.0, mic="ear_left")).accepted


def test_a_correction_file_states_the_level_at_the_tone(crooked_text: str, tmp_path: Path) -> None:
    """The sensitivity belongs to 0 dB of the file: at 250 Hz this microphone is 2 dB up."""
    (tmp_path / "mic.txt").write_text("*1000Hz -34.0\n20 2\n500 2\n1000 0\n20000 0\n")
    text = crooked_text.replace('name = "boom"\n', 'name = "boom"\ncalibration = "mic.txt"\n')
    rig = parse(text, folder=tmp_path)
    interface = listening(rig, "boom", frequency_hz=250.0)
    found = calibration.calibrate(
        rig, interface, calibration.chosen(rig, "boom"), [], level_db_spl=94.0, frequency_hz=250.0
    )
    assert found.mv_per_pa == pytest.approx(20.0 * 10 ** (-2 / 20), rel=1e-3)
    assert any("re the maker's file" in n for n in found.notes)


def test_a_microphone_that_there_is_not(crooked: Description) -> None:
    with pytest.raises(BadInput, match="no microphone 'bom'; it has: ear_right, boom, ear_left"):
        calibration.chosen(crooked, "bom")


# files


def test_history_is_appended_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "h.jsonl"
    assert files.entries(file) == []
    for mv in (12.0, 13.0):
        files.append(file, {"mic": "a", "sensitivity_mv_per_pa": mv, "accepted": mv < 13})
    found = files.entries(file)
    assert [e["sensitivity_mv_per_pa"] for e in found] == [12.0, 13.0]
    last = files.last(found, "a")
    assert last is not None
    assert last["sensitivity_mv_per_pa"] == 12.0
    assert files.last(found, "b") is None
    with file.open("a") as more:
        more.write('{"mic": "a"}\n')
    with pytest.raises(BadInput, match=r"h\.jsonl, line 3: is no calibration"):
        files.entries(file)


def test_only_one_line_of_a_rig_file_changes(crooked_text: str, tmp_path: Path) -> None:
    text = crooked_text.replace("sensitivity_mv_per_pa = 20.0", "sensitivity_mv_per_pa = 20.0   # of 2019, keep me")
    text = text.replace(
        'name = "ear_left"\nchannel = 4\nsensitivity_mv_per_pa = 14.0', "name = 'ear_left'\nchannel = 4"
    )
    for ending in ("\n", "\r\n"):
        path = tmp_path / "rig.toml"
        path.write_bytes(text.replace("\n", ending).encode())
        rig = parse(path.read_text(), folder=tmp_path)
        files.write_sensitivity(path, rig, "boom", 21.23456)
        was, now = text.splitlines(), path.read_bytes().decode().split(ending)
        changed = [(a, b) for a, b in zip(was, now, strict=False) if a != b]
        assert changed == [
            ("sensitivity_mv_per_pa = 20.0   # of 2019, keep me", "sensitivity_mv_per_pa = 21.23   # of 2019, keep me")
        ]
        again = parse(path.read_text(), folder=tmp_path)
        files.write_sensitivity(path, again, "ear_left", 9.5)
        final = parse(path.read_text(), folder=tmp_path)
        assert {m.name: m.sensitivity_mv_per_pa for m in final.mic} == {
            "ear_right": 11.0,
            "boom": 21.23,
            "ear_left": 9.5,
        }
        assert (b"\r\n" in path.read_bytes()) == (ending == "\r\n")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["rig.toml"]


def test_a_rig_file_that_cannot_be_edited_stays(crooked_text: str, tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(crooked_text)
    rig = parse(crooked_text, folder=tmp_path)
    path.write_text(crooked_text + "# changed\n")
    with pytest.raises(BadInput, match="was changed in the meantime"):
        files.write_sensitivity(path, rig, "boom", 21.0)
    inline = "mic = [ { name = 'ear_left', channel = 1 } ]\n"
    with pytest.raises(BadInput, match=r"no \[\[mic\]\] table of its own for 'ear_left'"):
        files.with_sensitivity(inline, "ear_left", 12.0)
    assert path.read_text() == crooked_text + "# changed\n"


# the commands


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the command line in this process: exit code, stdout."""

    def run(*args: str | Path) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "300")
        code = roof.build()([str(a) for a in args], standalone_mode=False) or 0
        return code, capsys.readouterr().out

    return run


def test_the_command(command: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    rig = tmp_path / "mine.toml"
    rig.write_text(find("desk").read_text() + '\n[lab.calibrator]\nmic = "ear_right"\nlevel_db_spl = 114.0\n')
    code, message = command("rig", "calibrate", rig, "--mic", "ear_right", "--level", "114", "--json")
    assert code == 0
    assert json.loads(message)["sensitivity_mv_per_pa"] == pytest.approx(12.5, rel=1e-3)
    code, message = command("rig", "calibrate", rig, "--mic", "ear_right", "--level", "94", "--write")
    assert code == 1
    assert "REFUSED: +20.00 dB against 12.5 mV/Pa" in message
    assert "sensitivity_mv_per_pa = 12.5\n" in rig.read_text()
    code, _ = command("rig", "calibrate", rig, "--mic", "ear_right", "--level", "94", "--write", "--accept")
    assert code == 0
    assert rig.read_text().count("sensitivity_mv_per_pa = 125") == 1
    kept = [json.loads(line) for line in (tmp_path / "mine.calibrations.jsonl").read_text().splitlines()]
    assert [e["accepted"] for e in kept] == [True, False, True]
    assert all(e["when"].endswith("+00:00") for e in kept)


def test_a_ready_made_rig_is_not_written(command: Callable[..., tuple[int, str]]) -> None:
    with pytest.raises(BadInput, match="copy it"):
        command("rig", "calibrate", "desk", "--mic", "polar", "--write")


def test_a_correction_file_is_reported(command: Callable[..., tuple[int, str]], data: Path, tmp_path: Path) -> None:
    code, message = command("rig", "microphone", data / "mic_cal" / "miniDSP_UMIK-1_SN7047870_90deg.txt", "--json")
    assert code == 0
    found = json.loads(message)
    assert (found["maker"], found["serial"], found["points"]) == ("miniDSP UMIK-1", "7047870", 615)
    (tmp_path / "wide.txt").write_bytes("20 1\n2000 2\n".encode("utf-16"))
    assert "2 points from 20 Hz" in command("rig", "microphone", tmp_path / "wide.txt")[1]

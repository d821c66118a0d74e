"""Bad input and trouble, typed as a user would: one clear message, the right exit code, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from sweetspot.calibrate.fleet.ledger import Ledger
from sweetspot.measure import folder, plan
from sweetspot.measure.session import Session, disk
from sweetspot.processor import store
from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.rig_file.description import parse
from sweetspot.roof import build
from sweetspot.trace import refused_by_system
from tests.filter_sets import filter_set

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def rig(tmp_path: Path, crooked_text: str) -> Path:
    """The crooked rig as a file."""
    path = tmp_path / "crooked.toml"
    path.write_text(crooked_text)
    return path


@pytest.fixture
def filterset(tmp_path: Path) -> Path:
    """A small filterset for two drivers."""
    taps = np.zeros((3, 2, 64))
    taps[0, 0, 8] = taps[1, 1, 8] = taps[2, :, 8] = 0.4
    path = tmp_path / "filterset.h5"
    more = {"fs": 48000, "channels": (1, 2), "delay_samples": 8, "headroom_db": 8.0, "unit_serial": "T-1"}
    store.write(path, filter_set(taps, "soft-projection", **more))
    return path


def outcome(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One message without a traceback, with these words and this exit code."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    message = " ".join((done.stdout + done.stderr).split())
    for word in words:
        assert word in message, message


def test_missing_rig_file(sweetspot: Run, rig: Path) -> None:
    outcome(
        sweetspot("measure", "ears", "croked.toml", "--unit", "1"), 2, "croked.toml: no such rig file", "crooked.toml"
    )


def test_unknown_ready_made_rig(sweetspot: Run) -> None:
    outcome(sweetspot("measure", "ears", "dsk", "--unit", "1"), 2, "dsk", "did you mean 'desk'?")


def test_a_rig_that_does_not_open_leaves_no_run(sweetspot: Run, rig: Path) -> None:
    """No audio server, or none with such a device: the message has a remedy, and no empty folder is left."""
    text = rig.read_text().replace('driver = "lab"', 'driver = "portaudio"\ndevice = "no such box"', 1)
    rig.write_text(text.replace('driver = "lab"', 'driver = "fixed"', 1))
    done = sweetspot("measure", "ears", rig, "--unit", "1")
    outcome(done, 3, "interface.device: no audio device's name holds 'no such box'")
    assert not (rig.parent / "runs").exists()


def test_broken_toml(sweetspot: Run, rig: Path) -> None:
    rig.write_text(rig.read_text().replace("[limits]", "[limits"))
    outcome(sweetspot("measure", "ears", rig, "--unit", "1"), 2, "not valid TOML", "line")


def test_faults_in_the_rig(sweetspot: Run, rig: Path) -> None:
    rig.write_text(rig.read_text().replace("ceiling_dbfs = -5.0", "ceiling_dbfs = 3.0\nlodest_db_spl = 90"))
    outcome(
        sweetspot("measure", "ears", rig, "--unit", "1"), 2, "2 faults", "limits.ceiling_dbfs: 3.0", "loudest_db_spl"
    )


def test_serial_number_that_is_no_name(sweetspot: Run, rig: Path) -> None:
    outcome(sweetspot("measure", "ears", rig, "--unit", "../x"), 2, "'../x' is no serial number")


def test_run_that_is_none(sweetspot: Run, tmp_path: Path) -> None:
    for command in ("calibrate", "verify", "report"):
        outcome(sweetspot(command, tmp_path / "nothing"), 2, "nothing")
    outcome(sweetspot("measure", "resume", tmp_path / "nothing"), 2, "not a run folder")


def test_session_of_another_schema(sweetspot: Run, rig: Path, tmp_path: Path) -> None:
    run = folder.new(tmp_path / "runs", "1", parse(rig.read_text(), tmp_path), NOON)
    with h5py.File(run / "session.h5", "r+") as file:
        file.attrs["schema_version"] = 99
    outcome(sweetspot("calibrate", run), 2, "schema is 'sweetspot-session' version 99", "version 1 is needed")


def test_rig_changed_after_the_measurement(sweetspot: Run, rig: Path, tmp_path: Path) -> None:
    run = folder.new(tmp_path / "runs", "1", parse(rig.read_text(), tmp_path), NOON)
    (run / "rig.toml").write_text(rig.read_text().replace("17.0", "18.0"))
    outcome(sweetspot("measure", "resume", run), 2, "changed after the measurement")


def test_adding_to_the_run_of_another_unit_or_rig(sweetspot: Run, rig: Path, tmp_path: Path) -> None:
    run = folder.new(tmp_path / "runs", "1", parse(rig.read_text(), tmp_path), NOON)
    outcome(sweetspot("measure", "polar", rig, "--unit", "2", "--run", run), 2, "is a run of unit '1', not of '2'")
    rig.write_text(rig.read_text().replace("17.0", "18.0"))
    outcome(sweetspot("measure", "polar", rig, "--unit", "1", "--run", run), 2, "another rig file")


def test_calibrating_without_a_polar_set(sweetspot: Run, rig: Path) -> None:
    done = sweetspot("measure", "ears", rig, "--unit", "1", "--json")
    assert done.returncode == 0, done.stderr
    run = next(rig.parent.glob("runs/1/*"))
    outcome(sweetspot("verify", run), 2, "filterset.h5")
    done = sweetspot("calibrate", run)
    assert done.returncode == 0, done.stderr
    assert "no polar set: the centre plays all drivers in phase" in done.stdout


def test_file_with_one_channel(sweetspot: Run, filterset: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "mono.wav", np.zeros((4800, 1)), 48000)
    outcome(sweetspot("process", filterset, "mono.wav", "out.wav"), 2, "mono.wav", "1 channel", "--mono")
    assert not (tmp_path / "out.wav").exists()


def test_a_dash_is_no_file(sweetspot: Run, filterset: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", np.zeros((480, 2)), 48000)
    done = sweetspot("process", filterset, "in.wav", "-")
    outcome(done, 2, "-: nothing is written to the standard output; give a file name")
    assert not (tmp_path / "-").exists()


def test_a_share_without_the_linear_form(sweetspot: Run, filterset: Path, tmp_path: Path) -> None:
    words = ("export", filterset, "--to", "ffmpeg", "--out", tmp_path / "out", "--share", "0.4")
    outcome(sweetspot(*words), 2, "--share 0.4 is the factor of the linear form: add --form linear")
    assert not (tmp_path / "out").exists()
    assert sweetspot(*words, "--form", "linear").returncode == 0


def test_other_sampling_rate_is_resampled_and_reported(sweetspot: Run, filterset: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", 0.1 * np.ones((4410, 2)) * np.hanning(4410)[:, None], 44100)
    done = sweetspot("process", filterset, "in.wav", "out.wav")
    outcome(done, 0, "44100", "48000")
    assert soundfile.info(tmp_path / "out.wav").samplerate == 48000


def test_filterset_of_another_schema(sweetspot: Run, filterset: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", np.zeros((480, 2)), 48000)
    with h5py.File(filterset, "r+") as file:
        file.attrs["schema"] = "somebody-elses"
    outcome(sweetspot("process", filterset, "in.wav", "out.wav"), 2, "somebody-elses", "sweetspot-filterset")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts small file systems; a machine that forbids it is distinguished from a failure."""
    made: list[Path] = []

    def mount(options: str) -> Path:
        at = tmp_path / f"mount{len(made)}"
        at.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", at], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"this machine does not let us mount a small file system: {done.stderr.strip()}")
        made.append(at)
        return at

    yield mount
    for at in made:
        subprocess.run(["umount", at], check=False)


def test_read_only_run_folder(sweetspot: Run, rig: Path, mounted: Callable[[str], Path]) -> None:
    at = mounted("size=1m,ro")
    outcome(sweetspot("measure", "ears", rig, "--unit", "1", "--runs", at / "runs"), 2, "cannot be made", "--runs")


def test_read_only_table_of_a_fleet(sweetspot: Run, mounted: Callable[[str], Path]) -> None:
    """Whether the table is there already or not."""
    at = mounted("size=1m")
    (at / "A" / "run").mkdir(parents=True)
    (at / "A" / "run" / "session.h5").touch()
    for there in (False, True):
        if there:
            subprocess.run(["mount", "-o", "remount,rw", at], check=True)
            with Ledger.writing(at):
                pass
        subprocess.run(["mount", "-o", "remount,ro", at], check=True)
        done = sweetspot("fleet", "fit", at)
        outcome(
            done, 2, "fleet.sqlite: the table of the fleet cannot be used", "is on a read-only disk; choose another"
        )


def test_disk_without_room_for_the_set(sweetspot: Run, rig: Path, mounted: Callable[[str], Path]) -> None:
    at = mounted("size=5m")
    done = sweetspot("measure", "ears", rig, "--unit", "1", "--runs", at / "runs")
    outcome(done, 3, "the disk is full", "MB free", "MB needed", "measure resume")


def test_disk_that_fills_up_during_a_session(
    sweetspot: Run, rig: Path, mounted: Callable[[str], Path], crooked_text: str
) -> None:
    """A foreign file takes the room: the session stops with exit code 3, and is finished when there is room again."""
    at = mounted("size=14m")
    description = parse(crooked_text, rig.parent)
    run = folder.new(at / "runs", "1", description, NOON)
    wanted = plan.make(description, "ears")
    process = started("measure", "resume", run)
    wait_for_captures(process, 3)
    (at / "ballast").write_bytes(b"x" * (14 * 2**20 - used(at) - 3 * 2**20))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3, stderr
    assert "the disk is full" in stderr
    with Session.read(run / "session.h5") as session:
        kept = session.landed("ears")
    assert 3 <= len(kept) < len(wanted.captures)
    (at / "ballast").unlink()
    done = sweetspot("measure", "resume", run)
    assert done.returncode == 0, done.stderr
    with Session.read(run / "session.h5") as session:
        assert kept < session.landed("ears")
        assert session.responses("ears").h.shape[0] == 5


def test_ctrl_c_in_the_middle_of_a_session(sweetspot: Run, rig: Path, tmp_path: Path, crooked_text: str) -> None:
    run = folder.new(tmp_path / "runs", "1", parse(crooked_text, tmp_path), NOON)
    process = started("measure", "resume", run)
    wait_for_captures(process, 2)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    with Session.read(run / "session.h5") as session:
        assert len(session.landed("ears")) >= 2
    assert sweetspot("measure", "resume", run).returncode == 0


def test_a_session_that_another_program_writes_is_left_alone(sweetspot: Run, rig: Path, tmp_path: Path) -> None:
    run = folder.new(tmp_path / "runs", "1", parse(rig.read_text(), tmp_path), NOON)
    with Session.resume(run / "session.h5"):
        outcome(sweetspot("measure", "resume", run), 2, "another program has it open")


def test_nobody_to_move_the_head(sweetspot: Run, rig: Path) -> None:
    """A stage that moves nothing needs an operator; without a terminal that is hardware trouble, and resumable."""
    rig.write_text(rig.read_text().replace('[stage]\ndriver = "lab"', '[stage]\ndriver = "manual"'))
    done = sweetspot("measure", "ears", rig, "--unit", "1")
    outcome(done, 3, "a manual stage needs a terminal", "--yes")
    run = next(rig.parent.glob("runs/1/*"))
    done = sweetspot("measure", "resume", run, "--yes", "--delay", "0")
    outcome(done, 0, "Please place: device turned 0 deg, head at x 3 cm, y -2 cm, yaw -5 deg (continuing in 0 s)")


def test_half_an_hour_of_sound_is_not_begun_unasked(sweetspot: Run, rig: Path) -> None:
    """A real rig without a terminal needs --yes; with it, the device that is not there is looked for."""
    text = rig.read_text().replace('driver = "lab"', 'driver = "portaudio"\ndevice = "No such box"', 1)
    text = text.replace('[stage]\ndriver = "lab"', '[stage]\ndriver = "manual"').split("[lab]")[0]
    rig.write_text(text.replace("step_deg = 15.0", "step_deg = 0.25"))
    command = ("measure", "polar", rig, "--unit", "1")
    outcome(sweetspot(*command), 2, "measure polar: ", "min of sound, more than 30", "--yes")
    assert not list(rig.parent.glob("runs/1/*"))
    outcome(sweetspot(*command, "--yes", "--delay", "0"), 3, "No such box")
    rig.write_text(text)
    outcome(sweetspot(*command), 3, "No such box")


def used(at: Path) -> int:
    stat = os.statvfs(at)
    return (stat.f_blocks - stat.f_bfree) * stat.f_frsize


def started(*args: str | Path) -> subprocess.Popen[str]:
    """The command line, with captures slowed down, so that something can happen between them, and a line for each."""
    slowed = (
        "import time, rigs.lab.interface as i; c = i.LabInterface.capture; "
        "i.LabInterface.capture = lambda self, y: (time.sleep(0.25), c(self, y))[1]; "
        "from sweetspot.measure.session import Session as S; s = S.store; "
        f"S.store = lambda *a, **k: (s(*a, **k), print({STORED!r}, flush=True))[0]; "
        "from sweetspot.command_line import main; main()"
    )
    words = [sys.executable, "-c", slowed, *map(str, args)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


STORED = "a capture is stored"


def wait_for_captures(process: subprocess.Popen[str], wanted: int) -> None:
    """Wait until a :func:`started` program stored this many captures.

    The size of its file does not tell: it grows for a moment when room is tried ahead of each.
    """
    assert process.stdout
    while wanted:
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        wanted -= line.strip() == STORED


def test_a_full_disk_names_the_command_that_goes_on(tmp_path: Path) -> None:
    """A session is resumed; a verification starts over."""
    for name, words in (("session.h5", "measure resume"), (".verify.h5.measuring", "verify")):
        with pytest.raises(HardwareTrouble, match=rf"then: sweetspot {words} {tmp_path}$"):
            disk.need(tmp_path / name, 1 << 60, "a set")


FOREIGN = {
    "yaml": "---\ndevices:\n  samplerate: 44100\n  chunksize: 1024\n",
    "brutefir": 'sampling_rate: 44100;\nfilter_length: 65536;\ncoeff "one" { filename: "x.txt"; };\n',
    "json": '{"fs": 48000}\n',
    "empty": "",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_of_other_programs_are_named_where_ours_are_needed(kind: str, tmp_path: Path, crooked_text: str) -> None:
    """As a rig, a design, filters and an import: wrong input, and the file's name in the message."""
    foreign = tmp_path / f"other.{kind}"
    foreign.write_text(FOREIGN[kind])
    run, program = folder.new(tmp_path / "runs", "1", parse(crooked_text, tmp_path), NOON), build()
    for words in (
        ["rig", "check", foreign],
        ["process", foreign, tmp_path / "in.wav", tmp_path / "out.wav"],
        ["measure", "import", foreign, "--unit", "2"],
        ["calibrate", run, "--design", foreign],
    ):
        if kind == "empty" and "--design" in words:
            continue  # a design that asks for nothing is one
        done = CliRunner().invoke(program, [str(w) for w in words])
        assert isinstance(done.exception, BadInput), done.output
        assert foreign.name in str(done.exception)


def test_scanned_bytes_that_are_no_text_are_no_serial_number_and_no_end_of_the_program() -> None:
    """A scanner that sends Latin-1 to a terminal in UTF-8."""
    code = (
        "import sys; from sweetspot.rigs.progress import speakable; speakable()\n"
        "from sweetspot.rigs.names import check_serial\ncheck_serial(sys.stdin.readline().strip(), 'serial number')"
    )
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(
        [sys.executable, "-c", code], input=b"M\xfcller\n", env=environment, capture_output=True, timeout=60
    )
    assert b"xfcller' is no serial number" in done.stderr


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(FileExistsError) as raised:
        (tmp_path / "out").mkdir(parents=True, exist_ok=True)
    assert refused_by_system(raised.value).endswith("out: file exists; give another file or folder")

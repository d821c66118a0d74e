"""Run folders that live: found by serial number, compressed, thinned, and named when something breaks off."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from sweetspot.measure import folder
from sweetspot.measure.session import Session, without_raw
from sweetspot.rigs.errors import BadInput, SweetspotError
from sweetspot.rigs.rig_file import Description, parse
from sweetspot.rigs.runs import begun, located
from sweetspot.roof import build
from tests.conftest import NOON


@pytest.fixture
def kept(measured: Path, tmp_path: Path) -> Path:
    """A copy of the measured run among the runs of its unit, with an older one beside it."""
    run = tmp_path / "runs" / "T-9" / measured.name
    shutil.copytree(measured, run)
    older = run.with_name(f"19990101T000000Z-{measured.name.split('-')[1]}")
    shutil.copytree(measured, older)
    return run


def test_a_serial_number_or_a_units_folder_is_its_latest_run(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kept.parents[2])
    assert located(Path("T-9")) == Path("runs") / "T-9" / kept.name
    assert located(kept.parent) == kept
    assert located(kept) == kept
    with pytest.raises(BadInput, match="no unit of that serial number"):
        located(Path("nowhere"))
    shutil.copytree(kept, kept.parents[1] / "T-10" / kept.name)
    with pytest.raises(BadInput, match=r"2 units.*T-10, T-9"):
        located(Path("runs"))


def test_runs_of_the_same_second_have_names_of_their_own(crooked: Description, tmp_path: Path) -> None:
    made = [folder.new(tmp_path / "runs", "T-1", crooked, NOON) for _ in range(3)]
    assert made == sorted(set(made))
    assert located(made[0].parent) == made[-1]
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(BadInput, match=r"link.T-1: the run folder cannot be made"):
        folder.new(tmp_path / "link", "T-1", crooked, NOON)


def test_the_latest_of_a_folder_is_known_by_times_and_of_one_unit_alone(kept: Path, tmp_path: Path) -> None:
    """Two runs of one unit under names of one's own, and of two units under their times, in any folder."""
    own, mixed = tmp_path / "own", tmp_path / "mixed"
    for name in ("good", "after repair"):
        shutil.copytree(kept, own / name)
    with pytest.raises(BadInput, match="2 runs, of which the latest is not known: the name of 'after repair'"):
        located(own)
    for name in ("20260101T000000Z-desk", "20260201T000000Z-desk"):
        shutil.copytree(kept, mixed / name)
    assert located(mixed).name == "20260201T000000Z-desk"
    with h5py.File(mixed / "20260201T000000Z-desk" / "session.h5", "a") as file:
        file.attrs["unit_serial"] = "T-10"
    with pytest.raises(BadInput, match=r"runs of 2 units \(T-10, T-9\); name one of them: 20260101T000000Z-desk, 2026"):
        located(mixed)
    shutil.rmtree(own / "good")
    assert located(own).name == "after repair"


def test_templates_of_a_head_hide_no_session_of_a_unit(kept: Path) -> None:
    """Templates measured later, with the unit's serial number: its latest run is still the one with its responses."""
    unit, name = kept.parent, f"29990101T000000Z-{kept.name.split('-')[1]}"
    shutil.copytree(kept, unit / name)
    with h5py.File(unit / name / "session.h5", "a") as file:
        file.move("raw/ears", "raw/templates")
        del file["raw/polar"]
    assert located(unit) == kept
    assert begun(unit) == unit / name
    with Session.read(kept / "session.h5") as session:
        rig = session.rig()
    assert folder.latest_without(unit.parent, unit.name, rig, "polar") is None  # it has one
    for other in (kept, *unit.glob("1999*")):
        shutil.rmtree(other)
    assert located(unit) == unit / name


def test_every_command_takes_it(kept: Path, sweetspot: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    cwd = kept.parents[2]
    done = sweetspot("calibrate", "T-9", "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["filterset"] == f"runs/T-9/{kept.name}/filterset.h5"
    done = sweetspot("export", "T-9", "--to", "wav", "--out", "wav", cwd=cwd)
    assert done.returncode == 0, done.stderr
    done = sweetspot("measure", "show", "runs/T-9", "--only", "distortion", cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert (kept / "show" / "distortion.png").is_file()


def test_samples_are_the_same_and_smaller_on_disk(measured: Path) -> None:
    with h5py.File(measured / "session.h5") as file:
        sets = [d for g in file["raw"].values() for k, d in g.items() if k != "played"]
        assert all((d.shuffle, d.compression) == (True, "gzip") for d in sets)
        stored = sum(d.id.get_storage_size() for d in sets)
        assert stored < 0.85 * sum(d.nbytes for d in sets)
        assert file["ears/coherence"].id.get_storage_size() < 0.05 * file["ears/coherence"].nbytes


def test_raw_captures_that_need_not_stay(kept: Path) -> None:
    file = kept / "session.h5"
    with Session.read(file) as session:
        before, tries = session.responses("ears"), session.tries("ears")
        key = min(session.landed("ears"))
        wave = session.raw("ears", key)[0]
        assert wave.size
    without_raw(file, "all")
    size = file.stat().st_size
    without_raw(file, "none")
    assert file.stat().st_size < 0.4 * size
    with Session.resume(file) as session:
        after = session.responses("ears")
        assert np.array_equal(before.h, after.h)
        assert session.tries("ears") == tries
        assert key in session.landed("ears")
        assert not session.holds_raw("ears")
        with pytest.raises(BadInput, match="--raw"):
            session.raw("ears", key)


def test_a_run_stands_alone_and_names_a_correction_file_that_changed(
    tmp_path: Path, crooked_text: str, sweetspot: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    place = tmp_path / "rigs"
    place.mkdir()
    text = crooked_text.replace("sensitivity_mv_per_pa = 14.0", 'sensitivity_mv_per_pa = 14.0\ncalibration = "ear.txt"')
    (place / "rig.toml").write_text(text)
    (place / "ear.txt").write_text("20 0.0\n1000 0.0\n20000 -3.0\n")
    done = sweetspot("measure", "ears", "rigs/rig.toml", "--unit", "T-4")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs" / "T-4").iterdir()
    here = run.relative_to(tmp_path)
    polar = f"next: sweetspot measure polar rigs/rig.toml --unit T-4 --run {here}"
    assert done.stdout.splitlines()[-1] == polar
    assert sweetspot(*polar.split()[2:], "--dry-run").returncode == 0
    (place / "ear.txt").write_text("20 0.0\n1000 0.0\n20000 -4.0\n")
    done = sweetspot("calibrate", "T-4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"next: sweetspot verify {here}"
    assert "ear.txt: changed since the run was measured" in done.stderr
    place.rename(tmp_path / "elsewhere")
    (tmp_path / "runs").rename(tmp_path / "moved")
    run = next((tmp_path / "moved" / "T-4").iterdir())
    for words in (["measure", "show", run, "--only", "distortion"], ["sofa", run], ["calibrate", run], ["report", run]):
        done = sweetspot(*words)
        assert done.returncode == 0, (words, done.stderr)


def test_an_interruption_names_the_command_that_goes_on(
    tmp_path: Path, crooked_text: str, sweetspot: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "rig.toml").write_text(crooked_text)
    done = sweetspot("measure", "polar", "rig.toml", "--unit", "T-3", "--fault", "stall at=3")
    assert done.returncode == 3, done.stderr
    assert "sweetspot measure resume runs/T-3/" in done.stderr


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs a command of this process in an empty folder: its exit code and its output."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> tuple[int, str]:
        done = CliRunner().invoke(build("rigs", "measure"), list(args))
        code = done.exception.exit_code if isinstance(done.exception, SweetspotError) else done.exit_code
        return code, f"{done.output}{done.exception or ''}"

    return run


def limited(crooked_text: str, limit: float) -> str:
    """The crooked rig with an SPL limit."""
    return crooked_text.replace("ceiling_dbfs = -5.0", f"ceiling_dbfs = -5.0\nloudest_db_spl = {limit}")


@pytest.mark.parametrize("name", ["ears", "polar", "templates"])
def test_a_level_refused_before_the_first_capture_is_wrong_input_and_leaves_no_run(
    name: str, crooked_text: str, tmp_path: Path, typed: Callable[..., tuple[int, str]]
) -> None:
    """Found by captures at a low level, of which none is kept."""
    (tmp_path / "rig.toml").write_text(limited(crooked_text, 50.0))
    code, text = typed("measure", name, "rig.toml", "--unit", "T-1")
    assert code == 2
    assert "limits.loudest_db_spl = 50" in text
    assert "resume" not in text
    assert not list((tmp_path / "runs").iterdir())


def test_a_limit_that_cannot_be_enforced_leaves_the_units_other_runs_alone(
    crooked_text: str, measured: Path, tmp_path: Path, typed: Callable[..., tuple[int, str]]
) -> None:
    shutil.copytree(measured, tmp_path / "runs" / "T-9" / measured.name)
    (tmp_path / "rig.toml").write_text(limited(crooked_text, 90.0).replace("sensitivity_mv_per_pa = 20.0\n", ""))
    code, text = typed("measure", "polar", "rig.toml", "--unit", "T-9")
    assert code == 2
    assert "cannot be enforced: missing sensitivity_mv_per_pa of 'boom'" in text
    assert "resume" not in text
    assert [run.name for run in (tmp_path / "runs" / "T-9").iterdir()] == [measured.name]


@pytest.mark.parametrize(("limit", "code"), [(50.0, 2), (95.0, 3)])
def test_a_run_that_existed_is_never_removed(
    limit: float, code: int, crooked_text: str, tmp_path: Path, typed: Callable[..., tuple[int, str]]
) -> None:
    """One that was interrupted before its first capture: refused again, by the trial or by the first capture."""
    text = limited(crooked_text, limit)
    run = folder.new(tmp_path / "runs", "T-1", parse(text, tmp_path), NOON)
    (tmp_path / "rig.toml").write_text(text)
    up = "level driver=woofer at=1- db=30"  # a capture counts from its first sample at full level
    found, text = typed("measure", "ears", "rig.toml", "--unit", "T-1", "--run", str(run), "--fault", up)
    assert found == code
    assert "woofer would reach" in text
    assert (run / "session.h5").is_file()
    assert ("measure resume" in text) is (code == 3), "there is something to resume once a capture is stored"


def test_an_amplifier_turned_up_while_measuring_is_hardware_and_keeps_the_captures(
    crooked_text: str, tmp_path: Path, typed: Callable[..., tuple[int, str]]
) -> None:
    """Up by 30 dB from the seventh capture on."""
    (tmp_path / "rig.toml").write_text(limited(crooked_text, 95.0))
    code, text = typed("measure", "ears", "rig.toml", "--unit", "T-1", "--fault", "level driver=left at=7- db=30")
    assert code == 3
    run = next((tmp_path / "runs" / "T-1").iterdir())
    assert f"Continue with: sweetspot measure resume {run.relative_to(tmp_path)}" in text
    with Session.read(run / "session.h5") as session:
        assert session.has_captures


@pytest.mark.parametrize(
    ("fault", "buzzes"), [("rub driver=left db=-10", True), ("slam at=1 s=0.3 for=0.2 db=-20", False)]
)
def test_a_driver_that_rubs_is_named_and_a_noise_is_none(
    fault: str, buzzes: bool, crooked_text: str, tmp_path: Path, typed: Callable[..., tuple[int, str]]
) -> None:
    """Before the raw captures go; a capture that is spliced for a noise is judged by all that it is made of."""
    (tmp_path / "rig.toml").write_text(crooked_text)
    code, text = typed("measure", "ears", "rig.toml", "--unit", "T-1", "--raw", "none", "--fault", fault)
    assert code == 0
    assert ("driver left rubs or rattles: it buzzes by" in text) is buzzes, text
    assert text.count("rubs or rattles") == int(buzzes)
    run = next((tmp_path / "runs" / "T-1").iterdir())
    with Session.read(run / "session.h5") as session:
        assert not session.holds_raw("ears")


def spoilt_values(file: h5py.File) -> None:
    data = file["ears/ir"]
    data[0, 0, 0, 3] = np.nan


SPOILT: dict[str, Callable[[h5py.File], object]] = {
    "a value": spoilt_values,
    "a set without responses": lambda file: file.__delitem__("ears/ir"),
    "another serial number": lambda file: file.attrs.__setitem__("unit_serial", 7),
    "another schema": lambda file: file.attrs.__setitem__("schema", "sweetspot-filterset"),
    "no schema": lambda file: file.attrs.__delitem__("schema"),
}
"""What other programs do to a session."""


@pytest.mark.parametrize("what", SPOILT)
def test_a_session_that_another_program_edited_is_refused_by_name(what: str, kept: Path) -> None:
    path = kept / "session.h5"
    with h5py.File(path, "r+") as file:
        SPOILT[what](file)
    with pytest.raises(BadInput, match=r"session\.h5"), Session.read(path) as session:
        session.responses("ears")

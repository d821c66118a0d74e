"""A session for others: SOFA read back by two readers, FRD and WAV against the session, pictures that can be opened."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pysofaconventions
import pytest
import sofar
import soundfile
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.session import Session
from sweetspot.measure.share import PlainFigure, export, plots
from sweetspot.rigs.storage import alone
from sweetspot.rigs.units import P_REF, db

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def run(measured: Path) -> tuple[Path, dict[str, ImpulseResponse]]:
    """A run of the crooked world with both sets, and what it came to."""
    with Session.read(measured / "session.h5") as session:
        return measured, {name: session.responses(name) for name in session.sets}


def kept(set_: ImpulseResponse) -> np.ndarray:
    """``(position, mic, tap, driver)`` from time zero on, as SOFA has it."""
    return set_.h[..., set_.zero :].transpose(0, 1, 3, 2)


def test_sofa_files_say_what_was_measured_to_two_readers(
    run: tuple[Path, dict[str, ImpulseResponse]], sweetspot: Callable[..., object], tmp_path: Path
) -> None:
    path, sets = run
    done = sweetspot("sofa", path, "--out", tmp_path / "new" / "folder", "--json")
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    files = {Path(f).name: Path(f) for f in json.loads(done.stdout)["files"]}  # type: ignore[attr-defined]
    assert set(files) == {"ears.sofa", "polar.sofa", "directivity.sofa"}

    ears = sofar.read_sofa(str(files["ears.sofa"]), verbose=False)
    ears.verify(issue_handling="raise")
    assert ears.GLOBAL_SOFAConventions == "SingleRoomMIMOSRIR"
    assert ears.Data_IR == pytest.approx(kept(sets["ears"]), abs=1e-12)
    assert ears.Data_SamplingRate == 47872
    assert ears.EmitterPosition[0] == pytest.approx([0.05, 0.06, 0.01])
    assert ears.ListenerPosition[1] == pytest.approx([1.43, -0.02, 0.0])
    assert ears.ListenerView[1] == pytest.approx([-np.cos(np.radians(5)), np.sin(np.radians(5)), 0.0])
    assert ears.ReceiverPosition[0][1] > 0 > ears.ReceiverPosition[1][1]
    assert "T-9" in ears.GLOBAL_Title

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this reader was written before numpy 2
        other = pysofaconventions.SOFAFile(str(files["polar.sofa"]), "r")
        assert other.getGlobalAttributeValue("SOFAConventions") == "GeneralFIR-E"
        assert np.asarray(other.getDataIR()) == pytest.approx(kept(sets["polar"]), abs=1e-12)
        assert float(np.ravel(other.getSamplingRate())[0]) == 47872
        place = np.asarray(other.getVariableValue("ListenerPosition"))
        other.close()
    azimuth = np.degrees(np.arctan2(place[:, 1], place[:, 0]))
    wanted = sets["polar"].positions["azimuth_deg"]
    assert np.abs((azimuth - wanted + 180) % 360 - 180).max() < 1e-6


def test_sofa_directivity_is_the_transform_of_the_responses(
    run: tuple[Path, dict[str, ImpulseResponse]], sweetspot: Callable[..., object], tmp_path: Path
) -> None:
    path, sets = run
    assert sweetspot("sofa", path, "--out", tmp_path).returncode == 0  # type: ignore[attr-defined]
    sofa = sofar.read_sofa(str(tmp_path / "directivity.sofa"), verbose=False)
    h = sets["polar"].h[7, 0, 1, sets["polar"].zero :]
    at = 40
    naive = np.sum(h * np.exp(-2j * np.pi * sofa.N[at] * np.arange(len(h)) / 47872))
    assert sofa.Data_Real[1, 7, at] + 1j * sofa.Data_Imag[1, 7, at] == pytest.approx(naive, rel=1e-6)
    assert sofa.ReceiverPosition[7] == pytest.approx([sets["polar"].positions["azimuth_deg"][7] % 360, 0.0, 1.7])


def test_frd_and_wav_hold_the_response(
    run: tuple[Path, dict[str, ImpulseResponse]], sweetspot: Callable[..., object], tmp_path: Path
) -> None:
    path, sets = run
    for to in ("frd", "wav"):
        done = sweetspot("measure", "export", path, "--to", to, "--out", tmp_path / to)
        assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    assert len(list((tmp_path / "wav").glob("*.wav"))) == 5 * 2 * 3 + 24 * 3
    h = sets["polar"].h[3, 0, 2, sets["polar"].zero :]
    stem = f"polar_boom_right_hor_{sets['polar'].positions['azimuth_deg'][3]:g}"
    x, fs = soundfile.read(tmp_path / "wav" / f"{stem}.wav")
    assert fs == 47872
    assert x == pytest.approx(h, abs=1e-6)
    f, level, phase = np.loadtxt(tmp_path / "frd" / f"{stem}.frd", comments="*").T
    row = int(np.argmin(np.abs(f - 1000.0)))
    naive = np.sum(h * np.exp(-2j * np.pi * f[row] * np.arange(len(h)) / 47872))
    assert level[row] == pytest.approx(db(naive / np.sqrt(2.0) / P_REF), abs=0.01)
    assert (phase[row] - np.degrees(np.angle(naive)) + 180) % 360 - 180 == pytest.approx(0.0, abs=0.5)


def test_pictures_are_drawn_and_wrong_names_are_reported(
    run: tuple[Path, dict[str, ImpulseResponse]], sweetspot: Callable[..., object], tmp_path: Path
) -> None:
    path, _ = run
    done = sweetspot("measure", "show", path, "--out", tmp_path, "--json")
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    drawn = [Path(p) for p in json.loads(done.stdout)["pictures"]]  # type: ignore[attr-defined]
    assert {"responses", "impulse", "decay", "polar", "directivity"} <= {p.stem for p in drawn}
    for picture in drawn:
        pixels = imread(picture)
        assert pixels.shape[0] > 300
        assert pixels[..., :3].std() > 0.02, f"{picture.name} is empty"
    wrong = sweetspot("measure", "show", path, "--only", "responces")
    assert wrong.returncode == 2  # type: ignore[attr-defined]
    assert "responses" in wrong.stderr  # type: ignore[attr-defined]
    coarse = sweetspot("measure", "show", path, "--vertical", path, "--only", "cta2034")
    assert coarse.returncode == 2  # type: ignore[attr-defined]
    assert "step_deg = 10" in coarse.stderr  # type: ignore[attr-defined]
    more = ("reverberation", "group-delay", "step", "burst-decay", "average")
    assert not {p.stem for p in drawn} & set(more)
    words = ("--only", ",".join(more), "--bands", "third", "--gate", "4", "--json")
    asked = sweetspot("measure", "show", path, "--out", tmp_path, *words)
    data = json.loads(asked.stdout)  # type: ignore[attr-defined]
    assert [Path(p).stem for p in data["pictures"]] == list(more)
    assert all(imread(p)[..., :3].std() > 0.02 for p in data["pictures"])
    assert {row["hz"] for row in data["reverberation"]} >= {1000.0, 1250.0}
    assert min(row["hz"] for row in data["average"]) == 315.0  # a gate of 4 ms is valid from 250 Hz
    assert all(row["sd_db"] is not None for row in data["average"])
    assert {row["mic"] for row in data["group_delay"]} == {"ear_left", "ear_right"}
    far = sweetspot("measure", "show", path, "--position", "9")
    assert far.returncode == 2  # type: ignore[attr-defined]
    assert "1 to 5" in far.stderr  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [3, 8, 32, 64])
def test_names_beside_traces_do_not_cover_each_other(count: int) -> None:
    """Of many drivers in a low picture every second or third is named."""
    figure = PlainFigure(figsize=(5.6, 3.3))
    ax = figure.subplots()
    plots.traces(ax, np.arange(100) / 48000.0, np.eye(count, 100), [f"driver_{i + 1}" for i in range(count)])
    shown = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(shown) for text in ax.texts]
    assert boxes
    assert all(above.y0 >= below.y1 - 3.0 for above, below in pairwise(boxes))
    assert (len(boxes) == count) == (count <= 8)


def test_bands_in_which_nothing_was_found_are_no_warning() -> None:
    hz, none = np.array([125.0, 250.0, 500.0]), np.full(3, np.nan)
    figure = PlainFigure(figsize=(5.6, 3.3))
    ax = figure.subplots()
    plots.over_bands(ax, hz, [("EDT", none, none), ("T20", np.array([0.3, np.nan, 0.2]), none)], "s")
    FigureCanvasAgg(figure).draw()
    assert len(ax.containers) == 1
    assert not ax.texts
    empty = figure.add_subplot(212)
    plots.over_bands(empty, hz, [("C50", none, none), ("C80", none, none)], "dB")
    assert [t.get_text() for t in empty.texts] == ["decay range too small in every band"]
    assert empty.get_yticks().size == 0


@pytest.mark.parametrize("command", [("sofa",), ("measure", "show", "--only", "decay")], ids=["sofa", "show"])
def test_what_writes_into_a_run_waits_its_turn(
    measured: Path, sweetspot: Callable[..., object], tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Another process at work on the run is named; beside it nothing is written."""
    run = tmp_path / "run"
    shutil.copytree(measured, run)
    before = sorted(run.iterdir())
    with alone(run):
        done = sweetspot(*command, run)
    assert done.returncode == 2, done.stderr  # type: ignore[attr-defined]
    assert f"in use by process {os.getpid()}" in done.stderr  # type: ignore[attr-defined]
    assert sorted(run.iterdir()) == before


@pytest.mark.parametrize("drivers", [("左", "右", "woofer"), ("a b", "a_b", "c"), ("drv", "DRV", "c")])
def test_drivers_that_no_file_name_tells_apart_keep_a_file_each(
    run: tuple[Path, dict[str, ImpulseResponse]], drivers: tuple[str, ...]
) -> None:
    """On Windows too, where capital letters are the same; one overwrote the other without a word."""
    ears = replace(run[1]["ears"], drivers=drivers)
    names = [export.name(ears, "ears", index) for index in export.indices(ears)]
    assert len({name.casefold() for name in names}) == 5 * 2 * 3
    assert export.name(ears, "ears", (0, 1, 2)) == f"ears_p001_ear_right_{drivers[2]}", "a name of its own stays"

"""The same input gives the same bytes, at any time of day: files of every kind that has no test of its own."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sweetspot.calibrate.fleet import capability, page
from sweetspot.calibrate.fleet.ledger import UnitSummary
from sweetspot.calibrate.fleet.run import write_limits
from sweetspot.processor import store
from sweetspot.roof import roof
from tests.filter_sets import filter_set


def typed(*words: str | Path) -> None:
    assert not roof()([str(w) for w in words], standalone_mode=False, prog_name="sweetspot"), words


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def of_a_session(run: Path, out: Path) -> None:
    typed("measure", "export", run, "--to", "wav", "--out", out / "wav")
    typed("measure", "export", run, "--to", "frd", "--out", out / "frd")
    for form in ("pdf", "svg"):
        typed("measure", "show", run, "--out", out / form, "--format", form, "--only", "responses")
    typed("sofa", run, "--out", out / "sofa")


def of_the_processor(run: Path, out: Path) -> None:
    out.mkdir(exist_ok=True)
    for subtype in ("PCM_16", "PCM_24", "FLOAT"):
        typed("process", run, run / "in.wav", out / f"{subtype}.wav", "--subtype", subtype)
    for name in ("a.flac", "a.aiff"):
        typed("process", run, run / "in.wav", out / name)
    typed("process", run, run / "in.wav", out / "split.wav", "--split")
    typed("process", run, "--measure", out / "responses.h5")


def of_a_fleet(_run: Path, out: Path) -> None:
    out.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    shared = {"rig": "r", "step": "verify", "metric": "cancellation", "predicted": None, "limit_value": 12.0}
    shared |= {"sense": "at least", "passed": True, "measured_in": "dB", "uncertainty": 0.1}
    rows = [
        shared | {"run": f"r{i}", "unit": f"u{i}", "created_utc": f"2026-03-{i + 1:02d}T12:00:00Z", "value": 15.0 + v}
        for i, v in enumerate(rng.standard_normal(12))
    ]
    found = capability.of_figures(rows)
    page.write(out / "fleet.html", UnitSummary(12, 12, 1.0, []), rows, found)
    write_limits(out / "limits.toml", {"cancellation_mean_db": 12.5}, "from 12 units")


@pytest.fixture(scope="module")
def run(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a session and a filter set, and two seconds of sound."""
    place = tmp_path_factory.mktemp("same") / "run"
    shutil.copytree(measured, place)
    rng = np.random.default_rng(8)
    taps = 0.02 * rng.standard_normal((3, 2, 128))
    made = filter_set(taps, "projection", channels=(7, 8), delay_samples=32, headroom_db=6.0, unit_serial="T-9")
    store.write(place / "filterset.h5", made)
    soundfile.write(place / "in.wav", 0.1 * rng.standard_normal((2 * 47872, 2)), 47872)
    return place


@pytest.mark.filterwarnings("ignore:Added custom dimension:UserWarning")
def test_the_same_bytes_a_second_later(run: Path, tmp_path: Path) -> None:
    makers = (of_a_session, of_the_processor, of_a_fleet)
    first, second = ({m.__name__: tmp_path / n / m.__name__ for m in makers} for n in ("one", "two"))
    for made in (first, second):
        for make in makers:
            make(run, made[make.__name__])
        time.sleep(1.1)
    there, again = (bytes_of(tmp_path / n) for n in ("one", "two"))
    assert len(there) > 40
    assert {Path(name).suffix for name in there} >= {".wav", ".frd", ".pdf", ".svg", ".sofa", ".flac", ".h5"}
    assert there.keys() == again.keys()
    assert [name for name in there if there[name] != again[name]] == []

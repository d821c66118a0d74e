"""Outputs never take the place of what is read or of measured data; texts of any depth and names of any length."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import soundfile

from sweetspot.processor import store
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.run_folder import changed_since, within_rig
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import alone, alone_in, check_apart, file_sha256, json_value, stated, toml_table, write
from sweetspot.rigs.storage.kept_data import held
from tests.filter_sets import filter_set

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def filters(tmp_path: Path) -> Path:
    taps = np.zeros((3, 2, 64))
    taps[:, :, 32] = [[0.2, 0.1], [0.1, 0.3], [0.2, 0.2]]
    made = filter_set(taps, channels=(1, 2), delay_samples=32, headroom_db=6.0)
    store.write(tmp_path / "filterset.h5", made)
    return tmp_path / "filterset.h5"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rig.toml", b"schema = 1\n[[driver]]\nname = 'a'\n"),
        ("in.wav", b"RIFF\x00\x00\x00\x00WAVE"),
        ("big.wav", b"RF64\x00\x00\x00\x00WAVE"),
        ("fleet.sqlite", b"SQLite format 3\x00..."),
        ("records.jsonl", b'{"unit": "A"}\n'),
        ("foreign.h5", b"\x89HDF\r\n\x1a\n damaged"),
        ("later.h5", bytes(512) + b"\x89HDF\r\n\x1a\n damaged"),
    ],
)
def test_text_does_not_replace_data(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match="is not what this command writes"):
        write(tmp_path / name, "# limits\nlatency_ms = 3.0\n")
    assert (tmp_path / name).read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_file_is_replaced_by_one_of_its_kind(tmp_path: Path, filters: Path) -> None:
    """A damaged filter set by a whole one, a limits file or a page by any text."""
    whole = filters.read_bytes()
    filters.write_bytes(whole[:700])
    write(filters, whole)
    assert held(filters) == "an HDF5 file (sweetspot-filterset)"
    for text in ("latency_ms = 3.0\n", "<!doctype html>\n", "plain\n"):
        write(tmp_path / "out", text)
    with pytest.raises(BadInput, match=r"sweetspot-filterset.*Name another file"):
        write(filters, b"RIFF....")


@pytest.mark.parametrize("how", ["itself", "a link", "split", "its own responses"])
def test_process_does_not_write_over_what_it_reads(sweetspot: Run, tmp_path: Path, filters: Path, how: str) -> None:
    source = tmp_path / ("out_2_b.wav" if how == "split" else "in.wav")
    soundfile.write(source, 0.1 * np.random.default_rng(2).standard_normal((4000, 2)), 47872)
    kept = source.read_bytes(), filters.read_bytes()
    out = tmp_path / ("out.wav" if how == "split" else "in.wav")
    if how == "a link":
        out = tmp_path / "other.wav"
        out.symlink_to(source)
    options = {"split": ["--split"], "its own responses": ["--measure", tmp_path / "filterset.h5"]}.get(how, [])
    done = sweetspot("process", filters, source, out, *options)
    assert done.returncode == 2, done.stderr
    assert "is the input file" in done.stderr
    assert (source.read_bytes(), filters.read_bytes()) == kept


def test_two_names_of_one_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    check_apart(tmp_path / "a", tmp_path / "c")
    with pytest.raises(BadInput, match="b: is the input file"):
        check_apart(tmp_path / "a", tmp_path / "c", tmp_path / "b")


@pytest.mark.parametrize("text", ["a = " + "[" * 5000 + "]" * 5000, "a = " + "9" * 5000, "a = {b = 1\n", "a = \x00"])
def test_no_toml(sweetspot: Run, tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match=r"x\.toml: not valid TOML"):
        toml_table(text, "x.toml")
    if len(text) > 5000:
        (tmp_path / "rig.toml").write_text(text)
        done = sweetspot("measure", "ears", tmp_path / "rig.toml", "--unit", "A")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "{", b"\xff\xfe\x00"])
def test_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_value(text)


@pytest.mark.parametrize("words", [("measure", "ears", "x" * 300, "--unit", "A"), ("calibrate", "x" * 300)])
def test_names_that_are_too_long(sweetspot: Run, words: tuple[str, ...]) -> None:
    done = sweetspot(*words)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


def test_a_dry_run_checks_the_serial_number(sweetspot: Run) -> None:
    done = sweetspot("measure", "ears", "desk", "--unit", "../up", "--dry-run")
    assert done.returncode == 2
    assert "'../up' is no serial number" in done.stderr


def test_a_folder_of_outputs_has_one_writer(sweetspot: Run, tmp_path: Path, filters: Path) -> None:
    with alone_in(tmp_path / "new" / "out"):
        done = sweetspot("export", filters, "--to", "wav", "--out", tmp_path / "new" / "out")
        assert done.returncode == 2
        assert "in use by process" in done.stderr
        assert [p.name for p in (tmp_path / "new" / "out").iterdir()] == [".lock"]
    assert not list((tmp_path / "new" / "out").iterdir())


def test_an_output_file_and_a_folder_of_pictures_have_one_writer(sweetspot: Run, tmp_path: Path, filters: Path) -> None:
    music, out = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(music, np.full((480, 2), 0.01), 47872)
    out.write_bytes(b"old")
    with alone(out):
        done = sweetspot("process", filters, music, out)
    assert (done.returncode, out.read_bytes()) == (2, b"old")
    assert f"in use by process {os.getpid()} on" in done.stderr
    drawing = "from pathlib import Path; from sweetspot.calibrate.report.pictures import save; save({}, Path('drawn'))"
    with alone_in(tmp_path / "drawn"):
        save = subprocess.run([sys.executable, "-c", drawing], cwd=tmp_path, capture_output=True, text=True)
    assert f"BadInput: drawn: in use by process {os.getpid()} on" in save.stderr


def test_a_limit_on_the_size_of_files_is_named(tmp_path: Path, filters: Path) -> None:
    soundfile.write(tmp_path / "in.wav", np.full((8 * 47872, 2), 0.01), 47872)
    (tmp_path / "out.wav").write_bytes(b"old")
    words = ["-m", "sweetspot", "process", filters, tmp_path / "in.wav", tmp_path / "out.wav"]
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )  # fmt: skip
    assert (done.returncode, (tmp_path / "out.wav").read_bytes()) == (2, b"old"), done.stderr
    assert "the disk is full (file too large: or see ulimit -f); make room" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["filterset.h5", "in.wav", "out.wav"]


def test_the_session_of_the_fit_is_hashed_only_where_it_may_have_changed(
    measured: Path, tmp_path: Path, filters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Path(shutil.copy(measured / "session.h5", tmp_path))
    fit = replace(store.read(filters), source=file_sha256(session), source_content=stated(session).sha256)
    hashed: list[Path] = []
    monkeypatch.setattr("sweetspot.processor.run_folder.file_sha256", lambda p: hashed.append(p) or file_sha256(p))

    def note(fit: FilterSet, newer_s: int) -> tuple[bool, bool]:
        hashed.clear()
        os.utime(session, (filters.stat().st_mtime + newer_s,) * 2)
        return bool(changed_since(filters, fit)), bool(hashed)

    assert note(fit, -1) == (False, False)
    assert note(fit, +1) == (False, True)
    assert note(replace(fit, source_content=""), -1) == (False, True)
    other = replace(fit, source="1" * 64, source_content="2" * 64)
    assert note(other, -1) == (True, True)
    with session.open("r+b") as file:  # what it states stays
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    assert note(fit, +2) == (True, True)


def test_the_rig_file_is_compared_with_the_sessions(measured: Path, tmp_path: Path, filters: Path) -> None:
    for name in ("session.h5", "rig.toml"):
        shutil.copy(measured / name, tmp_path / name)

    def notes() -> list[str]:
        return [note for note in within_rig(tmp_path, store.read(filters))[1] if "rig.toml" in note]

    assert notes() == []
    (tmp_path / "rig.toml").write_text((tmp_path / "rig.toml").read_text() + "# edited\n")
    assert "rig.toml was changed after session.h5 was measured" in notes()[0]

"""The C library compiles without a word, runs under the sanitizers without a finding, and its example is short."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sweetspot.processor.export import Options, Places
from sweetspot.processor.export.c_library import blob_of
from sweetspot.processor.export.library import source_files
from tests.processor.library.loaded import HERE, SOURCES, crooked, detectors

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion", "-Wdouble-promotion")
COMPILERS = [
    pytest.param(c, marks=pytest.mark.skipif(shutil.which(c) is None, reason=f"{c} is absent: apt-get install {c}"))
    for c in ("gcc", "clang")
]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_compiler_has_anything_to_say(folder: Path, compiler: str) -> None:
    for flags in (("-O0",), ("-O2", "-march=native", "-ffp-contract=fast")):
        line = [compiler, *STRICT, *flags, "-c", *SOURCES, "example.c"]
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), flags


def test_the_sanitizers_find_nothing(folder: Path, tmp_path: Path) -> None:
    """Five seconds of everything that is bad for a processor; tests/bench/library.py does ten minutes."""
    filters = crooked(3, 200, 48000, "low-latency", 4.0)
    at = np.array([[1.8, 0.2, 0.1], [2.0, -0.1, 0.0]])
    places = Places(at, np.stack([filters.taps, -filters.taps]), 1, 0.1)
    unit = replace(filters, caps=(0.5, 0.2, 0.5), detectors=detectors(0.4))
    (tmp_path / "unit.blob").write_bytes(blob_of(unit, Options(places=places)))
    sources = [str(folder / s) for s in SOURCES]
    flags = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{folder}"]
    subprocess.run(["gcc", *flags, "-o", "stress", str(HERE / "stress.c"), *sources, "-lm"], cwd=tmp_path, check=True)
    done = subprocess.run(["./stress", "unit.blob", "5"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout.split()[0]) > 0


def test_the_example_is_short() -> None:
    assert len(source_files("hosts/example.c")["example.c"].splitlines()) <= 66


@pytest.mark.parametrize(
    ("form", "subtype", "channels", "off_hz", "code"),
    [
        ("WAV", "FLOAT", 2, 0, 0),
        ("WAVEX", "FLOAT", 2, 0, 0),
        ("WAV", "PCM_16", 2, 0, 2),
        ("WAV", "PCM_32", 2, 0, 2),
        ("WAVEX", "PCM_24", 2, 0, 2),
        ("WAV", "FLOAT", 1, 0, 2),
        ("WAV", "FLOAT", 2, -3900, 2),
    ],
)
def test_the_example_refuses_samples_that_it_cannot_read(
    folder: Path, tmp_path: Path, form: str, subtype: str, channels: int, off_hz: int, code: int
) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is absent: apt-get install gcc libc6-dev")
    filters = crooked()
    (tmp_path / "unit.blob").write_bytes(blob_of(filters))
    soundfile.write(tmp_path / "in.wav", np.full((4800, channels), 0.1), filters.fs + off_hz, subtype, format=form)
    if not (folder / "host").exists():
        line = ["gcc", "-O1", "-o", "host", "example.c", *SOURCES, "-lm"]
        subprocess.run(line, cwd=folder, check=True)
    line = [str(folder / "host"), "unit.blob", "in.wav", "out.f32"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert code or np.fromfile(tmp_path / "out.f32", dtype="<f4").any()

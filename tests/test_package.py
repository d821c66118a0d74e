"""What is installed: the built wheel, whole and nothing else, and what importing it does not need."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is tracked, so that nothing is left in the tree."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    return source


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", at, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(at.glob("*.whl"))


def test_wheel_holds_the_rooms_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {n.split("/")[0] for n in names if ".dist-info" not in n}
    assert tops == {"sweetspot"}
    packed = {n.removeprefix("sweetspot/") for n in names if n.endswith(".py")}
    inside = {n.removeprefix("sweetspot/") for n in tracked("*.py") if n.split("/")[0] not in {"tests", "runs"}}
    assert packed == inside
    data = ("py.typed", "rigs/desk.toml", "calibrate/report/page.html.j2", "calibrate/report/page.css")
    assert {f"sweetspot/{n}" for n in data} <= set(names)


def test_source_distribution_holds_all_that_its_tests_need(source: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--sdist", "--outdir", tmp_path, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as packed:
        names = {n.split("/", 1)[1] for n in packed.getnames() if "/" in n}
    assert {n for n in tracked() if not n.startswith((".ci/", ".gitignore"))} <= names


def test_a_python_without_wheels_of_all_packages_is_told_which_ones_are_tested(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.99.1 && exit\necho no wheel; exit 1\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "test", "-o", "debian", f"VENV={tmp_path}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "for Python 3.99.1, see above. Tested are Python 3.11 to 3.14" in done.stdout
    assert "make test PYTHON=python3." in done.stdout
    assert not (tmp_path / ".ready-dev").exists()


def test_installed_wheel_runs_by_itself(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel], check=True
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(target)}
    code = (
        "import sys, sweetspot.command_line as roof; assert 'site' in roof.__file__\n"
        "sys.argv[1:] = ['--help']; roof.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for word in ("rig", "measure", "calibrate", "process", "verify", "report", "demo"):
        assert word in done.stdout


def test_nothing_needs_portaudio_or_an_audio_server_to_start() -> None:
    code = (
        "import sys; sys.modules['sounddevice'] = None; sys.modules['jack'] = None; sys.modules['sofar'] = None\n"
        "import sweetspot.roof; sweetspot.roof.build()\n"
        "import sweetspot.calibrate.run, sweetspot.measure.run, sweetspot.processor.render, sweetspot.rigs.load\n"
        "import sweetspot.rigs.lab.interface\n"
        "assert 'matplotlib' not in sys.modules, 'slow to import'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_the_library_that_writes_sofa_the_message_names_what_to_install() -> None:
    code = (
        "import sys; sys.modules['sofar'] = None\n"
        "from sweetspot.rigs.storage import sofa_library\n"
        "from sweetspot.rigs.errors import BadInput\n"
        "try: sofa_library()\n"
        "except BadInput as fault: print(fault)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "pip install 'sweetspot[sofa]'" in done.stdout, done.stderr

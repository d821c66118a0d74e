"""Ordinary commands on a system without POSIX modules, on a terminal that only knows ASCII, and at other rates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sweetspot.commands import COMMANDS
from sweetspot.processor import store
from sweetspot.roof import build
from tests.no_posix import without_posix


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which POSIX modules cannot be imported, in this process's children either, and ASCII alone."""
    return without_posix(tmp_path / "site") | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}


def run(environment: dict[str, str], cwd: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sweetspot", *map(str, args)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def test_the_whole_loop_without_posix_modules_in_ascii_at_44_1_khz(
    bare: dict[str, str], tmp_path: Path, crooked_text: str
) -> None:
    check = "import os\ntry:\n    import fcntl\nexcept ImportError: print('gone', hasattr(os, 'fork'))"
    probe = subprocess.run([sys.executable, "-c", check], env=bare, capture_output=True, text=True)
    assert probe.stdout == "gone False\n", probe.stderr
    text = crooked_text.replace("fs = 47872", "fs = 44100").replace("step_deg = 15.0", "step_deg = 45.0")
    (tmp_path / "rig.toml").write_text(text)
    for words in (["--help"], ["--version"], ["rig", "--help"], ["play", "--help"], ["fleet", "--help"]):
        done = run(bare, tmp_path, *words)
        assert done.returncode == 0, done.stderr
    done = run(bare, tmp_path, "demo", "--rig", "rig.toml", "--unit", "D-1")
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.isascii()
    assert "Traceback" not in done.stderr
    folder = next((tmp_path / "runs" / "D-1").iterdir())
    music = np.random.default_rng(3).uniform(-0.2, 0.2, (30000, 2))
    soundfile.write(tmp_path / "in.wav", music, 44100)
    for words in (
        ["process", folder, "in.wav", "out.wav"],
        ["export", folder, "--to", "camilladsp", "--out", "engine"],
        ["calibrate", folder, "--explain"],
        ["fleet", "fit", "runs", "--workers", "1"],
    ):
        done = run(bare, tmp_path, *words)
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
    assert soundfile.info(tmp_path / "out.wav").channels == 3


def test_keys_of_playing_come_from_the_console_where_there_is_no_terminal_module(bare: dict[str, str]) -> None:
    """What `play` reads its keys with, on a system whose console has its own."""
    master, slave = os.openpty()
    code = "from sweetspot.processor.live import keyboard\nwith keyboard() as key:\n    print(key(20.0), flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], env=bare, stdin=slave, stdout=subprocess.PIPE) as process:
        os.write(master, b"b\n")
        assert process.communicate(timeout=60)[0].split() == [b"b"]
    assert process.returncode == 0
    os.close(slave)
    os.close(master)


def test_the_whole_loop_at_96_khz(tmp_path: Path, crooked_text: str) -> None:
    text = crooked_text.replace("fs = 47872", "fs = 96000").replace("step_deg = 15.0", "step_deg = 45.0")
    (tmp_path / "rig.toml").write_text(text)
    done = run(dict(os.environ), tmp_path, "demo", "--rig", "rig.toml", "--unit", "D-96", "--json")
    assert done.returncode in (0, 1), done.stderr
    outcome = json.loads(done.stdout)
    heard = {m["name"]: m for m in outcome["metrics"]}["cancellation, mean"]
    assert abs(heard["heard"] - heard["predicted"]) < 1.0
    filters = store.read(tmp_path / outcome["run"] / store.NAME)
    assert (filters.length, filters.upmix.window, filters.upmix.hop) == (2048, 2048, 512)
    soundfile.write(tmp_path / "in.wav", np.random.default_rng(4).uniform(-0.2, 0.2, (30000, 2)), 48000)
    assert run(dict(os.environ), tmp_path, "process", outcome["run"], "in.wav", "out.wav").returncode == 0
    assert soundfile.info(tmp_path / "out.wav").samplerate == 96000


def test_the_table_of_commands_is_what_the_rooms_mount() -> None:
    from typer.main import get_command

    mounted = get_command(build()).commands  # type: ignore[attr-defined]
    assert set(mounted) == set(COMMANDS)
    for name, command in COMMANDS.items():
        room = get_command(build(*command.rooms))
        alone = getattr(room, "commands", {name: room})[name]
        assert " ".join((alone.help or "").split("\n\n")[0].split()) == command.help
        inner = getattr(alone, "commands", {})
        assert set(inner) == set(getattr(mounted[name], "commands", {})), name


def test_help_stands_in_the_order_of_work_and_loads_no_room(tmp_path: Path) -> None:
    code = (
        "import sys; from sweetspot.command_line import main; sys.argv = ['sweetspot', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert not {'numpy', 'scipy', 'h5py', 'sounddevice', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    order = [
        done.stdout.index(w) for w in ("─ Begin", "─ Measure", "Calibrate and verify", "Process and deploy", "Many")
    ]
    assert order == sorted(order)


def test_errors_are_json_too(tmp_path: Path) -> None:
    for words, word in ((["report", "nowhere", "--json"], "nowhere"), (["reprot", "--json"], "report")):
        done = run(dict(os.environ), tmp_path, *words)
        assert done.returncode == 2
        error = json.loads(done.stdout)["error"]
        assert error["exit_code"] == 2
        assert word in error["message"]


def test_completion_knows_the_commands(tmp_path: Path) -> None:
    words = {"_SWEETSPOT_COMPLETE": "complete_bash", "COMP_WORDS": "sweetspot cal", "COMP_CWORD": "1"}
    done = run(os.environ | words, tmp_path)
    assert done.stdout.split() == ["calibrate"]
    inner = {"_SWEETSPOT_COMPLETE": "complete_bash", "COMP_WORDS": "sweetspot rig dev", "COMP_CWORD": "2"}
    assert run(os.environ | inner, tmp_path).stdout.split() == ["devices"]


def test_workers_of_a_fleet_begin_without_posix_modules(bare: dict[str, str], tmp_path: Path) -> None:
    """Processes that are spawned, not forked, in which POSIX modules are gone too."""
    (tmp_path / "spawned.py").write_text(
        "import os\n"
        "from multiprocessing import get_context\n"
        "from sweetspot.calibrate.fleet.run import on_processes\n"
        "def there(n):\n"
        "    return importable('fcntl'), hasattr(os, 'fork'), n\n"
        "def importable(name):\n"
        "    try:\n"
        "        __import__(name)\n"
        "    except ImportError:\n"
        "        return False\n"
        "    return True\n"
        "if __name__ == '__main__':\n"
        "    with get_context('spawn').Pool(2) as pool:\n"
        "        print(pool.map(there, [1, 2]), on_processes.__name__)\n"
    )
    done = subprocess.run([sys.executable, "spawned.py"], cwd=tmp_path, env=bare, capture_output=True, text=True)
    assert done.stdout.strip() == "[(False, False, 1), (False, False, 2)] on_processes", done.stderr

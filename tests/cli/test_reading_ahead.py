"""A copy of the process reads the words of a command while its work loads: the same results and messages as without."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from sweetspot.processor import store
from sweetspot.processor.filterset import FilterSet

PROCESS, VERIFY = "sweetspot.processor.cli", "sweetspot.calibrate.command.cli"
"""Modules of options, which the process itself loads where no copy of it reads the words."""

ASKED = f"""
OPTIONS = {{"{PROCESS}", "{VERIFY}"}}
import json, os, sys
from sweetspot import command_line, roof
CHANGED
try: command_line.main()
except SystemExit as end: code = end.code
try: left = os.waitpid(-1, os.WNOHANG)
except ChildProcessError: left = None
sys.stdout.write("\\n" + json.dumps([code, left, sorted({{"pydantic", "rich", *OPTIONS}} & set(sys.modules))]))
sys.stdout.flush()
"""
ALONE = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
"""Nothing is read ahead on one core."""

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="a second core is needed"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("process")
    h = np.random.default_rng(0).standard_normal((3, 2, 64)) * 0.01
    channels, source = (1, 2), "0" * 64
    filters = FilterSet(h, 48000, ("left one", "right"), 0.5, 0, 0.0, channels, source, "SN")  # type: ignore[arg-type]
    store.write(made / "filterset.h5", filters)
    sf.write(made / "in.wav", np.random.default_rng(1).uniform(-0.3, 0.3, (9000, 2)), 48000, subtype="FLOAT")
    sf.write(made / "mono.wav", np.zeros(100), 48000)
    return made


def typed(folder: Path, *words: str, changed: str = "") -> tuple[str, str, int, list[str]]:
    """Output, messages, exit code, and which slow libraries were loaded; no process is left behind."""
    line = [sys.executable, "-c", ASKED.replace("CHANGED", changed), *words]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    out, _, ended = done.stdout.rpartition("\n")
    code, left, loaded = json.loads(ended)
    assert left is None
    return out, re.sub("Compiling loops.*\n", "", done.stderr), code, loaded  # printed at a first use alone


def test_words_are_understood_as_without_a_copy(folder: Path) -> None:
    words = (
        "process",
        ".",
        "in.wav",
        "OUT",
        "--gain",
        "-3",
        "--upmix",
        "pca",
        "--amount",
        "0.5",
        "--subtype",
        "PCM_16",
    )
    for more in ((), ("--split",), ("--json",)):
        found = []
        for out, changed in (("a.wav", ""), ("b.wav", ALONE)):
            line = [out if word == "OUT" else word for word in (*words, *more)]
            output, messages, code, loaded = typed(folder, *line, changed=changed)
            assert (code, loaded) == (0, [] if not changed else [PROCESS])
            found.append((output.replace(out, "OUT"), re.sub(r"\d\d:\d\d", "", messages)))
        assert found[0] == found[1]
        for first in sorted(folder.glob("a*.wav")):
            second = first.with_name(f"b{first.name[1:]}")
            assert first.read_bytes() == second.read_bytes()
            first.unlink(), second.unlink()


@pytest.mark.parametrize(
    "line",
    [
        "process",
        "process --help",
        "process nowhere in.wav out.wav",
        "process . in.wav out.wav --gain 99",
        "process . in.wav out.wav --upmix loud",
        "process . in.wav out.wav --unknown",
        "process . in.wav",
        "process . mono.wav out.wav",
        "process . in.wav in.wav --json",
        "calibrate",
        "calibrate --help",
        "calibrate --keys",
        "calibrate nowhere",
        "calibrate . --json",
        "calibrate . --design",
        "verify",
        "verify --help",
        "verify nowhere",
        "verify . --json",
        "verify . --places 0",
        "verify . --golden",
        "report nowhere",
        "report --help",
        "report . --listen",
    ],
)
def test_messages_are_those_without_a_copy(folder: Path, line: str) -> None:
    ahead, alone = (typed(folder, *line.split(), changed=changed)[:3] for changed in ("", ALONE))
    assert ahead == alone
    assert ahead[2] == (0 if "--help" in line or "--keys" in line else 2)
    assert not (folder / "out.wav").exists()


@pytest.mark.parametrize("ceiling", [-40.0, 3.0])
def test_limits_of_the_rig_are_those_read_without_a_copy(folder: Path, tmp_path: Path, ceiling: float) -> None:
    for name in ("filterset.h5", "in.wav"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "rig.toml").write_text(f"[limits]\nceiling_dbfs = {ceiling}\n")
    found = []
    for changed in ("", ALONE):
        output, messages, code, loaded = typed(tmp_path, "process", ".", "in.wav", "out.wav", changed=changed)
        assert (code, "pydantic" in loaded) == (0 if ceiling < 0.0 else 2, bool(changed) or ceiling > 0.0)
        sound = (tmp_path / "out.wav").read_bytes() if code == 0 else b""
        found.append((output, re.sub(r"\d\d:\d\d", "", messages), sound))
    assert found[0] == found[1]
    assert ("the lower one applies" if ceiling < 0.0 else "nothing is played without a known ceiling") in found[0][1]


@pytest.mark.parametrize("changed", ["", ALONE])
@pytest.mark.parametrize("wanted", [0, 1])
def test_a_verdict_is_the_exit_code(folder: Path, wanted: int, changed: str) -> None:
    judged = (
        "from types import SimpleNamespace; from sweetspot.rigs import faces; known = faces.import_module\n"
        f"work = SimpleNamespace(verify=lambda **_: {wanted}, ready=lambda: None)\n"
        "faces.import_module = lambda name: work if name.endswith('.verifying') else known(name)\n"
    )
    code, loaded = typed(folder, "verify", ".", "--golden", changed=judged + changed)[2:]
    assert (code, VERIFY in loaded) == (wanted, bool(changed))


def test_a_copy_that_fails_costs_time_alone(folder: Path) -> None:
    failing = (
        "known, first = roof.typed, os.getpid()\n"
        "roof.typed = lambda **given: known(**given) if os.getpid() == first else os._exit(3)"
    )
    output, messages, code, loaded = typed(folder, "process", ".", "in.wav", "out.wav", changed=failing)
    assert (code, PROCESS in loaded) == (0, True), messages
    assert "2 drivers" in output
    (folder / "out.wav").unlink()

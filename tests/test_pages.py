"""Commands that the manual shows in a line or a block run on one small unit; others name their test."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sweetspot.command_line import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *(ROOT / room / "README.md" for room in ("rigs", "measure", "processor", "calibrate"))]

ELSEWHERE = {
    "demo": "tests/test_loop.py",
    "play": "tests/processor/test_play.py",
    "line": "tests/calibrate/test_line.py",
    "rig devices": "tests/rigs/test_manual.py",
    "rig new": "tests/rigs/test_new_rig.py",
    "rig lab": "tests/rigs/test_soundcard.py",
    "rig calibrate": "tests/rigs/test_calibrate.py",
    "measure quick": "tests/calibrate/test_quick.py",
    "fleet learn": "tests/calibrate/test_quick.py",
    "fleet sample": "tests/calibrate/test_line.py",
    "fleet fit": "tests/calibrate/test_fleet.py",
    "fleet limits": "tests/calibrate/test_fleet.py",
}
"""Commands that need more than one unit or an audio server: the test that runs them."""

ELSEWHERE_WITH = {
    "--explain": "tests/cli/test_every_desk.py",
    "--design": "tests/test_loop.py",
    "--recorded": "tests/calibrate/test_recorded.py",
    "--check": "tests/processor/test_export.py",
}
"""The same by option."""


TYPED = {"calibrate RUN", "verify RUN", "report RUN", "sofa RUN --out DIR", "verify RUN --stimuli sweeps"}
"""Blocks of the first page and of measurement have these, and are typed whole (``test_readme.py``,
``measure/test_measure_readme.py``)."""


def shown() -> list[str]:
    """Commands in blocks that no other test types, and in lines of text, each once."""
    found: dict[str, None] = {}
    for page in PAGES:
        fence: str | None = None
        lines = []
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith("```"):
                fence = line if fence is None else None
            elif fence == "```" and line.startswith("sweetspot "):
                found[line.split("#")[0].removeprefix("sweetspot ").strip().removesuffix(" &")] = None
            elif fence is None:
                lines.append(line)
        found |= dict.fromkeys(" ".join(c.split()) for c in re.findall(r"`sweetspot ([a-z][^`]*)`", "\n".join(lines)))
    return [c for c in found if len(c.split()) > 1 or c == "demo"]


def elsewhere(command: str) -> str | None:
    """The test that runs a command, if it is another."""
    words = command.split()
    by_option = [where for option, where in ELSEWHERE_WITH.items() if option in command]
    named = ELSEWHERE.get(" ".join(words[:2]), ELSEWHERE.get(words[0]))
    return named or (by_option[0] if by_option else None)


def typed(monkeypatch: pytest.MonkeyPatch, command: str) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["sweetspot", *shlex.split(command)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def small(crooked_text: str) -> str:
    """The crooked rig, quick to measure: free field, few directions, short sweeps."""
    text = crooked_text.split("[lab.room]")[0].replace("step_deg = 15.0", "step_deg = 60.0")
    text = text.replace("ceiling_dbfs = -5.0", "ceiling_dbfs = -5.0\nloudest_db_spl = 99.0")
    return text.replace("seconds = 0.6", "seconds = 0.4")


def test_every_command_runs(
    crooked_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On one small unit, in the order of work; names in capitals stand for its own."""
    monkeypatch.chdir(tmp_path)
    Path("rig.toml").write_text(small(crooked_text), encoding="utf-8")
    Path("mic.txt").write_text("20 0.5\n1000 0\n20000 1\n", encoding="utf-8")
    Path("design.toml").write_text("[filter]\ntaps = 256\n", encoding="utf-8")
    Path("limits.toml").write_text("cancellation_mean = 1.0\n", encoding="utf-8")
    soundfile.write("in.wav", 0.1 * np.random.default_rng(1).standard_normal((9000, 2)), 47872)
    driver = "left"
    Path("bank.toml").write_text("places = [[1.4, 0.01], [1.3, 0.02]]\n", encoding="utf-8")
    Path("walk.txt").write_text("0 1.4 0.0\n0.1 1.3 0.02\n", encoding="utf-8")
    stands_for = {
        "--places N": "--places 1",
        "--places 5": "--places 1",
        "--records DIR --serial -": "--records records --serial SN-0042",
        "runs/SN-0042/*/filterset.h5": "SN-0042",
        "rigs/desk-jack.toml": "rig.toml",
        "RIG": "rig.toml",
        "FILTERSET": "SN-0042",
        "RUN": "SN-0042",
        "runs/SN-0042 ": "SN-0042 ",
        "ENGINE": "camilladsp",
        "DIR": "out",
        "FILE": "mic.txt",
        " desk ": " rig.toml ",
        "side_left": driver,
        " S ": " SN-0042 ",
        "runs/SN-0042/*-desk": "SN-0042",
        "calibrate/pictures": "pictures",
        "DEMO-0001": "SN-0042",
    }
    here = [c for c in shown() if elsewhere(c) is None and c not in TYPED]
    order = ["rig", "measure", "calibrate", "verify", "process", "report"]
    assert len(here) > 20
    ran = set()
    for command in sorted(here, key=lambda c: (order.index(c.split()[0]), "--bank" in c)):
        line = f" {command.replace('[--check]', '')} "
        for name, own in stands_for.items():
            line = line.replace(name, own)
        if "fleet" in line:
            line = line.replace(" out ", " runs ")
        if "measure import" in line:
            assert typed(monkeypatch, "measure export SN-0042 --to wav --out out") == 0
            line = line.replace("--unit SN-0042", "--unit SN-0043")
        if line.strip() in ran:
            continue
        ran.add(line.strip())
        import time

        t0 = time.process_time()
        code = typed(monkeypatch, line)
        print("TT", round(time.process_time() - t0, 1), line, code, file=sys.__stderr__, flush=True)
        judged = line.split()[0] == "verify"
        assert code in ((0, 1) if judged else (0,)), f"{line}: {code}\n{capsys.readouterr()}"


def test_commands_in_blocks_that_are_typed_whole_stand_there() -> None:
    blocks = "\n".join(
        block
        for page in (ROOT / "README.md", ROOT / "measure" / "README.md")
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    )
    for command in TYPED:
        kind, _, options = command.split(" ", 2) if command.count(" ") > 1 else (*command.split(), "")
        assert re.search(rf"^sweetspot {kind} \S+ *{options.split(' ')[0]}", blocks, re.M), command


def test_commands_that_other_tests_run_are_run_there() -> None:
    """The test that is named types the command's words, or its option."""
    for command in shown():
        if (where := elsewhere(command)) is not None:
            text, words = (ROOT / where).read_text(encoding="utf-8"), command.split()
            done = [w for w in words[:2] if w.islower()] if words[0] in ("rig", "measure", "fleet") else words[:1]
            assert all(w in text for w in done), f"{command}: {where}"

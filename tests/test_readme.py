"""The README's commands work as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def typed(page: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """All shell blocks of a page, typed in order in an empty folder."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    assert blocks
    command = tmp_path / "bin" / "sweetspot"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom sweetspot.command_line import main\nmain()\n")
    command.chmod(0o755)
    environment = os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    script = "set -e\n" + "\n".join(blocks)
    return subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)


def test_shell_blocks_run_in_order(tmp_path: Path) -> None:
    done = typed(ROOT / "README.md", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "PASS" in done.stdout
    assert list(tmp_path.glob("runs/SN-0042/*-desk/report.html"))


def test_files_that_it_names_exist() -> None:
    text = (ROOT / "README.md").read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).exists(), link
    for name in re.findall(r"`((?:rigs|tests)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


def test_commands_of_the_rigs_page_run_in_order(tmp_path: Path) -> None:
    done = typed(ROOT / "rigs" / "README.md", tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "captures of" in done.stdout

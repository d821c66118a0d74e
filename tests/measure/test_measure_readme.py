"""The commands of the room's README work as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_importing_as_the_readme_shows(data: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "measure" / "README.md").read_text(), re.S | re.M)
    assert len(blocks) == 2
    command = tmp_path / "bin" / "sweetspot"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom sweetspot.command_line import main\nmain()\n")
    command.chmod(0o755)
    environment = os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}", "DATA": str(data)}
    script = "set -e\n" + "\n".join(blocks)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("unknown: ears: the level is not known in pascal") == 4  # the exports do not pretend
    assert "Warning" not in done.stderr
    assert "no beam is judged" in done.stdout
    assert "are not valid" in done.stdout  # dB SPL of responses that are only relative
    found = re.search(r"cancellation of the direct sound ([\d.]+) dB", done.stdout)
    assert found is not None
    assert float(found[1]) > 8.0
    both = [float(x) for x in re.findall(r"cancellation of the direct sound ([\d.]+) dB", done.stdout)]
    assert len(both) == 2
    assert both[1] > 15.0
    assert len(list(tmp_path.glob("runs/KEMAR-AGAIN/*/session.h5"))) == 1
    assert (tmp_path / "sweeps" / "recordings.csv").is_file()
    assert next(tmp_path.glob("runs/OFFICE-WAV/*/report.html")).stat().st_size > 50_000

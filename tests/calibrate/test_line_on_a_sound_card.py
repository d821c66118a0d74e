"""The line on the lab as a sound card: three units through the whole cycle, over PortAudio and a real audio server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sweetspot.calibrate.quick import learn, write
from sweetspot.calibrate.quick import run as quick
from sweetspot.measure.session import Session
from sweetspot.processor import store
from tests.calibrate import quick_fleet

pytestmark = pytest.mark.server
CARD = 'driver = "portaudio"\ndevice = "crooked-card"\nblocksize = 512\n'
PROGRAM = [sys.executable, "-c", "from sweetspot.command_line import main; main()"]


def card_text() -> str:
    """The fleet's rig with the lab as a sound card, 2 dB quieter; nothing turns."""
    text = quick_fleet.text().replace('driver = "lab"\n', CARD, 1)
    text = text.replace("level_dbfs = -6.0", "level_dbfs = -8.0")
    return text.replace('driver = "lab"\n', 'driver = "fixed"\n', 1)


def test_units_go_down_the_line_through_a_sound_card(
    jack_server: Callable[..., AbstractContextManager[Any]],
    jack_lab: Callable[..., AbstractContextManager[Any]],
    tmp_path: Path,
) -> None:
    """Two good units, and on a restarted line one with swapped channels: scanned, captured, judged, recorded."""
    rig = quick_fleet.rig(tmp_path)
    golden = quick.measured_unit(quick_fleet.measured(tmp_path / "learned", rig, "G-1"))
    write(tmp_path / "model.h5", learn([golden], rig))
    card = tmp_path / "card.toml"
    card.write_text(card_text(), encoding="utf-8")
    command = [*PROGRAM, "line", card.name, "--model", "model.h5", "--records", "records", "--json"]
    found = []
    with jack_server(rig.fs) as server:
        for units, options in ((("J-1", "J-1b"), ()), (("J-2",), ("--fault", "swap drivers=left,right"))):
            with jack_lab(server, card, "--unit", units[0], *options):
                done = subprocess.run(
                    command,
                    cwd=tmp_path,
                    env=server.env,
                    input="\n".join((*units, "")),
                    capture_output=True,
                    text=True,
                    timeout=120,
                )
            found.append((done.returncode, done.stderr))
    rows = (tmp_path / "records" / "line.jsonl").read_text(encoding="utf-8").splitlines()
    good, next_one, swapped = map(json.loads, rows)
    (passed, _), (failed, _) = found
    assert (passed, good["verdict"]) == (0, "pass"), found
    assert good["seconds"]["capture"] > next_one["seconds"]["capture"] + 1.0, "only the first is tried at a low level"
    assert set(good["seconds"]) == {"capture", "estimate", "fit", "export", "verify"}
    assert store.read(tmp_path / good["run"] / "filterset.h5").unit_serial == "J-1"
    with Session.read(tmp_path / good["run"] / "session.h5") as session:
        assert session.is_estimated("ears")
        assert session.rig().interface.driver == "portaudio"
    assert all(abs(g) < 0.5 for g in good["monitors"]["gains_db"].values())
    assert (failed, swapped["verdict"]) == (1, "refused"), swapped
    assert "swapped" in swapped["cause"]
    assert [one["unit"] for one in (good, next_one, swapped)] == ["J-1", "J-1b", "J-2"]

"""State of the plug-in: what one host saves plays so in another."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweetspot.processor import files
from sweetspot.processor.export.lv2 import address
from tests.processor import lilv_host
from tests.processor.library.loaded import music
from tests.processor.on_jack import Played, aligned_error_db, hosted
from tests.processor.test_plugin import amount, bank, needs_tools, playing, plugin

__all__ = ("plugin",)


def through_jalv(server: Any, plugin: Path, x: np.ndarray, *words: str) -> tuple[np.ndarray, str]:
    """What a plug-in in jalv makes of a sound, and what jalv printed."""
    played = Played(x, 3)
    try:
        with hosted(server, plugin.parent, *words) as log:
            outs = [f"hosted:channel_{c}" for c in bank().home.channels]
            return played.heard(("hosted:left", "hosted:right"), outs), log.read_text()
    finally:
        played.client.close()


@needs_tools
@pytest.mark.server
@pytest.mark.skipif(shutil.which("jalv") is None, reason="jalv is absent: `make test` installs it")
def test_a_project_that_a_host_saved_plays_so_in_another(
    plugin: Path,
    tmp_path: Path,
    jack_server: Callable[..., AbstractContextManager[Any]],
    in_server: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """State saved with the library of LV2 hosts, loaded by jalv: its set, gain and amount, and whose filters they are.

    Without a centre, which is taken out frame by frame: a server begins anywhere in a frame.
    """
    uri, x = address(bank().home), music(24000)
    monkeypatch.setenv("LV2_PATH", str(plugin.parent))
    lilv_host.save(uri, 47872.0, {"gain": -20.0, "set": 1.0, "amount": 0.0}, tmp_path / "saved")
    kept = (tmp_path / "saved" / "state.ttl").read_text()
    assert "SN-1, session 000000000000" in kept
    other = tmp_path / "other" / "state.ttl"
    files.write_all(other.parent, {"state.ttl": kept.replace("SN-1, session", "SN-2, session").encode()})
    with jack_server(47872) as server:
        in_server(server)
        fresh, quiet = through_jalv(server, plugin, x, "-c", "amount=0", uri)
        restored, same = through_jalv(server, plugin, x, "-l", str(tmp_path / "saved"))
        _, done = through_jalv(server, plugin, x, "-l", str(other.parent))
    home, saved = bank().at(2), replace(bank().at(0), taps=0.1 * bank().at(0).taps)
    for heard, filters in ((fresh, home), (restored, saved)):
        assert aligned_error_db(heard, amount(playing(filters), 0.0).process(x.astype(np.float64))) < -120
    assert "the project was made with unit SN-2" in done
    assert "project was made" not in quiet + same

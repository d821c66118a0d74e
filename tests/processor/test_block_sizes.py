"""The exported processor on audio servers whose block is not the one that it was made for: the same sound."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweetspot.processor import files
from sweetspot.processor.engine import Engine
from sweetspot.processor.export import Options, bundle, unused
from sweetspot.processor.export.bundles import stereo
from sweetspot.processor.export.lv2 import address
from sweetspot.processor.export.running import live
from sweetspot.processor.partition import PartitionedMatrix
from sweetspot.rigs.errors import BadInput, HardwareTrouble
from tests.processor.library.loaded import crooked, music
from tests.processor.on_jack import Played, aligned_error_db, hosted

TOOLS = ("gcc", "make", "jackd", "jack_bufsize", "jalv", "brutefir", "jconvolver")
MISSING = [t for t in TOOLS if shutil.which(t) is None]
FS = 47872
FILTERS = crooked(3, 300, method="off")
PERIODS = (480, 8192, 64)
"""Not a power of two, larger than any block of the library, and a short one."""


@contextmanager
def as_client(server: Any, folder: Path) -> Iterator[tuple[str, ...]]:
    """The C library as a JACK client; gives its ports, left and right first."""
    process = subprocess.Popen(["./sweetspot-jack", "unit.blob", "built"], cwd=folder, env=server.env)
    try:
        yield "built:left", "built:right", "built:driver_1", "built:driver_2", "built:driver_3"
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def as_plugin(server: Any, folder: Path) -> Iterator[tuple[str, ...]]:
    """The plug-in in jalv; gives its ports."""
    with hosted(server, folder.parent, address(FILTERS)):
        yield "hosted:left", "hosted:right", *(f"hosted:channel_{c}" for c in FILTERS.channels)


@pytest.mark.server
@pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} absent: `make test` installs them")
def test_any_period_of_the_server_and_a_change_while_it_runs_sound_the_same(
    tmp_path: Path, jack_server: Callable[..., AbstractContextManager[Any]], in_server: Callable[..., None]
) -> None:
    """Started on the first period; the server then takes the others one after another."""
    folder = tmp_path / "sweetspot.lv2"
    files.write_all(folder, bundle(FILTERS, "lv2").everything() | bundle(FILTERS, "c").everything())
    subprocess.run(["make", "--silent", "CFLAGS=-O1", "lv2", "jack"], cwd=folder, check=True)
    x = music(16000)
    wanted = Engine(FILTERS, 256).process(x.astype(np.float64))
    found = {}
    with jack_server(FS, PERIODS[0]) as server:
        in_server(server)
        players = {form.__name__: Played(x, 3) for form in (as_client, as_plugin)}
        with as_client(server, folder) as first, as_plugin(server, folder) as second:
            for period in PERIODS:
                subprocess.run(["jack_bufsize", str(period)], env=server.env, check=True, capture_output=True)
                for (name, player), ports in zip(players.items(), (first, second), strict=True):
                    found[name, period] = aligned_error_db(player.heard(ports[:2], ports[2:]), wanted)
        for player in players.values():
            player.client.close()
    assert max(found.values()) < -120, found


@pytest.mark.server
@pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} absent: `make test` installs them")
def test_engines_exported_for_another_period_sound_the_same_or_refuse_it(
    tmp_path: Path,
    jack_server: Callable[..., AbstractContextManager[Any]],
    in_server: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Made for 256 samples, on a server of 1024: jconvolver adapts itself, BruteFIR states why it does not start."""
    x = music(16000)
    wanted = PartitionedMatrix(stereo(FILTERS), 256).process(x.astype(np.float64))
    exported = {name: tmp_path / name for name in ("jconvolver", "brutefir")}
    for name, folder in exported.items():
        files.write_all(folder, bundle(FILTERS, name, Options(block=256)).everything())
    with jack_server(FS, 1024) as server:
        in_server(server)
        monkeypatch.setenv("JACK_DEFAULT_SERVER", server.name)
        player = Played(x, 3)
        with live.running(FILTERS, "jconvolver", 1024, exported["jconvolver"]):
            outs = [f"{live.OWN}:channel_{c}" for c in FILTERS.channels]
            heard = player.heard((f"{live.OWN}:left", f"{live.OWN}:right"), outs)
        with (
            live.running(FILTERS, "brutefir", 1024, exported["brutefir"]) as engine,
            pytest.raises(HardwareTrouble, match="Invalid block size"),
        ):
            watched(engine)
        player.client.close()
    assert aligned_error_db(heard, wanted) < -120


def watched(engine: live.Running) -> None:
    """Until it ends by itself, 20 s at most."""
    for _ in range(200):
        engine.alive()
        time.sleep(0.1)


@pytest.mark.parametrize(("engine", "block", "near"), [("brutefir", 480, 256), ("jconvolver", 8192, 4096)])
def test_a_block_that_an_engine_cannot_take_is_refused_with_one_that_it_can(engine: str, block: int, near: int) -> None:
    with pytest.raises(BadInput, match=rf"blocks of {block} samples.*such as {near}; .*jackd -p {near}"):
        bundle(FILTERS, engine, Options(block=block))


def test_an_option_without_effect_is_named() -> None:
    options = Options(block=512, capture="hw:1", version=3)
    assert unused("c", options) == "Without effect on c: --block, --capture, --engine-version."
    assert unused("brutefir", options) == "Without effect on brutefir: --engine-version."
    assert not unused("camilladsp", options)

"""The crooked world: unequal counts, no mirror symmetry, an odd sampling rate, so that no mix-up goes unseen."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from sweetspot.measure import folder, plan
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.lab.interface import LabInterface, LabStage
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import Description, parse

ROOT = Path(__file__).resolve().parents[1]


def _fixtures(name: str) -> ModuleType:
    """A module of fixtures beside this one."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_servers = _fixtures("server")
jack_server, jack_lab, pipewire_server = _servers.jack_server, _servers.jack_lab, _servers.pipewire_server
in_server, crooked_card_text = _servers.in_server, _servers.crooked_card_text

signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell's background job ignores Ctrl-C, and so would the programs that tests start and interrupt."""

CROOKED = """
schema = 1
name = "crooked"
fs = 47872
[interface]
driver = "lab"
loopback = { out = 6, in = 2 }
full_scale_v = 0.1
[stage]
driver = "lab"
[limits]
ceiling_dbfs = -5.0
[environment]
temperature_c = 17.0
[[driver]]
name = "woofer"
channel = 5
at = [0.05, 0.06, 0.01]
band_hz = [80, 15000]
unprotected = true
[[driver]]
name = "left"
channel = 1
at = [0.01, 0.08, 0.0]
band_hz = [120, 20000]
unprotected = true
[[driver]]
name = "right"
channel = 3
at = [0.03, -0.07, 0.0]
band_hz = [100, 18000]
unprotected = true
[[mic]]
name = "ear_right"
channel = 1
sensitivity_mv_per_pa = 11.0
[[mic]]
name = "boom"
channel = 3
sensitivity_mv_per_pa = 20.0
[[mic]]
name = "ear_left"
channel = 4
sensitivity_mv_per_pa = 14.0
[ears]
distance_m = 1.4
positions = [
    { x = 0.0, y = 0.01, yaw_deg = 1, use = "design" },
    { x = 0.03, y = -0.02, yaw_deg = -5, use = "design" },
    { x = -0.02, y = 0.04, yaw_deg = 7, use = "design" },
    { x = 0.01, y = 0.02, yaw_deg = -3, use = "score" },
    { x = -0.03, y = -0.03, yaw_deg = 4, use = "score" },
]
[polar]
distance_m = 1.7
step_deg = 15.0
[sweep]
band_hz = [60, 19000]
seconds = 0.6
level_dbfs = -6.0
before_ms = 20.0
after_ms = 60.0
[lab]
seed = 5
"""

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def root() -> Path:
    """Where the project is."""
    return ROOT


@pytest.fixture(scope="session")
def data() -> Path:
    """Real measured data beside the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the folder of measured data is not there: {folder.name} beside the project")
    return folder


@pytest.fixture(scope="session")
def crooked_text() -> str:
    """The crooked rig's file."""
    return CROOKED


@pytest.fixture
def crooked(tmp_path: Path) -> Description:
    """The crooked rig, described."""
    return parse(CROOKED, folder=tmp_path)


@pytest.fixture(scope="session")
def lab_rig() -> Callable[..., Rig]:
    """Makes a rig in the virtual lab, in process, at a fixed hour."""

    def make(description: Description, serial: str = "T-1") -> Rig:
        world = World(description, serial)
        return Rig(description, LabInterface(world, lambda: NOON), LabStage(world))

    return make


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory, crooked_text: str, lab_rig: Callable[..., Rig]) -> Path:
    """A run of the crooked world, unit T-9, with both sets; copy it before writing into it."""
    place = tmp_path_factory.mktemp("measured")
    rig = parse(crooked_text, folder=place)
    run = folder.new(place / "runs", "T-9", rig, NOON)
    for name in plan.SETS:
        with Session.resume(run / "session.h5") as session:
            measure(lab_rig(rig, "T-9"), session, plan.make(rig, name), ask=lambda move: None, step=lambda note: None)
    return run


@pytest.fixture
def sweetspot(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line as a user would, in an empty folder."""

    def run(*args: str | Path, timeout: float = 240, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sweetspot", *map(str, args)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)

    return run

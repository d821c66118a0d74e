"""The whole processor, deployed: verdict PASS with the figures of our own engine, on JACK and on PipeWire."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweetspot.calibrate import run
from sweetspot.calibrate.design import Design, Limits
from sweetspot.calibrate.verify import CentreMissing, Verification
from sweetspot.calibrate.verify import processor as deployed
from sweetspot.measure import folder, plan
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.processor import files, store
from sweetspot.processor.export import bundle
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import HardwareTrouble
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import parse

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
KEPT = {"design": 5, "score": 2}
SERIAL = "S-2"
SAME_DB = 0.1
NOISY = ("difference", "signal to noise", "distortion", "rub and buzz", "latency")
"""Figures of noise and of time, which no processor has as another has them."""

ABSENT = [t for t in ("gcc", "make", "jalv") if shutil.which(t) is None]
PIPEWIRE = ("pipewire", "wireplumber", "pw-cli", "dbus-run-session", "make")
MISSING = [t for t in PIPEWIRE if shutil.which(t) is None] or ([] if list(Path("/usr/lib").glob("*/pipewire-0.3/jack"))
           else ["pipewire-jack"])  # fmt: skip


def small_desk() -> str:
    """The desk of the demo with program outputs, few positions and directions, and an odd sampling rate."""
    lines, seen = [], dict.fromkeys(KEPT, 0)
    for line in (ROOT / "rigs" / "desk.toml").read_text().splitlines():
        if use := re.search(r'use = "(\w+)"', line):
            seen[use[1]] += 1
            if seen[use[1]] > KEPT[use[1]]:
                continue
        lines.append(line)
    text = "\n".join(lines) + "\n"
    for old, new in (
        ('name = "desk"', 'name = "small-desk"'),
        ("fs = 48000", "fs = 47872"),
        ("step_deg = 5.0", "step_deg = 90.0"),
        ("seconds = 1.0", "seconds = 0.6"),
        ("loopback = { out = 9, in = 4 }", "loopback = { out = 9, in = 4 }\nprogram = { left = 12, right = 11 }"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    return text


def card(port: Path) -> str:
    """The same desk as a sound card with a turntable."""
    interface = 'driver = "portaudio"\ndevice = "small-desk"\nhostapi = "JACK Audio Connection Kit"\nblocksize = 512\n'
    stage = f'driver = "grbl"\nport = "{port}"\naxes = {{ turn = "X", x = "Y", y = "Z", yaw = "A" }}\n'
    text = small_desk()
    for new in (interface, stage):
        text = text.replace('driver = "lab"\n', new, 1)
    return text


@contextmanager
def quiet(_title: str, _total: int) -> Iterator[Callable[[str], None]]:
    yield lambda _note: None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, lab_rig: Callable[..., Rig]) -> Path:
    """A calibrated run of the small desk; copy it before writing into it."""
    place = tmp_path_factory.mktemp("small-desk")
    rig = parse(small_desk(), folder=place)
    here = folder.new(place / "runs", SERIAL, rig, NOON)
    for name in plan.SETS:
        with Session.resume(here / "session.h5") as session:
            measure(lab_rig(rig, SERIAL), session, plan.make(rig, name), ask=lambda _: None, step=lambda _: None)
    run.calibrate(here, Design(), "")
    return here


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    """The run, to be written into."""
    return Path(shutil.copytree(made, tmp_path / "runs" / SERIAL / made.name))


def verified(env: dict[str, str], here: Path, on: Path, *names: str) -> dict[str, Any]:
    """Verdicts and figures by processor, from a process in an environment."""
    words = [sys.executable, str(Path(__file__).with_name("through.py")), str(here), str(on), SERIAL, *names]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return {found["name"]: found for found in map(json.loads, done.stdout.splitlines())}


def same(found: dict[str, Any], ours: dict[str, Any]) -> None:
    """PASS for both, and every figure in dB, degrees and microseconds as near as :data:`SAME_DB`."""
    assert (ours["verdict"], found["verdict"]) == ("pass", "pass"), found["reasons"]
    compared = 0
    assert found["heard"]["guard, largest output re the ceiling"][1] <= 0.0
    for name, (unit, value) in ours["heard"].items():
        if value is not None and not name.startswith(NOISY):
            assert abs(found["heard"][name][1] - value) < SAME_DB, (name, unit)
            compared += 1
    assert compared > 15


@pytest.mark.server
def test_the_c_library_and_the_plug_in_pass_with_the_figures_of_our_engine(
    here: Path,
    jack_server: Callable[..., AbstractContextManager[Any]],
    jack_lab: Callable[..., AbstractContextManager[Any]],
    tmp_path: Path,
) -> None:
    """The C library as a JACK client, and as a plug-in in jalv."""
    if missing := [t for t in ("gcc", "make", "jalv") if shutil.which(t) is None]:
        pytest.fail(f"{missing} absent: apt-get install gcc make jalv lv2-dev libjack-jackd2-dev")
    on = tmp_path / "card.toml"
    on.write_text(card(tmp_path / "turntable"))
    with jack_server(47872) as server, jack_lab(server, on, "--unit", SERIAL), server.freewheel():
        found = verified(server.env, here, on, "engine", "c", "lv2")
    same(found["c"], found["engine"])
    same(found["lv2"], found["engine"])


@pytest.mark.server
@pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} absent: `make test` installs them")
def test_the_plug_in_in_pipewire_passes_with_the_figures_of_our_engine(
    here: Path,
    lab_rig: Callable[..., Rig],
    pipewire_server: Callable[..., AbstractContextManager[Any]],
    jack_lab: Callable[..., AbstractContextManager[Any]],
    tmp_path: Path,
) -> None:
    """Rig, lab and filter chain are on one PipeWire, in real time; our own engine is heard in process."""
    on, own = tmp_path / "card.toml", tmp_path / "own.toml"
    on.write_text(card(tmp_path / "turntable"))
    own.write_text(small_desk())
    with pipewire_server(tmp_path / "server", 47872) as server:
        with jack_lab(server, on, "--unit", SERIAL):
            found = verified(server.env, here, on, "pipewire")
        found |= verified(server.env, here, own, "engine")
    same(found["pipewire"], found["engine"])


def faulty(here: Path, rig: Rig, name: str, changed: Callable[[FilterSet], FilterSet]) -> Verification:
    """The verdict on the C library or the plug-in that runs ``changed`` of the filters that it should."""
    fitted = run.fitted_of(here)
    right = deployed.choose(name, fitted.filters, rig.description)
    wrong = replace(right, filters=changed(right.filters))
    run.measure_verification(here, rig, fitted, NOON, ask=lambda _: None, track=quiet, processor=wrong)
    return run.judge(here, fitted, Limits())


def exported_without_guard(here: Path, rig: Rig, name: str, folder: Path) -> Verification:
    """The verdict on an export as it lies in a folder: its blob is right, its code has lost the guard."""
    fitted = run.fitted_of(here)
    files.write_all(folder, bundle(fitted.filters, name).everything())
    guard = folder / "guard.c"
    line = "    memcpy(g->ceilings, info->ceilings, g->drivers * sizeof(float));\n"
    assert line in guard.read_text()
    off = "    for (uint32_t d = 0; d < g->drivers; d++) {\n        g->ceilings[d] = 1.0f;\n    }\n"
    guard.write_text(guard.read_text().replace(line, off))
    wrong = deployed.choose(name, fitted.filters, rig.description, exported=folder)
    run.measure_verification(here, rig, fitted, NOON, ask=lambda _: None, track=quiet, processor=wrong)
    return run.judge(here, fitted, Limits())


def centre_times(gain: float) -> Callable[[FilterSet], FilterSet]:
    return lambda filters: replace(filters, taps=filters.taps * np.array([1.0, 1.0, gain])[:, None, None])


def upmix_off(filters: FilterSet) -> FilterSet:
    return replace(filters, taps=np.stack([filters.taps[0], filters.taps[1], filters.taps[0] + filters.taps[1]]))


def swapped_channels(filters: FilterSet) -> FilterSet:
    """The first two drivers at each other's outputs."""
    return replace(filters, taps=filters.taps[:, [1, 0, *range(2, len(filters.drivers))]])


def earlier_run(here: Path, filters: FilterSet) -> Callable[[FilterSet], FilterSet]:
    """Filters of an earlier run of the unit, which lies beside this one."""
    order = [1, 0, *range(2, len(filters.drivers))]
    old = replace(filters, taps=0.9 * filters.taps[[1, 0, 2]][:, order], source="b" * 64)
    place = here.parent / "20260301T120000Z-small-desk"
    place.mkdir()
    store.write(place / store.NAME, old)
    return lambda _: old


PLAYED = {"c": ("guard off", "upmix off"), "lv2": ("drivers swapped", "other filter set")}
"""What is played until there is a verdict; a missing centre and a wrong rate end both before."""


@pytest.mark.server
@pytest.mark.skipif(bool(ABSENT), reason=f"{ABSENT} absent: `make test` installs them")
@pytest.mark.parametrize("name", PLAYED)
def test_faulty_deployments_are_named(
    here: Path,
    jack_server: Callable[..., AbstractContextManager[Any]],
    jack_lab: Callable[..., AbstractContextManager[Any]],
    in_server: Callable[..., None],
    tmp_path: Path,
    name: str,
) -> None:
    """Guard, upmix, channels, centre, sampling rate and old filters, each by its own name."""
    on = tmp_path / "card.toml"
    on.write_text(card(tmp_path / "turntable"))
    faults = {"upmix off": upmix_off, "drivers swapped": swapped_channels}
    faults["other filter set"] = earlier_run(here, run.fitted_of(here).filters)
    with jack_server(47872) as server, jack_lab(server, on, "--unit", SERIAL), server.freewheel():
        in_server(server)
        with open_rig(parse(on.read_text(), folder=tmp_path), serial=SERIAL, now=lambda: NOON) as rig:
            for cause in PLAYED[name]:
                found = (
                    faulty(here, rig, name, faults[cause])
                    if cause in faults
                    else exported_without_guard(here, rig, name, tmp_path / "exported")
                )
                assert (found.verdict, found.causes[0].name) == ("fail", cause), (found.reasons, found.causes)
            with pytest.raises(CentreMissing, match="centre missing") as missing:
                faulty(here, rig, name, centre_times(0.0))
            with pytest.raises(HardwareTrouble, match="made for another sampling rate"):
                faulty(here, rig, name, lambda f: replace(f, fs=48000))
    assert missing.value.exit_code == 1

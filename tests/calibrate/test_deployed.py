"""Verification through every kind of deployed processor: our engine, engines on an audio server, the device itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from calibrate import deployed, run
from calibrate.deployed import Deployed
from calibrate.design import Design
from calibrate.fit import Fitted
from calibrate.limits import Limits
from calibrate.verify import Verification
from measure import folder, plan
from measure.run import measure
from measure.session import Session
from processor.export import brutefir
from processor.filterset import FilterSet
from rigs.describe import Description, parse
from rigs.load import open_rig
from rigs.protocol import Rig

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
PROGRAM = ("loopback = { out = 6, in = 2 }", "loopback = { out = 6, in = 2 }\nprogram = { left = 8, right = 7 }")
SPARSE = ("step_deg = 15.0", "step_deg = 45.0")
LATENCY = 3217.4
LIMITS = Limits(contrast=-20.0)
"""Three crooked drivers and eight directions make no beam; nothing here is about it."""


@contextmanager
def quiet(_title: str, _total: int) -> Iterator[Callable[[str], None]]:
    yield lambda _note: None


def ask(move: str) -> None:
    raise AssertionError(move)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, crooked_text: str, lab_rig: Callable[..., Rig]) -> Path:
    """A calibrated run of the crooked world with program outputs, unit T-9; copy it before writing into it."""
    place = tmp_path_factory.mktemp("deployed")
    rig = parse(crooked_text.replace(*PROGRAM).replace(*SPARSE), folder=place)
    here = folder.new(place / "runs", "T-9", rig, NOON)
    for name in plan.SETS:
        with Session.resume(here / "session.h5") as session:
            measure(lab_rig(rig, "T-9"), session, plan.make(rig, name), ask=ask, step=lambda note: None)
    run.calibrate(here, Design(), "")
    return here


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    """The run, to be written into."""
    return Path(shutil.copytree(made, tmp_path / "runs" / "T-9" / made.name))


def described(text: str, folder: Path, device: str = "", **changes: str) -> Description:
    """The crooked rig with program outputs, and a device if ``device`` tells of one."""
    text = text.replace(*PROGRAM).replace(*SPARSE)
    return parse(text + (f'[lab.device]\nfilters = "device"\n{device}\n' if device else ""), folder=folder)


def exported(filters: FilterSet, folder: Path) -> None:
    """What a device's maker does with an export."""
    folder.mkdir()
    for name, data in brutefir.bundle(filters).files.items():
        (folder / name).write_bytes(data)


def heard(here: Path, rig: Rig, fitted: Fitted, processor: Deployed) -> Verification:
    run.hear(here, rig, fitted, NOON, ask=ask, track=quiet, processor=processor)
    return run.judge(here, fitted, LIMITS)


def through_device(
    here: Path, text: str, change: Callable[[FilterSet], FilterSet] = lambda f: f, more: str = ""
) -> Verification:
    """The verdict on a device that runs ``change`` of the filters that it should."""
    fitted = run.fitted_of(here)
    exported(change(fitted.filters), here.parent / "device")
    rig = described(text, here.parent, f"latency_samples = {LATENCY}\n{more}")
    with open_rig(rig, serial="T-9", now=lambda: NOON) as opened:
        return heard(here, opened, fitted, deployed.choose("device", fitted.filters, rig))


def test_a_device_passes_and_its_latency_is_found_to_a_hundredth_of_a_sample(here: Path, crooked_text: str) -> None:
    found = through_device(here, crooked_text)
    assert found.verdict == "pass", found.reasons
    assert found.through is not None
    assert (found.through.name, found.through.form) == ("device", "stereo")
    assert abs(found.through.latency_samples - LATENCY) < 0.01
    assert next(m.heard for m in found.metrics if m.name.startswith("difference")) < -60.0
    assert "3217.40 samples" in found.through.said


@pytest.mark.server
def test_an_export_that_an_engine_plays_on_the_audio_server_is_verified_and_a_wrong_one_fails(
    here: Path,
    crooked_card_text: Callable[..., str],
    jack_server: Callable[..., AbstractContextManager[Any]],
    jack_lab: Callable[..., AbstractContextManager[Any]],
    in_server: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Rig, engine and lab on one server: program outputs to the engine, the engine to the drivers, ears to the rig."""
    card = tmp_path / "card.toml"
    card.write_text(crooked_card_text(tmp_path / "turntable").replace(*PROGRAM).replace(*SPARSE))
    rig, fitted = parse(card.read_text(), folder=tmp_path), run.fitted_of(here)
    right = deployed.choose("jconvolver", fitted.filters, rig)
    wrong = replace(right, filters=swapped(right.filters))
    with jack_server(47872) as server, jack_lab(server, card, "--unit", "T-9"), server.freewheel():
        in_server(server)
        with open_rig(rig, serial="T-9", now=lambda: NOON) as opened:
            good = heard(here, opened, fitted, right)
            bad = heard(here, opened, fitted, wrong)
    assert good.verdict == "pass", good.reasons
    assert good.through is not None
    assert good.through.name == "jconvolver"
    assert next(m.heard for m in good.metrics if m.name.startswith("difference")) < -60.0
    assert bad.verdict == "fail"
    assert bad.causes[0].name == "drivers swapped", bad.causes
    assert "'woofer' and 'right'" in bad.causes[0].said


def swapped(filters: FilterSet) -> FilterSet:
    """The filters of the first and the last driver at each other's."""
    return replace(filters, taps=filters.taps[:, [2, 1, 0]])

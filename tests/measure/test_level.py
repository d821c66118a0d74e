"""The ears matched to each other: microphones that differ are found in sessions of units whose drivers differ too."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweetspot import roof
from sweetspot.measure import ear_matching, folder, plan
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.interface import LabInterface, LabStage
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import Description, parse

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)

POSITIONS = """positions = [
    { x = 0.0, y = 0.0, yaw_deg = 0, use = "design" },
    { x = 0.03, y = 0.04, yaw_deg = 8, use = "design" },
    { x = -0.02, y = 0.01, yaw_deg = -3, use = "score" },
    { x = 0.03, y = -0.04, yaw_deg = -8, use = "design" },
]
"""


@pytest.fixture
def mirrored(crooked_text: str) -> str:
    """The crooked rig with left and right drivers, and two places, in mirror pairs; the woofer is left as it is."""
    text = crooked_text.replace("at = [0.03, -0.07, 0.0]", "at = [0.01, -0.08, 0.0]")
    text = text.replace("band_hz = [120, 20000]", "band_hz = [100, 18000]")
    before, _, rest = text.partition("positions = [")
    return before + POSITIONS + rest.partition("]\n")[2]


def session(text: str, place: Path, ears: dict[str, float]) -> Path:
    """A run of a rig whose ears have other sensitivities than its file states."""
    place.mkdir(exist_ok=True)
    rig = parse(text, folder=place)
    (place / "rig.toml").write_text(text)
    real = rig.model_copy(
        update={
            "mic": tuple(
                m.model_copy(update={"sensitivity_mv_per_pa": ears.get(m.name, m.sensitivity_mv_per_pa)})
                for m in rig.mic
            )
        }
    )
    world = World(real, "T-7")
    run = folder.new(place / "runs", "T-7", rig, NOON)
    opened = Rig(rig, LabInterface(world, lambda: NOON), LabStage(world))
    with Session.resume(run / "session.h5") as file:
        measure(opened, file, plan.make(rig, "ears"), ask=lambda _: None, step=lambda _: None)
    return run


def responses(run: Path) -> tuple[Any, Description]:
    with Session.read(run / "session.h5") as file:
        return file.responses("ears"), file.rig()


def test_microphones_that_differ_are_found(mirrored: str, tmp_path: Path) -> None:
    """The left one is 1 dB, the right one -0.5 dB from the file's value: 1.5 dB, though drivers differ by as much."""
    rough = mirrored.replace("seed = 5", "seed = 5\ntolerance_db = 1.5")
    run = session(rough, tmp_path / "a", {"ear_left": 14.0 * 10 ** (1 / 20), "ear_right": 11.0 * 10 ** (-0.5 / 20)})
    found = ear_matching.match(*responses(run))
    assert found.overall_db == pytest.approx(1.5, abs=0.02)
    assert found.left_louder_db == pytest.approx(np.full(len(found.f), 1.5), abs=0.1)
    assert found.pairs == 3, "two places, both ways, and one in the middle, by one pair of drivers"
    left, right = found.sensitivities(14.0, 11.0)
    assert left / right == pytest.approx(14.0 / 11.0 * 10 ** (1.5 / 20), rel=3e-3)
    assert left * right == pytest.approx(14.0 * 11.0)


def test_drivers_unlike_their_mirror_images_are_named(mirrored: str, tmp_path: Path) -> None:
    """Filters compensate for a weak or an inverted driver, so that a calibrated unit passes: the session names them."""
    ears, rig = responses(session(mirrored, tmp_path, {"ear_left": 14.0 * 10 ** (2 / 20)}))
    assert not ear_matching.driver_faults(ears, rig)
    left, right = (ears.drivers.index(name) for name in ("left", "right"))
    apart = float(np.median(20.0 * np.log10(np.std(ears.h[0, :, left]) / np.std(ears.h[0, :, right]))))
    gains = np.ones(len(ears.drivers))
    gains[right] = -(10.0 ** (-8.0 / 20.0))
    weak, inverted = ear_matching.driver_faults(replace(ears, h=ears.h * gains[:, None]), rig)
    assert weak.startswith("driver right is ")
    assert float(weak.split()[3]) == pytest.approx(8.0 + apart, abs=1.5)
    assert "left and right, mirror images, play in opposite polarity" in inverted


def test_matched_ears_hear_alike_when_measured_again(
    mirrored: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command writes what makes the next session agree: the ears that were 1.5 dB apart are 0."""
    ears = {"ear_left": 14.0 * 10 ** (1 / 20), "ear_right": 11.0 * 10 ** (-0.5 / 20)}
    run = session(mirrored, tmp_path / "a", ears)
    rig = tmp_path / "a" / "rig.toml"
    assert not roof.build()(["rig", "match", str(run), "--write", str(rig)], standalone_mode=False)
    message = capsys.readouterr().out
    assert "+1.50" in message
    assert "3 pairs of mirrored paths" in message
    again = session(rig.read_text(), tmp_path / "b", ears)
    assert ear_matching.match(*responses(again)).overall_db == pytest.approx(0.0, abs=0.02)


def test_third_octaves_by_lags_are_means_over_bins() -> None:
    h = np.random.default_rng(3).standard_normal(301) * np.exp(-np.arange(301) / 40.0)
    fs, n, centres = 47872, 1600, np.array([315.0, 2000.0, 12700.0])
    f, power = np.fft.rfftfreq(n, 1.0 / fs), np.abs(np.fft.rfft(h, n)) ** 2
    lags = np.correlate(h, h, "full")[len(h) - 1 :]
    found = lags @ ear_matching._band_means(len(h), n, fs, tuple(centres))
    third = 2.0 ** (1.0 / 6.0)
    exact = [power[(f >= c / third) & (f < c * third)].mean() for c in centres]
    assert found == pytest.approx(exact, rel=1e-9)


def test_without_symmetry_it_is_refused(crooked: Description, mirrored: str, tmp_path: Path) -> None:
    run = session(mirrored, tmp_path / "a", {})
    found, rig = responses(run)
    with pytest.raises(BadInput, match="no head positions mirror each other"):
        ear_matching.match(found.at(np.array([1, 2])), rig)
    with pytest.raises(BadInput, match="no drivers are in mirror pairs"):
        ear_matching.match(found, crooked)

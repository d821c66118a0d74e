"""Units of the lab through the whole loop: the verdict names the figure that a listener would complain of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.design import parse as read
from sweetspot.calibrate.filters import unit_filters
from sweetspot.calibrate.filters.sides import pair
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.verification import Verification
from sweetspot.measure import plan
from sweetspot.measure import run as hardware
from sweetspot.measure.session import Session
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import parse, with_faults

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)

HEAD = """
schema = 1
name = "unit"
fs = 47872
[interface]
driver = "lab"
loopback = { out = 9, in = 4 }
full_scale_v = 0.1
[stage]
driver = "lab"
[limits]
ceiling_dbfs = -6.0
loudest_db_spl = 105.0
[environment]
temperature_c = 19.0
[[mic]]
name = "ear_right"
channel = 1
sensitivity_mv_per_pa = 11.0
[[mic]]
name = "ear_left"
channel = 2
sensitivity_mv_per_pa = 14.0
[ears]
distance_m = 2.0
positions = [
    { x = 0.0, y = 0.0, yaw_deg = 0, use = "design" },
    { x = 0.01, y = 0.03, yaw_deg = 4, use = "design" },
    { x = -0.02, y = -0.03, yaw_deg = -5, use = "design" },
    { x = 0.01, y = 0.02, yaw_deg = 3, use = "score" },
    { x = -0.02, y = -0.01, yaw_deg = -6, use = "score" },
]
[sweep]
band_hz = [60, 19000]
seconds = 0.6
level_dbfs = -14.0
before_ms = 20.0
after_ms = AFTER
"""

FREE = """
[lab]
seed = 5
tolerance_db = 0.3
"""

LINE = f"""{FREE}
[lab.body]
shape = "line"
driver_diameter_m = 0.05
"""

LIVING_ROOM = f"""{FREE}
[lab.room]
size_m = [5.2, 4.1, 2.5]
device_m = [1.1, 1.9, 0.9]
facing_deg = 4.0
absorption = 0.12
image_order = 5
walls.left = 0.4
walls.floor = 0.3
"""

ROUND = ((0.0717, 0.0502), (0.0717, -0.0502), (-0.0502, 0.0717), (-0.0502, -0.0717))
BAR = tuple((0.0, round(0.42 - 0.12 * i, 2)) for i in range(8))
PAIR = ((0.268, 1.0), (0.268, -1.0))
"""At +-30 degrees, as far from the listener as the middle between them."""

DEVICES = {
    "bar": (BAR, LINE, 60.0),
    "free": (ROUND, FREE, 60.0),
    "round": (ROUND, LIVING_ROOM, 250.0),
    "pair": (PAIR, LINE, 60.0),
}

SHORT = "filter.taps = 512\n"
Hear = Callable[..., Verification]


def rig_text(device: str) -> str:
    """A rig file of one of :data:`DEVICES`."""
    places, lab, after = DEVICES[device]
    drivers = "".join(
        f'[[driver]]\nname = "d{i + 1}"\nchannel = {i + 1}\nat = [{x}, {y}, 0.0]\nband_hz = [110, 20000]\n'
        for i, (x, y) in enumerate(places)
    )
    return HEAD.replace("AFTER", str(after)) + drivers + lab


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory, lab_rig: Callable[..., Rig]) -> Hear:
    """Calibrates and verifies a device with a design; every device is measured once."""
    sessions: dict[str, Path] = {}

    def hear(device: str, design: str = "", fault: str = "") -> Verification:
        if device not in sessions:
            sessions[device] = here = tmp_path_factory.mktemp(device)
            (here / "rig.toml").write_text(rig_text(device), encoding="utf-8")
            description = parse(rig_text(device), folder=here)
            with Session.create(here / "session.h5", description, "U-3", "2026-03-04T12:00:00Z") as session:
                wanted = plan.make(description, "ears")
                hardware.measure(lab_rig(description, "U-3"), session, wanted, ask=lambda _: None, step=lambda _: None)
        run = tmp_path_factory.mktemp("run")
        shutil.copytree(sessions[device], run, dirs_exist_ok=True)
        text = SHORT + design
        fitted = steps.calibrate(run, read(text, "design.toml"), text)
        described = parse(rig_text(device), folder=run)
        rig = lab_rig(with_faults(described, [fault]) if fault else described, "U-3")
        steps.measure_verification(
            run, rig, fitted, NOON, ask=lambda _: None, track=lambda *_: nullcontext(lambda _: None)
        )
        return steps.verdict_of(run, fitted, Limits(), run / steps.MEASURED)[1]

    return hear


def by_key(found: Verification) -> dict[str, Metric]:
    return {m.key: m for m in found.metrics}


def beyond(found: Verification) -> set[str]:
    """Keys of the metrics that warn or fail."""
    return {m.key for m in found.metrics if m.verdict in ("warn", "fail")}


def test_a_real_pair_as_a_unit_of_two_drivers_passes_everything(verified: Hear) -> None:
    found = verified("pair")
    assert {m.key: m.verdict for m in found.metrics if m.verdict != "pass"} == {}
    assert found.image is not None
    assert found.image.arms["plain"].width_deg == pytest.approx(60.0, abs=3.0), "the lab's pair stands at ±30 degrees"
    assert by_key(found)["width"].heard < 8.0


def test_sides_whose_reference_drivers_are_no_mirror_pair(verified: Hear, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loudest two drivers of a bar, whatever their places, and what is left between them not shared out."""
    good = by_key(verified("bar"))
    assert {good[k].verdict for k in ("right_azimuth", "left_azimuth", "asymmetry", "width")} == {"pass"}
    with monkeypatch.context() as fault:
        fault.setattr(unit_filters, "side_pairs", lambda at: [])
        fault.setattr(pair, "balanced", lambda left, right, f: (left, right))
        found = verified("bar")
    each = by_key(found)
    assert "asymmetry" in beyond(found)
    assert each["left_azimuth"].heard > 2.0 * each["right_azimuth"].heard, "the left image is the one that is off"
    assert each["asymmetry"].heard > each["asymmetry"].limit + each["asymmetry"].guard
    assert "image, asymmetry" in "".join(found.warnings) + "".join(found.reasons)


def test_a_centre_out_of_tone(verified: Hear) -> None:
    """A centre at a fixed level over frequency, not in the tone of the phantom that it replaces."""
    found = verified("free", "beam.level_db = 0.0")
    tone = by_key(found)["tone"]
    assert (tone.verdict, tone.predicted) == ("warn", pytest.approx(tone.heard, abs=0.1))
    assert tone.heard > 3.0
    assert "here the centre" in tone.explanation
    assert tone.uncertainty is not None
    assert tone.spread is not None
    assert "tone across pan" in "".join(found.warnings)


def test_sides_that_drown_in_a_living_room(verified: Hear) -> None:
    found = verified("round", 'image.prefer = "width"')
    sides = by_key(found)["sides_drr_loss"]
    assert found.image is not None
    assert min(found.image.arms["calibrated"].drr_db.mean(axis=0)[:2]) < -14.0
    assert (sides.verdict, sides.predicted) == ("warn", pytest.approx(sides.heard, abs=0.2))
    assert sides.uncertainty is not None
    assert 0.0 < sides.uncertainty < 0.5
    assert "sounds farther away" in "".join(found.warnings)


def test_a_driver_that_rubs(verified: Hear) -> None:
    """Clicks once a cycle: hardly any harmonics 2 to 5, and bursts that a splice would leave out."""
    found = verified("free", fault="rub driver=d1 db=-30")
    assert {m.key for m in found.metrics if m.verdict == "fail"} == {"rub_and_buzz"}
    buzz = by_key(found)["rub_and_buzz"]
    assert -34.0 < buzz.heard < -24.0
    assert "; here " in buzz.explanation


def test_a_narrow_design(verified: Hear) -> None:
    found = verified("free", "crosstalk.effort_db = 3.0")
    assert {"left_azimuth", "right_azimuth", "width"} <= beyond(found)
    width = by_key(found)["width"]
    assert width.heard == pytest.approx(40.0, abs=5.0)
    assert "of the reference pair" in width.explanation
    assert "image, width error" in "".join(found.warnings)

"""Values no one means, at each key of the files that people write: one line, or bounded work."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from sweetspot.calibrate.design import parse as parse_design
from sweetspot.calibrate.design import parse_bank
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import parse

SMALL = Path(__file__).with_name("small.toml")
_spec = importlib.util.spec_from_file_location("extremes", Path(__file__).with_name("extremes.py"))
assert _spec is not None
assert _spec.loader is not None
extremes = importlib.util.module_from_spec(_spec)
sys.modules["extremes"] = extremes
_spec.loader.exec_module(extremes)


def test_every_key_is_tried_and_a_sample_of_values_does_no_harm(tmp_path: Path) -> None:
    keys = {(kind, where) for kind, where, _, _ in extremes.cases(tmp_path)}
    assert ("rig", ("driver", 0, "band_hz")) in keys
    assert ("rig", ("lab", "room", "walls", "front")) in keys
    assert ("design", ("filter", "taps")) in keys
    assert len(keys) > 200
    found, wrong = extremes.run(tmp_path, 97, 5)
    assert not wrong
    assert sum(found.values()) > 40
    assert {"rig refused", "design refused"} <= set(found)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('level_db_spl = "a"', "unknown key"),
        ("sensitivity_db_spl = 1e8", "lab.sensitivity_db_spl: 100000000.0 is not valid"),
        ("mic_noise_db_spl = 1e300", "lab.mic_noise_db_spl: 1e+300 is not valid"),
        ("body = { driver_diameter_m = 1e-9 }", "a piston has at least 0.001 m; 0 makes points"),
        (f'clock_ppm = "{"x" * 5000}"', "xxx... is not valid"),
        (f'head = "{"x" * 5000}"', "lab.head: no file"),
        ('head = "a\\u0000b"', "lab.head: no file"),
    ],
)
def test_a_wrong_value_of_any_size_is_one_line(line: str, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(SMALL.read_text(encoding="utf-8").replace('head = "sphere"', "") + line + "\n", folder=SMALL.parent)
    assert message in str(refused.value)
    assert all(len(one) < 500 for one in str(refused.value).splitlines())


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("impedance_ohm = 1e18", "impedance_ohm"),
        ("v_per_fs = 1e8", "v_per_fs"),
        ("area_cm2 = 1e300\nexcursion_mm = 3.0", "area_cm2"),
        ("excursion_mm = 1e8\narea_cm2 = 50.0", "excursion_mm"),
        ("max_v = 1e18\nv_per_fs = 20.0", "max_v"),
    ],
)
def test_no_value_switches_a_driver_s_protection_off(line: str, key: str) -> None:
    """Whoever writes a limit that no driver has means another unit."""
    text = SMALL.read_text(encoding="utf-8").replace('name = "left"\n', f'name = "left"\n{line}\n')
    with pytest.raises(BadInput, match=rf"driver\[1\]\.{key}: .* is not valid: input should be less than or equal to"):
        parse(text, folder=SMALL.parent)


@pytest.mark.parametrize("line", ["settle_s = 1e18", "timeout_s = 1e300", "tolerance_deg = 1e8", "baud = 10000000000"])
def test_a_stage_neither_waits_for_ever_nor_takes_any_angle(line: str) -> None:
    text = SMALL.read_text(encoding="utf-8").replace('[stage]\ndriver = "lab"\n', f'[stage]\ndriver = "lab"\n{line}\n')
    with pytest.raises(BadInput, match=rf"stage\.{line.split()[0]}: .* is not valid: input should be less than"):
        parse(text, folder=SMALL.parent)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image.prefer = []", "image.prefer: [] is not valid: input should be 'width', 'balanced' or 'depth', or "),
        ("beam.level_db = [3.0]", "beam.level_db: [3.0] is not valid: input should be 'phantom', or "),
        ("crosstalk.effort_db = [3.0]", "crosstalk.effort_db[1]: 3.0 is not valid: a list in square brackets"),
        ("beam.angle_deg = true", "beam.angle_deg: True is not valid: true and false are no values of this key"),
        ("filter.taps = true", "filter.taps: True is not valid: true and false"),
    ],
)
def test_a_design_s_value_of_another_kind_is_named(text: str, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_design(text, "design.toml")
    assert message in str(refused.value)
    with pytest.raises(BadInput, match="spread_deg: True is not valid"):
        parse_bank("spread_deg = true", "bank.toml")

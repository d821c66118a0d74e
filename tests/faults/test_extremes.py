"""Values no one means, at each key of the files that people write: one line, or bounded work."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

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

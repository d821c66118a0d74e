"""From a box of parts to a checked rig file: `rig new`, the reference of its keys, values in other units, a BOM."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from sweetspot.calibrate.design import keys as calibrate_keys
from sweetspot.measure import plan
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import key_texts, keys_page, rig_keys, scaffold
from sweetspot.rigs.rig_file.description import parse, read

Runs = Callable[..., subprocess.CompletedProcess[str]]


def made(tmp_path: Path, **more: object) -> Path:
    options: dict[str, object] = {
        "fs": 48000,
        "drivers": scaffold.drivers_of(None, "round", None, None, None),
        "device": "lab",
        "output": None,
        "hostapi": None,
        "loopback": None,
        "stage": None,
        "port": None,
        "head": "1,2",
        "mic": 3,
        "distance_m": 2.0,
        "sensitivity": None,
        "full_scale_v": None,
    }
    path = tmp_path / "own.toml"
    scaffold.save(scaffold.rig_text(scaffold.planned("own", **(options | more))), path)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("shape", scaffold.SHAPES)
def test_every_shape_makes_a_rig_that_can_be_measured(shape: str, tmp_path: Path) -> None:
    rig = read(made(tmp_path, drivers=scaffold.drivers_of(None, shape, None, None, None)))
    assert len({d.channel for d in rig.driver} | {rig.interface.loopback.out}) == len(rig.driver) + 1
    assert sum(d.at[1] for d in rig.driver) == pytest.approx(0.0, abs=1e-3), "as much on one side as on the other"
    for name in plan.SETS:
        assert plan.make(rig, name).captures


@pytest.mark.parametrize("stage", scaffold.STAGES)
def test_every_stage_makes_a_rig_for_a_device(stage: str, tmp_path: Path) -> None:
    if stage == "lab":
        return
    rig = read(made(tmp_path, device="Fireface", stage=stage, head=None, mic=7, loopback="11,5"))
    assert (rig.interface.device, rig.stage.driver, rig.interface.loopback.out) == ("Fireface", stage, 11)
    assert "loudest_db_spl" not in rig.limits.model_fields_set, "no limit that uncalibrated microphones cannot hold"


WRONG: list[tuple[dict[str, object], str]] = [
    ({"full_scale_v": 0.0}, "interface.full_scale_v: 0 is not valid"),
    ({"sensitivity": 0.0}, "mic[1].sensitivity_mv_per_pa: 0 is not valid"),
    ({"head": "none", "mic": 0}, "no microphone is left"),
    ({"head": "1,1"}, "input channel 1 is already used"),
    ({"loopback": "1,4"}, "output channel 1 is already used"),
    ({"distance_m": 200.0}, "is not valid"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_wrong_options_are_refused_with_their_own_fault_alone(
    options: dict[str, object], words: str, tmp_path: Path
) -> None:
    """On the virtual lab too, which has values of its own for what is not given; nothing is written."""
    with pytest.raises(BadInput) as refused:
        made(tmp_path, **options)
    assert words in str(refused.value)
    assert "at least 1 item" not in str(refused.value), "entries that are wrong are not missing too"
    assert not list(tmp_path.iterdir())


def test_a_band_has_two_edges_in_hertz() -> None:
    assert scaffold.drivers_of(None, "round", None, None, "110.5,9000")[0].band_hz == (110.5, 9000.0)
    with pytest.raises(BadInput, match=r"--band '110': give its lower and upper edge in Hz, such as 110,20000"):
        scaffold.drivers_of(None, "round", None, None, "110")


def test_on_the_command_line(sweetspot: Runs, tmp_path: Path) -> None:
    written = ["--driver", "woofer,5,0.05,0,0,60,3000", "--driver", "tweeter,2,0.05,0,0.08,2500,20000"]
    done = sweetspot("rig", "new", "bench", "--device", "lab", *written, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rig"] == "bench.toml"
    rig = read(tmp_path / "bench.toml")
    assert [(d.name, d.channel, d.band_hz) for d in rig.driver] == [
        ("woofer", 5, (60.0, 3000.0)),
        ("tweeter", 2, (2500.0, 20000.0)),
    ]
    again = sweetspot("rig", "new", "bench", "--device", "lab")
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_pages_of_keys_are_those_of_the_schema(root: Path) -> None:
    """Made by `sweetspot rig keys > rigs/keys.md` and `sweetspot calibrate --keys > calibrate/keys.md`."""
    page = (root / "rigs" / "keys.md").read_text(encoding="utf-8")
    assert page.rstrip() == keys_page("Keys of the rig file", rig_keys()).rstrip()
    assert (root / "calibrate" / "keys.md").read_text(encoding="utf-8").rstrip() == calibrate_keys.page().rstrip()


def test_every_key_says_what_it_is_and_has_a_default_or_an_example() -> None:
    for table in [*rig_keys(), *calibrate_keys.tables()]:
        assert table.text, table.headline
        for key in table.keys:
            assert key.text.endswith("."), f"{table.headline} {key.name}: {key.text!r}"
            if key.default in ("", "-"):
                assert key.example, f"{table.headline} {key.name}"
                tomllib.loads(f"x = {key.example}")
            number = "number" in key.kind or "whole" in key.kind
            if number and key.name.rsplit("_", 1)[-1] in ("hz", "m", "s", "ms", "deg", "db", "v", "w", "dbfs", "spl"):
                assert key.unit, f"{table.headline} {key.name}"


def test_no_text_speaks_of_a_key_that_is_not_there() -> None:
    known = {
        f"{t.headline.strip('[]')}.{k.name}".removeprefix("top of the file.")
        for t in [*rig_keys(), *calibrate_keys.tables()]
        for k in t.keys
    }
    spoken = {*key_texts.TEXTS, *key_texts.UNITS, *calibrate_keys.TEXTS, *calibrate_keys.UNITS}
    assert spoken - known == set()


def test_a_byte_order_mark_is_no_fault(crooked_text: str, tmp_path: Path) -> None:
    (tmp_path / "rig.toml").write_text(crooked_text, encoding="utf-8-sig")
    rig = read(tmp_path / "rig.toml")
    assert rig.name == "crooked"
    assert parse(rig.text, tmp_path).sha256 == rig.sha256


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "at = [0.01, 0.08, 0.0]",
            "at = [10.0, 80.0, 0.0]",
            r"driver\[2\].at: .* if these are mm, write \[0.01, 0.08, 0\]",
        ),
        (
            "at = [0.01, 0.08, 0.0]",
            "at = [1.0, 8.0, 0.0]",
            r"driver\[2\].at: .* if these are cm, write \[0.01, 0.08, 0\]",
        ),
        ("sensitivity_mv_per_pa = 20.0", "sensitivity_mv_per_pa = 0.02", r"mic\[2\].* is it in V/Pa\? Then write 20"),
        ("full_scale_v = 0.1", "full_scale_v = 300", "interface.full_scale_v: 300 V is beyond .* in mV"),
        ("distance_m = 1.4", "distance_m = 140", "ears.distance_m: 140 m is farther"),
        ("x = 0.03, y = -0.02", "x = 30, y = -20", r"ears.positions\[2\]: .* write \[0.03, -0.02"),
        ("band_hz = [120, 20000]", "band_hz = [0.12, 20]", r"driver\[2\].band_hz: .* are these kHz"),
    ],
)
def test_values_in_other_units_are_asked_about(
    old: str, new: str, reason: str, crooked_text: str, tmp_path: Path
) -> None:
    assert old in crooked_text
    with pytest.raises(BadInput, match=reason):
        parse(crooked_text.replace(old, new), folder=tmp_path)

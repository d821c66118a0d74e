"""The golden unit: kept when it passes, compared every shift, in the way of other units when it is not as it was."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from sweetspot.calibrate.run import golden
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.verification import Verification
from sweetspot.rigs.errors import BadInput

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


def verdict(mean: float = 19.0, difference: float = -50.0, uncertainty: float = 0.05) -> Verification:
    h = np.zeros((1, 2, 3, 4), dtype=complex)
    judged = (
        Metric("cancellation, mean", "", 19.0, mean, 12.0, "at least", uncertainty, key="cancellation_mean"),
        Metric("difference from the prediction", "", None, difference, -22.0, "at most", key="difference"),
    )
    return Verification(np.arange(4.0), h, h, h[0, 0], h[0, 0], np.zeros(3), judged)


def kept(folder: Path, **changes: object) -> golden.Golden:
    new, drifts = golden.compared(None, verdict(), "G-1", "desk", NOON)
    assert new is not None
    assert not drifts
    golden.write(folder, replace(new, **changes))  # type: ignore[arg-type]
    found = golden.read(folder)
    assert found is not None
    return found


def test_only_a_unit_that_passes_becomes_the_golden_one(tmp_path: Path) -> None:
    assert golden.read(tmp_path) is None
    assert golden.compared(None, verdict(mean=11.0), "G-1", "desk", NOON)[0] is None
    assert golden.compared(None, verdict(mean=12.05), "G-1", "desk", NOON)[0] is None, "a grey one neither"
    known = kept(tmp_path)
    assert known.figures == {"cancellation_mean": 19.0, "difference": -50.0}
    assert known.first_utc == known.checked_utc == "2026-03-04T12:00:00Z"


def test_a_golden_unit_as_it_was_opens_a_shift(tmp_path: Path) -> None:
    known = kept(tmp_path)
    later = NOON + timedelta(hours=20)
    with pytest.raises(BadInput, match=r"20\.0 h ago, and a shift has 8 h: .*RUN-OF-G-1 --golden --records"):
        golden.check_shift(tmp_path, known, 8.0, later, "S-7")
    golden.check_shift(tmp_path, known, 8.0, later, "G-1")
    new, drifts = golden.compared(known, verdict(mean=18.6, difference=-41.0), "G-1", "desk", later)
    assert new is not None
    assert not drifts, "half a dB is allowed, and far below -35 dB both are made of noise"
    assert new.figures == known.figures, "it is compared with the first time, not with the last: drift adds up"
    golden.check_shift(tmp_path, new, 8.0, later + timedelta(hours=7.9), "S-7")


def test_a_rig_that_drifted_is_reported_and_stops_other_units(tmp_path: Path) -> None:
    known = kept(tmp_path)
    new, drifts = golden.compared(known, verdict(mean=18.4, difference=-30.0), "G-1", "desk", NOON)
    assert new is not None
    assert [d.name for d in drifts] == ["cancellation, mean", "difference from the prediction"]
    assert "18.40 dB, 19.00 dB at first" in golden.text(known, new, drifts, tmp_path)
    golden.write(tmp_path, new)
    with pytest.raises(BadInput, match=r"18\.40 dB, 19\.00 dB at first.*the rig has drifted"):
        golden.check_shift(tmp_path, golden.read(tmp_path), 8.0, NOON + timedelta(minutes=1), "S-7")
    again, _ = golden.compared(golden.read(tmp_path), verdict(), "G-1", "desk", NOON)
    assert again is not None
    assert not again.drifted, "put right"


def test_what_is_uncertain_is_no_drift(tmp_path: Path) -> None:
    known = kept(tmp_path)
    assert not golden.compared(known, verdict(mean=18.2, uncertainty=0.5), "G-1", "desk", NOON)[1]
    assert golden.compared(known, verdict(mean=float("nan")), "G-1", "desk", NOON)[1]


def test_another_unit_is_no_golden_one(tmp_path: Path) -> None:
    known = kept(tmp_path)
    golden.check_same(known, "G-1", "desk", "engine")
    for unit, rig, through in (("G-2", "desk", "engine"), ("G-1", "puck", "engine"), ("G-1", "desk", "device")):
        with pytest.raises(BadInput, match=r"golden unit is G-1, verified on rig 'desk' through engine; this is"):
            golden.check_same(known, unit, rig, through)


def test_a_record_that_is_spoilt_is_named(tmp_path: Path) -> None:
    kept(tmp_path)
    (tmp_path / golden.NAME).write_text('{"unit": "G-1"')
    with pytest.raises(BadInput, match=r"golden\.json: the golden unit's record cannot be read"):
        golden.read(tmp_path)


def test_as_a_command(
    sweetspot: Callable[..., subprocess.CompletedProcess[str]], measured: Path, tmp_path: Path
) -> None:
    alone = sweetspot("verify", measured, "--golden")
    assert alone.returncode == 2
    assert "--golden needs --records DIR" in alone.stderr
    kept(tmp_path)
    due = sweetspot("verify", measured, "--records", tmp_path)
    assert due.returncode == 2
    assert "check it first" in due.stderr
    other = sweetspot("verify", measured, "--records", tmp_path, "--golden")
    assert other.returncode == 2
    assert "this is T-9 on 'crooked'" in other.stderr


def test_a_record_of_an_earlier_version_that_kept_names_is_read_by_key(tmp_path: Path) -> None:
    known = kept(tmp_path, figures={"cancellation, mean": 19.0, "signal to noise": 41.0})
    assert known.figures == {"cancellation_mean": 19.0, "snr": 41.0}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("checked_utc", "yesterday", "Invalid isoformat string: 'yesterday'"),
        ("checked_utc", "2026-03-04T12:00:00", "checked_utc: '2026-03-04T12:00:00' has no time zone"),
        ("checked_utc", 5, "checked_utc: input should be a valid string"),
        ("figures", {"cancellation_mean": "abc"}, "figures.cancellation_mean: input should be a valid number"),
        ("figures", [1], "figures: input should be"),
        ("drifted", 5, "drifted: input should be"),
        ("drifted", [1], "drifted.0: input should be a valid string"),
        ("unit", None, "unit: input should be a valid string"),
    ],
)
def test_a_record_that_was_edited_is_refused_with_what_is_wrong(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    """Whoever does what the message says gets on: the file is removed, not verified again."""
    kept(tmp_path)
    path = tmp_path / golden.NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(BadInput, match=rf"cannot be read \({re.escape(message)}") as refused:
        golden.read(tmp_path)
    assert "or remove it and verify the golden unit with --golden" in str(refused.value)

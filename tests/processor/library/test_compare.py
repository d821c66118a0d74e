"""A deployed blob that is not what it should be is named for what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sweetspot.processor.dynamics import together
from sweetspot.processor.export.c_library import blob_of
from sweetspot.processor.export.library import blob_differences
from sweetspot.processor.export.options import Options
from sweetspot.processor.filterset import FilterSet, UpmixSettings
from tests.processor.library.loaded import crooked, detectors, two_ways
from tests.processor.library.test_blob import patched

OURS: FilterSet = replace(crooked(), caps=(0.5, 0.2, 0.5, 0.4, 0.3), detectors=detectors(20.0))
OTHER = np.random.default_rng(9).standard_normal(OURS.taps.shape) / 100.0


def later(taps: np.ndarray, by: int) -> np.ndarray:
    """The taps ``by`` samples later; what leaves the filter is lost."""
    moved = np.roll(taps, by, axis=-1)
    moved[..., : max(by, 0)] = 0.0
    moved[..., taps.shape[-1] + min(by, 0) :] = 0.0
    return moved


FAULTS: dict[str, Callable[[FilterSet], FilterSet]] = {
    "old or edited blob: other filters of the same session": lambda f: replace(f, taps=OTHER),
    "made from another session": lambda f: replace(f, taps=OTHER, source="1" * 64),
    "wrong rate: made for 48000 Hz, not for 47872 Hz": lambda f: replace(f, fs=48000),
    "swapped channels: drivers on outputs 5, 6, 4, 3, 2, not 6, 5, 4, 3, 2": lambda f: replace(
        f, channels=(5, 6, 4, 3, 2)
    ),
    "swapped sides": lambda f: replace(f, taps=f.taps[[1, 0, 2]]),
    "swapped drivers": lambda f: replace(f, taps=f.taps[:, [0, 3, 2, 1, 4]]),
    "missing centre": lambda f: replace(f, taps=f.taps * np.array([1.0, 1.0, 0.0])[:, None, None]),
    "wrong gain: left program muted": lambda f: replace(f, taps=f.taps * np.array([0.0, 1.0, 1.0])[:, None, None]),
    "wrong gain: centre program +6.0 dB": lambda f: replace(
        f, taps=f.taps * np.array([1.0, 1.0, 1.9953])[:, None, None]
    ),
    "wrong gain: right program inverted": lambda f: replace(f, taps=f.taps * np.array([1.0, -1.0, 1.0])[:, None, None]),
    "wrong gain: driver 2 muted, driver 4 inverted -3.0 dB": lambda f: replace(
        f, taps=f.taps * np.array([1.0, 0.0, 1.0, -0.70795, 1.0])[:, None]
    ),
    "guard off or too high: driver 2 may reach -6.0 dBFS, not -14.0 dBFS": lambda f: replace(f, caps=()),
    "SPL limiter off": lambda f: replace(f, detectors=f.detectors[..., :0]),
    "SPL limiter too high: centre may pass the limit by 0.9 dB": lambda f: replace(
        f, detectors=f.detectors * np.array([[1.0], [0.95], [0.9]])
    ),
    "other level: +3.0 dB": lambda f: replace(f, taps=f.taps * 10.0**0.15),
    "other upmix: off": lambda f: replace(f, upmix=UpmixSettings(method="off", amount=0.9)),
    "another unit: its filters are those of 'SN-9', not of 'SN-1'": lambda f: replace(f, unit_serial="SN-9"),
    "other delay: all filters are 3 samples later": lambda f: replace(f, taps=later(f.taps, 3)),
    "other delay: all filters are 5 samples earlier": lambda f: replace(f, taps=later(f.taps, -5)),
    "filters cut short: they end after 60 of": lambda f: replace(f, taps=np.where(np.arange(f.length) < 60, f.taps, 0)),
    "old or edited blob: other": lambda f: replace(f, taps=f.taps + 1e-3 * later(f.taps, 9)),
    "other sizes: 4 drivers": lambda f: crooked(4),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named(name: str) -> None:
    found = blob_differences(blob_of(FAULTS[name](OURS)), OURS)
    assert any(name in text for text in found), found
    assert len(found) == 1


def test_the_right_one_has_no_difference_and_broken_ones_are_reported() -> None:
    right = blob_of(OURS)
    assert blob_differences(right, OURS) == ()
    assert blob_differences(blob_of(OURS, Options(plain=two_ways(len(OURS.drivers)))), OURS) == ()
    louder = np.stack([together(a, b) for a, b in zip(OURS.detectors, detectors(19.0)[:, ::-1], strict=True)])
    assert blob_differences(blob_of(replace(OURS, detectors=louder)), OURS) == ()
    assert "format 1, this version writes 4" in blob_differences(patched(right, 8, "<I", 1), OURS)[0]
    assert blob_differences(right[:-4], OURS)[0].startswith("damaged")
    assert blob_differences(right[:700] + b"x" + right[701:], OURS)[0].startswith("damaged")
    assert blob_differences(b"RIFF" + right[4:], OURS)[0].startswith("not a blob")

"""Heads from SOFA files: delays beside responses, cartesian places, other units, a listener who looks elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sofar

from sweetspot.rigs.acoustics.head import load_head
from sweetspot.rigs.errors import BadInput

FS, TAPS, AWAY = 47872, 128, 1.3
AROUND = np.radians(np.arange(0, 360, 15))
ITD = 0.0006 * np.sin(AROUND)
"""The left ear first for sources on the left, s."""


def written(path: Path, in_delay: bool, cartesian: bool = False, **more: object) -> Path:
    """A head of two soft clicks, its time differences in the responses or in Data.Delay."""
    late = np.stack([-0.5 * ITD, 0.5 * ITD], axis=1) * FS + 20.0
    t = np.arange(TAPS)
    at = np.full_like(late, 30.0) if in_delay else late + 10.0
    sofa = sofar.Sofa("SimpleFreeFieldHRIR")
    sofa.Data_IR = np.exp(-(((t - at[..., None]) / 3.0) ** 2))
    sofa.Data_SamplingRate = FS
    sofa.Data_Delay = late if in_delay else [[0.0, 0.0]]
    places = np.stack([np.degrees(AROUND), 0 * AROUND, np.full_like(AROUND, AWAY)], axis=1)
    if cartesian:
        places = AWAY * np.stack([np.cos(AROUND), np.sin(AROUND), 0 * AROUND], axis=1)
        sofa.SourcePosition_Type, sofa.SourcePosition_Units = "cartesian", "metre"
    sofa.SourcePosition = places
    for name, value in more.items():
        setattr(sofa, name, value)
    sofar.write_sofa(str(path), sofa)
    return path


def differences(path: Path) -> np.ndarray:
    head = load_head(path)
    order = np.argsort(head.azimuths)
    return np.asarray(head.delays[order, 1] - head.delays[order, 0])


@pytest.mark.parametrize("in_delay", [False, True])
@pytest.mark.parametrize("cartesian", [False, True])
def test_time_differences_are_those_of_the_file_wherever_they_stand(
    in_delay: bool, cartesian: bool, tmp_path: Path
) -> None:
    path = written(tmp_path / "head.sofa", in_delay, cartesian)
    assert differences(path) == pytest.approx(ITD, abs=4e-6)
    assert load_head(path).measured == pytest.approx(AWAY)


def test_a_listener_who_looks_elsewhere(tmp_path: Path) -> None:
    """Facing y, a source at y is straight ahead: the places turn by 90 degrees."""
    path = written(tmp_path / "head.sofa", True, True, ListenerView=[[0.0, 1.0, 0.0]])
    assert differences(path) == pytest.approx(0.0006 * np.sin(AROUND + np.pi / 2), abs=4e-6)


def test_a_unit_that_is_none_is_refused(tmp_path: Path) -> None:
    import h5py

    path = written(tmp_path / "head.sofa", True)
    with h5py.File(path, "r+") as file:
        file["SourcePosition"].attrs["Units"] = b"degree, degree, furlong"
    with pytest.raises(BadInput, match="furlong"):
        load_head(path)

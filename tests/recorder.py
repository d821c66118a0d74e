"""Another recorder in the virtual lab: plays a verification's sweeps from files, and writes what it records."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile

from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Rig


def record(lab: Rig, sweeps: Path, whole: Path, microphones: Path | None = None) -> int:
    """Record what ``verify --stimuli`` wrote, each file started some time before its sweep; how many there are.

    Parameters
    ----------
    whole
        Folder for recordings of microphones and loopback.
    microphones
        Folder for the same without the loopback.
    """
    rig, rng = lab.description, np.random.default_rng(2)
    channels = {m.name: m.channel - 1 for m in rig.mic} | {"loopback": rig.interface.loopback.in_ - 1}
    with (sweeps / "recordings.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        x, y, z = (float(row[f"{axis}_cm"]) / 100 for axis in "xyz")
        yaw, turn = (np.radians(float(row[name])) for name in ("yaw_deg", "device_turned_deg"))
        lab.stage.move(Pose(x=x, y=y, z=z, yaw=yaw, turn=turn))
        signal, fs = soundfile.read(sweeps / row["play"], dtype="float32", always_2d=True)
        assert fs == rig.fs
        inputs = lab.interface.capture(np.ascontiguousarray(signal.T)).x
        recorded = np.stack([inputs[channels[name]] for name in row["channels"].split()], axis=1)
        late = np.pad(recorded, ((int(rng.integers(2000, 9000)), 700), (0, 0)))
        soundfile.write(whole / row["record as"], late, fs, subtype="FLOAT")
        if microphones is not None:
            soundfile.write(microphones / row["record as"], late[:, :-1], fs, subtype="FLOAT")
    return len(rows)

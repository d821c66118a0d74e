"""The ready-made rigs load by name and stand in their rooms; ``sweetspot rig lab RIG --show`` describes them."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.pictures.lab_overview import OCTAVES, decay_time, overview
from sweetspot.rigs.lab.pictures.show import checked
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.load import find
from sweetspot.rigs.rig_file.description import parse, read

TEACHING = {
    "round": 4,
    "round-living-room": 4,
    "puck": 2,
    "puck-living-room": 2,
    "soundbar": 8,
    "soundbar-living-room": 8,
    "crooked": 3,
}
"""Their names, and how many drivers they have."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("name", TEACHING)
def test_ready_made_rigs_load_by_name_and_say_what_they_teach(name: str) -> None:
    rig = read(find(name))
    assert rig.name == name
    assert rig.interface.driver == rig.stage.driver == "lab"
    assert rig.text.startswith("# Teaches ")
    assert len(rig.driver) == TEACHING[name]
    assert (rig.lab.room is not None) == (name.endswith("room") or name == "crooked")
    uses = {p.use for p in rig.ears.positions} if rig.ears else set()
    assert uses == {"design", "score"}


@pytest.mark.parametrize("name", ["soundbar-living-room", "crooked"])
def test_a_pose_of_a_furnished_rig_gives_responses_that_die_away(name: str) -> None:
    world = World(read(find(name)), "T-1")
    paths = world.paths(Pose(turn=0.3, y=0.02))
    assert np.isfinite(paths).all()
    drivers = [d.channel - 1 for d in world.description.driver]
    for mic in world.description.mic:
        h = paths[mic.channel - 1, drivers]
        energy = np.sum(h**2, axis=0)
        end = int(0.05 * world.fs)
        assert energy[-end:].sum() < 1e-6 * energy.sum()
        assert energy[5 * end : 6 * end].sum() > 1e-7 * energy.sum()


def test_overview_measures_the_decay_that_it_is_given() -> None:
    """Noise that decays in 0.4 s is measured as 0.4 s in each octave."""
    fs, rng = 48000, np.random.default_rng(2)
    t = np.arange(int(0.7 * fs)) / fs
    h = rng.standard_normal((8, len(t))) * 10.0 ** (-3.0 * t / 0.4)
    assert [decay_time(h, fs, octave) for octave in OCTAVES] == pytest.approx([0.4] * len(OCTAVES), rel=0.06)


def test_direct_to_reverberant_ratio_grows_as_the_walls_absorb(crooked_text: str, tmp_path: Path) -> None:
    """A diffuse field of four times the energy, after 4 / A: 6 dB less direct sound over it, within 1.5 dB."""
    room = "[lab.room]\nsize_m = [6.0, 5.0, 3.0]\ndevice_m = [2.0, 2.2, 1.4]\nabsorption = {}\n"
    live, dead = (
        overview(World(parse(crooked_text + room.format(a), tmp_path), "T-1")).room for a in (0.1, 0.3077)
    )  # 1 - a over a falls by a factor of 4
    assert live is not None
    assert dead is not None
    assert np.mean(dead.direct_db - live.direct_db) == pytest.approx(6.0, abs=1.5)


def test_show_prints_a_table_and_draws_a_picture(sweetspot: Run, tmp_path: Path) -> None:
    shown = sweetspot("rig", "lab", "puck-living-room", "--show", "--out", tmp_path / "lab.png")
    assert shown.returncode == 0, shown.stderr
    assert "2 drivers on one sphere of 11 cm, in a room of 5.2 x 4.1 x 2.5 m" in shown.stdout
    assert "after Eyring, s" in shown.stdout
    assert "lab.png" in shown.stdout
    picture = (tmp_path / "lab.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    wide, high = struct.unpack(">II", picture[16:24])
    assert wide > high > 800
    assert len(picture) > 60_000


def test_show_in_free_field_as_json(sweetspot: Run, tmp_path: Path) -> None:
    shown = sweetspot("rig", "lab", "soundbar", "--show", "--json", "--out", "bar.svg")
    done = json.loads(shown.stdout)
    assert done["room"] is None
    assert [d["channel"] for d in done["drivers"]] == list(range(1, 9))
    assert done["drivers"][0]["at_m"] == [0.0, 0.42, 0.0]
    assert (tmp_path / "bar.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_a_picture_that_cannot_be_is_refused_before_anything_is_computed(sweetspot: Run) -> None:
    shown = sweetspot("rig", "lab", "puck", "--show", "--out", "lab.bmp")
    assert shown.returncode == 2
    assert "a picture ends in .png, .svg, .pdf" in shown.stderr
    with pytest.raises(BadInput, match="there is no folder"):
        checked(Path("no/such/lab.png"))

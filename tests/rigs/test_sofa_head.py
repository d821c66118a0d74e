"""A head from a SOFA file: delays that are kept apart, places in either coordinates, damage that is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from sweetspot.rigs.acoustics.head import load_head
from sweetspot.rigs.acoustics.sofa_head import read_head
from sweetspot.rigs.errors import BadInput

FS = 44100.0
AZIMUTHS = np.arange(0.0, 360.0, 24.0)


def made(path: Path, **changes: object) -> Path:
    """Fifteen directions of a head whose ears hear a pulse 25 samples later on the far side, as a minimal file."""
    late = np.stack([20.0 - 25.0 * s for s in (np.sin(np.radians(AZIMUTHS)), -np.sin(np.radians(AZIMUTHS)))], axis=1)
    ir = np.zeros((len(AZIMUTHS), 2, 128))
    ir[:, :, 8] = 1.0
    places = np.stack([AZIMUTHS, 0.0 * AZIMUTHS, 1.4 + 0.0 * AZIMUTHS], axis=1)
    values = {"Data.IR": ir, "Data.SamplingRate": [FS], "Data.Delay": late + 5.0, "SourcePosition": places} | changes
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            if value is not None:
                file[name] = value
    return path


def test_delays_that_are_kept_apart_are_part_of_the_responses(tmp_path: Path) -> None:
    head = load_head(made(tmp_path / "a.sofa"))
    itd = head.delays[:, 0] - head.delays[:, 1]
    assert np.allclose(itd, -50.0 * np.sin(head.azimuths) / FS, atol=0.2 / FS)


def test_cartesian_places(tmp_path: Path) -> None:
    path = made(tmp_path / "a.sofa")
    spherical = read_head(path).places
    around = np.radians(AZIMUTHS)
    with h5py.File(path, "r+") as file:
        file["SourcePosition"][:] = 1.4 * np.stack([np.cos(around), np.sin(around), 0.0 * around], axis=1)
        file["SourcePosition"].attrs["Type"] = np.bytes_("cartesian")
    found = read_head(path).places
    assert np.allclose(np.mod(found[:, 0], 360.0), spherical[:, 0], atol=1e-9)
    assert np.allclose(found[:, 2], 1.4)


def put(file: h5py.File, name: str, value: np.ndarray, **attributes: str) -> None:
    """Set a variable with its attributes."""
    if name in file:
        del file[name]
    file[name] = value
    for key, text in attributes.items():
        file[name].attrs[key] = np.bytes_(text)


AROUND = np.radians(AZIMUTHS)
CARTESIAN = 1.4 * np.stack([np.cos(AROUND), np.sin(AROUND), 0.0 * AROUND], axis=1)
TURNED = np.stack([AROUND + 0.5, 0.0 * AROUND, 1.4 + 0.0 * AROUND], axis=1)
WAYS: dict[str, Callable[[h5py.File], None]] = {
    "millimetres": lambda f: put(f, "SourcePosition", 1000.0 * CARTESIAN, Type="cartesian", Units="millimetres"),
    "radians": lambda f: put(
        f, "SourcePosition", TURNED - [0.5, 0, 0], Type="Spherical", Units="radian, radian, metre"
    ),
    "units of length without a type": lambda f: put(f, "SourcePosition", CARTESIAN, Units="meters"),
    "a listener elsewhere": lambda f: (
        put(f, "SourcePosition", CARTESIAN + np.array([2.0, -1.0, 0.5]), Type="cartesian", Units="metre"),
        put(f, "ListenerPosition", np.array([[2.0, -1.0, 0.5]]), Type="cartesian", Units="metre"),
    )[0],
    "a view in radians": lambda f: (
        put(f, "SourcePosition", TURNED, Type="spherical", Units="radian, radian, metre"),
        put(f, "ListenerView", np.array([[0.5, 0.0, 1.0]]), Type="spherical", Units="radian, radian, metre"),
    )[0],
    "delays in milliseconds": lambda f: put(f, "Data.Delay", f["Data.Delay"][:] / FS * 1000.0, Units="millisecond"),
    "delays with an axis more": lambda f: put(f, "Data.Delay", f["Data.Delay"][:][..., None]),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_same_head_in_other_words(way: Callable[[h5py.File], None], tmp_path: Path) -> None:
    path = made(tmp_path / "a.sofa")
    plain = read_head(path)
    with h5py.File(path, "r+") as file:
        way(file)
    found = read_head(path)
    assert np.allclose(found.places, plain.places, atol=1e-6)
    assert np.allclose(found.ir, plain.ir, atol=1e-9)


def test_coordinates_of_another_type_are_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "a.sofa")
    with h5py.File(path, "r+") as file:
        file["SourcePosition"].attrs["Type"] = np.bytes_("interaural")
    with pytest.raises(BadInput, match="SourcePosition: coordinates of type 'interaural'"):
        read_head(path)


def nan(shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, np.nan)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Data.IR": None}, "Data.IR is missing"),
        ({"Data.IR": nan((15, 2, 8))}, "Data.IR must hold finite numbers"),
        ({"Data.IR": np.zeros((15, 3, 8))}, r"shape \(15, 3, 8\)"),
        ({"Data.IR": np.full((15, 2, 8), 1e30)}, "holds 1e"),
        ({"Data.SamplingRate": [0.0]}, "0 Hz"),
        ({"Data.Delay": np.zeros((4, 2))}, r"Data.Delay has shape \(4, 2\)"),
        ({"Data.Delay": np.full((1, 2), 1e9)}, "1e\\+09 samples"),
        ({"SourcePosition": np.zeros((15, 3))}, "distance that is not above 0"),
        ({"SourcePosition": np.zeros((4, 3))}, r"shape \(4, 3\)"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_head(made(tmp_path / "a.sofa", **change))


@pytest.mark.parametrize(
    "edit",
    [
        lambda f: f.__setitem__("x", h5py.ExternalLink("b.sofa", "/Data.IR")),
        lambda f: f.create_dataset("x", 9, "u1", external=[("/etc/passwd", 0, 9)]),
        lambda f: f.create_dataset("x", 1 << 41, "u1"),
    ],
)
def test_nothing_outside_the_file_is_read(tmp_path: Path, edit: Callable[[h5py.File], object]) -> None:
    path = made(tmp_path / "a.sofa")
    with h5py.File(path, "r+") as file:
        edit(file)
    with pytest.raises(BadInput, match="/x: "):
        load_head(path)


def test_no_damage_is_more_than_a_refusal(tmp_path: Path) -> None:
    whole = made(tmp_path / "a.sofa").read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 20):
            data[at] ^= int(rng.integers(1, 256))
        (tmp_path / "b.sofa").write_bytes(data)
        try:
            load_head(tmp_path / "b.sofa")
        except BadInput:
            refused += 1
    assert refused > 20

"""filterset.h5: what is written comes back, the same bytes each time, and bad files get one clear message."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from sweetspot.processor import store
from sweetspot.processor.filterset import NO_DETECTORS, FilterSet, UpmixSettings
from sweetspot.rigs.errors import BadInput


def example() -> FilterSet:
    return FilterSet(
        taps=np.random.default_rng(0).standard_normal((3, 5, 70)),
        fs=47872,
        drivers=("a", "b", "c", "d", "é"),
        ceiling=0.5,
        delay_samples=31,
        headroom_db=2.5,
        channels=(3, 4, 5, 6, 9),
        source="ab" * 32,
        unit_serial="SN-7",
        upmix=UpmixSettings(method="off", amount=0.25, window=512, hop=128, tau_s=0.2),
        detectors=np.arange(24.0).reshape(2, 3, 4),
        loudest_db_spl=88.0,
    )


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    wanted, path = example(), tmp_path / "filterset.h5"
    store.write(path, wanted)
    found = store.read(path)
    assert np.array_equal(found.taps, wanted.taps)
    assert np.array_equal(found.detectors, wanted.detectors)
    for name in FilterSet.__slots__:
        if name not in ("taps", "detectors"):
            assert getattr(found, name) == getattr(wanted, name), name
    assert store.read(tmp_path).fs == wanted.fs
    store.write(path, replace(wanted, loudest_db_spl=np.inf))
    assert store.read(path).loudest_db_spl == np.inf, "of whoever states none"
    store.write(path, replace(wanted, detectors=NO_DETECTORS, loudest_db_spl=np.inf))
    assert store.read(path).loudest_db_spl == np.inf
    assert store.read(path).detectors.shape == NO_DETECTORS.shape, "of earlier versions, or levels are not known"


def test_insertion_is_a_loss_or_a_gain() -> None:
    texts = {2.5: "insertion loss 2.5 dB", -5.0: "insertion gain +5.0 dB", -0.04: "insertion loss 0.0 dB"}
    assert {h: replace(example(), headroom_db=h).insertion_text for h in texts} == texts


def test_the_layout_is_the_contract(tmp_path: Path) -> None:
    store.write(tmp_path / "f.h5", example())
    with h5py.File(tmp_path / "f.h5") as file:
        assert file["taps"].shape == (3, 5, 70)
        assert set(file["taps"].attrs) >= {"fs", "programs", "drivers", "delay_samples", "session_sha256"}
        wanted = {"schema", "schema_version", "sweetspot_version", "unit_serial", "ceiling", "headroom_db", "channels"}
        assert set(file.attrs) >= wanted
        assert list(file["taps"].attrs["programs"]) == ["left", "right", "centre"]
        assert file["upmix"].attrs["window"] == 512


def test_prediction_and_design_come_back(tmp_path: Path) -> None:
    path = tmp_path / "filterset.h5"
    tree = {
        "f_hz": np.array([100.0, 200.0]),
        "cancellation": {"mean_db": np.arange(6.0).reshape(2, 3), "position": ["p0", "größer"], "unit": "dB"},
        "verdict": True,
        "complex": np.array([1 + 2j]),
        "limit_db": -3.5,
    }
    store.write(path, example(), tree, design_text="[target]\n# ä\n")
    found = store.read_prediction(path)
    assert np.array_equal(found["cancellation"]["mean_db"], tree["cancellation"]["mean_db"])  # type: ignore[index]
    assert found["cancellation"]["position"] == ["p0", "größer"]
    assert found["cancellation"]["unit"] == "dB"
    assert found["verdict"] is True
    assert found["limit_db"] == -3.5
    assert found["complex"][0] == 1 + 2j
    assert store.read_design(path) == "[target]\n# ä\n"


def test_same_input_same_bytes(tmp_path: Path) -> None:
    for name in ("one.h5", "two.h5"):
        store.write(tmp_path / name, example(), {"a": {"b": np.arange(3)}}, "text")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.h5", "two.h5"]


def edited(path: Path, what: str) -> None:
    """Damage a good file in one way."""
    store.write(path, example())
    with h5py.File(path, "r+") as file:
        match what:
            case "schema":
                file.attrs["schema"] = "sweetspot-session"
            case "version":
                file.attrs["schema_version"] = 9
            case "taps" | "upmix":
                del file[what]
            case "fs":
                del file["taps"].attrs["fs"]
            case "nan":
                file["taps"][1, 2, 3] = np.nan
            case "drivers":
                file["taps"].attrs["drivers"] = ["only"]
            case "rank" | "no taps":
                attrs = dict(file["taps"].attrs)
                del file["taps"]
                shape = (5, 70) if what == "rank" else (3, 5, 0)
                file.create_dataset("taps", data=np.ones(shape)).attrs.update(attrs)
            case "ceiling":
                file.attrs["ceiling"] = 1.5
            case "channels":
                file.attrs["channels"] = [1, 2, 3, 3, 5]
            case "channel 0":
                file.attrs["channels"] = [1, 2, 3, 0, 5]
            case "rate":
                file["taps"].attrs["fs"] = 0
            case "programs":
                file["taps"].attrs["programs"] = ["left", "right", "left"]
            case "delay":
                file["taps"].attrs["delay_samples"] = -1


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("schema", "'sweetspot-session'.*'sweetspot-filterset' version 1 is needed"),
        ("version", "version 9.*version 1 is needed"),
        ("taps", "/taps is missing"),
        ("upmix", "/upmix is missing"),
        ("fs", "attribute fs of /taps is missing"),
        ("nan", r"taps holds nan at index \(1, 2, 3\)"),
        ("drivers", "5 channels|3 programs x 1 drivers"),
        ("rank", r"shape \(5, 70\)"),
        ("no taps", r"shape \(3, 5, 0\): at least one of each"),
        ("ceiling", "ceiling is 1.5"),
        ("channels", "not all different"),
        ("channel 0", "below 1"),
        ("rate", "fs is 0 Hz"),
        ("programs", "programs .* not all different"),
        ("delay", "delay_samples is -1"),
    ],
)
def test_a_damaged_file_is_refused_with_its_reason(tmp_path: Path, what: str, message: str) -> None:
    path = tmp_path / "filterset.h5"
    edited(path, what)
    with pytest.raises(BadInput, match=message) as done:
        store.read(path)
    assert str(path) in str(done.value)


def test_what_is_no_filter_set_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(BadInput, match="no HDF5 file"):
        store.read(tmp_path / "text.h5")
    with pytest.raises(BadInput, match="no such file"):
        store.read(tmp_path / "none.h5")
    with pytest.raises(BadInput, match=r"has no filterset\.h5"):
        store.read(tmp_path)
    (tmp_path / "session.h5").write_text("")
    with pytest.raises(BadInput, match="sweetspot calibrate"):
        store.read(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "filterset.h5"
    store.write(path, example())
    before = path.read_bytes()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BadInput, match="the disk is full"):
        store.write(path, replace(example(), fs=48000))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["filterset.h5"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        store.write(tmp_path / "gone" / "filterset.h5", example())


GRID = np.fft.rfftfreq(4096, 1 / 47872)


@pytest.mark.parametrize(
    "f",
    [
        GRID[:900],
        np.fft.rfftfreq(71, 1 / 47872),
        np.fft.rfftfreq(50, 1 / 47872),
        np.linspace(0.0, 900.0, 31),
        np.array([0.0, 90.0, 100.0]),
        np.array([440.0]),
    ],
)
def test_responses_on_any_frequencies_are_those_of_the_sum(f: np.ndarray) -> None:
    """Grids of a fast transform, one too short for the taps, and frequencies that are none."""
    filters = example()
    exact = sum(filters.taps[..., [n]] * np.exp(-2j * np.pi * n * f / 47872) for n in range(70))
    assert np.abs(filters.response(f) - exact).max() < 1e-10


def test_a_tap_whose_sign_other_tools_turned_is_refused(tmp_path: Path) -> None:
    """The taps lie in one piece, so that they can be addressed from outside; checked by their SHA-256."""
    path = tmp_path / "filterset.h5"
    store.write(path, example())
    with h5py.File(path) as file:
        taps = np.array(file["taps"])
        start = file["taps"].id.get_offset()
    data, largest = bytearray(path.read_bytes()), int(np.argmax(np.abs(taps)))
    data[start + 8 * largest + 7] ^= 0x80
    path.write_bytes(data)
    with h5py.File(path) as file:
        assert np.ravel(file["taps"])[largest] == -np.ravel(taps)[largest]
    with pytest.raises(BadInput, match="SHA-256 differs"):
        store.read(path)

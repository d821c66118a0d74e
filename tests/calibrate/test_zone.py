"""The listening zone: fields and responses carried to places never measured, and where to trust that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.auditory import Extent, ZoneMap, arms
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.auditory.figures import direct_spectra
from sweetspot.calibrate.auditory.mapping import _uncertainty
from sweetspot.calibrate.auditory.zone import POLAR_LEFT_DB, OwnError
from sweetspot.calibrate.design import Design, parse
from sweetspot.calibrate.plant.places import Heads, correction, fitted, model
from sweetspot.calibrate.plant.places import field as field_of
from sweetspot.calibrate.plant.places.field import radial_ratio
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.rig_file import parse as parse_rig
from sweetspot.rigs.units import Float

C = 343.0


def points(places: Float, sources: Float, f: Float) -> np.ndarray:
    """Pressure ``(place, source, frequency)`` of point sources in a free field."""
    r = np.linalg.norm(places[:, None] - sources[None], axis=-1)[..., None]
    return np.exp(-2j * np.pi * np.maximum(f, 1.0) * r / C) / r


def test_radial_functions_of_order_nought_are_spherical_waves() -> None:
    k = np.array([3.0, 11.0, 60.0])
    found = radial_ratio(3, k, np.array([0.7]), 1.9)[:, 0]
    assert np.allclose(found[0], 1.9 / 0.7 * np.exp(-1j * k * (0.7 - 1.9)))
    h1 = [np.exp(-1j * k * r) * (-1.0 / (k * r) + 1j / (k * r) ** 2) for r in (0.7, 1.9)]  # h_1 of the second kind
    assert np.allclose(found[1], h1[0] / h1[1])


def test_a_field_is_carried_to_other_distances_and_bearings() -> None:
    """Point sources aside of the middle, measured on a ragged ring, against their exact field."""
    f = np.array([0.0, 310.0, 900.0, 2500.0])
    at = np.array([[0.05, 0.08, 0.0], [0.02, -0.3, 0.0], [0.0, 0.03, 0.0]])
    azimuths = np.radians(np.arange(-180.0, 179.0, 7.5))
    ring = 1.7 * np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)
    field = fitted(points(ring, at[:, :2], f), f, azimuths, 1.7, at, C)
    places = np.array([[1.1, 0.4], [2.9, -0.9], [2.0, 0.07]])
    exact = points(places, at[:, :2], f)
    error = np.abs(field.pressure(places) - exact) / np.abs(exact)
    assert error[:, :, 1:].max() < 0.04
    assert np.all(field.left_out_db < -20.0)
    assert np.allclose(field.centres[1], at[1, :2]), "a driver far from the middle is expanded about its own place"


def test_heads_that_see_a_device_alike_share_a_response_and_nothing_else() -> None:
    """Many heads, mirrored and turned, about drivers at the middle and beside it, against the sum by hand."""

    class Asked:
        """A head of a simple pattern that counts the directions at which it is asked."""

        count = 0

        def at(self, azimuths: Float) -> np.ndarray:
            self.count += azimuths.size
            return np.stack([np.exp(1j * azimuths), 1.0 + 0.3j * np.sin(azimuths)])

    f, at = np.array([200.0, 900.0, 2500.0]), np.array([[0.0, 0.02, 0.0], [0.0, -0.02, 0.0], [0.0, 0.4, 0.0]])
    azimuths = np.radians(np.arange(-180.0, 179.0, 10.0))
    ring = 1.7 * np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)
    found = fitted(points(ring, at[:, :2], f), f, azimuths, 1.7, at, C)
    rng = np.random.default_rng(5)
    b = rng.normal(size=found.b.shape) + 1j * rng.normal(size=found.b.shape)  # no order is negligible
    field = replace(found, b=b, centres=np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.4]]))
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(1.0, 3.0, 9), np.linspace(-0.5, 0.5, 5)))
    turned = np.array([[1.5, 0.2, 0.3], [1.5, -0.2, 0.3], [1.5, 0.2, -0.1]])
    places, yaw = np.vstack([np.stack([x, y], axis=1), turned[:, :2]]), np.append(np.arctan2(y, x), turned[:, 2])
    together, alone = Asked(), Asked()
    by_hand = np.empty((len(places), 2, 3, len(f)), dtype=complex)
    for i, d in np.ndindex(len(places), 3):
        (reach,), (bearing,), (r,) = field.modes(d, places[i : i + 1], np.arange(len(field.m)))
        aside = np.arcsin(np.clip(field.m[:, None] / (field.k * r), -0.95, 0.95))
        by_hand[i, :, d] = (alone.at(bearing - yaw[i] - aside) * reach * field.b[d]).sum(axis=1)
    assert np.allclose(
        model(field, together, Heads(places, yaw)), by_hand, rtol=1e-11, atol=1e-11 * np.abs(by_hand).max()
    )
    assert together.count < 0.6 * alone.count


def test_an_even_ring_has_the_coefficients_that_its_equations_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three drivers, expanded about the middle: closed form against the solver."""
    f = np.array([0.0, 310.0, 1100.0, 4200.0])
    at = np.array([[0.03, 0.02, 0.0], [0.02, -0.04, 0.0], [0.0, 0.3, 0.0]])
    azimuths = np.radians(np.arange(-180.0, 179.0, 8.0))
    ring = 1.7 * np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)
    h = points(ring, at[:, :2], f)
    closed = fitted(h, f, azimuths, 1.7, at, C, more=-9.0)
    asked = []
    monkeypatch.setattr(field_of, "_even_ring", lambda *a: asked.append(a))
    solved = fitted(h, f, azimuths, 1.7, at, C, more=-9.0)
    assert asked
    assert not closed.centres.any()
    assert not solved.centres.any()
    assert np.abs(closed.b - solved.b).max() < 1e-11 * np.abs(solved.b).max()
    assert np.allclose(closed.left_out, solved.left_out, rtol=1e-8, atol=1e-13)


def test_a_cabinet_larger_than_its_drivers_is_expanded_as_a_larger_body() -> None:
    """Drivers with three edges outside of all drivers, against the exact field; and errors at left-out directions."""
    f = np.array([500.0, 1500.0, 3500.0])
    at = np.array([[0.0, 0.15, 0.0], [0.0, -0.14, 0.0]])
    azimuths = np.radians(np.arange(-180.0, 179.0, 5.0))
    ring = 1.9 * np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)

    def exact(places: np.ndarray) -> np.ndarray:
        edges = np.array([[-0.02, 0.2], [-0.1, -0.2], [-0.1, 0.2]])
        return points(places, at[:, :2], f) - 0.3 * points(places, edges, f).sum(axis=1, keepdims=True)

    field = fitted(exact(ring), f, azimuths, 1.9, at, C)
    places = np.array([[1.5, 0.6], [2.6, -0.8], [1.8, 0.0]])
    error = np.abs(field.pressure(places) - exact(places)) / np.abs(exact(places))
    assert error.max() < 0.03
    assert np.all(field.left_out < 1e-4)


def test_noise_shows_in_what_is_left_out() -> None:
    rng = np.random.default_rng(8)
    f = np.array([400.0, 1100.0])
    azimuths = np.radians(np.arange(-180.0, 179.0, 10.0))
    ring = 2.0 * np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)
    h = points(ring, np.array([[0.0, 0.05]]), f)
    noise = rng.normal(size=h.shape) + 1j * rng.normal(size=h.shape)
    found = fitted(h + 0.5 * np.abs(h).mean() * noise, f, azimuths, 2.0, np.array([[0.0, 0.05, 0.0]]), C)
    assert found.left_out_db[0] > -10.0


def test_a_ring_too_coarse_for_the_highest_octave_alone_is_good_enough_and_one_too_coarse_for_all_is_not() -> None:
    """Four drivers on a body of 18 cm, up to 9.5 kHz: images on maps of 10 degrees are as those of 5 degrees."""
    f = np.linspace(50.0, 9500.0, 60)
    angles = np.radians([30.0, -30.0, 90.0, -90.0])
    at = 0.0875 * np.stack([np.cos(angles), np.sin(angles), 0.0 * angles], axis=1)

    def left_out(step: float) -> Float:
        azimuths = np.radians(np.arange(-180.0, 179.0, step))
        ring = 2.0 * np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)
        edges = 0.1 * np.stack([np.cos(angles + 0.5), np.sin(angles + 0.5)], axis=1)  # no driver is a point
        h = points(ring, at[:, :2], f) + 0.4 * points(ring, edges, f).sum(axis=1, keepdims=True)
        return fitted(h, f, azimuths, 2.0, at, C).left_out_db

    assert np.all(left_out(10.0) < POLAR_LEFT_DB)
    assert np.all(left_out(40.0) > POLAR_LEFT_DB)


def test_a_correction_is_what_the_measurement_has_over_the_model() -> None:
    rng = np.random.default_rng(3)
    modelled = rng.normal(size=(5, 2, 3, 7)) + 1j * rng.normal(size=(5, 2, 3, 7))
    true = rng.normal(size=(2, 3, 7)) + 1j * rng.normal(size=(2, 3, 7))
    assert np.allclose(correction(modelled * true, modelled), true, rtol=0.05)
    assert np.allclose(correction(np.zeros_like(modelled), 0.0 * modelled), 1.0)


def test_heads_know_where_the_device_is() -> None:
    places = np.array([[2.0, 0.0], [1.0, 1.0]])
    assert np.allclose(Heads.towards_device(places).facing, 0.0)
    assert np.degrees(Heads(places, np.array([0.1, 0.0])).facing) == pytest.approx([-5.73, 45.0], abs=0.01)


@pytest.fixture(scope="module")
def mapped(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ZoneMap]:
    import shutil

    here = tmp_path_factory.mktemp("zone") / "run"
    shutil.copytree(measured, here)
    design = Design.model_validate({"zone": {"x_m": [1.0, 2.2], "y_m": [-0.6, 0.4], "step_m": [0.3, 0.25]}})
    steps.calibrate(here, design, "", with_zone=True)
    found = steps.zone(here)
    assert found is not None
    return here, found


def true_images(run: Path, places: Float) -> Float:
    """Azimuths of left, right, centre at places, degrees, from what the lab itself gives there."""
    filters = steps.fitted_of(run).filters
    rig = parse_rig((run / "rig.toml").read_text(), run)
    assert rig.ears is not None
    world = World(rig, "T-9")
    h = np.stack(
        [
            np.fft.irfft(world.at_ears(Pose(x=x - rig.ears.distance_m, y=y, yaw=float(np.arctan2(y, x)))), world.taps)
            for x, y in places
        ]
    )
    table = np.zeros(len(places), dtype=[("use", "S8")])
    names, snr = ("ear_left", "ear_right"), np.full(h.shape[:3], 60.0)
    ears = ImpulseResponse(h, rig.fs, table, names, rig.driver_names, 0, "Pa/FS", snr, (60, 9000))
    model = auditory.model_of(rig)
    return np.degrees(model.image(direct_spectra(arms.calibrated(ears, filters))).azimuth)[:, [0, 4, 2]]


def test_images_at_places_that_were_never_measured(mapped: tuple[Path, ZoneMap]) -> None:
    run, zone = mapped
    x, y = np.meshgrid(zone.x, zone.y, indexing="ij")
    places = np.stack([x, y], axis=-1).reshape(-1, 2)
    off = np.abs(zone.azimuth_deg["calibrated"].reshape(-1, 3) - true_images(run, places))
    assert zone.trusted.all()
    assert np.median(off) < 1.0
    assert np.percentile(off, 90) < 3.0
    assert zone.own.left_out_deg < 1.5


def test_the_map_can_be_kept_and_is_indexed_by_x_then_y(mapped: tuple[Path, ZoneMap]) -> None:
    run, zone = mapped
    kept = json.loads(json.dumps(zone.to_dict()))
    assert set(kept["area_m2"]) == set(arms.ARMS)
    assert np.array(kept["error_deg"]["calibrated"]["left"]).shape == (len(kept["x"]), len(kept["y"])) == (5, 5)
    again = ZoneMap.of_dict(kept)
    assert again.to_dict() == kept
    assert zone.area_m2(np.ones((5, 5), dtype=bool)) == pytest.approx(1.2 * 1.0)
    summary = steps.zone(run)
    assert summary is not None
    assert "Listening zone" in summary.text


def test_the_pair_is_wide_where_it_stands_and_leans_aside(mapped: tuple[Path, ZoneMap]) -> None:
    _, zone = mapped
    middle = int(np.argmin(np.abs(zone.y)))
    at = int(np.argmin(np.abs(zone.x - 1.4)))
    assert np.allclose(zone.error_deg("reference")[at, middle], 0.0, atol=8.0)
    leaning = zone.error_deg("reference")[at, :, 2]
    assert leaning[0] * leaning[-1] < 0.0
    assert np.abs(leaning[[0, -1]]).min() > 7.0, "off the axis a phantom centre moves to the nearer loudspeaker"


def test_nothing_is_good_where_the_map_is_not_trusted(mapped: tuple[Path, ZoneMap]) -> None:
    _, zone = mapped
    grey = replace(zone, trusted=np.zeros((5, 5), dtype=bool), trusted_centre=np.zeros((5, 5), dtype=bool))
    assert all(v == 0.0 for area in grey.areas.values() for v in area.values())
    assert "calibrated unknown / unknown" in grey.text
    assert "unknown" not in zone.text
    assert "not trusted" not in zone.text
    assert "early reflections may outweigh" in grey.text
    sparse = replace(grey, own=replace(grey.own, polar_db=-1.3))
    assert "off by -1.3 dB re the response (at most -10 dB): measure it with a smaller polar.step_deg" in sparse.text
    unsure = replace(grey, uncertainty_deg=np.full((5, 5), 7.25))
    assert "its expected error is 7.2 degrees or more (at most 6): measure more head positions" in unsure.text
    assert ZoneMap.of_dict(json.loads(json.dumps(sparse.to_dict()))).doubt == sparse.doubt


def test_uncertainty_grows_with_the_distance_from_what_was_measured() -> None:
    own = OwnError(1.0, 9.0, 0.5)
    far = Heads(np.array([[2.0, 0.0], [2.0, 1.0], [3.5, 0.0]]), np.zeros(3))
    found = _uncertainty(own, far, Heads(np.array([[2.0, 0.0], [2.0, 0.05]]), np.zeros(2)))
    assert found[0] == pytest.approx(1.0)
    assert found[1] > 6.0
    assert np.all(np.diff(found) > 0.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[zone]\nx_m = [3, 1]\n", "first below the second"),
        ("[zone]\nx_m = [1, 4]\nstep_m = [0.02, 0.02]\n", "make step_m larger"),
        ("[zone]\nx = [1, 4]\n", "x_m"),
    ],
)
def test_a_zone_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse(text, "design.toml")


def test_places_of_the_default_map() -> None:
    assert Extent().axes[0].size * Extent().axes[1].size == 273


@pytest.mark.parametrize(
    ("listening_m", "x"),
    [(2.0, (1.0, 4.0)), (4.0, (1.0, 4.25)), (4.6, (1.0, 5.0)), (1.0, (0.75, 4.0)), (0.4, (0.3, 4.0))],
)
def test_a_default_map_holds_its_listener(listening_m: float, x: tuple[float, float]) -> None:
    assert Extent().holding(listening_m).x == pytest.approx(x)
    assert Extent(fixed=True).holding(listening_m).x == (1.0, 4.0)

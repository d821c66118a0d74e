"""Banks: filters for places that were never measured, against what the lab itself gives there."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.bank import (
    BankFigures,
    CarriedPlaces,
    Cloud,
    SideFigures,
    VerifiedBank,
    VerifiedPlace,
    carried,
    chosen,
    fit_bank,
)
from sweetspot.calibrate.bank.carried import arriving
from sweetspot.calibrate.bank.fitting import carried_from
from sweetspot.calibrate.design import BankDesign, Design, read_bank
from sweetspot.calibrate.plant import Fitted, frequencies, metrics
from sweetspot.calibrate.plant.places import DeviceField, Heads, fitted, model
from sweetspot.calibrate.report import bank_map
from sweetspot.calibrate.run import verify_places
from sweetspot.calibrate.run.places import plan_at
from sweetspot.measure.plan import places
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.measure.smooth import smoothed
from sweetspot.processor import store
from sweetspot.processor.bank import FilterBank, ListenerPose, pose_of
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import parse
from sweetspot.rigs.storage import file_sha256
from sweetspot.rigs.units import Complex, Float, power_db

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
PLACES = ((1.4, 0.01), (1.4, 0.4), (1.1, -0.25), (1.9, 0.2, 6.0), (1.5, -0.6))
DESIGN = Design.model_validate({"filter": {"taps": 384, "delay": 140}})


@pytest.fixture(scope="module")
def banked(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FilterBank, BankFigures]:
    here = tmp_path_factory.mktemp("bank") / "run"
    shutil.copytree(measured, here)
    steps.calibrate(here, DESIGN, "", bank=(BankDesign(places=PLACES), "# places"))
    found = steps.bank_figures(here)
    assert found is not None
    return here, *found


@pytest.fixture(scope="module")
def world(measured: Path) -> World:
    return World(parse((measured / "rig.toml").read_text(), measured), "T-9")


def true_responses(world: World, places: Float, yaw: Float) -> np.ndarray:
    """Of the lab itself ``(place, ear, driver, frequency)`` on every second bin of the designs' grid."""
    f = frequencies(world.fs)[::2]
    h = np.stack(
        [
            np.fft.irfft(world.at_ears(Pose(x=x - 1.4, y=y, yaw=float(turn))), world.taps)
            for (x, y), turn in zip(places, yaw, strict=True)
        ]
    )
    return np.fft.rfft(h, round(world.fs / f[1]), axis=-1)


def heard_db(h: np.ndarray, taps: Float, far: np.ndarray, f: Float) -> metrics.SideSpread:
    heard = np.einsum("pedf,cdf->pecf", h, np.fft.rfft(taps, 2 * (len(f) - 1), axis=-1))
    return metrics.scored(metrics.cancellation_db(metrics.unvirtualized(heard, far), f))


def test_filters_hold_where_nothing_was_measured(banked: tuple[Path, FilterBank, BankFigures], world: World) -> None:
    """Heads that fill the spread of the figures, heard in the lab; static filters beside them; what was predicted."""
    run, bank, figures = banked
    far, f = steps.fitted_of(run).prediction.far_ear[::2], frequencies(bank.home.fs)[::2]
    cloud = Cloud.even(0.05, float(np.radians(10.0)))
    for i, place in enumerate(bank.places):
        at, yaw = (x[0] for x in cloud.around(place[None]))
        h = true_responses(world, at, yaw)
        own, static = (heard_db(h, np.asarray(t, dtype=float), far, f) for t in (bank.taps[i], bank.home.taps))
        assert own.mean > 11.0
        assert abs(own.mean - figures.mean_db[i]) < 2.5
        assert figures.low_db[i] - 0.5 < own.mean, "what is heard is not below the interval"
        assert figures.low_db[i] < figures.mean_db[i] < figures.high_db[i]
        if i:
            assert own.mean > static.mean + 5.0, "static filters are no match away from their place"
            assert abs(static.mean - figures.static_mean_db[i]) < 4.0
            assert figures.distance_m[i] > 0.2


def test_level_falls_with_the_distance_and_delays_are_steady(
    banked: tuple[Path, FilterBank, BankFigures], world: World
) -> None:
    _, bank, _ = banked
    f = frequencies(bank.home.fs)[::2]
    inside = (f > 300.0) & (f < 6000.0)
    h = true_responses(world, bank.places[:, :2], bank.places[:, 2])
    w = np.fft.rfft(bank.taps, 2 * (len(f) - 1), axis=-1)
    heard = np.einsum("pedf,pcdf->pecf", h, w)
    sides = np.stack([heard[:, 0, 0], heard[:, 1, 1]], axis=1)[..., inside]
    level = power_db(np.average(np.abs(sides) ** 2, axis=-1, weights=1.0 / f[inside])).mean(axis=1)
    away = np.hypot(*bank.places[:, :2].T)
    assert np.ptp(level + 20.0 * np.log10(away)) < 1.5
    arrival = -np.angle(np.sum(heard[..., 1:] * heard[..., :-1].conj() * inside[1:], axis=-1)) / (2 * np.pi * f[1])
    sides_at = 0.5 * (arrival[:, 0, 0] + arrival[:, 1, 1])
    own_delay = sides_at - away / 343.0
    assert np.ptp(own_delay) < 1.5e-4, "the filters' own delay is the same at all places"
    assert np.abs(arrival[:, 0, 0] - arrival[:, 1, 1]).max() < 6e-5, "left and right reach a listener aside together"
    centre_at = arrival[:, :, 2].mean(axis=1)
    assert np.abs(centre_at - sides_at).max() < 1.5e-4


def test_fast_carrying_is_the_model_of_the_zone(measured: Path) -> None:
    """One direction of arrival a driver stands for the sum over all of its harmonics, which the zone's map uses."""
    unit = steps.fitted(measured, DESIGN)
    with Session.read(measured / "session.h5") as session:
        rig, ears, polar = session.rig(), session.responses("ears"), session.responses("polar")
    whole = unit.prediction.whole
    carried = carried_from(ears, polar, rig, (whole.gate, whole.polar_gate), auditory.model_of(rig))
    places = np.array([[1.4, 0.0, 0.0], [1.1, -0.5, -0.4], [2.2, 0.9, 0.5]])
    still = Cloud(np.zeros(1), np.zeros(1), np.zeros(1))
    found = carried.at(places, still)[:, 0] / carried.correction(Heads(places[:, :2], places[:, 2]))
    exact = model(carried.field, carried.head, Heads(places[:, :2], places[:, 2]))
    band = (carried.field.f > 300.0) & (carried.field.f < 6300.0)
    off = np.sum(np.abs(found - exact)[..., band] ** 2) / np.sum(np.abs(exact[..., band]) ** 2)
    assert power_db(np.array(off)) < -20.0
    moved = Cloud(np.array([0.0, 0.04]), np.array([0.0, -0.05]), np.array([0.0, 0.1]))
    at, yaw = moved.around(places)
    there = Heads(at[:, 1], yaw[:, 1])
    near = carried.at(places, moved)[:, 1] / carried.correction(there)
    exact = model(carried.field, carried.head, there)
    off = np.sum(np.abs(near - exact)[..., band] ** 2) / np.sum(np.abs(exact[..., band]) ** 2)
    assert power_db(np.array(off)) < -17.0


def test_errors_grow_with_the_distance_and_corrections_come_from_near() -> None:
    rng = np.random.default_rng(3)
    modelled = np.exp(2j * np.pi * rng.random((3, 2, 4, 5)))
    factor = np.array([1.0, 1.0, 1.6])[:, None, None, None]
    anchors = Heads(np.array([[2.0, 0.0], [2.0, 0.04], [2.0, 1.0]]), np.arctan2([0.0, 0.04, 1.0], 2.0))
    none, f = np.zeros((4, 1, 5)), np.arange(5.0)
    field = DeviceField(none, np.zeros(1, int), f, np.zeros((4, 2)), 2.0, 343.0, left_out=np.full((4, 5), 0.01))
    known = CarriedPlaces(  # type: ignore[arg-type]
        field, None, anchors, modelled * factor, modelled, np.full((4, 5), 0.001), np.full((4, 5), 0.02)
    )
    seats = np.array([[2.0, 0.02], [2.0, 0.98], [1.5, 0.0], [2.5, 0.0], [2.0, -0.5]])
    places = np.column_stack([seats, np.arctan2(seats[:, 1], seats[:, 0])])
    found = known.correction(Heads.towards_device(seats))
    assert np.allclose(found[0], 1.0, atol=0.12)
    assert np.allclose(found[1], 1.6, atol=0.12)
    error = known.error(places).max(axis=(1, 2))
    assert error[0] < 0.0025
    assert error[1] < 0.0035
    assert error[3] < error[2] < 0.01, "nearer to the device is farther from what was measured than farther away"
    assert error[4] > 0.01, "aside, what left-out directions are missed by is met in full"


class _TwoEars:
    """A head of two ears in a free field, 9 cm to either side of its middle."""

    EAR_M = 0.09

    def __init__(self, k: Float) -> None:
        self.k = k

    def at(self, azimuths: Float) -> Complex:
        lead = self.k * self.EAR_M * np.sin(azimuths)
        return np.stack([np.exp(1j * lead), np.exp(-1j * lead)])


def test_a_cabinet_whose_edges_radiate_is_heard_from_its_edges() -> None:
    """Point sources on a baffle, ears far to the side: the sound of each edge arrives from its own direction."""
    c, distance, f = 343.0, 1.5, np.arange(0.0, 8001.0, 250.0)
    k = 2.0 * np.pi * np.maximum(f, 1.0) / c
    sources = np.array([[0.0, 0.08], [0.0, -0.22], [0.0, 0.22], [-0.05, 0.0]])
    strengths = np.array([1.0, -0.35, 0.3, 0.2])

    def pressure(at: Float) -> Complex:
        r = np.linalg.norm(at[..., None, :] - sources, axis=-1)[..., None]
        return np.asarray(np.sum(strengths[:, None] * np.exp(-1j * k * r) / r, axis=-2))

    azimuths = np.radians(np.arange(-180.0, 180.0, 5.0))
    ring = pressure(distance * np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1))[:, None]
    field = fitted(ring, f, azimuths, distance, np.array([[0.0, 0.08, 0.0]]), c)
    places = np.array([[2.0, 0.0], [1.9, 0.75], [1.2, -0.6]])
    facing = np.arctan2(places[:, 1], places[:, 0]) + np.pi
    side = _TwoEars.EAR_M * np.stack([-np.sin(facing), np.cos(facing)], axis=1)
    true = np.stack([pressure(places + side), pressure(places - side)], axis=1)  # (place, ear, frequency)
    yaw = (facing - np.pi)[:, None]
    found = carried.ear_responses(field, _TwoEars(k), arriving(field, places), places[:, None], yaw)[:, 0, :, 0]
    band = (f >= 800.0) & (f <= 6300.0)
    shared = np.sum(true * found.conj(), axis=1, keepdims=True) / np.sum(np.abs(found) ** 2, axis=1, keepdims=True)
    off = np.abs(true - shared * found)[..., band] ** 2  # beside a factor of both ears, such as their distance
    error = power_db(off.mean(axis=(1, 2)) / np.mean(np.abs(true[..., band]) ** 2, axis=(1, 2)))
    assert np.all(error < -25.0), error


@pytest.mark.filterwarnings("error")
def test_a_driver_without_high_frequencies_has_one_part() -> None:
    """A woofer of a lab without noise; and a grid that ends below."""
    for f in (np.arange(0.0, 8001.0, 250.0), np.arange(0.0, 1501.0, 250.0)):
        b = np.zeros((1, 5, len(f)), dtype=complex)
        b[0, 2, (f > 0.0) & (f < 1000.0)] = 1.0
        field = DeviceField(
            b, np.arange(-2, 3), f=f, centres=np.zeros((1, 2)), radius=1.5, c=343.0, left_out=np.zeros((1, len(f)))
        )
        found = arriving(field, np.array([[2.0, 0.1], [1.5, -0.4]]))
        assert found.p.shape == (2, 1, len(f))
        assert np.isfinite(found.p).all()
        assert np.isfinite(found.gradient).all()


def test_a_head_that_turns_is_corrected_by_those_that_turned_alike() -> None:
    modelled = np.ones((3, 2, 4, 5), dtype=complex)
    yaw = np.radians([-8.0, 0.0, 8.0])
    anchors = Heads(np.tile([2.0, 0.0], (3, 1)), yaw)
    factor = np.array([0.8, 1.0, 1.3])[:, None, None, None]
    known = CarriedPlaces(  # type: ignore[arg-type]
        None, None, anchors, modelled * factor, modelled, np.zeros((4, 5)), np.zeros((4, 5))
    )
    found = known.correction(Heads(np.tile([2.4, 0.0], (3, 1)), yaw))
    assert np.allclose(found[:, 0, 0, 0], [0.83, 1.0, 1.26], atol=0.03)


def test_a_bank_is_stored_whole_and_read_as_it_was(
    banked: tuple[Path, FilterBank, BankFigures], tmp_path: Path
) -> None:
    run, bank, figures = banked
    kept = store.read_bank(run)
    assert np.array_equal(kept.bank.taps, bank.taps)
    assert np.allclose(kept.bank.places[3], [1.9, 0.2, np.arctan2(0.2, 1.9) + np.radians(6.0)])
    assert kept.design_text == "# places"
    assert bank.home.source == store.read(run).source, "the hash of the session is that of the filters beside it"
    assert figures.to_dict()["mean_db"] == pytest.approx(kept.prediction["mean_db"], abs=1e-3)
    damaged = tmp_path / "filterset.h5"
    shutil.copy(run / "filterset.h5", damaged)
    with h5py.File(damaged, "r+") as file:
        file["bank/taps"][0, 0, 0, 0] += 0.5
    with pytest.raises(BadInput, match="not those that were written"):
        store.read_bank(damaged)
    plain = tmp_path / "plain.h5"
    store.write(plain, store.read(run))
    with pytest.raises(BadInput, match="no bank"):
        store.read_bank(plain)


def test_heads_of_the_figures_fill_the_whole_spread_evenly() -> None:
    """Each way and turn as widely as a uniform draw of any number of heads, within the error of six steps."""
    cloud = Cloud.even(0.05, 0.17)
    for value, most in ((cloud.away, 0.05), (cloud.left, 0.05), (cloud.yaw, 0.17)):
        assert np.allclose(np.diff(np.sort(value)), most / 3.0)
        assert value.mean() == pytest.approx(0.0, abs=1e-12)
        assert np.std(value) == pytest.approx(most / np.sqrt(3.0), rel=0.02)
    assert np.abs(np.corrcoef([cloud.away, cloud.left, cloud.yaw]) - np.eye(3)).max() < 0.25


def test_the_nearest_place_is_played_and_kept_while_it_is_near(banked: tuple[Path, FilterBank, BankFigures]) -> None:
    _, bank, _ = banked
    assert bank.nearest(ListenerPose(1.4, 0.35)) == 1
    middle = ListenerPose(1.4, 0.21)
    assert bank.nearest(middle) == 1
    assert bank.nearest(middle, now=0) == 0, "no change for a centimetre"
    assert bank.nearest(ListenerPose(1.4, 0.3), now=0) == 1


@pytest.mark.parametrize(
    ("pose", "why"),
    [
        (ListenerPose(float("nan"), 0.0), "not a number"),
        (ListenerPose(0.3, 0.1), "nearer to the middle"),
        (ListenerPose(1.4, 3.0), "outside the bank"),
    ],
)
def test_poses_that_cannot_be_followed(
    banked: tuple[Path, FilterBank, BankFigures], pose: ListenerPose, why: str
) -> None:
    _, bank, _ = banked
    assert why in bank.fault(pose)
    with pytest.raises(BadInput, match=why):
        bank.checked(pose, "--listener")


@pytest.mark.parametrize("text", ["", "1", "1,b", "1,2,3,4", "inf,0"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="metres and degrees"):
        pose_of(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"places": ((0.3, 0.1),)}, "omit it"),
        ({"places": ((-1.4, 0.0),)}, "nearest direction"),
        ({"second": (1.4, 0.5)}, "at least 4 drivers"),
    ],
)
def test_places_without_a_field_are_refused(measured: Path, change: dict[str, object], message: str) -> None:
    with Session.read(measured / "session.h5") as session:
        rig, ears, polar = session.rig(), session.responses("ears"), session.responses("polar")
    rows = np.flatnonzero(np.abs(polar.positions["azimuth_deg"]) < 100.0)
    unit: Fitted = steps.fitted(measured, DESIGN)
    with pytest.raises(BadInput, match=message):
        fit_bank(ears, polar.at(rows), rig, (DESIGN, BankDesign.model_validate(change)), unit, auditory.model_of(rig))
    long = Design.model_validate({"filter": {"taps": 1024}})
    with pytest.raises(BadInput, match="at most"):
        fit_bank(ears, polar, rig, (long, BankDesign(places=PLACES)), unit, auditory.model_of(rig))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x_m = [3, 1]\n", "not above the second"),
        ("step_m = [0.02, 0.02]\n", "make step_m larger"),
        ("x = [1, 2]\n", "x_m"),
        ("places = [[1.0]]\n", "places"),
        ("x_m = 3 3\n", "not valid TOML"),
    ],
)
def test_a_bank_toml_with_faults_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bank.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        read_bank(path)


def test_the_example_is_a_bank_and_the_defaults_are_the_documented_ones(root: Path) -> None:
    wish, text = read_bank(root / "calibrate" / "bank.toml")
    assert len(wish.grid) == 15
    assert set(tomllib.loads(text)) <= set(BankDesign.model_fields)
    grid = BankDesign().grid
    assert len(grid) == 9 * 21
    assert np.allclose(grid[:, 2], np.arctan2(grid[:, 1], grid[:, 0])), "heads face the device"


def test_turning_the_device_is_a_seat_beside_the_axis(crooked_text: str, tmp_path: Path) -> None:
    """In free field a turned device and a head ahead equal a fixed device and a head beside it."""
    turned = '{ x = 0.1, y = -0.05, yaw_deg = 3, turn_deg = -25, use = "anchor" },\n    { x = 0.0, y = 0.01,'
    rig = parse(crooked_text.replace("{ x = 0.0, y = 0.01,", turned), tmp_path)
    assert rig.ears is not None
    pose, row = next(p for p in places(rig, "ears") if p[1][-1] == "anchor")
    assert np.degrees(pose.turn) == pytest.approx(-25.0)
    world = World(rig, "T-9")
    as_seen = Pose(x=float(row[1]) - 1.4, y=float(row[2]), yaw=float(np.radians(row[4])))  # type: ignore[arg-type]
    a, b = world.at_ears(pose), world.at_ears(as_seen)
    assert np.max(np.abs(a - b)) < 1e-6 * np.max(np.abs(a))
    assert float(row[0]) == pytest.approx(float(np.degrees(np.arctan2(-0.05, 1.5))) + 25.0)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="turn_deg"):
        parse(crooked_text.replace("{ x = 0.0, y = 0.01,", "{ x = 0.0, turn_deg = 300, y = 0.01,"), tmp_path)


def test_places_to_hear_are_far_from_all_measured_ones(banked: tuple[Path, FilterBank, BankFigures]) -> None:
    _, bank, figures = banked
    rows = chosen(bank, figures, 3)
    assert len(set(rows)) == 3
    assert figures.distance_m[rows[0]] == figures.distance_m.max()
    assert sorted(chosen(bank, figures, 99)) == list(range(5))


def test_a_bank_is_heard_on_the_rig(
    banked: tuple[Path, FilterBank, BankFigures],
    lab_rig: Callable[..., Rig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(banked[0], run)
    rig = lab_rig(parse((run / "rig.toml").read_text(), run), "T-9")
    how = {"ask": lambda move: None, "track": lambda title, count: nullcontext(lambda note: None)}
    found = verify_places(run, rig, 1, NOON, **how)  # type: ignore[arg-type]
    place = found.places[0]
    assert place.holds
    assert place.interval[0] < place.bank.mean_db
    assert place.to_dict()["predicted"]["low_db"] == round(place.interval[0], 2)
    assert place.bank.mean_db > place.static.mean_db + 5.0
    assert place.distance_m == banked[2].distance_m.max()
    with Session.read(run / "places" / "place-01.h5", VERIFICATION) as heard:
        assert heard.responses("ears").drivers == ("bank_left", "bank_right", "static_left", "static_right")
        assert heard.attributes["filterset_sha256"] == file_sha256(run / "filterset.h5")
    saved: list[Figure] = []
    save = Figure.savefig

    def kept(figure: Figure, *where: Any, **how: Any) -> None:
        saved.append(figure)
        save(figure, *where, **how)

    monkeypatch.setattr(Figure, "savefig", kept)
    picture = bank_map(*banked[1:], found.places, tmp_path / "places.png")
    assert picture.stat().st_size > 10_000
    assert all(ax.xaxis_inverted() for ax in saved[0].axes[:2]), "y grows to the left"
    silent = replace(place, bank=replace(place.bank, mean_db=place.predicted.mean_db - 3.5))
    assert not silent.holds
    assert "FAIL: 1 of 1" in VerifiedBank((silent,)).text
    store.write(run / "filterset.h5", store.read(run), store.read_prediction(run))
    with pytest.raises(BadInput, match="has no bank"):
        verify_places(run, rig, 1, NOON, **how)  # type: ignore[arg-type]


def test_a_bank_for_two_is_heard_at_both_seats(
    banked: tuple[Path, FilterBank, BankFigures], lab_rig: Callable[..., Rig]
) -> None:
    """Three heads at each seat, no louder than the nearer one bears; each listener's own figures are stated."""
    run, bank, _ = banked
    rig = lab_rig(parse((run / "rig.toml").read_text(), run), "T-9").description
    alone, both = (plan_at(rig, bank, 0, np.reshape(second, (-1, 3))) for second in ([], [[0.7, -0.3, -0.4]]))
    assert len(both.captures) == 2 * len(alone.captures)
    levels = [p.sources.levels[0] for p in (alone, both)]
    assert levels[1] == pytest.approx(levels[0] * np.hypot(0.7, 0.3) / np.hypot(1.4, 0.01), rel=0.02)
    one, other = SideFigures(20.0, 12.0, 55.0), SideFigures(9.0, 3.0, 30.0)
    place = VerifiedPlace(1.4, 0.0, 0.0, one, one, one, (19.0, 21.0), listeners=(one, other))
    assert place.to_dict()["listeners"][1]["mean_db"] == 9.0
    assert "20.0 / 12.0 dB 55 deg and 9.0 / 3.0 dB 30 deg" in place.text


def test_a_bank_shares_drive_and_has_the_tone_of_the_single_design(
    banked: tuple[Path, FilterBank, BankFigures],
) -> None:
    """At the nominal place both play the same: centre over sides at the ears, and the drivers' side signals."""
    with Session.read(banked[0] / "session.h5") as session:
        ears = session.responses("ears")
    single, bank = store.read(banked[0]), banked[1]
    f = np.fft.rfftfreq(4096, 1.0 / ears.fs)
    band = (f > 300.0) & (f < 8000.0)
    h = np.fft.rfft(ears.used_for("design").h[:, :2], 4096)[..., band]
    found = []
    for taps in (single.taps, bank.taps[0]):
        w = np.fft.rfft(taps, 4096)[..., band]
        power = np.mean(np.abs(np.einsum("pedf,cdf->pecf", h, w)) ** 2, axis=0)
        centre = smoothed(power[:, 2].mean(axis=0), f[band]) / smoothed(0.5 * (power[0, 0] + power[1, 1]), f[band])
        drive = np.mean(np.abs(w[0] - w[1]) ** 2 / f[band], axis=-1)
        found.append((power_db(centre), power_db(drive / drive.sum())))
    assert np.sqrt(np.mean((found[0][0] - found[1][0]) ** 2)) < 1.0
    assert np.max(np.abs(found[0][1] - found[1][1])) < 1.0


def test_the_command_line_makes_a_bank(measured: Path, tmp_path: Path, sweetspot: Callable[..., object]) -> None:
    run, wish = tmp_path / "run", tmp_path / "bank.toml"
    shutil.copytree(measured, run)
    wish.write_text("places = [[1.4, 0.0], [1.3, 0.3]]\n")
    done = sweetspot("calibrate", run, "--bank", wish, "--json")
    bank = json.loads(done.stdout)["bank"]  # type: ignore[attr-defined]
    assert bank["places"]["y"] == [0.0, 0.3]
    assert len(bank["predicted"]["mean_db"]) == 2
    both = sweetspot("calibrate", run, "--bank", wish, "--no-bank")
    assert both.returncode == 2  # type: ignore[attr-defined]
    assert "give only one of them" in both.stderr  # type: ignore[attr-defined]
    longer = Design.model_validate({"filter": {"taps": 400, "delay": 140}})
    steps.calibrate(run, longer, "")  # the existing bank is fitted again, by the new design
    kept = store.read_bank(run)
    assert kept.bank.taps.shape[0] == 2
    assert kept.bank.taps.shape[3] == 400
    assert kept.design_text == wish.read_text()
    steps.calibrate(run, longer, "", drop_bank=True)
    assert not store.has_bank(run)
    missing = sweetspot("calibrate", run, "--bank", tmp_path / "none.toml")
    assert missing.returncode == 2  # type: ignore[attr-defined]
    assert "none.toml" in missing.stderr  # type: ignore[attr-defined]

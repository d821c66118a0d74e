"""Drivers on a rigid sphere and on baffles against published curves, limits and laws that their code does not share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from sweetspot.rigs.acoustics.encoding import Encoding
from sweetspot.rigs.acoustics.sphere import cap_weights, coefficients, field, legendre, order
from sweetspot.rigs.lab.sound.body import BaffledBody, SphereBody
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose, turned
from sweetspot.rigs.rig_file.description import parse
from sweetspot.rigs.rig_file.lab_places import with_body
from sweetspot.rigs.units import db, power_db

RIGS = Path(__file__).parents[2] / "rigs"
R = 0.1

ON_AXIS = [
    (30, 0.959, 4.14),
    (30, 3.051, 5.38),
    (30, 6.974, 4.69),
    (30, 11.453, 2.35),
    (60, 1.295, 3.13),
    (60, 2.509, 3.72),
    (60, 4.862, 2.42),
    (60, 7.984, -3.05),
    (60, 14.788, -7.61),
    (90, 2.003, 2.61),
    (90, 5.048, -1.01),
    (90, 12.072, -9.17),
    (90, 40.487, -20.06),
]
"""Half-angle of the cap in degrees, k a with a its radius, level on the axis in dB: L. L. Beranek and T. Mellow,
Acoustics: Sound Fields and Transducers, 2012, the on-axis responses of a cap in a sphere, read off the figure."""

PATTERNS = {
    1: [(0.1, 0.06), (14.4, -0.02), (29.3, -0.51), (41.8, -1.09), (53.3, -1.74), (66.2, -2.71), (78.4, -3.71),
        (90.7, -4.83), (99.3, -5.34), (108.4, -5.75), (122.7, -5.72), (133.2, -5.39), (144.3, -4.75), (155.4, -4.12),
        (163.5, -3.84), (179.8, -3.52)],
    3: [(0.1, -0.11), (9.1, -0.34), (17.0, -1.01), (25.1, -1.86), (35.2, -3.17), (44.3, -4.85), (52.9, -6.49),
        (61.2, -8.23), (69.8, -9.95), (78.8, -11.99), (88.8, -14.12), (100.5, -16.13), (113.9, -17.32),
        (128.1, -18.36), (145.2, -22.77), (153.9, -20.91), (163.4, -16.95), (171.9, -14.57), (179.8, -14.08)],
}  # fmt: skip
"""Degrees off the axis and level in dB of a cap of 60 degrees for k a = 1 and 3, read off the same book's figure."""


def cap_pattern(ka: float, degrees: np.ndarray, alpha: float = 60.0) -> np.ndarray:
    """Far-field pressure in the given directions over that of the same volume flow in free field."""
    k = np.array([ka / (R * np.sin(np.radians(alpha)))])
    far = 5000.0
    return np.abs(field(np.cos(np.radians(degrees)), k, R, far, np.radians(alpha))[:, 0]) * far


@pytest.mark.parametrize(("alpha", "ka", "level"), ON_AXIS)
def test_cap_on_a_sphere_has_the_published_response_on_its_axis(alpha: float, ka: float, level: float) -> None:
    assert float(db(cap_pattern(ka, np.array([0.0]), alpha)[0])) == pytest.approx(level, abs=0.25)


@pytest.mark.parametrize("ka", PATTERNS)
def test_cap_on_a_sphere_has_the_published_pattern(ka: int) -> None:
    degrees, level = np.array(PATTERNS[ka]).T
    ours = cap_pattern(ka, degrees)
    loud = level > -15.0
    assert np.abs(db(ours / cap_pattern(ka, np.zeros(1)))[loud] - level[loud]).max() < 0.6


@pytest.mark.parametrize("ka", PATTERNS)
def test_directivity_index_of_a_cap_is_that_of_the_published_pattern(ka: int) -> None:
    degrees, level = np.array(PATTERNS[ka]).T
    fine = np.radians(np.linspace(0.0, 180.0, 721))
    published = 10.0 ** (np.interp(np.degrees(fine), degrees, level) / 10.0)
    index = power_db(2.0 / np.trapezoid(published * np.sin(fine), fine))
    ours = cap_pattern(ka, np.degrees(fine)) ** 2
    our_index = power_db(2.0 * ours[0] / np.trapezoid(ours * np.sin(fine), fine))
    assert float(our_index) == pytest.approx(float(index), abs=0.2)
    assert 2.0 < float(our_index) < 9.0


@pytest.mark.parametrize(("alpha", "f"), [(0.25, 300.0), (0.25, 4000.0), (0.9, 1500.0)])
def test_power_that_leaves_is_the_power_that_the_cap_gives(alpha: float, f: float) -> None:
    """Far-field intensity over all directions against pressure times velocity on the cap (rho = c = 1)."""
    k, a, top = 2 * np.pi * f / 343.0, 0.0875, 400
    x, w = np.polynomial.legendre.leggauss(300)
    far = field(x, np.array([k]), a, 4000.0, alpha)[:, 0] * 4000.0
    radiated = 0.5 * 2 * np.pi * np.sum(w * np.abs(far) ** 2)
    low = np.cos(alpha)
    cosines, weights = 0.5 * (1 - low) * x + 0.5 * (1 + low), 0.5 * (1 - low) * w
    series = coefficients(np.array([k]), a, a, top)[:, 0] * cap_weights(alpha, top)
    surface = np.tensordot(series, legendre(cosines, top), axes=1)
    flow = 4 * np.pi / (1j * k)  # a free source of this flow has 1 at 1 m
    velocity = flow / (np.pi * a * a * np.sin(alpha) ** 2) * cosines
    given = 0.5 * np.real(2 * np.pi * a * a * np.sum(weights * surface * velocity.conj()))
    assert given == pytest.approx(radiated, rel=1e-4)


@pytest.mark.parametrize(("f", "r", "angle"), [(150.0, 0.3, 2.1), (2500.0, 1.1, 0.4), (9000.0, 0.25, 1.7)])
def test_source_and_receiver_can_change_places(f: float, r: float, angle: float) -> None:
    """A point on the sphere heard far off is a point far off heard on the sphere: incident plus scattered wave."""
    a, k = 0.0875, 2 * np.pi * f / 343.0
    total = 0j
    for n in range(order(k * a) + 12):
        h = spherical_jn(n, k * r) - 1j * spherical_yn(n, k * r)
        slope = spherical_jn(n, k * a, True) - 1j * spherical_yn(n, k * a, True)
        there = spherical_jn(n, k * a) - 1j * spherical_yn(n, k * a)
        standing = spherical_jn(n, k * a) - spherical_jn(n, k * a, True) / slope * there
        total += -1j * k * (2 * n + 1) * h * standing * eval_legendre(n, np.cos(angle))
    ours = field(np.array([np.cos(angle)]), np.array([k]), a, r)[0, 0]
    assert abs(ours - total) < 1e-5 * abs(total)


@pytest.mark.parametrize("cap", [0.0, 0.3])
@pytest.mark.parametrize("f", [200.0, 3000.0, 20000.0])
def test_series_is_summed_until_nothing_more_comes(cap: float, f: float) -> None:
    a, k, cosines = 0.0875, np.array([2 * np.pi * f / 343.0]), np.linspace(-1, 1, 41)
    top = order(float(k[0]) * a) + 60
    much = legendre(cosines, top).T @ (coefficients(k, a, 2 * a, top) * cap_weights(cap, top)[:, None])
    ours = field(cosines, k, a, 2 * a, cap)
    assert np.abs(ours - much).max() < 1e-6 * np.abs(much).max()


def test_small_baffles_are_monopoles_in_their_places() -> None:
    places = np.array([[0.0, 0.31, 0.02], [0.1, -0.05, 0.0], [-0.02, -0.4, 0.05]])
    facing = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.6, -0.8, 0.0]])
    body = BaffledBody(places, facing, baffle=0.002)
    point, k = np.array([1.3, 0.2, -0.1]), np.array([5.0, 40.0])
    r = np.linalg.norm(point - places, axis=1)[:, None]
    assert np.abs(body.at(point, k) - np.exp(-1j * k * r) / r).max() < 0.05


def test_a_line_in_phase_has_its_first_null_at_the_textbook_angle() -> None:
    """N sources a step d apart: sin(angle) = wavelength / (N d)."""
    count, step, wavelength = 8, 0.12, 0.36
    places = np.stack([np.zeros(count), step * (np.arange(count) - 3.5), np.zeros(count)], axis=1)
    body = BaffledBody(places, np.tile([1.0, 0.0, 0.0], (count, 1)), baffle=0.01)
    angles = np.radians(np.linspace(19.0, 25.0, 61))
    points = 400.0 * np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    level = np.array([abs(body.at(p, np.array([2 * np.pi / wavelength])).sum()) for p in points])
    assert np.degrees(angles[np.argmin(level)]) == pytest.approx(
        np.degrees(np.arcsin(wavelength / (count * step))), abs=0.15
    )


def test_a_baffle_radiates_into_half_of_the_space_at_high_and_all_at_low_frequencies() -> None:
    body = BaffledBody(np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0]]), baffle=0.2)
    ahead, behind = (
        body.at(np.array([x, 0.0, 0.0]), 2 * np.pi * np.array([20.0, 6000.0]) / 343.0)[0] for x in (9.9, -10.1)
    )
    assert abs(float(db(ahead[0] * 10.0))) < 0.2
    assert float(db(ahead[1] * 10.0)) == pytest.approx(6.0, abs=0.6)
    assert np.abs(db(ahead / behind)[0]) < 0.3


@pytest.mark.parametrize("cap", [0.0, 0.4])
def test_encoding_answers_like_the_series(cap: float) -> None:
    """Its stated error: -58 dB at any distance beyond the nearest, here for all directions at once."""
    k = 2 * np.pi * np.maximum(np.fft.rfftfreq(512, 1 / 47872), 1.0)[:230] / 341.0
    rng = np.random.default_rng(4)
    encoding = Encoding(0.08, k, 0.9, cap)
    for r in (0.93, 1.7, 6.1, 60.0):
        cosines = rng.uniform(-1, 1, 30)
        exact = field(cosines, k, 0.08, r, cap) * r * np.exp(1j * k * r)
        assert float(db(np.abs(encoding.toward(cosines, np.full(30, r)) - exact).max())) < -55.0


def test_a_driver_in_the_middle_faces_ahead() -> None:
    body = SphereBody(0.2, np.array([[0.0, 0.0, 0.0], [0.0, 0.1, 0.0]]))
    assert body.one.axes == pytest.approx(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))


ONE = """
schema = 1
name = "one"
fs = 48000
interface = {{ driver = "lab", loopback = {{ out = 3, in = 4 }} }}
stage = {{ driver = "lab" }}
driver = [{{ name = "only", channel = 1, at = {at}, unprotected = true }}]
mic = [{{ name = "ear_left", channel = 1 }}, {{ name = "ear_right", channel = 2 }}, {{ name = "boom", channel = 3 }}]
ears = {{ distance_m = 1.3, positions = [{{ use = "design" }}, {{ use = "score" }}] }}
polar = {{ distance_m = 1.3 }}
[lab]
body_diameter_m = 0.12
body = {{ shape = "{shape}", driver_diameter_m = 0.04, baffle_m = 0.12 }}
"""


@pytest.mark.parametrize("shape", ["line", "ring"])
def test_a_baffled_driver_beside_the_middle_is_a_sphere_that_moved(shape: str, tmp_path: Path) -> None:
    """The head stands the other way by as much, device turned or not; line and ring differ in where they face."""
    sphere = World(parse(ONE.format(at="[0.06, 0.0, 0.0]", shape="sphere"), tmp_path), "T")
    at, towards = ([0.06, 0.25, 0.0], 0.0) if shape == "line" else ([0.0, 0.31, 0.0], np.pi / 2)
    moved = World(parse(ONE.format(at=at, shape=shape), tmp_path), "T")
    centre = np.array([0.0, 0.25, 0.0])
    f = np.linspace(100.0, 20000.0, 200)
    for turn in (0.0, 0.7):
        shift = turned(centre, turn)
        pose = Pose(turn=turn, x=0.02, y=-0.05, yaw=0.1)
        ears = moved.at_ears(pose)
        same = sphere.at_ears(Pose(turn=turn + towards, x=pose.x - shift[0], y=pose.y - shift[1], yaw=pose.yaw))
        rows = [np.interp(f, w.f, np.abs(h[1, 0])) for w, h in ((moved, ears), (sphere, same))]
        assert rows[0] == pytest.approx(rows[1], rel=5e-3)
        late = [np.angle(np.interp(1000.0, w.f, h[0, 0])) for w, h in ((moved, ears), (sphere, same))]
        assert late[0] == pytest.approx(late[1], abs=0.02)


@pytest.mark.parametrize(
    ("places", "body"),
    [
        ([[0.08, 0.04, 0.0], [0.0, -0.09, 0.0], [-0.07, 0.0, 0.04]], ("sphere", 0.175)),
        ([[0.03, 0.04, 0.0], [0.0, -0.05, 0.0]], ("sphere", 0.1)),
        ([[0.0, 0.41, 0.0], [0.02, 0.1, 0.0], [0.0, -0.3, 0.0]], ("line", 0.175)),
        ([[0.3, 0.1, 0.0], [-0.1, 0.3, 0.0], [0.0, -0.33, 0.0]], ("ring", 0.175)),
    ],
)
def test_a_body_of_which_nothing_is_stated_is_one_that_the_drivers_sit_on(
    places: list[list[float]], body: tuple[str, float]
) -> None:
    table = {"driver": [{"at": at} for at in places], "lab": {"body": {"baffle_m": 0.07}}}
    lab = with_body(table)["lab"]
    assert (lab["body"].get("shape", "sphere"), lab.get("body_diameter_m", 0.175)) == body
    asked = table | {"lab": {"body": {"shape": "sphere"}}}
    assert with_body(asked) == asked


def test_drivers_of_a_long_line_are_heard_from_their_own_places(tmp_path: Path) -> None:
    text = (RIGS / "desk.toml").read_text().replace("[0.0, 0.0875, 0.0]", "[0.0, 0.5, 0.0]")
    world = World(parse(text, tmp_path), "T")
    h = np.fft.irfft(world.direct_at_microphone(np.pi / 2), axis=-1)
    late = np.argmax(np.abs(h[2])) - np.argmax(np.abs(h[3]))  # 'side_left' stands behind, 'side_right' ahead
    assert late / 48000 * world.c == pytest.approx(0.5875, abs=0.03)

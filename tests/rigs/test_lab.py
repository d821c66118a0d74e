"""The virtual lab against physics that its code does not share."""

from __future__ import annotations

import gc
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Semaphore, current_thread
from time import monotonic, sleep
from weakref import ref

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import eval_legendre, lpmv, sph_harm_y, spherical_jn, spherical_yn

from sweetspot.rigs.acoustics.head import SphereHead
from sweetspot.rigs.acoustics.sphere import field, order
from sweetspot.rigs.lab.interface import LabInterface, Stand
from sweetspot.rigs.lab.world import World, made_body
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.parallel import DEPTH, Ahead
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import Description, parse
from sweetspot.rigs.units import db

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


def hankel(n: int, x: float, derivative: bool = False) -> complex:
    return complex(spherical_jn(n, x, derivative) - 1j * spherical_yn(n, x, derivative))


@pytest.mark.parametrize(("f", "r", "angle"), [(200.0, 1.0, 0.3), (1500.0, 0.4, 2.9), (6000.0, 2.0, 1.4)])
def test_series_equals_direct_sum_with_scipy(f: float, r: float, angle: float) -> None:
    a, k = 0.09, 2 * np.pi * f / 343.0
    direct = sum(
        (2 * n + 1) * lpmv(0, n, np.cos(angle)) * hankel(n, k * r) / hankel(n, k * a, True) for n in range(order(k * a))
    )
    ours = field(np.array([np.cos(angle)]), np.array([k]), a, r)[0, 0]
    assert abs(ours - -direct / (k * a * a)) < 1e-6 * abs(ours)


def test_low_frequencies_are_a_free_monopole() -> None:
    k = np.array([2 * np.pi * 1.0 / 343.0])
    heard = field(np.array([1.0, -1.0]), k, 0.0875, 40.0)[:, 0]
    assert np.abs(heard - np.exp(-1j * k[0] * 40.0) / 40.0).max() < 0.01 / 40.0


def test_high_frequencies_are_doubled_ahead_and_shadowed_behind() -> None:
    """On its own side a rigid sphere is a wall (+6 dB); a quarter turn into the shadow costs more than 15 dB."""
    k = np.array([2 * np.pi * 15000.0 / 343.0])
    ahead, shadow = db(field(np.cos(np.radians([0.0, 140.0])), k, 0.0875, 5.0)[:, 0] * 5.0)
    assert ahead == pytest.approx(6.02, abs=0.7)
    assert shadow < -9.0


@pytest.mark.parametrize(("angle", "low", "high"), [(90.0, 2.7, 3.1), (30.0, 2.7, 3.1)])
def test_interaural_delay_at_low_frequencies_is_three_a_over_c_sine(angle: float, low: float, high: float) -> None:
    """Kuhn 1977: ITD -> 3 a sin(angle) / c with ears at 90 degrees."""
    c, a, f = 343.0, 0.0875, np.array([120.0])
    head = SphereHead(2 * a, np.radians(90.0))
    left, right = head.response(np.full((1, 1), np.radians(angle)), 2 * np.pi * f / c, 100.0, c)[:, 0, 0]
    itd = np.angle(left * np.conj(right)) / (2 * np.pi * f[0])
    assert low < itd * c / (a * np.sin(np.radians(angle))) < high


def test_head_and_body_together_equal_the_exact_single_scattering(crooked: Description) -> None:
    """Re-expand the body's exact field around the head's centre and scatter it there: -40 dB at 400 Hz to 3 kHz.

    The incident field is sampled on a small sphere inside the head's place, turned into regular spherical harmonics,
    and answered with the rigid sphere's surface pressure; this shares no step with the world's angular spectrum.
    """
    world = World(crooked, "T-1")
    pose = Pose(x=0.03, y=-0.05, yaw=0.12)
    heard = world.at_ears(pose)
    for wanted in (400.0, 1000.0, 2000.0, 3000.0):
        at = int(np.argmin(np.abs(world.f - wanted)))
        exact = exact_ears(world, pose, float(world.k[at]))
        error = np.linalg.norm(heard[:, :, at] / world.electrical[:, at] - exact) / np.linalg.norm(exact)
        assert db(error) < -40.0, f"{wanted} Hz: {float(db(error)):.1f} dB"


def surface_source(cosines: np.ndarray, r: np.ndarray, k: float, a: float) -> np.ndarray:
    total = np.zeros(r.shape, dtype=complex)
    for n in range(order(k * a)):
        outgoing = spherical_jn(n, k * r) - 1j * spherical_yn(n, k * r)
        total -= (2 * n + 1) * eval_legendre(n, cosines) * outgoing / hankel(n, k * a, True)
    return total / (k * a * a)


def exact_ears(world: World, pose: Pose, k: float) -> np.ndarray:
    b = 0.0875
    centre = np.array([1.4 + pose.x, pose.y, 0.0])
    top = order(k * b) + 2
    z, weights = np.polynomial.legendre.leggauss(top + 2)
    phi = 2 * np.pi * np.arange(2 * top + 3) / (2 * top + 3)
    polar = np.arccos(z)[:, None] + 0 * phi
    sphere = np.stack([np.sin(polar) * np.cos(phi), np.sin(polar) * np.sin(phi), np.cos(polar)], axis=-1)
    orders = [(n, m) for n in range(top + 1) for m in range(-n, n + 1)]
    basis = {(n, m): sph_harm_y(n, m, polar, phi[None, :] + 0 * polar) for n, m in orders}
    facing = np.pi + pose.yaw
    out = np.zeros((2, len(world.drivers)), dtype=complex)
    radii = (0.6 * b, 0.8 * b, b)
    for d in range(len(world.drivers)):
        flat, up = world.body.azimuths[d], world.body.elevations[d]
        place = np.array([np.cos(up) * np.cos(flat), np.cos(up) * np.sin(flat), np.sin(up)])
        incident = []
        for radius in radii:
            points = centre + radius * sphere
            r = np.linalg.norm(points, axis=-1)
            cosines = points @ place / r
            incident.append(surface_source(cosines, r, k, world.body.radius))
        for n, m in orders:
            j = np.array([spherical_jn(n, k * radius) for radius in radii])
            moments = np.array(
                [(weights[:, None] * p * basis[n, m].conj()).sum() * 2 * np.pi / len(phi) for p in incident]
            )
            inner = (j @ moments) / (j @ j)
            surface = -1j * inner / ((k * b) ** 2 * hankel(n, k * b, True))
            for e, ear in enumerate((np.radians(100.0), -np.radians(100.0))):
                out[e, d] += surface * sph_harm_y(n, m, np.pi / 2, facing + ear)
    return out


def test_same_serial_and_seed_give_the_same_bytes(crooked: Description, lab_rig: Callable[..., Rig]) -> None:
    y = np.zeros((crooked.outputs, 4000), dtype=np.float32)
    y[4, 100] = 0.4
    first, again = (lab_rig(crooked, "A").interface.capture(y).x for _ in range(2))
    other = lab_rig(crooked, "B").interface.capture(y).x
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_repeats_of_a_capture_have_noise_of_their_own(crooked: Description, lab_rig: Callable[..., Rig]) -> None:
    interface = lab_rig(crooked).interface
    silence = np.zeros((crooked.outputs, 2000), dtype=np.float32)
    first, second = interface.capture(silence).x, interface.capture(silence).x
    assert 0 < np.corrcoef(first[2], second[2])[0, 1] ** 2 < 0.02


def test_turning_the_stage_changes_what_the_microphones_hear(crooked: Description, lab_rig: Callable[..., Rig]) -> None:
    rig = lab_rig(crooked)
    y = np.zeros((crooked.outputs, 4000), dtype=np.float32)
    y[0, 0] = 0.5
    before = rig.interface.capture(y).x
    rig.stage.move(Pose(turn=np.radians(90.0)))
    after = rig.interface.capture(y).x
    for channel in (0, 2, 3):
        assert np.std(after[channel] - before[channel]) > 0.1 * np.std(before[channel])


def test_a_turn_of_device_equals_a_walk_around_it(crooked: Description) -> None:
    world = World(crooked, "T-1")
    turned = world.at_microphone(np.radians(40.0))
    around = world.body.response(np.radians([-40.0]), world.k, 1.7)[:, 0] * world.electrical
    assert turned == pytest.approx(around)


def test_loopback_and_latency(crooked: Description, lab_rig: Callable[..., Rig]) -> None:
    y = np.zeros((crooked.outputs, 3000), dtype=np.float32)
    y[5, 17] = 0.9
    x = lab_rig(crooked).interface.capture(y).x
    assert int(np.argmax(np.abs(x[1]))) == 17 + crooked.lab.latency_samples
    assert x[1].max() == pytest.approx(0.9, abs=1e-4)


def test_recording_is_the_convolution_with_the_paths(crooked_text: str, tmp_path, lab_rig: Callable[..., Rig]) -> None:
    quiet = crooked_text + "mic_noise_db_spl = -100\nconverter_noise_dbfs = -300\nlatency_samples = 3\n"
    rig = lab_rig(parse(quiet, tmp_path))
    interface = rig.interface
    assert isinstance(interface, LabInterface)
    rng = np.random.default_rng(3)
    y = np.zeros((6, 1500), dtype=np.float32)
    y[[0, 4]] = 0.1 * rng.standard_normal((2, 1500))
    paths = interface.world.paths(Pose())
    x = interface.capture(y).x
    for i in range(4):
        naive = sum(np.convolve(y[o].astype(float), paths[i, o].astype(float))[:1497] for o in (0, 4))
        assert db(np.max(np.abs(x[i, 3:] - naive)) / max(np.max(np.abs(naive)), 1e-3)) < -100.0


def test_a_lab_is_released_at_once(crooked: Description) -> None:
    """Without the collector of circles, so that memory does not grow with the labs that a process has opened."""
    world = World(crooked, "U-9")
    interface = LabInterface(world, now=lambda: NOON)
    interface.capture(np.full((6, 400), 0.01, dtype=np.float32))
    world.at_ears(Pose())
    left, kept = ref(world), ref(interface._schedule)
    gc.disable()
    try:
        del world, interface
        assert (left(), kept()) == (None, None)
    finally:
        gc.enable()


def test_sound_of_poses_to_come_is_computed_ahead_one_at_a_time() -> None:
    """In the order in which they come; one that nobody expects is computed when it is asked for, and none twice."""
    poses = [(Pose(turn=0.1 * k), None) for k in range(DEPTH + 4)]
    begun, threads, may = list[Stand](), set[str](), Semaphore(0)

    def paths(stand: Stand) -> NDArray[np.float32]:
        begun.append(stand)
        threads.add(current_thread().name)
        assert may.acquire(timeout=20.0)
        return np.full((1, 1, 2), stand[0].turn, dtype=np.float32)

    ahead = Ahead(paths)
    ahead.expect([poses[0], poses[0], *poses[1:]])
    may.release(DEPTH + 1)
    assert ahead.at(poses[0])[0, 0, 0] == np.float32(poses[0][0].turn)
    deadline = monotonic() + 20.0
    while len(begun) < DEPTH + 1 and monotonic() < deadline:
        sleep(0.001)
    sleep(0.05)
    assert begun == poses[: DEPTH + 1], "the next one is begun once these are asked for"
    may.release(99)
    far = DEPTH + 1
    assert ahead.at(poses[far])[0, 0, 0] == np.float32(poses[far][0].turn), "what was passed by is left out"
    aside = Pose(x=0.3), None
    assert ahead.at(aside).shape == (1, 1, 2)
    assert [ahead.at(p)[0, 0, 1] for p in poses[far + 1 :]] == [np.float32(p[0].turn) for p in poses[far + 1 :]]
    assert sorted(begun, key=begun.index) == begun
    assert len(set(begun)) == len(begun)
    assert len(threads) == 1
    assert current_thread().name not in threads
    count = len(begun)
    ahead.expect(poses[1:3])
    ahead.expect([*poses[2:4], poses[1]])
    assert ahead.at(poses[2])[0, 0, 0] == np.float32(poses[2][0].turn)
    assert begun[count:].count(poses[2]) == 1, "what has begun stays where it is expected again"
    ahead.close()
    assert ahead.at(poses[1])[0, 0, 0] == np.float32(poses[1][0].turn), "an interface that was closed may go on"
    ahead.close()


def test_what_is_computed_ahead_is_recorded_as_without(crooked: Description, lab_rig: Callable[..., Rig]) -> None:
    poses = [Pose(turn=0.3), Pose(turn=0.3, yaw=0.2), Pose(y=0.04)]
    plain, ahead = lab_rig(crooked, "T-9"), lab_rig(crooked, "T-9")
    assert isinstance(ahead.interface, LabInterface)
    ahead.interface.expect([poses[0], Pose(turn=9.0), *poses[1:]])
    y = sound(crooked)
    for pose in (*poses, poses[0]):
        heard = []
        for rig in (plain, ahead):
            rig.stage.move(pose)
            heard.append(rig.interface.capture(y).x)
        assert np.array_equal(*heard)
    ahead.close()


@pytest.mark.parametrize("leaks", [False, True])
def test_inputs_that_nobody_reads_stay_silent_and_change_no_other(
    crooked: Description, lab_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, leaks: bool
) -> None:
    """Unless channels leak into each other; the next poses to come may be read at every input again."""
    leak = {"crosstalk": crooked.lab.crosstalk.model_copy(update={"inputs_db": -60.0 if leaks else None})}
    crooked = crooked.model_copy(update={"lab": crooked.lab.model_copy(update=leak)})
    at_ears = list[Pose]()
    ears = World._ears_at
    monkeypatch.setattr(World, "_ears_at", lambda world, pose: (at_ears.append(pose), ears(world, pose))[1])
    whole, part = lab_rig(crooked, "T-9").interface, lab_rig(crooked, "T-9").interface
    assert isinstance(part, LabInterface)
    y, (mic,) = sound(crooked), crooked.polar_mics
    read = [mic.channel - 1, crooked.interface.loopback.in_ - 1]
    all_read = whole.capture(y).x
    assert len(at_ears) == 1
    part.world.at_ears(Pose(turn=-0.3))
    part.read(read)
    assert bool(part.world._ear_table.cache_info().currsize) == leaks, "nor does it need memory"
    at_ears[1:] = []
    part.expect([Pose(), Pose(turn=0.3)])
    some = part.capture(y).x
    assert np.array_equal(some[read], all_read[read])
    assert len(at_ears) == (1 if not leaks else len(at_ears)), "sound at the ears takes time"
    silent = [m.channel - 1 for m in crooked.ear_mics]
    assert np.array_equal(some[silent], all_read[silent]) == leaks
    part.read([])
    assert np.any(part.capture(y).x) == leaks, "nobody reads any"
    whole.capture(y)  # the noise is that of as many captures
    part.read(None)
    assert np.array_equal(part.capture(y).x, whole.capture(y).x)
    part.close()


def sound(rig: Description) -> NDArray[np.float32]:
    """A second of noise at every driver."""
    y = np.zeros((rig.outputs, rig.fs), dtype=np.float32)
    rng = np.random.default_rng(2)
    for driver in rig.driver:
        y[driver.channel - 1] = 1e-3 * rng.standard_normal(rig.fs)
    return y


def test_kept_series_are_those_of_their_distance(crooked: Description) -> None:
    """Fields at several distances in turn, and after more of them than are kept."""
    k, points = np.linspace(1.0, 300.0, 40), [np.array([r, 0.3, 0.1]) for r in (1.0, 2.0, 1.0, 3.0, 4.0, 5.0, 6.0, 1.0)]
    body = made_body(crooked, "T-9")
    for point in points:
        assert np.array_equal(body.at(point, k), made_body(crooked, "T-9").at(point, k))
    assert not np.array_equal(body.at(points[0], k + 1.0), body.at(points[0], k))

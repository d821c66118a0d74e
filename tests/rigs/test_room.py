"""The lab's room against pyroomacoustics, mirrored devices in free field, Eyring, reciprocity and itself turned."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sweetspot.rigs.acoustics.encoding import Encoding, Single
from sweetspot.rigs.acoustics.head import SphereHead
from sweetspot.rigs.acoustics.walls import eyring
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.pictures import lab_overview
from sweetspot.rigs.lab.pictures.lab_overview import decay_time
from sweetspot.rigs.lab.sound.fractional_delay import deposited
from sweetspot.rigs.lab.sound.images import images, reflection
from sweetspot.rigs.lab.sound.room import Point, Room
from sweetspot.rigs.lab.sound.surroundings import Drivers, LabEars
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose, turned
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import Description, parse
from sweetspot.rigs.units import Float, db, power_db

FS, C = 47872, 341.0
SIZE = np.array([5.3, 3.7, 2.45])
BANDS = np.array([250.0, 1000.0, 4000.0])
SLANTED = np.array([0.12, 0.31, 0.2, 0.43, 0.25, 0.09])[:, None] * np.ones(3)
SOURCE, PLACE = np.array([1.13, 0.92, 1.21]), np.array([3.9, 2.33, 0.87])


def made(absorption: Float, order: int, seconds: float, seed: int | None = None, size: Float = SIZE) -> Room:
    rng = None if seed is None else np.random.default_rng(seed)
    return Room(size, BANDS, absorption, C, FS, order, seconds=seconds, rng=rng)


def pyroomacoustics_response(order: int) -> Float:
    """The same room by the peer, its 40 taps of lead-in taken off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the peer's own imports
        import pyroomacoustics as pra
    pra.constants.set("c", C)
    pra.constants.set("rir_hpf_enable", False)
    walls = dict(zip(("west", "east", "south", "north", "floor", "ceiling"), SLANTED[:, 0], strict=True))
    room = pra.ShoeBox(SIZE, fs=FS, materials={w: pra.Material(float(a)) for w, a in walls.items()}, max_order=order)
    room.add_source(SOURCE)
    room.add_microphone(PLACE)
    room.compute_rir()
    return np.asarray(room.rir[0][0][pra.constants.get("frac_delay_length") // 2 :])


@pytest.mark.parametrize("tilt", [0.0, 1e-4])
def test_omnidirectional_response_is_pyroomacoustics(tilt: float) -> None:
    """Complex spectra to 0.4 fs: -40 dB over the first 60 ms; the decay curves within 0.5 dB down to -45 dB.

    Walls that depend on frequency, however little, take the way by frames and spectra instead of that by pulses.
    """
    peer = pyroomacoustics_response(14)
    ours = made(SLANTED + tilt * np.array([0.0, 1.0, 0.0]), 14, len(peer) / FS).impulse_responses(
        Point(), SOURCE, Point(), PLACE
    )[0, 0]
    early = int(0.06 * FS)
    a, b = (np.fft.rfft(h[:early], 8192)[: int(0.4 * 8192)] for h in (peer, ours))
    assert float(db(np.linalg.norm(a - b) / np.linalg.norm(a))) < -40.0
    count = min(len(peer), len(ours))
    curves = [power_db(np.cumsum(h[:count][::-1] ** 2)[::-1] / np.sum(h[:count] ** 2)) for h in (peer, ours)]
    heard = curves[0] > -45.0
    assert np.abs(curves[0] - curves[1])[heard].max() < 0.5


def test_images_are_where_mirrors_put_them() -> None:
    found = images(SIZE, SOURCE, PLACE, 2)
    assert len(found.r) == 25
    assert np.all(np.diff(found.r) >= 0)
    behind = np.flatnonzero((found.hits == [1, 0, 0, 0, 0, 1]).all(axis=1))
    expected = PLACE - np.array([-SOURCE[0], SOURCE[1], 2 * SIZE[2] - SOURCE[2]])
    assert found.away[behind[0]] == pytest.approx(expected)
    assert found.mirrored[behind[0]].tolist() == [-1.0, 1.0, -1.0]


def test_walls_reflect_what_they_do_not_absorb() -> None:
    f = np.fft.rfftfreq(512, 1 / FS)
    absorption = np.array([[0.1, 0.5, 0.9]] * 6)
    log = reflection(f, BANDS, absorption)
    for band, alpha in zip(BANDS, absorption[0], strict=True):
        at = int(np.argmin(np.abs(f - band)))
        assert np.exp(2 * log.real[0, at]) == pytest.approx(1 - alpha, abs=0.04)
    taps = np.fft.irfft(np.exp(log[0]))
    assert np.abs(taps[256:]).max() < 0.01 * np.abs(taps).max(), "a wall answers after the sound has met it"


class Directed:
    """One axis on a sphere, as emitter or receiver."""

    offsets = None

    def __init__(self, encoding: Encoding, axis: Sequence[float]) -> None:
        self.encoding, self.axis = encoding, np.array(axis) / np.linalg.norm(axis)

    def toward(self, directions: Float, r: Float) -> Sequence[Single | None]:
        return [self.encoding.toward(directions @ self.axis, r)]


@pytest.mark.parametrize("seed", [None, 3])
def test_source_and_receiver_change_places_in_the_room(seed: int | None) -> None:
    """Directivities go with them. The stand-ins of a tail have two sides of their own: only the images are compared."""
    room = made(SLANTED, 6, 0.12, seed)
    device, head = (Directed(Encoding(a, room.k, 0.7), axis) for a, axis in ((0.06, [1, 2, -1]), (0.09, [-1, 1, 0.3])))
    there = room.impulse_responses(device, SOURCE, head, PLACE)[0, 0]
    back = room.impulse_responses(head, PLACE, device, SOURCE)[0, 0]
    until = len(there) if seed is None else int((room.mixing / C - 0.01) * FS)
    assert np.abs(there - back)[:until].max() < 1e-4 * np.abs(there).max()


def free_room(floor: float) -> Room:
    absorption = np.ones((6, 3))
    absorption[4] = floor
    return made(absorption, 1, 0.05)


@pytest.mark.parametrize("cap", [0.0, 0.35])
def test_a_reflection_is_the_mirrored_device_in_free_field(cap: float) -> None:
    """Direct sound and floor, for three slanted drivers: exact series of the device and of its mirror image."""
    from sweetspot.rigs.lab.sound.body import DriverSource

    room = free_room(0.36)
    axes = np.array([[0.8, 0.6, 0.0], [-0.6, 0.64, 0.48], [0.0, -0.6, -0.8]])
    encoding = Encoding(0.08, room.k, 0.8, cap)
    heard = np.fft.rfft(room.impulse_responses(Drivers(encoding, axes), SOURCE, Point(), PLACE)[0], 4096, axis=-1)
    f = np.fft.rfftfreq(4096, 1 / FS)
    band = (f > 100.0) & (f < 0.4 * FS)
    k = 2 * np.pi * f[band] / C
    mirror = np.array([1.0, 1.0, -1.0])
    device = DriverSource(0.08, SOURCE, axes, cap, np.arange(3))
    image = DriverSource(0.08, SOURCE * mirror, axes * mirror, cap, np.arange(3))
    exact = device.at(PLACE, k) + 0.8 * image.at(PLACE, k)
    error = np.linalg.norm(heard[:, band] - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert float(db(error.max())) < -45.0


def test_each_ear_hears_what_left_towards_it(crooked: Description) -> None:
    """A wall beside device and head, against the device behind that wall in free field, coupled to the head in full.

    One direction for both ears would be 10 to 15 dB worse.
    """
    absorption = np.ones((6, 3))
    absorption[2] = 0.0
    room = made(absorption, 1, 0.06)
    world = World(crooked, "T-1")
    device, ahead = np.array([1.1, 1.0, 1.2]), np.array([1.4, 0.0, 0.0])
    encoding = Encoding(world.body.sources[0].radius, room.k, 0.7)
    axes = world.body.sources[0].axes
    ears = LabEars(world.head.encoded(room.k, 0.7, C), np.pi)
    heard = room.impulse_responses(Drivers(encoding, axes), device, ears, device + ahead, direct=False)
    mirror = np.array([1.0, -1.0, 1.0])
    away = device + ahead - device * mirror
    bearing = float(np.arctan2(away[1], away[0]))
    text = crooked.text.replace("temperature_c = 17.0", f"temperature_c = {273.15 * ((C / 331.3) ** 2 - 1):.9f}")
    text = text.replace("distance_m = 1.4", f"distance_m = {np.hypot(*away[:2]):.9f}")
    for place, axis in zip(("[0.05, 0.06, 0.01]", "[0.01, 0.08, 0.0]", "[0.03, -0.07, 0.0]"), axes, strict=True):
        moved = turned(axis * mirror, -bearing)
        text = text.replace(place, str([float(f"{v:.9f}") for v in 0.09 * moved]))
    behind = World(parse(text, crooked.folder), "T-1")
    exact = behind.direct_at_ears(Pose(yaw=-bearing))
    f = np.fft.rfftfreq(behind.free_taps, 1 / FS)
    ours = np.fft.rfft(heard, behind.free_taps, axis=-1)
    for low, high in ((400.0, 2000.0), (2000.0, 8000.0), (8000.0, 18000.0)):
        band = (f > low) & (f < high)
        error = np.linalg.norm((ours - exact)[..., band]) / np.linalg.norm(exact[..., band])
        assert float(db(error)) < -28.0, f"{low} to {high} Hz: {float(db(error)):.1f} dB"


def test_a_head_hears_the_floor_from_below() -> None:
    """Ears of a head that faces 200 degrees of the room, each over its own angle to the image: exact series."""
    room = free_room(0.19)
    head, facing = SphereHead(0.17, np.radians(105.0)), np.radians(200.0)
    ears = LabEars(head.encoded(room.k, 0.8, C), facing)
    heard = np.fft.rfft(room.impulse_responses(Point(), SOURCE, ears, PLACE)[:, 0], 4096, axis=-1)
    f = np.fft.rfftfreq(4096, 1 / FS)
    band = (f > 100.0) & (f < 0.4 * FS)
    k = 2 * np.pi * f[band] / C
    from sweetspot.rigs.acoustics.sphere import field

    for ear, angle in enumerate((105.0, -105.0)):
        axis = turned([np.cos(np.radians(angle)), np.sin(np.radians(angle)), 0.0], facing)
        exact = 0
        for place, loss in ((SOURCE, 1.0), (SOURCE * [1, 1, -1], 0.9)):
            away = place - PLACE
            r = float(np.linalg.norm(away))
            exact = exact + loss * field(np.array([axis @ away / r]), k, 0.085, r)[0]
        assert float(db(np.linalg.norm(heard[ear, band] - exact) / np.linalg.norm(exact))) < -45.0


OCTAVES = (250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)


@pytest.mark.parametrize(
    ("size", "alpha", "octaves"),
    [([5.3, 3.7, 2.45], 0.3, OCTAVES), ([6.1, 5.2, 3.4], 0.2, OCTAVES), ([4.1, 3.3, 2.6], 0.45, OCTAVES[2:])],
)
def test_reverberation_time_is_eyrings(size: list[float], alpha: float, octaves: tuple[float, ...]) -> None:
    """Within 10 % in octaves: -5 to -25 dB of the decay that six places hear together.

    Above Schroeder's frequency (130 to 150 Hz here), for below it single modes decay. In the dead room all of that
    range lies within the images, and grazing paths decay slower than a diffuse field: 15 % at 500 Hz.
    """
    absorption = np.full((6, 3), alpha)
    rt = float(eyring(np.array(size), absorption, C)[0])
    room = made(absorption, 9, 1.25 * rt, 7, np.array(size))
    rng = np.random.default_rng(2)
    places = [rng.uniform(0.7, np.array(size) - 0.7) for _ in range(12)]
    heard = np.stack(
        [room.impulse_responses(Point(), a, Point(), b)[0, 0] for a, b in zip(places[::2], places[1::2], strict=True)]
    )
    assert [decay_time(heard, FS, o) for o in octaves] == pytest.approx([rt] * len(octaves), rel=0.1)


def test_each_band_decays_at_its_own_rate() -> None:
    """Octaves on plateaus of the absorption, six places heard together; within 15 % of Eyring's."""
    bands = np.array([170.0, 370.0, 700.0, 1450.0, 2800.0, 5700.0])
    absorption = np.array([[0.15, 0.15, 0.25, 0.25, 0.4, 0.4]] * 6)
    room = Room(SIZE, bands, absorption, C, FS, 9, seconds=0.8, rng=np.random.default_rng(5))
    rng = np.random.default_rng(8)
    places = [rng.uniform(0.6, SIZE - 0.6) for _ in range(12)]
    heard = [
        room.impulse_responses(Point(), a, Point(), b)[0, 0] for a, b in zip(places[::2], places[1::2], strict=True)
    ]
    expected = eyring(SIZE, absorption, C)[::2]
    times = [decay_time(np.stack(heard), FS, octave) for octave in (250.0, 1000.0, 4000.0)]
    assert times == pytest.approx(expected.tolist(), rel=0.15)
    assert times[0] > 2.2 * times[2]


def test_the_tail_takes_over_without_a_seam() -> None:
    """Energy above 300 Hz in 12 ms around the change, mean of twelve places: the decay goes on, within 1 dB."""
    room = made(np.full((6, 3), 0.25), 10, 0.3, 11)
    rng = np.random.default_rng(6)
    width, middle = int(0.012 * FS), int(room.mixing / C * FS)
    edges = middle + width * np.arange(-4, 5)
    energy = np.zeros(8)
    for _ in range(12):
        source, place = (rng.uniform(0.6, SIZE - 0.6) for _ in range(2))
        h = room.impulse_responses(Point(), source, Point(), place)[0, 0]
        spectrum = np.fft.rfft(h)
        spectrum[np.fft.rfftfreq(len(h), 1 / FS) < 300.0] = 0.0
        h = np.fft.irfft(spectrum, len(h))
        energy += [np.sum(h[a:b] ** 2) for a, b in pairwise(edges)]
    level = power_db(energy)
    line = np.polyval(np.polyfit(np.arange(8), level, 1), np.arange(8))
    assert np.abs(level - line).max() < 1.0
    assert level[0] - level[-1] > 5.0


def test_the_tail_moves_with_the_head() -> None:
    """What is heard a little farther on is alike as in a diffuse field: sinc(k d), mean of five rooms."""
    alike = np.zeros((5, 2))
    for seed in range(5):
        room = made(np.full((6, 3), 0.2), 3, 0.5, seed)
        start = int((room.mixing / C + 0.02) * FS)
        spectra = []
        for shift in (0.0, 0.05, 0.3):
            moved = PLACE + np.array([shift, 0.0, 0.0])
            h = room.impulse_responses(Point(), SOURCE, Point(), moved, origin=(SOURCE, PLACE))[0, 0, start:]
            f = np.fft.rfftfreq(len(h), 1 / FS)
            spectra.append(np.fft.rfft(h)[(f > 500.0) & (f < 700.0)])
        for n, other in enumerate(spectra[1:]):
            alike[seed, n] = np.vdot(spectra[0], other).real / (np.linalg.norm(spectra[0]) * np.linalg.norm(other))
    k = 2 * np.pi * 600.0 / C
    assert alike.mean(axis=0) == pytest.approx(np.sinc(k * np.array([0.05, 0.3]) / np.pi), abs=0.12)


LIVING = """
[lab.room]
size_m = [4.4, 3.6, 2.3]
device_m = [1.2, 1.4, 1.1]
facing_deg = 31.0
bands_hz = [200, 2000, 6000]
absorption = [0.3, 0.35, 0.5]
image_order = 6
walls = { left = 0.6, ceiling = [0.1, 0.2, 0.3] }
"""


@pytest.fixture
def furnished(crooked_text: str, tmp_path) -> Description:
    """The crooked rig in a crooked room."""
    return parse(crooked_text + LIVING, tmp_path)


def test_direct_sound_comes_first_and_is_that_of_free_field(furnished: Description, crooked: Description) -> None:
    pose = Pose(turn=0.4, x=0.02, y=-0.03, yaw=0.1)
    world, free = World(furnished, "T-1"), World(crooked, "T-1")
    room, dry = (np.fft.irfft(w.at_ears(pose), w.taps, axis=-1) for w in (world, free))
    first = int((1.4 + 0.4) / world.c * furnished.fs)
    direct, alone = (np.fft.rfft(h[..., :first], 1024, axis=-1)[..., :400] for h in (room, dry))
    assert np.linalg.norm(direct - alone) < 2e-3 * np.linalg.norm(alone)
    assert np.abs(room[..., first : 4 * first]).max() > 0.05 * np.abs(room).max()


def test_responses_last_as_long_as_the_room(crooked_text: str, tmp_path) -> None:
    softer = LIVING.replace("[0.3, 0.35, 0.5]", "[0.8, 0.8, 0.8]")
    long, short = (World(parse(crooked_text + text, tmp_path), "T-1") for text in (LIVING, softer))
    slowest = float(long.room.reverberation.max()) if long.room else 0.0
    assert long.taps / 47872 > 1.2 * slowest
    assert short.taps < 0.7 * long.taps


def test_turning_the_device_in_the_room_is_turning_its_drivers(
    furnished: Description, crooked_text: str, tmp_path
) -> None:
    """A rig whose drivers sit 50 degrees farther round hears at once what the other hears after the turn."""
    angle = np.radians(50.0)
    text = crooked_text + LIVING
    for place in ("[0.05, 0.06, 0.01]", "[0.01, 0.08, 0.0]", "[0.03, -0.07, 0.0]"):
        x, y, z = turned(np.array([float(v) for v in place[1:-1].split(",")]), angle)
        text = text.replace(place, f"[{x:.12f}, {y:.12f}, {z:.12f}]")
    world, built = World(furnished, "T-1"), World(parse(text, tmp_path), "T-1")
    assert world.at_microphone(float(angle)) == pytest.approx(built.at_microphone(0.0), abs=1e-3)
    ears, others = world.at_ears(Pose(turn=float(angle), y=0.04)), built.at_ears(Pose(y=0.04))
    assert np.linalg.norm(ears - others) < 1e-4 * np.linalg.norm(others)


def test_serial_and_seed_decide_every_byte(
    furnished: Description, crooked_text: str, tmp_path, lab_rig: Callable[..., Rig]
) -> None:
    y = np.zeros((furnished.outputs, 6000), dtype=np.float32)
    y[4, 100] = 0.4
    other = parse(crooked_text.replace("seed = 5", "seed = 6") + LIVING, tmp_path)
    first, again, reseeded = (lab_rig(d).interface.capture(y).x.tobytes() for d in (furnished, furnished, other))
    assert first == again
    assert first != reseeded


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "size_m = [4.4",
            "size_m = [2.4",
            "ears.positions[1]: the head would be at x = 2.39 m of the room, outside 0.10 to 2.30 m",
        ),
        ("device_m = [1.2", "device_m = [0.02", "lab.room.device_m: the device would be at x = 0.02 m"),
        ("absorption = [0.3, 0.35", "absorption = [1.3, 0.35", "lab.room.absorption[1]: 1.3 is not valid"),
        ("[0.3, 0.35, 0.5]", "[0.3, 0.5]", "lab.room.absorption: 2 values for 3 bands"),
        ("[0.3, 0.35, 0.5]", "0.0", "the lab computes 4 s at most"),
        ("[200, 2000, 6000]", "[200, 6000, 2000]", "lab.room.bands_hz: [200, 6000, 2000] must rise"),
        ("left = 0.6", "lft = 0.6", "lab.room.walls.lft: unknown key; did you mean 'left'?"),
        (
            "image_order = 6",
            "image_order = 6\n[lab.body]\ndriver_diameter_m = 0.2",
            "lab.body.driver_diameter_m: 0.2 m does not fit",
        ),
    ],
)
def test_a_room_that_does_not_fit_is_refused_in_words(
    crooked_text: str, tmp_path, old: str, new: str, message: str
) -> None:
    text = LIVING.replace(old, new)
    if new == "0.0":
        text = text.replace("left = 0.6, ceiling = [0.1, 0.2, 0.3]", "left = 0.0")
    with pytest.raises(BadInput) as refused:
        parse(crooked_text + text, tmp_path)
    assert message in str(refused.value)


def test_many_paths_whose_spectra_are_made_of_a_few_add_up_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six walls that all differ, a source that beams: frame by frame, and by the few spectra, within -45 dB."""
    rng = np.random.default_rng(4)
    bands = np.array([125.0, 500.0, 2000.0, 8000.0])
    room = Room(SIZE, bands, rng.uniform(0.05, 0.5, (6, 4)), C, FS, 12, seconds=0.2)

    class Beam(Point):
        def toward(self, directions: np.ndarray, r: np.ndarray) -> list[np.ndarray | None]:
            return [0.5 + 0.5 * directions @ np.array([0.6, -0.64, 0.48]), None]

    spectra = []
    for many in (10**9, 100):
        monkeypatch.setattr("sweetspot.rigs.lab.sound.room.MANY", many)
        spectra.append(np.fft.rfft(room.impulse_responses(Beam(), SOURCE, Point(), PLACE)[0]))
    f = np.fft.rfftfreq(2 * spectra[0].shape[1] - 2, 1.0 / FS)
    inside = (f > 60.0) & (f < 0.4 * FS)
    off = np.linalg.norm((spectra[0] - spectra[1])[:, inside], axis=1) / np.linalg.norm(spectra[0][:, inside], axis=1)
    assert 1e-7 < float(off.max()) < 10 ** (-45 / 20)


@pytest.mark.parametrize("count", [300, 5000])
def test_pulses_between_samples_are_where_they_belong(count: int) -> None:
    """Few of them from a table, many by polynomials; against their exact spectrum to 0.42 of the sampling rate."""
    rng = np.random.default_rng(count)
    at, gain = np.sort(rng.uniform(60.0, 3900.0, count)), rng.standard_normal(count)
    f = np.fft.rfftfreq(4000)[: int(0.42 * 4000)]
    exact = np.exp(-2j * np.pi * np.outer(f, at)) @ gain
    found = np.fft.rfft(deposited(at, gain, 4000))[: len(f)]
    assert float(db(np.linalg.norm(found - exact) / np.linalg.norm(exact))) < -70.0


@pytest.mark.parametrize(
    ("band", "at", "found"), [((100.0, 20e3), 1000.0, (76.0, 10e4)), ((1600.0, 20e3), 5657.0, (1216.0, 10e4)),
                              ((30.0, 160.0), 69.0, (22.8, 210.0))]
)  # fmt: skip
def test_the_band_of_a_driver_is_read_where_it_plays(
    band: tuple[float, float], at: float, found: tuple[float, float]
) -> None:
    """Of second-order filters at its edges, 6 dB down at 0.76 of the lower and 1.316 of the upper one."""
    f = np.geomspace(10.0, 20e3, 3000)
    level = -10.0 * np.log10((1.0 + (band[0] / f) ** 4) * (1.0 + (f / (band[1] if band[1] < 1e4 else 1e9)) ** 4))
    seen: Any = SimpleNamespace(f=f, level=level[None], bands=(band,))
    middle, low, high = lab_overview._band(seen, 0)
    assert middle == pytest.approx(at, rel=0.05)
    assert low == pytest.approx(found[0], rel=0.05)
    assert high == pytest.approx(min(found[1], 20e3), rel=0.05)

"""What a bank reaches in the lab at places that were never measured, beside static filters and filters made there.

    python tests/bench/bank.py [--data DIR] [--only lines,caps,edges,rooms,walk,cost,two]

Lines and caps: four pistons on a line, and four caps on a sphere; KEMAR or FABIAN listens, where the rig believes in a
sphere; heard within 5 cm and 10 degrees of each place. Rooms: both living rooms, direct sound and direct over
reverberant sound. Walk: half a metre to either side at 0.5 m/s, a pose every 16 ms. Cost: fitting, size, processor time
of the block path, latency from pose to sound. Responses are the lab's own, without noise. Exit code 1 when a figure
misses its bound; each miss is printed.
"""

from __future__ import annotations

import argparse
import socket
import struct
import sys
import time
import wave
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from sweetspot.calibrate.auditory import EarModel, of_head  # noqa: E402 (the path is set above)
from sweetspot.calibrate.auditory import run as auditory  # noqa: E402
from sweetspot.calibrate.bank import Cloud, fit_bank, fitting  # noqa: E402
from sweetspot.calibrate.design import BankDesign, Design, ImageDesign  # noqa: E402
from sweetspot.calibrate.filters import fit as fit_unit  # noqa: E402
from sweetspot.calibrate.plant import (  # noqa: E402
    Fitted,
    MeasuredSet,
    MeasurementError,
    frequencies,
    metrics,
)
from sweetspot.measure.impulse import POSITION, ImpulseResponse  # noqa: E402
from sweetspot.measure.plan import places as places_of  # noqa: E402
from sweetspot.processor.bank import FilterBank, Follower, ListenerPath, ListenerPose, WalkingEngine  # noqa: E402
from sweetspot.processor.engine import Engine  # noqa: E402
from sweetspot.processor.live import memory  # noqa: E402
from sweetspot.processor.live.memory import PlayerMemory, Shared  # noqa: E402
from sweetspot.processor.live.player import PlayedProgram, prepared  # noqa: E402
from sweetspot.processor.live.poses import PoseStream  # noqa: E402
from sweetspot.processor.plain import bypass, on_pair  # noqa: E402
from sweetspot.rigs.acoustics.head import MeasuredHead, load_head  # noqa: E402
from sweetspot.rigs.lab import World  # noqa: E402
from sweetspot.rigs.layout import Pose, turned  # noqa: E402
from sweetspot.rigs.live_stream import Wanted  # noqa: E402
from sweetspot.rigs.rig_file import Description, parse  # noqa: E402
from sweetspot.rigs.units import from_db, power_db, speed_of_sound  # noqa: E402

LINE = ((0.0, 0.18, 0.0), (0.0, 0.06, 0.0), (0.0, -0.06, 0.0), (0.0, -0.18, 0.0))
PLACES = ((2.0, 0.1), (2.0, 0.3), (2.0, 0.75), (2.0, 1.0), (1.0, 0.0), (1.5, 0.0), (3.0, 0.0))
MEAN_DB, P10_DB, WIDTH_DEG = 17.0, 10.0, 6.0


def drawn(count: int, metres: float, radians: float, seed: int) -> Cloud:
    """Heads that no filter was fitted to, evenly drawn."""
    rng = np.random.default_rng(seed)
    return Cloud(*(s * rng.uniform(-1.0, 1.0, count) for s in (metres, metres, radians)))


HEADS = drawn(6, 0.05, float(np.radians(10.0)), seed=11)
missed: list[str] = []


def bound(text: str, holds: bool) -> str:
    """Note a bound that was missed; the mark to print."""
    if not holds:
        missed.append(text)
    return "" if holds else "  MISSED"


def rig_of(name: str, data: Path, shape: str) -> Description:
    """The desk's rig with another body; it believes in a sphere for a head."""
    text = (ROOT / "rigs" / "desk.toml").read_text(encoding="utf-8")
    ahead, rest = text[: text.index("[[driver]]")], text[text.index("[[mic]]") :]
    drivers = "".join(
        f'[[driver]]\nname = "d{i}"\nchannel = {i + 1}\nat = {list(at)}\nband_hz = [110, 20000]\n'
        for i, at in enumerate(LINE)
    )
    if shape == "caps":
        drivers = text[text.index("[[driver]]") : text.index("[[mic]]")]
    rest = rest[: rest.index("[lab]")].replace("[ears]\n", '[ears]\nhead = "sphere"\n')
    body = 'shape = "line"\ndriver_diameter_m = 0.05\n' if shape == "line" else "driver_diameter_m = 0.05\n"
    lab = f"[lab]\nseed = 1\ntolerance_db = 0.5\ntolerance_deg = 3.0\n[lab.body]\n{body}"
    return parse(ahead.replace('"desk"', f'"{name}"', 1) + drivers + rest + lab, data)


def fabian(path: Path) -> MeasuredHead:
    """FABIAN in the horizontal plane, from the file of a renderer: two channels a degree."""
    with wave.open(str(path)) as file:
        x = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 360, 2) / 32768.0
        return MeasuredHead(np.moveaxis(x, 0, 2), np.radians(np.arange(360.0)), file.getframerate())


def noisy(ir: ImpulseResponse) -> MeasuredSet:
    """A set whose errors are those of its signal to noise, alike at all frequencies."""
    rms = np.sqrt(np.mean(np.abs(np.fft.rfft(ir.h, axis=-1)) ** 2, axis=-1)) * from_db(-ir.snr_db)
    bins = ir.h.shape[-1] // 2 + 1
    return MeasuredSet(ir, MeasurementError(np.repeat(rms[..., None], bins, axis=-1), 0.0))


class EdgedWorld(World):
    """A lab whose body the model does not know: each driver with secondary sources along the edges of a cabinet.

    Every source is a point source that reaches microphone and head in a straight line, so that no expansion, radial
    function or order is shared with the model. Strengths are drawn driver by driver: a tolerance that depends on the
    direction.
    """

    EDGES, HALF_M, STRENGTH = 10, (0.21, 0.07), 0.22

    def _points(self, driver: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Places ``(3,)`` and spectra of the sources of a driver, at :attr:`free_k`."""
        rng = np.random.default_rng((7, driver))
        at = np.array(self.description.driver[driver].at)
        points = [(at, np.ones(len(self.free_k), dtype=complex))]
        for angle in 2.0 * np.pi * (np.arange(self.EDGES) + rng.uniform(-0.3, 0.3, self.EDGES)) / self.EDGES:
            edge = np.array([-0.015, self.HALF_M[0] * np.cos(angle), self.HALF_M[1] * np.sin(angle)])
            way = float(np.linalg.norm(edge - at))
            loss = 1.0 / (1.0 + (self.free_k * self.c / (2.0 * np.pi * 9000.0)) ** 2)
            strength = -rng.uniform(0.3, 1.0) * self.STRENGTH * 0.1 / max(way, 0.1)
            points.append((edge, strength * loss * np.exp(-1j * self.free_k * way)))
        return points

    def direct_at_ears(self, pose: Pose) -> np.ndarray:
        """See :meth:`World.direct_at_ears`."""
        (x, y), facing = self.head_place(pose)
        out = np.zeros((2, len(self.drivers), len(self.free_k)), dtype=complex)
        for driver in range(len(self.drivers)):
            points, spectra = zip(*self._points(driver), strict=True)
            apart = np.array([x, y, pose.z]) - turned(np.array(points), pose.turn)
            r, bearing = np.linalg.norm(apart, axis=1)[:, None], np.arctan2(apart[:, 1], apart[:, 0])
            directions = np.repeat((bearing + np.pi - facing)[:, None], len(self.free_k), axis=1)
            answered = self.head.response(directions, self.free_k, float(r.mean()), self.c)
            out[:, driver] = np.sum(answered * spectra * np.exp(-1j * self.free_k * r) / r, axis=1)
        return out

    def direct_at_microphone(self, turn: float, raised: float = 0.0) -> np.ndarray:
        """See :meth:`World.direct_at_microphone`."""
        out = np.zeros((len(self.drivers), len(self.free_k)), dtype=complex)
        for driver in range(len(self.drivers)):
            for at, spectrum in self._points(driver):
                r = float(np.linalg.norm(self._circle(raised) - turned(at, turn)))
                out[driver] += spectrum * np.exp(-1j * self.free_k * r) / r
        return out


class Lab:
    """A unit in the lab, its session without noise, its filters and what it sounds like anywhere."""

    def __init__(
        self, rig: Description, head: Any = None, world: type[World] = World, design: Design | None = None
    ) -> None:
        self.rig, self.world, self.design = rig, world(rig, "BANK-1"), design or Design()
        if head is not None:
            self.world.head = head
        assert rig.ears is not None
        ears = [(self.h(pose), row) for pose, row in places_of(rig, "ears")]
        polar = [(self.world.at_microphone(pose.turn)[None], row) for pose, row in places_of(rig, "polar")]
        self.ears, self.polar = (
            self._set(found, mics) for found, mics in ((ears, ("ear_left", "ear_right")), (polar, ("polar",)))
        )
        self.unit: Fitted = fit_unit(
            noisy(self.ears), noisy(self.polar), rig, self.design, serial="BANK-1", source="0" * 64
        )
        self.model = auditory.model_of(rig)
        self.f = self.model.templates.f
        c = speed_of_sound(rig.environment.temperature_c)
        self.listener = EarModel.of(of_head(self.world.head, self.f, rig.ears.distance_m, c, "listener"))
        self.far = self.unit.prediction.far_ear[::2][: len(self.f)]

    def h(self, pose: Pose) -> np.ndarray:
        return self.world.at_ears(pose)

    def _set(self, found: list[Any], mics: tuple[str, ...]) -> ImpulseResponse:
        h = np.stack([np.fft.irfft(x, self.world.taps) for x, _ in found])
        table = np.array([row for _, row in found], dtype=POSITION)
        names = self.rig.driver_names
        return ImpulseResponse(
            h, self.rig.fs, table, mics=mics, drivers=names, zero=0, unit="Pa/FS",
            snr_db=np.full(h.shape[:3], 70.0), band=(40.0, 20000.0),
        )  # fmt: skip

    def pose(self, x: float, y: float, yaw: float) -> Pose:
        assert self.rig.ears is not None
        return Pose(x=x - self.rig.ears.distance_m, y=y, yaw=yaw)

    def around(self, place: np.ndarray, cloud: Cloud) -> np.ndarray:
        """True responses ``(head, ear, driver, frequency)`` on the grid of the ear model."""
        at, yaw = (x[0] for x in cloud.around(place[None]))
        return np.stack([self.direct(self.pose(*xy, t)) for xy, t in zip(at, yaw, strict=True)])

    def direct(self, pose: Pose) -> np.ndarray:
        """Direct sound on the grid of the ear model, room left out."""
        return self.spectra(pose, round(self.rig.fs / self.f[1]))[..., : len(self.f)]

    def spectra(self, pose: Pose, n: int) -> np.ndarray:
        """Direct sound, room left out, at the frequencies of a transform of ``n`` samples.

        Each path ends for itself: a driver that is heard earlier than others would bring its first reflections along.
        """
        h = np.fft.irfft(self.h(pose), self.world.taps)
        if self.world.room is not None:
            first = np.argmax(np.abs(h) > 0.1 * np.abs(h).max(axis=-1, keepdims=True), axis=-1)
            seconds = self.unit.prediction.whole.gate.seconds
            h[np.arange(h.shape[-1]) >= first[..., None] + round(seconds * self.rig.fs)] = 0.0
        return np.fft.rfft(h[..., : (h.shape[-1] // n) * n].reshape(*h.shape[:-1], -1, n).sum(axis=-2))

    def figures(self, h: np.ndarray, taps: np.ndarray) -> tuple[float, float, float]:
        """Mean and 10th percentile of the cancellation, dB, and width, degrees."""
        w = np.fft.rfft(taps, round(self.rig.fs / self.f[1]), axis=-1)[..., : len(self.f)]
        heard = np.einsum("qedf,cdf->qecf", h, w)
        spread = metrics.scored(metrics.cancellation_db(metrics.unvirtualized(heard, self.far), self.f))
        image = self.listener.image(np.moveaxis(heard[:, :, :2], 2, 1)).azimuth
        return spread.mean, spread.p10, float(np.degrees(np.mean(image[:, 0] - image[:, 1])))

    def bank(self, wish: BankDesign) -> Any:
        return fit_bank(self.ears, self.polar, self.rig, (self.design, wish), self.unit, self.model)


class MeasuredThere:
    """Takes the place of carried responses: what a session at each place would have measured."""

    def __init__(self, lab: Lab, carried: Any) -> None:
        self._lab, self.field, self._carried = lab, carried.field, carried

    def at(self, places: np.ndarray, cloud: Cloud, fields: Any = None) -> np.ndarray:
        n, lab = 2 * (len(frequencies(self._lab.rig.fs)[::2]) - 1), self._lab
        at, yaw = cloud.around(places)
        heads = [zip(a, b, strict=True) for a, b in zip(at, yaw, strict=True)]
        return np.array([[lab.spectra(lab.pose(*xy, t), n) for xy, t in each] for each in heads])

    def error(self, places: np.ndarray) -> np.ndarray:
        return np.zeros((len(places), len(self.field.b), len(self.field.f)))

    def distances(self, places: np.ndarray) -> np.ndarray:
        return self._carried.distances(places)


def made_there(lab: Lab, wish: BankDesign, carried: Any) -> FilterBank:
    """The same design from responses measured at each place."""
    kept, fitting.carried_from = fitting.carried_from, lambda *args, **more: MeasuredThere(lab, carried)
    try:
        return lab.bank(wish).bank
    finally:
        fitting.carried_from = kept


def carried(name: str, lab: Lab, bounded: bool) -> None:
    """Figures at :data:`PLACES`; ``bounded``: against the limits, else against filters made there alone."""
    wish = BankDesign(places=PLACES)
    found = lab.bank(wish)
    there = made_there(lab, wish, found.carried)
    print(f"\n{name}: cancellation mean / 10th percentile, dB, and width, degrees", flush=True)
    for i, (x, y) in enumerate(PLACES):
        h = lab.around(found.bank.places[i], HEADS)
        own, made, static = (lab.figures(h, t) for t in (found.bank.taps[i], there.taps[i], lab.unit.filters.taps))
        mark = bound(
            f"{name}, width at {x}, {y}: {own[2]:.1f} against {made[2]:.1f}", abs(own[2] - made[2]) <= WIDTH_DEG
        )
        if bounded:
            mark += bound(f"{name} at {x}, {y}: {own[0]:.1f} / {own[1]:.1f} dB", own[0] >= MEAN_DB and own[1] >= P10_DB)
        cells = "   ".join(
            f"{n} {v[0]:5.1f} /{v[1]:6.1f} {v[2]:4.0f}°"
            for n, v in (("carried", own), ("made there", made), ("static", static))
        )
        p = found.figures
        expected = f"{p.mean_db[i]:5.1f} ({p.low_db[i]:.1f} to {p.high_db[i]:.1f}) / {p.p10_db[i]:.1f}"
        print(f"  x {x:.1f} y {y:+.2f}   {cells}   predicted {expected}{mark}", flush=True)


def rooms(data: Path) -> None:
    """Living rooms: direct sound behind the session's gate, and direct over reverberant sound at the near ears.

    Once as designed by default, where the room limits what the sides spend, and once with ``prefer = "width"``, to
    which the bounds apply.
    """
    for name, prefer in ((n, p) for n in ("round-living-room", "soundbar-living-room") for p in ("balanced", "width")):
        rig = parse((ROOT / "rigs" / f"{name}.toml").read_text(encoding="utf-8"), data)
        lab = Lab(rig, design=Design(image=ImageDesign(prefer=prefer)))
        assert rig.ears is not None
        d = rig.ears.distance_m
        wish = BankDesign(places=((d, 0.0), (d, 0.1), (d, 0.3), (d, 0.75), (1.2, 0.0), (1.5, 0.0)))
        found = lab.bank(wish)
        there = made_there(lab, wish, found.carried)
        behind = 1000 * lab.unit.prediction.whole.gate.seconds
        print(f"\n{name}, {prefer}: direct sound behind {behind:.1f} ms", flush=True)
        for i, place in enumerate(found.bank.places):
            h = lab.around(place, drawn(2, 0.05, 0.17, seed=3))
            kinds = ("carried", found.bank.taps[i]), ("made there", there.taps[i]), ("static", lab.unit.filters.taps)
            heard = {n: (*lab.figures(h, t), drr_of(lab, place, t)) for n, t in kinds}
            own, made = heard["carried"], heard["made there"]
            at = f"{name}, {prefer}, at {place[0]:.1f}, {place[1]:.2f}"
            mark = bound(f"{at}, width: {own[2]:.1f} against {made[2]:.1f}", abs(own[2] - made[2]) <= WIDTH_DEG)
            if prefer == "width":
                mark += bound(f"{at}: {own[0]:.1f} / {own[1]:.1f} dB", own[0] >= MEAN_DB and own[1] >= P10_DB)
            cells = "   ".join(f"{n} {v[0]:5.1f} /{v[1]:6.1f} {v[2]:4.0f}°, DRR {v[3]:5.1f}" for n, v in heard.items())
            print(f"  x {place[0]:.1f} y {place[1]:+.2f}   {cells}{mark}", flush=True)


def drr_of(lab: Lab, place: np.ndarray, taps: np.ndarray) -> float:
    """Direct over reverberant sound of the sides at their near ears, 400 Hz to 6.4 kHz, dB."""
    pose = lab.pose(*place)
    n = round(lab.rig.fs / lab.f[1])
    whole = np.fft.irfft(lab.h(pose), lab.world.taps)
    size = lab.world.taps
    W = np.fft.rfft(taps, size, axis=-1)
    f = np.fft.rfftfreq(size, 1.0 / lab.rig.fs)
    band = (f >= 400.0) & (f <= 6400.0)
    direct = lab.direct(pose)
    coarse = np.fft.irfft(
        np.concatenate([direct, np.zeros((*direct.shape[:-1], n // 2 + 1 - direct.shape[-1]))], axis=-1), n
    )
    dry = np.fft.rfft(coarse, size)
    wet = np.fft.rfft(whole) - dry
    power = [
        np.sum(np.abs(np.einsum("edf,cdf->ecf", x, W)[[0, 1], [0, 1]])[:, band] ** 2 / f[band]) for x in (dry, wet)
    ]
    return float(power_db(power[0] / power[1]))


def two(name: str, lab: Lab) -> None:
    """What a second listener costs: filters for both heads, beside filters for each head alone."""
    for first, second in (((2.0, 0.4), (2.0, -0.4)), ((2.0, 0.0), (2.0, 0.7))):
        both = lab.bank(BankDesign(places=(first,), second=second))
        alone = [lab.bank(BankDesign(places=(place,))).bank for place in (first, second)]
        print(f"\n{name}, two listeners; predicted {both.figures.mean_db[0]:.1f} dB for both together")
        for i in (0, 1):
            h = lab.around(alone[i].places[0], HEADS)
            own, other, shared = (lab.figures(h, b.taps[0]) for b in (alone[i], alone[1 - i], both.bank))
            cells = "   ".join(
                f"{n} {v[0]:5.1f} /{v[1]:6.1f} {v[2]:4.0f}°"
                for n, v in (("for it alone", own), ("for the other alone", other), ("for both", shared))
            )
            print(f"  x {(first, second)[i][0]:.1f} y {(first, second)[i][1]:+.2f}   {cells}", flush=True)


def walk(lab: Lab) -> FilterBank:
    """Half a metre to either side and back at 0.5 m/s, a pose every 16 ms."""
    bank = lab.bank(BankDesign(x_m=(2.0, 2.0), y_m=(-0.5, 0.5), step_m=(0.25, 0.1))).bank
    y = np.concatenate([np.arange(-0.5, 0.5, 0.008), np.arange(0.5, -0.5, -0.008)])
    poses = [ListenerPose(2.0, float(v)) for v in y]
    follower, means, levels = Follower(bank), [], []
    for i, pose in enumerate(poses):
        follower.offer(0.016 * i, pose)
        if i % 6 == 0:
            h = lab.around(np.array([pose.x, pose.y, pose.turned]), Cloud(np.zeros(1), np.zeros(1), np.zeros(1)))
            means.append(lab.figures(h, bank.taps[follower.place])[0])
            w = np.fft.rfft(bank.taps[follower.place], round(lab.rig.fs / lab.f[1]), axis=-1)[..., : len(lab.f)]
            near = np.abs(np.einsum("edf,edf->ef", h[0], w[:2])) ** 2
            inside = (lab.f > 300.0) & (lab.f < 6000.0)
            levels.append(float(power_db(np.average(near[:, inside], axis=1, weights=1.0 / lab.f[inside]).mean())))
    spread = float(np.max(levels) - np.min(levels))
    mark = bound(f"walk: {np.mean(means):.1f} dB", float(np.mean(means)) >= MEAN_DB)
    print(f"\nwalk: cancellation {np.mean(means):.1f} dB mean along the path, at least {np.min(means):.1f} dB{mark}")
    mark = bound(f"walk: level within {spread:.2f} dB", spread <= 1.0)
    print(f"  level at the near ears within ±{spread / 2:.2f} dB (speed of 0.5 m/s, distance 2.00 to 2.06 m){mark}")
    rng, seconds = np.random.default_rng(5), 4.0
    t = np.arange(int(seconds * lab.rig.fs)) / lab.rig.fs
    path = ListenerPath(tuple(0.016 * i for i in range(len(poses))), tuple(poses))
    still = ListenerPath((0.0,), (ListenerPose(2.0, 0.0),))
    chord = sum(np.sin(2 * np.pi * f0 * t * (1 + 0.2 * (t > 1.3))) for f0 in (220.0, 277.2, 329.6, 440.0))
    music = 0.02 * np.stack([chord, np.roll(chord, 99)]) + 0.004 * rng.standard_normal((2, len(t)))
    tone = 0.05 * np.sin(2 * np.pi * 997.0 * t) * np.ones((2, 1))
    for name, x in (("tone", tone), ("music", music)):
        walked, stood = (WalkingEngine(bank, p).process(x.astype(np.float32)) for p in (path, still))
        flux = [flux_db(y, lab.rig.fs) for y in (walked, stood)]
        mark = bound(f"walk, {name}: flux {flux[0]:.1f} against {flux[1]:.1f} dB", flux[0] <= flux[1] + 3.0)
        print(f"  spectral flux of a {name}: {flux[0]:.1f} dB walking, {flux[1]:.1f} dB standing{mark}")
    return bank


def flux_db(y: np.ndarray, fs: int) -> float:
    """Largest energy above 2 kHz of what a frame of 5 ms has that neither neighbour predicts, re the mean, dB."""
    y = y[:, fs // 2 :]
    frames = y[:, : y.shape[1] // 256 * 256].reshape(len(y), -1, 256) * np.hanning(256)
    level = np.abs(np.fft.rfft(frames, axis=-1))
    high = np.fft.rfftfreq(256, 1.0 / fs) > 2000.0
    rise = np.maximum(level[:, 1:] - level[:, :-1], 0.0)[..., high]
    return float(power_db(np.max(np.sum(rise**2, axis=(0, 2))) / np.mean(np.sum(level**2, axis=(0, 2)))))


def cost(lab: Lab) -> None:
    """Fitting time and size; processor time of the block path; latency."""
    wish = BankDesign(x_m=(1.0, 3.0), step_m=(0.4, 0.1))
    start = time.process_time()
    made = lab.bank(wish)
    batch = time.process_time() - start
    start = time.process_time()
    fit_unit(noisy(lab.ears), noisy(lab.polar), lab.rig, Design(), serial="B", source="0" * 64)
    one = time.process_time() - start
    mark = bound(f"fitting {batch:.1f} s", batch <= 10.0) + bound("size", made.bank.taps.nbytes <= 5e6)
    print(
        f"\ncost: {len(made.bank.places)} places, {made.bank.taps.shape[2]} drivers, {made.bank.taps.shape[3]} taps: "
        f"fitted and predicted in {batch:.1f} s; one design alone {one:.2f} s, times {len(made.bank.places)}: "
        f"{one * len(made.bank.places):.0f} s; {made.bank.taps.nbytes / 1e6:.2f} MB{mark}"
    )
    bank, block = made.bank, 256
    at = PlayerMemory(Shared.make(get_context("spawn"), 2.0, lab.rig.fs, len(bank.home.drivers)))
    outs = max(bank.home.channels)
    live = prepared(
        PlayedProgram(
            (bank.home, bank.home, bypass(bank.home, on_pair((0, 1), len(bank.home.drivers)))),
            Wanted("x", None, None, outputs=outs, inputs=0, fs=lab.rig.fs, block=block), None, bank,
        ),
        at,
    )  # fmt: skip
    rng, played = np.random.default_rng(1), np.zeros((block, outs), dtype=np.float32)
    times: dict[str, list[float]] = {"still": [], "walking": [], "changing": []}
    place = 0.0
    for i in range(24000):
        mode = ("still", "walking", "changing")[i // 400 % 3]
        if (mode == "walking" and i % 38 == 0) or (mode == "changing" and i % 3 == 0):
            place = (place + 1.0) % 126
        at.controls[memory.PLACE] = place
        at.write((0.05 * rng.standard_normal((2, block))).astype(np.float32))
        began = time.perf_counter()
        live.step(None, played, block, False)
        times[mode].append(time.perf_counter() - began)
    mean = {
        m: float(np.median(v)) if m == "still" else float(np.mean(np.minimum(v, 20 * np.median(v))))
        for m, v in times.items()
    }
    still = float(np.mean(np.minimum(times["still"], 20 * np.median(times["still"]))))
    worst = {m: 100 * float(np.percentile(v, 99.9)) * lab.rig.fs / block for m, v in times.items()}
    mark = bound("processor time", mean["walking"] <= 2.0 * still and mean["changing"] <= 2.0 * still)
    mark += bound("99.9th percentile", worst["walking"] <= 5.0 + worst["still"])
    print(
        f"  block path: {mean['walking'] / still:.2f} times a static set walking at 0.5 m/s, "
        f"{mean['changing'] / still:.2f} times with a new place every 16 ms; 99.9th percentile "
        f"{worst['still']:.2f} / {worst['walking']:.2f} / {worst['changing']:.2f} % of a block "
        f"(still / walking / changing){mark}"
    )
    latency(bank, lab.rig.fs, block)


def latency(bank: FilterBank, fs: int, block: int) -> None:
    """From a pose that is sent to the crossfade's middle, part by part."""
    woken: list[float] = []
    with PoseStream(Follower(bank), 0).to(lambda place: woken.append(time.perf_counter())) as stream:
        sender, taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), []
        for i in range(200):
            count, began = stream.poses, time.perf_counter()
            sender.sendto(
                b"/listener\0\0\0,ff\0" + struct.pack(">ff", 2.0, 0.001 * (i % 100)), ("127.0.0.1", stream.port)
            )
            while stream.poses == count and time.perf_counter() < began + 1.0:
                time.sleep(0.0002)
            taken.append(time.perf_counter() - began)
            time.sleep(0.004)
        sender.close()
    engine = Engine(bank.home, block)
    parts = {
        "receiving (median)": float(np.median(taken)),
        "until the next block (mean)": 0.5 * block / fs,
        "guard": engine.guard.latency / fs,
        "half of the crossfade": 0.015,
    }
    total = sum(parts.values())
    text, most = ", ".join(f"{n} {1000 * v:.1f} ms" for n, v in parts.items()), 1000 * max(taken)
    print(f"  from pose to sound {1000 * total:.1f} ms without the device: {text}; receiving at most {most:.1f} ms")


def main() -> int:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", default="lines,caps,edges,rooms,walk,cost,two")
    args = parser.parse_args()
    wanted = set(args.only.split(","))
    kemar = load_head(args.data / "hrtf" / "MIT_KEMAR_normal_pinna.sofa")
    other = fabian(args.data / "hrtf" / "SSR_hrirs_fabian.wav")
    for name, head in (("KEMAR", kemar), ("FABIAN", other)):
        if wanted & {"caps", f"caps-{name}"}:
            carried(f"caps, {name}", Lab(rig_of("caps", args.data, "caps"), head), bounded=True)
    line = Lab(rig_of("line", args.data, "line"), kemar) if wanted & {"lines", "lines-KEMAR", "walk", "cost"} else None
    if "edges" in wanted:
        carried("edges, KEMAR", Lab(rig_of("edges", args.data, "line"), kemar, EdgedWorld), bounded=True)
    if "two" in wanted:
        two("round", Lab(parse((ROOT / "rigs" / "round.toml").read_text(encoding="utf-8"), args.data)))
        two("soundbar", Lab(parse((ROOT / "rigs" / "soundbar.toml").read_text(encoding="utf-8"), args.data)))
    if line and wanted & {"lines", "lines-KEMAR"}:
        carried("line, KEMAR", line, bounded=True)
    if wanted & {"lines", "lines-FABIAN"}:
        carried("line, FABIAN", Lab(rig_of("line", args.data, "line"), other), bounded=True)
    if line and "walk" in wanted:
        walk(line)
    if line and "cost" in wanted:
        cost(line)
    if "rooms" in wanted:
        rooms(args.data)
    print("\n" + ("\n".join(["missed:", *missed]) if missed else "all bounds hold"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

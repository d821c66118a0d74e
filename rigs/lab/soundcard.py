"""The virtual lab as a sound card: a JACK client that PortAudio lists as a device, and a turntable on a serial port."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.errors import HardwareTrouble
from sweetspot.rigs.hosts import ProcessCallback, host_settings, library
from sweetspot.rigs.lab.electronics import Inputs, Outputs, SignalLine, calibrator, digital, latency_of, publish
from sweetspot.rigs.lab.interface import slipped, warmer
from sweetspot.rigs.lab.sound import BlockConvolver, drawn
from sweetspot.rigs.lab.stage_server import stage
from sweetspot.rigs.lab.trouble import Schedule, Span, counts, crash
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.turntable import axis_letters

GAP_S = 0.08
"""Silence on all outputs that separates captures, s."""

TRIAL_BLOCKS = 40
"""Number of blocks timed before the lab starts."""

WATCH_S = 2.0
"""Interval of messages that the lab is too slow, s."""

XRUN_PERIODS = 2.5
"""Periods by which a block is delayed to cause an xrun."""

NOISE_S = 10.0
"""Length of the noise that is drawn ahead and played over and over, each time from another place."""


class NoiseLoop:
    """The lab's noise, drawn ahead so that a block of it costs a copy.

    Parameters
    ----------
    noise
        ``(input, samples)``, drawn once.
    rng
        Chooses where each round begins, so that no capture meets the noise of the one before.
    """

    def __init__(self, noise: NDArray[np.float32], rng: np.random.Generator) -> None:
        self._noise = noise
        self._rng = rng
        self._at = 0

    def next(self, samples: int) -> NDArray[np.float32]:
        """The next ``(input, samples)``; ``samples`` must be below the length that was drawn."""
        if self._at + samples > self._noise.shape[1]:
            self._at = int(self._rng.integers(0, self._noise.shape[1] - samples))
        out = self._noise[:, self._at : self._at + samples]
        self._at += samples
        return out

    def restart(self, rng: np.random.Generator) -> None:
        """Go on from a place that ``rng`` chooses, and choose the next places with it."""
        self._rng = rng
        self._at = int(rng.integers(0, self._noise.shape[1] // 2))


@dataclass(slots=True)
class Counts:
    """Counts of errors while the sound card ran."""

    blocks: int = 0
    late: int = 0
    xruns: int = 0
    slowest_ms: float = 0.0

    def text(self, period_ms: float) -> str:
        """The counts for a reader."""
        return (
            f"{self.blocks} blocks of {period_ms:.2f} ms, {self.late} late, slowest {self.slowest_ms:.2f} ms, "
            f"{self.xruns} xruns"
        )


class SoundCard:
    """The lab on a JACK server.

    Parameters
    ----------
    world
        What the sound passes through. It belongs to the sound card from here on.
    clock
        Seconds that only go forward.

    Raises
    ------
    HardwareTrouble
        No server, a server at another sampling rate, or the client's name is taken.
    """

    def __init__(self, world: World, clock: Callable[[], float] = time.perf_counter) -> None:
        rig = world.description
        self.world, self.clock = world, clock
        self.counts = Counts()
        self.block_ms = 0.0
        self.ended = threading.Event()
        self.death = ""
        host_settings.prepare(rig.interface, os.environ)
        self._client = _client(client_name(rig), rig.fs)
        rng = np.random.default_rng(rig.lab.seed)
        self._noise = NoiseLoop(world.noise(rng, int(NOISE_S * rig.fs) + 65536), rng)
        self._schedule = Schedule(rig)
        self._outputs, self._inputs = Outputs(rig, self._schedule), Inputs(rig, self._schedule)
        self._worlds = {k: warmer(world, k) if k else world for k in {0.0, *self._schedule.temperatures}}
        self._kelvin, self._taps = 0.0, max(w.taps for w in self._worlds.values())
        self._moving = threading.Lock()
        self._slip = 0.0
        self._span, self._rests, self._streams, self._connected = Span(0, 0, 0, 0), rig.fs, 0, False
        self._line = self._new_line()
        self._paths = self._paths_in(world)
        self._convolver = self._made(self._client.blocksize)
        self._outputs_of_programs = [
            self._client.inports.register(f"playback_{n + 1}", **PORT) for n in range(rig.outputs)
        ]
        self._inputs_of_programs = [
            self._client.outports.register(f"capture_{n + 1}", **PORT) for n in range(rig.inputs)
        ]
        self._callback = ProcessCallback(self._client, self._process)
        self._client.set_blocksize_callback(self._block_changed)
        self._client.set_xrun_callback(self._xrun)
        self._ports = publish(
            _address(self._client),
            [*map(_address, self._outputs_of_programs)],
            [*map(_address, self._inputs_of_programs)],
            self._latency,
        )
        self._client.set_shutdown_callback(self._died)

    @property
    def name(self) -> str:
        """Name under which the device is listed."""
        return str(self._client.name)

    @property
    def period_ms(self) -> float:
        """Length of one block, ms."""
        return 1000.0 * self._convolver.block / self.world.description.fs

    def move(self, pose: Pose) -> None:
        """Change the pose; the new paths apply from the next block on."""
        with self._moving:
            pose = slipped(pose, self._slip, self.world.description.stage.turns)
            if pose != self.world.pose:
                self._exchange(self.world, pose)

    def befalling(self) -> tuple[bool, float]:
        """Active faults of the stage's next move: whether it stalls, and how late its answer is, s."""
        stalls, late = False, 0.0
        for fault in self._schedule.on_move(self._span.capture, self._span.session):
            stalls = stalls or fault.kind == "stall"
            late += fault.values["by"] if fault.kind == "late" else 0.0
            self._slip += float(np.radians(fault.values["deg"])) if fault.kind == "slip" else 0.0
        return stalls, late

    def tend(self) -> None:
        """Tasks without a deadline: the room's temperature."""
        kelvin = self._schedule.kelvin(self._span)
        if kelvin == self._kelvin:
            return
        with self._moving:
            if kelvin not in self._worlds:
                self._worlds[kelvin] = warmer(self._worlds[0.0], kelvin)
            self._kelvin = kelvin
            self._exchange(self._worlds[kelvin], self.world.pose)

    def start(self) -> None:
        """Begin to run; returns when the ports are there."""
        self.block_ms = self._trial()
        self._client.activate()

    def close(self) -> None:
        """Disconnect from the server; may be called twice. A dead server is not called again: its library would block
        for ever."""
        if not self.death:
            self._callback.close()

    def wait(
        self,
        signalled: Callable[[], bool],
        period_s: float = 0.1,
        warn: Callable[[str], None] = lambda _message: None,
    ) -> None:
        """Run until ``signalled()``; ``warn`` gets a message when the lab does not keep up.

        Raises
        ------
        HardwareTrouble
            The server ended.
        """
        before, since = Counts(), self.clock()
        while not signalled():
            if self.ended.wait(period_s):
                raise HardwareTrouble(f"the JACK server ended: {self.death or 'no reason given'}. Start it again")
            self.tend()
            if self.clock() - since >= WATCH_S:
                if self.counts.late > before.late:
                    warn(self._too_slow(before))
                before, since = replace(self.counts), self.clock()

    def _too_slow(self, before: Counts) -> str:
        return (
            f"the lab does not keep up: {self.counts.late - before.late} of the last "
            f"{self.counts.blocks - before.blocks} "
            f"blocks took longer than their {self.period_ms:.2f} ms; the sound has gaps there. Use a longer period "
            f"(jackd -p), a smaller room in the lab, or reduce the load of the machine"
        )

    def _trial(self) -> float:
        """How long one block of silence takes, ms (median)."""
        block = self._convolver.block
        silence = np.zeros((len(self._outputs_of_programs), block), dtype=np.float32)
        took = []
        for _ in range(TRIAL_BLOCKS):
            began = self.clock()
            self._block(silence, Span(0, 0, 0, block))
            took.append(1000.0 * (self.clock() - began))
        self._line = self._new_line()
        return float(np.median(took))

    def _made(self, block: int) -> BlockConvolver:
        return BlockConvolver(self._paths, block)

    def _paths_in(self, world: World) -> NDArray[np.float32]:
        """Paths of a world, of the one length that all have here."""
        paths = world.paths(world.pose)
        return np.pad(paths, ((0, 0), (0, 0), (0, max(self._taps - paths.shape[2], 0))))[:, :, : self._taps]

    def _exchange(self, world: World, pose: Pose) -> None:
        world.pose = pose
        self.world, self._paths = world, self._paths_in(world)
        convolver = self._convolver
        convolver.exchange(convolver.spectra(self._paths))

    def _new_line(self) -> SignalLine:
        """The way of the samples of one more stream."""
        lab = self.world.description.lab
        late = latency_of(lab, self.world.serial, "stream", self._streams)
        return SignalLine(self.world.description.inputs, late - self._outputs.lag, lab.clock_ppm)

    def _process(self, frames: int) -> None:
        began = self.clock()
        played = np.stack([port.get_array() for port in self._outputs_of_programs])
        self._notice_stream()
        self._span = span = self._next_span(played)
        heard = self._block(played, span)
        for port, x in zip(self._inputs_of_programs, heard, strict=True):
            port.get_array()[:] = x
        if self._schedule.moment("crash", span) is not None:
            crash()
        self._count(1000.0 * (self.clock() - began))

    def _block(self, played: NDArray[np.float32], span: Span) -> NDArray[np.float32]:
        """Input signals ``(input, frames)`` for the output signals."""
        voltages = self._outputs.process(played, span)
        sound = np.asarray(self._convolver.process(voltages), dtype=np.float32)
        jumps, flagged = self._schedule.jumps(span)
        x = self._line.process(self._inputs.process(sound, self._noise.next(span.samples), span), jumps)
        added = calibrator.tone(self.world.description, self.counts.blocks * span.samples, span.samples)
        if added is not None:
            x[added[0]] += added[1]
        if flagged:  # only a late block makes a server report an xrun
            time.sleep(XRUN_PERIODS * self.period_ms / 1000.0)
        return digital(x, self.world.description.lab)

    def _notice_stream(self) -> None:
        """A program that connects opens a stream: its latency and its noise are its own."""
        connected = self._outputs_of_programs[0].number_of_connections > 0
        if connected and not self._connected:
            self._streams += 1
            self._line = self._new_line()
            self._noise.restart(drawn(self.world.description.lab.seed, self.world.serial, "noise", self._streams))
        self._connected = connected

    def _next_span(self, played: NDArray[np.float32]) -> Span:
        """The time of a block: a capture begins with the first sample that counts after a silence."""
        before, frames = self._span, played.shape[1]
        capture, at = before.capture, before.at + before.samples
        playing = np.flatnonzero(counts(played, self.world.description))
        if len(playing) and self._rests + int(playing[0]) >= GAP_S * self.world.fs:
            capture, at = capture + 1, -int(playing[0])
        self._rests = frames - 1 - int(playing[-1]) if len(playing) else self._rests + frames
        return Span(capture, at, before.session + before.samples, frames)

    def _count(self, took_ms: float) -> None:
        self.counts.blocks += 1
        self.counts.late += took_ms > self.period_ms
        self.counts.slowest_ms = max(self.counts.slowest_ms, took_ms)

    def _block_changed(self, block: int) -> None:
        if block != self._convolver.block:
            self._convolver = self._made(block)

    def _xrun(self, _delayed_us: float) -> None:
        self.counts.xruns += 1

    def _latency(self) -> int:
        """Latency published for each direction: at least one period, else PortAudio's figures are wrong."""
        return max(self.world.description.lab.latency_samples, self._convolver.block)

    def _died(self, status: Any, reason: str) -> None:
        self.death = reason or str(status)
        self.ended.set()


PORT: dict[str, bool] = {"is_physical": True, "is_terminal": True}
"""Port flags by which PortAudio lists a client as a sound card."""


def client_name(rig: Description) -> str:
    """Name of the lab as a device: the rig file's, or one derived from the rig's name."""
    return rig.interface.device or f"sweetspot-{rig.name}"


def _address(thing: Any) -> int:
    """Address of the C object behind a client or a port."""
    return int(library()._ffi.cast("uintptr_t", thing._ptr))


def _client(name: str, fs: int) -> Any:
    """A client of the running server, under exactly this name."""
    jack = library()
    try:
        client = jack.Client(name, use_exact_name=True, no_start_server=True)
    except jack.JackOpenError as fault:
        server = os.environ.get("JACK_DEFAULT_SERVER", "default")
        if not fault.status.server_failed:  # jackd reports a name in use as a failure of the server
            raise HardwareTrouble(
                f"the JACK server {server!r} refuses a client named {name!r}: is a lab of that name on it already? "
                "Then end that one first"
            ) from fault
        raise HardwareTrouble(
            f"no JACK server named {server!r} answers. Start one, for example: "
            f"jackd -n {server} -r -S -d dummy -r {fs} -p 1024 -C 0 -P 0"
        ) from fault
    if client.samplerate != fs:
        rate = client.samplerate
        client.close()
        raise HardwareTrouble(f"the JACK server runs at {rate} Hz, the rig at fs = {fs} Hz: start it with -r {fs}")
    return client


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the garbage collector out of the way of the sound."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


@contextmanager
def running(description: Description, serial: str) -> Iterator[tuple[SoundCard, str]]:
    """The lab as a sound card while it lasts; yields it and the port of its turntable.

    Raises
    ------
    BadInput
        The turntable's path is taken.
    HardwareTrouble
        No JACK server, or one at another sampling rate.
    """
    card = SoundCard(World(description, serial))
    try:
        with stage(card) as reached, undisturbed():
            card.start()
            yield card, reached
    finally:
        card.close()


def to_dict(card: SoundCard, port: str) -> dict[str, Any]:
    """Properties of a running lab for JSON."""
    rig = card.world.description
    return {
        "device": card.name,
        "outputs": rig.outputs,
        "inputs": rig.inputs,
        "fs": rig.fs,
        "period_ms": card.period_ms,
        "block_ms": card.block_ms,
        "unit": card.world.serial,
        "port": port,
    }


def ready_text(card: SoundCard, port: str) -> str:
    """The same for a reader."""
    rig = card.world.description
    axes = ", ".join(f"{field} on {letter}" for field, letter in axis_letters(rig.stage).items())
    slow = ": TOO SLOW, the sound will have gaps" if card.block_ms > 0.8 * card.period_ms else ""
    speaks = f"ET250-3D at {port}" if rig.stage.driver == "et250" else f"GRBL at {port} ({axes})"
    return (
        f"Lab ready: unit {card.world.serial} of rig {rig.name!r} is the audio device {card.name!r}, "
        f"{rig.outputs} out and {rig.inputs} in at {rig.fs} Hz; its stage is {speaks}. "
        f"A block of {card.period_ms:.2f} ms takes {card.block_ms:.2f} ms{slow}. Ctrl-C ends it"
    )

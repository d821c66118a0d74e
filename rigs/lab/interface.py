"""The virtual lab in process: an interface and a stage on one world, faster than real time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.lab.electronics import DspDevice, Inputs, Outputs, SignalLine, Wear, calibrator, digital, latency_of
from sweetspot.rigs.lab.sound import drawn
from sweetspot.rigs.lab.trouble import Disk, Schedule, Span, counts, crash
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import AXES, Pose
from sweetspot.rigs.parallel import Ahead
from sweetspot.rigs.protection import check_outputs
from sweetspot.rigs.protocol import Recording
from sweetspot.rigs.rig_file import Fault

Stand = tuple[Pose, frozenset[int] | None]
"""A pose and the inputs that are read there, None for all."""

KEPT_SIGNALS = 4
"""Signals whose spectra are kept: a verification plays three at the ears; 3 MB each."""


@dataclass(frozen=True, slots=True, eq=False)
class _Played:
    """Signals ``y (output, samples)``, and the spectra ``(output, frequency)`` of the ``outputs`` that sound."""

    size: int
    y: NDArray[np.float32]
    outputs: NDArray[np.intp]
    spectra: NDArray[np.complex64]


class LabInterface:
    """Plays into the world and records its inputs.

    The noise of a capture is drawn from the lab's seed, the serial number, the pose, what is played and how often it
    was played there before: an interrupted and resumed session records the same as an uninterrupted one.

    Parameters
    ----------
    world
        Shared with the stage that moves it.
    now
        The clock, for the time written into a recording.
    """

    def __init__(self, world: World, now: Callable[[], datetime]) -> None:
        self.world = world
        self.now = now
        self._schedule = Schedule(world.description)
        self._outputs = Outputs(world.description, self._schedule)
        self._inputs = Inputs(world.description, self._schedule)
        self._device = DspDevice(world.description)
        self._disk = Disk()
        self.wear = Wear(world.description, [d.gain for d in world.drivers])
        self._capture = self._at = self._samples = 0
        self._played: Counter[tuple[object, ...]] = Counter()
        self._worlds = {0.0: world}
        self._read: frozenset[int] | None = None
        self._ahead = Ahead[Stand, NDArray[np.float32]](lambda stand: paths_at(world, stand, pair=False))
        self._heard_at: tuple[tuple[Stand, float, bool], NDArray[np.float32]] | None = None
        self._spectra: tuple[int, list[tuple[NDArray[np.intp], NDArray[np.complex64]]]] | None = None
        self._played_signals: list[_Played] = []
        self._beside: ThreadPoolExecutor | None = None

    @property
    def fs(self) -> int:
        """Sampling rate, Hz."""
        return self.world.description.fs

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return self.world.description.outputs

    @property
    def inputs(self) -> int:
        """Number of input channels."""
        return self.world.description.inputs

    def capture(self, y: NDArray[np.float32]) -> Recording:
        """Play ``y (outputs, samples)`` in the world; see :class:`sweetspot.rigs.protocol.Interface`."""
        rig = self.world.description
        if y.ndim != 2 or y.shape[0] != self.outputs:
            raise BadInput(f"the signal has shape {y.shape}; this lab has {self.outputs} outputs")
        check_outputs(y, rig, "virtual lab")
        started = self.now().astimezone(UTC).isoformat(timespec="milliseconds")
        span = self._span(y)
        jumps, xruns = self._schedule.jumps(span)
        x = self._recorded(y, span, jumps, *self._key(y))
        added = calibrator.tone(rig, 0, y.shape[1])
        if added is not None:
            x[added[0]] += added[1]
        self._befall(span)
        return Recording(digital(x, rig.lab), fs=self.fs, xruns=xruns, started=started)

    def expect(self, poses: Sequence[Pose]) -> None:
        """Poses to come, in their order: their sound is computed ahead, on another core."""
        self._ahead.expect([(pose, self._read) for pose in poses])

    def read(self, inputs: Sequence[int] | None) -> None:
        """The inputs that are read from now on, None for all.

        The others stay silent, unless channels leak or faults may bring one's sound to another: sound at the ears takes
        twenty times as long as at the microphone of a turntable (8 and 0.4 ms).
        """
        apart = self.world.description.lab.crosstalk.inputs_db is None and not self._schedule.faults
        self._read = frozenset(inputs) if inputs is not None and apart else None
        if self._read is not None and not self._read & {m.channel - 1 for m in self.world.description.ear_mics}:
            self.world.forget_ears()

    def close(self) -> None:
        """End what is computed ahead; a full disk has space again."""
        self._ahead.close()
        if self._beside is not None:
            self._beside.shutdown()
            self._beside = None
        self._disk.free()

    def before_move(self) -> list[Fault]:
        """Active faults of the stage's next move."""
        return self._schedule.on_move(self._capture, self._samples)

    def _span(self, y: NDArray[np.float32]) -> Span:
        """The time of a capture; silence or a low-level trial belongs to the capture before it."""
        playing = np.flatnonzero(counts(y, self.world.description))
        if len(playing):
            self._capture += 1
            self._at = -int(playing[0])
        span = Span(self._capture, self._at, self._samples, y.shape[1])
        self._at += span.samples
        self._samples += span.samples
        return span

    def _befall(self, span: Span) -> None:
        """Faults of the computer in a capture."""
        if self._schedule.moment("disk-full", span) is not None:
            self._disk.fill()
        if self._schedule.moment("crash", span) is not None:
            crash()

    def _recorded(
        self, y: NDArray[np.float32], span: Span, jumps: list[tuple[int, int]], *key: object
    ) -> NDArray[np.float32]:
        """Signals before the converters: sound of the outputs, faults, and the noise of the inputs."""
        lab, samples = self.world.description.lab, y.shape[1]
        late = latency_of(lab, *key)
        reads = bool(lab.clock_ppm or jumps)  # ahead of where a steady recording would
        drawing = self._second_thread.submit(self._noise, samples, late if reads else 0, key)  # 4 of 12 ms
        voltages = self._outputs.whole(self._device.whole(y), span)
        if self.world.description.lab.burn:
            voltages = self.wear.survived(voltages)
        sound = self._input_signals(voltages, self._schedule.kelvin(span))
        noise = drawing.result()
        heard = np.zeros_like(noise)
        heard[:, late:] = sound[:, : max(noise.shape[1] - late, 0)]
        earlier = replace(span, at=span.at - late, session=span.session - late, samples=noise.shape[1])
        x = self._inputs.process(heard, noise, earlier)
        return SignalLine(len(x), late, lab.clock_ppm, x[:, :late]).process(x[:, late:], jumps) if reads else x

    @property
    def _second_thread(self) -> ThreadPoolExecutor:
        if self._beside is None:
            self._beside = ThreadPoolExecutor(1, "noise of the lab")
        return self._beside

    def _noise(self, samples: int, more: int, key: tuple[object, ...]) -> NDArray[np.float32]:
        """Noise of the inputs over a capture and ``more`` samples after it."""
        noise = self.world.noise(drawn(*key), samples, self._read)
        if not more:
            return noise
        return np.concatenate([noise, self.world.noise(drawn(*key, "more"), more, self._read)], axis=1)

    def _key(self, y: NDArray[np.float32]) -> tuple[object, ...]:
        """Key of a capture: pose, signal, and count."""
        magnitude = np.abs(y)
        channels = tuple(np.flatnonzero(magnitude.max(axis=1) > 0).tolist())
        played = hash((channels, y[list(channels)].tobytes()))
        key = (self.world.description.lab.seed, self.world.serial, self.world.pose, played)
        self._played[key] += 1
        digest = float(magnitude.sum(dtype=np.float64))
        return (*key[:3], digest, channels, y.shape[1], self._played[key])

    def _input_signals(self, y: NDArray[np.float32], kelvin: float = 0.0) -> NDArray[np.float32]:
        """The exact convolution of the outputs with every path, ``(inputs, samples)``."""
        paths = self._paths(kelvin, self._pair_plays(y))
        size = fft.next_fast_len(y.shape[1] + paths.shape[2] - 1, real=True)
        if self._spectra is None or self._spectra[0] != size:
            joined = [np.flatnonzero(h.any(axis=-1)) for h in paths]
            self._spectra = (size, [(o, fft.rfft(h[o], size, axis=-1)) for o, h in zip(joined, paths, strict=True)])
        played = self._played_signal(y, size)
        out = np.zeros((len(paths), y.shape[1]), dtype=np.float32)
        for row, (outputs, spectra) in zip(out, self._spectra[1], strict=True):
            both, here, there = np.intersect1d(outputs, played.outputs, assume_unique=True, return_indices=True)
            if len(both):
                heard = np.einsum("of,of->f", spectra[here], played.spectra[there])
                row[:] = fft.irfft(heard, size)[: len(row)]
        return out

    def _played_signal(self, y: NDArray[np.float32], size: int) -> _Played:
        """Spectra of the outputs that sound; the last few signals are kept, as a set plays them at every pose."""
        for kept in self._played_signals:
            if kept.size == size and np.array_equal(kept.y, y):
                return kept
        playing = np.flatnonzero(y.any(axis=1))
        made = _Played(size, y.copy(), playing, fft.rfft(y[playing], size, axis=-1))
        self._played_signals = [*self._played_signals[-KEPT_SIGNALS + 1 :], made]
        return made

    def _pair_plays(self, y: NDArray[np.float32]) -> bool:
        """Whether the reference pair plays."""
        pair = self.world.description.reference
        return pair is not None and bool(np.any(y[[pair.left - 1, pair.right - 1]]))

    def _paths(self, kelvin: float, pair: bool) -> NDArray[np.float32]:
        stand = (self.world.pose, self._read)
        stands = (stand, kelvin, pair)
        if self._heard_at is None or self._heard_at[0] != stands:
            if kelvin not in self._worlds:
                self._worlds[kelvin] = warmer(self.world, kelvin)
            world, usual = self._worlds[kelvin], kelvin == 0.0 and not pair
            paths = self._ahead.at(stand) if usual else paths_at(world, stand, pair=pair)
            self._heard_at = (stands, paths)
            self._spectra = None
        return self._heard_at[1]


def paths_at(world: World, stand: Stand, *, pair: bool) -> NDArray[np.float32]:
    """Paths at a stand, see :meth:`World.paths`; a world in which no pair stands may know them by their pose alone."""
    pose, inputs = stand
    if inputs is None:
        return world.paths(pose) if world.pair is None else world.paths(pose, pair=pair)
    return world.paths(pose, pair=pair, inputs=inputs)


def warmer(world: World, kelvin: float) -> World:
    """The same lab, warmer than its rig file states."""
    rig = world.description
    air = rig.environment.model_copy(update={"temperature_c": rig.environment.temperature_c + kelvin})
    return World(rig.model_copy(update={"environment": air}), world.serial)


class LabStage:
    """Moves everything in the world at once, within the rig's soft limits.

    Parameters
    ----------
    befalling
        Called at each move for the faults that occur in it.
    sleep
        Waits for an answer that is late, s.
    """

    def __init__(
        self,
        world: World,
        befalling: Callable[[], list[Fault]] = list,
        sleep: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.world, self.befalling, self.sleep = world, befalling, sleep
        self._slipped = 0.0
        self._stalled = False

    @property
    def axes(self) -> frozenset[str]:
        """All of them: the lab needs no operator."""
        return frozenset(AXES)

    def move(self, pose: Pose) -> Pose:
        """Move to ``pose``; see :class:`sweetspot.rigs.protocol.Stage`."""
        stage = self.world.description.stage
        turned = float(np.degrees(pose.turn if stage.turns == "device" else pose.yaw))
        stage.check_turn(turned)
        for fault in self.befalling():
            self._befall(fault)
        if self._stalled:
            raise HardwareTrouble(
                f"stage: did not arrive at {turned:g} degrees within stage.timeout_s = {stage.timeout_s:g} s: it "
                "stands still on its way. Is something in its way, or its motor off?"
            )
        self.world.pose = slipped(pose, self._slipped, stage.turns)
        return pose

    def _befall(self, fault: Fault) -> None:
        timeout = self.world.description.stage.timeout_s
        if fault.kind == "slip":
            self._slipped += float(np.radians(fault.values["deg"]))
        elif fault.kind == "stall":
            self._stalled = True
        else:
            self.sleep(min(fault.values["by"], timeout))
            if fault.values["by"] > timeout:
                raise HardwareTrouble(f"stage: no answer to a move within stage.timeout_s = {timeout:g} s")

    def stop(self) -> None:
        """Nothing moves by itself here."""

    def close(self) -> None:
        """Nothing to close."""


def slipped(pose: Pose, by: float, turns: str) -> Pose:
    """The pose after a slip of the turning part by an angle (rad)."""
    return replace(pose, turn=pose.turn + by) if turns == "device" else replace(pose, yaw=pose.yaw + by)

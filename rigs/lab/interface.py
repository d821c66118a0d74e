"""The virtual lab in process: an interface and a stage on one world, faster than real time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from rigs.errors import BadInput
from rigs.lab import calibrator
from rigs.lab.chain import Inputs, Outputs
from rigs.lab.driver import drawn
from rigs.lab.electrical import Line, latency_of
from rigs.lab.world import World
from rigs.layout import AXES, Pose
from rigs.protocol import Recording, check_ceiling


class LabInterface:
    """Plays into the world and records what its inputs hear.

    The noise of a capture is drawn from the lab's seed, the serial number, the pose, what is played and how often it
    was played there before: a session that was interrupted and resumed hears the same as one that was not.

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
        self._outputs, self._inputs = Outputs(world.description), Inputs(world.description)
        self._samples = 0
        self._played: Counter[tuple[object, ...]] = Counter()
        self._heard_at: tuple[Pose, NDArray[np.float32]] | None = None
        self._spectra: tuple[int, NDArray[np.complex64]] | None = None

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
        """Play ``y (outputs, samples)`` in the world; see :class:`rigs.protocol.Interface`."""
        rig = self.world.description
        if y.ndim != 2 or y.shape[0] != self.outputs:
            raise BadInput(f"the signal has shape {y.shape}; this lab has {self.outputs} outputs")
        check_ceiling(np.delete(y, rig.interface.loopback.out - 1, axis=0), rig.limits.ceiling, "virtual lab")
        started = self.now().astimezone(UTC).isoformat(timespec="milliseconds")
        x = self._recorded(y, *self._key(y))
        added = calibrator.tone(rig, 0, y.shape[1])
        if added is not None:
            x[added[0]] += added[1]
        return Recording(np.clip(x, -1.0, 1.0), fs=self.fs, xruns=0, started=started)

    def close(self) -> None:
        """Nothing to let go of."""

    def _recorded(self, y: NDArray[np.float32], *key: object) -> NDArray[np.float32]:
        """Everything up to the converters: what plays, what it meets, and the noise of the inputs."""
        lab, samples = self.world.description.lab, y.shape[1]
        late = latency_of(lab, *key)
        more = late if lab.clock_ppm else 0  # a fast recording hears more than is played
        noise = self.world.noise(drawn(*key), samples)
        if more:
            noise = np.concatenate([noise, self.world.noise(drawn(*key, "more"), more)], axis=1)
        x = noise[:, late:]
        x = self._inputs.process(x + self._heard(self._outputs.whole(y))[:, : x.shape[1]], self._samples)
        self._samples += samples
        before = noise[:, : min(late, samples)]
        if not lab.clock_ppm:
            return np.concatenate([before, x], axis=1)[:, :samples]
        return Line(len(x), late, lab.clock_ppm, before).process(x)[:, :samples]

    def _key(self, y: NDArray[np.float32]) -> tuple[object, ...]:
        """What tells this capture from every other: where, what, and how often before."""
        key = (self.world.description.lab.seed, self.world.serial, self.world.pose, hash(y.tobytes()))
        self._played[key] += 1
        digest = float(np.abs(y).sum(dtype=np.float64))
        channels = tuple(np.flatnonzero(np.abs(y).max(axis=1) > 0).tolist())
        return (*key[:3], digest, channels, y.shape[1], self._played[key])

    def _heard(self, y: NDArray[np.float32]) -> NDArray[np.float32]:
        """The exact convolution of what plays with every path, ``(inputs, samples)``."""
        paths = self._paths()
        size = fft.next_fast_len(y.shape[1] + paths.shape[2] - 1, real=True)
        if self._spectra is None or self._spectra[0] != size:
            spectra = np.zeros((*paths.shape[:2], size // 2 + 1), dtype=np.complex64)
            joined = paths.any(axis=-1)
            spectra[joined] = fft.rfft(paths[joined], size, axis=-1)
            self._spectra = (size, spectra)
        playing = np.flatnonzero(np.abs(y).max(axis=1) > 0)
        played = fft.rfft(y[playing], size, axis=-1)
        heard = np.einsum("iof,of->if", self._spectra[1][:, playing], played)
        return np.asarray(fft.irfft(heard, size, axis=-1)[:, : y.shape[1]], dtype=np.float32)

    def _paths(self) -> NDArray[np.float32]:
        if self._heard_at is None or self._heard_at[0] != self.world.pose:
            self._heard_at = (self.world.pose, self.world.paths(self.world.pose))
            self._spectra = None
        return self._heard_at[1]


class LabStage:
    """Moves everything in the world at once, within the rig's soft limits."""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def axes(self) -> frozenset[str]:
        """All of them: the lab needs no operator."""
        return frozenset(AXES)

    def move(self, pose: Pose) -> Pose:
        """Move to ``pose``; see :class:`rigs.protocol.Stage`."""
        stage = self.world.description.stage
        turned = float(np.degrees(pose.turn if stage.turns == "device" else pose.yaw))
        low, high = stage.limits_deg
        if not low - 1e-9 <= turned <= high + 1e-9:
            raise BadInput(f"stage: {turned:g} degrees lies outside stage.limits_deg = [{low:g}, {high:g}]")
        self.world.pose = pose
        return pose

    def stop(self) -> None:
        """Nothing moves by itself here."""

    def close(self) -> None:
        """Nothing to let go of."""

"""Cables between a rig and the lab that its file does not know of, and a JACK client without a server."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.lab.interface import LabInterface
from sweetspot.rigs.protocol import Recording
from sweetspot.rigs.units import from_db


@dataclass
class PatchBay:
    """Cables between an interface and the world: what the rig file does not know of.

    Parameters
    ----------
    inner
        The lab.
    plugs
        Output on the box -> output of the lab (from 1) that it feeds, by a gain; others go straight.
    jacks
        Input of the lab -> input on the box that it reaches, by a gain.
    noise_db
        Noise added at each input of the box, dBFS.
    """

    inner: LabInterface
    plugs: dict[int, tuple[int, float]] = field(default_factory=dict)
    jacks: dict[int, tuple[int, float]] = field(default_factory=dict)
    lose: int = 0
    noise_db: float = -110.0

    @property
    def fs(self) -> int:
        return self.inner.fs

    @property
    def outputs(self) -> int:
        return self.inner.outputs

    @property
    def inputs(self) -> int:
        return self.inner.inputs

    def capture(self, y: NDArray[np.float32]) -> Recording:
        """Play and record through the cables."""
        fed = np.zeros_like(y)
        for out in range(len(y)):
            to, gain = self.plugs.get(out + 1, (out + 1, 1.0))
            fed[to - 1] += np.float32(gain) * y[out]
        recording = self.inner.capture(fed)
        x = np.random.default_rng(3).standard_normal(recording.x.shape) * from_db(self.noise_db)
        for at in range(len(x)):
            to, gain = self.jacks.get(at + 1, (at + 1, 1.0))
            x[to - 1] += gain * recording.x[at]
        if self.lose:
            x[:, -20000:] = np.roll(x, -self.lose, axis=1)[:, -20000:]
        return replace(recording, x=np.clip(x, -1.0, 1.0).astype(np.float32))

    def close(self) -> None:
        """Close the lab."""
        self.inner.close()


class Unserved:
    """A JACK client without a server: its ports are arrays."""

    name = "unserved"

    def __init__(self, blocksize: int) -> None:
        self.blocksize = blocksize
        self.inports, self.outports = SimpleNamespace(register=self._port), SimpleNamespace(register=self._port)

    def _port(self, _name: str, **_flags: bool) -> Any:
        array = np.zeros(self.blocksize, dtype=np.float32)
        return SimpleNamespace(get_array=lambda: array, number_of_connections=1)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

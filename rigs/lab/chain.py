"""From the program's samples to the drivers' motors, and from the microphones to the program: block after block.

In process a block is a whole capture; as a sound card it is a period of the server. Both run the same code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rigs.describe import Description
from rigs.lab.electrical import hum, leaked
from rigs.lab.motor import Distortion, Thermal


class Outputs:
    """The outputs: leaks between channels, voice coils that heat, motors that distort.

    Parameters
    ----------
    rig
        Its ``[lab]`` table says what is on; with nothing on, samples pass as they are.
    """

    def __init__(self, rig: Description) -> None:
        lab, count = rig.lab, len(rig.driver)
        self._leak = lab.crosstalk.outputs_db
        self._channels = [d.channel - 1 for d in rig.driver]
        self._thermal = Thermal(lab.thermal, count, rig.fs) if lab.thermal else None
        self._distortion = Distortion(lab.distortion, count, rig.fs) if lab.distortion else None
        self.lag = Distortion.LAG if self._distortion else 0
        self._past = np.zeros((rig.outputs, self.lag), dtype=np.float32)

    def whole(self, y: NDArray[np.float32]) -> NDArray[np.float32]:
        """A whole signal ``(output, samples)`` without the lag; the outputs rest before and after it."""
        if not self.lag:
            return self.process(y)
        return self.process(np.pad(y, ((0, 0), (0, self.lag))))[:, self.lag :]

    def process(self, y: NDArray[np.float32]) -> NDArray[np.float32]:
        """The voltages ``(output, samples)`` at drivers and cables, later by :attr:`lag`, full scale = 1."""
        y = leaked(y, self._leak)
        if self._thermal is None and self._distortion is None:
            return y
        drivers = y[self._channels]
        if self._thermal is not None:
            drivers = self._thermal.process(drivers)
        if self._distortion is None:
            out = y.copy()
        else:
            drivers = self._distortion.process(drivers)
            there = np.concatenate([self._past, y], axis=1)
            out, self._past = there[:, : y.shape[1]].copy(), there[:, y.shape[1] :]
        out[self._channels] = drivers
        return out


class Inputs:
    """The inputs up to the converters: hum, and leaks between channels.

    Parameters
    ----------
    rig
        Its ``[lab]`` table says what is on.
    """

    def __init__(self, rig: Description) -> None:
        self._rig = rig
        self._mics = [m.channel - 1 for m in rig.mic]
        self._leak = rig.lab.crosstalk.inputs_db

    def process(self, x: NDArray[np.float32], start: int) -> NDArray[np.float32]:
        """What the converters get ``(input, samples)``; ``start`` counts samples of the session."""
        mains = hum(self._rig, start, x.shape[1])
        if mains is not None:
            x = x.copy()
            x[self._mics] += mains
        return leaked(x, self._leak)

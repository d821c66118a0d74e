"""The signal chain from output samples to drivers, and from microphones to input samples, block by block.

In process a block is a whole capture; as a sound card it is a period of the server. Both run the same code.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.lab.electronics.electrical import hum, leaked
from sweetspot.rigs.lab.sound import MotorDistortion, Thermal
from sweetspot.rigs.lab.trouble import Schedule, Span
from sweetspot.rigs.rig_file import Description


class Outputs:
    """The outputs: leaks between channels, voice coils that heat, motors that distort.

    Parameters
    ----------
    rig
        Its ``[lab]`` table lists the active effects; without any, samples are unchanged.
    """

    def __init__(self, rig: Description, schedule: Schedule) -> None:
        lab, count = rig.lab, len(rig.driver)
        self._schedule = schedule
        self._leak = lab.crosstalk.outputs_db
        self._channels = [d.channel - 1 for d in rig.driver]
        self._thermal = Thermal(lab.thermal, count, rig.fs) if lab.thermal else None
        self._distortion = MotorDistortion(lab.distortion, count, rig.fs) if lab.distortion else None
        self.lag = MotorDistortion.LAG if self._distortion else 0
        self._past = np.zeros((rig.outputs, self.lag), dtype=np.float32)

    def whole(self, y: NDArray[np.float32], span: Span) -> NDArray[np.float32]:
        """A whole signal ``(output, samples)`` without the lag; the outputs rest before and after it."""
        if not self.lag:
            return self.process(y, span)
        longer = replace(span, samples=span.samples + self.lag)
        return self.process(np.pad(y, ((0, 0), (0, self.lag))), longer)[:, self.lag :]

    def process(self, y: NDArray[np.float32], span: Span) -> NDArray[np.float32]:
        """The voltages ``(output, samples)`` at drivers and cables, later by :attr:`lag`, full scale = 1."""
        y = self._schedule.outputs(leaked(y, self._leak), span)
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
    """The inputs up to the converters: strange sounds, cables, hum, preamplifiers, leaks between channels.

    Parameters
    ----------
    rig
        Its ``[lab]`` table lists the active effects.
    """

    def __init__(self, rig: Description, schedule: Schedule) -> None:
        self._rig, self._schedule = rig, schedule
        self._mics = [m.channel - 1 for m in rig.mic]
        self._leak = rig.lab.crosstalk.inputs_db

    def process(self, heard: NDArray[np.float32], noise: NDArray[np.float32], span: Span) -> NDArray[np.float32]:
        """Converter inputs ``(input, samples)``: sound plus input noise."""
        heard, noise = self._schedule.cables(self._schedule.sound(heard, span), noise, span)
        x = noise + heard
        mains = hum(self._rig, span.session, x.shape[1])
        if mains is not None:
            x[self._mics] += mains
        return leaked(self._schedule.preamplifiers(x, span), self._leak)

"""A lab whose sound decays longer at one head position, as behind an open door to a bare room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sweetspot.measure import plan
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.protocol import Recording, Rig


def livelier(lab: Rig, position: int, of_energy: float = 0.01, rt_s: float = 0.35) -> Rig:
    """The same lab with a diffuse decay added at all microphones at one position (from 0) of its ears.

    Parameters
    ----------
    of_energy
        Energy of the decay re that of the sound itself.
    rt_s
        Time in which it falls by 60 dB, s.
    """
    rig = lab.description
    t = np.arange(round(1.3 * rt_s * rig.fs)) / rig.fs
    decay = np.random.default_rng(4).standard_normal(len(t)) * 10.0 ** (-3.0 * t / rt_s)
    decay *= np.sqrt(of_energy / np.sum(decay**2))
    pose = next(c.pose for c in plan.make(rig, "ears").captures if c.position == position)
    mics = [m.channel - 1 for m in rig.mic]
    inner = lab.interface.capture

    def capture(y: np.ndarray) -> Recording:
        heard = inner(y)
        if lab.interface.world.pose != pose:  # type: ignore[attr-defined]
            return heard
        size = fft.next_fast_len(heard.x.shape[1] + len(decay), real=True)
        x = heard.x.copy()
        late = fft.irfft(fft.rfft(x[mics], size) * fft.rfft(decay, size), size)
        x[mics] += late[:, : x.shape[1]]
        return replace(heard, x=x)

    lab.interface.capture = capture  # type: ignore[method-assign]
    return lab

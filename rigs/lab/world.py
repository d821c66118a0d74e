"""The one world that the virtual interface, the virtual stage and the sound card share.

A device on a turntable, a dummy head some way ahead of it, measurement microphones on the same circle, cables. The
sound travels in free field; head and body do not scatter each other's sound back, and the head is away while the
measurement microphones listen.

Each driver's field on the circle through the head is split into circular harmonics ``exp(j m azimuth)``. Harmonic
``m`` reaches the head as a wave whose tangential wavenumber is ``m / r``, so from the direction ``asin(m / (k r))``
beside the middle of the body, and the head answers with its response from that direction. That keeps what cancellation
of crosstalk lives on: the driver's directivity between the two ears and the head's diffraction of it.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rigs.describe import EARS, Description
from rigs.lab.body import SphereBody
from rigs.lab.driver import DriverModel
from rigs.lab.head import Head, SphereHead, load_head
from rigs.lab.sphere import Complex, order
from rigs.layout import Pose
from rigs.units import Float, from_db, pressure, speed_of_sound

DECAY_S = 0.06
"""How long after its arrival a response is kept: the drivers' low ends have died away by then."""

BLOCKS = 16
"""Into how many bands the frequencies are split, so that low ones are not summed to the order of high ones."""


class World:
    """What stands in the lab.

    Parameters
    ----------
    description
        The rig; its ``[lab]`` table says what the lab is.
    serial
        Serial number of the unit: its tolerances are drawn from it and the lab's seed.
    """

    def __init__(self, description: Description, serial: str) -> None:
        lab = description.lab
        self.description = description
        self.serial = serial
        self.pose = Pose()
        self.body = SphereBody(lab.body_diameter_m, np.array([d.at for d in description.driver]))
        self.drivers = tuple(DriverModel.of_unit(d, lab, serial) for d in description.driver)
        self.c = speed_of_sound(description.environment.temperature_c)
        sphere = lab.head == "sphere"
        self.head: Head = (
            SphereHead(lab.head_diameter_m, float(np.radians(lab.ears_deg)))
            if sphere
            else load_head(description.path(lab.head))
        )
        distances = [p.distance_m for p in (description.ears, description.polar) if p is not None]
        taps = int((DECAY_S + 1.5 * max(distances, default=1.0) / self.c) * description.fs)
        self.taps = 1 << (taps - 1).bit_length()
        self.f: Float = np.asarray(np.fft.rfftfreq(self.taps, 1.0 / description.fs), dtype=np.float64)
        self.k = 2.0 * np.pi * np.maximum(self.f, 1.0) / self.c
        self.electrical = np.stack([d.response(self.f) for d in self.drivers]) * _converter(self.f, description.fs)
        self._ear_table = lru_cache(maxsize=4)(self._ear_table_at)
        self._spectrum = lru_cache(maxsize=4)(lambda r: self.body.spectrum(self.k, r))

    def at_ears(self, pose: Pose) -> Complex:
        """Acoustic responses ``(ear, driver, frequency)`` at :attr:`f`, Pa per full scale, left ear first."""
        r, bearing, _ = self._head_place(pose)
        m, b = self._spectrum(r)
        table = self._ear_table(pose.x, pose.y, pose.yaw)
        turned = np.exp(1j * m * (bearing - pose.turn))
        heard = np.einsum("m,dmf,emf->edf", turned, b, table, optimize=True)
        return np.asarray(heard * self.electrical)

    def at_microphone(self, turn: float) -> Complex:
        """Acoustic responses ``(driver, frequency)`` at the measurement microphone, Pa per full scale."""
        polar = self.description.polar
        if polar is None:
            return np.zeros_like(self.electrical)
        heard = self.body.response(np.array([-turn]), self.k, polar.distance_m)[:, 0]
        return np.asarray(heard * self.electrical)

    def paths(self, pose: Pose) -> NDArray[np.float32]:
        """Electrical impulse responses ``(input, output, tap)`` from every output to every input of the interface.

        Full scale to full scale, the loopback cable included, the latency of the interface not included.
        """
        rig = self.description
        out = np.zeros((rig.inputs, rig.outputs, self.taps), dtype=np.float32)
        out[rig.interface.loopback.in_ - 1, rig.interface.loopback.out - 1, 0] = 1.0
        ears = self.at_ears(pose) if rig.ears else np.zeros((2, *self.electrical.shape), dtype=complex)
        free = self.at_microphone(pose.turn)
        outputs = [d.channel - 1 for d in rig.driver]
        for mic in rig.mic:
            heard = ears[EARS.index(mic.name)] if mic.name in EARS else free
            gain = mic.sensitivity_mv_per_pa / 1000.0 / rig.interface.full_scale_v
            out[mic.channel - 1, outputs] = np.fft.irfft(gain * heard, self.taps, axis=-1)
        return out

    def noise(self, rng: np.random.Generator, samples: int) -> NDArray[np.float32]:
        """What the inputs hear when nothing plays: ``(input, samples)``, full scale = 1."""
        rig = self.description
        rms = np.full(rig.inputs, float(from_db(rig.lab.converter_noise_dbfs)))
        for mic in rig.mic:
            gain = mic.sensitivity_mv_per_pa / 1000.0 / rig.interface.full_scale_v
            rms[mic.channel - 1] = np.hypot(rms[mic.channel - 1], gain * pressure(rig.lab.mic_noise_db_spl))
        white = rng.standard_normal((rig.inputs, samples), dtype=np.float32)
        return np.asarray(white * rms[:, None].astype(np.float32))

    def _head_place(self, pose: Pose) -> tuple[float, float, float]:
        """Distance (m), bearing from the device and direction faced (rad) of the head's centre."""
        ears = self.description.ears
        ahead = (ears.distance_m if ears else 1.0) + pose.x
        return float(np.hypot(ahead, pose.y)), float(np.arctan2(pose.y, ahead)), np.pi + pose.yaw

    def _ear_table_at(self, x: float, y: float, yaw: float) -> Complex:
        """The head's answer ``(ear, m, frequency)`` to each circular harmonic of the body's field."""
        r, bearing, facing = self._head_place(Pose(x=x, y=y, yaw=yaw))
        m, _ = self._spectrum(r)
        table = np.zeros((2, len(m), len(self.k)), dtype=np.complex128)
        edges = np.linspace(0, len(self.k), BLOCKS + 1).astype(int)
        for low, high in pairwise(edges):
            k = self.k[low:high]
            kept = np.flatnonzero(np.abs(m) <= order(float(k[-1]) * self.body.radius))
            beside = np.arcsin(np.clip(m[kept, None] / (k * r), -0.95, 0.95))
            directions = bearing + np.pi - beside - facing
            table[:, kept, low:high] = self.head.response(directions, k, r, self.c)
        return table


def _converter(f: Float, fs: int) -> Float:
    """Magnitude of the converters' anti-alias filters: flat to 0.45 fs, then half a cosine down to half of fs."""
    x = np.clip((f / fs - 0.45) / 0.05, 0.0, 1.0)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * x))

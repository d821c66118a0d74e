"""Check of a session before the fit: whether a design is possible with it, and if not, why."""

from __future__ import annotations

import numpy as np

from sweetspot.calibrate.plant import gate
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import THIRD_OCTAVES, band_edges
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import EARS, Description
from sweetspot.rigs.units import Float, db, power_db

LEAST_HZ = 2.0 * float(band_edges(THIRD_OCTAVES)[0][-1])
"""Lowest sampling rate, at which a response reaches into the highest third octave, Hz."""

DEAD_DB = 40.0
"""A driver this far beneath the loudest one at every position and ear counts as dead, dB."""

NOISY_DB = 6.0
"""SNR of a driver's best response below which it counts as dead, dB."""

SIDEWAYS_M = 0.02
"""Smallest distance of a driver from the middle that identifies the ears, m."""

LEAD_S = 0.0005
"""Largest lead of an ear that is looked for, s."""

DIRECT_S = 0.003
"""Length of the direct sound, whose first ear tells the side of a driver; a room's sound comes from all sides, s."""


INVERTED = 1.2
"""Ratio of the ears' strongest negative to their strongest positive correlation from which one ear is inverted: with
one sign it was 0.2 to 0.5 in rooms and free field, with real heads too, and with opposite signs 1 over that."""

LEAD_HZ = (300.0, 4000.0)
"""Band in which ears are compared."""

HEARD = 1e-4
"""Part of the mean cross-power of a driver's responses at the ears above which a frequency tells the sign."""

LEAST_HELD_OUT = 3
"""Number of positions from which one can be held out for scoring."""


def check(ears: ImpulseResponse, rig: Description) -> None:
    """Refuse sessions without what a design needs.

    Raises
    ------
    BadInput
        A sampling rate below :data:`LEAST_HZ`; one driver; no position to design from or to score on; ears missing,
        swapped, inverted or the same; a driver that is dead or lost in noise; positions that are all the same; a
        value that is not a number.
    """
    if ears.fs < LEAST_HZ:
        raise BadInput(
            f"the session's sampling rate is {ears.fs} Hz: third octaves up to {THIRD_OCTAVES[-1]:g} Hz are designed "
            f"and judged, which needs at least {LEAST_HZ:.0f} Hz; measure at a higher rate, or import responses of one"
        )
    if len(ears.drivers) < 2:
        raise BadInput(f"the unit has one driver ({ears.drivers[0]!r}): cancelling crosstalk needs at least two")
    for use in ("design", "score"):
        if not len(ears.used_for(use).positions):
            held_out = use == "score" and len(ears.positions) >= LEAST_HELD_OUT
            also = "; or calibrate with --cross-validate, which holds one out of the design" if held_out else ""
            if use == "score" and not held_out:
                also = f" (measured: {len(ears.positions)}; a design is judged at held-out positions)"
            raise BadInput(
                f"no head position is used for {use!r}: give some entries of ears.positions use = {use!r}{also}"
            )
    if ears.mics != EARS:
        raise BadInput(f"the session's microphones are {', '.join(ears.mics)}; {' and '.join(EARS)} are needed")
    _finite(ears)
    _alive(ears, rig)
    _apart(ears)
    _sorted(ears, rig)


def _finite(ears: ImpulseResponse) -> None:
    if not np.isfinite(ears.h).all():
        position, mic, driver = (int(i) for i in np.argwhere(~np.isfinite(ears.h))[0][:3])
        raise BadInput(
            f"the response of driver {ears.drivers[driver]!r} at {ears.mics[mic]!r}, position {position + 1}, contains "
            f"a value that is not a number: measure that position again"
        )


def _alive(ears: ImpulseResponse, rig: Description) -> None:
    peak = np.max(np.abs(ears.h), axis=-1)
    level = db(peak.max(axis=(0, 1)) / max(float(peak.max()), 1e-30))
    if (level < -DEAD_DB).any():  # a narrow band has a low peak: compared again within each driver's own
        level = _in_band(ears, rig)
    snr = ears.snr_db.max(axis=(0, 1))
    for driver, name in enumerate(ears.drivers):
        if level[driver] < -DEAD_DB or snr[driver] < NOISY_DB:
            found = "dead" if level[driver] < -DEAD_DB else "lost in noise (or in a constant offset)"
            raise BadInput(
                f"driver {name!r} is {found}: its loudest response is {level[driver]:.0f} dB re the loudest driver (at "
                f"least {-DEAD_DB:g} is needed), its best SNR {snr[driver]:.0f} dB (at least "
                f"{NOISY_DB:g}); check its wiring and channel, then measure again"
            )


def _in_band(ears: ImpulseResponse, rig: Description) -> Float:
    """Level of each driver in its band, at its loudest position and ear, re the loudest driver ``(driver,)``, dB."""
    f = np.fft.rfftfreq(ears.h.shape[-1], 1.0 / ears.fs)
    bands = {d.name: d.band_hz for d in rig.driver}
    power = np.zeros(len(ears.drivers))
    for driver, name in enumerate(ears.drivers):
        low, high = bands.get(name, (0.0, np.inf))
        inside = (f >= low) & (f <= high)
        spectra = np.abs(np.fft.rfft(ears.h[:, :, driver], axis=-1)[..., inside]) ** 2
        power[driver] = spectra.mean(axis=-1).max() if inside.any() else 0.0
    return power_db(np.maximum(power, 1e-300) / max(float(power.max()), 1e-300))


def _apart(ears: ImpulseResponse) -> None:
    """Responses must differ between positions, and between the two ears."""
    nominal = ears.h[0]
    if np.array_equal(nominal[0], nominal[1]):
        raise BadInput("both ears recorded exactly the same: two inputs carry one microphone; check the ears' wiring")
    places = ears.positions[["x", "y", "z", "yaw_deg"]]
    uses = ears.positions["use"]
    once = (uses == b"design").sum() == 1 and (places == places[0]).all()  # scored where it was designed, on purpose
    if len(ears.h) > 1 and not once and all(np.array_equal(nominal, h) for h in ears.h[1:]):
        raise BadInput(
            f"all {len(ears.h)} positions recorded exactly the same: the head was not moved, or one recording was "
            "replayed; measure the positions again"
        )


def _sorted(ears: ImpulseResponse, rig: Description) -> None:
    """Drivers at the side reach the ear on that side first; a listener who faces the unit has +y on the right.

    Both ears get the sound of every driver with one sign.
    """
    y: Float = np.array([d.at[1] for d in rig.driver])
    direct = gate.until(ears.h, ears.zero, ears.fs, gate.first_arrival(ears) + DIRECT_S)
    lead, ratio = _compared(direct, ears.fs)
    if ratio > INVERTED:
        raise BadInput(
            f"one ear has its polarity inverted: over all drivers and positions the ears' correlation is {ratio:.1f} "
            f"times as strong with opposite signs as with the same (limit {INVERTED:g}); check cable, phase switch and "
            "preamplifier of ear_left and ear_right, and measure again"
        )
    aside = np.abs(y) >= SIDEWAYS_M
    if aside.sum() < 2 or not (np.sign(y[aside]).min() < 0 < np.sign(y[aside]).max()):
        return
    if float(np.sum(y[aside] * lead[aside])) < 0.0 and (y[aside] * lead[aside] < 0.0).all():
        text = ", ".join(
            f"{ears.drivers[d]!r} (y = {100 * y[d]:+.0f} cm) reaches the {'left' if lead[d] < 0 else 'right'} ear "
            f"{1e6 * abs(lead[d]):.0f} µs sooner"
            for d in np.flatnonzero(aside)
        )
        raise BadInput(
            f"the ears are swapped: {text}. For a listener facing the unit, a driver at +y is on the right: swap the "
            "channels of ear_left and ear_right, or the drivers' places, in the rig file and measure again"
        )


def _compared(h: Float, fs: int) -> tuple[Float, float]:
    """Lead of the right ear in ``h (position, ear, driver, tap)`` by each driver ``(driver,)``, s, mean over positions,
    by cross-correlation at eight times the sampling rate; and how much stronger it is with opposite signs.

    Signs are compared with every frequency counting alike that both ears hear (phase transform): what is loud in a
    narrow band correlates with both signs.
    """
    reach = int(2 * LEAD_S * fs)
    n = fft.next_fast_len(h.shape[-1] + reach + 1, real=True)  # holds every lag that is looked at
    X = fft.rfft(h, n, axis=-1)
    band = slice(int(LEAD_HZ[0] * n / fs) + 1, int(LEAD_HZ[1] * n / fs) + 1)
    cross = X[:, 0, :, band] * X[:, 1, :, band].conj()
    size = np.sqrt(cross.real**2 + cross.imag**2)
    least = HEARD * np.sqrt(np.einsum("pedt,pedt->ped", h, h).prod(axis=1))
    alike = np.sum(np.where(size > least[..., None], cross / np.maximum(size, 1e-300), 0.0), axis=0)
    ahead = [(0, 0), (band.start, 0)]
    fine = _near(fft.irfft(np.pad(np.sum(cross, axis=0), ahead), 8 * n, axis=-1), 8 * reach)
    signs = _near(fft.irfft(np.pad(alike, ahead), n, axis=-1), reach)
    ratio = float(-signs.min(axis=-1).sum() / max(float(signs.max(axis=-1).sum()), 1e-300))
    return np.asarray((np.argmax(fine, axis=-1) - 8 * reach) / (8 * fs)), ratio


def _near(correlation: Float, reach: int) -> Float:
    """Lags of at most ``reach`` samples, in order."""
    return np.concatenate([correlation[:, -reach:], correlation[:, : reach + 1]], axis=-1)

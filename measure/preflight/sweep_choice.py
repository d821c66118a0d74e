"""Choice of the sweep for a set-up: band from the drivers, level from the limits, length from the noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweetspot.measure.judge import uncalibrated
from sweetspot.measure.preflight.levels import HEADROOM_DB, snr
from sweetspot.measure.preflight.paths import Observation
from sweetspot.measure.sweep import SHORTEST_CYCLES, swept
from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import P_REF, db, power_db

SPARE_DB = HEADROOM_DB + 3.0
"""Headroom kept at the microphones, dB: more than the check recommends, as the next unit may be louder."""

CEILING_DB = 0.5
"""Under the rig's ceiling, so that no rounding passes it."""

SECONDS = (1.0, 15.0)
"""Shortest sweep, and the longest before repeats are taken instead: air and voice coils drift meanwhile."""

MOST_REPEATS = 8
QUIETEST_DBFS = -60.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A sweep for a rig.

    Parameters
    ----------
    band_hz, seconds, level_dbfs, repeats
        As in the rig's ``[sweep]``.
    limit
        What keeps the level from being higher.
    wanted_db, expected_db
        Requested SNR, and the SNR expected in the worst octave of the worst driver.
    at
        That driver and octave, and its microphone.
    """

    band_hz: tuple[float, float]
    seconds: float
    level_dbfs: float
    repeats: int
    limit: str
    wanted_db: float
    expected_db: float
    at: str

    @property
    def reached(self) -> bool:
        """Whether the required SNR is reached."""
        return self.expected_db > self.wanted_db - 0.05

    @property
    def table(self) -> dict[str, object]:
        """Its changes of the rig's ``[sweep]``."""
        band = [float(f"{f:.6g}") for f in self.band_hz]
        return {"band_hz": band, "seconds": self.seconds, "level_dbfs": self.level_dbfs, "repeats": self.repeats}

    @property
    def toml(self) -> str:
        """The same as lines of a rig file."""
        low, high = (f"{f:g}" for f in self.band_hz)
        lines = (f"band_hz = [{low}, {high}]", f"seconds = {self.seconds:g}", f"level_dbfs = {self.level_dbfs:g}")
        return "\n".join(("[sweep]", *lines, f"repeats = {self.repeats}"))

    def text(self) -> str:
        """Why it is so, in two lines."""
        worst = f"{self.expected_db:.0f} dB SNR at least ({self.at}), {self.wanted_db:g} dB required"
        short = "" if self.reached else ": the SNR cannot be reached. Lower the noise, or raise the limit of the level"
        return f"level: {self.limit}\nsignal: {worst}{short}"


def choose(observed: Observation, wanted_db: float) -> Choice:
    """The shortest sweep at the highest allowed level that gives every driver the wanted signal to noise.

    Signal to noise is that of one bin of the kept response, ``A^2 L |H|^2 / (4 f (N0 / 2) T)`` with ``L`` of the sweep
    and the noise density of the check, averaged over an octave: twice the length, or twice the repeats, give 3 dB.

    Parameters
    ----------
    observed
        Responses of a check straight ahead.
    wanted_db
        In the worst octave of the worst driver.

    Raises
    ------
    HardwareTrouble
        A driver or microphone without signal.
    BadInput
        The microphones would clip at any useful level.
    """
    rig, there = observed.rig, observed.there
    silent = [d.name for o, d in enumerate(rig.driver) if not there[:, o].any()]
    unheard = [m.name for i, m in enumerate(rig.mic) if not there[i].any()]
    if silent or unheard:
        raise HardwareTrouble(
            f"some paths have no signal, so no sweep can be chosen: {', '.join([*silent, *unheard])}. "
            "Find the cause with: sweetspot rig check RIG"
        )
    band = band_of(rig)
    level, limit = _level(observed)
    first, last = swept(band, rig.fs)
    found = [(w, f"{where}, {m.name}", m.use) for m, w, where in snr(observed)]
    own = [
        one for one in found if one[2] is None
    ]  # fixed microphones have one short capture, which no choice makes longer
    worst, at, _ = min(own or found)
    octaves = float(np.log(last / first))
    now = worst + level - float(db(observed.sweep_peak)) - float(power_db(observed.sweep_rate))
    needed = 10.0 ** ((wanted_db - now) / 10.0) * octaves
    shortest = max(SECONDS[0], SHORTEST_CYCLES * octaves / first)
    repeats = int(np.clip(np.ceil(needed / SECONDS[1]), 1, MOST_REPEATS))
    seconds = float(np.ceil(10.0 * np.clip(needed / repeats, shortest, max(shortest, SECONDS[1]))) / 10.0)
    expected = now + float(power_db(seconds * repeats / octaves))
    return Choice(
        band, seconds, level_dbfs=level, repeats=repeats, limit=limit, wanted_db=wanted_db, expected_db=expected, at=at
    )


def band_of(rig: Description) -> tuple[float, float]:
    """The band to judge, Hz: from the lowest edge of any driver's to the highest, within the sampling rate."""
    low = min(d.band_hz[0] for d in rig.driver)
    high = min(max(d.band_hz[1] for d in rig.driver), 0.44 * rig.fs)
    return float(f"{low:.3g}"), float(f"{high:.3g}")


def applied(rig: Description, chosen: Choice) -> Description:
    """The rig as it would be with the choice written into its file."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in chosen.table.items()}
    return rig.model_copy(update={"sweep": rig.sweep.model_copy(update=values)})


def _level(observed: Observation) -> tuple[float, str]:
    """The highest level, dBFS in steps of half a decibel, and its limit."""
    limits = observed.rig.limits
    bounds = [(limits.ceiling_dbfs - CEILING_DB, f"{CEILING_DB:g} dB under limits.ceiling_dbfs")]
    drivers = observed.matrices[0].responses[: len(observed.rig.driver)]
    for i, mic in enumerate(observed.rig.mic):
        near = observed.peak_at(i) / observed.sweep_peak
        peak = float(db(near * max(float(np.max(np.abs(r[observed.inputs[i]]))) for r in drivers)))
        spl = peak + float(db(observed.pascals(i) / np.sqrt(2.0) / P_REF))
        bounds.append((-peak - SPARE_DB, f"leaves {SPARE_DB:g} dB of headroom at {mic.name}"))
        if not uncalibrated(observed.rig, (mic,)):
            held = f"limits.loudest_db_spl = {limits.loudest_db_spl:g} at {mic.name}"
            bounds.append((limits.loudest_db_spl - spl, held))
    level, limit = min(bounds)
    level = float(np.floor(2.0 * level) / 2.0)
    if level < QUIETEST_DBFS:
        raise BadInput(f"the sweep would have to play at {level:g} dBFS ({limit}): lower the preamplifier's gain")
    return level, f"{level:g} dBFS, {limit}"

"""Data of a session's pictures, read and computed without any drawing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.plan import SetName
from sweetspot.measure.session import Session
from sweetspot.measure.share import timing
from sweetspot.measure.share.reverberation import BandWidth
from sweetspot.measure.share.timing import Table
from sweetspot.rigs.arrays import median
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import named
from sweetspot.rigs.units import Float

if TYPE_CHECKING:
    from sweetspot.measure.distortion import Distortion
    from sweetspot.measure.judge import RubAndBuzz


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Data of one session's pictures.

    Parameters
    ----------
    ears, polar
        The sets that were measured to their end, gated if a gate was given.
    whole
        The ears without a gate.
    stderr
        Standard error of each bin at the drawn position of the ears, ``(mic, driver, bin)``.
    vertical
        The polar set of the same device lying on its side, for CTA-2034.
    position
        Which row of the ears is drawn.
    smoothing
        Width of the power average of responses, octaves; 0 for none.
    rubs
        Rub and buzz of each driver, with :attr:`distorted`.
    has_raw
        Whether raw captures were kept, from which distortion is computed.
    played
        Band in which each driver is played, Hz.
    bands
        Width of the bands of reverberation.
    gate_s
        Length of the gate, s; None without one.
    distorted
        Row of a position, and the distortion of every driver there; None if it was not asked for.
    """

    unit: str
    ears: ImpulseResponse | None
    whole: ImpulseResponse | None
    polar: ImpulseResponse | None
    stderr: Float | None
    vertical: ImpulseResponse | None
    position: int
    smoothing: float
    has_raw: bool
    played: tuple[tuple[float, float], ...]
    bands: BandWidth
    gate_s: float | None = None
    distorted: tuple[int, list[Distortion]] | None = None
    rubs: tuple[RubAndBuzz | None, ...] = ()

    @property
    def title(self) -> str:
        """The unit, and what a gate leaves of its responses."""
        gate = "" if self.gate_s is None else f", {1000.0 * self.gate_s:g} ms from the arrival"
        return f"{self.unit}{gate}"

    def valid(self, band: tuple[float, float]) -> tuple[float, float]:
        """The part of a band, Hz, that the gate resolves."""
        return (band[0] if self.gate_s is None else max(band[0], 1.0 / self.gate_s)), band[1]


@dataclass(frozen=True, slots=True)
class ShowOptions:
    """What ``measure show`` is asked for; see its help.

    Parameters
    ----------
    position
        Row of the ears from 1, or None for the place nearest to the nominal one.
    smoothing
        Octaves.
    bands
        Width of the bands of reverberation.
    gate_s
        Length of a gate after each arrival, s.
    distortion
        Whether it is drawn.
    """

    position: int | None = None
    smoothing: float = 1.0 / 24.0
    bands: BandWidth = "octave"
    gate_s: float | None = None
    distortion: bool = True


def gather(session: Path, how: ShowOptions, vertical: Path | None) -> Shown:
    """Read the data to draw.

    Parameters
    ----------
    session
        Path of ``session.h5``.
    vertical
        That of the same unit measured on its side, or None.

    Raises
    ------
    BadInput
        Nothing was measured to its end, there is no such position, or distortion needs raw captures that are not there.
    """
    with Session.read(session) as file:
        sets = {name: file.responses(name) for name in file.sets}
        if not sets:
            raise BadInput(f"{session}: nothing was measured yet; run: sweetspot measure ears ...")
        ears, row = sets.get("ears"), _row(sets.get("ears"), how.position, session)
        stderr = None if ears is None else file.per_bin("ears", "stderr")[row]
        raw = file.holds_raw("polar" if ears is None else "ears")
        unit, played = file.serial, tuple(d.band_hz for d in file.rig().driver)
        distorted = _distortions(file, sets, row, session) if raw and how.distortion else None
        rubs = _rubs(file, "polar" if ears is None else "ears", distorted[0]) if distorted else ()
    second = None
    if vertical is not None:
        with Session.read(vertical) as file:
            second = file.responses("polar")
    if how.gate_s is not None and stderr is not None and ears is not None:
        stderr = stderr * np.sqrt(min(how.gate_s * ears.fs / ears.h.shape[-1], 1.0))  # noise of what is left
    return Shown(
        unit,
        _gated(ears, how.gate_s),
        ears,
        polar=_gated(sets.get("polar"), how.gate_s),
        stderr=stderr,
        vertical=_gated(second, how.gate_s),
        position=row,
        smoothing=how.smoothing,
        has_raw=raw,
        played=played,
        bands=how.bands,
        gate_s=how.gate_s,
        distorted=distorted,
        rubs=rubs,
    )


def _gated(ir: ImpulseResponse | None, seconds: float | None) -> ImpulseResponse | None:
    return ir if ir is None or seconds is None else timing.gated(ir, seconds)


def _distortions(
    session: Session, sets: dict[SetName, ImpulseResponse], position: int, where: Path
) -> tuple[int, list[Distortion]]:
    """Row of a position, and the distortion of every driver there at the first microphone, from raw captures.

    It is the drawn position, or straight ahead on the turntable where there is no head, or the first one if drivers
    played together there.

    Raises
    ------
    BadInput
        The raw captures of the place are not there.
    """
    from sweetspot.measure import plan  # what draws does not need them
    from sweetspot.measure.listener import CaptureAnalyser

    name: SetName = "ears" if "ears" in sets else "polar"
    ahead = position
    if name == "polar" and name in sets:
        ahead = int(np.argmin(np.abs(sets[name].positions["azimuth_deg"])))
    rig = session.rig()
    wanted = plan.make(rig, name)
    listener = CaptureAnalyser.of(rig, wanted)
    for row in (ahead, wanted.order[0]):
        made = [listener.distortion(session, row, source, slice(1)) for source in range(len(rig.driver))]
        found = [d for d in made if d is not None]
        if len(found) == len(made):
            return row, found
    raise BadInput(f"{where}: has no raw captures of single drivers, which distortion needs")


def _rubs(session: Session, name: SetName, position: int) -> tuple[RubAndBuzz | None, ...]:
    """Rub and buzz of every driver at the first microphone at a position."""
    from sweetspot.measure import plan  # what draws does not need them
    from sweetspot.measure.listener import CaptureAnalyser

    wanted = plan.make(session.rig(), name)
    listener = CaptureAnalyser.of(session.rig(), wanted)
    return tuple(listener.rub_and_buzz(session, (position,), d, (0,)) for d in range(len(wanted.sources.names)))


def _row(ears: ImpulseResponse | None, position: int | None, where: Path) -> int:
    if ears is None:
        return 0
    if position is None:
        p = ears.positions
        away = np.hypot(p["x"] - median(p["x"]), p["y"]) + np.radians(np.abs(p["yaw_deg"]))
        return int(np.argmin(away))
    if not 1 <= position <= len(ears.positions):
        raise BadInput(f"--position: {position} is not there; {where} holds positions 1 to {len(ears.positions)}")
    return position - 1


def distortion_table(shown: Shown, made: list[Distortion]) -> Table:
    """Total harmonic distortion, and rub and buzz, of every driver in octaves, as data and as lines."""
    measured = shown.ears or shown.polar
    assert measured is not None
    found = [one.in_octaves(0, lowest) for one, (lowest, _) in zip(made, shown.played, strict=True)]
    rubs = shown.rubs or (None,) * len(made)
    data: list[dict[str, object]] = [
        {
            "driver": name,
            **{k: v if np.isfinite(v) else None for k, v in octave.items()},
            "rub_and_buzz_db": rub and rub.in_octave(octave["hz"]),
        }
        for name, octaves, rub in zip(measured.drivers, found, rubs, strict=True)
        for octave in octaves
    ]
    centres = sorted({octave["hz"] for octaves in found for octave in octaves})
    head = "THD, %, in octaves of"
    wide = max(map(len, (head, *map(named, measured.drivers)))) + 1
    lines = [f"{head:<{wide}}" + "".join(f"{hz:>9g}" for hz in centres) + " Hz"]
    for name, octaves in zip(measured.drivers, found, strict=True):
        texts = {octave["hz"]: _percent(octave["thd"], octave["floor"]) for octave in octaves}
        lines.append(f"{named(name):<{wide}}" + "".join(f"{texts.get(hz, '-'):>9}" for hz in centres))
    low = [hz for hz in centres if any(one and one.covers(hz) for one in rubs)]
    if low:
        lines.append(f"{'Rub and buzz, dB':<{wide}}" + "".join(f"{hz:>9g}" for hz in low) + " Hz")
    for name, one in zip(measured.drivers, rubs, strict=True):
        if one and low:
            levels = [one.in_octave(hz) for hz in low]
            lines.append(f"{named(name):<{wide}}" + "".join("  < noise" if x is None else f"{x:>9.0f}" for x in levels))
    return data, "\n".join(lines)


def _percent(value: float, floor: float) -> str:
    """Two digits; the noise limit if nothing was found above it."""
    return f"< {floor:.1g}" if np.isnan(value) else f"{value:.2g}"

"""A filter set: a matrix of causal FIR filters from programs to drivers, with its settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from sweetspot.processor.choices import GAIN_DB
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float, db, from_db

PROGRAMS = ("left", "right", "centre")
"""The programs that the upmix makes, in the order of a filterset's first axis."""

FASTEST = 768_000
"""Highest sampling rate of a filter set, Hz."""

LONGEST = 1 << 20
"""Longest modelling delay of a filter set, samples."""

LARGEST_TAP = 1e4
"""Largest tap, linear (80 dB); filters of a real unit stay far below."""

MOST_DETECTOR_TAPS, LARGEST_DETECTION = 1 << 16, 1e9
"""Longest detectors of sound pressure, and their largest tap."""

UNHELD = (
    "the rig's SPL limit is not held: these filters know no sound pressure (imported responses, a microphone without "
    "sensitivity, or an earlier version made them); calibrate again from responses in pascal"
)
NO_DETECTORS = frozen("detectors", np.zeros((2, len(PROGRAMS), 0)), ndim=3)
"""Of responses whose levels are not known."""

USUAL_HZ, LONGER_FRAMES = 48000, 3
"""Rate that the usual lengths of frames and filters are meant for, Hz; how often frames are doubled at most."""

DEEPEST_DB = 200.0
"""Largest headroom in either direction, dB."""


@dataclass(frozen=True, slots=True)
class UpmixSettings:
    """How stereo becomes left, right and centre.

    Parameters
    ----------
    method
        ``"soft-projection"`` (short-time Fourier domain; what leans up to about 2 dB to a side stays in the centre),
        ``"low-latency"`` (the same rule with a delay under 3 ms, whatever the window), ``"projection"`` (the centre is
        uncorrelated with left minus right, and loses what is not exactly in the middle), ``"similarity"``, ``"pca"``
        or ``"off"``.
    amount
        0 leaves the centre empty, 1 moves all of it to the centre program.
    window, hop
        Frame and step of the analysis, samples.
    tau_s
        Time constant of the recursive averages, s.
    """

    method: str = "soft-projection"
    amount: float = 1.0
    window: int = 1024
    hop: int = 256
    tau_s: float = 0.2

    @classmethod
    def at_rate(cls, fs: int) -> UpmixSettings:
        """The usual settings with frames as long in time as at 48 kHz: shorter ones tell less of the centre apart."""
        times = 2 ** min(max(round(np.log2(fs / USUAL_HZ)), 0), LONGER_FRAMES)
        usual = cls()
        return replace(usual, window=times * usual.window, hop=times * usual.hop)


@dataclass(frozen=True, slots=True, eq=False)
class FilterSet:
    """Filters of one unit.

    Parameters
    ----------
    taps
        ``(program, driver, tap)``, linear gain; programs left, right, centre.
    fs
        Sampling rate, Hz.
    drivers
        Names, in the order of the second axis.
    ceiling
        Largest sample that a driver may be sent, linear, full scale = 1.
    delay_samples
        Modelling delay common to all programs, samples.
    headroom_db
        Attenuation already inside ``taps`` (gain staging), dB.
    channels
        Output channel of each driver, counted from 1.
    source
        SHA-256 of the session that the filters were fitted to, hexadecimal.
    source_content
        The checksum of its content that this session states; empty if it stated none.
    unit_serial
        Serial number of the unit.
    upmix
        Settings of the upmix.
    caps
        Largest sample of each driver, linear, where the rig beside the filters allows one less than the ceiling; not
        kept in the file. Empty: the ceiling holds for all.
    held_db, held_by
        How much louder the filters were, dB, if no driver had limits of its own, and the limits that hold them, such as
        ``"power_w of 'woofer'"``; 0 and none where the rig's ceiling holds them.
    most_db
        Largest gain of a listener, dB, with which full-scale programme moves no driver farther than the rig beside the
        filters allows; not kept in the file.
    detectors
        ``(2, program, tap)``, of the filters and of the bypass: from each program to the sound pressure at the loudest
        measured place over the rig's SPL limit, in magnitude at least. No taps: levels are not known.
    loudest_db_spl
        That limit, dB SPL; infinite where nobody states it, as without detectors.
    """

    taps: Float
    fs: int
    drivers: tuple[str, ...]
    ceiling: float
    delay_samples: int
    headroom_db: float
    channels: tuple[int, ...]
    source: str
    unit_serial: str
    upmix: UpmixSettings = field(default_factory=UpmixSettings)
    programs: tuple[str, ...] = PROGRAMS
    caps: tuple[float, ...] = ()
    most_db: float = float("inf")
    source_content: str = ""
    held_db: float = 0.0
    held_by: tuple[str, ...] = ()
    detectors: Float = field(default_factory=lambda: NO_DETECTORS)
    loudest_db_spl: float = float("inf")

    def __post_init__(self) -> None:
        object.__setattr__(self, "taps", frozen("taps", self.taps, ndim=3))
        object.__setattr__(self, "detectors", frozen("detectors", self.detectors, ndim=3))
        wanted = (len(self.programs), len(self.drivers))
        if self.taps.shape[:2] != wanted:
            raise ValueError(f"taps has shape {self.taps.shape}: {wanted[0]} programs x {wanted[1]} drivers are named")
        if len(self.channels) != len(self.drivers):
            raise ValueError(f"{len(self.channels)} channels for {len(self.drivers)} drivers")
        largest = max(float(self.taps.max(initial=0.0)), -float(self.taps.min(initial=0.0)))  # abs() would copy 1 MB
        for wrong, message in (
            (self.taps.size == 0, f"taps has shape {self.taps.shape}: at least one of each is needed"),
            (len(set(self.programs)) < len(self.programs), f"the programs {self.programs} are not all different"),
            (len(set(self.channels)) < len(self.channels), f"the channels {self.channels} are not all different"),
            (min(self.channels, default=1) < 1, f"the channels {self.channels} hold one below 1, where they begin"),
            (max(self.channels, default=1) > 1024, f"the channels {self.channels} hold one above 1024"),
            (not 0 < self.fs <= FASTEST, f"fs is {self.fs} Hz; a rate above 0 and at most {FASTEST} Hz is needed"),
            (
                not abs(self.headroom_db) <= DEEPEST_DB,
                f"headroom_db is {self.headroom_db}; at most {DEEPEST_DB:g} dB are needed",
            ),
            (largest > LARGEST_TAP, f"taps holds {largest:g}; at most {LARGEST_TAP:g} is needed"),
            (self.delay_samples > LONGEST, f"delay_samples is {self.delay_samples}; at most {LONGEST} is needed"),
            (not 0.0 < self.ceiling <= 1.0, f"ceiling is {self.ceiling}; above 0 and at most full scale (1) is needed"),
            (
                len(self.caps) not in (0, len(self.drivers)) or not all(0.0 < c <= 1.0 for c in self.caps),
                f"caps are {self.caps}; none, or one above 0 and at most full scale (1) for each driver",
            ),
            (self.delay_samples < 0, f"delay_samples is {self.delay_samples}; 0 or more is needed"),
            (
                self.detectors.shape[:2] != (2, len(PROGRAMS)) or self.detectors.shape[2] > MOST_DETECTOR_TAPS,
                f"detectors has shape {self.detectors.shape}; (2, {len(PROGRAMS)}, at most {MOST_DETECTOR_TAPS}) is "
                "needed",
            ),
            (
                not float(np.abs(self.detectors).max(initial=0.0)) <= LARGEST_DETECTION,
                f"detectors holds a value above {LARGEST_DETECTION:g}",
            ),
        ):
            if wrong:
                raise ValueError(message)

    @property
    def limits(self) -> tuple[float, ...]:
        """Largest sample of each driver, linear: the ceiling, or its own limit if that is lower."""
        return tuple(min(self.ceiling, cap) for cap in self.caps or (1.0,) * len(self.drivers))

    @property
    def held_text(self) -> str:
        """The limits of drivers that hold the level, in words; empty where the rig's ceiling does."""
        return f"{self.held_db:.1f} dB quieter because of {', '.join(self.held_by)}" if self.held_by else ""

    @property
    def insertion(self) -> tuple[str, float]:
        """Whether the filters' gain staging is a loss or a gain against full scale, in words, and its size in dB."""
        lost = round(self.headroom_db, 1)
        return ("insertion gain", -lost) if lost < 0.0 else ("insertion loss", lost + 0.0)

    @property
    def insertion_text(self) -> str:
        """The same as text: ``insertion loss 3.0 dB``, ``insertion gain +5.0 dB``."""
        name, value = self.insertion
        return f"{name} {value:{'+' if 'gain' in name else ''}.1f} dB"

    @property
    def unheld_text(self) -> str:
        """That no SPL limit can be held, and why, in words; empty where detectors hold it."""
        return "" if self.detectors.size else UNHELD

    @property
    def length(self) -> int:
        """Number of taps."""
        return int(self.taps.shape[2])

    def limited_to(self, loudest_db_spl: float) -> FilterSet:
        """The same filters with another SPL limit; theirs must be known."""
        more = float(from_db(self.loudest_db_spl - loudest_db_spl))
        return replace(self, detectors=self.detectors * more, loudest_db_spl=loudest_db_spl)

    def scaled(self, gain: float) -> FilterSet:
        """The same filters with a linear gain; the ceiling stays.

        Raises
        ------
        ValueError
            They would pass :data:`LARGEST_TAP`.
        """
        return replace(
            self,
            taps=self.taps * gain,
            detectors=self.detectors * gain,
            headroom_db=self.headroom_db - float(db(gain)),
        )

    def without_upmix(self) -> FilterSet:
        """The form of a processor without an upmix: left and right; the common signal stays a phantom centre."""
        return replace(self, upmix=replace(self.upmix, method="off"))

    def response(self, f: Float) -> Float:
        """Complex response ``(program, driver, len(f))`` at frequencies ``f`` Hz.

        A fast transform where these are the first of an even grid from 0, else a direct one.
        """
        if len(f) > 1 and f[0] == 0.0:
            n = round(self.fs / f[1])
            if self.length <= n >= 2 * (len(f) - 1) and np.allclose(f, np.arange(len(f)) * self.fs / n, rtol=1e-12):
                return np.asarray(np.fft.rfft(self.taps, n, axis=-1)[..., : len(f)])
        phase = np.exp(-2j * np.pi * np.outer(np.arange(self.length), f) / self.fs)
        return np.asarray(self.taps @ phase)


def within_full_scale(filterset: FilterSet, pieces: Iterable[Float]) -> Iterator[Float]:
    """Pieces of a programme, clipped at full scale if a driver's excursion limit assumes it."""
    held = np.isfinite(filterset.most_db)
    return (np.clip(x, -1.0, 1.0) if held else x for x in pieces)


def louder(filterset: FilterSet, gain_db: float) -> FilterSet:
    """The same filters with a gain; the ceiling stays, and the guard holds it.

    Raises
    ------
    BadInput
        The gain is outside :data:`GAIN_DB`, or the filters would pass :data:`LARGEST_TAP`.
    """
    low, high = GAIN_DB
    if gain_db > max(filterset.most_db, 0.0) + 0.05:
        raise BadInput(
            f"gain is {gain_db:g} dB; up to {max(filterset.most_db, 0.0):.1f} dB the drivers stay within excursion_mm "
            "of the rig file"
        )
    if not low <= gain_db <= high:
        raise BadInput(f"gain is {gain_db:g} dB; {low:g} to {high:g} dB are possible")
    if gain_db == 0.0:
        return filterset
    try:
        return replace(filterset.scaled(float(from_db(gain_db))), most_db=filterset.most_db - gain_db)
    except ValueError as fault:
        raise BadInput(f"a gain of {gain_db:g} dB is too much for these filters: {fault}") from fault

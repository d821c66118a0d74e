"""Options of an export, and the linear three-program form for engines without an upmix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from sweetspot.processor.export.library import Places
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float

if TYPE_CHECKING:
    from sweetspot.rigs.protection import Protection

FORMS = ("stereo", "linear")
"""Forms of an engine without an upmix: left and right alone, or with a fixed share of their sum as the centre."""

LINEAR_SHARE = 0.25
"""Default share ``a`` of ``C = a (L + R)``: half of the common signal goes to the centre."""


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """Options of an export; an engine ignores those that it does not use.

    Parameters
    ----------
    form
        One of :data:`FORMS`.
    share
        ``a`` of the linear form, 0 to 0.5.
    plain
        Plain stereo of the bypass, see :func:`store.plain_of`; by default the first two drivers.
    block
        Samples per block; 0 for the engine's usual one.
    capture, playback
        Live devices by the engine's name for them; empty for files.
    backend
        Live sound system of the engine, where it has several.
    version
        Of the engine's configuration format; 0 for the newest that is known.
    limits
        What each driver may be sent, by its row: the band that the bypass keeps to.
    places
        Of a bank, for processors that hold all of its filters.
    """

    form: str = "stereo"
    share: float = LINEAR_SHARE
    plain: Float | None = None
    block: int = 0
    capture: str = ""
    playback: str = ""
    backend: str = ""
    version: int = 0
    limits: Mapping[int, Protection] = field(default_factory=dict)
    places: Places | None = None

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise BadInput(f"form {self.form!r} is not known; choose one of: {', '.join(FORMS)}")
        if not 0.0 <= self.share <= 0.5:
            raise BadInput(f"the share of the linear form is {self.share:g}; it goes from 0 (no centre) to 0.5 (all)")


USED_BY = {
    "block": ("brutefir", "camilladsp", "jconvolver"),
    "capture": ("brutefir", "camilladsp", "jconvolver"),
    "playback": ("brutefir", "camilladsp", "jconvolver", "pipewire"),
    "backend": ("camilladsp",),
    "version": ("camilladsp",),
}
"""Which engines have a use for an option that is not of all."""

COMMAND_WORDS = {"version": "--engine-version"}


def unused(engine: str, options: Options) -> str:
    """A note on the options that were given and of which an engine has no use; empty where there is none."""
    names = [name for name, users in USED_BY.items() if getattr(options, name) and engine not in users]
    words = ", ".join(COMMAND_WORDS.get(name, f"--{name}") for name in names)
    return f"Without effect on {engine}: {words}." if names else ""


def power_of_two(options: Options | None, usual: int, engine: str, largest: int) -> int:
    """Samples per block of an engine that takes powers of two from 16 to ``largest``.

    Raises
    ------
    BadInput
        Another block was chosen; live it is the period of the audio server.
    """
    block = (options and options.block) or usual
    if block & (block - 1) or not LEAST_BLOCK <= block <= largest:
        near = min(max(1 << (block.bit_length() - 1), LEAST_BLOCK), largest)
        raise BadInput(
            f"blocks of {block} samples: {engine} takes powers of two from {LEAST_BLOCK} to {largest}, such as {near}; "
            f"on an audio server the block is its period (jackd -p {near})"
        )
    return block


LEAST_BLOCK = 16


def linear(filterset: FilterSet, share: float) -> FilterSet:
    """Left and right filters that play three programs without an upmix: ``C = a (L + R)``, ``L - C``, ``R - C``.

    A stereo engine needs no mixer for it: with ``d = h_C - h_L - h_R`` the left filter becomes ``h_L + a d``, the right
    one ``h_R + a d``. What both sides share then leaves by ``2 a h_C + (1 - 2 a) (h_L + h_R)``; what is on one side
    alone leaves it by ``1 - a``, with ``-a`` in the other side's filter and ``a`` in the centre's.

    Raises
    ------
    BadInput
        The filter set has no centre program.
    """
    if "centre" not in filterset.programs:
        raise BadInput(
            f"the filter set of unit {filterset.unit_serial} has no centre program "
            f"(it has {', '.join(filterset.programs)}): the linear form needs one; export the stereo form"
        )
    left, right, centre = (filterset.programs.index(p) for p in ("left", "right", "centre"))
    taps = np.array(filterset.taps)
    moved = share * (taps[centre] - taps[left] - taps[right])
    taps[left] += moved
    taps[right] += moved
    return replace(filterset, taps=taps)


STABLE_DEG = 5.0
"""Error of the centre's azimuth at a place that is not noticed, degrees (Blauert)."""


@dataclass(frozen=True, slots=True)
class FormRow:
    """Figures of one form.

    Parameters
    ----------
    width_deg
        Azimuth of hard left minus that of hard right, mean over places, degrees.
    stable, places
        At how many places the centre stands within :data:`STABLE_DEG` of the reference pair's, and of how many.
    worst_deg
        Largest error of the centre at any place, degrees.
    tone_rms_db
        Colour of the worst pan beside the reference, rms over bands, dB.
    """

    name: str
    width_deg: float
    stable: int
    places: int
    worst_deg: float
    tone_rms_db: float


def forms_table(rows: Sequence[FormRow]) -> str:
    """A table for people."""
    head = f"{'form':<34} width  centre within {STABLE_DEG:g}°  worst  tone rms"
    lines = [
        f"{r.name:<34} {r.width_deg:4.0f}°  {r.stable:>9} of {r.places:<6} {r.worst_deg:5.1f}°  {r.tone_rms_db:5.1f} dB"
        for r in rows
    ]
    return "\n".join([head, *lines])

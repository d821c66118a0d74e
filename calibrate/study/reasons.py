"""Reasons for the shipped design where a classical one has more mean cancellation: metrics and differences, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweetspot.calibrate.plant import metrics
from sweetspot.calibrate.study.compare import AHEAD_DB, ALONE, DRIFT_DB, DesignRow, ahead
from sweetspot.rigs.names import listed
from sweetspot.rigs.units import Float


@dataclass(frozen=True, slots=True, eq=False)
class Beaten:
    """A classical design with the higher mean in some bands, beside ours; every difference is ours less theirs.

    Parameters
    ----------
    bands
        Indices of :data:`metrics.OCTAVES` where their mean is higher.
    """

    ours: DesignRow
    theirs: DesignRow
    bands: tuple[int, ...]

    def differences(self) -> dict[str, float]:
        """Compared metrics besides the mean: their means in these bands, and the loudness over the whole band; dB."""
        rows = list(self.bands)
        found = {k: float(np.mean((a - b)[rows])) for k, (a, b) in _banded(self.ours, self.theirs).items()}
        return found | {"loudness_db": self.ours.loudness - self.theirs.loudness}

    def _words(self) -> tuple[list[str], list[str]]:
        """Texts in favour of sweetspot, and of the other design."""
        rows, off = list(self.bands), self.differences()
        each = {k: (a[rows].mean(), b[rows].mean()) for k, (a, b) in _banded(self.ours, self.theirs).items()}
        each["loudness_db"] = (self.ours.loudness, self.theirs.loudness)
        names = {
            "effort_db": "effort there",
            "drifted_db": f"mean there after {DRIFT_DB:g} dB of drift in every path",
            "p10_db": "tenth percentile there",
            "loudness_db": "loudness of music at the same level of the loudest driver",
        }
        ours: list[str] = []
        theirs: list[str] = []
        for key, name in names.items():
            better = -off[key] if key == "effort_db" else off[key]
            text = f"{name} {each[key][0]:z.1f} against {each[key][1]:z.1f} dB ({off[key]:+z.1f} dB)"
            if abs(better) >= AHEAD_DB:
                (ours if better > 0.0 else theirs).append(text)
        return ours, theirs

    @property
    def text(self) -> str:
        """One sentence each on its better bands, on what favours sweetspot there, on what favours it, and on the other
        bands."""
        a, b = self.ours, self.theirs
        higher = [
            f"at {_hz(i)} ({b.mean[i]:z.1f} against {a.mean[i]:z.1f} dB, {b.mean[i] - a.mean[i]:+z.1f} dB)"
            for i in self.bands
        ]
        ours, theirs = self._words()
        lines = [f"{b.name} has the higher mean {listed(higher)}."]
        lines.append(
            f"In favour of {a.name}: {'; '.join(ours)}." if ours else f"Nothing compared is in favour of {a.name}."
        )
        lines += [f"Also for {b.name}: {'; '.join(theirs)}."] if theirs else []
        if b.matched:
            lines.append(self._matched(b.matched))
        others = [i for i in range(len(a.mean)) if i not in self.bands]
        if others:
            most = max(others, key=lambda i: a.mean[i] - b.mean[i])
            better = a.mean[most] - b.mean[most]
            lines.append(f"In the other bands {a.name} is better by up to {better:.1f} dB ({_hz(most)})."
                         if better >= AHEAD_DB else "In the other bands the two are equal.")  # fmt: skip
        return " ".join(lines)

    def _matched(self, m: DesignRow) -> str:
        """One sentence on ours with their effort, in the same bands."""
        rows, b = list(self.bands), self.theirs
        parts = [
            f"{name} {x[rows].mean():z.1f} against {y[rows].mean():z.1f} dB"
            for name, x, y in (
                ("mean", m.mean, b.mean),
                ("tenth percentile", m.p10, b.p10),
                ("after drift", m.drifted, b.drifted),
                ("effort", m.effort, b.effort),
            )
        ]
        parts.append(f"loudness {m.loudness:z.1f} against {b.loudness:z.1f} dB")
        return f"Given the effort of {b.name}, {self.ours.name} has there: {', '.join(parts)}."

    def to_dict(self) -> dict[str, Any]:
        """Name, bands with both means, differences (ours less theirs), and the words, for JSON."""
        own, their = self.ours.mean, self.theirs.mean
        ours, theirs = self._words()
        return {
            "name": self.theirs.name,
            "higher_mean": {_hz(i): {"ours_db": round(float(own[i]), 2), "theirs_db": round(float(their[i]), 2)}
                            for i in self.bands},
            "ours_less_theirs": {k: round(v, 2) for k, v in self.differences().items()},
            "for_ours": ours,
            "for_theirs": theirs,
            "text": self.text,
        }  # fmt: skip


def beaten(found: Sequence[DesignRow]) -> tuple[Beaten, ...]:
    """Every classical design with a higher mean than the first row, sweetspot's, in some band."""
    ours, *others = found
    out = []
    for row in others:
        if bands := ahead(ours, row):
            out.append(Beaten(ours, row, bands))
    return tuple(out)


def table(found: Sequence[DesignRow]) -> str:
    """The reasons as text; where no classical design is ahead, which comes nearest."""
    higher = beaten(found)
    if higher:
        own = found[0].name
        title = (
            f"Bands where a classical design has more mean cancellation, and what favours {own} there (means of these "
            f"bands):"
        )
        return "\n".join([title, *(f"  {b.text}" for b in higher)])
    ours, others = found[0], [r for r in found[1:] if r.name != ALONE]
    if not others:
        return f"There is no classical design to compare with {ours.name}."
    short = np.stack([ours.mean - r.mean for r in others])
    row, band = np.unravel_index(int(np.argmin(short)), short.shape)
    return (
        f"No classical design has a higher mean than {ours.name} in any band; nearest is {others[row].name} at "
        f"{_hz(int(band))}, {max(short[row, band], 0.0):.1f} dB below."
    )


def _banded(ours: DesignRow, theirs: DesignRow) -> dict[str, tuple[Float, Float]]:
    """Metrics compared by band."""
    return {
        "effort_db": (ours.effort, theirs.effort),
        "drifted_db": (ours.drifted, theirs.drifted),
        "p10_db": (ours.p10, theirs.p10),
    }


def _hz(band: int) -> str:
    a, b = metrics.OCTAVES[band]
    return f"{a:g}-{b:g} Hz"

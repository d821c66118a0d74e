"""AES69 (SOFA) files read into plain arrays: sizes checked before data are read, strings decoded safely."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweetspot.measure.incoming.imported_set import MOST_BYTES
from sweetspot.rigs.acoustics import cartesian, delay_samples
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import Attributes, Data, foreign
from sweetspot.rigs.units import Float

GLOBAL = ("SOFAConventions", "Comment", "SamplingRate")
"""Global attributes that are read, besides our own."""

REMEDY = "give a complete SOFA file (AES69)"


@dataclass(frozen=True, slots=True, eq=False)
class SofaFile:
    """Content of a file.

    Parameters
    ----------
    convention
        ``GLOBAL:SOFAConventions``.
    values
        Numeric variables by name.
    texts
        Variables of strings, one a row.
    attributes
        ``(variable, attribute)`` to text; the global ones have the variable ``""``.
    """

    path: Path
    convention: str
    values: dict[str, Float]
    texts: dict[str, tuple[str, ...]]
    attributes: dict[tuple[str, str], str]

    def need(self, name: str) -> Float:
        """A required variable.

        Raises
        ------
        BadInput
            It is missing.
        """
        if name not in self.values:
            held = ", ".join(sorted(self.values)) or "nothing"
            raise BadInput(f"{self.path}: {self.convention} without {name} (there: {held})")
        return self.values[name]

    @property
    def fs(self) -> int:
        """Sampling rate, Hz.

        Raises
        ------
        BadInput
            Missing, several, not a whole number of hertz, or out of range.
        """
        rates = np.unique(self.need("Data.SamplingRate"))
        unit = self.attributes.get(("Data.SamplingRate", "Units"), "hertz").lower()
        factor = {"hertz": 1.0, "hz": 1.0, "khz": 1000.0, "kilohertz": 1000.0}.get(unit)
        if factor is None or len(rates) != 1 or not 8000 <= rates[0] * factor <= 768000:
            raise BadInput(
                f"{self.path}: Data.SamplingRate is {rates[:3]} {unit}; one rate of 8000 to 768000 hertz is needed"
            )
        if abs(rates[0] * factor - round(rates[0] * factor)) > 1e-6:
            raise BadInput(f"{self.path}: Data.SamplingRate is {rates[0]} {unit}; whole hertz are needed")
        return round(float(rates[0] * factor))

    def cartesian(self, name: str, rows: int) -> Float:
        """Positions ``(rows, 3)`` in m; one row in the file applies to all, a trailing axis is tried first."""
        x = np.asarray(self.need(name), dtype=float)
        x = x[..., 0] if x.ndim == 3 else x.reshape(-1, 3) if x.ndim < 2 else x
        kind, units = (self.attributes.get((name, a), "") for a in ("Type", "Units"))
        around_a_head = name == "SourcePosition" and self.convention.startswith("SimpleFreeField")
        usual = "spherical" if around_a_head else "cartesian"
        return cartesian(x, rows, kind, units, f"{self.path}: {name}", otherwise=usual)

    def view(self, name: str, rows: int) -> Float:
        """Direction ``(rows, 3)`` of a view vector, unit length; x ahead where the file has none."""
        if name not in self.values:
            return np.tile([1.0, 0.0, 0.0], (rows, 1))
        x = self.cartesian(name, rows)
        return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))

    def delays(self, shape: tuple[int, ...]) -> Float:
        """``Data.Delay`` in samples, broadcast to ``shape``; zeros where there is none."""
        d = np.asarray(self.values.get("Data.Delay", np.zeros(1)), dtype=float)
        units = self.attributes.get(("Data.Delay", "Units"), "")
        d = d * delay_samples(units, self.fs, f"{self.path}: Data.Delay") if np.any(d) else d
        while d.ndim < len(shape):
            d = d[..., None] if d.ndim == len(shape) - 1 and d.ndim > 1 else d[None]
        try:
            return np.asarray(np.broadcast_to(d, shape))
        except ValueError as fault:
            raise BadInput(f"{self.path}: Data.Delay has shape {d.shape}; it does not fit {shape}") from fault


def read(path: Path) -> SofaFile:
    """Read every variable of a file.

    Raises
    ------
    BadInput
        No such file, no HDF5, damaged, larger than it can be, a value that is no number, or not a SOFA file.
    """
    values, texts = {}, {}
    with foreign(path, REMEDY) as root:
        attributes = {("", k): _text(root.attrs, k) for k in root.attrs if k in GLOBAL or k.startswith("Sweetspot")}
        for name in root:
            if root.is_group(name):
                continue
            data = root.data(name)
            attributes |= {(name, k): _text(data.attrs, k) for k in data.attrs if k in ("Type", "Units")}
            _fits(data)
            if data.is_text:
                texts[name] = _rows(data)
            else:
                values[name] = np.asarray(data[:], dtype=float)
    convention = attributes.get(("", "SOFAConventions"), "")
    if not convention:
        raise BadInput(f"{path}: HDF5 without the attribute SOFAConventions: not a SOFA file")
    for name, x in values.items():
        if name.startswith(("Data.", "Source", "Listener", "Emitter", "Receiver")) and not np.isfinite(x).all():
            raise BadInput(f"{path}: {name} holds a value that is not a number")
    return SofaFile(path, convention, values, texts, attributes)


def _fits(data: Data) -> None:
    wanted = 8.0 * float(np.prod(data.shape, dtype=float))
    if wanted > MOST_BYTES:
        raise BadInput(f"{data.path}: {data.name} is {wanted / 1e9:.1f} GB; at most {MOST_BYTES / 1e9:.1f} GB")


def _text(attrs: Attributes, name: str) -> str:
    """An attribute as text; empty if it cannot be read."""
    try:
        value = attrs[name]
    except BadInput:
        return ""
    return " ".join(value) if isinstance(value, list) else str(value)


def _rows(data: Data) -> tuple[str, ...]:
    """One string a row of an array of strings or of single characters."""
    found = data.texts()
    count = data.shape[0] if data.shape else 1
    each = len(found) // max(count, 1)
    return tuple("".join(found[i * each : (i + 1) * each]).rstrip("\0 ") for i in range(count))

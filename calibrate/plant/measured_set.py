"""A measured set: responses, their measurement errors, and their gate."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sweetspot.calibrate.plant import gate as gates
from sweetspot.calibrate.plant.errors import MeasurementError
from sweetspot.calibrate.plant.gate import Gate
from sweetspot.calibrate.plant.matched_ears import corrected
from sweetspot.calibrate.plant.responses import Plant, gated
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.units import Complex, Float


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredSet:
    """Responses of one set with their errors and gate.

    Parameters
    ----------
    ir
        Responses ``(position, mic, driver, tap)``, Pa for a full-scale sample.
    errors
        Its measurement errors.
    gate
        Behind which it is looked at; ``None`` until one is chosen.

    Examples
    --------
    >>> ears = MeasuredSet(session.responses("ears"), errors)           # doctest: +SKIP
    >>> plant = ears.gated(design.filter).used_for("design").plant()    # doctest: +SKIP
    """

    ir: ImpulseResponse
    errors: MeasurementError
    gate: Gate | None = None

    @property
    def drift(self) -> float | Float:
        """Squared relative error that a band's bins share, of every path or of each."""
        return self.errors.drift

    def gated(self, design: gates.GateWish) -> MeasuredSet:
        """The same with the gate of the design, limited by the responses."""
        return replace(self, gate=gates.chosen(self.ir, design))

    def used_for(self, use: str) -> MeasuredSet:
        """The positions with this use, "design" or "score"."""
        rows = self.ir.positions["use"] == use.encode()
        return replace(self, ir=self.ir.used_for(use), errors=self.errors.at(rows))

    def corrected(self, gains: Float) -> MeasuredSet:
        """The same with each ear's responses multiplied by ``gains (2,)``, left and right."""
        return replace(self, ir=corrected(self.ir, gains))

    def plant(self) -> Plant:
        """Gated spectra with the error of each path.

        Raises
        ------
        BadInput
            A driver is silent at a position, by name.
        """
        return gated(self.ir, self.chosen_gate, self.errors)

    def spectra(self) -> Complex:
        """Gated spectra ``(position, mic, driver, frequency)``, Pa/FS."""
        return gates.spectra(self.ir, self.chosen_gate)

    def noise(self) -> Float:
        """Variance of :meth:`spectra`, (Pa/FS)^2."""
        return self.errors.gated(self.ir, self.chosen_gate)

    @property
    def chosen_gate(self) -> Gate:
        """The gate, once it was chosen."""
        if self.gate is None:
            raise ValueError("no gate was chosen for this set: see MeasuredSet.gated")
        return self.gate

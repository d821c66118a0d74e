"""One capture as it landed: what was planned, what was recorded, whether it is kept and why not."""

from __future__ import annotations

from dataclasses import dataclass

from sweetspot.measure.plan import Capture
from sweetspot.rigs.protocol import Recording


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A capture that was made.

    Parameters
    ----------
    capture
        What was planned.
    recording
        The microphones in the order of the plan, then the loopback.
    delay
        Latency of the interface as the loopback tells it, s.
    reason
        Why it was not accepted; empty when it was.
    temperature_c
        Of the air when it was made.
    snr_db
        One a microphone.
    clock_ppm
        By how much the inputs' clock ran faster than the outputs'; 0 for one clock.
    """

    capture: Capture
    recording: Recording
    delay: float
    reason: str = ""
    temperature_c: float | None = None
    snr_db: tuple[float, ...] = ()
    clock_ppm: float = 0.0

    @property
    def accepted(self) -> bool:
        """Whether it is kept as a measurement."""
        return not self.reason

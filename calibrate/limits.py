"""What a unit must reach to pass, and how a figure is judged against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SNR_DB = 20.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the verdict; all in dB.

    Parameters
    ----------
    cancellation_mean, cancellation_p10
        Least cancellation over scoring positions, sides and third octaves from 800 Hz to 6.3 kHz.
    target_shortfall
        Least cancellation over the target curve in any third octave from 800 Hz to 6.3 kHz, mean over positions and
        sides; negative when it may fall short.
    agreement
        Largest difference between predicted and heard in any third octave from 200 Hz to 8 kHz.
    contrast
        Least on-axis to off-axis contrast of the centre in any third octave from 400 Hz to 1.6 kHz.
    balance
        Largest difference in level between the left program at the left ear and the right one at the right ear.
    snr
        Least signal to noise of any response heard.
    """

    cancellation_mean: float = 12.0
    cancellation_p10: float = 6.0
    target_shortfall: float = -3.0
    agreement: float = 1.0
    contrast: float = 12.0
    balance: float = 1.0
    snr: float = SNR_DB


@dataclass(frozen=True, slots=True)
class Metric:
    """One judged figure.

    Parameters
    ----------
    name, explanation
        What it is, in a few words and in a sentence.
    predicted, heard
        dB; a metric without a prediction has ``None``.
    limit
        dB.
    sense
        Whether ``heard`` must be at least or at most ``limit``.
    """

    name: str
    explanation: str
    predicted: float | None
    heard: float
    limit: float
    sense: Literal["at least", "at most"]

    @property
    def margin(self) -> float:
        """How far on the right side of the limit, dB; negative when it fails."""
        return self.heard - self.limit if self.sense == "at least" else self.limit - self.heard

    @property
    def passed(self) -> bool:
        """Whether the limit is kept; a figure that is not a number never passes."""
        return self.margin >= 0.0

    @property
    def said(self) -> str:
        """One line with the value and the limit."""
        return f"{self.name}: {self.heard:.1f} dB, {self.sense} {self.limit:g} dB is needed"

"""One judged metric: its value, its limit, its uncertainty and its verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.verify.metric_kinds import KINDS, Sense

Verdict = Literal["pass", "grey", "fail"]
"""Of a unit."""

MetricVerdict = Literal["pass", "warn", "grey", "fail"]
"""Of one metric: ``warn`` is beyond a limit that warns and does not fail the unit."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One judged figure.

    Parameters
    ----------
    name, explanation
        What it is, in a few words and in a sentence.
    predicted, heard
        A metric without a prediction has ``None``.
    limit
        dB.
    sense
        Whether ``heard`` must be at least or at most ``limit``.
    uncertainty, predicted_uncertainty
        Standard uncertainty of ``heard`` and of ``predicted``, dB; ``None`` where it is not known.
    coverage
        How many of them make the grey zone on either side of the limit.
    coarsest
        For a difference of measured from predicted: largest uncertainty with which it passes; else ``None``.
    unit
        Of all of these; dB but for some.
    warns
        Beyond its limit the metric warns and does not fail the unit.
    key
        What the metric is to programs, see :mod:`sweetspot.calibrate.verify.metric_kinds`.
    spread, heads
        Standard deviation over head positions, and how many; ``None`` where it is no mean over heads. It is no part
        of the uncertainty, which covers measurement noise and repeatability only.
    """

    name: str
    explanation: str
    predicted: float | None
    heard: float
    limit: float
    sense: Sense
    uncertainty: float | None = None
    predicted_uncertainty: float | None = None
    coverage: float = 2.0
    coarsest: float | None = None
    unit: str = "dB"
    warns: bool = False
    spread: float | None = None
    heads: int = 0
    key: str = ""

    @classmethod
    def of(
        cls,
        key: str,
        explanation: str,
        limits: Limits,
        *,
        predicted: float | None,
        heard: float,
        uncertainty: float | None = None,
    ) -> Metric:
        """A metric of :data:`KINDS`, with its own limit."""
        kind = KINDS[key]
        limit = float(getattr(limits, kind.limit))
        made = cls(kind.name, explanation, predicted, heard, limit, kind.sense)
        return replace(made, uncertainty=uncertainty, coverage=limits.coverage, unit=kind.unit, key=key)

    def keeps(self, value: float) -> bool:
        """Whether a value is on the right side of the limit."""
        return value >= self.limit if self.sense == "at least" else value <= self.limit

    @property
    def margin(self) -> float:
        """Margin to the limit, dB; negative when it fails."""
        return self.heard - self.limit if self.sense == "at least" else self.limit - self.heard

    @property
    def guard(self) -> float:
        """Half of the width of the grey zone, dB."""
        return self.coverage * self.uncertainty if self.uncertainty is not None else 0.0

    @property
    def verdict(self) -> MetricVerdict:
        """``pass`` or ``warn`` of a metric that warns; else ``grey`` if the margin is smaller than its uncertainty.

        What is not a number fails.
        A difference of measured from predicted passes within its limit unless its uncertainty is too large; beyond
        it, it is grey where errors alone may explain it, and fails where they do not (as by the E_n score of ISO
        13528).
        """
        if self.warns:
            return "pass" if self.margin >= -self.guard else "warn"
        if self.coarsest is not None and self.margin >= 0.0:
            return "pass" if self.guard <= self.coarsest else "grey"
        if not self.margin >= -self.guard:
            return "fail"
        return "pass" if self.margin >= self.guard else "grey"

    @property
    def passed(self) -> bool:
        """Whether it passes: a warning does; inconclusive or NaN does not."""
        return self.verdict in ("pass", "warn")

    @property
    def text(self) -> str:
        """One line with the value and the limit."""
        sure = f" ± {self.guard:z.1f}" if self.uncertainty is not None else ""
        line = f"{self.name}: {self.heard:z.1f}{sure} {self.unit}".rstrip()
        line += f", {self.sense} {self.limit:.4g} {self.unit}".rstrip()
        line += " is advised" if self.warns else " is needed"
        why = "margin below its uncertainty" if self._near else "uncertainty too large"
        return line + (f": inconclusive ({why}); re-measure" if self.verdict == "grey" else "")

    @property
    def _near(self) -> bool:
        return abs(self.margin) < self.guard and self.coarsest is None

    @property
    def over_heads(self) -> str:
        """Text of the spread over head positions; empty if the metric is not a mean over them."""
        return f"± {self.spread:.1f} {self.unit} over {self.heads} head positions" if self.spread is not None else ""

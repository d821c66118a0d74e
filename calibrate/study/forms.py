"""Comparison of forms for engines without an upmix with the adaptive upmix: predicted width, centre stability and tone.
Plain stereo has left and right only. The linear form adds the centre program by a fixed share of the sum, ``C = a (L +
R)``, which narrows sounds on one side; the adaptive upmix extracts the centre from the common signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from sweetspot.calibrate.auditory import PANS, Assessment
from sweetspot.processor.export import LINEAR_SHARE, STABLE_DEG, FormRow, linear
from sweetspot.processor.filterset import FilterSet

CENTRE = PANS.index(0.0)


def forms(filters: FilterSet) -> list[tuple[str, FilterSet]]:
    """The forms by name, each as a filter set, without an upmix if the form has none."""
    shares = sorted({LINEAR_SHARE, 0.5})
    return [
        ("plain stereo, no centre program", filters.without_upmix()),
        *((f"linear, C = {a:g} (L + R)", linear(filters, a).without_upmix()) for a in shares),
        (f"adaptive upmix, {filters.upmix.method}", filters),
    ]


def row(name: str, found: Assessment) -> FormRow:
    """Figures of a form from the assessment of its filter set."""
    unit, pair = found.arms["calibrated"], found.arms["reference"]
    error = np.abs(np.degrees(unit.azimuth[:, CENTRE] - pair.azimuth[:, CENTRE]))
    return FormRow(
        name, unit.width_deg, int(np.sum(error <= STABLE_DEG)), len(error), float(error.max()), unit.tone_rms_db
    )


def to_dict(rows: Sequence[FormRow]) -> list[dict[str, Any]]:
    """The rows for JSON."""
    return [asdict(r) for r in rows]

"""The filter set of tests that play live: three programs to three drivers whose channels are not in order."""

from __future__ import annotations

import numpy as np

from sweetspot.processor.filterset import FilterSet, UpmixSettings

FS = 47872


def filter_set(taps: np.ndarray, method: str = "off") -> FilterSet:
    """A set with these taps ``(3, 3, tap)``, for channels 5, 1 and 2."""
    return FilterSet(
        taps,
        fs=FS,
        drivers=("a", "b", "c"),
        ceiling=0.5,
        delay_samples=40,
        headroom_db=12.0,
        channels=(5, 1, 2),
        source="0" * 64,
        unit_serial="U",
        upmix=UpmixSettings(method=method),
    )

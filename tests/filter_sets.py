"""Filter sets for tests: their taps, and what a test names; the rest is the same for all."""

from __future__ import annotations

from typing import Any

import numpy as np

from sweetspot.processor.filterset import FilterSet, UpmixSettings

FS = 47872


def filter_set(taps: np.ndarray, method: str = "off", **named: Any) -> FilterSet:
    """A set with these taps ``(3, driver, tap)``, for channels that are not in order: 5, 1, 2, 6, 7 ..."""
    drivers = taps.shape[1]
    usual = {
        "fs": FS,
        "drivers": tuple("abcdefgh"[:drivers]),
        "ceiling": 0.5,
        "delay_samples": 40,
        "headroom_db": 12.0,
        "channels": (5, 1, 2, 6, 7, 8, 9, 10)[:drivers],
        "source": "0" * 64,
        "unit_serial": "U",
        "upmix": UpmixSettings(method=method),
    }
    return FilterSet(taps, **(usual | named))

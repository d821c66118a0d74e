"""One table of cases for every form of the processor: our engine, the C library in floats and in fixed point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sweetspot.processor.filterset import FilterSet
from tests.processor.library.loaded import crooked, detectors, music


@dataclass(frozen=True, slots=True)
class Case:
    """A unit, an upmix and a sound.

    Parameters
    ----------
    method
        Of the upmix.
    drivers, taps, fs, block
        Sizes.
    loud
        Gain of the filters: above 1 the guard works.
    caps
        Whether the drivers have ceilings of their own.
    spl
        Largest magnitude of the detectors of sound pressure: above about 10 the SPL limiter works; 0: there are none.
    """

    method: str
    drivers: int
    taps: int
    fs: int
    block: int
    loud: float = 1.0
    caps: bool = False
    spl: float = 0.0

    def __str__(self) -> str:
        caps = "-caps" if self.caps else ""
        spl = f"-spl-{self.spl:g}" if self.spl else ""
        return f"{self.method}-{self.drivers}x{self.taps}-{self.fs}-{self.block}-{self.loud:g}{caps}{spl}"

    def filters(self) -> FilterSet:
        """The unit."""
        made: FilterSet = crooked(self.drivers, self.taps, self.fs, self.method, self.loud)
        made = replace(made, detectors=detectors(self.spl)) if self.spl else made
        return replace(made, caps=tuple(np.linspace(0.15, 0.7, self.drivers).tolist())) if self.caps else made

    def sound(self) -> Any:
        """Loud for two seconds, where the guard works."""
        return music(24000 if self.loud <= 1.0 else 2 * self.fs)


CASES = [
    Case("soft-projection", 5, 200, 44100, 128, caps=True),
    Case("soft-projection", 2, 1500, 47872, 64, 40.0),
    Case("projection", 5, 300, 47872, 64),
    Case("projection", 8, 1024, 44100, 256, 40.0, caps=True),
    Case("low-latency", 3, 77, 48000, 16),
    Case("low-latency", 2, 2048, 96000, 1024, 40.0),
    Case("similarity", 7, 129, 47872, 128),
    Case("pca", 4, 500, 48000, 32, 40.0, caps=True),
    Case("off", 6, 1000, 44100, 512, 40.0),
    Case("off", 1, 1, 47872, 16),
    Case("off", 32, 9, 8000, 16, 40.0, caps=True),
    Case("off", 2, 33, 384000, 256, 40.0),
    Case("soft-projection", 3, 150, 44100, 64, spl=30.0),
    Case("off", 2, 40, 8000, 16, spl=30.0),
    Case("low-latency", 4, 90, 96000, 512, 40.0, caps=True, spl=50.0),
    Case("off", 2, 1000, 47872, 128, 40.0, spl=1e-6),
]

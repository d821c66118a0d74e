"""Filter design: crosstalk cancellation, beam, virtual loudspeakers, alignment, and short FIRs for one unit."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.filters import align as align
    from sweetspot.calibrate.filters import leastsquares as leastsquares
    from sweetspot.calibrate.filters import loudest as loudest
    from sweetspot.calibrate.filters import protection as protection
    from sweetspot.calibrate.filters import room as room
    from sweetspot.calibrate.filters import staging as staging
    from sweetspot.calibrate.filters import virtualize as virtualize
    from sweetspot.calibrate.filters.beam_alone import fit_beam as fit_beam
    from sweetspot.calibrate.filters.fir import causal as causal
    from sweetspot.calibrate.filters.fir import held_outside as held_outside
    from sweetspot.calibrate.filters.staging import staged_filters as staged_filters
    from sweetspot.calibrate.filters.unit_filters import beam_of as beam_of
    from sweetspot.calibrate.filters.unit_filters import fit as fit
    from sweetspot.calibrate.filters.virtualize import FIT_HZ as FIT_HZ
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)

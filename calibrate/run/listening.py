"""What a listener gets of a verified unit, computed on another core from when the ears are measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from sweetspot.calibrate.auditory import Assessment, UnitImage
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.plant import Fitted, MeasuredSet, share_of
from sweetspot.calibrate.run.sets import measured_set
from sweetspot.measure.folder import session_file
from sweetspot.measure.session import Session
from sweetspot.processor.compiled import ahead
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.parallel import forked


class ListenerAhead:
    """The listener's part of a verdict, begun while the polar set is measured: 0.9 s of processor time.

    What it takes of the session is computed while the sweeps are planned. A context, to be opened before any device
    is: this process is copied.

    Parameters
    ----------
    fitted
        Its calibration; for a verification through our own engine, whose latency is known.
    """

    def __init__(self, run: Path, fitted: Fitted) -> None:
        self._filters, self._made = fitted.filters, list[tuple[Assessment, UnitImage]]()
        self._ears, self._given = forked.Later[MeasuredSet](), list[MeasuredSet]()
        _scored(run)  # for both processes, as what loops need
        ahead()
        self._work = forked.begun([partial(_listened, run, fitted, self._ears)])

    def give(self, ears: MeasuredSet) -> None:
        """The ears of the verification; of several visits the first."""
        if not self._given:
            self._given.append(ears)
            self._ears.give(ears)

    def knows(self, ears: MeasuredSet, filters: FilterSet) -> bool:
        """Whether the result is that of these ears and filters."""
        if not self._given or filters is not self._filters:
            return False
        given = self._given[0]
        if given.errors is None or ears.errors is None:
            return False
        same_errors = np.array_equal(given.errors.stderr, ears.errors.stderr)
        return same_errors and np.array_equal(given.ir.h, ears.ir.h)

    def __call__(self) -> tuple[Assessment, UnitImage]:
        """The assessment, and the unit's image with its loudness, once the ears were given."""
        if not self._made:
            self._made += self._work()
        return self._made[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._work.__exit__()
        self._ears.__exit__()


def _listened(run: Path, fitted: Fitted, ears: Callable[[], MeasuredSet]) -> tuple[Assessment, UnitImage]:
    """All that :class:`ListenerAhead` computes."""
    scored = _scored(run)
    how = run, fitted.filters, fitted.ears
    louder = auditory.unit_loudness(*how, scored.ir)
    verified, share = ears(), share_of(fitted.filters)
    image = auditory.of_verification(*how, verified.ir, share)
    unit = auditory.unit(*how, measured=scored, verified=verified, share=share)
    return image, unit.louder(louder)


def _scored(run: Path) -> MeasuredSet:
    """The session's ears at the scoring positions."""
    with Session.read(session_file(run)) as session:
        return measured_set(session, "ears").used_for("score")

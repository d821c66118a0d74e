"""Common interface to deployed processors: the built-in engine, an engine on the audio server, or the device itself. It
needs no hardware: the processor, its form of the filters, expected responses, and measured responses with the excess
latency removed. :mod:`verify.insert` connects it to the rig.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.plant import MeasuredSet, Prediction, frequencies, share_of, uncertainty
from sweetspot.calibrate.plant import prediction as predict
from sweetspot.calibrate.verify import chain_figures, default_limits, verification
from sweetspot.calibrate.verify.diagnose import residual
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.through import DEVICE, OWN, THROUGH
from sweetspot.calibrate.verify.verification import ProcessorUsed, Verification
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.processor.export import ENGINES, UNGUARDED, c_library, without_guard
from sweetspot.processor.export.library import blob_differences
from sweetspot.processor.export.running import live
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.errors import BadInput, SweetspotError
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex


@dataclass(frozen=True, slots=True, eq=False)
class Deployed:
    """A deployed processor as verification sees it.

    Parameters
    ----------
    name
        One of :data:`THROUGH`.
    filters
        In the form that it runs, see :meth:`FilterSet.without_upmix`.
    inputs
        Output channels that feed it left and right, counted from 1; ``None`` for our own engine, which is no hardware.
    exported
        The folder of an export that is played as it lies there; ``None`` for a new export.
    lowered_db
        By how much its filters are lowered, dB, as ``export`` lowers them for an engine without a guard.
    """

    name: str
    filters: FilterSet
    inputs: tuple[int, int] | None
    exported: Path | None = None
    lowered_db: float = 0.0

    @property
    def timed(self) -> bool:
        """Whether its latency is known beforehand."""
        return self.inputs is None


class WrongExport(SweetspotError):
    """A verdict, not a rig fault: the export differs from the run's filters."""


def as_exported(name: str, filters: FilterSet, folder: Path) -> None:
    """Compare the blob of an export with the filters that it should hold.

    Raises
    ------
    BadInput
        A processor without a blob, or a folder without one.
    WrongExport
        It differs: an old blob, another unit, a wrong rate, swapped channels, a missing centre, a guard too high.
    """
    if name not in live.LIVE or not live.LIVE[name].whole:
        raise BadInput(f"--exported is for processors that load a blob (c, lv2, pipewire), not for {name}")
    blob = folder / c_library.BLOB
    if not blob.is_file():
        raise BadInput(f"{folder}: has no {c_library.BLOB}; give the folder of `sweetspot export --to {name}`")
    if found := blob_differences(blob.read_bytes(), filters):
        raise WrongExport(f"{blob}: FAIL, {'; '.join(found)}. Nothing was played. Export again")


def choose(
    name: str,
    filters: FilterSet,
    rig: Description,
    *,
    upmixes: bool = False,
    exported: Path | None = None,
    runs: str = "",
) -> Deployed:
    """The processor of a name, with all checks that need no open device.

    Parameters
    ----------
    upmixes
        Whether a device takes what both sides share to the centre program, as our own engine does.
    exported
        The folder of an export that is to be played as it lies there; see :func:`as_exported`.
    runs
        The engine whose export a device runs: without a guard it is quieter by a known gain.

    Raises
    ------
    BadInput
        An unknown name, an engine that is not installed, or a rig without program outputs.
    """
    if name not in THROUGH:
        raise BadInput(f"through {name!r}: no such processor; choose one of: {', '.join(THROUGH)}")
    if runs and (name != DEVICE or runs not in ENGINES):
        raise BadInput(f"--runs {runs}: --runs is for --through device, and names one of: {', '.join(ENGINES)}")
    if exported is not None:
        as_exported(name, filters, exported)
    if name == OWN:
        return Deployed(name, filters, None)
    whole = name in live.LIVE and live.LIVE[name].whole
    if upmixes and name != DEVICE and not whole:
        raise BadInput(f"{name} has no upmix: it plays left and right only. --upmix is for --through device")
    if name != DEVICE:
        live.check_live(name)
    program = rig.interface.program
    if program is None:
        raise BadInput(
            f"rig {rig.name!r} has no program outputs, which feed {name}: add to its [interface] "
            "program = { left = 11, right = 12 }"
        )
    form, lowered_db, _ = without_guard(filters if upmixes or whole else filters.without_upmix(), runs or name)
    return Deployed(name, form, (program.left, program.right), exported, lowered_db)


SAME_LEVEL_DB = 0.3
"""How near a level must be to that of an export without a guard, to be taken for it, dB."""


def unguarded_level(level_db: float, through: ProcessorUsed | None, filters: FilterSet) -> str:
    """What to do where a device is quieter by just what an export to an engine without a guard is; else nothing."""
    if through is None or through.name != DEVICE or through.lowered_db:
        return ""
    _, lowered_db, _ = without_guard(filters, UNGUARDED[0])
    if lowered_db < SAME_LEVEL_DB or abs(level_db + lowered_db) > SAME_LEVEL_DB:
        return ""
    return (
        f"; an export to an engine without a guard is lowered by {lowered_db:.1f} dB: if the device runs one, verify "
        "with --runs ENGINE"
    )


def predicted(prediction: Prediction, deployed: FilterSet, polar: MeasuredSet) -> Prediction:
    """A calibration's prediction for the deployed form: around the device, that of ``both``.

    Parameters
    ----------
    prediction
        Of the filters with their centre program.
    deployed
        In the form that is deployed.
    polar
        The session's polar set.
    """
    if share_of(deployed) > 0.0:
        return prediction
    whole = prediction.whole

    def both(programs: Complex) -> Complex:
        return np.asarray(programs[:, 0, 0] + programs[:, 0, 1])

    sound = both(predict.programs(polar.ir, deployed, whole.polar_gate))
    w = np.asarray(deployed.response(frequencies(polar.ir.fs)), dtype=np.complex128)
    behind = replace(polar, gate=whole.polar_gate)
    noise, power = uncertainty.through((w[0] + w[1])[None], behind.spectra(), behind.noise(), 1.0)
    whole = replace(
        whole,
        polar=both(predict.programs(polar.ir, deployed)),
        polar_early=both(predict.windowed(polar.ir, deployed, whole.polar_end)),
        polar_noise=noise[:, 0, 0],
        polar_power=power[:, 0, 0],
    )
    return replace(prediction, polar=sound, whole=whole)


@dataclass(frozen=True, slots=True, eq=False)
class ReadVerification:
    """Responses measured through a processor, without its latency, and their reference.

    Parameters
    ----------
    ears, polar
        Heard, the last fraction of a sample taken out too.
    prediction, filters
        In the form that was deployed.
    through
        ``None`` in a file of an earlier version, which knew our own engine alone.
    distortion
        Of the stimuli, see :func:`chain_figures.to_dict`; none in a file of an earlier version.
    rub_and_buzz
        Of the stimuli, see :func:`chain_figures.rows_of`; none in a file of an earlier version.
    guard_db
        What the processor's outputs reach under a loud program, dB re the ceiling; ``None`` where it was not tried.
    """

    ears: MeasuredSet
    polar: MeasuredSet
    prediction: Prediction
    filters: FilterSet
    through: ProcessorUsed | None
    distortion: tuple[Mapping[str, Any], ...] = ()
    rub_and_buzz: tuple[Mapping[str, Any], ...] = ()
    guard_db: float | None = None

    @property
    def timed(self) -> bool:
        """Whether the latency was known beforehand."""
        return self.through is None or self.through.name == OWN

    def verdict(
        self,
        measured: MeasuredSet,
        limits: Limits,
        reachable: Mapping[str, float] = default_limits.NOTHING,
    ) -> Verification:
        """Measured against expected, from the session's ears.

        Parameters
        ----------
        reachable
            See :func:`sweetspot.calibrate.verify.default_limits.followed`.
        """
        found = verification.judge(self.ears, self.polar, measured, self.prediction, self.filters, limits)
        more = [chain_figures.latency(self.filters, self.through, limits)]
        more += chain_figures.treble(found, measured.ir.band[1], limits)
        more += [chain_figures.distortion(self.distortion, limits)] if self.distortion else []
        more += [chain_figures.rub_and_buzz(self.rub_and_buzz, limits)] if self.rub_and_buzz else []
        more += [chain_figures.guard(self.guard_db, limits)] if self.guard_db is not None else []
        found = replace(found, metrics=(*found.metrics, *more))
        found = judged(replace(found, through=self.through), self.filters, limits)
        metrics, names = default_limits.followed(found.metrics, limits, reachable)
        return replace(found, metrics=metrics, followed=names, default_limits=not limits.given)


def understood(
    attributes: Mapping[str, Any],
    heard: tuple[MeasuredSet, MeasuredSet],
    measured: tuple[MeasuredSet, MeasuredSet],
    deployed: tuple[Prediction, FilterSet],
) -> ReadVerification:
    """Read a verification's record of its processor.

    Parameters
    ----------
    attributes
        ``name``, ``form``, ``latency_samples``, ``distortion`` and ``rub_and_buzz``; empty in a file of an
        earlier version.
    heard, measured
        Ears and polar set of the verification and of the session.
    deployed
        Prediction and filters of the calibration.
    """
    prediction, filters = deployed
    if not attributes:
        return ReadVerification(*heard, prediction, filters, None)
    late, lowered_db = float(attributes["latency_samples"]), float(attributes.get("lowered_db", 0.0))
    through = ProcessorUsed(attributes["name"], attributes["form"], late, filters.fs, lowered_db)
    filters = filters.without_upmix() if through.form == "stereo" else filters
    if through.name != OWN:
        rest = rest_of(heard[0].ir, measured[0].ir, filters, share_of(filters))
        ears, polar = (replace(one, ir=earlier(one.ir, rest)) for one in heard)
        heard = ears, polar
        through = replace(through, latency_samples=through.latency_samples + rest * filters.fs)
    return ReadVerification(
        *heard,
        predicted(prediction, filters, measured[1]),
        filters,
        through,
        distortion=tuple(attributes.get("distortion", ())),
        rub_and_buzz=tuple(attributes.get("rub_and_buzz", ())),
        guard_db=attributes.get("guard_db"),
    )


FOR_A_BEAM = 3
"""Drivers that it takes to have nulls on both sides and a lobe ahead."""


def judged(found: Verification, deployed: FilterSet, limits: Limits) -> Verification:
    """A verdict with the centre's beam only for processors that can have one.

    Where there is no centre program, or only a pair of drivers, both sides together must have the contrast that was
    predicted of them, within the limit of agreement.
    """
    why = "this processor has no centre program" if share_of(deployed) <= 0.0 else ""
    why = why or ("a pair of drivers has no beam" if len(deployed.drivers) < FOR_A_BEAM else "")
    return replace(found, metrics=tuple(_phantom(m, limits, why) for m in found.metrics)) if why else found


def _phantom(metric: Metric, limits: Limits, why: str) -> Metric:
    if metric.key != "contrast" or metric.predicted is None:
        return metric
    explanation = f"{metric.explanation} Left and right together as predicted: {why}."
    wanted = min(metric.limit, metric.predicted - limits.agreement)
    return replace(metric, explanation=explanation, limit=wanted)


def rest_of(ears: ImpulseResponse, measured: ImpulseResponse, filters: FilterSet, share: float) -> float:
    """Delay of measured re predicted, over all positions and stimuli, s."""
    s = residual.of(measured.used_for("score"), ears, filters, share, timed=False)
    return s.lag(np.sum(s.weight * s.heard * s.predicted().conj(), axis=(0, 1, 2)))


def earlier(ir: ImpulseResponse, seconds: float) -> ImpulseResponse:
    """Responses without a common delay, fractions of a sample included."""
    n = int(fft.next_fast_len(2 * ir.h.shape[-1], real=True))
    return replace(ir, h=fft.delayed(ir.h, -seconds * ir.fs, n)[..., : ir.h.shape[-1]])

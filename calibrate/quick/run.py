"""From a run with a monitor capture to a session with estimated responses; and the units of a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sweetspot.calibrate.plant import MeasurementError, frequencies
from sweetspot.calibrate.quick import features, judge, learning, model_file, ratio, unit
from sweetspot.calibrate.quick.estimate import UNPLAYED, Posterior
from sweetspot.calibrate.quick.judge import UnitFault
from sweetspot.calibrate.quick.model import NEPER_DB, GoldenModel, ModelSet
from sweetspot.calibrate.quick.seat import SeatPlaces
from sweetspot.calibrate.quick.unit import SETS, MeasuredUnit
from sweetspot.measure.folder import session_file
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.plan import SetName
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import alone, as_stored, file_sha256
from sweetspot.rigs.units import Complex, Float

NOTE = "estimate"
"""Name of the annotation in ``session.h5`` with the source of an estimate, or the reason for its rejection."""

WARMEST_K = 3.0
"""Temperature difference from the model above which a new model is needed, K."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """Result of a unit's monitor capture.

    Parameters
    ----------
    model
        The model, and :attr:`model_sha256` its file's digest.
    y
        Log ratios ``(driver, mic, frequency)`` at the monitors.
    limit
        Largest distance of a good driver.
    findings
        What is wrong; empty for a unit within the span.
    """

    model: GoldenModel
    model_sha256: str
    y: Complex
    drivers: tuple[Posterior, ...]
    limit: float
    beside: features.Beside
    findings: tuple[UnitFault, ...]

    @property
    def accepted(self) -> bool:
        """Whether the unit is within the range of the model's units."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """For JSON and for the session file."""
        each = [features.judged(self.model.f, p) for p in self.model.plays]
        ears = self.model.sets["ears"].paths
        stated = [self.model.stated("ears", x.variance[ears])[:, f] for x, f in zip(self.drivers, each, strict=True)]
        sigma = [NEPER_DB * float(np.sqrt(v).mean()) for v in stated]
        level = [NEPER_DB * np.median(one.real[:, f]) for one, f in zip(self.y, each, strict=True)]
        return {
            "verdict": "estimated" if self.accepted else "refused",
            "model_sha256": self.model_sha256,
            "units": list(self.model.units),
            "limit": self.limit,
            "drivers": [
                {"name": n, "distance": one.distance, "level_db": float(g), "uncertainty_db": s}
                for n, one, g, s in zip(self.model.drivers, self.drivers, level, sigma, strict=True)
            ],
            "findings": [x.to_dict() for x in self.findings],
            "remarks": list(self.remarks),
        }

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks on an accepted unit: what is corrected, and what has drifted."""
        return judge.remarks(self.model, self.y, self.beside) if self.accepted else ()

    @property
    def text(self) -> str:
        """Lines for a reader."""
        facts = self.to_dict()["drivers"]
        rows = [
            f"  {d['name']:<16} {d['level_db']:+6.2f} dB re the mean unit, distance {d['distance']:5.2f} (limit "
            f"{self.limit:.2f}), estimated to {d['uncertainty_db']:.2f} dB"
            for d in facts
        ]
        head = f"{self.model.text}, SHA-256 {self.model_sha256[:12]}"
        return "\n".join([head, *rows, *(f"  {x}" for x in (*(f.text for f in self.findings), *self.remarks))])


def measured_unit(run: Path) -> MeasuredUnit:
    """A run's data for learning.

    Raises
    ------
    BadInput
        No run, an unfinished one, or one that was itself estimated.
    """
    with Session.read(session_file(run)) as session:
        names = [n for n in SETS if session.has(n)]  # type: ignore[arg-type]
        if any(session.is_estimated(n) for n in session.sets):
            raise BadInput(f"{run}: was estimated from a model; a model is learned from measured units only")
        sets = {n: session.responses(n) for n in names}  # type: ignore[arg-type]
        return MeasuredUnit(session.serial, sets, {n: errors_of(session, n) for n in names})  # type: ignore[arg-type]


def errors_of(session: Session, name: SetName) -> MeasurementError:
    """Noise of a measured set."""
    return MeasurementError(session.per_bin(name, "stderr"), 0.0)


def runs_below(folder: Path) -> list[Path]:
    """The newest complete run of every unit below a folder, estimated ones left out.

    Raises
    ------
    BadInput
        There is none.
    """
    newest: dict[str, Path] = {}
    for file in sorted(folder.glob("**/session.h5"), key=lambda p: p.parent.name):
        with Session.read(file) as session:
            if session.sets and not any(session.is_estimated(n) for n in session.sets):
                newest[session.serial] = file.parent
    if not newest:
        raise BadInput(f"{folder}: has no measured unit; measure some with: sweetspot measure ears RIG --unit SERIAL")
    return [newest[s] for s in sorted(newest)]


def learned(runs: Sequence[Path], step: Any = lambda note: None) -> tuple[GoldenModel, Description]:
    """A model from runs, and the rig that they were measured with.

    Raises
    ------
    BadInput
        Runs of several rigs, or one that cannot be read; names it.
    """
    rig: Description | None = None
    units = []
    for run in runs:
        with Session.read(session_file(run)) as session:
            own = session.rig()
        if rig is not None and own.sha256 != rig.sha256:
            raise BadInput(f"{run}: was measured with another rig file than {runs[0]}: a model is of one rig")
        rig = rig or own
        units.append(measured_unit(run))
        step(units[-1].serial)
    if rig is None:
        raise BadInput("no run to learn from")
    return learning.learn(units, rig), rig


def check_fits(model: GoldenModel, rig: Description) -> None:
    """Refuse a model of another rig.

    Raises
    ------
    BadInput
        Names what differs.
    """
    known = model.sets["monitor"].ir
    pairs = (
        ("drivers", known.drivers, rig.driver_names),
        ("monitor microphones", known.mics, tuple(m.name for m in rig.monitor_mics)),
        ("sampling rate", (f"{known.fs} Hz",), (f"{rig.fs} Hz",)),
    )
    for what, has, wanted in pairs:
        if has != wanted:
            raise BadInput(
                f"the model's {what}: {', '.join(has) or 'none'}; of rig {rig.name!r}: {', '.join(wanted) or 'none'}; "
                "learn a model on this rig: sweetspot fleet learn DIR --out model.h5"
            )
    apart = abs(rig.environment.temperature_c - model.temperature_c)
    if apart > WARMEST_K:
        raise BadInput(
            f"environment.temperature_c: {rig.environment.temperature_c:g} is {apart:.1f} K from the model's "
            f"{model.temperature_c:g}; at most {WARMEST_K:g} K: learn a model at this temperature"
        )


def observed(model: GoldenModel, ir: ImpulseResponse, error: MeasurementError, name: str) -> tuple[Complex, Float]:
    """Log ratios ``(driver, mic, frequency)`` of a capture to the mean unit, and the variance by noise."""
    known = model.sets[name]
    if ir.h.shape != known.ir.h.shape:
        raise BadInput(
            f"the capture at the {name} microphones has shape {ir.h.shape}, the model's {known.ir.h.shape}: sweep and "
            "rig must be those of the model's units"
        )
    how = unit.chosen(known.ir)
    ir = _with_trace(ir)
    h = unit.spectra(ir, how)
    noise = unit.noise(ir, error, how, h, model.f)
    y = ratio.log_ratio(h, unit.spectra(known.ir, how), frequencies(ir.fs), model.f, model.plays)
    return y, np.where(model.plays[:, None, :], noise, UNPLAYED)


def _with_trace(ir: ImpulseResponse) -> ImpulseResponse:
    """The capture with a tiny signal for a silent driver: that is judged, not an error."""
    silent = np.abs(ir.h).max(axis=-1, keepdims=True) <= 0.0
    if not silent.any():
        return ir
    h = np.array(ir.h)
    h[..., ir.zero : ir.zero + 1] += np.where(silent, 1e-12, 0.0)
    return replace(ir, h=h)


def estimate(
    model: GoldenModel,
    sha256: str,
    ir: ImpulseResponse,
    error: MeasurementError,
    mics: Iterable[str] | None = None,
    *,
    rig: Description | None = None,
) -> Estimate:
    """Estimate of a unit from a capture at the model's fixed microphones.

    Parameters
    ----------
    mics
        Names of the monitors to use; by default all.
    rig
        Whose places of drivers and monitors tell a unit that is turned on its seat.
    """
    y, noise = observed(model, ir, error, model.by)
    seen = model.sets[model.by].first + np.arange(len(model.observed))
    wanted = [i for i, n in enumerate(model.observed) if mics is None or n in set(mics)]
    found = tuple(
        learning.predicted(model, y[d, wanted], noise[d, wanted], list(seen[wanted]), model.components[:, d])
        for d in range(len(model.drivers))
    )
    most = judge.limit(model)
    known = model.sets[model.by].ir
    mean = judge.observed_log(unit.spectra(known, unit.chosen(known)), frequencies(known.fs), model.f)
    near = features.beside(model, y, mean, judge.FALSE_ALARM)
    places = SeatPlaces.of(rig, model.observed) if rig else None
    wrong = judge.findings(model, y, found, mean, most, near, places=places)
    return Estimate(model, sha256, y, found, limit=most, beside=near, findings=wrong)


def responses(found: Estimate, name: str) -> tuple[ImpulseResponse, Float, Float]:
    """A set of the unit as estimated: responses, their standard errors, and squared relative errors of the estimate.

    Both errors are ``(position, mic, driver, bin)``.
    """
    known: ModelSet = found.model.sets[name]
    ir = known.ir
    f: Float = np.asarray(np.fft.rfftfreq(ir.h.shape[-1], 1.0 / ir.fs), dtype=np.float64)
    shape = (len(found.drivers), *ir.h.shape[:2])
    model = found.model
    each = [ratio.held(x.mean[known.paths], model.f, p) for x, p in zip(found.drivers, model.plays, strict=True)]
    log_r = np.stack(each).reshape(*shape, -1)
    variance = np.stack([found.model.stated(name, p.variance[known.paths]) for p in found.drivers]).reshape(*shape, -1)
    own = ratio.applied(np.moveaxis(ir.h, 2, 0), log_r, found.model.f, ir.fs)
    gain = np.exp(ratio.between(log_r.real, found.model.f, f))
    stderr = known.stderr * np.moveaxis(gain, 0, 2)
    relative = np.moveaxis(ratio.between(2.0 * variance, found.model.f, f), 0, 2)
    return replace(ir, h=np.moveaxis(own, 0, 2)), np.asarray(stderr), np.asarray(relative)


def complete(run: Path, model: GoldenModel, sha256: str) -> Estimate:
    """Estimate a run's ears and polar set from its monitor capture and keep them, unless the unit is refused.

    Raises
    ------
    BadInput
        The run holds no finished monitor capture, or ears already.
    """
    with alone(run), Session.resume(session_file(run)) as session:
        rig = session.rig()
        check_fits(model, rig)
        found = estimate(model, sha256, session.responses("monitor"), errors_of(session, "monitor"), rig=rig)
        keep(session, found, f"the monitor capture by the {model.text}, SHA-256 {sha256[:12]}")
    return found


def keep(session: Session, found: Estimate, origin: str, before: Mapping[str, Float | None] | None = None) -> None:
    """Write an estimate into a session, with its ears and polar set unless the unit is refused.

    Parameters
    ----------
    origin
        Data of the estimate, as text.
    before
        By set, squared relative errors ``(position, mic, driver, bin)`` that the model's own responses had.
    """
    session.annotate(NOTE, json.dumps(found.to_dict(), indent=1))
    names: tuple[SetName, ...] = ("ears", "polar")
    for one in names if found.accepted else ():
        if one in found.model.sets:
            ir, stderr, relative = responses(found, one)
            had = (before or {}).get(one)
            session.put(one, ir, stderr, origin, relative=relative if had is None else relative + had)


def was_refused(session: Session) -> bool:
    """Whether an estimate refused the unit of a session, so that it has neither ears nor polar set."""
    with as_stored(f"{session.path}: /{NOTE}", "Capture the unit anew"):
        return bool(json.loads(session.annotation(NOTE) or "{}").get("verdict") == "refused")


def read_model(path: Path) -> tuple[GoldenModel, str]:
    """A model and the SHA-256 of its file."""
    return model_file.read(path), file_sha256(path)


BANDS_HZ = ((300.0, 800.0), (800.0, 6300.0), (6300.0, 16000.0))


def described(model: GoldenModel) -> dict[str, Any]:
    """Origin and accuracy of a model, for JSON."""
    bands = []
    for low, high in BANDS_HZ:
        inside = (model.f >= low) & (model.f < high)
        variances = (model.common, model.local)
        common, local = (NEPER_DB * float(np.sqrt(np.mean(v[inside]))) for v in variances)
        bands.append({"band_hz": [low, high], "left_common_db": common, "left_local_db": local})
    return {
        "units": list(model.units),
        "components": len(model.components),
        "monitors": list(model.observed),
        "temperature_c": model.temperature_c,
        "gauge_db": NEPER_DB * float(np.sqrt(model.gauge)),
        "distance_limit": judge.limit(model),
        "false_alarm": judge.FALSE_ALARM,
        "bands": bands,
    }


def description_text(model: GoldenModel) -> str:
    """The same for a reader."""
    facts = described(model)
    leaves = "components leave" if len(model.components) else "assumed of other units (one shows no spread):"
    lines = [
        f"  {b['band_hz'][0]:g} to {b['band_hz'][1]:g} Hz: {leaves} {b['left_common_db']:.2f} dB alike in all "
        f"directions, {b['left_local_db']:.2f} dB in one"
        for b in facts["bands"]
    ]
    proof = "units left out in turn" if model.count else "an assumption: learn two or more units"
    limit = (
        f"  a driver farther than {facts['distance_limit']:.1f} from the mean unit is rejected (false-alarm rate "
        f"{100 * judge.FALSE_ALARM:g} % a unit, by {proof}); monitors repeat to {facts['gauge_db']:.3f} dB"
    )
    return "\n".join([*lines, limit])

"""Results of a calibration in parts: as text for people and as data for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweetspot.calibrate import bank as banks
from sweetspot.calibrate import study
from sweetspot.calibrate.design import Design
from sweetspot.calibrate.plant import Fitted, errors, one_direction
from sweetspot.calibrate.run.fit import forms_of, image
from sweetspot.calibrate.run.kept import bank_figures, kept_front, kept_image, zone
from sweetspot.calibrate.run.sets import level_known, scored_where_designed
from sweetspot.calibrate.run.studies import (
    described,
    explained,
    faced_aside,
    left_out_position,
    uncertainty,
    virtual_missed,
)
from sweetspot.calibrate.verify import figures
from sweetspot.measure.ear_matching import driver_faults
from sweetspot.measure.folder import session_file
from sweetspot.measure.session import Session
from sweetspot.processor import export
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import command
from sweetspot.rigs.rig_file import limits_of
from sweetspot.rigs.units import db

COMPARED = "Scoring positions: mean / 10th percentile / nominal head, E effort; dB"
LEAST_DB = 0.05
"""A smaller change of the ceiling is not printed."""
LEFT_OUT = "Cross-validation over positions: mean / 10th percentile / nominal head, E effort; dB"


@dataclass(frozen=True, slots=True)
class CalibrationPart:
    """One part of a command's output: paragraphs of ``text``, and its keys of the JSON object."""

    text: str
    data: Mapping[str, Any]


def fitted_parts(
    run: Path, fitted: Fitted, design: Design, *, with_front: bool = False, with_forms: bool = False
) -> Iterator[CalibrationPart]:
    """Results of a new calibration; front and forms if requested."""
    yield CalibrationPart(prediction_text(run, fitted), _prediction(run, fitted))
    found = described(run, fitted)
    yield CalibrationPart(study.overview.table(found), {"field": study.overview.to_dict(found)})
    if with_forms:
        rows = forms_of(run, fitted)
        yield CalibrationPart(export.forms_table(rows), {"forms": study.forms.to_dict(rows)})
    heard = kept_image(run) or image(run, fitted)
    yield CalibrationPart(heard.text, heard.to_dict())
    if note := faced_aside(run):
        yield CalibrationPart(note, {"faced_aside": note})
    if mapped := zone(run):
        yield CalibrationPart(mapped.text, {"zone": mapped.to_dict()})
    if bank := bank_figures(run):
        yield CalibrationPart(banks.text(*bank), {"bank": banks.to_dict(*bank)})
    if with_front:
        front = kept_front(run)
        yield CalibrationPart(study.pareto.table(front, design.image.share), {"pareto": study.pareto.to_dict(front)})


def compared_part(run: Path, found: tuple[study.DesignRow, ...], picture: Path, *, left_out: bool) -> CalibrationPart:
    """Comparison with the classical designs (:func:`sweetspot.calibrate.run.compared`), and what favours each."""
    name, title = ("cross_validate", LEFT_OUT) if left_out else ("compare", COMPARED)
    data: dict[str, Any] = {name: [r.to_dict() for r in found], f"{name}_picture": str(picture)}
    data[f"{name}_reasons"] = [b.to_dict() for b in study.reasons.beaten(found)]
    lines = [study.compare.table(found, title), str(picture), study.reasons.table(found)]
    if left_out and (note := left_out_position(run)):
        data["spared"] = note
        lines.insert(0, note)
    return CalibrationPart("\n".join(lines), data)


def explained_part(run: Path, fitted: Fitted, design: Design) -> CalibrationPart:
    """The active limit of each band of the design, the error loading, and the virtual loudspeakers' error."""
    bands = explained(run, fitted)
    missed, words = virtual_missed(run, fitted, design)
    data = {"explain": study.explain.to_dict(bands), "loading": errors.to_dict(fitted.loading)}
    data["virtual"] = study.virtual.to_dict(missed)
    return CalibrationPart(f"{study.explain.table(bands)}\n\n{errors.table(fitted.loading)}\n\n{words}", data)


def _prediction(run: Path, fitted: Fitted) -> dict[str, object]:
    sure, whole = uncertainty(run, fitted), fitted.prediction.whole
    return {
        "filterset": str(run / "filterset.h5"),
        "cancellation_mean_db": sure["mean"].value,
        "cancellation_p10_db": sure["p10"].value,
        "uncertainty_db": {name: s.uncertainty for name, s in sure.items()},
        "interval_db": {name: [s.low, s.high] for name, s in sure.items()},
        "headroom_db": fitted.filters.headroom_db,
        "held_db": fitted.filters.held_db,
        "held_by": list(fitted.filters.held_by),
        "delay_samples": fitted.filters.delay_samples,
        "taps": fitted.filters.length,
        "gate": {"ears": whole.gate.to_dict(), "polar": whole.polar_gate.to_dict()},
        "ears": fitted.ears.text if fitted.ears else None,
        "driver_faults": list(_driver_faults(run)),
    }


def _driver_faults(run: Path) -> tuple[str, ...]:
    """Drivers of a run's session that differ from their mirror images."""
    with Session.read(session_file(run)) as session:
        return driver_faults(session.responses("ears"), session.rig())


def _of_what(run: Path) -> str:
    """What the intervals of a prediction hold."""
    with Session.read(session_file(run)) as session:
        if session.is_estimated("ears"):
            return "measurement noise, and what the model does not know of the unit"
    return "measurement noise only"


def prediction_text(run: Path, fitted: Fitted) -> str:
    """The predicted cancellation, how responses were gated and matched, and the file that was written."""
    sure, whole = uncertainty(run, fitted), fitted.prediction.whole
    mean, tenth = sure["mean"], sure["p10"]
    flattered = scored_where_designed(run)
    place = "at the design positions, optimistic" if flattered else "at held-out positions"
    lines = [
        f"Predicted {place}, {figures.over(fitted.prediction.lowest)}: cancellation of the direct sound "
        f"{mean.value:.2f} dB mean (90 % CI {mean.low:.2f} to {mean.high:.2f}), {tenth.value:.2f} dB 10th percentile "
        f"(90 % CI {tenth.low:.2f} to {tenth.high:.2f}); CI: {_of_what(run)}"
    ]
    beamed = len(fitted.prediction.azimuths) >= one_direction.FEWEST
    centre = f"Polar: {whole.polar_gate.text}" if beamed else f"Centre: {one_direction.TEXT}"
    lines += [f"Ears: {whole.gate.text}", centre]
    if not level_known(run):
        lines.append(
            "Level: not known in pascal (imported responses); figures in dB SPL are not valid, and the processor "
            "cannot hold limits.loudest_db_spl"
        )
    lines += [part[0].upper() + part[1:] for part in ([fitted.ears.text] if fitted.ears else [])]
    lines += [errors.text(fitted.loading)] if fitted.loading else []
    lines += [f"WARNING: {fault}" for fault in _driver_faults(run)]
    return "\n".join([*lines, written(run, fitted.filters)])


def next_step(run: Path) -> str:
    """The command that follows on a calibration; where the rig has no interface, sweeps are played elsewhere."""
    elsewhere = limits_of(run / "rig.toml").interface == "none"
    return command("verify", run) + (" --stimuli DIR" if elsewhere else "")


def written(run: Path, filters: FilterSet) -> str:
    """A line on the file that a calibration has written."""
    lower = float(db(limits_of(run / "rig.toml").ceiling / filters.ceiling))
    return (
        f"{run / 'filterset.h5'}: {filters.length} taps, delay {filters.delay_samples} samples, "
        f"{filters.insertion_text}"
        + (f"; {lower:.1f} dB of it, and of the ceiling, for limits.loudest_db_spl" if lower > LEAST_DB else "")
        + (f"; {filters.held_text}" if filters.held_by else "")
    )

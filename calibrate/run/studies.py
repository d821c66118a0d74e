"""Studies of a calibrated run: the active limits of its design, and comparison with others."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from sweetspot.calibrate import study
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.design import Design
from sweetspot.calibrate.plant import Fitted, nearest_ahead, positions
from sweetspot.calibrate.run.sets import measured_sets, scoring
from sweetspot.calibrate.verify import Confident, figures
from sweetspot.measure.folder import session_file
from sweetspot.measure.session import Session


def compared(run: Path, design: Design, *, left_out: bool) -> tuple[study.DesignRow, ...]:
    """Our design beside the classical ones, on the scoring positions or with positions ``left_out`` in turn."""
    with Session.read(session_file(run)) as session:
        rig, ears = session.rig(), session.responses("ears")
        polar = session.responses("polar") if "polar" in session.sets else None
    return (study.held_out.cross_validated if left_out else study.held_out.comparison)(ears, rig, design, polar)


def left_out_position(run: Path) -> str:
    """A sentence on the position held out for scoring; empty if the rig has scoring positions."""
    with Session.read(session_file(run)) as session:
        return positions.held_out_text(session.responses("ears"))


def faced_aside(run: Path) -> str:
    """A sentence on heads that do not face the device; empty if they do."""
    with Session.read(session_file(run)) as session:
        return positions.faced_aside(session.responses("ears"))


def explained(run: Path, fitted: Fitted) -> tuple[study.ExplainedBand, ...]:
    """The active limit of each band of a run's design."""
    with Session.read(session_file(run)) as session:
        return study.explain.bands(fitted, session.rig())


def virtual_missed(run: Path, fitted: Fitted, design: Design) -> tuple[tuple[study.virtual.Missed, ...], str]:
    """Error of the virtual loudspeakers at the heads of a run, and the name of the head of their fit."""
    with Session.read(session_file(run)) as session:
        rig, ears = session.rig(), session.responses("ears")
    found = study.virtual.missed(fitted, nearest_ahead(ears.used_for("design")))
    sphere = f"a rigid sphere of {1000 * design.stereo.head_diameter_m:g} mm"
    head = auditory.model_of(rig).templates.name if design.stereo.head == "measured" else sphere
    return found, study.virtual.text(fitted, found, head, design.stereo.angle_deg)


@lru_cache(maxsize=1)
def described(run: Path, fitted: Fitted) -> tuple[study.overview.MetricRow, ...]:
    """Every figure of the field that a run's prediction gives."""
    with Session.read(session_file(run)) as session:
        ears, polar = measured_sets(session)
    return study.overview.rows(fitted, scoring(ears).ir, polar.ir)


@lru_cache(maxsize=1)
def uncertainty(run: Path, fitted: Fitted) -> dict[str, Confident]:
    """Predicted mean and 10th percentile of the cancellation with their standard uncertainty."""
    with Session.read(session_file(run)) as session:
        measured = scoring(measured_sets(session)[0])
    return figures.predicted(fitted.prediction, fitted.filters, measured)

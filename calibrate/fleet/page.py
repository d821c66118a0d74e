"""A self-contained page on a fleet: yield, metrics over the units, and outliers."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from sweetspot.calibrate.fleet import capability, plots
from sweetspot.calibrate.fleet.capability import Statistics
from sweetspot.calibrate.fleet.ledger import UnitSummary
from sweetspot.calibrate.report import svg, typeset
from sweetspot.measure.share import STYLE
from sweetspot.rigs.storage import write as write_file

NAME = "fleet.html"

LOOK = ("sweetspot.calibrate.fleet", "sweetspot.calibrate.report")
"""Files of the page's template and style sheet; the style is the report's."""


@dataclass(frozen=True, slots=True)
class FleetPicture:
    """A drawing with caption, text for screen readers, and one line of description."""

    title: str
    svg: Markup
    help: str


def write(path: Path, units: UnitSummary, rows: Sequence[Mapping[str, Any]], found: Sequence[Statistics]) -> Path:
    """Build the page of a fleet.

    Raises
    ------
    BadInput
        It cannot be written.
    """
    groups = capability.grouped(rows)
    with matplotlib.rc_context(STYLE):
        pictures = [_picture(s, groups[s.step, s.metric]) for s in found]
    failed = {r["run"]: r for r in rows if r["passed"] is not None and not r["passed"]}
    page = Environment(
        loader=ChoiceLoader([PackageLoader(p, ".") for p in LOOK]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    ).get_template("page.html.j2")
    text = typeset(
        page.render(
            statistics=found,
            pictures=pictures,
            units=units.units,
            runs=units.runs,
            broken=units.broken,
            interrupted=len(units.interrupted),
            judged=len({r["run"] for r in rows if r["passed"] is not None}),
            failed=list(failed.values()),
            outliers=_outliers(found),
            cpu=units.cpu_seconds,
            version=version("sweetspot"),
            poor=capability.POOR_CPK,
            no_gauge=capability.studied(found),
        )
    )
    write_file(path, text)
    return path


def _outliers(found: Sequence[Statistics]) -> dict[str, list[str]]:
    """Units that stand out, each with the figures in which it does; those with most of them first."""
    by_unit: dict[str, list[str]] = {}
    for s in found:
        for unit in dict.fromkeys(s.outliers):
            by_unit.setdefault(unit, []).append(f"{s.metric} ({'predicted' if s.step == 'fit' else 'measured'})")
    return dict(sorted(by_unit.items(), key=lambda item: (-len(item[1]), item[0])))


def _picture(s: Statistics, mine: Sequence[Mapping[str, Any]]) -> FleetPicture:
    x = np.array([r["value"] for r in mine], dtype=float)
    failed = np.array([r["passed"] is not None and not r["passed"] for r in mine])
    outlying = capability.outlying(x, s.unit)
    figure = Figure(figsize=(9.6, 2.9))
    FigureCanvasSVG(figure)
    figure.subplots_adjust(left=0.08, right=0.99, bottom=0.18, top=0.88, wspace=0.04)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[4, 1])
    plots.strip(left, x, failed, outlying, s.limit)
    left.set_ylabel(s.unit)
    plots.spread(right, x, s.limit)
    out = io.StringIO()
    name = "m-" + re.sub(r"[^a-z0-9]+", "-", f"{s.step} {s.metric}".lower())
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(out, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator")))
    caption = f"{s.metric}: mean {s.mean:.2f} {s.unit}, standard deviation {s.spread:.2f} {s.unit} over {s.count} runs."
    if s.count < 2:
        caption = f"{s.metric}: {s.mean:.2f} {s.unit}, one run."
    caption = caption.replace(" ,", ",").replace("  ", " ")
    title = f"{s.metric}, {'predicted by the fit' if s.step == 'fit' else 'measured'}"
    return FleetPicture(title, Markup(svg.inline(out.getvalue(), name, caption)), caption)

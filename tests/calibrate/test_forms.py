"""Forms of engines without an upmix: each filter set alone plays its form."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from sweetspot.calibrate import run
from sweetspot.calibrate.design import Design
from sweetspot.calibrate.study import forms
from sweetspot.processor import store
from sweetspot.processor.engine import Engine
from sweetspot.processor.export import FormRow, forms_table
from tests.reference import data_files


def test_the_linear_form_is_three_programs_and_all_forms_have_their_figures(
    measured: Path, tmp_path: Path, sweetspot: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    here = tmp_path / "run"
    here.mkdir()
    for name in ("rig.toml", "session.h5"):
        (here / name).write_bytes((measured / name).read_bytes())
    fitted = run.calibrate(here, Design(), "", with_forms=True)
    filters = fitted.filters
    made = dict(forms.forms(filters))
    x = 0.01 * np.random.default_rng(1).standard_normal((2, 3000))
    a = 0.5
    c = a * (x[0] + x[1])
    programs = np.stack([x[0] - c, x[1] - c, c])
    wanted = [
        sum(np.convolve(p, h)[:3000] for p, h in zip(programs, filters.taps[:, d], strict=True))
        for d in range(len(filters.drivers))
    ]
    engine = Engine(made["linear, C = 0.5 (L + R)"], 64)
    found = engine.process(x)
    late = engine.latency
    assert np.allclose(found[:, late:], np.array(wanted)[:, : 3000 - late], atol=1e-9)
    rows = run.forms_of(here, fitted)
    assert [r.name for r in rows] == list(made)
    own = run.image(here, replace(fitted, filters=filters)).arms["calibrated"]
    assert rows[-1].width_deg == own.width_deg
    assert all(0 <= r.stable <= r.places == 2 for r in rows)
    assert "within 5°" in forms_table(rows)
    assert [FormRow(**row) for row in store.predicted_forms(here)] == rows
    kept = data_files.rows(here / "filterset.h5")["prediction/forms"]
    assert kept == data_files.OPTIONAL["prediction/forms"]
    made = sweetspot("export", here, "--to", "jconvolver", "--form", "linear", "--out", tmp_path / "out")
    assert made.returncode == 0, made.stderr
    notes = (tmp_path / "out" / "README.txt").read_text()
    assert forms_table(rows) in notes
    assert "three programs by a fixed share, C = 0.25 (L + R)" in notes

"""Localisation templates measured on the rig: the head turns against the front driver, and hears as its model does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from sweetspot.calibrate.auditory import of_head
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.measure import folder, plan
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.acoustics import SphereHead
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import parse


def test_measured_templates_hear_as_the_head_does(
    crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]
) -> None:
    crooked_text = crooked_text.replace("ceiling_dbfs = -5.0", "ceiling_dbfs = -5.0\nloudest_db_spl = 99.0")
    rig = parse(crooked_text, folder=tmp_path)
    run = folder.new(tmp_path / "runs", "HEAD-1", rig, datetime(2026, 3, 4, tzinfo=UTC))
    wanted = plan.make(rig, "templates")
    assert len(wanted.positions) == 37
    assert wanted.sources.names == ("woofer",), "the driver nearest to straight ahead"
    with Session.resume(run / "session.h5") as session:
        measure(lab_rig(rig, "HEAD-1"), session, wanted, ask=lambda move: None, step=lambda note: None)
        assert session.has_templates
        assert session.sets == ()
    named = f'distance_m = 1.4\ntemplates = "{run / "session.h5"}"'
    using = parse(crooked_text.replace("distance_m = 1.4", named, 1), folder=tmp_path)
    measured = auditory.model_of(using)
    azimuths = measured.templates.azimuths
    assert min(-azimuths[0], azimuths[-1]) > np.radians(85.0)
    exact = of_head(SphereHead(0.175, np.radians(100.0)), measured.templates.f, 1.4, 342.0, "sphere")
    degrees = np.arange(-60.0, 61.0, 20.0)
    rows = [int(np.argmin(np.abs(np.degrees(exact.azimuths) - d))) for d in degrees]
    found = np.degrees(measured.image(exact.response[rows]).azimuth)
    assert np.abs(found - degrees).max() < 3.0


def test_a_head_that_is_not_there_is_named(crooked_text: str, tmp_path: Path) -> None:
    for key in ("head", "templates"):
        text = crooked_text.replace("distance_m = 1.4", f'distance_m = 1.4\n{key} = "gone.file"', 1)
        with pytest.raises(BadInput, match=rf"ears\.{key}: no file 'gone.file'"):
            parse(text, folder=tmp_path)

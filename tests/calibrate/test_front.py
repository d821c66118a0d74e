"""The front of width against depth: what the command computes, keeps and draws is what single designs give."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Design, level_at, parse, towards_width
from sweetspot.calibrate.report import write
from sweetspot.calibrate.study import pareto
from tests.reference import data_files


def test_the_front_is_computed_kept_and_drawn(measured: Path, tmp_path: Path, sweetspot: Callable[..., object]) -> None:
    run, wish = tmp_path / "run", tmp_path / "design.toml"
    shutil.copytree(measured, run)
    wish.write_text('[image]\nprefer = "width"\n')
    done = sweetspot("calibrate", run, "--design", wish, "--pareto", "--json")
    outcome = json.loads(done.stdout)  # type: ignore[attr-defined]
    points, own = outcome["pareto"], outcome["image"]["arms"]["calibrated"]
    assert [p["prefer"] for p in points] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert points[4]["width_deg"] == pytest.approx(own["width_deg"], abs=0.02)
    assert points[4]["music_re_plain_db"] == pytest.approx(own["loudness_re_plain_db"]["music"], abs=0.02)
    assert points[4]["music_re_plain_db"] < points[2]["music_re_plain_db"], "width is paid for in loudness"
    kept = steps.kept_front(run)
    assert pareto.to_dict(kept) == points
    member = data_files.rows(run / "filterset.h5")["prediction/pareto"]
    assert member == data_files.OPTIONAL["prediction/pareto"]
    assert pareto.table(kept, 1.0).splitlines()[-1].endswith("<- this design")
    page = write(run, None).read_text(encoding="utf-8")
    assert "Width against depth" in page


def test_width_spends_more_aims_higher_and_trusts_more() -> None:
    half, full = (parse(f"[image]\nprefer = {p}", "design") for p in (0.75, 1.0))
    design, more, most = Design(), towards_width(half), towards_width(full)
    usual = design.crosstalk
    f = [150.0, 900.0, 3000.0, 9000.0]
    assert towards_width(design) is usual
    assert level_at(most.effort_db, f) - level_at(usual.effort_db, f) == pytest.approx([15.0] * 4)  # type: ignore[arg-type]
    assert level_at(more.effort_db, f) - level_at(usual.effort_db, f) == pytest.approx([7.5] * 4)  # type: ignore[arg-type]
    higher = level_at(most.target_db, f) - level_at(usual.target_db, f)  # type: ignore[arg-type]
    assert higher[[0, 1, 3]] == pytest.approx([0.0, higher[1], 15.0])
    assert most.tolerance_db == pytest.approx(0.42 * usual.tolerance_db)
    flat = towards_width(parse("[image]\nprefer = 1\n[crosstalk]\neffort_db = 9.0", "design"))
    assert flat.effort_db == 24.0

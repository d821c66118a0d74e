"""The public Python interface: its examples run in order on the virtual lab, and each name is documented."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest

import sweetspot
from sweetspot import api
from tests.reference import data_files

ORDER = [
    "open_rig",
    "measure_unit",
    "open_session",
    "responses",
    "design",
    "fit",
    "calibrate_run",
    "filters",
    "process",
    "verify",
    "metrics",
    "report",
    "export",
]


def test_examples_run_in_order(tmp_path: Path) -> None:
    known = {"sweetspot": sweetspot, "numpy": np, "folder": tmp_path}
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    for name in ORDER:
        tests = finder.find(getattr(api, name), name, globs=known)
        assert sum(len(t.examples) for t in tests) > 0, f"{name} has no example"
        for test in tests:
            test.globs = known
            assert runner.run(test, clear_globs=False).failed == 0, name
    reference = data_files.PAGE.read_text(encoding="utf-8")
    for line in data_files.page(next(tmp_path.glob("SN-1/*-puck"))).splitlines():
        assert line in reference, f"sweetspot/data_files.md is behind: {line}"


def test_every_public_name_is_documented_and_reached() -> None:
    assert set(api.__all__) == {*ORDER, "SweetspotError"}
    for name in api.__all__:
        assert getattr(sweetspot, name) is getattr(api, name)
        assert getattr(api, name).__doc__
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = sweetspot.no_such_thing  # type: ignore[attr-defined]


def test_unknown_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'ears' and 'polar'"):
        api.responses(tmp_path, "nose")

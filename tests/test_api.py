"""The public Python interface: its examples run in order on the virtual lab, and each name is documented."""

from __future__ import annotations

import doctest
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sweetspot
from sweetspot import api
from sweetspot.processor import store
from sweetspot.processor.export import Options, c_library
from sweetspot.processor.run_folder import driver_limits
from tests.filter_sets import filter_set
from tests.reference import data_files

FS = 48000

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


@pytest.mark.parametrize("name", ORDER)
def test_a_docstring_has_parameters_results_errors_and_an_example(name: str) -> None:
    function = getattr(api, name)
    text = inspect.getdoc(function) or ""
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-+\n", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    named = re.findall(r"^(\w[\w, ]*)$", sections["Parameters"], flags=re.MULTILINE)
    assert [n for row in named for n in row.split(", ")] == list(inspect.signature(function).parameters)
    assert sections["Examples"].startswith(">>> ")
    assert ("Returns" in sections) != ("Yields" in sections)
    assert "SweetspotError" in sections.get("Raises", "") or name == "metrics"


def test_wrong_input_is_an_error_with_a_message(tmp_path: Path) -> None:
    """Each message names what is wrong; nothing is measured or written."""
    quiet, (gone, empty) = filter_set(np.zeros((3, 3, 8)), "off"), (tmp_path / "gone", tmp_path / "empty")
    empty.mkdir()
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: api.responses(tmp_path, "nose"), "'ears' and 'polar'"),
        (lambda: api.measure_unit("puck", "SN-1", runs=tmp_path, sets=("ear",)), "'ear'; choose from 'ears', 'polar'"),
        (lambda: api.measure_unit("puck", "SN-1", runs=tmp_path, sets=()), "choose from 'ears', 'polar'"),
        (lambda: api.measure_unit("no-such-rig", "SN-1", runs=tmp_path), "no-such-rig"),
        (lambda: api.open_session(gone), "gone: not a run folder"),
        (lambda: api.fit(empty), "empty: not a run folder"),
        (lambda: api.calibrate_run(empty), "empty: not a run folder"),
        (lambda: api.filters(gone), "gone: no such file"),
        (lambda: api.verify(empty), "no filterset.h5"),
        (lambda: api.report(empty), "no filterset.h5"),
        (lambda: api.design(tmp_path / "none.toml"), "none.toml"),
        (lambda: api.process(quiet, np.zeros((3, 9)), FS), r"\(2, samples\)"),
        (lambda: api.process(quiet, np.zeros((2, 9)), 0), "fs is 0"),
        (lambda: api.process(quiet, np.zeros((2, 9)), 44100.5), "fs is 44100.5"),
        (lambda: api.process(quiet, np.full((2, 9), np.nan), FS), "nan"),
        (lambda: api.process(quiet, np.full((2, 9), 9000, dtype=np.int16), FS), "int16 up to 9000; full scale is 1"),
        (lambda: api.export(quiet, "no-such-engine", tmp_path / "out"), "no-such-engine"),
    ]
    for call, message in wrong:
        with pytest.raises(sweetspot.SweetspotError, match=message):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_filters_and_exports_keep_to_the_rig_file_beside_them(tmp_path: Path) -> None:
    """As those of the command line: the ceiling of today, and a bypass of plain stereo within the drivers' bands."""
    taps = np.zeros((3, 2, 64))
    taps[[0, 1], [0, 1], 0] = taps[2, :, 0] = 0.25
    made = filter_set(taps, "off", channels=(1, 2), drivers=("left", "right"), fs=48000)
    store.write(tmp_path / "filterset.h5", made)
    assert api.filters(tmp_path).ceiling == made.ceiling
    text = (Path(__file__).parents[1] / "rigs" / "puck.toml").read_text()
    text = re.sub(r"ceiling_dbfs = .*", "ceiling_dbfs = -20.0", text).replace("band_hz = [180,", "band_hz = [1,")
    (tmp_path / "rig.toml").write_text(text)
    found = api.filters(tmp_path)
    assert found.ceiling == pytest.approx(0.1)
    options = Options(plain=store.plain_of(tmp_path, found), limits=driver_limits(tmp_path, found))
    api.export(tmp_path, "c", tmp_path / "c")
    assert (tmp_path / "c" / "unit.blob").read_bytes() == c_library.blob_of(found, options)
    api.export(found, "c", tmp_path / "alone")  # filters alone: no driver gets what its band may not hold
    silent = Options(plain=np.zeros((2, 2, 1)))
    assert (tmp_path / "alone" / "unit.blob").read_bytes() == c_library.blob_of(found, silent)
    assert "Its bypass is silent" in (tmp_path / "alone" / "README.txt").read_text()
    api.export(str(tmp_path), "ffmpeg", tmp_path / "ffmpeg")
    assert "lowered by 8.0 dB" in (tmp_path / "ffmpeg" / "README.txt").read_text()

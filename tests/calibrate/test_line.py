"""The line's state, its page and HTTP interface, and the check of deployed filters at the monitors."""

from __future__ import annotations

import http.client
import itertools
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.fleet import sampling
from sweetspot.calibrate.line import monitoring
from sweetspot.calibrate.line import run as line
from sweetspot.calibrate.line.server import LineServer
from sweetspot.calibrate.line.state import LineState, screen
from sweetspot.calibrate.quick import learn
from sweetspot.calibrate.quick import run as quick
from sweetspot.calibrate.run import records
from sweetspot.measure import folder
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.measure.shot import ALL
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput, DiskFull
from sweetspot.rigs.rig_file import parse
from sweetspot.roof import build
from tests.calibrate import quick_fleet
from tests.conftest import NOON

FS = 47872


def record(unit: str, verdict: str, cause: str = "") -> dict[str, object]:
    """What a cycle leaves."""
    return {
        "unit": unit,
        "verdict": verdict,
        "cause": cause,
        "reasons": [cause] if cause else [],
        "seconds": {"fit": 1.5},
    }


@pytest.fixture
def server() -> Iterator[LineServer]:
    """A line whose cycle takes a moment and passes, but for units called BAD."""
    state = LineState("crooked", "model of 2 units", 2)

    def check(serial: str) -> None:
        if " " in serial:
            raise BadInput(f"{serial!r} is no serial number")

    def work(serial: str) -> None:
        time.sleep(0.3)
        state.ends(record(serial, "refused" if serial == "BAD" else "pass", "left dead" if serial == "BAD" else ""))

    with LineServer(0, state, check, work) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def asked(
    server: LineServer, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, dict[str, object]]:
    """Status and answer of a request."""
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    head = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request(method, path, None if body is None else json.dumps(body), head)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if path.startswith("/api") else {}


def finished(server: LineServer) -> dict[str, object]:
    """The last result, once nothing is on the line."""
    for _ in range(50):
        if not asked(server, "GET", "/api/state")[1]["busy"]:
            return asked(server, "GET", "/api/last")[1]
        time.sleep(0.05)
    raise AssertionError("the line stays busy")


def test_units_are_started_one_at_a_time_and_their_results_read(server: LineServer) -> None:
    assert asked(server, "GET", "/api/last")[0] == 404
    assert asked(server, "POST", "/api/start", {"serial": "U-1"}) == (202, {"unit": "U-1"})
    assert asked(server, "POST", "/api/start", {"serial": "U-2"})[0] == 409
    assert finished(server)["verdict"] == "pass"
    assert asked(server, "POST", "/api/start", {"serial": "BAD"})[0] == 202
    assert finished(server)["cause"] == "left dead"
    state = asked(server, "GET", "/api/state")[1]
    assert (state["made"], state["yield"], state["causes"]) == (2, 0.5, {"left dead": 1})


def test_other_pages_and_broken_requests_are_refused(server: LineServer) -> None:
    assert asked(server, "POST", "/api/start", {"serial": "U 1"})[0] == 400
    assert asked(server, "POST", "/api/start", {"serial": 7})[0] == 400
    assert asked(server, "POST", "/api/start", [1])[0] == 400
    assert asked(server, "POST", "/api/start", {"serial": "U-1"}, Content_Type="text/plain")[0] == 415
    assert asked(server, "POST", "/api/start", {"serial": "U-1"}, Origin="http://elsewhere.example")[0] == 403
    assert asked(server, "GET", "/api/state", Host="elsewhere.example")[0] == 403
    assert asked(server, "GET", "/api/none")[0] == 404
    assert not asked(server, "GET", "/api/state")[1]["busy"]


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_shows_the_verdict_in_a_browser(server: LineServer, tmp_path: Path, width: int) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser is not None, "chromium is not on PATH: `make test` installs it"
    remarked = record("U-9", "refused", "driver 'left' is silent") | {"remarks": ["driver 'right' is corrected"]}
    server.state.ends(remarked)
    probe = (
        "<script>addEventListener('load', () => setTimeout(() => { const d = document; d.body.dataset.found = "
        "[d.getElementById('verdict').textContent, d.getElementById('action').textContent, "
        "d.querySelectorAll('#reasons li').length, "
        "d.getElementById('verdict').offsetHeight < 1.5 * parseFloat(getComputedStyle("
        "d.getElementById('verdict')).fontSize), "
        "d.documentElement.scrollWidth <= innerWidth].join('|'); }, 900));</script></body>"
    )
    server.page = server.page.replace("</body>", probe)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"]
    command += [
        f"--user-data-dir={tmp_path}",
        f"--window-size={width},900",
        "--virtual-time-budget=4000",
        server.address,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert 'data-found="REFUSED|Set the unit aside for repair, or measure it fully|2|true|true"' in done.stdout
    assert "CONSOLE" not in done.stderr


def test_a_refused_scan_replaces_the_verdict_and_one_while_busy_leaves_the_field_empty(
    server: LineServer, tmp_path: Path
) -> None:
    """What a scanner types next would be appended, and the verdict on the screen taken for the refused unit's."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser is not None, "chromium is not on PATH: `make test` installs it"
    server.state.ends(record("U-0", "pass"))
    probe = (
        "<script>addEventListener('load', async () => { const e = (id) => document.getElementById(id), found = [];"
        "const scan = async (s) => { e('serial').value += s; e('form').requestSubmit();"
        "await new Promise((f) => setTimeout(f, 150)); found.push(e('verdict').textContent, e('serial').value); };"
        "await scan('U 1'); await scan('U-2'); await scan('U-3'); found.push(e('message').textContent);"
        "document.body.dataset.found = found.join('|'); });</script></body>"
    )
    server.page = server.page.replace("</body>", probe)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"--user-data-dir={tmp_path}"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=4000", server.address], capture_output=True, text=True, timeout=60
    )
    assert 'data-found="STOP||BUSY||BUSY||unit U-2 is on the line: U-3 was not begun' in done.stdout


def test_the_page_says_that_the_line_does_not_answer(server: LineServer, tmp_path: Path) -> None:
    """A verdict that stays on the screen of a line that has ended would be taken for the next unit's."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser is not None, "chromium is not on PATH: `make test` installs it"
    gone = server.page.replace(
        '"use strict";', '"use strict"; window.fetch = async () => { throw new Error("gone"); };'
    )
    assert gone != server.page
    page = tmp_path / "page.html"
    page.write_text(gone, encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"--user-data-dir={tmp_path}"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=1000", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert '<p id="verdict">OFFLINE</p>' in done.stdout
    assert "Restart the line's program" in done.stdout


def test_a_line_that_is_started_anew_counts_what_was_recorded() -> None:
    state = LineState("crooked", "m", 0)
    state.resumed([record("A", "pass"), record("X", "error", "rig"), record("B", "fail", "deployed filters")])
    assert state.to_dict()["yield"] == 0.5, "trouble of the test box is no unit that failed"
    assert state.begins("C")
    assert not state.begins("D")
    text = screen(record("B", "fail", "deployed filters"), state)
    assert text.startswith("FAIL  B")
    assert "yield 50 % of 2 units" in text
    state.resumed([record("B", "fail", "deployed filters"), record("C", "error", "rig"), record("B", "pass")])
    now = state.to_dict()
    assert (now["made"], now["judged"], now["yield"]) == (6, 2, 1.0), "a unit is judged once, by its last verdict"
    assert now["causes"] == {"rig": 2, "deployed filters": 1}


def test_a_restarted_line_shows_no_verdict_of_the_unit_before() -> None:
    """The unit in the box may be another one, whose cycle was killed."""
    state = LineState("crooked", "m", 0)
    state.resumed([record("A", "pass")])
    found = state.to_dict()
    assert (found["fresh"], found["action"]) == (True, "Scan a serial number")
    assert state.begins("B")
    assert state.to_dict()["action"] == "Leave the unit alone"
    state.ends(record("B", "error", "stopped"))
    found = state.to_dict()
    assert (found["fresh"], found["action"]) == (False, "Repeat the same unit")


def test_a_record_that_was_cut_short_is_set_aside_before_the_next(tmp_path: Path, crooked_text: str) -> None:
    """No unit of this name can be measured: its record states it, on a separate line."""
    unused: Any = None  # the model: the cycle ends before it is needed
    setup = line.LineSetup(parse(crooked_text, folder=tmp_path), unused, "0" * 64, tmp_path, tmp_path)
    (tmp_path / records.LINE).write_text(json.dumps(record("A", "pass")) + '\n{"unit": "B", "verd')
    state = LineState("desk", "model", 0)
    state.begins("../C")
    assert line.cycle(setup, state, "../C")["cause"] == "input"
    lines = (tmp_path / records.LINE).read_text().splitlines()
    assert [json.loads(text)["unit"] for text in lines] == ["A", "../C"]
    assert (tmp_path / f"{records.LINE}.partial").read_text() == '{"unit": "B", "verd\n'


def test_a_record_that_cannot_be_written_is_no_pass_and_leaves_nothing_on_the_line(
    tmp_path: Path, crooked_text: str
) -> None:
    unused: Any = None
    (tmp_path / "records").write_text("a file in the folder's place")
    setup = line.LineSetup(parse(crooked_text, folder=tmp_path), unused, "0" * 64, tmp_path, tmp_path / "records")
    state = LineState("desk", "model", 0)
    state.begins("../C")
    shown = screen(line.cycle(setup, state, "../C"), state)
    found = state.to_dict()
    assert (found["busy"], found["last"]["verdict"], found["last"]["cause"]) == (False, "error", "records")
    assert "not recorded" in found["last"]["reasons"][0]
    assert "Correct what keeps the record from being written, then repeat the same unit" in shown


def test_records_that_cannot_be_written_are_refused_before_a_unit_plays(
    tmp_path: Path, crooked_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rig.toml").write_text(crooked_text)
    (tmp_path / "records").write_text("a file in the folder's place")
    monkeypatch.setattr(quick, "read_model", lambda path: (SimpleNamespace(text="a model"), "0" * 64))
    monkeypatch.setattr(quick, "check_fits", lambda model, rig: None)
    args = ["line", str(tmp_path / "rig.toml"), "--model", "m.h5", "--records", str(tmp_path / "records")]
    done = CliRunner().invoke(build("calibrate.line", "rigs"), args, input="A\n")
    assert isinstance(done.exception, BadInput)
    assert "file exists" in str(done.exception)


def test_a_unit_is_found_among_the_records_of_days(tmp_path: Path) -> None:
    rows = [record("U-1", "pass"), record("U-12", "fail"), record("U-1", "refused") | {"remarks": ["U-12"]}]
    (tmp_path / records.LINE).write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert records.of_line(tmp_path, "U-1") == [rows[0], rows[2]]
    assert records.of_line(tmp_path) == rows
    with (tmp_path / records.LINE).open("a") as file:
        file.write('{"verdict": "pass", "sample_due": true, "run": "x"}\n[1]\n{"unit": "U-1"}\n')
    assert records.of_line(tmp_path) == rows
    assert sampling.plan(records.of_line(tmp_path)) == ()


def test_a_unit_that_has_passed_is_not_recorded_again_when_it_is_scanned_once_more(
    tmp_path: Path, crooked_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash between the record and the screen: the operator scans the unit again."""
    (tmp_path / "rig.toml").write_text(crooked_text)
    (tmp_path / records.LINE).write_text(json.dumps(record("A", "pass")) + "\n")
    monkeypatch.setattr(quick, "read_model", lambda path: (SimpleNamespace(text="a model"), "0" * 64))
    monkeypatch.setattr(quick, "check_fits", lambda model, rig: None)
    args = ["line", str(tmp_path / "rig.toml"), "--model", "m.h5", "--records", str(tmp_path)]
    done = CliRunner().invoke(build("calibrate.line", "rigs"), args, input="A\n../B\n")
    assert done.exit_code == 1
    assert "passed on" in done.stdout
    assert "no serial number" in done.stdout
    assert (tmp_path / records.LINE).read_text().splitlines() == [json.dumps(record("A", "pass"))]


def test_a_level_refused_before_the_first_capture_leaves_a_record_and_no_run(tmp_path: Path) -> None:
    unused: Any = None  # the model: the cycle ends before it is needed
    rig = parse(quick_fleet.text().replace("[limits]", "[limits]\nloudest_db_spl = 50.0"), folder=tmp_path)
    setup = line.LineSetup(rig, unused, "0" * 64, tmp_path / "runs", tmp_path / "records")
    state = LineState("desk", "model", 0)
    state.begins("U-1")
    done = line.cycle(setup, state, "U-1")
    assert (done["verdict"], done["cause"]) == ("error", "rig")
    assert "limits.loudest_db_spl = 50" in done["reasons"][0]
    assert "run" not in done
    assert not list((tmp_path / "runs").iterdir())


class Killed(BaseException):
    """The program is gone; nothing may catch it."""


CUT = (
    "open_rig", "hardware.measure", "quick.complete", "steps.calibrate", "write_all", "_measured_at_monitors", "append",
)  # fmt: skip
"""One of each step of a cycle."""


@pytest.mark.parametrize("at", CUT)
@pytest.mark.parametrize("after", [False, True])
def test_a_unit_whose_line_is_killed_in_any_step_is_recorded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, after: bool
) -> None:
    """Killed before or after the step's work; then a restarted line, and the same unit scanned again."""
    new, count = folder.new, itertools.count()
    found = SimpleNamespace(accepted=True, remarks=(), to_dict=dict)
    passed = monitoring.MonitorVerdict(True, -60.0, {}, ())
    work: dict[str, Callable[..., Any]] = {
        "open_rig": lambda rig, serial: nullcontext(),
        "hardware.measure": lambda *a, **k: None,
        "quick.complete": lambda *a: found,
        "steps.calibrate": lambda *a: SimpleNamespace(filters=None),
        "write_all": lambda *a: None,
        "_measured_at_monitors": lambda *a: passed,
        "folder.new": lambda runs, serial, rig, now: new(runs, serial, rig, NOON + timedelta(seconds=next(count))),
        "append": line.append,
        "_loudest": lambda *a: 80.0,
        "bundle": lambda *a: SimpleNamespace(everything=dict),
        "file_sha256": lambda path: "0" * 64,
    }
    for name, does in work.items():
        monkeypatch.setattr(f"sweetspot.calibrate.line.run.{name}", does)
    unused: Any = SimpleNamespace(text="a model")
    setup = line.LineSetup(quick_fleet.rig(tmp_path), unused, "0" * 64, tmp_path / "runs", tmp_path / "records")

    def killed(*args: Any, **options: Any) -> None:
        if after:
            work[at](*args, **options)
        raise Killed

    state = line.state_of(setup)
    with monkeypatch.context() as once:
        once.setattr(f"sweetspot.calibrate.line.run.{at}", killed)
        state.begins("U-1")
        with pytest.raises(Killed):
            line.cycle(setup, state, "U-1")
    state = line.state_of(setup)
    if at == "append" and after:
        with pytest.raises(BadInput, match="passed on"):
            line.check_unit(setup, "U-1")
    else:
        line.check_unit(setup, "U-1")
        state.begins("U-1")
        assert line.cycle(setup, state, "U-1")["verdict"] == "pass"
    assert [(r["unit"], r["verdict"]) for r in records.of_line(setup.records)] == [("U-1", "pass")]
    assert state.to_dict()["counts"] == {"pass": 1}


def test_a_number_that_passes_on_two_lines_at_once_passes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each was scanned before the other was recorded, so neither was refused at its scan."""
    unused: Any = SimpleNamespace(text="a model")
    setup = line.LineSetup(quick_fleet.rig(tmp_path), unused, "0" * 64, tmp_path / "runs", tmp_path / "records")
    monkeypatch.setattr(line, "_carried", lambda setup, state, serial, record: record.update(verdict="pass"))
    states = [line.state_of(setup), line.state_of(setup)]
    for state in states:
        line.check_unit(setup, "U-1")
        state.begins("U-1")
    first, second = (line.cycle(setup, state, "U-1") for state in states)
    assert (first["verdict"], second["verdict"], second["cause"]) == ("pass", "error", "doubled")
    shown = screen(second, states[1])
    assert f"unit U-1 passed on {first['utc']} too, on another line" in shown
    assert "Set both units of this number aside" in shown
    assert [r["verdict"] for r in records.of_line(setup.records)] == ["pass", "error"]
    again = replace(setup, again=True)
    states[0].begins("U-1")
    assert line.cycle(again, states[0], "U-1")["verdict"] == "pass"


def test_a_full_disk_on_a_line_asks_for_space_and_not_for_a_session_to_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(setup: object, state: object, serial: str, record: dict[str, Any]) -> None:
        raise DiskFull(tmp_path / "U-1" / "monitor.h5", "monitor.h5: the disk is full (no space left)")

    unused: Any = SimpleNamespace(text="a model")
    setup = line.LineSetup(quick_fleet.rig(tmp_path), unused, "0" * 64, tmp_path / "runs", tmp_path / "records")
    monkeypatch.setattr(line, "_carried", full)
    state = line.state_of(setup)
    state.begins("U-1")
    found = line.cycle(setup, state, "U-1")
    assert (found["cause"], found["reasons"]) == ("disk", ["monitor.h5: the disk is full (no space left)"])
    assert "Free some space on the disk, then repeat the same unit" in screen(found, state)


def heard_through(filters: FilterSet, h: np.ndarray) -> ImpulseResponse:
    """Left and right through filters at the monitors."""
    n = h.shape[-1]
    y = np.fft.irfft(np.einsum("mdf,sdf->msf", np.fft.rfft(h, n), np.fft.rfft(filters.taps[:2], n)), n)
    return responses(y[None], ("left", "right"))


def responses(h: np.ndarray, names: tuple[str, ...]) -> ImpulseResponse:
    """A set at two or three monitors."""
    table = np.array([(0.0, 0.0, 0.0, 0.0, 0.0, "monitor")], dtype=POSITION)
    snr = np.full(h.shape[:3], 60.0)
    return ImpulseResponse(
        h,
        fs=FS,
        positions=table,
        mics=("a", "b", "c")[: h.shape[1]],
        drivers=names,
        zero=0,
        unit="Pa/FS",
        snr_db=snr,
        band=(60.0, 19000.0),
    )


def made(seed: int) -> FilterSet:
    """Filters of some unit."""
    taps = np.random.default_rng(seed).standard_normal((3, 3, 64)) * np.exp(-np.arange(64) / 10.0)
    names, channels = ("x", "y", "z"), (1, 2, 3)
    about = {"ceiling": 1.0, "delay_samples": 0, "headroom_db": 0.0, "source": "s", "unit_serial": "U"}
    return FilterSet(taps, fs=FS, drivers=names, channels=channels, **about)


def test_monitors_report_what_is_deployed() -> None:
    h = np.random.default_rng(3).standard_normal((2, 3, 256)) * np.exp(-np.arange(256) / 12.0)
    unit, mine, other = responses(h[None], ("x", "y", "z")), made(1), made(2)
    good = monitoring.judged(heard_through(mine, h), unit, mine, {})
    assert good.passed
    assert all(abs(g) < 0.1 for g in good.gains_db.values())
    wrong = monitoring.judged(heard_through(other, h), unit, mine, {"unit B": other})
    assert wrong.causes == ("these are the filters of unit B",)
    swapped = heard_through(mine, h)
    swapped = responses(swapped.h[:, :, ::-1], ("left", "right"))
    assert monitoring.judged(swapped, unit, mine, {}).causes == ("left and right are swapped",)
    for change, words in ((-1.0, "polarity"), (0.0, "silent"), (0.5, "-6.0 dB")):
        spoilt = np.array(h)
        spoilt[:, 1] *= change
        verdict = monitoring.judged(heard_through(mine, spoilt), unit, mine, {})
        assert not verdict.passed
        assert len(verdict.causes) == 1
        assert words in verdict.causes[0]
        assert "'y'" in verdict.causes[0]


def test_what_happens_to_the_box_between_two_captures_is_not_the_units_fault() -> None:
    """Three microphones: with two, the drivers' gains explain one that is off as well."""
    h = np.random.default_rng(4).standard_normal((3, 3, 256)) * np.exp(-np.arange(256) / 12.0)
    unit, mine = responses(h[None], ("x", "y", "z")), made(1)
    good = heard_through(mine, h)
    one = np.array(good.h)
    one[:, 1] *= 0.5
    echo = np.array(good.h)
    echo[..., 24:] += 0.3 * good.h[..., :-24]
    for change, fault, box in (
        (0.7 * good.h, "box level", True),
        (one, "microphone b response", True),
        (good.h[:, :, ::-1], "deployed filters", False),
        (echo, monitoring.UNEXPLAINED, False),
    ):
        found = monitoring.judged(replace(good, h=change), unit, mine, {})
        assert (found.passed, found.fault, found.box) == (False, fault, box), found.causes
    swapped = heard_through(mine, h[:, [2, 1, 0]])
    assert monitoring.judged(swapped, unit, mine, {}).causes == ("drivers 'x' and 'z' are swapped",)


def test_noise_is_no_fault_of_the_unit_and_hides_none() -> None:
    """A difference counts beyond twice the energy that the noise is expected to have."""
    rng = np.random.default_rng(5)
    h = rng.standard_normal((2, 3, 256)) * np.exp(-np.arange(256) / 12.0)
    unit, mine = responses(h[None], ("x", "y", "z")), made(1)
    good = heard_through(mine, h)
    sigma = 0.12 * float(np.sqrt(np.mean(good.h**2)))
    noise = sigma * rng.standard_normal(good.h.shape)
    each = [np.full((1, 2, n, 129), s * np.sqrt(256)) for n, s in ((2, sigma), (3, 0.0))]
    quiet = monitoring.judged(replace(good, h=good.h + noise), unit, mine, {}, (each[0], each[1]))
    assert (quiet.passed, quiet.fault, quiet.box) == (False, "noise", True), quiet
    assert quiet.noise_db == pytest.approx(quiet.error_db, abs=1.0)
    spoilt = np.array(h)
    spoilt[:, 1] *= -1.0
    bad = heard_through(mine, spoilt)
    found = monitoring.judged(replace(bad, h=bad.h + noise), unit, mine, {}, (each[0], each[1]))
    assert found.causes == ("driver 'y' has its polarity inverted",)


def test_a_verification_at_the_monitors_is_lowered_to_the_spl_limit(tmp_path: Path) -> None:
    """To 5 dB less where the limit is 4.9 dB below what is expected; its plan names what plays."""
    rig = quick_fleet.rig(tmp_path)
    h = np.zeros((1, 2, 3, 64))
    h[..., 0] = 0.4
    unit = replace(responses(h, rig.driver_names), fs=rig.fs, mics=tuple(m.name for m in rig.monitor_mics))
    filters = replace(made(1), fs=rig.fs, drivers=rig.driver_names, taps=0.02 * made(1).taps)
    engine = steps.engine_of(filters)
    free, before = monitoring.within_limit(rig, filters, engine, unit)
    assert free.named(free.captures[0]) == "left and right"
    level = before[ALL]
    assert level < rig.limits.loudest_db_spl
    text = quick_fleet.text().replace("[limits]", f"[limits]\nloudest_db_spl = {level - 4.9}")
    wanted, expected = monitoring.within_limit(parse(text, folder=tmp_path), filters, engine, unit)
    assert expected[ALL] == pytest.approx(level - 5.0)
    assert free.together is not None
    assert wanted.together is not None
    plays = [d.channel - 1 for d in rig.driver]
    less = 10.0 ** (-5.0 / 20.0)
    assert np.allclose(wanted.together.signal[plays], less * free.together.signal[plays], rtol=1e-4, atol=1e-7)


def sampled(place: Path, unit: str, verdict: str) -> dict[str, object]:
    """A record of a chosen unit, whose run holds a verification with this verdict, or none."""
    run = place / unit
    run.mkdir()
    description = quick_fleet.rig(place)
    if verdict:
        (run / "rig.toml").write_text(description.text)
        with Session.create(run / "verify.h5", description, unit, "2026-01-02T03:04:05Z", schema=VERIFICATION) as file:
            file.annotate("verdict", json.dumps({"verdict": verdict, "reasons": ["width too small"]}))
    return {**record(unit, "pass"), "run": str(run), "sample_due": True, "utc": "2026-01-02T03:04:05Z"}


def test_the_sample_plan_says_what_is_due_and_what_was_found(
    tmp_path: Path, sweetspot: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    rows = [record("A", "pass"), sampled(tmp_path, "B", "pass"), sampled(tmp_path, "C", ""), record("D", "refused")]
    (tmp_path / records.LINE).write_text("".join(json.dumps(r) + "\n" for r in rows))
    done = sweetspot("fleet", "sample", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert [(u["unit"], u["state"]) for u in json.loads(done.stdout)["units"]] == [("B", "pass"), ("C", "due")]
    rows += [sampled(tmp_path, "E", "fail"), {**sampled(tmp_path, "F", ""), "run": str(tmp_path / "away")}]
    (tmp_path / records.LINE).write_text("".join(json.dumps(r) + "\n" for r in rows))
    done = sweetspot("fleet", "sample", tmp_path)
    assert done.returncode == 1
    assert "1 of 2 fully verified units pass; 2 due: C, F" in done.stdout
    assert f"sweetspot verify {tmp_path / 'C'}" in done.stdout
    assert sweetspot("fleet", "sample", tmp_path / "none").returncode == 2
    again = [*rows, {**record("C", "pass"), "run": str(tmp_path / "B"), "sample_due": True}]
    assert [u.state for u in sampling.plan(again) if u.unit == "C"] == ["pass"]


def test_units_go_through_the_whole_cycle_over_http_and_a_line_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """One golden unit learned; a good unit, one stopped in its cycle, and that one again on a restarted line."""
    rig = quick_fleet.rig(tmp_path)
    golden = quick.measured_unit(quick_fleet.measured(tmp_path / "learned", rig, "G-1"))
    setup = line.LineSetup(rig, learn([golden], rig), "ab" * 32, tmp_path / "runs", tmp_path / "records", every=2)
    for units in (("U-1", "U-2"), ("U-2",)):
        state = line.state_of(setup)

        def work(serial: str, state: LineState = state, stop: bool = len(units) > 1) -> None:
            state.stopping = stop and serial == "U-2"  # as POST /api/stop does
            line.cycle(setup, state, serial)

        with LineServer(0, state, lambda serial: line.check_unit(setup, serial), work) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            found = []
            for unit in units:
                assert asked(server, "POST", "/api/start", {"serial": unit})[0] == 202
                found.append(carried(server))
            server.shutdown()
        if len(units) > 1:
            good, stopped = found
            assert (good["verdict"], good["sample_due"]) == ("pass", True)
            assert set(good["seconds"]) == {"capture", "estimate", "fit", "export", "verify", "record"}
            assert (Path(good["run"]) / "filterset.h5").is_file()
            assert (stopped["verdict"], stopped["cause"]) == ("error", "stopped")
            assert state.to_dict()["counts"] == {"pass": 1, "error": 1}
        else:
            assert found[0]["verdict"] == "pass"
            assert state.to_dict()["counts"] == {"pass": 2, "error": 1}
    with pytest.raises(BadInput, match="passed on"):
        line.check_unit(setup, "U-1")
    assert [u.state for u in sampling.plan(records.of_line(setup.records))] == ["due"]


def carried(server: LineServer) -> dict[str, Any]:
    """The last result, once nothing is on the line: cycles take seconds."""
    for _ in range(1200):
        if not asked(server, "GET", "/api/state")[1]["busy"]:
            return asked(server, "GET", "/api/last")[1]
        time.sleep(0.05)
    raise AssertionError("the line stays busy")

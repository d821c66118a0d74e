"""One capture a unit: what a model of measured units estimates, what it states of that, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Design
from sweetspot.calibrate.line import run as line_run
from sweetspot.calibrate.plant import MeasurementError, metrics
from sweetspot.calibrate.quick import GoldenModel, MeasuredUnit, features, judge, learn, learning, read, write
from sweetspot.calibrate.quick import run as quick
from sweetspot.calibrate.quick.far_ear import far_ear
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.sound.driver import drawn
from sweetspot.rigs.rig_file import with_faults
from sweetspot.rigs.rig_file.description import Description, parse
from tests.calibrate import quick_fleet
from tests.reference import data_files


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with measured units to learn from, and one unseen unit, measured fully too."""
    here = tmp_path_factory.mktemp("fleet")
    rig = quick_fleet.rig(here)
    (here / "rig.toml").write_text(quick_fleet.text())
    for serial in quick_fleet.LEARNED:
        quick_fleet.measured(here / "learned", rig, serial)
    quick_fleet.measured(here / "full", rig, quick_fleet.UNSEEN)
    return here


@pytest.fixture(scope="module")
def model(place: Path) -> GoldenModel:
    """What was learned of them."""
    return quick.learned(quick.runs_below(place / "learned"))[0]


@pytest.fixture(scope="module")
def rig(place: Path) -> Description:
    """The rig."""
    return quick_fleet.rig(place)


def monitors(place: Path) -> tuple[ImpulseResponse, MeasurementError]:
    """The unseen unit's capture."""
    return monitors_of(next((place / "full" / quick_fleet.UNSEEN).iterdir()))


def monitors_of(run: Path) -> tuple[ImpulseResponse, MeasurementError]:
    unit = quick.measured_unit(run)
    return unit.sets["monitor"], unit.errors["monitor"]


def with_driver(ir: ImpulseResponse, driver: int, change: Callable[[np.ndarray], np.ndarray]) -> ImpulseResponse:
    """A capture in which one driver is another."""
    h = np.array(ir.h)
    h[:, :, driver] = change(h[:, :, driver])
    return replace(ir, h=h)


def error_db(one: ImpulseResponse, other: ImpulseResponse, low: float, high: float) -> float:
    """Energy of the difference within a band, re the other's, dB."""
    f = np.fft.rfftfreq(one.h.shape[-1], 1.0 / one.fs)
    inside = (f >= low) & (f < high)
    a, b = (np.fft.rfft(x.h)[..., inside] for x in (one, other))
    return float(10.0 * np.log10(np.sum(np.abs(a - b) ** 2) / np.sum(np.abs(b) ** 2)))


def test_an_unseen_units_ears_are_estimated_from_one_capture(place: Path, model: GoldenModel) -> None:
    unit = quick.measured_unit(next((place / "full" / quick_fleet.UNSEEN).iterdir()))
    found = quick.estimate(model, "0" * 64, unit.sets["monitor"], unit.errors["monitor"])
    assert found.accepted
    mine = quick.responses(found, "ears")[0]
    golden = model.sets["ears"].ir
    missed, before = (error_db(x, unit.sets["ears"], 500.0, 6300.0) for x in (mine, golden))
    assert missed < -30.0
    assert missed < before - 8.0


@pytest.mark.parametrize("count", [1, 3])
def test_stated_errors_hold_what_was_missed(place: Path, rig: Description, count: int) -> None:
    """Of few units' models too: a seat that no monitor hears is stated, assumed where a single unit was learned."""
    runs = quick.runs_below(place / "learned")[:count]
    one = learn([quick.measured_unit(r) for r in runs], rig)
    unit = quick.measured_unit(next((place / "full" / quick_fleet.UNSEEN).iterdir()))
    found = quick.estimate(one, "0" * 64, unit.sets["monitor"], unit.errors["monitor"])
    mine, stderr, relative = quick.responses(found, "ears")
    f = np.fft.rfftfreq(mine.h.shape[-1], 1.0 / mine.fs)
    for low, high in ((200.0, 500.0), (500.0, 6300.0)):
        inside = (f > low) & (f < high)
        a, b = (np.fft.rfft(x.h)[..., inside] for x in (mine, unit.sets["ears"]))
        noise = stderr[..., inside] ** 2 + unit.errors["ears"].stderr[..., inside] ** 2
        stated = noise + relative[..., inside] * np.abs(b) ** 2
        assert 0.05 < np.sum(np.abs(a - b) ** 2) / np.sum(stated) < 3.0


def test_errors_that_drivers_share_cancel_at_the_far_ear_and_opposed_ones_add_up(model: GoldenModel) -> None:
    """Shared by all drivers, they come to the little that the filters leave there; against each other, to more."""
    far = far_ear(model.sets["ears"], model.f)
    drivers, paths = len(model.drivers), len(model.sets["ears"].directions)
    own = np.full((1, drivers, paths, len(model.f)), 0.01 + 0j)
    opposed = own * np.sign(np.linspace(-1.0, 1.1, drivers))[:, None, None]
    inside = (model.f > 500.0) & (model.f < 4000.0)
    alike, against = (float(far.powers(x)[0, inside].mean()) for x in (own, opposed))
    alone = float(far.independent(np.abs(own) ** 2)[0, inside].mean())
    assert alike < 0.2 * alone < alone < against


def test_fewer_units_state_larger_variances() -> None:
    """Student's 95th percentile over the normal one's: of 2 and 5 degrees of freedom by any table 2.920 and 2.015."""
    assert learning.by_few(2) == pytest.approx((2.920 / 1.645) ** 2, rel=2e-3)
    assert learning.by_few(5) == pytest.approx((2.015 / 1.645) ** 2, rel=2e-3)
    assert learning.by_few(10**6) == pytest.approx(1.0, abs=1e-3)


def test_a_model_survives_its_file_and_says_what_it_was_made_from(model: GoldenModel, tmp_path: Path) -> None:
    write(tmp_path / "m.h5", model)
    again = read(tmp_path / "m.h5")
    assert again.units == quick_fleet.LEARNED
    assert again.components == pytest.approx(model.components, abs=1e-6)
    assert again.text == model.text
    for name in model.sets:
        assert again.missed[name] == pytest.approx(model.missed[name])
    first = (tmp_path / "m.h5").read_bytes()
    write(tmp_path / "m.h5", model)
    assert (tmp_path / "m.h5").read_bytes() == first
    (tmp_path / "m.h5").write_bytes(first[:3000] + bytes([first[3000] ^ 1]) + first[3001:])
    with pytest.raises(BadInput, match=r"m\.h5"):
        read(tmp_path / "m.h5")


def test_one_unit_is_enough_for_a_ratio(place: Path, rig: Description) -> None:
    runs = quick.runs_below(place / "learned")[:1]
    one = learn([quick.measured_unit(runs[0])], rig)
    assert len(one.components) == 0
    unit = quick.measured_unit(next((place / "full" / quick_fleet.UNSEEN).iterdir()))
    found = quick.estimate(one, "0" * 64, unit.sets["monitor"], unit.errors["monitor"])
    assert found.accepted
    assert error_db(quick.responses(found, "ears")[0], unit.sets["ears"], 500.0, 6300.0) < -22.0


FAULTS = {
    "dead": lambda h: 0.0 * h,
    "polarity": lambda h: -h,
    "level": lambda h: 0.5 * h,
    "delay": lambda h: np.roll(h, 3, axis=-1),
}


@pytest.mark.parametrize("cause", FAULTS)
@pytest.mark.parametrize("driver", [0, 2])
def test_a_faulty_driver_is_named(place: Path, model: GoldenModel, rig: Description, cause: str, driver: int) -> None:
    ir, error = monitors(place)
    found = quick.estimate(model, "0" * 64, with_driver(ir, driver, FAULTS[cause]), error, rig=rig)
    assert [(x.what, x.name, x.cause) for x in found.findings] == [("driver", model.drivers[driver], cause)]


def test_a_driver_3_db_low_is_mended_where_one_golden_unit_shows_no_fault(place: Path, rig: Description) -> None:
    """Beyond the limit of few units it is named; within, its responses are estimated 3 dB lower, and it is remarked."""
    one = learn([quick.measured_unit(quick.runs_below(place / "learned")[0])], rig)
    unit = quick.measured_unit(next((place / "full" / quick_fleet.UNSEEN).iterdir()))
    error, low, driver = unit.errors["monitor"], 10.0 ** (-3.0 / 20.0), 2
    good = quick.estimate(one, "0" * 64, unit.sets["monitor"], error)
    own = good.beside.values[0, driver]
    assert abs(own - 3.0) < good.beside.limits[0], "this unit's driver would be refused, not mended: take another"
    found = quick.estimate(one, "0" * 64, with_driver(unit.sets["monitor"], driver, lambda h: low * h), error)
    assert found.accepted
    assert [t for t in found.remarks if one.drivers[driver] in t and "level" in t and "corrected" in t]
    before, after = (quick.responses(x, "ears")[0].h[:, :, driver] for x in (good, found))
    assert np.allclose(after, low * before, atol=0.01 * np.abs(before).max())


def test_a_change_in_a_band_is_named_with_its_band(place: Path, model: GoldenModel) -> None:
    ir, error = monitors(place)
    f = np.fft.rfftfreq(ir.h.shape[-1], 1.0 / ir.fs)
    bump = 10.0 ** (6.0 / 20.0 * np.exp(-((np.log2(np.maximum(f, 1.0) / 2000.0) / 0.3) ** 2)))
    spoilt = with_driver(ir, 1, lambda h: np.fft.irfft(np.fft.rfft(h) * bump, h.shape[-1]))
    found = quick.estimate(model, "0" * 64, spoilt, error).findings
    assert [(x.name, x.cause) for x in found] == [(model.drivers[1], "response")]
    assert "Hz" in found[0].text


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("driver", [1, 2])
def test_a_leaking_seal_is_refused_however_few_units_were_learned(
    place: Path, rig: Description, count: int, driver: int
) -> None:
    """A first-order loss below 250 Hz, which a distance over all frequencies of few units' models lets pass."""
    taught = [quick.measured_unit(r) for r in quick.runs_below(place / "learned")[:count]]
    model = learn(taught, rig)
    ir, error = monitors(place)
    good = quick.estimate(model, "0" * 64, ir, error)
    assert not good.findings
    f = np.fft.rfftfreq(ir.h.shape[-1], 1.0 / ir.fs)
    leaks = with_driver(ir, driver, lambda h: np.fft.irfft(np.fft.rfft(h) * f / (f - 250j), h.shape[-1]))
    found = quick.estimate(model, "0" * 64, leaks, error).findings
    assert [(x.name, x.cause) for x in found] == [(model.drivers[driver], "low end")]
    gain = 10.0 ** ((-0.6 * good.beside.limits[0] - good.beside.values[0, driver]) / 20.0)
    softer = quick.estimate(model, "0" * 64, with_driver(ir, driver, lambda h: gain * h), error)
    assert softer.accepted
    assert [text for text in softer.remarks if model.drivers[driver] in text and "level" in text]


@pytest.mark.parametrize("intact", [0, 1, 2])
def test_where_most_seals_leak_the_intact_one_is_not_at_fault(place: Path, model: GoldenModel, intact: int) -> None:
    """Of three drivers two leak alike, so that the third is the farthest from the others."""
    ir, error = monitors(place)
    f = np.fft.rfftfreq(ir.h.shape[-1], 1.0 / ir.fs)
    for driver in {0, 1, 2} - {intact}:
        ir = with_driver(ir, driver, lambda h: np.fft.irfft(np.fft.rfft(h) * f / (f - 300j), h.shape[-1]))
    found = quick.estimate(model, "0" * 64, ir, error).findings
    named = {x.name for x in found if x.cause == "low end" and "its seal leaks" in x.text}
    assert named == set(model.drivers) - {model.drivers[intact]}, [x.text for x in found]


def with_tweeter(unit: MeasuredUnit, driver: int) -> MeasuredUnit:
    """A unit one of whose drivers plays from 2.5 kHz on; below, its responses are leakage, another at each place."""
    rng = np.random.default_rng(sum(unit.serial.encode()))
    sets, errors = {}, {}
    for name, ir in unit.sets.items():
        f = np.fft.rfftfreq(ir.h.shape[-1], 1.0 / ir.fs)
        below = f < 2400.0
        leak = 1e-5 * rng.standard_normal((*ir.h.shape[:2], 1))
        sets[name] = with_driver(
            ir, driver, lambda h, b=below, a=leak: np.fft.irfft(np.fft.rfft(h) * np.where(b, a, 1.0), h.shape[-1])
        )
        stderr = np.array(unit.errors[name].stderr)
        stderr[:, :, driver, below] *= 1e-8
        errors[name] = replace(unit.errors[name], stderr=stderr)
    return replace(unit, sets=sets, errors=errors)


@pytest.mark.parametrize("count", [1, 3])
def test_what_lies_below_a_drivers_band_says_nothing_of_it(place: Path, count: int) -> None:
    """A good tweeter is accepted, and one 6 dB low is named, however few units were learned."""
    wide = "band_hz = [100, 10500]\nunprotected = true"
    assert wide in quick_fleet.text()
    rig, driver = parse(quick_fleet.text().replace(wide, "band_hz = [2500, 10500]"), folder=place), 2
    runs = quick.runs_below(place / "learned")[:count]
    model = learn([with_tweeter(quick.measured_unit(r), driver) for r in runs], rig)
    unit = with_tweeter(quick.measured_unit(next((place / "full" / quick_fleet.UNSEEN).iterdir())), driver)
    ir, error = unit.sets["monitor"], unit.errors["monitor"]
    good = quick.estimate(model, "0" * 64, ir, error)
    assert good.accepted, good.text
    assert good.beside.edges[driver] > 2400.0
    low = quick.estimate(model, "0" * 64, with_driver(ir, driver, lambda h: 0.5 * h), error)
    assert [(x.name, x.cause) for x in low.findings] == [(model.drivers[driver], "level")]
    assert low.beside.values[0, driver] == pytest.approx(good.beside.values[0, driver] - 6.02, abs=0.3)


def test_limits_beside_other_drivers_come_from_learned_spread(model: GoldenModel, rig: Description) -> None:
    """By hand: a level that spreads by 1 dB in many units is refused beyond the normal quantile, beside the others."""
    many = replace(model, units=tuple(map(str, range(1000))))
    drivers = len(model.drivers)
    flat = np.full((1, *model.components.shape[1:]), 1.0 / features.NEPER_DB, dtype=complex)
    edges = np.full(drivers, 200.0)
    level, low_end, _ = features.limits(replace(many, components=flat), edges, 0.01)
    quantile = NormalDist().inv_cdf(1.0 - 0.01 / 2.0 / 3.0 / drivers)
    assert level == pytest.approx(quantile * np.sqrt(drivers / (drivers - 1)), rel=0.01)
    assert low_end == features.FLOOR[1]
    single = replace(model, units=("one",), components=flat[:0])
    assert features.limits(single, edges, 0.01) == pytest.approx(features.STATED)


def test_swapped_channels_are_named(place: Path, model: GoldenModel) -> None:
    ir, error = monitors(place)
    found = quick.estimate(model, "0" * 64, replace(ir, h=ir.h[:, :, [0, 2, 1]]), error)
    assert {(x.name, x.cause) for x in found.findings} == {(n, "swapped") for n in model.drivers[1:]}


def test_a_microphone_that_is_off_is_not_the_units_fault(place: Path, model: GoldenModel) -> None:
    ir, error = monitors(place)
    h = np.array(ir.h)
    h[:, 1] *= 0.6
    found = quick.estimate(model, "0" * 64, replace(ir, h=h), error).findings
    assert [(x.what, x.name) for x in found] == [("microphone", "aside")]
    found = quick.estimate(model, "0" * 64, replace(ir, h=0.5 * ir.h), error).findings
    assert [(x.what, x.cause) for x in found] == [("box", "level")]
    found = quick.estimate(model, "0" * 64, replace(ir, h=ir.h[:, ::-1]), error).findings
    assert [(x.what, x.name, x.cause) for x in found] == [("microphone", "front, aside", "swapped")]


def test_a_microphone_that_is_off_by_less_than_1_db_is_not_the_units_fault(place: Path, model: GoldenModel) -> None:
    """Where microphones repeat well, units are refused before it reaches 1 dB: for the microphone then."""
    ir, error = monitors(place)
    h = np.array(ir.h)
    h[:, 1] *= 10.0 ** (0.8 / 20.0)
    off = quick.estimate(model, "0" * 64, replace(ir, h=h), error)
    found = judge.findings(model, off.y, off.drivers, np.zeros_like(off.y), 0.0, off.beside)
    assert [(x.what, x.name) for x in found] == [("microphone", "aside")]


def test_microphones_that_differ_at_high_frequencies_only_are_swapped_too(place: Path, model: GoldenModel) -> None:
    ir, error = monitors(place)
    own = quick.estimate(model, "0" * 64, ir, error)
    mean = np.zeros_like(own.y)
    mean[:, 1, model.f > 8500.0] = np.linspace(0.5, 1.0, len(mean))[:, None]
    y = mean[:, ::-1] - mean
    found = judge.findings(model, y, own.drivers, mean, 0.0, own.beside)
    assert [(x.what, x.cause) for x in found] == [("microphone", "swapped")]


def test_what_all_drivers_share_is_remarked(place: Path, model: GoldenModel) -> None:
    """A gain and an arrival that good units do not have together: the box has drifted, or the air is warmer."""
    ir, error = monitors(place)
    n = ir.h.shape[-1]
    early = np.exp(2j * np.pi * np.fft.rfftfreq(2 * n, 1.0 / ir.fs) * 25e-6)
    h = 0.75 * np.fft.irfft(np.fft.rfft(ir.h, 2 * n) * early, 2 * n)[..., :n]
    y, _ = quick.observed(model, replace(ir, h=h), error, model.by)
    found = judge.remarks(model, y, features.Beside(np.zeros((3, 3)), np.ones(3), np.ones(3)))
    assert len(found) == 2
    assert "all drivers are -2" in found[0]
    assert "us early at all microphones" in found[1]


def test_what_is_off_alike_for_every_driver_is_the_test_box(place: Path, model: GoldenModel) -> None:
    """An inverted microphone, one that was moved, and air that is 10 K warmer, in a capture of a good unit."""
    ir, error = monitors(place)
    f = np.fft.rfftfreq(ir.h.shape[-1], 1.0 / ir.fs)

    def found(gains: np.ndarray) -> list[tuple[str, str, str]]:
        h = np.fft.irfft(np.fft.rfft(ir.h) * gains[:, None], ir.h.shape[-1])
        return [(x.what, x.name, x.cause) for x in quick.estimate(model, "0" * 64, replace(ir, h=h), error).findings]

    flat = np.ones((2, len(f)), dtype=complex)
    assert found(np.array([1.0, -1.0])[:, None] * flat) == [("microphone", "aside", "polarity")]
    assert found(-flat) == [("box", "", "polarity")]
    early = np.exp(2j * np.pi * f * np.array([45e-6, 47e-6])[:, None])
    assert found(early) == [("box", "", "delay")]
    assert found(np.exp(2j * np.pi * f * np.array([-60e-6, 0.0])[:, None])) == [("microphone", "front", "delay")]


@pytest.mark.parametrize(("degrees", "mm"), [(5.0, 0.0), (5.0, 4.0), (8.0, 2.0)])
def test_a_unit_that_is_turned_on_its_seat_has_no_faulty_driver(
    model: GoldenModel, rig: Description, tmp_path: Path, degrees: float, mm: float
) -> None:
    """The lab turns and moves the whole unit, diffraction and all; its drivers were blamed one by one."""
    x, y, _, angle = drawn(rig.lab.seed, quick_fleet.UNSEEN, "seat").standard_normal(4)
    seat = f"seat_deg = {degrees / abs(angle):.6g}\nseat_mm = {mm / float(np.hypot(x, y)):.6g}\n"
    turned = parse(quick_fleet.text() + seat, folder=tmp_path)
    ir, error = monitors_of(quick_fleet.measured(tmp_path, turned, quick_fleet.UNSEEN, quick=True))
    found = quick.estimate(model, "0" * 64, ir, error, rig=rig).findings
    assert [(x.what, x.cause) for x in found] == [("box", "seat")], [x.text for x in found]
    side = "left" if angle > 0.0 else "right"
    assert f"turned to the {side} on its seat" in found[0].text


def test_a_dead_driver_is_the_units_fault_and_a_dead_amplifier_the_boxes(
    place: Path, model: GoldenModel, tmp_path: Path
) -> None:
    clean = quick_fleet.rig(place)
    setup = line_run.LineSetup(clean, model, "0" * 64, tmp_path / "runs", tmp_path / "records")
    done = {}
    for fault in ("dead driver=right", "amp-off", "unplug mic=front"):
        state = line_run.state_of(setup)
        state.begins("U-1")
        done[fault] = line_run.cycle(replace(setup, rig=with_faults(clean, [fault])), state, "U-1")
    assert {k: (r["verdict"], r["cause"]) for k, r in done.items()} == {
        "dead driver=right": ("refused", "right dead"),
        "amp-off": ("error", "rig"),
        "unplug mic=front": ("error", "rig"),
    }
    assert "no signal of any driver at any microphone" in done["amp-off"]["reasons"][0]
    assert "no signal of any driver at front" in done["unplug mic=front"]["reasons"][0]
    assert "resume" not in done["amp-off"]["reasons"][0]


def test_an_estimate_that_was_cut_short_is_not_sent_to_a_command_that_refuses_it(
    place: Path, model: GoldenModel, tmp_path: Path
) -> None:
    """As when a line is killed while it writes the estimate: nothing is left to measure in this run."""
    run = quick_fleet.measured(tmp_path, quick_fleet.rig(place), "U-3", quick=True)
    cut = tmp_path / "cut"
    with Session.resume(run / "session.h5") as session:
        found = quick.estimate(model, "0" * 64, session.responses("monitor"), quick.errors_of(session, "monitor"))
        quick.keep(session, found, "the monitor capture")
        shutil.copytree(run, cut)
    with Session.read(cut / "session.h5") as session, pytest.raises(BadInput, match="ended before") as refused:
        session.responses("ears")
    assert "capture or import the unit anew" in str(refused.value)
    assert "measure resume" not in str(refused.value)


def test_a_quick_session_is_calibrated_like_any_other(place: Path, model: GoldenModel, rig: Description) -> None:
    run = quick_fleet.measured(place / "quick", rig, quick_fleet.UNSEEN, quick=True)
    found = quick.complete(run, model, "ab" * 32)
    assert found.accepted
    with Session.read(run / "session.h5") as session:
        assert session.is_estimated("ears")
        assert session.holds_raw("monitor")
        assert "G-1" in session.origin("ears")
        assert json.loads(session.annotation("estimate") or "")["model_sha256"] == "ab" * 32
    write(run / "model.h5", model)
    reference = data_files.PAGE.read_text(encoding="utf-8")
    for line in data_files.quick_page(run / "model.h5", run).splitlines():
        assert line in reference, f"sweetspot/data_files.md is behind: {line}"
    full = next((place / "full" / quick_fleet.UNSEEN).iterdir())
    own, mine = (steps.calibrate(r, Design(), "") for r in (full, run))
    with Session.read(full / "session.h5") as session:
        heard = session.responses("ears").used_for("score")

    def cancellation(filters: steps.Fitted) -> float:
        from sweetspot.calibrate.plant import prediction

        far = filters.prediction.far_ear
        cells = metrics.cancellation_db(
            metrics.unvirtualized(prediction.programs(heard, filters.filters), far), filters.prediction.f
        )
        return metrics.scored(cells).mean

    assert cancellation(mine) > cancellation(own) - 1.5  # one unit of a fleet: tests/bench/quick.py takes the median
    with pytest.raises(BadInput, match="estimated"):
        quick.measured_unit(run)


def test_the_commands_learn_measure_and_refuse(
    place: Path, tmp_path: Path, sweetspot: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    nowhere = sweetspot("fleet", "learn", tmp_path, "--out", tmp_path / "nowhere" / "model.h5")  # says so first
    assert nowhere.returncode == 2
    assert "create it first" in nowhere.stderr
    made = sweetspot("fleet", "learn", place / "learned", "--out", "model.h5", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["units"] == list(quick_fleet.LEARNED)
    capture = ("--unit", "U-8", "--model", "model.h5", "--fault", "swap drivers=left,right", "--json")
    bad = sweetspot("measure", "quick", place / "rig.toml", *capture)
    assert bad.returncode == 1, bad.stderr
    found = json.loads(bad.stdout)
    assert found["verdict"] == "refused"
    assert {x["cause"] for x in found["findings"]} == {"swapped"}
    refused = sweetspot("calibrate", found["run"])
    assert refused.returncode == 2
    assert "ears" in refused.stderr
    other = sweetspot("measure", "quick", "desk", "--unit", "U-8", "--model", "model.h5")
    assert other.returncode == 2
    assert "model's drivers" in other.stderr


def test_the_limit_of_the_distance_lies_in_an_exponential_tail(model: GoldenModel) -> None:
    """By hand: 1000 distances of mean excess 1 beyond 0 leave 1 in 400 / drivers at ln(drivers 400 / 3), nearly."""
    rng = np.random.default_rng(4)
    begins, excess = judge.tail(rng.exponential(1.0, 3000))
    assert begins == pytest.approx(np.log(3.0), abs=0.1)
    assert excess == pytest.approx(1.0, abs=0.1)
    far = replace(model, distance=-6.0, distance_spread=1.0, count=100_000)
    assert np.log(judge.limit(far)) == pytest.approx(-6.0 + np.log(len(model.drivers) * 400.0 / 3.0), abs=0.01)
    assert judge.limit(replace(far, count=8)) > judge.limit(far)
    assert judge.limit(replace(far, distance=3.0)) == judge.UNPROVED

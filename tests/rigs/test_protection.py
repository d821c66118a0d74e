"""Drivers with bands and powers of their own: their signals, what is refused at the device, and the lab's ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sweetspot.calibrate.filters.protection import limits, staged, within_bands
from sweetspot.calibrate.run.verification import engine_of
from sweetspot.calibrate.verify import loudness, verification
from sweetspot.measure import folder, plan
from sweetspot.measure.deconvolve import edges
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.preflight import run as preflight
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs import protection
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.errors import BadInput, TooLoud
from sweetspot.rigs.lab.electronics import Wear
from sweetspot.rigs.lab.interface import LabInterface
from sweetspot.rigs.portaudio import AudioDevice, PortAudioInterface
from sweetspot.rigs.protection import Protection, protections
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import Description, parse

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
DRIVERS = {
    "low_left": (4, 90, 6000, "power_w = 20.0\n"),
    "tweeter_left": (1, 2500, 20000, "power_w = 2.0\n"),
    "mid_left": (6, 250, 12000, ""),
    "low_right": (2, 90, 6000, "power_w = 20.0\n"),
    "tweeter_right": (7, 2500, 20000, "power_w = 2.0\nlevel_dbfs = -14.0\n"),
    "mid_right": (3, 250, 12000, ""),
}
"""Name: channel, band, more."""


def six(crooked_text: str, more: str = "burn = true\n", **values: str) -> str:
    """The crooked rig with six drivers, two of them tweeters of 2 W."""
    head, rest = crooked_text.split("[[driver]]", 1)
    drivers = "".join(
        f'[[driver]]\nname = "{name}"\nchannel = {channel}\nat = [0.05, {0.09 - 0.033 * n:.3f}, 0.0]\n'
        f"band_hz = [{low}, {high}]\nv_per_fs = 20.0\nimpedance_ohm = 8.0\n{extra}"
        for n, (name, (channel, low, high, extra)) in enumerate(DRIVERS.items())
    )
    text = head.replace("out = 6", "out = 9") + drivers + rest[rest.index("[[mic]]") :] + more
    text = text.replace("step_deg = 15.0", "step_deg = 60.0")
    for key, value in values.items():
        assert key in text
        text = "\n".join(value if line.startswith(f"{key} =") else line for line in text.splitlines())
    return text


class Door:
    """Everything that passes the lab's door, kept."""

    def __init__(self, inner: LabInterface) -> None:
        self.inner, self.played = inner, []
        self.fs, self.outputs, self.inputs = inner.fs, inner.outputs, inner.inputs

    def capture(self, y: NDArray[np.float32]) -> object:
        self.played.append(y.copy())
        return self.inner.capture(y)

    def close(self) -> None:
        pass


def share_below_db(x: NDArray[np.float32], fs: int, low: float) -> float:
    """By a transform of its own: energy below an edge over the total, dB."""
    power = np.abs(np.fft.rfft(x.astype(float), 2 * len(x))) ** 2
    f = np.fft.rfftfreq(2 * len(x), 1.0 / fs)
    return float(10.0 * np.log10(power[f < low].sum() / power.sum() + 1e-30))


@pytest.fixture
def rig(crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]) -> Rig:
    opened = lab_rig(parse(six(crooked_text), folder=tmp_path), "T-6")
    return Rig(opened.description, Door(opened.interface), opened.stage)  # type: ignore[arg-type]


def test_no_stimulus_of_a_session_has_energy_below_a_drivers_band(rig: Rig, tmp_path: Path) -> None:
    """Check, both sets and overlapped sweeps: -40 dB at the door and in the lab's ledger, and no driver burns."""
    described, door = rig.description, rig.interface
    preflight.check(rig, described, runs=tmp_path)
    run = folder.new(tmp_path / "runs", "T-6", described, NOON)
    for name in plan.SETS:
        with Session.resume(run / "session.h5") as session:
            wanted = plan.make(described, name)
            measure(rig, session, wanted, ask=print, step=lambda _: None, overlapped="auto" if name == "ears" else None)
    assert len(door.played) > 40  # type: ignore[attr-defined]
    for y in door.played:  # type: ignore[attr-defined]
        for driver in described.driver:
            if np.any(x := y[driver.channel - 1]):
                assert share_below_db(x, described.fs, driver.band_hz[0]) < -40.0
                assert np.sqrt(np.mean(x[-len(x) :] ** 2)) * 20.0 < np.sqrt((driver.power_w or 1e9) * 8.0)
    ledger = door.inner.wear  # type: ignore[attr-defined]
    assert ledger.burnt == ()
    assert max(d.worst_leak_db for d in ledger.drivers) < -40.0
    assert min(d.total for d in ledger.drivers) > 1.0


def test_levels_are_those_of_the_driver_and_of_its_power(crooked_text: str, tmp_path: Path) -> None:
    """2 W at 8 ohm are 4 V rms: a sine of 5.66 V peak, 0.283 of 20 V; the other tweeter has -14 dBFS, 0.2."""
    described = parse(six(crooked_text), folder=tmp_path)
    signals = plan.make(described, "ears").sources.signals
    peaks = [float(np.abs(s[d.channel - 1]).max()) for s, d in zip(signals, described.driver, strict=True)]
    assert peaks == pytest.approx([0.5012, 0.2828, 0.5012, 0.5012, 0.1995, 0.5012], abs=2e-3)


def test_a_response_is_that_of_the_driver_without_its_filter(
    crooked_text: str, tmp_path: Path, lab_rig: object
) -> None:
    """Against the lab's own electrical and acoustic path, within the band."""
    opened = lab_rig(parse(six(crooked_text), folder=tmp_path), "T-6")
    described = opened.description
    run = folder.new(tmp_path / "runs", "T-6", described, NOON)
    with Session.resume(run / "session.h5") as session:
        measure(opened, session, plan.make(described, "ears"), ask=print, step=lambda _: None)
        ir = session.responses("ears")
    world = opened.interface.world
    whole, n = 4, 2 * (len(world.f) - 1)  # longer than what is kept; every fourth bin is one of the world's
    padded = np.pad(ir.h[0], ((0, 0), (0, 0), (0, whole * n - ir.h.shape[-1])))
    found = np.fft.rfft(np.roll(padded, -ir.zero, axis=-1))[..., ::whole]
    truth = world.at_ears(described.ears.positions[0].pose)[::1]
    for d, driver in enumerate(described.driver):
        band = (world.f > 1.25 * driver.band_hz[0]) & (world.f < min(driver.band_hz[1], 15000))
        off = 20.0 * np.log10(np.abs(found[0, d, band] / truth[0, d, band]))
        assert np.median(np.abs(off)) < 0.1, driver.name


@pytest.mark.parametrize(("low", "before", "after"), [(45, 1, 60), (110, 20, 60), (187, 5, 30), (2500, 1, 5)])
def test_the_kept_window_cuts_off_nothing_of_a_filters_ringing_that_is_judged(
    low: float, before: float, after: float, crooked_text: str, tmp_path: Path
) -> None:
    """An echo-free driver of flat response, played through its filter, equalised and cut: flat where it is judged."""
    text = crooked_text.replace("[80, 15000]\nunprotected = true", f"[{low}, 15000]")
    text = text.replace("before_ms = 20.0", f"before_ms = {before}").replace("after_ms = 60.0", f"after_ms = {after}")
    rig = parse(text, folder=tmp_path)
    (shape,) = [p for p in protections(rig) if p.low_hz is not None]
    ahead, rest = plan.kept_samples(rig)
    n, late = 4 * rig.fs, round(0.003 * rig.fs)
    f = np.fft.rfftfreq(n, 1.0 / rig.fs)
    flat = np.roll(np.fft.irfft(shape.slope(f) * shape.equaliser(f), n), late + ahead)
    heard = np.fft.rfft(flat[: ahead + rest] * edges(ahead, rest), n) * np.exp(2j * np.pi * f * (late + ahead) / rig.fs)
    judged = (f > max(167.0, 1.6 * low)) & (f < 12000.0)
    assert 20.0 * np.log10(np.abs(heard[judged] - 1.0).max()) < -48.0
    least = 0.65 if low < 250 else 0.25
    assert np.max(shape.equaliser(f)) < 1.0 / least**2 + 1e-6, "noise is not raised by more"


def test_a_tweeter_is_known_nearly_down_to_its_edge(crooked_text: str, tmp_path: Path) -> None:
    """There other drivers play too: what its response lacks, the centre's filters would make up for, and be heard."""
    rig = parse(crooked_text.replace("[80, 15000]\nunprotected = true", "[2500, 15000]"), folder=tmp_path)
    (shape,) = [p for p in protections(rig) if p.low_hz is not None and p.low_hz > 1000.0]
    f = np.arange(2700.0, 4000.0, 10.0)
    np.testing.assert_allclose(shape.slope(f) * shape.equaliser(f), 1.0, atol=1e-9)


@pytest.mark.parametrize(("before", "after"), [(20.0, 60.0), (20.0, 60.3), (1.0, 131.7), (43.6, 90.0)])
def test_the_kept_window_is_as_long_as_asked_for_and_quick_to_transform(
    before: float, after: float, crooked_text: str, tmp_path: Path
) -> None:
    text = crooked_text.replace("before_ms = 20.0", f"before_ms = {before}").replace(
        "after_ms = 60.0", f"after_ms = {after}"
    )
    rig = parse(text, folder=tmp_path)
    ahead, rest = plan.kept_samples(rig)
    assert ahead >= round(before * rig.fs / 1000.0)
    assert rest >= round(after * rig.fs / 1000.0)
    left = ahead + rest
    for prime in (2, 3, 5):
        while left % prime == 0:
            left //= prime
    assert left == 1, f"{ahead + rest} samples have a prime factor of {left}"


@pytest.mark.parametrize("door", ["lab", "portaudio"])
@pytest.mark.parametrize("fault", ["below the band", "power", "ceiling", "not finite"])
def test_both_doors_refuse_alike(
    door: str, fault: str, crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]
) -> None:
    described = parse(six(crooked_text), folder=tmp_path)
    interface = (
        lab_rig(described).interface
        if door == "lab"
        else PortAudioInterface(AudioDevice(0, "box", "api", 8, 10, 48000.0), described, lambda: NOON)
    )
    y = np.zeros((described.outputs, 60000), dtype=np.float32)
    t = np.arange(y.shape[1]) / described.fs
    f, level = {"below the band": (1200.0, 0.01), "ceiling": (5000.0, 0.6)}.get(fault, (5000.0, 0.45))
    y[0] = level * np.sin(2 * np.pi * f * t) * np.hanning(len(t)) ** (0.0 if fault == "power" else 1.0)
    if fault == "power":
        y[0, :200] *= np.linspace(0, 1, 200)
        y[0, -200:] *= np.linspace(1, 0, 200)
    if fault == "not finite":
        y[0, 7] = np.nan
    words = {"below the band": "lies below band_hz", "power": "more power", "ceiling": "ceiling"}.get(fault, "finite")
    with pytest.raises(TooLoud, match=words):
        interface.capture(y)


def test_what_kept_to_its_limits_is_checked_anew_at_other_limits_or_outputs(crooked_text: str, tmp_path: Path) -> None:
    usual, quiet, high = (
        parse(text, folder=tmp_path)
        for text in (
            six(crooked_text),
            six(crooked_text, ceiling_dbfs="ceiling_dbfs = -26.0", level_dbfs="level_dbfs = -30.0"),
            six(crooked_text).replace("[90, 6000]", "[1500, 6000]"),
        )
    )
    y = np.zeros((usual.outputs, 60000), dtype=np.float32)
    y[3] = 0.1 * np.sin(2 * np.pi * 1200.0 * np.arange(y.shape[1]) / usual.fs) * np.hanning(y.shape[1])
    for _ in range(2):
        protection.check_outputs(y, usual, "door")
    with pytest.raises(TooLoud, match=r"low_left.*above its limit of -26.00 dBFS"):
        protection.check_outputs(y, quiet, "door")
    with pytest.raises(TooLoud, match=r"low_left.*lies below band_hz"):
        protection.check_outputs(y, high, "door")
    with pytest.raises(TooLoud, match=r"tweeter_left.*lies below band_hz"):
        protection.check_outputs(np.roll(y, -3, axis=0), usual, "door")
    y[3] *= 9.0
    with pytest.raises(TooLoud, match=r"low_left.*above its limit"):
        protection.check_outputs(y, usual, "door")


def test_an_array_that_was_made_louder_after_its_check_is_checked_again(crooked_text: str, tmp_path: Path) -> None:
    """Read-only or not: a flag that can be set again protects no tweeter."""
    rig = parse(six(crooked_text, ceiling_dbfs="ceiling_dbfs = -6.0", level_dbfs="level_dbfs = -30.0"), folder=tmp_path)
    y = np.zeros((rig.outputs, 60000), dtype=np.float32)
    y[3] = 0.1 * np.sin(2 * np.pi * 1200.0 * np.arange(y.shape[1]) / rig.fs) * np.hanning(y.shape[1])
    y.setflags(write=False)
    protection.check_outputs(y, rig, "door")
    y.setflags(write=True)
    y[3] *= 9.0
    y.setflags(write=False)
    with pytest.raises(TooLoud, match=r"low_left.*above its limit"):
        protection.check_outputs(y, rig, "door")


def test_wires_swapped_after_the_door_burn_a_tweeter_in_the_lab(
    crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]
) -> None:
    """The ledger is no ornament: a woofer's sweep on the tweeter's wires silences it."""
    swap = '[lab.faults]\nschedule = ["swap drivers=low_left,tweeter_left"]\n'
    described = parse(six(crooked_text, more="burn = true\n" + swap), folder=tmp_path)
    rig = lab_rig(described, "T-6")
    signals = plan.make(described, "ears").sources.signals
    first, second = (rig.interface.capture(signals[0]).x for _ in range(2))
    assert rig.interface.wear.burnt == ("tweeter_left",)  # type: ignore[attr-defined]
    assert np.std(second[0]) < 0.05 * np.std(first[0])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("band_hz = [2500, 20000]\n", "", r"driver\[2\].band_hz: missing; signal below its band"),
        ("v_per_fs = 20.0\n", "max_v = 4.0\n", r"driver\[1\].max_v: needs v_per_fs"),
        ("v_per_fs = 20.0\n", "amplifier_gain_db = 26.0\n", r"driver\[1\].amplifier_gain_db: needs interface.output"),
    ],
)
def test_a_driver_whose_limits_are_not_given_is_refused(
    old: str, new: str, reason: str, crooked_text: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=reason):
        parse(six(crooked_text).replace(old, new), folder=tmp_path)


def test_unprotected_is_stated_on_purpose(crooked: Description) -> None:
    assert all(p.low_hz is None for p in protections(crooked))
    assert plan.make(crooked, "ears").sources.equaliser(0, np.array([50.0])) is None


def loud_rig(crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig], limit: float) -> Rig:
    text = six(crooked_text).replace("ceiling_dbfs = -5.0", f"ceiling_dbfs = -5.0\nloudest_db_spl = {limit}")
    opened = lab_rig(parse(text, folder=tmp_path), "T-6")
    return Rig(opened.description, Door(opened.interface), opened.stage)  # type: ignore[arg-type]


def fast_db(x: NDArray[np.float32], rig: Description) -> float:
    """Loudest 125 ms at any microphone, dB SPL, by hand."""
    size = rig.fs // 8
    levels = []
    for mic in rig.mic:
        pa = x[mic.channel - 1].astype(float) * rig.interface.full_scale_v * 1000.0 / mic.sensitivity_mv_per_pa
        power = np.convolve(pa**2, np.ones(size) / size, mode="valid")
        levels.append(10 * np.log10(power.max() / (20e-6) ** 2))
    return max(levels)


@pytest.mark.parametrize("limit", [62.0, 74.0, 95.0])
def test_no_capture_passes_the_loudest_level(
    limit: float, crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]
) -> None:
    rig = loud_rig(crooked_text, tmp_path, lab_rig, limit)
    heard: list[float] = []
    capture = rig.interface.capture
    rig.interface.capture = lambda y: (r := capture(y), heard.append(fast_db(r.x, rig.description)))[0]  # type: ignore[method-assign]
    run = folder.new(tmp_path / "runs", "T-6", rig.description, NOON)
    with Session.resume(run / "session.h5") as session:
        wanted = plan.make(rig.description, "polar")
        if limit < 90.0:
            with pytest.raises(TooLoud, match=rf"would reach .* dB SPL at boom \(limits.loudest_db_spl = {limit:g}"):
                measure(rig, session, wanted, ask=print, step=lambda _: None)
        else:
            measure(rig, session, wanted, ask=print, step=lambda _: None)
    assert heard
    assert max(heard) < limit + 0.5


def test_an_amplifier_turned_up_stops_the_session(
    crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]
) -> None:
    """+30 dB from the ninth capture on: that capture is heard once, and never again."""
    up = '[lab.faults]\nschedule = ["level driver=mid_left at=9- db=30"]\n'
    text = six(crooked_text, more=up).replace("ceiling_dbfs = -5.0", "ceiling_dbfs = -5.0\nloudest_db_spl = 95.0")
    described = parse(text, folder=tmp_path)
    rig = lab_rig(described, "T-6")
    run = folder.new(tmp_path / "runs", "T-6", described, NOON)
    with Session.resume(run / "session.h5") as session, pytest.raises(TooLoud, match="mid_left would reach"):
        measure(rig, session, plan.make(described, "ears"), ask=print, step=lambda _: None)


def test_uncalibrated_microphones_and_a_limit_are_an_error_to_resolve(
    crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]
) -> None:
    text = crooked_text.replace("sensitivity_mv_per_pa = 20.0\n", "").replace(
        "ceiling_dbfs = -5.0", "ceiling_dbfs = -5.0\nloudest_db_spl = 90.0"
    )
    rig = lab_rig(parse(text, folder=tmp_path), "T-6")
    run = folder.new(tmp_path / "runs", "T-6", rig.description, NOON)
    refused = pytest.raises(BadInput, match=r"loudest_db_spl = 90 cannot be enforced: missing sensitivity.* of 'boom'")
    with Session.resume(run / "session.h5") as session, refused:
        measure(rig, session, plan.make(rig.description, "polar"), ask=print, step=lambda _: None)


@pytest.mark.parametrize("taps", [256, 1000])
def test_short_filters_are_changed_as_little_as_keeps_them_to_the_band(
    taps: int, crooked_text: str, tmp_path: Path
) -> None:
    """A tweeter's and a woofer's: -40 dB of white, pink, brown programme, by noise; what keeps to it is left alone."""
    tweeter, woofer = (p for p in protections(parse(six(crooked_text), folder=tmp_path))[1::2][:2])
    fs, rng = tweeter.fs, np.random.default_rng(7)
    for one in (tweeter, woofer):
        h = np.zeros((2, taps))
        h[:, taps // 3] = 0.5, -0.2
        h[1, taps // 3 + 9] = 0.1
        assert one.filter_refused(h, fs)
        held = one.within_band(h, fs)
        assert one.filter_refused(held, fs) == ""
        white = rng.standard_normal(1 << 17)
        spectrum, f = np.fft.rfft(white), np.fft.rfftfreq(len(white), 1 / fs)
        pink = np.fft.irfft(spectrum * np.where(f > 20.0, np.maximum(f, 20.0) ** -0.5, 0.0))
        brown = np.fft.irfft(spectrum * np.maximum(f, 20.0) ** -1.0)
        for x in (white, pink, brown):
            assert max(share_below_db(np.convolve(x, row), fs, one.low_hz or 0.0) for row in held) < -39.5
        at = np.fft.rfftfreq(8192, 1 / fs)
        kept, wanted = (np.abs(np.fft.rfft(x, 8192)) for x in (held, h))
        inside = at > (one.low_hz or 0.0) + 2.5 * fs / taps
        assert np.max(np.abs(20 * np.log10(kept[0, inside] / wanted[0, inside]))) < 1.0
        assert np.array_equal(one.within_band(held, fs), held)


def test_a_filter_is_changed_by_the_least_multiplier_that_keeps_it_to_the_band() -> None:
    """The search beside looking at one multiplier after the other, with the matrix itself."""
    n, fs, low, rng = 256, 48000, 900.0, np.random.default_rng(3)
    one = Protection("tweeter", 0, fs, low, 0.5)
    size = fft.next_fast_len(max(4 * n, round(protection.EDGE_BINS * fs / low)), real=True)
    f = np.fft.rfftfreq(size, 1.0 / fs)

    def leaks_too_much(h: NDArray[np.float64], slope: float) -> bool:
        power = (
            np.abs(np.fft.rfft(h, size)) ** 2
            * np.where((f >= 20.0) | (slope == 0.0), np.maximum(f, 20.0), np.inf) ** -slope
        )
        power[:, 1 : (size + 1) // 2] *= 2.0
        share = power[:, f < low].sum(axis=1) / power.sum(axis=1)
        return bool(np.max(10.0 * np.log10(share)) > protection.LEAK_DB - protection.BETTER_DB)

    for width in (1, 40, 190):
        h = np.zeros((3, n))
        h[:, 60 : 60 + width] = rng.standard_normal((3, width))
        wanted = h
        for slope, slopes in ((1.0, (0.0, 1.0)), (2.0, (2.0,))):
            lags = np.fft.irfft(np.where(f < low, (low / np.maximum(f, 20.0)) ** slope, 0.0), size)
            B = lags[np.abs(np.subtract.outer(np.arange(n), np.arange(n)))]
            tried = (np.linalg.solve(np.eye(n) + m * B, wanted.T).T for m in 10.0 ** np.arange(0.0, 8.0, 0.25))
            wanted = next(g for g in (wanted, *tried) if not any(leaks_too_much(g, s) for s in slopes))
        assert one.within_band(h, fs) == pytest.approx(wanted, abs=1e-7)


def test_a_kept_inverse_solves_as_well_as_the_matrix_itself() -> None:
    """``I + m B`` for pink programme below 300 Hz, written out, against its inverse by two vectors."""
    n, size, fs, m = 200, 2000, 47872, 3e3
    f = np.fft.rfftfreq(size, 1.0 / fs)
    lags = np.fft.irfft(np.where(f < 300.0, 300.0 / np.maximum(f, protection.FROM_HZ), 0.0), size)
    matrix = np.eye(n) + m * lags[np.abs(np.arange(n)[:, None] - np.arange(n))]
    rows = np.random.default_rng(5).standard_normal((3, n))
    found = protection._applied(protection._inverse(n, size, fs, 300.0, 1.0, m), rows)
    assert np.abs(found @ matrix - rows).max() < 1e-9


def test_sides_that_cancel_each_other_in_a_driver_keep_to_its_band_together(crooked_text: str, tmp_path: Path) -> None:
    """Opposite but for 2 %, with different bass: what is the same in both sides has -40 dB below the band too."""
    rig = parse(six(crooked_text), folder=tmp_path)
    band, rng = protections(rig)[2], np.random.default_rng(3)
    f = np.fft.rfftfreq(1000, 1.0 / rig.fs)
    taps = np.zeros((3, 6, 1000))
    for program, gain in enumerate((1.0, -0.9, 0.5)):
        bass = 0.01 * np.exp(1j * rng.uniform(0.0, 6.0, len(f))) * (f < 200.0)
        taps[program, 2] = np.roll(np.fft.irfft(gain * band.slope(f) + bass), 500)
    assert share_of_noise_db(taps[0, 2] + taps[1, 2], band.low_hz or 0.0, rig.fs) > -30.0
    held = within_bands(taps, rig)[:, 2]
    for row in (*held, held[0] + held[1], held[0] - held[1]):
        assert share_of_noise_db(row, band.low_hz or 0.0, rig.fs) < -40.0


def share_of_noise_db(row: NDArray[np.floating], low: float, fs: int) -> float:
    """Of brown noise from 20 Hz on behind a filter: energy below ``low`` over the total, dB."""
    f = np.fft.rfftfreq(1 << 16, 1.0 / fs)
    power = np.abs(np.fft.rfft(row, 1 << 16)) ** 2 * np.where(f >= 20.0, 1.0 / np.maximum(f, 1.0) ** 2, 0.0)
    return float(10.0 * np.log10(power[f < low].sum() / power.sum()))


MOVES = "power_w = 20.0\n", "power_w = 20.0\nexcursion_mm = {mm}\narea_cm2 = 50.0\n{more}"


def moving(crooked_text: str, mm: float, more: str = "", **values: str) -> str:
    """The six drivers; both woofers have a limit of what they move."""
    return six(crooked_text, **values).replace(MOVES[0], MOVES[1].format(mm=mm, more=more))


def test_how_far_a_driver_moves_by_its_data_sheet(crooked_text: str, tmp_path: Path) -> None:
    """87 dB at 2.83 V and 1 m, 20 V for full scale, 50 cm^2, by hand: 10.4 mm at 90 Hz, a quarter at 180 Hz."""
    described = parse(moving(crooked_text, 2.0, "sensitivity_db_spl = 87.0\n"), folder=tmp_path)
    low = protections(described)[0]
    assert low.excursion is not None
    pressure = 20.0 * 20e-6 * 10 ** (87 / 20) / 2.83
    by_hand = 2 * np.pi * pressure / (1.2 * 50e-4 * (2 * np.pi * 90.0) ** 2)
    assert by_hand == pytest.approx(10.4e-3, rel=0.01)
    assert low.excursion.gain(np.array([90.0, 180.0, 40.0])) == pytest.approx([by_hand, by_hand / 4, by_hand])
    t = np.arange(30000) / described.fs
    sine = np.sin(2 * np.pi * 180.0 * t) * np.hanning(len(t))
    assert low.excursion.peak(sine, described.fs) == pytest.approx(by_hand / 4, rel=0.01)
    assert low.refused(0.4 * low.shaped(sine)) == ""
    slow = np.sin(2 * np.pi * 120.0 * t) * np.hanning(len(t))
    assert "it would move by 3." in low.refused(0.55 * low.shaped(slow))
    signals = plan.make(described, "ears").sources.signals
    for signal, one in zip(signals, protections(described), strict=True):
        if one.excursion is not None:
            assert one.excursion.peak(signal[one.output], described.fs) <= 2.0e-3 * 1.001
    free = plan.make(parse(six(crooked_text), folder=tmp_path), "ears").sources.signals
    own = [np.max(np.abs(s[0][protections(described)[0].output])) for s in (signals, free)]
    assert own[0] < 0.8 * own[1], "its sweep is softer, not refused"


@pytest.mark.parametrize("sheet", ["sensitivity_db_spl = 87.0\n", ""])
def test_the_labs_ledger_records_how_far_cones_moved(sheet: str, crooked_text: str, tmp_path: Path) -> None:
    """10.4 mm at 90 Hz for full scale by the data sheet; by the lab's own level of 0.5 Pa, 3.3."""
    rig = parse(moving(crooked_text, 2.0 if sheet else 0.5, sheet), folder=tmp_path)
    at_low = 10.4 if sheet else 1e3 * 4 * np.pi * 0.5 / (1.2 * 50e-4 * (2 * np.pi * 90.0) ** 2)
    limit, ledger = 2.0 if sheet else 0.5, Wear(rig, [0.5] * 6)
    t = np.arange(60000) / rig.fs
    soft, y = 0.9 * limit / (at_low / 4), np.zeros((rig.outputs, len(t)), dtype=np.float32)
    y[rig.driver[3].channel - 1] = soft * np.sin(2 * np.pi * 180.0 * t) * np.hanning(len(t))
    kept = ledger.survived(y)
    assert ledger.drivers[3].moved_m == pytest.approx(0.9e-3 * limit, rel=0.02)
    assert not ledger.burnt
    assert np.array_equal(kept, y)
    ledger.survived(np.float32(1.5) * y)
    assert ledger.burnt == ("low_right",)
    assert "mm; its limit is" in ledger.drivers[3].burnt
    assert ledger.drivers[0].moved_m == 0.0


@pytest.mark.parametrize("mm", [0.05, 4.0])
def test_how_far_a_driver_moves_is_learned_softly(
    mm: float, crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]
) -> None:
    """Without a data sheet: the lab's own pressure in free field gives the woofers' excursion in each capture."""
    opened = lab_rig(parse(moving(crooked_text, mm), folder=tmp_path), "T-6")
    rig = Rig(opened.description, Door(opened.interface), opened.stage)  # type: ignore[arg-type]
    described, run = rig.description, folder.new(tmp_path / "runs", "T-6", rig.description, NOON)
    wanted = plan.make(described, "ears")
    with Session.resume(run / "session.h5") as session:
        if mm < 1.0:
            with pytest.raises(TooLoud, match=r"'low_left' would move by 2\.\d+ mm, and its excursion_mm = 0.05"):
                measure(rig, session, wanted, ask=print, step=lambda _: None)
        else:
            measure(rig, session, wanted, ask=print, step=lambda _: None)
            loud = limits(described, session.responses("ears"))
    world = opened.interface.world  # type: ignore[attr-defined]
    away = described.ears.distance_m  # type: ignore[union-attr]
    pressure = away * np.abs(world.at_ears(described.ears.positions[0].pose)).mean(axis=0)  # type: ignore[union-attr]
    for number in (0, 3):
        channel = described.driver[number].channel - 1
        at_low = np.interp(130.0, world.f, pressure[number])
        n = 1 << 18
        f = np.fft.rfftfreq(n, 1 / described.fs)
        moves = 4 * np.pi * at_low / (1.2 * 50e-4 * (2 * np.pi * np.maximum(f, 80.0)) ** 2)
        worst = max(np.abs(np.fft.irfft(np.fft.rfft(y[channel], n) * moves)).max() for y in rig.interface.played)  # type: ignore[attr-defined]
        assert worst < 1.1e-3 * mm
        if mm > 1.0:
            assert loud[number].excursion.at_low == pytest.approx(moves[f > 90.0][0], rel=0.5)  # type: ignore[union-attr]
    if mm > 1.0:
        rng = np.random.default_rng(5)
        taps, scale = staged(rng.standard_normal((3, 6, 256)), loud)
        magnitude = np.abs(np.fft.rfft(taps, 8192))
        f = np.fft.rfftfreq(8192, 1 / described.fs)
        for number in (0, 3):
            moved = (magnitude[0] + magnitude[1])[number] * loud[number].excursion.gain(f)  # type: ignore[union-attr]
            assert moved.max() <= 1.001e-3 * mm
        assert scale > staged(taps, protections(described))[1]


def test_an_excursion_that_is_unknown_is_an_error_to_resolve(
    crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]
) -> None:
    text = moving(crooked_text, 1.0).replace("sensitivity_mv_per_pa = 20.0\n", "")
    rig = lab_rig(parse(text, folder=tmp_path), "T-6")
    run = folder.new(tmp_path / "runs", "T-6", rig.description, NOON)
    refused = pytest.raises(BadInput, match=r"excursion_mm of 'low_left', 'low_right' cannot be enforced: give sens")
    with Session.resume(run / "session.h5") as session, refused:
        measure(rig, session, plan.make(rig.description, "polar"), ask=print, step=lambda _: None)
    relative = ImpulseResponse(
        np.ones((1, 2, 6, 64)),
        rig.description.fs,
        positions=np.zeros(1, dtype=POSITION),
        mics=("ear_left", "ear_right"),
        drivers=rig.description.driver_names,
        zero=0,
        unit="relative",
        snr_db=np.ones((1, 2, 6)),
        band=(100.0, 10000.0),
    )
    with pytest.raises(BadInput, match="excursion_mm of 'low_left' cannot be enforced: the levels of these responses"):
        limits(rig.description, relative)


@pytest.mark.parametrize("under", [15.0])
def test_a_verification_is_as_loud_as_the_limit_allows(
    under: float, measured: Path, lab_rig: Callable[..., Rig]
) -> None:
    """Full-scale stereo on two drivers, heard on the lab at the measured places: at most 3 dB under the limit."""
    with Session.read(measured / "session.h5") as session:
        described, ears, serial = session.rig(), session.responses("ears"), session.serial
    taps = np.zeros((3, len(described.driver), 64))
    taps[0, 0, 8] = taps[1, 1, 8] = taps[2, :2, 8] = 0.5
    filters = FilterSet(
        taps,
        fs=described.fs,
        drivers=described.driver_names,
        ceiling=described.limits.ceiling,
        delay_samples=8,
        headroom_db=6.0,
        channels=tuple(d.channel for d in described.driver),
        source="",
        unit_serial=serial,
    )

    def loudest(rig: Rig, share: float) -> float:
        signals = verification.plan(rig.description, "ears", filters, engine_of(filters), share=share).sources.signals
        heard = []
        for place in rig.description.ears.positions:  # type: ignore[union-attr]
            rig.stage.move(place.pose)
            heard += [fast_db(rig.interface.capture(s).x, rig.description) for s in signals]
        return max(heard)

    rig = lab_rig(described, serial)
    free = loudest(rig, 1.0)
    bound = described.limits.model_copy(update={"loudest_db_spl": free - under})
    held = described.model_copy(update={"limits": bound})
    share = loudness.within(held, verification.plan(held, "ears", filters, engine_of(filters)), ears)
    assert free - under - 3.0 < loudest(rig, share) < free - under + 0.2


def test_no_guard_works_in_a_verification_of_drivers_with_limits_of_their_own(
    crooked_text: str, tmp_path: Path
) -> None:
    """A limiter would spread a tweeter's sweep below its band: what is planned is the filters' own, but for a gain."""
    rig = parse(six(crooked_text), folder=tmp_path)
    taps = np.zeros((3, 6, 256))
    taps[:, range(6), range(20, 26)] = np.array([[0.5], [0.4], [0.45]])
    free = FilterSet(
        taps, rig.fs, rig.driver_names, ceiling=0.5, delay_samples=20, headroom_db=6.0,
        channels=tuple(d.channel for d in rig.driver), source="0" * 64, unit_serial="T-6",
    )  # fmt: skip
    held = replace(free, caps=(0.5, 0.05, 0.5, 0.5, 0.06, 0.5))
    _, played = plan.excitation(rig, tail=256)
    one, two = (verification.sources_of(rig, f, engine_of(f), played, ("left", "both")).signals for f in (free, held))
    rows = [d.channel - 1 for d in rig.driver]
    for a, b in zip(one, two, strict=True):
        gain = np.vdot(a[rows], b[rows]) / np.vdot(a[rows], a[rows])
        assert np.abs(b[rows] - gain * a[rows]).max() < 1e-4 * np.abs(b[rows]).max()


def test_programme_of_any_colour_keeps_to_the_bands_through_filters_and_guard(
    crooked_text: str, tmp_path: Path
) -> None:
    """White, pink, brown, the same at both sides, opposite: -40 dB; a guard 20 dB too loud keeps a tweeter's band."""
    rig = parse(six(crooked_text), folder=tmp_path)
    shapes, rng, fs = protections(rig), np.random.default_rng(11), rig.fs
    taps = np.zeros((3, 6, 1024))
    for program, driver in np.ndindex(3, 6):
        taps[program, driver, rng.integers(400, 440, 5)] = rng.standard_normal(5)
    taps, _ = staged(within_bands(taps, rig), shapes)
    filters = FilterSet(
        taps, fs, rig.driver_names, ceiling=rig.limits.ceiling, delay_samples=400, headroom_db=6.0,
        channels=tuple(d.channel for d in rig.driver), source="0" * 64, unit_serial="T-6",
        caps=tuple(min(1.0, s.sine) for s in shapes),
    )  # fmt: skip
    f, fade = np.fft.rfftfreq(2 * fs, 1.0 / fs), np.hanning(2 * fs) ** 0.25
    for slope in (0.0, 0.5, 1.0):
        spectra = np.fft.rfft(rng.standard_normal((2, 2 * fs)), axis=-1)
        x = np.fft.irfft(spectra * np.where(f >= 20.0, np.maximum(f, 20.0) ** -slope, 0.0), axis=-1)
        x *= 0.9 / np.abs(x).max() * fade
        for stereo in (x, x[[0, 0]], x[[0, 0]] * [[1.0], [-1.0]]):
            for gain, limit in ((1.0, -40.0), (10.0, -30.0)):
                for one, row in zip(shapes, engine_of(filters)(gain * stereo), strict=True):
                    most = -40.0 if (one.low_hz or 0.0) > 1000.0 else limit
                    assert share_below_db(row, fs, one.low_hz or 0.0) < most, (slope, gain, one.name)

"""Overlapped sweeps in the crooked lab: the responses of one after another, judged, resumed, refused with a reason."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from sweetspot.measure import folder, overlap, plan, summary
from sweetspot.measure.judge import burst, uncertainty
from sweetspot.measure.overlap import Overlap
from sweetspot.measure.run import measure, planned
from sweetspot.measure.separation import GUARD_S, Separation, arrivals_differ, noise_of
from sweetspot.measure.session import Session
from sweetspot.measure.shot import ALL, CaptureKey, Shot
from sweetspot.measure.sweep import swept
from sweetspot.rigs.errors import Held
from sweetspot.rigs.protocol import Recording, Rig
from sweetspot.rigs.rig_file.added_faults import with_faults
from sweetspot.rigs.rig_file.description import Description, parse
from tests.conftest import NOON
from tests.lively import livelier

LabRig = Callable[..., Rig]
DISTORTION = "\n[lab.distortion]\nh2_percent = 1.0\nh3_percent = 0.3\nat_dbfs = -6.0\n"
QUIET = "\nconverter_noise_dbfs = -200.0\nmic_noise_db_spl = -100.0\n"


@pytest.fixture
def long(crooked_text: str, tmp_path: Path) -> Description:
    """The crooked rig with longer sweeps, drivers that distort and keep to bands of their own, no noise.

    Overlapping lowers no level. A driver is read with its own equaliser, in which the others must not ring.
    """
    loud = crooked_text.replace("unprotected = true\n", "").replace(
        "ceiling_dbfs = -5.0", "ceiling_dbfs = -5.0\nloudest_db_spl = 105.0"
    )
    return parse(loud.replace("seconds = 0.6", "seconds = 2.5") + QUIET + DISTORTION, folder=tmp_path)


def session_of(rig: Description, place: Path, serial: str = "T-9") -> Path:
    return folder.new(place / "runs", serial, rig, NOON)


def run(rig: Description, at: Path, lab: Rig, mode: plan.OverlapMode | None) -> list[str]:
    message: list[str] = []
    with Session.resume(at / "session.h5") as session:
        measure(lab, session, plan.make(rig, "ears"), ask=lambda move: None, step=message.append, overlapped=mode)
    return message


def test_responses_are_those_of_sequential_sweeps(long: Description, lab_rig: LabRig, tmp_path: Path) -> None:
    kept = {}
    for mode in ("off", "on"):
        here = session_of(long, tmp_path / mode)
        message = run(long, here, lab_rig(long, "T-9"), mode)
        with Session.read(here / "session.h5") as session:
            kept[mode] = session.responses("ears").h
            how, count = session.overlap("ears"), len(session.landed("ears"))
            summaries = session.attempt_summaries("ears")
    assert how is not None
    assert how.used
    assert how.agreed_db < -70.0
    assert how.gain > 2.0
    assert count == 3 + 1 + 4  # three drivers first, one to compare, then one at each other position
    assert len(message) == count + 1  # what was settled; the closing capture instead of the one that was compared
    assert {a.source for a in summaries} == {"woofer", "left", "right", "all drivers"}
    f = np.fft.rfftfreq(kept["on"].shape[-1], 1.0 / long.fs)
    inside = (f > 60) & (f < 19000)
    true, off = (np.fft.rfft(x)[..., inside] for x in (kept["off"], kept["on"] - kept["off"]))
    assert (np.linalg.norm(off, axis=-1) < 10.0 ** (-70.0 / 20.0) * np.linalg.norm(true, axis=-1)).all()


def worst_db(one: np.ndarray, other: np.ndarray, rig: Description) -> np.ndarray:
    """Complex difference of two sets of responses over the judged band, dB, of every position's worst path."""
    f = np.fft.rfftfreq(one.shape[-1], 1.0 / rig.fs)
    inside = (f > rig.sweep.band_hz[0]) & (f < rig.sweep.band_hz[1])
    true, off = (np.linalg.norm(np.fft.rfft(x)[..., inside], axis=-1) for x in (one, other - one))
    return np.asarray(20.0 * np.log10((off / true).max(axis=(1, 2)) + 1e-20))


@pytest.fixture
def two_way(long: Description, tmp_path: Path) -> Description:
    """The crooked rig whose second driver is a tweeter, and whose others begin at 150 Hz."""
    text = re.sub(r"band_hz = \[(?:80|100), ", "band_hz = [150, ", long.text)
    return parse(text.replace("band_hz = [120, ", "band_hz = [1500, "), folder=tmp_path)


def whole_cycles(rig: Description) -> float:
    """Samples by which whole cycles make the loopback's sweep longer or shorter."""
    first, last = swept(rig.sweep.band_hz, rig.fs)
    return float(np.log(last / first) / first * rig.fs)


def test_silence_ahead_of_the_first_sound_is_not_captured(two_way: Description) -> None:
    """A tweeter, which is silent longest, starts first; what is left out of any driver's signal is below -80 dB."""
    wanted = plan.make(two_way, "ears")
    wait = wanted.before + wanted.after
    how = overlap.shortest(wanted, wait)
    assert how.order == (1, 0, 2)
    assert how.starts(3) == (wait, 0, 2 * wait)
    assert how.head > 0.5 * two_way.fs
    cut, whole = (overlap.together(two_way, wanted, one).together for one in (how, replace(how, head=0)))
    assert cut is not None
    assert whole is not None
    assert len(whole.played) - len(cut.played) == pytest.approx(how.head, abs=whole_cycles(two_way))
    assert how.gain == pytest.approx(3 * len(wanted.played) / len(cut.played), rel=0.05)
    for driver, start in zip(two_way.driver, how.starts(3), strict=True):
        one, other = (x.signal[driver.channel - 1] for x in (cut, whole))
        both = min(len(one), len(other) - how.head)
        assert (one[:both] == other[how.head :][:both]).all()
        assert not one[both:].any()
        assert not other[how.head :][both:].any()
        energy = other.astype(float) ** 2
        assert energy[: how.head].sum() < 1e-8 * energy.sum()
        assert np.argmax(energy > 1e-4 * energy.max()) > start


def test_lags_stay_free_to_show_the_noise(two_way: Description) -> None:
    """However long drivers are silent, two kept windows lie between the last response and the first harmonics."""
    late = two_way.model_copy(
        update={"driver": tuple(d.model_copy(update={"band_hz": (9000.0, 18000.0)}) for d in two_way.driver)}
    )
    wanted = plan.make(late, "ears")
    taps = wanted.before + wanted.after
    how = overlap.shortest(wanted, taps)
    cut = overlap.together(late, wanted, how).together
    assert cut is not None
    free = len(cut.played) - max(how.starts(3)) - wanted.sweep.rate * np.log(10.0) * late.fs
    assert free == pytest.approx(2 * taps, abs=whole_cycles(late))


def test_a_tweeter_that_starts_first_is_no_measure_for_woofers(
    two_way: Description, lab_rig: LabRig, tmp_path: Path
) -> None:
    """It has no decay at low frequencies to judge the others' by; a slam there is found all the same, and when."""
    kept, errors = {}, {}
    noisy = parse(two_way.text.replace(QUIET, ""), folder=tmp_path)
    for mode, rig in (("off", two_way), ("on", two_way), ("noise", noisy), ("slam", with_faults(noisy, [SLAM]))):
        here = session_of(rig, tmp_path / mode)
        run(rig, here, lab_rig(rig, "T-9"), "off" if mode == "off" else "on")
        with Session.read(here / "session.h5") as session:
            kept[mode], how = session.responses("ears").h, session.overlap("ears")
            errors[mode] = session.per_bin("ears", "stderr", whole=True)
            rejected = session.rejected("ears")
        if mode != "off":
            assert how is not None
            assert how.order == (1, 0, 2)
            assert not how.sequential
        if mode != "slam":
            assert not rejected
    ((_, reason),) = rejected
    found = re.match(r"burst at (\d\.\d) s", reason)
    assert found
    assert float(found[1]) == pytest.approx(1.2, abs=0.15)
    assert (worst_db(kept["off"], kept["on"], two_way) < -70.0).all()
    off = np.abs(np.fft.rfft(kept["noise"] - kept["on"]))[1:]
    inside = slice(*(round(f * kept["on"].shape[-1] / two_way.fs) for f in (2500.0, 15000.0)))
    stated = np.sqrt(np.mean(errors["noise"][1:, ..., inside] ** 2, axis=-1))
    assert np.sqrt(np.mean(off[..., inside] ** 2, axis=-1)) == pytest.approx(stated, rel=0.25)


def test_a_woofer_s_decay_is_judged_by_its_own(two_way: Description) -> None:
    """At low frequencies the first source has nothing: what follows the second one there is no burst."""
    fs, wanted = two_way.fs, plan.make(two_way, "ears")
    size, late = 4 * fs, round(0.8 * fs)
    rng = np.random.default_rng(3)
    where = burst.lags(wanted.sweep, size, (late / fs,))
    tweeter, woofer = np.zeros(size), np.zeros(size)
    for one, begins in ((tweeter, 0), (woofer, late)):
        one[begins : begins + fs] = rng.standard_normal(fs) * 10.0 ** (-3.0 * np.arange(fs) / fs / 0.5) / 30.0
        one[begins] = 1.0
    above = np.sin(0.5 * np.pi * np.clip(np.fft.rfftfreq(size, 1.0 / fs) / 700.0 - 1.0, 0.0, 1.0)) ** 2
    whole = above * np.fft.rfft(tweeter) + np.fft.rfft(woofer + 1e-7 * rng.standard_normal(size))
    assert burst.burst(whole.astype(np.complex64), where, 0.0) is None
    slam = np.zeros(size)
    slam[round(2.5 * fs) : round(2.5 * fs) + 2000] = 1e-3 * rng.standard_normal(2000)
    found = burst.burst((whole + np.fft.rfft(slam)).astype(np.complex64), where, 0.0)
    assert found is not None


def test_the_driver_that_is_disturbed_is_named(two_way: Description) -> None:
    """A tweeter that starts first rings into the window of the woofer, which starts second."""
    wanted = plan.make(two_way, "ears")
    wait, taps = round(1.5 * (wanted.before + wanted.after)), wanted.before + wanted.after
    how = overlap.shortest(wanted, wait)
    assert how.order == (1, 0, 2)
    quiet = np.full((2, len(wanted.played)), 1e-9, dtype=np.float32)
    quiet[:, wanted.before] = 1.0
    separation = Separation.of(two_way, wanted, [[quiet] * 3] * 3, wait, how.order)
    whole = np.full((2, len(wanted.played) + 2 * wait), 1e-9, dtype=np.float32)
    t = np.arange(wait + taps) / two_way.fs
    whole[:, wanted.before : wanted.before + len(t)] += np.random.default_rng(5).standard_normal(len(t)) * 10.0 ** (
        -3.0 * t / 0.15
    )
    whole[:, wanted.before : wanted.before + 2 * wait + 1 : wait] += 1.0
    assert "in the response of woofer at" in separation.refused(wanted, [whole] * 3)


def test_a_longer_decay_does_not_pass_for_noise(two_way: Description) -> None:
    """Where little more than two kept windows are free, both estimates of noise are read from the last of them."""
    wanted = plan.make(two_way, "ears")
    taps, fs, rng = wanted.before + wanted.after, two_way.fs, np.random.default_rng(7)

    def ringing(harmonic: int) -> tuple[np.ndarray, np.ndarray]:
        size = round(2.6 * taps + wanted.sweep.rate * np.log(harmonic) * fs)
        t, noise = np.arange(size - wanted.before) / fs, 1e-5 * rng.standard_normal((2, size))
        whole = noise.copy()
        whole[:, wanted.before :] += 0.01 * rng.standard_normal((2, len(t))) * 10.0 ** (-3.0 * t / (1.2 * taps / fs))
        return whole, noise

    whole, _ = ringing(10)
    assert noise_of(whole, wanted, late=True) == pytest.approx(np.full(2, 1e-10), rel=0.2)
    assert (noise_of(whole, wanted) > 2e-10).all(), "the decay, read early"
    stated = [uncertainty.of_one(x, wanted.before, wanted.after, wanted.sweep.rate, fs) for x in ringing(6)]
    assert np.sqrt(np.mean(stated[0] ** 2)) == pytest.approx(np.sqrt(np.mean(stated[1] ** 2)), rel=0.2)


def test_what_older_versions_settled_on_is_read(long: Description) -> None:
    """Their records know neither order nor head: drivers start as in the rig, and nothing is left out."""
    known = json.loads(json.dumps({"wait": 5000, "level": 0.5, "gain": 2.0, "why": "", "sequential": [[1, "late"]]}))
    how = Overlap(**known)
    made = overlap.together(long, plan.make(long, "ears"), how).together
    assert made is not None
    assert made.starts == (0, 5000, 10000)
    assert made.head == 0
    alone = len(plan.make(long, "ears").played)
    assert len(made.played) == pytest.approx(alone + 10000, abs=whole_cycles(long))


SLAM = "slam at=6 s=1.2 db=-25"
LIVE = 3
"""Position (from 0) in the crooked lab with a reverberant path."""


def test_a_position_where_drivers_ring_into_each_other_is_captured_one_by_one(
    long: Description, lab_rig: LabRig, tmp_path: Path
) -> None:
    """The spacing of the first position does not do where sound decays longer: the capture shows it."""
    kept = {}
    for mode in ("off", "on"):
        here = session_of(long, tmp_path / mode)
        run(long, here, livelier(lab_rig(long, "T-9"), LIVE), mode)
        with Session.read(here / "session.h5") as session:
            kept[mode], how = session.responses("ears").h, session.overlap("ears")
            rejected, landed = session.rejected("ears"), session.landed("ears")
            data, lines = summary.of_session(session)
    assert how is not None
    assert [p for p, _ in how.sequential] == [LIVE]
    assert (worst_db(kept["off"], kept["on"], long) < -70.0).all()
    ((key, reason),) = rejected
    assert CaptureKey.parse(key).position == LIVE
    assert reason == how.sequential[0][1]
    assert re.search(r"other drivers leave -\d+ dB in the response of \w+ at ear_\w+ \(limit -(69|70) dB\)", reason)
    assert {f"p{LIVE:03d}_s{s:02d}_r00" for s in range(3)} <= landed
    assert f"p{LIVE:03d}_s97_r00" not in landed
    assert data["sets"]["ears"]["overlap"]["sequential"] == [{"position": LIVE + 1, "why": reason}]
    assert f"; one by one at position {LIVE + 1}" in lines
    assert f"position {LIVE + 1}, all drivers: used 0 of 1: run 1 other drivers leave" in lines


def test_all_drivers_are_tried_ever_less_often_where_they_are_of_no_use() -> None:
    """Seven times at fifty positions in a row, and at each again once a try was of use."""
    order, how, tried = tuple(range(80)), Overlap(wait=1, agreed_db=-70.0), []
    for position in order:
        if how.doubtful(order, position):
            how = how.without(position, overlap.LIKE_BEFORE)
        else:
            tried.append(position)
            how = how.without(position, "others ring") if 10 <= position < 60 else how
    assert tried == [*range(10), 10, 11, 13, 17, 25, 41, 57, *range(73, 80)]
    assert how.text().endswith("; one by one at positions 11 to 73")


@pytest.mark.parametrize("stored", [1, 2, 3])
def test_a_kill_after_the_rejected_capture_is_made_up_for(
    long: Description, lab_rig: LabRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: int
) -> None:
    """Before the note of that position is kept, or among the captures that take its place."""
    here, lab = session_of(long, tmp_path), livelier(lab_rig(long, "T-9"), LIVE)
    calls = 0

    def stop(then: Callable[..., None]) -> Callable[..., None]:
        def once(session: Session, *of: object, **how: bool) -> None:
            nonlocal calls
            last = of[-1]
            here = isinstance(last, Overlap) and bool(last.sequential)
            here |= isinstance(last, Shot) and last.capture.position == LIVE and last.capture.source is not ALL
            calls += here
            if here and calls == stored:
                raise KeyboardInterrupt
            then(session, *of, **how)

        return once

    with monkeypatch.context() as patched:
        patched.setattr(Session, "keep_overlap", stop(Session.keep_overlap))
        patched.setattr(Session, "store", stop(Session.store))
        with pytest.raises(KeyboardInterrupt):
            run(long, here, lab, "on")
    run(long, here, lab, None)
    with Session.read(here / "session.h5") as session:
        how, missing = session.overlap("ears"), session.missing(planned(session, plan.make(long, "ears")))
        assert len(session.rejected("ears")) == (2 if stored == 1 else 1)
        assert np.isfinite(session.responses("ears").h).all()
    assert how is not None
    assert [p for p, _ in how.sequential] == [LIVE]
    assert not missing


def test_a_position_that_would_be_too_loud_is_captured_one_by_one(
    long: Description, lab_rig: LabRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All drivers together keep the limit at the first position, and would pass it at a nearer one."""
    limits = long.limits.model_copy(update={"loudest_db_spl": 97.0})
    text = long.text.replace("{ x = 0.01, y = 0.02, yaw_deg = -3", "{ x = -0.55, y = 0.02, yaw_deg = -3")
    near = parse(text, folder=tmp_path).model_copy(update={"limits": limits})
    here = session_of(near, tmp_path)
    run(near, here, lab_rig(near, "T-9"), "on")
    with Session.read(here / "session.h5") as session:
        how = session.overlap("ears")
        assert np.isfinite(session.responses("ears").h).all()
        assert not session.rejected("ears"), "it was not played"
    assert how is not None
    assert [p for p, _ in how.sequential] == [LIVE]
    assert "all drivers would reach 9" in how.sequential[0][1]


def test_drivers_are_kept_apart_where_their_sound_arrives_earlier(long: Description) -> None:
    """A harmonic just outside a window at the first position would lie inside it where its driver is nearer."""
    wanted = plan.make(long, "ears")
    taps, moved = wanted.before + wanted.after, arrivals_differ(long, wanted)
    assert 0.02 / 343.0 < moved / long.fs - GUARD_S < 0.06 / 343.0
    whole = np.zeros((2, len(wanted.played)), dtype=np.float32)
    whole[:, wanted.before] = 1.0
    whole[:, 10] = 0.03
    assert overlap.solved(long, wanted, [[whole] * 3] * 3).wait - taps >= moved - 10 > 0


def test_a_session_goes_on_as_it_began(long: Description, lab_rig: LabRig, tmp_path: Path) -> None:
    here, lab = session_of(long, tmp_path), lab_rig(long, "T-9")
    calls = 0

    def capture(y: np.ndarray) -> Recording:
        nonlocal calls
        calls += bool(y[long.interface.loopback.out - 1].any())  # a soft trial plays no loopback
        if calls == 6:
            raise KeyboardInterrupt
        return lab_capture(y)

    lab_capture, lab.interface.capture = lab.interface.capture, capture  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(long, here, lab, "on")
    lab.interface.capture = lab_capture  # type: ignore[method-assign]
    with Session.read(here / "session.h5") as session:
        before = session.landed("ears")
    assert len(before) == 5
    run(long, here, lab, None)
    with Session.read(here / "session.h5") as session:
        assert len(session.landed("ears")) == 8 > len(before)
        assert session.landed("ears") > before
        assert np.isfinite(session.responses("ears").h).all()


def test_standard_errors_that_drivers_share_are_stored_once(long: Description, lab_rig: LabRig, tmp_path: Path) -> None:
    """Drivers that are read alike have one noise in an overlapped capture; it takes the place of one driver's."""
    rig = parse(
        re.sub(r"(band_hz = \[(?:80|120|100), \d+\]\n)", "band_hz = [100, 18000]\n", long.text), folder=tmp_path
    )
    sizes, values = {}, {}
    for mode in ("off", "on"):
        here = session_of(rig, tmp_path / mode)
        run(rig, here, lab_rig(rig, "T-9"), mode)
        with h5py.File(here / "session.h5") as file:
            data = file["ears/stderr"]
            sizes[mode], values[mode] = data.id.get_storage_size(), data[1:]
    assert (values["on"][:, :, 0] == values["on"][:, :, 2]).all()
    assert not (values["off"][:, :, 0] == values["off"][:, :, 2]).all()
    assert sizes["on"] < 0.6 * sizes["off"], "the first position is sequential in both"


def test_a_burst_spoils_all_drivers_and_is_repeated(long: Description, lab_rig: LabRig, tmp_path: Path) -> None:
    slammed = with_faults(long, ["slam at=6 s=1.9 db=-25"])
    here = session_of(long, tmp_path)
    run(slammed, here, lab_rig(slammed, "T-9"), "on")
    with Session.read(here / "session.h5") as session:
        spoilt = [a for a in session.attempt_summaries("ears") if a.excluded]
        assert [a.source for a in spoilt] == ["all drivers"]
        assert "burst" in spoilt[0].excluded[0][1]
        assert session.overlap("ears") is not None


@pytest.mark.parametrize("samples", [1, 40])
def test_samples_lost_in_an_overlapped_capture_are_noticed_by_its_loopback(
    long: Description, lab_rig: LabRig, tmp_path: Path, samples: int
) -> None:
    dropped = with_faults(long, [f"drop at=6 s=1.9 samples={samples} flag=no"])
    here = session_of(dropped, tmp_path)
    run(dropped, here, lab_rig(dropped, "T-9"), "on")
    with Session.read(here / "session.h5") as session:
        spoilt = [a for a in session.attempt_summaries("ears") if a.excluded]
        assert [a.source for a in spoilt] == ["all drivers"]
        assert len(spoilt[0].excluded) == 1
        assert "samples lost or disturbed near" in spoilt[0].excluded[0][1]


def test_what_saves_nothing_stays_sequential(crooked: Description, lab_rig: LabRig, tmp_path: Path) -> None:
    assert overlap.cannot(plan.make(crooked, "ears")) is None
    one = crooked.model_copy(update={"driver": crooked.driver[:1]})
    assert "one driver" in str(overlap.cannot(plan.make(one, "ears")))
    here = session_of(one, tmp_path)
    run(one, here, lab_rig(one, "T-9"), "auto")
    with Session.read(here / "session.h5") as session:
        how = session.overlap("ears")
        assert how is not None
        assert not how.used
        assert len(session.landed("ears")) == 5
    with pytest.raises(Held, match=r"one driver.*--overlap off"):
        run(one, session_of(one, tmp_path / "on"), lab_rig(one, "T-9"), "on")


def test_another_driver_s_tail_is_kept_out(long: Description) -> None:
    """A decay of 0.2 s and a harmonic 30 dB down require waits longer than both."""
    wanted = plan.make(long, "ears")
    size, fs = len(wanted.played), long.fs
    whole = np.zeros((2, size), dtype=np.float32)
    t = np.arange(size - wanted.before) / fs
    whole[:, wanted.before :] = (10.0 ** (-60.0 * t / 0.2 / 20.0)) * np.random.default_rng(2).standard_normal(len(t))
    assert overlap.solved(long, wanted, [[whole] * 3] * 3).wait > 0.2 * fs
    quick = np.zeros((2, size), dtype=np.float32)
    quick[:, wanted.before] = 1.0
    least = overlap.solved(long, wanted, [[quick] * 3] * 3).wait
    assert least == wanted.before + wanted.after
    second = wanted.before - round(wanted.sweep.rate * np.log(2.0) * fs)
    quick[:, second] = 0.03
    moved = overlap.solved(long, wanted, [[quick] * 3] * 3).wait
    for m in (1, 2):
        lag = m * moved + second - wanted.before
        assert not -wanted.before <= lag < wanted.after
    assert moved >= least


def test_all_together_stay_below_full_scale(long: Description) -> None:
    loud = [np.full((2, 9000), 0.5, dtype=np.float32)] * 3
    assert overlap.level_for(loud, (0, 100, 200), np.full(2, 1e-6), long) == pytest.approx(overlap.HEADROOM / 1.5)
    assert overlap.level_for(loud, (0, 100, 200), np.full(2, 100.0), long) == pytest.approx(1.0 / 3.0, rel=0.02)
    assert overlap.level_for(loud, (0, 100, 200), None, long) == pytest.approx(1.0 / 3.0, rel=0.02), (
        "as loud as one alone"
    )
    assert overlap.level_for([x / 100 for x in loud], (0, 100, 200), np.full(2, 1e-6), long) == 1.0


def test_agreement_is_judged_with_the_noise(long: Description) -> None:
    rng = np.random.default_rng(6)
    h = rng.standard_normal((3, 2, 2000))
    off = h + 1e-4 * rng.standard_normal(h.shape)
    none, much = np.zeros((3, 2, 1001)), np.full((3, 2, 1001), 1e-2 * np.sqrt(2000.0))
    flat = np.zeros((3, 2))
    assert overlap.agreement(h, off, none, flat, long.fs, (60.0, 19000.0))[1]
    off = h + 1e-2 * rng.standard_normal(h.shape)
    error, will_do = overlap.agreement(h, off, none, flat, long.fs, (60.0, 19000.0))
    assert error == pytest.approx(-40.0, abs=0.5)
    assert not will_do
    assert overlap.agreement(h, off, much, flat, long.fs, (60.0, 19000.0))[1]
    assert overlap.agreement(h, off, none, flat + 0.02, long.fs, (60.0, 19000.0))[1], "compression that was measured"
    assert "differ" in replace(Overlap(), why="they differ").text()


def test_compression_is_foreseen_from_the_third_harmonic(long: Description, lab_rig: LabRig, tmp_path: Path) -> None:
    """A third harmonic of 1 % comes with 3 % in the fundamental; at half the level three quarters of that are gone."""
    wanted = plan.make(long, "ears")
    size, fs = len(wanted.played), long.fs
    whole = np.zeros((2, size), dtype=np.float32)
    whole[:, wanted.before] = 1.0
    whole[:, wanted.before - round(wanted.sweep.rate * np.log(3.0) * fs)] = 0.01
    assert overlap.compression(wanted, [whole], 0.5) == pytest.approx(np.full((1, 2), 0.03 * 0.75), rel=0.01)
    assert np.all(overlap.compression(wanted, [whole], 1.0) == 0.0)


def test_a_lower_level_is_not_taken_for_an_error(long: Description, lab_rig: LabRig, tmp_path: Path) -> None:
    """An SPL limit lowers overlapped sweeps by 2.4 dB: the cubic distortion's part of the fundamental falls with it."""
    limits = long.limits.model_copy(update={"loudest_db_spl": 95.0})
    loud = long.model_copy(update={"limits": limits})
    here = session_of(loud, tmp_path)
    run(loud, here, lab_rig(loud, "T-9"), "on")
    with Session.read(here / "session.h5") as session:
        how = session.overlap("ears")
    assert how is not None
    assert 0.7 < how.level < 0.8
    assert how.agreed_db > -60.0, "more than overlapping may differ by"
    assert how.level_db == pytest.approx(how.agreed_db, abs=0.5)
    assert "dB by the drivers' compression at the other level)" in how.text()


def test_the_command_says_what_it_did(
    crooked_text: str, sweetspot: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    rig = tmp_path / "long.toml"
    rig.write_text(crooked_text.replace("seconds = 0.6", "seconds = 2.5"))
    done = sweetspot("measure", "ears", rig, "--unit", "O1", "--overlap", "auto", "--dry-run", "--json")
    assert json.loads(done.stdout)["plans"][0]["overlapped_audio_s"] < json.loads(done.stdout)["plans"][0]["audio_s"]
    done = sweetspot("measure", "ears", rig, "--unit", "O1", "--overlap", "auto", "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert "all drivers play in one capture" in done.stdout
    assert sweetspot("measure", "resume", next(tmp_path.glob("runs/O1/*"))).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "usual"),
    [
        ("seconds = 2.5", "seconds = 2.5", None),
        ("seconds = 2.5", "seconds = 25.0", "auto"),
        ("seconds = 2.5", "seconds = 25.0\nrepeats = 2", None),
    ],
)
def test_long_plans_overlap_where_nobody_says(
    long: Description, tmp_path: Path, old: str, new: str, usual: str | None
) -> None:
    """Fifteen captures of 25 s are more than five minutes; repeats are compared one by one."""
    rig = parse(long.text.replace(old, new), folder=tmp_path)
    assert overlap.usual(plan.make(rig, "ears")) == usual


def test_a_dry_run_says_that_drivers_will_overlap(
    long: Description, sweetspot: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "rig.toml").write_text(long.text.replace("seconds = 2.5", "seconds = 25.0"))
    done = sweetspot("measure", "ears", "rig.toml", "--unit", "1", "--dry-run")
    assert "--overlap auto: at least" in done.stdout
    done = sweetspot("measure", "ears", "rig.toml", "--unit", "1", "--dry-run", "--overlap", "off")
    assert "--overlap" not in done.stdout

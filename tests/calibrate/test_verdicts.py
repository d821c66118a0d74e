"""Limits, metrics and verdicts by hand, and the level of a verification's stimuli at each limit that may hold it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Limits, limits_text, read_limits
from sweetspot.calibrate.run import verdict as verdicts
from sweetspot.calibrate.run.verification import engine_of
from sweetspot.calibrate.verify import (
    default_limits,
    figures,
    image,
    loudness,
    metric_kinds,
    verification,
    whole_response,
)
from sweetspot.calibrate.verify.diagnose import causes as diagnosis
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.verification import ProcessorUsed, Verification
from sweetspot.measure import plan as plans
from sweetspot.measure.judge import loudest_db
from sweetspot.processor.engine import Engine
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.protection import protections
from sweetspot.rigs.rig_file.description import Description, parse


def metric(**more: Any) -> Metric:
    return Metric(
        "level", "What it is; and more.", **({"predicted": None, "heard": 1.0, "limit": 2.0, "sense": "at most"} | more)
    )


# one metric


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({"heard": 2.0}, "pass"),
        ({"heard": 2.01}, "fail"),
        ({"heard": 2.0, "sense": "at least"}, "pass"),
        ({"heard": 1.99, "sense": "at least"}, "fail"),
        ({"heard": 1.5, "uncertainty": 0.25}, "pass"),
        ({"heard": 1.51, "uncertainty": 0.25}, "grey"),
        ({"heard": 2.5, "uncertainty": 0.25}, "grey"),
        ({"heard": 2.51, "uncertainty": 0.25}, "fail"),
        ({"heard": 2.51, "uncertainty": 0.25, "coverage": 3.0}, "grey"),
        ({"heard": np.nan}, "fail"),
        ({"heard": 2.5, "uncertainty": 0.25, "warns": True}, "pass"),
        ({"heard": 2.51, "uncertainty": 0.25, "warns": True}, "warn"),
        ({"heard": np.nan, "warns": True}, "warn"),
        ({"heard": 2.0, "uncertainty": 2.0, "coarsest": 4.0}, "pass"),
        ({"heard": 2.0, "uncertainty": 2.01, "coarsest": 4.0}, "grey"),
        ({"heard": 2.01, "uncertainty": 0.1, "coarsest": 4.0}, "grey"),
        ({"heard": 2.21, "uncertainty": 0.1, "coarsest": 4.0}, "fail"),
    ],
)
def test_a_verdict_at_its_limit(more: dict[str, Any], verdict: str) -> None:
    assert metric(**more).verdict == verdict
    assert metric(**more).passed == (verdict in ("pass", "warn"))


def test_margins_and_texts() -> None:
    most, least = metric(), metric(sense="at least")
    assert (most.margin, least.margin) == (1.0, -1.0)
    assert (most.keeps(2.0), most.keeps(2.1), least.keeps(2.0), least.keeps(1.9)) == (True, False, True, False)
    assert (most.guard, metric(uncertainty=0.3, coverage=3.0).guard) == (0.0, pytest.approx(0.9))
    assert most.text == "level: 1.0 dB, at most 2 dB is needed"
    assert metric(unit="").text == "level: 1.0, at most 2 is needed"
    assert metric(warns=True, limit=2.12345).text == "level: 1.0 dB, at most 2.123 dB is advised"
    grey = metric(heard=1.9, uncertainty=0.25)
    assert grey.text == (
        "level: 1.9 ± 0.5 dB, at most 2 dB is needed: inconclusive (margin below its uncertainty); re-measure"
    )
    coarse = metric(heard=1.9, uncertainty=5.0, coarsest=4.0)
    assert coarse.text.endswith(": inconclusive (uncertainty too large); re-measure")
    endless = metric(heard=1.0, uncertainty=np.inf)
    assert endless.text.endswith("(margin below its uncertainty); re-measure")
    assert most.over_heads == ""
    assert metric(spread=1.26, heads=5).over_heads == "± 1.3 dB over 5 head positions"


def test_a_metric_of_the_table() -> None:
    limits = Limits(contrast=11.0, coverage=2.5)
    made = Metric.of("contrast", "why", limits, predicted=14.0, heard=12.0, uncertainty=0.3)
    assert made == Metric(
        "centre beam, on axis over +-90 degrees", "why", 14.0, 12.0, 11.0, "at least", 0.3, coverage=2.5, key="contrast"
    )
    delay = Metric.of("interaural_delay", "why", limits, predicted=None, heard=1.0)
    assert (delay.unit, delay.sense, delay.limit, delay.uncertainty) == ("µs", "at most", 40.0, None)
    assert metric_kinds.limit_of(delay.name) == "interaural_delay"
    assert metric_kinds.limit_of("no metric") is None
    assert metric_kinds.limit_of("near-ear level, heard against predicted") == "agreement"


# limits


def test_default_limits_follow_the_prediction() -> None:
    limits = Limits()
    assert not default_limits.follows(limits, "snr")
    assert default_limits.follows(limits, "contrast")
    assert not default_limits.follows(Limits(contrast=12.0), "contrast")

    def of(key: str, predicted: float | None, **given: float) -> Metric:
        return Metric.of(key, "Why.", Limits(**given), predicted=predicted, heard=9.0)  # type: ignore[arg-type]

    worse, same = of("contrast", 13.0), of("contrast", 15.0)
    colour, kept = of("colouration", 5.0), of("colouration", 4.5)
    given, silent = of("contrast", 3.0, contrast=11.0), of("contrast", None)
    snr, free = of("snr", 3.0), replace(of("contrast", 3.0), key="")
    found, names = default_limits.followed((worse, same, colour, kept, silent, snr, free), limits)
    assert [m.limit for m in found] == [10.0, 12.0, 6.5, 6.0, 12.0, 20.0, 12.0]
    assert names == (worse.name, colour.name)
    assert found[1] is same
    assert found[3] is kept
    assert found[0].explanation == "Why. No limit given: at most 3 dB worse than predicted."
    assert found[2].explanation == "Why. No limit given: at most 1.5 dB worse than predicted."
    assert default_limits.followed((given,), Limits(contrast=11.0)) == ((given,), ())
    reached, _ = default_limits.followed((worse,), limits, {"contrast": 14.0})
    assert reached[0].limit == 11.0
    tied, _ = default_limits.followed((of("contrast", 15.0),), limits, {"snr": 1.0})
    assert tied[0].limit == 12.0


def test_limits_of_files(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(limits_text({"snr": 17.254, "balance": 0.5}, "From 20 units"))
    assert path.read_text() == "# From 20 units\nsnr = 17.25\nbalance = 0.50\n"
    limits = read_limits(path)
    assert (limits.snr, limits.balance, limits.contrast) == (17.25, 0.5, 12.0)
    assert sorted(limits.given) == ["balance", "snr"]
    assert read_limits(None) == Limits()
    with pytest.raises(BadInput, match=r"no\.toml: the limits file cannot be read"):
        read_limits(tmp_path / "no.toml")
    path.write_text('snr = "x"\n')
    with pytest.raises(BadInput, match=r"limits\.toml:\n  snr: 'x' is not valid"):
        read_limits(path)
    stored = limits.to_dict()
    assert stored["given"] == list(limits.given)
    again = Limits.of_dict(stored | {"from a later version": 3})
    assert again == limits
    assert again.given == limits.given
    assert Limits.of_dict({"snr": 3.0}).given == ()


# a verification


def verdict(*metrics: Metric, **more: Any) -> Verification:
    nothing = np.zeros(0)
    return Verification(nothing, nothing, nothing, nothing, nothing, nothing, metrics, **more)


def test_the_worst_metric_decides() -> None:
    good, grey, bad = metric(), metric(heard=1.9, uncertainty=0.25), metric(heard=3.0)
    warning = metric(heard=3.0, warns=True)
    assert [verdict(*m).verdict for m in ((good, warning), (good, grey), (grey, bad))] == ["pass", "grey", "fail"]
    assert [verdict(*m).passed for m in ((good, warning), (good, grey), (bad,))] == [True, False, False]
    assert verdict(good, grey, bad, warning).reasons == (grey.text, bad.text)
    assert verdict(good, bad, warning).warnings == (f"{warning.text} (What it is)",)


def test_failures_that_were_predicted_are_the_designs() -> None:
    designed, other = metric(heard=3.0, predicted=2.5), metric(heard=3.0, predicted=1.5)
    assert verdict(designed, metric()).by_design == (designed,)
    assert verdict(designed, other).by_design == ()
    assert verdict(metric(heard=3.0)).by_design == ()
    assert verdict(metric()).by_design == ()


def test_what_is_no_difference_from_the_prediction_states_its_own_cause() -> None:
    """A unit that failed by noise alone was told that its room had changed."""
    noisy = replace(metric(heard=11.0), key="snr", sense="at least", limit=20.0)
    worse = replace(metric(heard=3.0), key="difference")
    moved = diagnosis.Cause("head moved", "the head is off", 0.9, 3)

    def diagnose() -> tuple[tuple[diagnosis.Cause, ...], tuple[str, ...]]:
        return (moved,), ("level",)

    (noise,), ruled_out = verdicts._why(verdict(noisy, metric()), np.zeros(1), (), diagnose)
    assert (noise.name, noise.evidence, ruled_out) == ("noise", "as measured", ())
    assert "11 dB over the noise, 20 dB are needed" in noise.text
    assert verdicts._why(verdict(noisy, worse), np.zeros(1), (), diagnose) == ((moved, noise), ("level",))
    unguarded = replace(metric(heard=3.0), key="guard")
    assert [c.name for c in verdicts._why(verdict(unguarded, worse), np.zeros(1), (), diagnose)[0]] == [
        "guard off",
        "head moved",
    ]


def test_the_basis_of_a_verdict() -> None:
    assert verdict().basis == ""
    text = "no limits file: judged on agreement with its prediction and on metrics that hold for any unit"
    assert verdict(default_limits=True).basis == text
    more = verdict(default_limits=True, followed=("contrast", "balance")).basis
    assert more == f"{text}; default limits relaxed to the prediction: contrast; balance"


def test_the_processor_in_words() -> None:
    assert ProcessorUsed("engine", "upmix", 0.009, 48000).text == "processor: built-in engine; excess latency 0 ms"
    used = ProcessorUsed("brutefir", "stereo", -96.04, 48000, 3.25)
    assert used.text == (
        "processor: brutefir, left and right without upmix, 3.2 dB lower, as it has no guard; its latency of -96.04 "
        "samples (-2.00 ms) was measured and removed"
    )
    assert ", 0.4 dB lower, as it has no guard" in ProcessorUsed("c", "upmix", 0.0, 48000, 0.4).text
    assert "96000.00 samples (2000.00 ms)" in ProcessorUsed("c", "upmix", 96000.0, 48000).text
    assert ProcessorUsed("c", "upmix", 0.01, 48000).text.endswith(
        "its latency of 0.01 samples (0.00 ms) was measured and removed"
    )


GAINS = np.array([[0.5, 0.1], [0.2, 0.4], [0.1, 0.3]])


@pytest.fixture
def rig(crooked_text: str) -> Description:
    return parse(crooked_text, folder=Path())


def filter_set(rig: Description, **more: Any) -> FilterSet:
    taps = np.zeros((3, 3, 64))
    taps[0, :, 5], taps[1, :, 5], taps[2, :, 5] = GAINS[:, 0], GAINS[:, 1], 0.3
    values: dict[str, Any] = {
        "ceiling": 0.4,
        "delay_samples": 5,
        "headroom_db": 6.0,
        "source": "0" * 64,
        "unit_serial": "T",
    }
    channels = tuple(d.channel for d in rig.driver)
    return FilterSet(taps, fs=rig.fs, drivers=rig.driver_names, channels=channels, **(values | more))


def linear(x: np.ndarray) -> np.ndarray:
    return GAINS @ x


def sources(rig: Description, filters: FilterSet, process: Any = linear, **more: Any) -> Any:
    _, played = plans.excitation(rig, tail=64)
    return played, verification.sources_of(rig, filters, process, played, ("left", "both"), **more)


def test_stimuli_reach_95_percent_of_the_lowest_ceiling(rig: Description) -> None:
    rows = [d.channel - 1 for d in rig.driver]
    low = min(protections(rig), key=lambda one: one.low_hz or 0.0)
    for ceiling in (0.2, 0.9):
        played, made = sources(rig, filter_set(rig, ceiling=ceiling), lambda x: 3.0 * linear(x))
        lowest = min(ceiling, rig.limits.ceiling)
        shaped = low.shaped(played).astype(float)
        for signal in made.signals:
            assert np.abs(signal[rows]).max() == pytest.approx(0.95 * lowest, rel=1e-5)
        left, both = (s[rows] for s in made.signals)
        assert left == pytest.approx(3.0 * GAINS[:, :1] * made.levels[0] * shaped, abs=1e-6)
        assert both == pytest.approx(3.0 * GAINS.sum(axis=1)[:, None] * made.levels[1] * shaped, abs=1e-6)
        loop = rig.interface.loopback.out - 1
        assert all(np.array_equal(s[loop], played) for s in made.signals)
        assert (made.axis, made.names, made.shapes) == ("program", ("left", "both"), (low, low))


def test_stimuli_are_at_most_full_scale(rig: Description) -> None:
    played, made = sources(rig, filter_set(rig), lambda x: 0.01 * linear(x))
    low = min(protections(rig), key=lambda one: one.low_hz or 0.0)
    peak = float(np.abs(low.shaped(played)).max())
    assert made.levels == pytest.approx((1.0 / peak, 1.0 / peak))
    _, quiet = sources(rig, filter_set(rig), lambda x: 0.01 * linear(x), share=0.25, lowered_db=6.0)
    assert quiet.levels == pytest.approx((0.25 / peak * 10**-0.3, 0.25 / peak * 10**-0.3))
    rows = [d.channel - 1 for d in rig.driver]
    assert quiet.signals[1][rows] == pytest.approx(0.25 * made.signals[1][rows], abs=1e-7)


def test_a_deployed_processor_is_fed_under_the_rigs_ceiling(rig: Description) -> None:
    _, made = sources(rig, filter_set(rig), lambda x: 0.01 * linear(x), feed=(2, 4))
    for signal, sides in zip(made.signals, ((1, 0), (1, 1)), strict=True):
        fed = np.abs(signal[[1, 3]]).max(axis=1)
        assert fed == pytest.approx(0.95 * rig.limits.ceiling * np.array(sides), rel=1e-5)
        assert not signal[[d.channel - 1 for d in rig.driver if d.channel not in (2, 4)]].any()


def test_each_drivers_own_limit_holds(rig: Description, crooked_text: str) -> None:
    text = crooked_text.replace('name = "left"\n', 'name = "left"\nmax_v = 0.02\namplifier_gain_db = 0.0\n')
    text = text.replace("full_scale_v = 0.1", "full_scale_v = 0.1\noutput_full_scale_v = 1.0")
    held = parse(text, folder=Path())
    _, free = sources(rig, filter_set(rig))
    _, made = sources(held, filter_set(held))
    own = next(p for p in protections(held) if p.output == 0)
    for one, two in zip(made.signals, free.signals, strict=True):
        x = one[0].astype(float)
        assert own.most(x) == pytest.approx(1.0 / 0.95, rel=1e-4)
        assert np.abs(two[0]).max() > np.abs(one[0]).max()
    without = replace(filter_set(held), drivers=("a", "b", "c"), channels=(5, 2, 3))
    _, other = sources(held, without)
    assert np.abs(other.signals[0][1]).max() > np.abs(made.signals[0][0]).max()


def test_the_guard_takes_no_part(rig: Description) -> None:
    """A process that clips at its limits: the stimulus goes through at a level at which it cannot have."""
    filters = filter_set(rig, caps=(0.3, 0.4, 0.4))
    filters = replace(filters, taps=filters.taps * np.array([[1.0], [2.0], [1.0]]))  # the driver's sum decides
    limits, levels = np.array([0.3, 0.4, 0.4])[:, None], []

    def guarded(x: np.ndarray) -> np.ndarray:
        levels.append(float(np.abs(x).max()))
        return np.clip(linear(x), -limits, limits)

    x = np.array([[1.0], [0.0]]) * np.sin(np.arange(200.0))
    assert verification._unlimited(guarded, x, filters) == pytest.approx(linear(x))
    bound = np.abs(filters.taps).sum(axis=(0, 2)).max()
    assert levels == pytest.approx([np.abs(x).max() * 0.25 * 0.3 / bound])
    levels.clear()
    loud = 3.0 * x
    assert verification._unlimited(guarded, loud, filters) == pytest.approx(linear(loud))
    assert levels == pytest.approx([0.25 * 0.3 / bound])


def test_the_driver_that_reaches_lowest_sets_the_stimulus_band(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unprotected one reaches lower than any band."""
    for bands, lowest in (((60.0, 30.0, 90.0), 1), ((0.5, 30.0, None), 2)):
        each = [SimpleNamespace(low_hz=low) for low in bands]
        monkeypatch.setattr(verification, "protections", lambda rig, each=each: each)
        assert verification._widest(None) is each[lowest]  # type: ignore[arg-type]


def test_a_stimulus_is_never_raised(rig: Description) -> None:
    """However soft the filters are: a deployed processor clips its input at full scale."""
    x, fed = np.array([[1.0], [0.5]]) * np.sin(np.arange(200.0)), []
    filters = filter_set(rig)
    soft = replace(filters, taps=0.01 * filters.taps)
    verification._unlimited(lambda x: (fed.append(x), 0.01 * linear(x))[1], x, soft)
    assert np.array_equal(fed[0], x)


def test_an_offset_is_refused_by_the_limit_of_its_driver(rig: Description) -> None:
    """0.18 is more than half of 0.3, which the driver may have, and less than half of the ceiling."""
    x = np.array([[0.36], [0.0]]) * np.ones(3 * rig.fs)
    assert np.all(verification._unlimited(linear, x, filter_set(rig)) == pytest.approx(linear(x)))
    with pytest.raises(BadInput, match=r"driver 1 had a constant offset of \+0.15"):
        verification._unlimited(linear, x, filter_set(rig, caps=(0.3, 0.4, 0.4)))


def test_a_verification_stays_below_the_loudest_level_at_every_measured_place(rig: Description) -> None:
    """Against convolution by hand, at the last place of several that differ by less than single precision shows."""
    _, made = sources(rig, filter_set(rig))
    rng = np.random.default_rng(3)
    h = np.zeros((4, 2, 3, 90))
    h[..., 7:] = 2.0 * rng.standard_normal((1, 2, 3, 83))
    h *= 1.0 + 1e-10 * np.arange(4)[:, None, None, None]
    rows = [d.channel - 1 for d in rig.driver]
    pressure = [
        [sum(np.convolve(s[r].astype(float), h[3, ear, i]) for i, r in enumerate(rows)) for ear in range(2)]
        for s in made.signals
    ]
    loudest = max(loudest_db(np.array(x), np.ones(2), rig.fs)[0] for x in pressure)
    wanted = 10 ** ((rig.limits.loudest_db_spl - loudness.UNDER_LIMIT_DB - loudest) / 20)
    measured, heard = SimpleNamespace(h=h, unit="Pa/FS"), SimpleNamespace(sources=made)
    share = loudness.within(rig, heard, measured)  # type: ignore[arg-type]
    assert share < 1.0
    assert share == pytest.approx(wanted, rel=1e-11)
    quiet = SimpleNamespace(h=1e-3 * h, unit="Pa/FS")
    assert loudness.within(rig, heard, quiet) == 1.0  # type: ignore[arg-type]


def test_the_spl_limiter_rests_in_a_verification(rig: Description) -> None:
    """Sides whose detectors are 6 dB and both whose are 20 dB above the limit at full scale; how loud they are in the
    engine itself, without and with 1 dB more."""
    detectors = np.zeros((2, 3, 8))
    detectors[0, :, 0] = 2.0, 2.0, 10.0
    held = filter_set(rig, ceiling=0.9, detectors=detectors)
    assert verification._below_spl(held, np.ones((2, 4000))) < 0.3
    assert verification._below_spl(filter_set(rig), np.ones((2, 4000))) == np.inf
    low = min(protections(rig), key=lambda one: one.low_hz or 0.0)
    played, made = sources(rig, held, engine_of(held))
    _, free = sources(rig, replace(held, detectors=0.0 * detectors), engine_of(held))
    shaped = low.shaped(played).astype(float)
    for level, unheld, sides in zip(made.levels, free.levels, ((1.0, 0.0), (1.0, 1.0)), strict=True):
        assert level < 0.8 * unheld
        for more, rests in ((1.0, True), (1.12, False)):
            engine = Engine(held)
            engine.process(more * level * np.array(sides)[:, None] * shaped)
            assert (engine.spl.limiter[1] == 0) is rests


def test_a_plan_goes_to_the_scoring_positions_or_around(rig: Description) -> None:
    filters = filter_set(rig)
    ears = verification.plan(rig, "ears", filters, linear)
    assert ears.sources.names == ("left", "right", "both")
    assert [row["use"] for row in ears.positions] == [b"score", b"score"]
    polar = verification.plan(rig, "polar", filters, linear, (2, 4), share=0.5, lowered_db=3.0)
    assert polar.sources.names == ("both",)
    assert len(polar.positions) == 24
    _, played = plans.excitation(rig, tail=filters.length)
    wanted = verification.sources_of(rig, filters, linear, played, ("both",), (2, 4), share=0.5, lowered_db=3.0)
    assert np.array_equal(polar.sources.signals[0], wanted.signals[0])
    assert polar.sources.levels == wanted.levels
    assert np.array_equal(polar.played, played)
    whole = verification.sources_of(rig, filters, linear, played, ears.sources.names)
    assert ears.sources.levels == whole.levels
    assert (polar.before, ears.name, polar.name) == (ears.before, "ears", "polar")
    plain = plans.make(rig, "ears")
    assert all(np.array_equal(p.sweep.x, plain.sweep.x) for p in (ears, polar))
    assert ears.after - plain.after >= filters.length


def test_a_verification_visits_the_places_that_the_session_predicts_for(measured: Path, rig: Description) -> None:
    """The rig's own places; one scoring position less than the session's; another angular step of its ring."""
    filters = filter_set(rig)
    assert set(steps.planned(measured, rig, filters).plans) == {"ears", "polar"}
    assert rig.ears is not None
    assert rig.polar is not None
    fewer = rig.ears.model_copy(update={"positions": rig.ears.positions[:4]})
    with pytest.raises(BadInput, match=r"scoring positions of the ears set in .* \(2\) are not those .* \(1\)"):
        steps.planned(measured, rig.model_copy(update={"ears": fewer}), filters)
    coarser = rig.polar.model_copy(update={"step_deg": 30.0})
    with pytest.raises(BadInput, match=r"directions of the polar set in .* \(24\) are not .* \(12\).*polar\.step_deg"):
        steps.planned(measured, rig.model_copy(update={"polar": coarser}), filters)


def test_a_judgement_gathers_every_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which figures are made of what, with stand-ins for the figures themselves."""

    def stand_in(name: str, many: bool) -> Any:
        return lambda *args: ((name, *args),) if many else (name, *args)

    for module, names in (
        (
            figures,
            {"cancellation": 1, "levels": 1, "difference": 0, "centre": 0, "noise": 0, "agreement": 0, "with_room": 1},
        ),
        (image, {"of_sides": 1, "of_phantom": 0, "of_beam": 0, "polarity": 0}),
        (whole_response, {"cancellations": 1}),
        (verification, {"compare": 0}),
    ):
        for name, many in names.items():
            monkeypatch.setattr(module, name, stand_in(name, bool(many)))
    each = {name: SimpleNamespace(x=name) for name in ("predicted", "heard", "predicted_polar", "heard_polar")}
    compared = SimpleNamespace(f="f", **each)
    monkeypatch.setattr(verification, "compare", lambda *args: (seen.append(args), compared)[1])
    seen: list[Any] = []
    ears, polar, measured = (SimpleNamespace(ir=name) for name in ("ears", "polar", "measured"))
    limits = SimpleNamespace(repeatability=0.1, coverage=2.0)
    filters: Any = SimpleNamespace(held_text="1 dB quieter")
    for azimuths, beamed, nulls in (
        (np.radians([-90.0, -45.0, 0.0, 45.0, 90.0, 180.0]), True, True),
        (np.radians([-60.0, -30.0, 0.0, 30.0, 60.0, 120.0]), True, False),
        (np.radians([-60.0, 0.0, 60.0]), True, False),
        (np.radians([-90.0, 90.0]), False, False),
    ):
        p = SimpleNamespace(azimuths=azimuths)
        found = verification.judge(ears, polar, measured, p, filters, limits)  # type: ignore[arg-type]
        assert seen.pop() == (ears, polar, measured, p, filters, 0.1)
        c = compared
        wanted = [("cancellation", c, p, limits), ("levels", c, p, limits), ("of_sides", c, p, limits)]
        wanted += [("of_phantom", c, p, limits), ("difference", ears, measured, filters, limits)]
        wanted += [("centre", c, p, limits)] if nulls else []
        wanted += [("of_beam", c, p, limits)] if beamed else []
        wanted += [("polarity", c, limits), ("noise", "ears", "polar", limits)]
        assert list(found.metrics) == wanted
        assert (found.f, found.predicted, found.heard) == ("f", "predicted", "heard")
        assert (found.predicted_polar, found.heard_polar) == ("predicted_polar", "heard_polar")
        assert found.azimuths is azimuths
        assert found.compared is c
        assert found.agreement == ("agreement", c, p, 2.0)
        assert found.room == (("with_room", c, p),)
        assert found.held == "1 dB quieter"
        assert found.cancellation == (("cancellations", c, p),)


@pytest.mark.parametrize(("drr_db", "words"), [((-0.7, -4.8, -0.9), "DRR -0.7 dB of the left"), ((3.0, 2.0, 1.0), "")])
def test_an_image_that_misses_its_limit_in_a_room_louder_than_the_sound_names_the_room(
    drr_db: tuple[float, float, float], words: str
) -> None:
    limits = Limits()
    failed = (Metric.of("right_azimuth", "", limits, predicted=38.7, heard=38.7),)
    image = SimpleNamespace(arms={"calibrated": SimpleNamespace(drr_db=np.array([drr_db, drr_db]))})
    (cause,) = verdicts._by_design(failed, image)
    assert "38.7 ° predicted" in cause.text
    assert ("damp the surfaces" in cause.text) == bool(words)
    assert words in cause.text
    other = (Metric.of("cancellation_mean", "", limits, predicted=3.0, heard=3.0),)
    assert "DRR" not in verdicts._by_design(other, image)[0].text


def test_a_lopsided_image_of_heads_that_face_past_the_device_says_so() -> None:
    """A listener 0.3 m aside at 2 m who looks straight ahead: sides at +20 and -36 degrees of the device."""
    failed = (Metric.of("asymmetry", "", Limits(), predicted=16.2, heard=16.2),)
    image = SimpleNamespace(arms={"calibrated": SimpleNamespace(drr_db=np.full((2, 3), 40.0))})
    (cause,) = verdicts._by_design(failed, image, np.radians([8.0, 9.0]))
    assert "turn them by +8 degrees (yaw_deg of ears.positions)" in cause.text
    assert "turn them" not in verdicts._by_design(failed, image, np.radians([-2.0, 3.0]))[0].text

"""Verification through every kind of deployed processor: our engine, engines on an audio server, the device itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import fftconvolve, resample_poly

from sweetspot.calibrate import run
from sweetspot.calibrate.design import Design, Limits
from sweetspot.calibrate.plant import Fitted
from sweetspot.calibrate.run import verification as verification_run
from sweetspot.calibrate.run.verification import engine_of
from sweetspot.calibrate.verify import insert, through, verification
from sweetspot.calibrate.verify import processor as deployed
from sweetspot.calibrate.verify.processor import Deployed
from sweetspot.calibrate.verify.verification import ProcessorUsed, Verification
from sweetspot.measure import folder, plan
from sweetspot.measure.plan import Plan
from sweetspot.measure.run import measure
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.processor import files, store
from sweetspot.processor.export import brutefir, bundle, without_guard
from sweetspot.processor.export.running import live
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput, HardwareTrouble, Held, TooLoud
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.protocol import Interface, Recording, Rig
from sweetspot.rigs.rig_file.added_faults import with_faults
from sweetspot.rigs.rig_file.description import Description, parse

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
PROGRAM = ("loopback = { out = 6, in = 2 }", "loopback = { out = 6, in = 2 }\nprogram = { left = 8, right = 7 }")
SPARSE = ("step_deg = 15.0", "step_deg = 45.0")
LATENCY = 3217.4
LOUDEST = 90.0
LIMITS = Limits(contrast=-20.0)
"""Three crooked drivers and eight directions make no beam; nothing here is about it."""


@contextmanager
def quiet(_title: str, _total: int) -> Iterator[Callable[[str], None]]:
    yield lambda _note: None


def ask(move: str) -> None:
    raise AssertionError(move)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, crooked_text: str, lab_rig: Callable[..., Rig]) -> Path:
    """A calibrated run of the crooked world with program outputs, unit T-9; copy it before writing into it."""
    place = tmp_path_factory.mktemp("deployed")
    rig = parse(crooked_text.replace(*PROGRAM).replace(*SPARSE), folder=place)
    here = folder.new(place / "runs", "T-9", rig, NOON)
    for name in plan.SETS:
        with Session.resume(here / "session.h5") as session:
            measure(lab_rig(rig, "T-9"), session, plan.make(rig, name), ask=ask, step=lambda note: None)
    run.calibrate(here, Design(), "")
    return here


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    """The run, to be written into."""
    return Path(shutil.copytree(made, tmp_path / "runs" / "T-9" / made.name))


def described(text: str, folder: Path, device: str = "", **changes: str) -> Description:
    """The crooked rig with program outputs, and the device of ``device``, if any."""
    text = text.replace(*PROGRAM).replace(*SPARSE)
    return parse(text + (f'[lab.device]\nfilters = "device"\n{device}\n' if device else ""), folder=folder)


def exported(filters: FilterSet, folder: Path) -> None:
    """What a device's maker does with an export."""
    folder.mkdir(exist_ok=True)
    for name, data in brutefir.bundle(filters).files.items():
        (folder / name).write_bytes(data)


def heard(here: Path, rig: Rig, fitted: Fitted, processor: Deployed) -> Verification:
    run.measure_verification(here, rig, fitted, NOON, ask=ask, track=quiet, processor=processor)
    return run.judge(here, fitted, LIMITS)


def test_every_engine_that_can_be_started_verifies() -> None:
    assert (through.OWN, *live.LIVE, through.DEVICE) == through.THROUGH


def through_device(
    here: Path, text: str, change: Callable[[FilterSet], FilterSet] = lambda f: f, more: str = "", runs: str = ""
) -> Verification:
    """The verdict on a device that runs ``change`` of the filters that it should."""
    fitted = run.fitted_of(here)
    exported(change(fitted.filters), here.parent / "device")
    rig = described(text, here.parent, f"latency_samples = {LATENCY}\n{more}")
    with open_rig(rig, serial="T-9", now=lambda: NOON) as opened:
        return heard(here, opened, fitted, deployed.choose("device", fitted.filters, rig, runs=runs))


def test_a_device_that_runs_an_export_without_a_guard_is_as_loud_as_that(here: Path, crooked_text: str) -> None:
    """With --runs it passes; without, the verdict names the option."""
    lowered = lambda filters: without_guard(filters.without_upmix(), "brutefir")[0]  # noqa: E731
    found = through_device(here, crooked_text, lowered)
    assert (found.verdict, found.causes[0].name) == ("fail", "level"), found.causes
    assert "if the device runs one, verify with --runs ENGINE" in found.causes[0].text
    outcome = through_device(here, crooked_text, lowered, runs="brutefir")
    assert outcome.verdict == "pass", outcome.reasons
    used = ProcessorUsed("device", "stereo", 0.0, 47872)
    assert not deployed.unguarded_level(-6.0, used, run.fitted_of(here).filters)
    assert not deployed.unguarded_level(-6.0, replace(used, name="c"), run.fitted_of(here).filters)
    with pytest.raises(BadInput, match="--runs is for --through device"):
        deployed.choose("engine", run.fitted_of(here).filters, described(crooked_text, here.parent), runs="brutefir")


def test_a_device_passes_and_its_latency_is_found_to_a_hundredth_of_a_sample(here: Path, crooked_text: str) -> None:
    found = through_device(here, crooked_text)
    assert found.verdict == "pass", found.reasons
    assert found.through is not None
    assert (found.through.name, found.through.form) == ("device", "stereo")
    assert abs(found.through.latency_samples - LATENCY) < 0.01
    assert next(m.heard for m in found.metrics if m.name.startswith("difference")) < -60.0
    assert "3217.40 samples" in found.through.text


@pytest.mark.server
def test_an_export_that_an_engine_plays_on_the_audio_server_is_verified_and_a_wrong_one_fails(
    here: Path,
    crooked_card_text: Callable[..., str],
    jack_server: Callable[..., AbstractContextManager[Any]],
    jack_lab: Callable[..., AbstractContextManager[Any]],
    in_server: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Rig, engine and lab on one server: program outputs to the engine, the engine to the drivers, ears to the rig."""
    card = tmp_path / "card.toml"
    card.write_text(crooked_card_text(tmp_path / "turntable").replace(*PROGRAM).replace(*SPARSE))
    rig, fitted = parse(card.read_text(), folder=tmp_path), run.fitted_of(here)
    right = deployed.choose("jconvolver", fitted.filters, rig)
    wrong = replace(right, filters=swapped(right.filters))
    with jack_server(47872) as server, jack_lab(server, card, "--unit", "T-9"), server.freewheel():
        in_server(server)
        with open_rig(rig, serial="T-9", now=lambda: NOON) as opened:
            good = heard(here, opened, fitted, right)
            bad = heard(here, opened, fitted, wrong)
    assert good.verdict == "pass", good.reasons
    assert good.through is not None
    assert good.through.name == "jconvolver"
    assert right.lowered_db > 0.5
    assert good.through.lowered_db == pytest.approx(right.lowered_db)
    assert f"{right.lowered_db:.1f} dB lower" in good.through.text
    assert next(m.heard for m in good.metrics if m.name.startswith("difference")) < -60.0
    assert bad.verdict == "fail"
    assert bad.causes[0].name == "drivers swapped", bad.causes
    assert "'woofer' and 'right'" in bad.causes[0].text


@pytest.mark.parametrize("engine", ["brutefir", "jconvolver"])
def test_verification_plays_the_filters_that_export_writes_for_an_engine(
    here: Path, crooked_text: str, sweetspot: Callable[..., Any], tmp_path: Path, engine: str
) -> None:
    """Lowered until full-scale stereo keeps to the ceiling, where there is no guard; the same bytes."""
    done = sweetspot("export", here, "--to", engine, "--out", tmp_path / "out", "--json")
    lowered_db = json.loads(done.stdout)["gain_lowered_db"]
    chosen = deployed.choose(engine, run.fitted_of(here).filters, described(crooked_text, here.parent))
    assert lowered_db > 0.5
    assert chosen.lowered_db == pytest.approx(lowered_db, abs=1e-9)
    written = bundle(chosen.filters, engine).files
    taps = [name for name in written if name.endswith((".wav", ".f32"))]
    assert taps
    assert all((tmp_path / "out" / name).read_bytes() == written[name] for name in taps)


def swapped(filters: FilterSet) -> FilterSet:
    """The filters of the first and the last driver at each other's."""
    return replace(filters, taps=filters.taps[:, [2, 1, 0]])


def altered(**change: Callable[[np.ndarray], np.ndarray]) -> Callable[[FilterSet], FilterSet]:
    """Filters whose taps ``(program, driver, tap)`` were changed."""
    return lambda filters: replace(filters, taps=change["taps"](np.array(filters.taps)))


def plain(taps: np.ndarray) -> np.ndarray:
    """No filters: each side on a driver of its own."""
    out = np.zeros_like(taps)
    out[0, 1, 0] = out[1, 2, 0] = 0.1
    return out


def slower(taps: np.ndarray) -> np.ndarray:
    """As they are at 44.1 kHz when they were made for 48 kHz."""
    return np.asarray(resample_poly(taps, 160, 147, axis=-1) * 147 / 160)


@pytest.mark.parametrize(
    ("change", "more", "cause", "message"),
    [
        (plain, "", "bypassed", "not active"),
        (slower, "", "sampling rate", "0.919 times"),
        (np.asarray, "clips_dbfs = -23.0", "clipping", "the drivers are clipped"),
    ],
)
def test_a_wrong_device_fails_and_its_cause_is_named_though_its_latency_is_unknown(
    here: Path, crooked_text: str, change: Callable[[np.ndarray], np.ndarray], more: str, cause: str, message: str
) -> None:
    found = through_device(here, crooked_text, altered(taps=change), more)
    assert found.verdict == "fail"
    assert found.causes[0].name == cause, found.causes
    assert message in found.causes[0].text
    assert found.causes[0].explained > 0.97


def test_limits_that_the_design_itself_misses_are_its_own_cause(here: Path, crooked_text: str) -> None:
    """The device runs its filters; no filters of this unit cancel 90 dB."""
    assert through_device(here, crooked_text).verdict == "pass"
    found = run.judge(here, run.fitted_of(here), LIMITS.model_copy(update={"cancellation_mean": 90.0}))
    assert found.verdict == "fail"
    assert [(c.name, c.explained) for c in found.causes] == [("design", 1.0)]
    assert "limit at least 90" in found.causes[0].text


def test_a_design_that_misses_its_limits_does_not_excuse_a_unit_that_is_wrong(here: Path, crooked_text: str) -> None:
    through_device(here, crooked_text, swapped)
    found = run.judge(here, run.fitted_of(here), LIMITS.model_copy(update={"cancellation_mean": 90.0}))
    assert found.verdict == "fail"
    assert found.causes[0].name == "drivers swapped", found.causes


def test_the_filters_of_another_unit_are_recognised_by_its_run(here: Path, crooked_text: str) -> None:
    """Beside this unit's run there are those of others: one with the filters that play, and ones that cannot be it."""
    mine = store.read(here / store.NAME)
    taps = np.random.default_rng(8).standard_normal(mine.taps.shape) * np.exp(-np.arange(mine.length) / 20.0)
    other = replace(mine, taps=0.02 * taps, source="b" * 64, unit_serial="T-23")
    for serial, kept in (("T-23", other), ("T-31", replace(mine, fs=48000, source="c" * 64)), ("T-47", None)):
        place = here.parent.parent / serial / "20260304T130000Z-crooked"
        place.mkdir(parents=True)
        if kept is None:
            (place / store.NAME).write_bytes(b"no filter set")
        else:
            store.write(place / store.NAME, kept)
    found = through_device(here, crooked_text, lambda filters: replace(filters, taps=other.taps))
    assert found.verdict == "fail"
    assert found.causes[0].name == "other filter set", found.causes
    assert "unit T-23 (20260304T130000Z-crooked)" in found.causes[0].text
    assert found.causes[0].explained > 0.97


def test_a_room_that_changed_is_distinguished_from_a_unit_that_did(here: Path, crooked_text: str) -> None:
    """Measured without walls, verified between them: the direct sound is as it was."""
    fitted = run.fitted_of(here)
    room = "[lab.room]\nsize_m = [6.1, 5.3, 2.9]\ndevice_m = [2.2, 2.6, 1.3]\nimage_order = 2\nabsorption = 0.3\n"
    rig = parse(crooked_text.replace(*PROGRAM).replace(*SPARSE) + room, folder=here.parent)
    with open_rig(rig, serial="T-9", now=lambda: NOON) as opened:
        found = heard(here, opened, fitted, deployed.choose("engine", fitted.filters, rig))
    assert found.verdict == "fail"
    assert found.causes[0].name == "room changed", found.causes
    assert found.causes[0].explained > 0.9


def test_noise_is_never_judged_but_heard_again(here: Path, crooked_text: str) -> None:
    """One capture with a slam is repeated; when it slams in every one, no verdict is given."""
    fitted = run.fitted_of(here)
    exported(fitted.filters, here.parent / "device")
    rig = described(crooked_text, here.parent, "latency_samples = 100.0")
    through = deployed.choose("device", fitted.filters, rig)
    with open_rig(with_faults(rig, ["slam at=4 s=0.2 db=-30"]), serial="T-9") as opened:
        assert heard(here, opened, fitted, through).verdict == "pass"
    with Session.read(here / "verify.h5", VERIFICATION) as session:
        assert [reason[:5] for _, reason in session.rejected("ears")] == ["burst"]
    with open_rig(with_faults(rig, ["slam at=4- s=0.2 db=-30"]), serial="T-9") as opened, pytest.raises(Held):
        heard(here, opened, fitted, through)


class Ears:
    """An interface that keeps the loudest levels of its captures at the dummy head, dB SPL (F)."""

    def __init__(self, inner: Interface, rig: Description) -> None:
        self.inner, self.rig, self.levels = inner, rig, list[float]()
        self.fs, self.outputs, self.inputs = inner.fs, inner.outputs, inner.inputs

    def capture(self, y: np.ndarray) -> Recording:
        heard = self.inner.capture(y)
        for mic in self.rig.ear_mics:
            pa = (
                heard.x[mic.channel - 1].astype(float)
                * self.rig.interface.full_scale_v
                * 1e3
                / mic.sensitivity_mv_per_pa
            )
            power = np.convolve(pa**2, np.full(self.fs // 8, 8.0 / self.fs), mode="valid")
            self.levels.append(float(10 * np.log10(power.max() / 4e-10)))
        return heard

    def close(self) -> None:
        """It is the rig's."""


def test_a_device_that_is_far_too_loud_is_never_heard_aloud(here: Path, crooked_text: str) -> None:
    """Taps 30 dB up: even the capture that looks for its latency is tried softly first."""
    fitted = run.fitted_of(here)
    exported(replace(fitted.filters, taps=30.0 * fitted.filters.taps, ceiling=1.0), here.parent / "device")
    text = crooked_text.replace("[limits]", f"[limits]\nloudest_db_spl = {LOUDEST}")
    rig = described(text, here.parent, "latency_samples = 100.0")
    with open_rig(rig, serial="T-9", now=lambda: NOON) as opened:
        ears = Ears(opened.interface, opened.description)
        with pytest.raises(TooLoud, match=f"both would reach .* dB SPL at .*loudest_db_spl = {LOUDEST:g}"):
            heard(here, replace(opened, interface=ears), fitted, deployed.choose("device", fitted.filters, rig))
    assert max(ears.levels) < LOUDEST + 0.5


def edited(fitted: Fitted, gain: float) -> Fitted:
    """A filter set that was edited by hand: louder taps, and the ceiling at full scale."""
    return replace(fitted, filters=replace(fitted.filters, taps=gain * fitted.filters.taps, ceiling=1.0))


def all_captured(here: Path, opened: Rig, fitted: Fitted, chosen: Deployed) -> None:
    """The search for the latency, and every stimulus of a verification at the ears, as loud as may be."""
    with Session.read(here / "session.h5") as session:
        measured = session.responses("ears")
    planned = ears_of(opened.description, chosen)
    with insert.ready(opened, chosen, planned, measured, ask) as ready:
        for signal in planned.sources.signals:
            ready.interface.capture(signal)


def test_a_stimulus_is_rendered_once_for_all_plans(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any level and for every set; a result that somebody changed would be another stimulus, so none can."""
    filters, made = replace(run.fitted_of(here).filters), list[tuple[int, ...]]()
    process, own = engine_of(filters), verification_run.render
    monkeypatch.setattr(verification_run, "render", lambda f, x, fs: made.append(x.shape) or own(f, x, fs))
    with Session.read(here / "session.h5") as session:
        rig = session.rig()
    first = verification.plan(rig, "ears", filters, process, share=1.0)
    count = len(made)
    assert count >= len(first.sources.names)
    lower = verification.plan(rig, "ears", filters, engine_of(filters), share=0.5)
    assert len(made) == count
    for loud, soft in zip(first.sources.signals, lower.sources.signals, strict=True):
        assert np.allclose(soft[:3], 0.5 * loud[:3], atol=1e-7)
    x = np.random.default_rng(3).standard_normal((2, 4000)) * 1e-3
    alone = process(x)
    assert np.array_equal(alone, own(filters, x, filters.fs))
    assert not np.array_equal(alone, process(2.0 * x))
    with pytest.raises(ValueError, match="read-only"):
        alone[0, 0] = 1.0


def ears_of(rig: Description, chosen: Deployed) -> Plan:
    """What is played at the ears through a processor."""
    filters, process = chosen.filters, engine_of(chosen.filters)
    return verification.plan(rig, "ears", filters, process, chosen.inputs, lowered_db=chosen.lowered_db)


def test_edited_filters_in_a_device_are_refused_or_never_pass_the_rigs_ceiling(here: Path, crooked_text: str) -> None:
    """Each sample that reaches the lab's drivers, by the lab's own ledger; taps of +60 dB are not played at all."""
    text = crooked_text.replace("seed = 5", "seed = 5\nburn = true")
    rig = described(text, here.parent, f"latency_samples = {LATENCY}")
    loud, absurd = (edited(run.fitted_of(here), gain) for gain in (8.0, 1000.0))
    exported(loud.filters, here.parent / "device")
    with open_rig(rig, serial="T-9", now=lambda: NOON) as opened:
        with pytest.raises(BadInput, match=r"driver 1 had a constant offset .*Nothing above its limits is played"):
            heard(here, opened, absurd, deployed.choose("device", absurd.filters, rig))
        peaks = lambda: [d.peak for d in opened.interface.wear.drivers]  # type: ignore[attr-defined] # noqa: E731
        assert peaks() == [0.0, 0.0, 0.0]
        all_captured(here, opened, loud, deployed.choose("device", loud.filters, rig))
        assert min(peaks()) > 0.8 * rig.limits.ceiling
        assert max(peaks()) <= rig.limits.ceiling


@pytest.mark.parametrize("engine", ["brutefir", "jconvolver"])
def test_edited_filters_are_fed_so_that_no_sample_behind_an_engine_passes_the_rigs_ceiling(
    here: Path, crooked_text: str, engine: str
) -> None:
    """Taps of +60 dB behind a ceiling of full scale, filtered by hand."""
    rig, filters = described(crooked_text, here.parent), edited(run.fitted_of(here), 1000.0).filters
    chosen = deployed.choose(engine, filters, rig)
    assert chosen.inputs == (8, 7)
    for signal in ears_of(rig, chosen).sources.signals:
        sides = signal[[7, 6], None].astype(float)
        played = fftconvolve(sides, chosen.filters.taps[:2], axes=-1).sum(axis=0)
        assert 0.1 < np.abs(played).max() <= rig.limits.ceiling


def test_a_device_that_is_silent_or_has_no_filters_stops_the_verification(here: Path, crooked_text: str) -> None:
    with pytest.raises(HardwareTrouble, match="no programme passes through it") as silent:
        through_device(here, crooked_text, altered(taps=np.zeros_like))
    assert silent.value.exit_code == 3
    assert not (here / "verify.h5").exists()
    for made in (here.parent / "device").glob("left_3_*"):
        made.unlink()
    rig = described(crooked_text, here.parent, "latency_samples = 0.0")
    with open_rig(rig, serial="T-9") as opened, pytest.raises(BadInput, match="0 files left_3_"):
        heard(here, opened, run.fitted_of(here), deployed.choose("device", run.fitted_of(here).filters, rig))


def test_what_cannot_be_verified_through_is_reported_before_a_device_opens(
    here: Path, crooked_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filters, rig = run.fitted_of(here).filters, described(crooked_text, here.parent)
    with pytest.raises(
        BadInput, match="choose one of: engine, brutefir, jconvolver, c, lv2, pipewire, camilladsp, device"
    ):
        deployed.choose("brutefire", filters, rig)
    with pytest.raises(BadInput, match=r"program = \{ left = 11"):
        deployed.choose("device", filters, parse(crooked_text, folder=here.parent))
    with pytest.raises(BadInput, match="jconvolver has no upmix"):
        deployed.choose("jconvolver", filters, rig, upmixes=True)
    if shutil.which("camilladsp") is None:
        with pytest.raises(BadInput, match="camilladsp is not installed: Debian has no package"):
            deployed.choose("camilladsp", filters, rig)
    with open_rig(rig, serial="T-9") as opened, pytest.raises(BadInput, match="its interface is no audio device"):
        heard(here, opened, run.fitted_of(here), Deployed("jconvolver", filters, (8, 7)))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BadInput, match="brutefir is not installed: apt-get install brutefir"):
        deployed.choose("brutefir", filters, rig)


def test_an_export_that_is_not_what_it_should_be_fails_by_its_name(here: Path, crooked_text: str) -> None:
    """Before a device opens, and before anything is played."""
    filters, rig = run.fitted_of(here).filters, described(crooked_text, here.parent)
    folder = here.parent / "exported"
    with pytest.raises(BadInput, match=r"has no unit\.blob"):
        deployed.choose("c", filters, rig, exported=folder)
    files.write_all(folder, bundle(replace(filters, source="b" * 64, taps=filters.taps[:, ::-1]), "c").everything())
    with pytest.raises(deployed.WrongExport, match="FAIL, swapped drivers") as wrong:
        deployed.choose("c", filters, rig, exported=folder)
    assert wrong.value.exit_code == 1
    files.write_all(folder, bundle(filters, "c").everything())
    assert deployed.choose("c", filters, rig, exported=folder).exported == folder
    for name in ("engine", "jconvolver", "device"):
        with pytest.raises(BadInput, match="--exported is for processors that load a blob"):
            deployed.choose(name, filters, rig, exported=folder)


def test_a_device_that_upmixes_is_judged_by_its_centre_program(here: Path, crooked_text: str) -> None:
    """Without an upmix the phantom centre is what was predicted of left and right together."""
    filters, rig = run.fitted_of(here).filters, described(crooked_text, here.parent)
    assert deployed.choose("device", filters, rig, upmixes=True).filters.upmix == filters.upmix
    assert deployed.choose("device", filters, rig).filters.upmix.method == "off"


def test_an_engine_that_ended_by_itself_is_hardware_trouble_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "said.txt"
    with log.open("wb") as message:
        process = subprocess.Popen(["sh", "-c", "echo out of luck; exit 7"], stdout=message, start_new_session=True)
    engine = live.Running("jconvolver", process, log)
    process.wait(10)
    with pytest.raises(HardwareTrouble, match=r"exit code 7\). Its message: out of luck"):
        engine.alive()
    engine.end()


def test_an_engine_is_ended_with_all_that_it_has_split_into(tmp_path: Path) -> None:
    """A child that ignores Ctrl-C's signal goes too, and nothing else does."""
    other = subprocess.Popen(["sleep", "30"])
    script = "trap '' INT; sleep 31 & echo $!; wait"
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    live.Running("brutefir", process, tmp_path / "none").end()  # type: ignore[arg-type]
    until = time.monotonic() + 10.0
    while running(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not running(child)
    assert other.poll() is None
    other.kill()
    other.wait()
    process.stdout.close()


def running(pid: int) -> bool:
    """Whether a process runs: one that has ended may wait for its parent as a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] not in "ZX"

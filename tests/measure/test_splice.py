"""Splices: what captures share passes unchanged, disturbed parts are left out and named, stated errors are true."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from sweetspot.measure import folder, plan
from sweetspot.measure.deconvolve import edges
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session, without_raw
from sweetspot.measure.splice.lone import bands, lone
from sweetspot.measure.splice.weighting import Cut, Splice, spliced
from sweetspot.measure.sweep import Sweep, synchronised
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.trouble import noises
from sweetspot.rigs.protocol import Recording, Rig
from sweetspot.rigs.rig_file import Description, parse_fault
from sweetspot.rigs.rig_file.description import parse

FS = 47872
NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


def quiet(note: str) -> None:
    """Nobody watches."""


def captures(
    count: int, bursts: dict[int, tuple[float, float, float]], late: tuple[float, ...] = ()
) -> list[np.ndarray]:
    """A chirp with noise of its own in each capture, and bursts: when (s), how long (s), how loud (rms)."""
    t = np.arange(2 * FS) / FS
    out = []
    for k in range(count):
        rng = np.random.default_rng(k)
        shift = late[k] if late else 0.0
        chirp = 0.1 * np.sin(2 * np.pi * 100.0 * 0.4 * (np.exp((t - shift) / 0.4) - 1.0)) * (t < 1.9)
        x = chirp + 1e-5 * rng.standard_normal(len(t))
        if k in bursts:
            at, lasts, loud = bursts[k]
            n = round(lasts * FS)
            x[round(at * FS) : round(at * FS) + n] += loud * rng.standard_normal(n) * np.hanning(n)
        out.append(np.stack([x, 0.5 * chirp]).astype(np.float32))
    return out


def test_what_captures_share_passes_unchanged_whatever_the_weights() -> None:
    one, other = captures(2, {0: (0.5, 0.2, 0.01)})
    noise = one[0] - other[0]
    made = spliced([one, other], [0.0, 0.0], FS)
    assert made is not None
    assert np.allclose(made.weights.sum(axis=0), 1.0, atol=1e-6)
    inside = slice(round(0.5 * FS), round(0.7 * FS))
    assert (
        np.sqrt(np.mean((made.x[0] - other[0])[inside] ** 2)) < 2e-5 < 5e-3 < np.sqrt(np.mean(noise[inside] ** 2)) * 2
    )
    assert np.array_equal(made.x[1], one[1])  # the loopback is the first capture's


def test_parts_say_when_and_in_which_capture() -> None:
    made = spliced(captures(2, {0: (0.4, 0.2, 0.01), 1: (1.2, 0.1, 0.01)}), [0.0, 0.0], FS)
    assert made is not None
    longest = {
        run: max((p for p in made.parts((3, 5)) if p.run == run), key=lambda p: p.end_s - p.start_s) for run in (3, 5)
    }
    assert longest[3].start_s < 0.45 < 0.55 < longest[3].end_s < 0.75
    assert 1.1 < longest[5].start_s < 1.25 < longest[5].end_s < 1.4


def test_captures_of_other_latencies_are_brought_together() -> None:
    late = (0.0, 37.4 / FS)
    made = spliced(captures(2, {0: (0.5, 0.2, 0.01)}, late), list(late), FS)
    alike = spliced(captures(2, {0: (0.5, 0.2, 0.01)}), [0.0, 0.0], FS)
    assert made is not None
    assert alike is not None
    middle = slice(2000, round(1.8 * FS))
    assert np.max(np.abs(made.x[0] - alike.x[0])[middle]) < 5e-4
    assert spliced(captures(2, {}, late), [0.0, 0.0], FS) is None  # other latencies than stated: they differ throughout


@pytest.mark.parametrize("count", [2, 3])
def test_the_stated_error_is_the_true_one(count: int) -> None:
    """Under a window in a quiet stretch and under one that a burst hits in one capture: beside the true noise."""
    window = edges(1000, 3000)
    for at in (0.45, 1.3):
        true, stated = [], []
        for seed in range(3):
            both = captures(count, {0: (0.4, 0.25, 0.003), 1: (1.6, 0.1, 0.003)})
            for k, x in enumerate(both):
                x[0] += (1e-4 * np.random.default_rng([seed, k]).standard_normal(x.shape[1])).astype(np.float32)
            made = spliced(both, [0.0] * count, FS)
            assert made is not None
            clean = captures(1, {})[0][0]
            start = round(at * FS)
            band = int(np.argmin(np.abs(made.f - 6000.0)))
            stated.append(float(made.error(np.full(len(made.f), start), Cut(1000, window))[0, band]))
            spectrum = np.fft.rfft((made.x[0] - clean)[start - 1000 : start + 3000] * window)
            f = np.fft.rfftfreq(4000, 1.0 / FS)
            true.append(float(np.sqrt(np.mean(np.abs(spectrum[(f > 5000) & (f < 7000)]) ** 2))))
        assert np.mean(true) == pytest.approx(np.mean(stated), rel=0.35)


def alone(sweep: Sweep, noise: np.ndarray, gain: np.ndarray | float = 1.0) -> Splice:
    """A sweep in two microphones, half a second into a capture, with noise; its splice of itself."""
    x = np.zeros(len(sweep.x) + FS)
    x[FS // 2 : FS // 2 + len(sweep.x)] = 0.1 * sweep.x
    mics = np.stack([gain * x, 0.5 * gain * x]) + noise
    return lone(np.vstack([mics, x]).astype(np.float32), sweep, arrivals(sweep)[None])


def arrivals(sweep: Sweep) -> np.ndarray:
    """Samples at which it reaches the bands."""
    return FS // 2 + FS * sweep.rate * np.log(np.maximum(bands(FS), sweep.swept[0]) / sweep.swept[0])


def burst(sweep: Sweep, at: float, lasts: float, loud: float, seed: int = 5) -> np.ndarray:
    """White noise in both microphones from ``at`` s on, and a little throughout."""
    rng = np.random.default_rng(seed)
    out, n = 1e-5 * rng.standard_normal((2, len(sweep.x) + FS)), round(lasts * FS)
    out[:, round(at * FS) : round(at * FS) + n] += loud * rng.standard_normal((2, n))
    return np.asarray(out)


def test_what_a_single_capture_says_of_its_noise_beneath_the_sweep_is_the_truth() -> None:
    """Under windows that a burst fills and under one that it misses: beside the noise that was put there."""
    sweep, cut = synchronised((100.0, 20000.0), 3.0, FS), Cut(1000, edges(1000, 3000))
    noise = burst(sweep, 2.5, 0.5, 1e-3)
    made, at = alone(sweep, noise), arrivals(sweep)
    stated = made.error(at, cut)
    hit = at - 1000 > 2.52 * FS
    hit &= at + 3000 < 2.98 * FS
    missed = (at + 0.6 * FS < 2.5 * FS) & (bands(FS) > 400.0)
    assert np.count_nonzero(hit) >= 3 <= np.count_nonzero(missed)
    for chosen, sigma in ((hit, 1e-3), (missed, 1e-5)):
        true = sigma * np.sqrt(np.sum(cut.window**2))
        assert np.all(stated[:, chosen] > 0.9 * true)
        assert np.all(stated[:, chosen] < 4.0 * true)
    level = np.full(stated.shape, float(stated[:, hit].max()))
    assert not made.needs_more(at, cut, np.where(missed, level, np.inf), (-20.0, -20.0))
    assert made.needs_more(at, cut, np.where(hit, level, np.inf), (-20.0, -20.0))


@pytest.mark.parametrize("edge_s", [0.0, 0.004])
def test_a_drop_out_of_the_sweep_itself_is_no_disturbance_that_a_single_capture_bears(edge_s: float) -> None:
    sweep = synchronised((100.0, 20000.0), 3.0, FS)
    at, n, edge = round(2.0 * FS), round(0.03 * FS), round(edge_s * FS)
    gain = np.ones(len(sweep.x) + FS)
    gain[at : at + n] = 0.2
    if edge:
        slope = 0.6 + 0.4 * np.cos(np.pi * np.arange(edge) / edge)
        gain[at - edge : at], gain[at + n : at + n + edge] = slope, slope[::-1]
    cut, when = Cut(1000, edges(1000, 3000)), arrivals(sweep)
    passing = np.abs(when - at - 0.5 * n) < 0.05 * FS
    assert passing.any()
    level = np.where(passing, 0.1 * np.sqrt(0.5 * FS * sweep.rate * FS / bands(FS)) / 2.0, np.inf)[None].repeat(2, 0)
    limits = (-50.0, -40.0)
    assert not alone(sweep, burst(sweep, 0.0, 0.1, 1e-5)).needs_more(when, cut, level, limits)
    assert alone(sweep, burst(sweep, 0.0, 0.1, 1e-5), gain).needs_more(when, cut, level, limits)


def enough(note: str) -> None:
    """One capture is enough."""
    raise KeyboardInterrupt


class Aside:
    """A lab interface with a rumble in every capture while the end of the sweep plays."""

    def __init__(self, inner: object, rig: Description) -> None:
        self.inner, self.mics = inner, [m.channel - 1 for m in rig.mic]

    def capture(self, y: np.ndarray) -> Recording:
        recording = self.inner.capture(y)  # type: ignore[attr-defined]
        x = np.array(recording.x)
        ends = int(np.flatnonzero(y[5])[-1]) if y[5].any() else 0
        if ends > 2 * FS:
            rumble = noises.burst(parse_fault("slam at=1 s=0 for=0.3 band=20-300"), len(self.mics), FS, 7)
            at = ends - round(0.4 * FS)
            x[self.mics, at : at + rumble.shape[1]] += 0.02 * x[self.mics].std() / rumble.std() * rumble
        return Recording(x, recording.fs, recording.xruns, recording.started)

    def close(self) -> None:
        """Nothing to let go."""


def test_a_capture_with_a_disturbance_aside_of_its_sweep_is_kept_as_it_is(
    tmp_path: Path, crooked_text: str, lab_rig: Callable[..., Rig]
) -> None:
    """One capture at the place, stated in the session, kept with its errors, and read again."""
    rig = parse(re.sub(r"(?m)^seconds = .*$", "seconds = 3.0", crooked_text), folder=tmp_path)
    made, lab = plan.make(rig, "ears"), lab_rig(rig, "T-2")
    run = folder.new(tmp_path, "T-2", rig, NOON)
    with Session.resume(run / "session.h5") as session:
        with pytest.raises(KeyboardInterrupt):
            measure(Rig(rig, Aside(lab.interface, rig), lab.stage), session, made, ask=quiet, step=enough)  # type: ignore[arg-type]
        (kept,) = session.attempt_summaries("ears")
        assert (kept.made, kept.used) == (1, 1)
        assert "used 1 of 1: run 1 kept unspliced" in kept.text()
        assert len(session.rejected("ears")) == 1
        note = session.splice("ears", made.captures[0].key)
        assert note is not None
        assert note.runs == (1,)
        assert np.all(note.stderr > 0.0)


class Noisy:
    """A lab interface with a burst of its own in every capture of the first driver."""

    def __init__(self, inner: object, rig: object, *, alike: int = 0) -> None:
        self.inner, self.count, self.alike = inner, 0, alike
        self.mics = np.array([[float(k in {m.channel - 1 for m in rig.mic})] for k in range(4)])  # type: ignore[attr-defined]

    def capture(self, y: np.ndarray) -> Recording:
        recording = self.inner.capture(y)  # type: ignore[attr-defined]
        if not y[5].any() or not y[4].any():
            return recording  # type: ignore[no-any-return]
        self.count += 1
        x = np.array(recording.x)
        late, loud = (self.count % 3, 0.1) if self.count > self.alike else (1, 1.0)
        at, n = round((0.08 + 0.17 * late) * FS), round(0.06 * FS)
        burst = np.random.default_rng(self.count).standard_normal(n) * np.hanning(n)
        x[:, at : at + n] += (loud * x.std(axis=1, keepdims=True) * burst).astype(np.float32) * self.mics
        return Recording(x, recording.fs, recording.xruns, recording.started)

    def close(self) -> None:
        """Nothing to let go."""


def test_captures_disturbed_at_the_same_time_take_further_ones(
    tmp_path: Path, crooked_text: str, lab_rig: Callable[..., Rig]
) -> None:
    """Four lack the same part of the sweep; later ones have it."""
    rig = parse(crooked_text, folder=tmp_path)
    lab = lab_rig(rig, "T-2")
    run = folder.new(tmp_path, "T-2", rig, NOON)
    loud = Rig(rig, Noisy(lab.interface, rig, alike=4), lab.stage)  # type: ignore[arg-type]
    with Session.resume(run / "session.h5") as session:
        with pytest.raises(KeyboardInterrupt):
            measure(loud, session, plan.make(rig, "ears"), ask=quiet, step=enough)
        (kept,) = session.attempt_summaries("ears")
        assert kept.made in (5, 6)
        assert "used 0 of" in kept.text()
        assert "spliced of runs 1, 2, 3, 4" in kept.text()


def test_a_session_is_spliced_where_every_capture_is_disturbed(
    tmp_path: Path, crooked_text: str, lab_rig: Callable[..., Rig]
) -> None:
    rig = parse(crooked_text, folder=tmp_path)
    made = plan.make(rig, "ears")
    run, still = (folder.new(tmp_path / name, "T-2", rig, NOON) for name in ("noisy", "still"))
    calm = lab_rig(rig, "T-2")
    with Session.resume(still / "session.h5") as session:
        measure(calm, session, made, ask=quiet, step=quiet)
        known, known_error = session.responses("ears").h, session.per_bin("ears", "stderr")
    lab = lab_rig(rig, "T-2")
    loud = Rig(rig, Noisy(lab.interface, rig), lab.stage)  # type: ignore[arg-type]
    with Session.resume(run / "session.h5") as session:
        measure(loud, session, made, ask=quiet, step=quiet)
    with Session.read(run / "session.h5") as session:
        found, stderr = session.responses("ears").h, session.per_bin("ears", "stderr")
        summaries = session.attempt_summaries("ears")
        spliced_here = [a for a in summaries if a.splices]
        assert {a.source for a in spliced_here} == {"woofer"}
        assert all(a.made in (2, 3) and a.used == 0 and a.excluded for a in spliced_here)
        assert f"used 0 of {spliced_here[0].made}: spliced of runs 1" in spliced_here[0].text()
        assert "without" in spliced_here[0].text()
        assert summaries[0].to_dict()["spliced"]
        assert session.splice("ears", made.captures[-1].key) is None or made.captures[-1].source == 0
        assert np.all(np.isfinite(stderr))
    apart = np.abs(np.fft.rfft(found - known, axis=-1)[:, :, 0]) ** 2
    f = np.fft.rfftfreq(found.shape[-1], 1.0 / rig.fs)
    inside = (f > 300.0) & (f < 8000.0)
    ratio = np.sqrt(np.sum(apart[..., inside]) / np.sum((stderr**2 + known_error**2)[:, :, 0][..., inside]))
    assert 0.3 < ratio < 1.3  # no farther apart than both errors state
    without_raw(run / "session.h5", "none")  # what was spliced of what stays
    with Session.read(run / "session.h5") as session:
        assert [a.text() for a in session.attempt_summaries("ears")] == [a.text() for a in summaries]


def test_an_account_of_a_splice_that_makes_no_sense_is_refused(tmp_path: Path, measured: Path) -> None:
    target = tmp_path / "run"
    shutil.copytree(measured, target)
    with Session.resume(target / "session.h5") as session:
        group = session._file.create_group("spliced/ears/p000_s00_r00")
        group.attrs["parts"] = "[]"
        for name, value in (("runs", np.array([1, -2])), ("f_hz", np.array([50.0, 90.0]))):
            group.create_data(name, value)
        group.create_data("stderr", np.zeros((1, 2, 2), dtype=np.float32))
        group.create_data("harmonics", np.zeros((1, 4, 2, 2), dtype=np.float32))
        group.create_data("weights", np.ones((2, 2, 3, 2), dtype=np.float32)).attrs["column_s"] = 0.04
    with Session.read(target / "session.h5") as session, pytest.raises(BadInput, match="not a record of a splice"):
        session.attempt_summaries("ears")

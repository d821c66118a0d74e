"""Verification by another recorder: the sweeps as files to play, and its recordings instead of an interface."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant import Prediction, expected
from sweetspot.calibrate.verify.verification import Planned
from sweetspot.measure import delays
from sweetspot.measure.deconvolve import inverse
from sweetspot.measure.listener import AnalysedCapture, CaptureAnalyser
from sweetspot.measure.plan import Plan, SetName
from sweetspot.measure.shot import Capture
from sweetspot.processor import files
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.layout import AXES, Pose
from sweetspot.rigs.names import many
from sweetspot.rigs.parallel import Ahead, forked
from sweetspot.rigs.protocol import Recording
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import write as write_file

LIST = "recordings.csv"
LATENCY_S = 0.01
"""Latency that recordings are cut to, s."""

SOFTEST_PLANNED = 0.999
"""A sweep below this of its planned level is a trial of the loudness."""

CLEAR = 8.0
"""Required ratio of a recording's best lag to the rms of the others."""

ROWS = ("play", "record as", "set", "x_cm", "y_cm", "z_cm", "yaw_deg", "device_turned_deg", "channels")


def single(rig: Description) -> Description:
    """The rig with one recording per position, as another recorder does not repeat."""
    return rig.model_copy(update={"sweep": rig.sweep.model_copy(update={"repeats": 1})})


def name_of(plan: Plan, capture: Capture) -> str:
    """File name of a capture's recording, without extension; positions count from 1."""
    return f"{plan.name}_p{capture.position + 1:03d}_{plan.named(capture)}"


def write(plans: Mapping[SetName, Plan], out: Path) -> list[Path]:
    """Write the sweeps, one file per stimulus and set, and the list of recordings.

    Channel ``n`` of a file is output ``n`` of the rig, the loopback's included.
    """
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    rows: list[tuple[str, ...]] = [ROWS]
    for name, plan in plans.items():
        for source, signal in zip(plan.sources.names, plan.sources.signals, strict=True):
            path = out / f"play_{name}_{source}.wav"
            files.write_float(path, signal, plan.sweep.fs)
            written.append(path)
        channels = " ".join([*(m.name for m in plan.mics), "loopback"])
        for c in plan.captures:
            p = c.pose
            where = (100 * p.x, 100 * p.y, 100 * p.z, np.degrees(p.yaw), np.degrees(p.turn))
            rows.append((f"play_{name}_{plan.named(c)}.wav", f"{name_of(plan, c)}.wav", name,
                         *(f"{v:g}" for v in where), channels))  # fmt: skip
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_file(out / LIST, text.getvalue())
    return [*written, out / LIST]


class RecordedStage:
    """A stage that has been wherever it is sent: everything was placed when it was recorded."""

    def __init__(self) -> None:
        self.pose = Pose()

    @property
    def axes(self) -> frozenset[str]:
        """All of them."""
        return frozenset(AXES)

    def move(self, pose: Pose) -> Pose:
        """Set the position of the next recording."""
        self.pose = pose
        return pose

    def stop(self) -> None:
        """Nothing moves."""

    def close(self) -> None:
        """Nothing is open."""


class RecordedInterface:
    """Recordings of a verification's sweeps in the place of an interface.

    All of them exist from the beginning. Those around the device are read and analysed in a copy of the process while
    this one measures the ears; the next others in a second thread. To be opened before any thread begins.

    Parameters
    ----------
    rig
        Whose sweeps were played.
    planned
        What was to be played.
    folder
        Of the recordings, named as :func:`write` lists them: the set's microphones in its order, then, if it was
        recorded, the loopback. Without a loopback each recording is placed in time where it is most like the
        prediction: its latency is not judged then.
    stage
        Tells where things stand.
    prediction, filters
        What is expected.
    """

    def __init__(
        self,
        rig: Description,
        planned: Planned,
        folder: Path,
        stage: RecordedStage,
        prediction: Prediction,
        filters: FilterSet,
    ) -> None:
        self.rig, self.planned, self.folder, self.stage = rig, planned, folder, stage
        self.prediction, self.filters = prediction, filters
        self._taken: set[Path] = set()
        plans = planned.plans
        self._expected = {folder / f"{name_of(p, c)}.wav": (p, c) for p in plans.values() for c in p.captures}
        self._at: dict[Pose, dict[tuple[SetName, int], Path]] = {}
        for path, (plan, capture) in self._expected.items():
            self._at.setdefault(capture.pose, {})[plan.name, capture.single] = path
        if not folder.is_dir():
            raise BadInput(f"{folder}: no such folder; --recorded needs the folder of the recordings")
        gone = [path.name for path in self._expected if not path.is_file()]
        if gone:
            more = f" and {len(gone) - 4} more" if len(gone) > 4 else ""
            raise BadInput(f"{folder}: recordings are missing: {', '.join(gone[:4])}{more}; they are listed in {LIST}, "
                           "which sweetspot verify RUN --stimuli DIR writes")  # fmt: skip
        self._loop = rig.interface.loopback.out - 1
        self._sweeps = {
            (name, source): np.delete(signal, self._loop, axis=0)
            for name, plan in plans.items()
            for source, signal in enumerate(plan.sources.signals)
        }
        around = [path for path, (plan, _) in self._expected.items() if plan.name == "polar"]
        self._elsewhere = forked.streamed(partial(self._analysed, around)) if around else None
        self._known: tuple[Recording, AnalysedCapture] | None = None
        self._ahead = Ahead(self._timed)
        self._ahead.expect([path for path in self._expected if not self._elsewhere or path not in around])

    @property
    def fs(self) -> int:
        """Sampling rate, Hz."""
        return self.rig.fs

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return self.rig.outputs

    @property
    def inputs(self) -> int:
        """Number of input channels."""
        return self.rig.inputs

    def close(self) -> None:
        """Leave out the recordings that nobody has asked for."""
        self._ahead.close()
        if self._elsewhere is not None:
            self._elsewhere.__exit__()

    def capture(self, y: NDArray[np.float32]) -> Recording:
        """The recording of the given signal, cut to its length and in the rig's channels.

        Raises
        ------
        HardwareTrouble
            An earlier check refused it.
        BadInput
            It has other channels or another rate than it should.
        """
        path, gain = self._meant(y)
        plan, _ = self._expected[path]
        if gain < SOFTEST_PLANNED:  # a trial ahead of the sweep: what would have been recorded of it
            return self._recording(plan, _cut(gain * self._samples(path)[: len(plan.mics)], 0, y.shape[1]))
        if path in self._taken:
            raise HardwareTrouble(f"{path}: this recording cannot be used")
        self._taken.add(path)
        if self._elsewhere is not None and plan.name == "polar":
            place, rows, analysed = next(self._elsewhere)
            if place == path:
                self._known = self._recording(plan, rows), analysed
                return self._known[0]
        return self._recording(plan, self._ahead.at(path))

    def analysed(self, recording: Recording) -> AnalysedCapture | None:
        """What the last recording was analysed to, if that was done beside."""
        return self._known[1] if self._known is not None and self._known[0] is recording else None

    def _analysed(self, paths: list[Path]) -> Iterator[tuple[Path, NDArray[np.float32], AnalysedCapture]]:
        """Recordings of one set, microphones and loopback, with what they are analysed to."""
        analyser = CaptureAnalyser.of(self.rig, self._expected[paths[0]][0])
        for path in paths:
            plan, capture = self._expected[path]
            rows = self._timed(path)
            yield path, rows, analyser.analysed(analyser.channels(self._recording(plan, rows)), capture.source)

    def _samples(self, path: Path) -> NDArray[np.float32]:
        """The channels of a file: the set's microphones, and the loopback if there is one more."""
        x, fs = files.read_float(path)
        if fs != self.fs:
            raise BadInput(f"{path}: {fs} Hz; the sweeps are at {self.fs} Hz")
        mics = self._expected[path][0].mics
        if len(x) - len(mics) not in (0, 1):
            names = ", ".join(m.name for m in mics)
            raise BadInput(
                f"{path}: {many(len(x), 'channel')}; {len(mics)} ({names}) or {len(mics) + 1} (and the loopback) are "
                "needed"
            )
        if not np.isfinite(x).all():
            channel, sample = (int(i) for i in np.argwhere(~np.isfinite(x))[0])
            raise BadInput(f"{path}: sample {sample} of channel {channel + 1} is not a number: export it again")
        return x

    def _timed(self, path: Path) -> NDArray[np.float32]:
        """Microphones and loopback of a file, cut to the sweep."""
        x, (plan, capture) = self._samples(path), self._expected[path]
        loop = plan.signal_of(capture)[self._loop]
        if len(x) > len(plan.mics):
            return self._with_loopback(x, loop, path)
        return self._placed(plan, capture, x, loop, path)

    def _recording(self, plan: Plan, rows: NDArray[np.float32]) -> Recording:
        """Microphones, and the loopback where there is one more row, on the rig's channels."""
        out = np.zeros((self.inputs, rows.shape[1]), dtype=np.float32)
        for mic, row in zip(plan.mics, rows, strict=False):
            out[mic.channel - 1] = row
        if len(rows) > len(plan.mics):
            out[self.rig.interface.loopback.in_ - 1] = rows[-1]
        return Recording(out, self.fs, 0, "")

    def _meant(self, y: NDArray[np.float32]) -> tuple[Path, float]:
        """The recording of a signal here, and the signal's level re its plan."""
        here = self._at.get(self.stage.pose, {})
        for (name, source), path in here.items():
            if self.planned.plans[name].sources.signals[source] is y:
                return path, 1.0
        wanted = np.delete(y, self._loop, axis=0)
        known = {here[of]: sweep for of, sweep in self._sweeps.items() if of in here and sweep.shape == wanted.shape}
        for path, sweep in known.items():
            if np.array_equal(wanted, sweep):
                return path, 1.0
        largest = float(np.max(np.abs(wanted)))
        for path, sweep in known.items():
            gain = largest / float(np.max(np.abs(sweep)))
            if np.allclose(wanted, gain * sweep, rtol=0.0, atol=1e-5 * largest):
                return path, gain
        raise BadInput("the signal is not one of the verification's sweeps: there is no recording of it")

    def _with_loopback(self, x: NDArray[np.float32], loop: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
        lag, clear = delays.whitened_lag(x[-1:], loop[None], CLEAR)
        if clear < CLEAR:
            raise BadInput(f"{path}: its last channel has no loopback of the sweep")
        self._whole(x, lag, loop, path)
        return _cut(x, lag - round(LATENCY_S * self.fs), len(loop))

    def _whole(self, x: NDArray[np.float32], lag: float, loop: NDArray[np.float32], path: Path) -> None:
        """Refuse a recording that ends before the sweep does."""
        needed = lag + float(np.flatnonzero(loop)[-1])
        if x.shape[1] < needed:
            raise BadInput(
                f"{path}: ends after {x.shape[1] / self.fs:.2f} s, before the sweep does ({needed / self.fs:.2f} s): "
                "record until the file has been played to its end"
            )

    def _placed(
        self, plan: Plan, capture: Capture, x: NDArray[np.float32], loop: NDArray[np.float32], path: Path
    ) -> NDArray[np.float32]:
        """Microphones aligned with the prediction, and the corresponding loopback."""
        h = self._predicted(plan, capture)
        level = plan.sources.levels[capture.single]
        want = np.stack([_convolved(loop * level, one) for one in h])
        lag, clear = delays.whitened_lag(x, want, CLEAR)
        if clear < CLEAR:
            raise BadInput(f"{path}: the sweep is not in it")
        self._whole(x, lag, loop, path)
        early = round(LATENCY_S * self.fs)
        mics = _cut(x, int(np.floor(lag)) - early, len(loop))
        inv = inverse(plan.sweep, loop, len(loop))
        cross = np.sum(inv.spectrum(mics) / level * np.conj(fft.rfft(h, inv.size, axis=-1)), axis=0)
        inside = (inv.f >= max(plan.sweep.band[0], 200.0)) & (inv.f <= min(plan.sweep.band[1], 8000.0))
        delay = delays.fine_s(cross[inside], inv.f[inside], early / self.fs)
        late = fft.delayed(loop, delay * self.fs, inv.size)[: len(loop)]
        return np.concatenate([mics, late[None]]).astype(np.float32)

    def _predicted(self, plan: Plan, capture: Capture) -> NDArray[np.float64]:
        """Expected responses ``(mic, tap)`` of a capture's stimulus, complete where known."""
        p = self.prediction
        if plan.name == "ears":
            spectra = expected(p.whole.score, self.filters)[capture.position, :, capture.source]
        else:
            spectra = p.whole.polar[capture.position][None]
        return np.asarray(np.fft.irfft(spectra, axis=-1))


def _convolved(x: NDArray[np.float32], h: NDArray[np.float64]) -> NDArray[np.float64]:
    n = int(fft.next_fast_len(len(x) + len(h), real=True))
    return np.asarray(fft.irfft(fft.rfft(x, n) * fft.rfft(h, n), n)[: len(x)])


def _cut(x: NDArray[np.float32], start: int, length: int) -> NDArray[np.float32]:
    """``length`` samples from ``start`` on, padded with silence."""
    out = np.zeros((len(x), length), dtype=np.float32)
    first, last = max(start, 0), min(start + length, x.shape[1])
    if last > first:
        out[:, first - start : last - start] = x[:, first:last]
    return out

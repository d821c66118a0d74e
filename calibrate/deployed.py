"""One interface to every deployed processor: our engine, an engine on the audio server, or the device itself.

Our own engine runs ahead of the rig: what it makes of a sweep plays on the drivers' outputs. Every other processor gets
stereo through the rig's program outputs and plays on the drivers by itself, later by a latency that nobody knows. It is
found by playing the phantom centre once and looking for the lag at which what is heard is most like what is predicted,
and taken out by playing the timing reference as much later: everything that is heard then is as early as it would be
through our own engine. What is left of it, a fraction of a sample, is found over all positions when they are judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from calibrate import chain, confidence, diagnosis, predict, verify
from calibrate.gate import spectra as gated_spectra
from calibrate.heard import Doubts
from calibrate.limits import Limits, Metric
from calibrate.loading import Doubt
from calibrate.predict import Prediction
from calibrate.spectrum import frequencies
from calibrate.verify import Through, Verification
from measure.deconvolve import inverse, loopback_delay
from measure.impulse import ImpulseResponse
from measure.plan import Plan
from measure.run import place
from processor.export import live
from processor.filterset import FilterSet
from rigs import patchbay
from rigs.describe import Description
from rigs.errors import BadInput, HardwareTrouble
from rigs.protocol import Interface, Operator, Recording, Rig

OWN = "engine"
DEVICE = "device"
THROUGH = (OWN, *live.LIVE, *live.BY_HAND, DEVICE)
"""What a verification can be made through."""

LONGEST_S = 1.0
"""Longest latency that is looked for, s."""

CLEAR = 8.0
"""How far the best lag must stand out of the others (peak over root mean square) to be one: noise alone reaches 5."""

WAKE_S = 0.1
"""Silence that opens the stream before its ports are patched, s."""


@dataclass(frozen=True, slots=True, eq=False)
class Deployed:
    """A deployed processor as verification sees it.

    Parameters
    ----------
    name
        One of :data:`THROUGH`.
    filters
        In the form that it runs, see :func:`stereo_form`.
    inputs
        Output channels that feed it left and right, counted from 1; ``None`` for our own engine, which is no hardware.
    """

    name: str
    filters: FilterSet
    inputs: tuple[int, int] | None

    @property
    def timed(self) -> bool:
        """Whether its latency is known beforehand."""
        return self.inputs is None


def choose(name: str, filters: FilterSet, rig: Description, *, upmixes: bool = False) -> Deployed:
    """The processor of a name; everything that can be told before a device opens is told here.

    Parameters
    ----------
    upmixes
        Whether a device takes what both sides share to the centre program, as our own engine does.

    Raises
    ------
    BadInput
        An unknown name, an engine that is not installed, or a rig without program outputs.
    """
    if name not in THROUGH:
        raise BadInput(f"through {name!r}: no such processor; choose one of: {', '.join(THROUGH)}")
    if name == OWN:
        return Deployed(name, filters, None)
    if upmixes and name != DEVICE:
        raise BadInput(f"{name} has no upmix: it plays left and right alone. --upmix is for --through device")
    if name != DEVICE:
        live.check_live(name)
    program = rig.interface.program
    if program is None:
        raise BadInput(
            f"rig {rig.name!r} has no program outputs, and {name} is fed through them: add to its [interface] "
            "program = { left = 11, right = 12 }"
        )
    return Deployed(name, filters if upmixes else stereo_form(filters), (program.left, program.right))


def stereo_form(filters: FilterSet) -> FilterSet:
    """What a processor without an upmix runs: left and right; what both share stays a phantom centre."""
    return replace(filters, upmix=replace(filters.upmix, method="off"))


def predicted(prediction: Prediction, deployed: FilterSet, polar: ImpulseResponse, doubt: Doubt | None) -> Prediction:
    """A calibration's prediction for the form that was deployed: around the device, what ``both`` sounds like.

    Parameters
    ----------
    prediction
        Of the filters with their centre program.
    deployed
        In the form that is deployed.
    polar
        The session's polar set.
    doubt
        What the polar set knows of its errors.
    """
    if verify.share_of(deployed) > 0.0:
        return prediction
    whole = prediction.whole

    def both(programs: predict.Complex) -> predict.Complex:
        return np.asarray(programs[:, 0, 0] + programs[:, 0, 1])

    sound = both(predict.programs(polar, deployed, whole.polar_gate if whole else None))
    if whole is not None:
        h = gated_spectra(polar, whole.polar_gate)
        w = np.asarray(deployed.response(frequencies(polar.fs)), dtype=np.complex128)
        variance = doubt.gated(polar, whole.polar_gate) if doubt else np.zeros(h.shape)
        noise, power = confidence.through((w[0] + w[1])[None], h, variance, 1.0)
        whole = replace(
            whole,
            polar=both(predict.programs(polar, deployed)),
            polar_early=both(predict.windowed(polar, deployed, whole.polar_end)),
            polar_noise=noise[:, 0, 0],
            polar_power=power[:, 0, 0],
        )
    return replace(prediction, polar=sound, whole=whole)


@dataclass(frozen=True, slots=True, eq=False)
class Understood:
    """What was heard through a processor, its latency taken out, with what it is to be compared with.

    Parameters
    ----------
    ears, polar
        Heard, the last fraction of a sample taken out too.
    prediction, filters
        In the form that was deployed.
    through
        ``None`` in a file of an earlier version, which knew our own engine alone.
    distortion
        Of the stimuli, see :func:`calibrate.chain.told`; none in a file of an earlier version.
    """

    ears: ImpulseResponse
    polar: ImpulseResponse
    prediction: Prediction
    filters: FilterSet
    through: Through | None
    distortion: tuple[Mapping[str, Any], ...] = ()

    @property
    def timed(self) -> bool:
        """Whether the latency was known beforehand."""
        return self.through is None or self.through.name == OWN

    def verdict(self, measured: ImpulseResponse, limits: Limits, doubts: Doubts) -> Verification:
        """What was heard against what was expected, from the session's ears; the processor is told."""
        found = verify.judge(self.ears, self.polar, measured, self.prediction, self.filters, limits, doubts)
        more = [chain.latency(self.filters, self.through, limits)]
        more += [chain.distortion(self.distortion, limits)] if self.distortion else []
        found = replace(found, metrics=(*found.metrics, *more))
        return judged(replace(found, through=self.through), self.filters, limits)


def understood(
    told: Mapping[str, Any],
    heard: tuple[ImpulseResponse, ImpulseResponse],
    measured: tuple[ImpulseResponse, ImpulseResponse],
    deployed: tuple[Prediction, FilterSet],
    doubt: Doubt | None,
) -> Understood:
    """Read what a verification kept of its processor.

    Parameters
    ----------
    told
        ``name``, ``form``, ``latency_samples`` and ``distortion``; empty in a file of an earlier version.
    heard, measured
        Ears and polar set of the verification and of the session.
    deployed
        Prediction and filters of the calibration.
    doubt
        What the session's polar set knows of its errors.
    """
    prediction, filters = deployed
    if not told:
        return Understood(*heard, prediction, filters, None)
    through = Through(told["name"], told["form"], float(told["latency_samples"]), filters.fs)
    filters = stereo_form(filters) if through.form == "stereo" else filters
    if through.name != OWN:
        rest = rest_of(heard[0], measured[0], filters, verify.share_of(filters))
        heard = earlier(heard[0], rest), earlier(heard[1], rest)
        through = replace(through, latency_samples=through.latency_samples + rest * filters.fs)
    return Understood(
        *heard,
        predicted(prediction, filters, measured[1], doubt),
        filters,
        through,
        tuple(told.get("distortion", ())),
    )


FOR_A_BEAM = 3
"""Drivers that it takes to have nulls on both sides and a lobe ahead."""


def judged(found: Verification, deployed: FilterSet, limits: Limits) -> Verification:
    """A verdict in which the centre's beam is asked of those alone that can have one.

    Where there is no centre program, or only a pair of drivers, both sides together must have the contrast that was
    predicted of them, within the limit of agreement.
    """
    why = "this processor has no centre program" if verify.share_of(deployed) <= 0.0 else ""
    why = why or ("a pair of drivers has no beam" if len(deployed.drivers) < FOR_A_BEAM else "")
    return replace(found, metrics=tuple(_phantom(m, limits, why) for m in found.metrics)) if why else found


def _phantom(metric: Metric, limits: Limits, why: str) -> Metric:
    if not metric.name.startswith("centre beam, on axis") or metric.predicted is None:
        return metric
    said = f"{metric.explanation} Left and right together as predicted: {why}."
    wanted = min(metric.limit, metric.predicted - limits.agreement)
    return replace(metric, explanation=said, limit=wanted)


@contextmanager
def ready(rig: Rig, deployed: Deployed, plan: Plan, measured: ImpulseResponse, ask: Operator) -> Iterator[Rig]:
    """The rig with the processor between program outputs and drivers, its latency taken out, while it lasts.

    Parameters
    ----------
    rig
        Open devices.
    deployed
        The processor; an engine is started and ended here, a device runs already.
    plan
        Of the ears: its first place is where the latency is looked for.
    measured
        The session's ears.
    ask
        Asks a person for the moves that the stage cannot make.

    Raises
    ------
    BadInput
        The rig is not on the audio server that the engine needs.
    HardwareTrouble
        The engine does not start, or nothing of the program is heard.
    """
    if deployed.inputs is None:
        yield rig
    elif deployed.name == DEVICE:
        place(rig, plan.captures[0].pose, None, ask)
        yield replace(rig, interface=_timed(rig, deployed, plan, measured))
    else:
        with _patched(rig, deployed) as interface:
            patched = replace(rig, interface=interface)
            place(patched, plan.captures[0].pose, None, ask)
            yield replace(rig, interface=_timed(patched, deployed, plan, measured))


def latency_of(interface: Interface) -> int:
    """Whole samples of latency that an interface of :func:`ready` takes out."""
    return interface.samples if isinstance(interface, Late) else 0


def _timed(rig: Rig, deployed: Deployed, plan: Plan, measured: ImpulseResponse) -> Late:
    return Late(rig.interface, rig.description.interface.loopback.out - 1, latency(rig, deployed, plan, measured))


class _Around:
    """An interface around another one."""

    def __init__(self, inner: Interface) -> None:
        self.inner = inner

    @property
    def fs(self) -> int:
        """Sampling rate, Hz."""
        return self.inner.fs

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return self.inner.outputs

    @property
    def inputs(self) -> int:
        """Number of input channels."""
        return self.inner.inputs

    def close(self) -> None:
        """Let go of the device."""
        self.inner.close()


class Late(_Around):
    """An interface whose timing reference plays later by a processor's latency, which so is taken out.

    Parameters
    ----------
    inner
        What plays and records.
    loopback
        Index of the timing reference's output.
    samples
        The latency.
    """

    def __init__(self, inner: Interface, loopback: int, samples: int) -> None:
        super().__init__(inner)
        self.loopback, self.samples = loopback, samples

    def capture(self, y: NDArray[np.float32]) -> Recording:
        """Play and record as many samples, from the latency on; see :class:`rigs.protocol.Interface`."""
        longer = np.pad(y, ((0, 0), (0, self.samples)))
        longer[self.loopback] = np.roll(longer[self.loopback], self.samples)
        heard = self.inner.capture(longer)
        return replace(heard, x=heard.x[:, self.samples :])


class Patched(_Around):
    """An interface with an engine on the audio server between its program outputs and its drivers.

    Parameters
    ----------
    inner
        On the audio server; its stream opens with its first capture, and is patched then.
    bay
        Of the same server.
    engine
        Runs.
    feeds
        The engine's inputs with the device's program ports that it takes its sound from.
    drives
        The engine's outputs with the device's driver ports.
    """

    def __init__(
        self,
        inner: Interface,
        bay: patchbay.Patchbay,
        engine: live.Running,
        feeds: Sequence[tuple[str, str]],
        drives: Sequence[tuple[str, str]],
    ) -> None:
        super().__init__(inner)
        self.bay, self.engine, self.feeds, self.drives = bay, engine, feeds, drives
        self._patched = False

    def capture(self, y: NDArray[np.float32]) -> Recording:
        """Play and record through the engine; see :class:`rigs.protocol.Interface`."""
        if not self._patched:
            self.inner.capture(np.zeros((self.outputs, round(WAKE_S * self.fs)), dtype=np.float32))
            self.patch()
        self.engine.alive()
        try:
            heard = self.inner.capture(y)
        finally:
            self.engine.alive()  # an engine that dies stops the server for a while: it is the cause to be told
        return heard

    def patch(self) -> None:
        """The program to the engine, the engine to the drivers, and the drivers to nobody else."""
        sources = patchbay.playing_into(self.bay, [port for _, port in self.feeds])
        self.bay.disconnect([(s, port) for _, port in self.drives for s in self.bay.sources(port)])
        self.bay.connect([(source, into) for source, (into, _) in zip(sources, self.feeds, strict=True)])
        self.bay.connect(self.drives)
        self._patched = True


@contextmanager
def _patched(rig: Rig, deployed: Deployed) -> Iterator[Patched]:
    """Start an engine and put it between the rig's ports."""
    device = getattr(rig.interface, "device", None)
    if device is None or "jack" not in device.hostapi.lower():
        where = f"{device.name!r} on {device.hostapi!r}" if device else "no audio device"
        raise BadInput(
            f"{deployed.name} plays on a JACK server, and so must the rig: its interface is {where}. "
            'Set interface.driver = "portaudio" and interface.hostapi = "JACK Audio Connection Kit"'
        )
    with patchbay.opened() as bay:
        ports = bay.playback(device.name)
        if len(ports) < rig.description.outputs:
            raise HardwareTrouble(f"{device.name!r} has {len(ports)} ports on the audio server")
        name = live.LIVE[deployed.name].client
        if any(bay.ports_of(name)):
            raise BadInput(f"a client named {name!r} is on the JACK server already: end it first")
        with live.running(deployed.filters, deployed.name, bay.period) as engine:
            into, out = bay.await_ports(name, 2, len(deployed.filters.drivers), engine.alive)
            feeds = [(i, ports[c - 1]) for i, c in zip(into, deployed.inputs or (), strict=True)]
            drives = [(o, ports[c - 1]) for o, c in zip(out, deployed.filters.channels, strict=True)]
            yield Patched(rig.interface, bay, engine, feeds, drives)


def latency(rig: Rig, deployed: Deployed, plan: Plan, measured: ImpulseResponse) -> int:
    """Latency of a processor in whole samples, from one capture of the phantom centre where everything stands.

    Raises
    ------
    HardwareTrouble
        No lag stands out: nothing of the program is heard.
    """
    rig_is, source = rig.description, plan.sources.names.index("both")
    spare = round(LONGEST_S * rig_is.fs)
    heard = rig.interface.capture(np.pad(plan.sources.signals[source], ((0, 0), (0, spare)))).x
    inv = inverse(plan.sweep, np.pad(plan.played, (0, spare)), heard.shape[1])
    late, _ = loopback_delay(inv, inv.spectrum(heard[rig_is.interface.loopback.in_ - 1]))
    got = inv.spectrum(heard[[m.channel - 1 for m in plan.mics]]) * np.exp(2j * np.pi * inv.f * late)
    want = _both(measured.used_for("score"), deployed.filters, plan.captures[0].position, inv.size)
    inside = (inv.f >= diagnosis.BAND[0]) & (inv.f <= diagnosis.BAND[1])
    cross = np.sum(got * want.conj(), axis=0) * inside
    fit = np.abs(fft.ifft(cross, inv.size))
    earliest = -deployed.filters.delay_samples
    told = np.roll(fit, -earliest)[: spare - earliest]
    best = int(np.argmax(told))
    if not told[best] > CLEAR * float(np.sqrt(np.mean(fit**2))):
        raise HardwareTrouble(
            f"{deployed.name}: the program is not heard through it: no latency up to {LONGEST_S:g} s fits. Is it "
            f"switched on and active, are the rig's outputs {deployed.inputs} its inputs, and do its drivers play?"
        )
    return max(best + earliest, 0)


def _both(score: ImpulseResponse, filters: FilterSet, position: int, size: int) -> diagnosis.Complex:
    """Expected spectra ``(ear, frequency)`` of the phantom centre at a scoring position."""
    w = diagnosis.stimuli(fft.rfft(filters.taps, size, axis=-1), verify.share_of(filters))[2]
    h = fft.rfft(score.h[position], size, axis=-1)
    zero = np.exp(2j * np.pi * fft.rfftfreq(size) * score.zero)
    return np.asarray(np.einsum("edf,df->ef", h, w) * zero)


def rest_of(ears: ImpulseResponse, measured: ImpulseResponse, filters: FilterSet, share: float) -> float:
    """By how much what was heard is later than predicted, over all positions and stimuli, s."""
    s = diagnosis.scene(measured.used_for("score"), ears, filters, share, timed=False)
    return s.lag(np.sum(s.weight * s.heard * s.predicted().conj(), axis=(0, 1, 2)))


def earlier(ir: ImpulseResponse, seconds: float) -> ImpulseResponse:
    """Responses of which a common delay was taken out, by whatever part of a sample."""
    n = int(fft.next_fast_len(2 * ir.h.shape[-1], real=True))
    turn = np.exp(2j * np.pi * fft.rfftfreq(n, 1.0 / ir.fs) * seconds)
    turned = fft.irfft(fft.rfft(ir.h, n, axis=-1) * turn, n, axis=-1)
    return replace(ir, h=np.asarray(turned[..., : ir.h.shape[-1]]))

"""Insertion of a deployed processor between the rig's program outputs and its drivers, with latency compensation. The
built-in engine runs before the rig: its output for a sweep is played on the drivers' outputs. Every other processor
gets stereo through the rig's program outputs and plays on the drivers itself, with an unknown latency. It is measured
by playing the phantom centre once and finding the lag of the best match with the prediction, and compensated by
delaying the timing reference by it: responses then arrive as early as through our own engine.
What is left of it, a fraction of a sample, is found over all positions when they are judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant import share_of
from sweetspot.calibrate.verify.diagnose import residual
from sweetspot.calibrate.verify.processor import Deployed
from sweetspot.calibrate.verify.through import DEVICE
from sweetspot.measure.deconvolve import inverse, loopback_delay
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.judge import LoudnessCheck, Sound
from sweetspot.measure.plan import Plan
from sweetspot.measure.run import place
from sweetspot.processor.export.running import live
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.errors import BadInput, HardwareTrouble, SweetspotError
from sweetspot.rigs.hosts import patchbay
from sweetspot.rigs.protocol import Interface, Operator, Recording, Rig
from sweetspot.rigs.units import Complex, db

LONGEST_S = 1.0
"""Longest tested latency, s."""

GUARD_S, GUARD_TAIL_S = 0.2, 0.7
"""Dense signal that tries the guard, and the time after it in which it may still come out, s."""

CLEAR = 8.0
"""Required ratio of the best lag's peak to the rms of the others; noise alone reaches 5."""

WAKE_S = 0.1
"""Silence that opens the stream before its ports are patched, s."""


class CentreMissing(SweetspotError):
    """A verdict, not a rig fault: the sides play, their common signal does not."""


@contextmanager
def ready(rig: Rig, deployed: Deployed, plan: Plan, measured: ImpulseResponse, ask: Operator) -> Iterator[Rig]:
    """The rig with the processor between program outputs and drivers, its latency compensated, as a context.

    Parameters
    ----------
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
        The engine does not start, or its output is silent.
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


def guard_of(interface: Interface) -> float | None:
    """Output peak of a processor of :func:`ready` for a loud programme, dB re the ceiling; None: untried."""
    inner = interface.inner if isinstance(interface, Late) else interface
    return inner.guard_db if isinstance(inner, Patched) else None


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
        """Close the device."""
        self.inner.close()


class Late(_Around):
    """An interface with its timing reference delayed by a processor's latency, which compensates it.

    Parameters
    ----------
    loopback
        Index of the timing reference's output.
    """

    def __init__(self, inner: Interface, loopback: int, samples: int) -> None:
        super().__init__(inner)
        self.loopback, self.samples = loopback, samples

    def capture(self, y: NDArray[np.float32]) -> Recording:
        """Play and record as many samples, from the latency on; see :class:`sweetspot.rigs.protocol.Interface`."""
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
    card
        All ports that the device plays.
    feeds
        The engine's inputs with the device's program ports that it takes its sound from.
    drives
        The engine's outputs with the device's driver ports.
    trial
        What tries the engine's guard, for all outputs, with the ceiling that must hold; None for one without a guard.
    """

    def __init__(
        self,
        inner: Interface,
        bay: patchbay.Patchbay,
        engine: live.Running,
        card: Sequence[str],
        feeds: Sequence[tuple[str, str]],
        drives: Sequence[tuple[str, str]],
        *,
        trial: tuple[NDArray[np.float32], float] | None = None,
    ) -> None:
        super().__init__(inner)
        self.bay, self.engine, self.card, self.feeds, self.drives = bay, engine, card, feeds, drives
        self.trial, self.guard_db = trial, None if trial is None else np.nan
        self._direct: list[tuple[str, str]] = []
        self._patched = False

    def capture(self, y: NDArray[np.float32]) -> Recording:
        """Play and record through the engine; see :class:`sweetspot.rigs.protocol.Interface`."""
        if not self._patched:
            self.inner.capture(np.zeros((self.outputs, round(WAKE_S * self.fs)), dtype=np.float32))
            self.engine.alive()
            if self.trial is not None:
                self.guard_db = self._tried(*self.trial)
            self.patch()
        self.engine.alive()
        try:
            heard = self.inner.capture(y)
        finally:
            self.engine.alive()  # an engine that dies stops the server for a while: it is the cause to name
        return heard

    def patch(self) -> None:
        """Connect the program to the engine and the engine to the drivers, and nothing else.

        The way through the engine is laid before the direct one to the same device: where it is laid after it, PipeWire
        0.3.65 waits for ever for its filter chain.
        """
        sources = patchbay.playing_into(self.bay, [port for _, port in self.feeds])
        direct = self._direct = [(s, port) for port in self.card for s in self.bay.sources(port)]
        heard = self.bay.ports_of(sources[0].rpartition(":")[0])[0]
        back = [(s, port) for port in heard for s in self.bay.sources(port)]
        self.bay.disconnect([*direct, *back, *((s, port) for port, _ in self.feeds for s in self.bay.sources(port))])
        self.bay.connect([(source, into) for source, (into, _) in zip(sources, self.feeds, strict=True)])
        self.bay.connect(self.drives)
        driven = {port for _, port in self.drives}
        self.bay.connect([*((source, port) for source, port in direct if port not in driven), *back])
        self._patched = True

    def _tried(self, loud: NDArray[np.float32], ceiling: float) -> float:
        """Largest output under a loud program, dB re the ceiling: into a recorder, while the drivers are silent."""
        sources = patchbay.playing_into(self.bay, [port for _, port in self.feeds])
        direct = [(s, port) for port in self.card for s in self.bay.sources(port)]
        feeds = [(source, into) for source, (into, _) in zip(sources, self.feeds, strict=True)]
        self.bay.disconnect(direct)
        with patchbay.recording(len(self.drives)) as recorder:
            self.bay.connect([(out, port) for (out, _), port in zip(self.drives, recorder.ports, strict=True)])
            self.bay.connect(feeds)
            try:
                self.inner.capture(loud)
            finally:
                self.bay.disconnect(feeds)
            peak = recorder.peak
        self.bay.connect(direct)
        return float(db(max(peak, 1e-9) / ceiling))

    def unpatch(self) -> None:
        """Restore the device's own connections, except those gone with the stream."""
        if self._patched:
            self.bay.disconnect(self.drives)
            self.bay.connect([(source, port) for source, port in self._direct if self.bay.named([source])[0]])


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
        how, filters = live.LIVE[deployed.name], deployed.filters
        into, out = how.expected(filters)
        if any(bay.ports_of(how.client)) or any(bay.named(into)):
            raise BadInput(f"a client named {how.client!r} is on the JACK server already: end it first")
        with live.running(deployed.filters, deployed.name, bay.period, deployed.exported) as engine:
            if into:
                found = bay.await_named(
                    (*into, *out), engine.alive, lambda: f"{how.hint}. Its message: {engine.text or 'nothing'}"
                )
                heard, played = found[: len(into)], found[len(into) :]
            else:
                heard, all_played = bay.await_ports(how.client, how.count(filters), engine.alive)
                played = [all_played[o] for o in how.ports(filters)]
            feeds = [(i, ports[c - 1]) for i, c in zip(heard, deployed.inputs or (), strict=True)]
            drives = [(o, ports[c - 1]) for o, c in zip(played, filters.channels, strict=True)]
            trial = (_loud(rig, deployed), rig.description.limits.ceiling) if how.whole else None
            patched = Patched(rig.interface, bay, engine, ports, feeds, drives, trial=trial)
            try:
                yield patched
            finally:
                patched.unpatch()


def _loud(rig: Rig, deployed: Deployed) -> NDArray[np.float32]:
    """A program as loud as the rig allows, for a recorder alone: both sides at every rate, then each by itself.

    Each side alone is what its loudest driver answers with its largest sample.
    """
    fs, taps = rig.description.fs, deployed.filters.taps
    n = np.arange(round(GUARD_S * fs))
    noise = np.where(np.sin(0.37 * n**1.5) >= 0.0, 1.0, -1.0)
    program = [np.stack([noise, noise])]
    for side in range(2):
        worst = taps[side, int(np.argmax(np.abs(taps[side]).sum(axis=-1)))]
        one = np.zeros((2, len(worst)))
        one[side] = np.sign(worst[::-1])
        program.append(one)
    program.append(np.zeros((2, round(GUARD_TAIL_S * fs))))
    both = np.concatenate(program, axis=1)
    y = np.zeros((rig.description.outputs, both.shape[1]), dtype=np.float32)
    y[[c - 1 for c in deployed.inputs or ()]] = 0.99 * rig.description.limits.ceiling * both
    return y


def latency(rig: Rig, deployed: Deployed, plan: Plan, measured: ImpulseResponse) -> int:
    """Latency of a processor in whole samples, from one capture of the phantom centre where everything stands.

    It is the first sound that the processor plays, and is tried softly before.

    Raises
    ------
    TooLoud
        It would pass the rig's loudest level.
    HardwareTrouble
        No lag stands out: the output is silent.
    CentreMissing
        One side is silent.
    """
    found = _lag(rig, deployed, plan, measured, "both")
    if found is None and _lag(rig, deployed, plan, measured, "left") is not None:
        raise CentreMissing(
            f"{deployed.name}: FAIL, centre missing: the left side alone passes through it, both sides together do "
            f"not. The centre program is silent: load this unit's centre filters, or switch the centre on"
        )
    if found is None:
        raise HardwareTrouble(
            f"{deployed.name}: no programme passes through it: no latency up to {LONGEST_S:g} s fits. Is it "
            f"switched on and active, are the rig's outputs {deployed.inputs} its inputs, and do its drivers play?"
        )
    return max(found, 0)


def _lag(rig: Rig, deployed: Deployed, plan: Plan, measured: ImpulseResponse, stimulus: str) -> int | None:
    """Lag in samples at which a measured stimulus matches the prediction; ``None`` where none stands out."""
    rig_is, source = rig.description, plan.sources.names.index(stimulus)
    spare = round(LONGEST_S * rig_is.fs)
    y = np.pad(plan.sources.signals[source], ((0, 0), (0, spare)))
    LoudnessCheck.of(rig, plan.mics).permit(Sound(source, stimulus, y, plan.captures[0].pose))
    heard = rig.interface.capture(y).x
    inv = inverse(plan.sweep, np.pad(plan.played, (0, spare)), heard.shape[1])
    late, _ = loopback_delay(inv, inv.spectrum(heard[rig_is.interface.loopback.in_ - 1]))
    got = inv.spectrum(heard[[m.channel - 1 for m in plan.mics]]) * np.exp(2j * np.pi * inv.f * late)
    want = _expected(measured.used_for("score"), deployed.filters, plan.captures[0].position, inv.size, source)
    inside = (inv.f >= residual.BAND[0]) & (inv.f <= residual.BAND[1])
    cross = np.sum(got * want.conj(), axis=0) * inside
    fit = np.abs(fft.ifft(cross, inv.size))
    earliest = -deployed.filters.delay_samples
    matched = np.roll(fit, -earliest)[: spare - earliest]
    best = int(np.argmax(matched))
    return best + earliest if matched[best] > CLEAR * float(np.sqrt(np.mean(fit**2))) else None


def _expected(score: ImpulseResponse, filters: FilterSet, position: int, size: int, stimulus: int) -> Complex:
    """Expected spectra ``(ear, frequency)`` of a stimulus at a scoring position."""
    w = residual.stimuli(fft.rfft(filters.taps, size, axis=-1), share_of(filters))[stimulus]
    h = fft.rfft(score.h[position], size, axis=-1)
    zero = np.exp(2j * np.pi * fft.rfftfreq(size) * score.zero)
    return np.asarray(np.einsum("edf,df->ef", h, w) * zero)

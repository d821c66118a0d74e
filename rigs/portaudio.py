"""The multichannel interface through PortAudio: one full-duplex stream, so that playback and recording share a clock.
The library may never return: on JACK it blocks for ever if the server has died, or aborts while the server ends. So
every device call is made in a separate thread with a timeout, where an abort is a call that never returns, and after a
failure the library is not used again.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.errors import BadInput, HardwareTrouble, MissingDevice
from sweetspot.rigs.hosts import Overdue, Worker, host_settings, without_abort
from sweetspot.rigs.protection import check_outputs
from sweetspot.rigs.protocol import Recording

if TYPE_CHECKING:
    from sweetspot.rigs.rig_file import Description

T = TypeVar("T")

POLL_S = 0.005
"""Polling interval of a running capture, s."""

STALL_S = 5.0
"""Time without samples after which a device counts as dead, s."""

ANSWER_S = 10.0
"""How long the library may take to start, to list devices, to open a stream."""

REST_S, APART_S = 0.2, 0.34
"""Silence between two captures, s, for converter latency and decay; and where that can be less, from the last sound at
a driver to the next capture."""

SHORT_S, DECAYED, LATE_S = 0.02, 1.26, 0.1
"""Length of a part of a recording, s, the power of its last part re the quietest one at which all has decayed, and what
sound may take to be recorded, s."""

SILENT = 1e-3
"""Samples below this, re the largest, are silence."""

END_S = 2.0
"""How long a stream may take to end."""


@dataclass(frozen=True, slots=True)
class AudioDevice:
    """An audio device as PortAudio lists it.

    Parameters
    ----------
    index
        PortAudio's number, good until the next scan.
    fs
        The rate that the device runs at or prefers, Hz.
    """

    index: int
    name: str
    hostapi: str
    inputs: int
    outputs: int
    fs: float

    def text(self) -> str:
        """One line for a reader."""
        return f"{self.name!r} ({self.hostapi}): {self.outputs} out, {self.inputs} in, {self.fs:g} Hz"


def _binding() -> Any:
    """The PortAudio binding.

    Raises
    ------
    HardwareTrouble
        PortAudio is not installed.
    """
    try:
        import sounddevice
    except OSError as fault:
        raise HardwareTrouble(
            f"PortAudio's library is missing ({fault}). Install it: apt-get install libportaudio2 "
            "(or measure in the virtual lab: interface.driver = 'lab')"
        ) from fault
    return sounddevice


class Library:
    """The library in this process: one for all interfaces, running while there are any.

    It looks for devices only when it starts. It must have ended before an audio server does: else its own tidying up,
    at the end of the program, aborts or waits for ever.
    """

    def __init__(self) -> None:
        self.users = 0
        self.broken = False
        self._worker = Worker("PortAudio")

    def call(self, work: Callable[[], T], who: str, wait_s: float = ANSWER_S) -> T:
        """Call into the library.

        Raises
        ------
        HardwareTrouble
            It failed before and is left alone, or does not answer in time.
        """
        if self.broken:
            raise HardwareTrouble(f"{who}: the audio device failed before; start the program again")
        try:
            return self._worker.call(lambda: without_abort(work), wait_s)
        except Overdue as fault:
            self.give_up()
            raise HardwareTrouble(f"{who}: {fault}. Is the device connected, and its server running?") from fault

    def acquire(self) -> Any:
        """The binding, with the library running; the devices are listed again if nothing uses them."""
        sd = self.call(_started, "PortAudio")
        self.users += 1
        return sd

    def devices(self) -> list[AudioDevice]:
        """Every audio device that it has found, between :meth:`acquire` and :meth:`release`."""
        return self.call(_listed, "PortAudio")

    def release(self) -> None:
        """The counterpart of :meth:`acquire`; the last one ends the library."""
        self.users -= 1
        if self.users == 0 and not self.broken:
            self.call(_ended, "PortAudio")

    def give_up(self) -> None:
        """A device failed: the library can be neither ended nor started again; the operating system will tidy up."""
        self.broken = True
        if "sounddevice" in sys.modules:
            atexit.unregister(sys.modules["sounddevice"]._exit_handler)


def _started() -> Any:
    sd = _binding()
    if not sd._initialized:
        sd._initialize()
    return sd


def _ended() -> None:
    sd = _binding()
    while sd._initialized:
        sd._terminate()


library = Library()
"""The one in this process; live streams use it too."""


def devices() -> list[AudioDevice]:
    """Every audio device there is now.

    Raises
    ------
    HardwareTrouble
        PortAudio is not installed, or does not answer.
    """
    library.acquire()
    try:
        return library.devices()
    finally:
        library.release()


def _listed() -> list[AudioDevice]:
    sd = _binding()
    apis = [api["name"] for api in sd.query_hostapis()]
    return [
        AudioDevice(
            n,
            d["name"],
            apis[d["hostapi"]],
            d["max_input_channels"],
            d["max_output_channels"],
            float(d["default_samplerate"]),
        )
        for n, d in enumerate(sd.query_devices())
    ]


def choose(found: list[AudioDevice], name: str, hostapi: str | None, outputs: int, inputs: int) -> AudioDevice:
    """The only device whose name contains ``name``.

    Upper and lower case are the same. A name that is matched whole wins over longer ones that hold it.

    Raises
    ------
    BadInput
        None or several devices fit (lists them), or the one that does has too few channels.
    """
    there = [d for d in found if hostapi is None or hostapi.lower() in d.hostapi.lower()]
    on = f" on {hostapi!r}" if hostapi else ""
    fitting = [d for d in there if name.lower() in d.name.lower()]
    exact = [d for d in fitting if d.name == name]
    fitting = exact if len(exact) == 1 else fitting
    if not fitting:
        if there:
            listed = _lines(there)
        elif found:
            listed = f"\nNo device{on}. On other host APIs there are:" + _lines(found)
        else:
            listed = "\nNo audio device was found: is it switched on, or its server running?"
        raise MissingDevice(f"interface.device: no audio device's name holds {name!r}{on}.{listed}")
    if len(fitting) > 1:
        raise BadInput(
            f"interface.device: {name!r}{on} matches {len(fitting)} audio devices; give a longer part of the name, or "
            f"interface.hostapi.{_lines(fitting)}"
        )
    _enough_channels(fitting[0], outputs, inputs)
    return fitting[0]


def _lines(found: list[AudioDevice]) -> str:
    return "\n" + "\n".join(f"  {d.text()}" for d in found)


def _enough_channels(device: AudioDevice, outputs: int, inputs: int) -> None:
    for what, needed, has in (("output", outputs, device.outputs), ("input", inputs, device.inputs)):
        if needed > has:
            raise BadInput(
                f"interface.device: the rig uses {what} channel {needed}, but {device.name!r} ({device.hostapi}) has "
                f"{has} {what} channels"
            )


def chosen(found: list[AudioDevice], rig: Description) -> tuple[AudioDevice, AudioDevice]:
    """The output and the input device of a rig: one and the same, or two of one host API.

    Raises
    ------
    BadInput
        See :func:`choose`; or the two belong to different host APIs, which share no stream.
    """
    table = rig.interface
    if table.device is not None:
        device = choose(found, table.device, table.hostapi, rig.outputs, rig.inputs)
        return device, device
    try:
        output = choose([d for d in found if d.outputs], str(table.output), table.hostapi, rig.outputs, 0)
    except BadInput as fault:
        raise BadInput(str(fault).replace("interface.device", "interface.output")) from fault
    try:
        source = choose([d for d in found if d.inputs], str(table.input), output.hostapi, 0, rig.inputs)
    except BadInput as fault:
        raise BadInput(str(fault).replace("interface.device", "interface.input")) from fault
    return output, source


def _check_rate(sd: Any, devices: tuple[AudioDevice, AudioDevice], rig: Description) -> None:
    """Ask whether the devices run at the rig's rate with its channels."""
    device = devices[1]
    try:
        more = host_settings.stream_settings(sd, rig.interface, device.hostapi)
        sd.check_input_settings(device.index, rig.inputs, "float32", more, rig.fs)
        device = devices[0]
        sd.check_output_settings(device.index, rig.outputs, "float32", more, rig.fs)
    except sd.PortAudioError as fault:
        raise BadInput(
            f"{device.name!r} refuses fs = {rig.fs} Hz (it runs at {device.fs:g} Hz): set fs in the rig, "
            f"or the rate of the device. PortAudio says: {fault.args[0]}"
        ) from fault


class PortAudioInterface:
    """A device that PortAudio opens; made by :meth:`open`.

    The stream runs from the first capture until :meth:`close`, and plays silence in between: every capture of a session
    has the same latency, and a device that is lost is noticed.

    Parameters
    ----------
    device
        The device that plays, chosen.
    description
        The rig: channels, rate, block size and ceiling.
    now
        The clock, for the time written into a recording.
    source
        The device that records, where it is another one.
    """

    def __init__(
        self,
        device: AudioDevice,
        description: Description,
        now: Callable[[], datetime],
        source: AudioDevice | None = None,
    ) -> None:
        self.device, self.source = device, source or device
        self._rig = description
        self._now = now
        self._stream: Any = None
        self._take: _Take | None = None
        self._rested = self._rest = 0
        self._closed = False

    @classmethod
    def open(
        cls, description: Description, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> PortAudioInterface:
        """Find the rig's device and check that it supports the rig's rate, without playback.

        Raises
        ------
        BadInput
            No device or several fit, it has too few channels, or it does not run at the rig's rate.
        HardwareTrouble
            PortAudio is missing, or does not answer.
        """
        host_settings.prepare(description.interface, os.environ)
        sd = library.acquire()
        try:
            found = library.devices()
            devices = chosen(found, description)
            library.call(lambda: _check_rate(sd, devices, description), repr(devices[0].name))
        except BaseException:
            library.release()
            raise
        return cls(devices[0], description, now, devices[1])

    @property
    def fs(self) -> int:
        """Sampling rate, Hz."""
        return self._rig.fs

    @property
    def outputs(self) -> int:
        """Number of output channels that the rig uses."""
        return self._rig.outputs

    @property
    def inputs(self) -> int:
        """Number of input channels that the rig uses."""
        return self._rig.inputs

    def capture(self, y: NDArray[np.float32]) -> Recording:
        """Play ``y (outputs, samples)`` and record as many samples; see :class:`sweetspot.rigs.protocol.Interface`.

        The loopback's channel is wired to an input, not to the unit: the ceiling does not hold for it.
        """
        self._check(y)
        loopback = self._rig.interface.loopback
        listening = self._stream is None or not y[loopback.out - 1].any()
        rest = round(REST_S * self.fs) if listening else self._rest
        take = _Take(np.ascontiguousarray(y.T, dtype=np.float32), self.inputs, rest)
        try:
            self._run()
            with _undisturbed():
                started = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
                self._take = take
                self._wait(take)
        except BaseException:
            self._end()
            raise
        heard = np.delete(take.heard.T, loopback.in_ - 1, axis=0)
        self._rest = rest_after(np.delete(y, loopback.out - 1, axis=0), heard, self.fs)
        return Recording(take.heard.T, fs=self.fs, xruns=take.xruns, started=started)

    def close(self) -> None:
        """Close the device; may be called twice. Captures are refused afterwards."""
        if not self._closed:
            self._closed = True
            self._end()
            library.release()

    def _check(self, y: NDArray[np.float32]) -> None:
        if self._closed:
            raise HardwareTrouble(f"{self.device.name!r} has been closed; open the rig again")
        if y.ndim != 2 or y.shape[0] != self.outputs:
            raise BadInput(
                f"the signal has shape {y.shape}; the rig uses {self.outputs} outputs of {self.device.name!r}"
            )
        check_outputs(y, self._rig, repr(self.device.name))

    def _run(self) -> None:
        """Start the stream unless it is running."""
        if self._stream is None:
            sd = _binding()
            try:
                library.call(lambda: self._open(sd), repr(self.device.name))
            except sd.PortAudioError as fault:
                library.give_up()
                raise HardwareTrouble(f"{self.device.name!r} does not open: {fault}") from fault

    def _open(self, sd: Any) -> None:
        stream = sd.Stream(
            samplerate=self.fs,
            blocksize=self._rig.interface.blocksize,
            device=(self.source.index, self.device.index),
            channels=(self.inputs, self.outputs),
            dtype="float32",
            latency="high",
            extra_settings=host_settings.stream_settings(sd, self._rig.interface, self.device.hostapi),
            callback=self._step,
            clip_off=True,
            dither_off=True,
        )
        self._stream, self._rested = stream, 0
        stream.start()

    def _step(self, heard: Any, play: Any, frames: int, _time: Any, status: Any) -> None:
        """The stream's callback: a block of the take that runs, or silence."""
        take = self._take
        if take is None or self._rested < take.rest:
            play.fill(0.0)
            self._rested += frames
        else:
            take.step(heard, play, frames, bool(status))
            if take.complete:  # first make room for the next one, then release the waiting caller
                self._take, self._rested = None, 0
                take.done.set()

    def _wait(self, take: _Take) -> None:
        """Wait until the take is complete; a device that stops moving is trouble."""
        at, since = -1, time.monotonic()
        while not take.done.wait(POLL_S):
            if take.at + self._rested != at:
                at, since = take.at + self._rested, time.monotonic()
            if time.monotonic() - since > STALL_S or not self._stream.active:
                library.give_up()
                raise HardwareTrouble(
                    f"{self.device.name!r} stopped at sample {take.at} of {len(take.played)}: "
                    "is it still connected, and its server running? This capture was discarded"
                )

    def _end(self) -> None:
        """Silence at once, then the end of the stream; one that does not end in time is abandoned."""
        self._take = None
        if self._stream is not None and not library.broken:
            try:
                library.call(self._close, repr(self.device.name), END_S)
            except HardwareTrouble:  # raised again by give_up(); the take itself is complete, or was reported
                return

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)


def rest_after(y: NDArray[np.float32], x: NDArray[np.float32], fs: int) -> int:
    """Samples of silence that a capture needs behind it.

    None where its recording ends in noise: then the next one records nothing of it. Where sound decays for longer, so
    much that :data:`APART_S` have passed since the last one, but :data:`REST_S` at the most. With 0.03 s in place of
    0.2, standard errors in a room of 0.8 s, of which 0.09 s are kept, are up to 18 dB higher; with 0.2, by 0.05 dB.

    Parameters
    ----------
    y
        What the drivers played ``(output, samples)``.
    x
        What the microphones recorded ``(input, samples)``.
    """
    level = np.abs(y)
    playing = (level > SILENT * level.max(axis=1, keepdims=True, initial=0.0)).any(axis=0)
    behind = int(playing[::-1].argmax()) if playing.any() else y.shape[1]
    if behind >= LATE_S * fs and has_decayed(x, fs):
        return 0
    return min(max(round(APART_S * fs) - behind, 0), round(REST_S * fs))


def has_decayed(x: NDArray[np.float32], fs: int) -> bool:
    """Whether recordings ``(input, samples)`` end as quietly as they are anywhere.

    By the differences of samples, in which high frequencies weigh more: a sweep ends with them, and rumble changes.
    """
    change, step = np.diff(x, axis=1), round(SHORT_S * fs)
    count = change.shape[1] // step
    if not count:
        return False
    parts = change[:, change.shape[1] - count * step :].reshape(len(x), count, step)
    power = np.einsum("ijk,ijk->ij", parts, parts)
    return bool(np.all(power[:, -1] <= DECAYED * power.min(axis=1)))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the garbage collector out of the way of the stream."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Take:
    """One capture, filled by the stream's callback.

    Parameters
    ----------
    played
        ``(samples, outputs)``
    rest
        Samples of silence ahead of it, from the capture before.
    """

    def __init__(self, played: NDArray[np.float32], inputs: int, rest: int) -> None:
        self.played, self.rest = played, rest
        self.heard = np.zeros((len(played), inputs), dtype=np.float32)
        self.at = 0
        self.xruns = 0
        self.done = threading.Event()

    @property
    def complete(self) -> bool:
        """Whether all samples have been played and recorded."""
        return self.at == len(self.played)

    def step(self, heard: Any, play: Any, frames: int, flagged: bool) -> None:
        """Copy one block each way; silence after the end. A flag on the first block concerns the time before it."""
        self.xruns += flagged and self.at > 0
        n = min(frames, len(self.played) - self.at)
        play[:n] = self.played[self.at : self.at + n]
        play[n:] = 0.0
        self.heard[self.at : self.at + n] = heard[:n]
        self.at += n

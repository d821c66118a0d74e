"""A live stream through PortAudio: a callback for each block, from a device or a program to a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from sweetspot.rigs import portaudio
from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.hosts import Patchbay, patchbay
from sweetspot.rigs.portaudio import AudioDevice, library

STALL_S = 3.0
"""Time without a callback after which a stream counts as dead, s."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The stream to open.

    Parameters
    ----------
    device
        A unique part of the output device's name; None for the default.
    source
        A part of the name of the input device, or on JACK of the program, that is listened to; None for no input.
    hostapi
        Part of the host API's name, or None.
    outputs, inputs
        Channels.
    fs
        Sampling rate, Hz.
    block
        Samples a block.
    """

    device: str | None
    source: str | None
    hostapi: str | None
    outputs: int
    inputs: int
    fs: int
    block: int


class LiveStream:
    """A stream that runs from :meth:`start` to :meth:`close`; a context manager.

    Raises
    ------
    BadInput
        No device or several fit, or it has too few channels, or another rate.
    HardwareTrouble
        PortAudio is missing or does not answer.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._sd = library.acquire()
        self._stream: Any = None
        self._bay: Patchbay | None = None
        self._held = ExitStack()
        try:
            found = library.devices()
            self.output = self._chosen(found, wanted.device, "--device", wanted.outputs, 0)
            self.input = self._chosen(found, wanted.source, "--from", 0, wanted.inputs) if wanted.inputs else None
        except BaseException:
            library.release()
            raise

    def _chosen(
        self, found: list[AudioDevice], name: str | None, option: str, outputs: int, inputs: int
    ) -> AudioDevice:
        if name is None:
            name = self._default(found, outputs > 0, option)
        try:
            return portaudio.choose(found, name, self.wanted.hostapi, outputs, inputs)
        except BadInput as fault:
            text = str(fault).replace("interface.device", option).replace("interface.hostapi", "--hostapi")
            raise type(fault)(text.replace("the rig uses", "needed is")) from fault

    def _default(self, found: list[AudioDevice], output: bool, option: str) -> str:
        index = self._sd.default.device[1 if output else 0]
        if not 0 <= index < len(found):
            listed = "".join(f"\n  {d.text()}" for d in found) or " No audio device was found."
            raise BadInput(f"{option}: there is no default audio device; name one.{listed}")
        return str(found[index].name)

    @property
    def active(self) -> bool:
        """Whether the stream runs."""
        return self._stream is not None and bool(self._stream.active)

    @property
    def latency_s(self) -> float:
        """Output latency as the device states it, s."""
        latency = self._stream.latency
        return float(latency[1] if isinstance(latency, tuple) else latency)

    def start(self, address: int, user: int) -> None:
        """Open the stream and begin, with a ``PaStreamCallback`` in machine code: none of it runs in the interpreter.

        Parameters
        ----------
        user
            Address passed to it with every block.

        Raises
        ------
        BadInput
            The device does not run at the wanted rate.
        HardwareTrouble
            It does not open.
        """
        foreign = self._sd._ffi
        function = foreign.cast("PaStreamCallback *", address)
        self._begin(lambda: self._open(function, foreign.cast("void *", user)))

    def _begin(self, work: Callable[[], None]) -> None:
        who = repr(self.output.name)
        if "JACK" in self.output.hostapi:
            with suppress(HardwareTrouble):
                self._bay = self._held.enter_context(patchbay.opened())
                self._check_alone(self._bay)
        try:
            library.call(work, who)
        except self._sd.PortAudioError as fault:
            if "sample rate" in str(fault).lower():
                raise BadInput(
                    f"{who} refuses {self.wanted.fs} Hz, the rate of the filters (it runs at {self.output.fs:g} Hz): "
                    "set its rate, or calibrate at that one"
                ) from fault
            library.give_up()
            raise HardwareTrouble(f"{who} does not open: {fault}") from fault

    def _check_alone(self, bay: Patchbay) -> None:
        """Refuse channels that another program plays into: both together would pass the drivers' limits."""
        for port in bay.playback(self.output.name)[: self.wanted.outputs]:
            if sources := bay.sources(port):
                raise BadInput(
                    f"{sources[0]} plays into {port}: together with this the drivers could get more than the rig "
                    f"allows. End that program, or disconnect it: jack_disconnect {sources[0]} {port}"
                )

    @property
    def gone(self) -> str:
        """Name of a device or program that left a JACK server, whose streams continue without it; or empty."""
        wanted = [d.name for d in (self.output, self.input) if d is not None]
        return next((n for n in wanted if self._bay and not any(self._bay.ports_of(n))), "")

    def _open(self, function: Any, user: Any) -> None:
        kind = "output" if self.input is None else "duplex"
        self._stream = self._sd._StreamBase(kind, **self._devices(), **self._terms(), callback=function, userdata=user)
        self._stream.start()

    def _devices(self) -> dict[str, Any]:
        """Device and channels: of the output, or a pair."""
        if self.input is None:
            return {"device": self.output.index, "channels": self.wanted.outputs}
        return {
            "device": (self.input.index, self.output.index),
            "channels": (self.wanted.inputs, self.wanted.outputs),
        }

    def _terms(self) -> dict[str, Any]:
        return {
            "samplerate": self.wanted.fs,
            "blocksize": self.wanted.block,
            "dtype": "float32",
            "latency": "low",
            "clip_off": True,
            "dither_off": True,
        }

    def close(self) -> None:
        """End the stream and close the device; may be called twice."""
        stream, self._stream, self._bay = self._stream, None, None
        if not library.broken:
            self._held.close()
        if self._sd is None:
            return
        if stream is not None and not library.broken:
            try:
                library.call(lambda: _ended(stream), repr(self.output.name), portaudio.END_S)
            except HardwareTrouble:
                return
        self._sd = None
        library.release()

    def lost(self) -> None:
        """The device died: leave the library alone from now on."""
        library.give_up()

    def __enter__(self) -> LiveStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _ended(stream: Any) -> None:
    stream.abort(ignore_errors=True)
    stream.close(ignore_errors=True)


class Watch:
    """Watches whether a block count still increases."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._count, self._since = -1, now()

    def stalled(self, count: int) -> bool:
        """Whether ``count`` has stood still for :data:`STALL_S`."""
        if count != self._count:
            self._count, self._since = count, self._now()
        return self._now() - self._since > STALL_S

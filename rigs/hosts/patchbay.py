"""Connections of a JACK server: sources of each port, and a processor inserted between the rig's ports."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.hosts.jack_client import ProcessCallback, library

PATIENCE_S = 15.0
"""How long a program may take until its ports are there, s."""

POLL_S = 0.02

_NUMBER = re.compile(r"(?:-\d+)?:")


class Patchbay:
    """Connects ports of a running JACK server.

    Parameters
    ----------
    client
        Of the ``jack`` library, not activated: it has no ports and records nothing.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def period(self) -> int:
        """Samples per block of the server."""
        return int(self._client.blocksize)

    @property
    def fs(self) -> int:
        """Sampling rate of the server, Hz."""
        return int(self._client.samplerate)

    def playback(self, card: str) -> list[str]:
        """Names of the ports that a device called ``card`` plays, in the order of its channels."""
        found = self._ports(is_input=True, is_physical=True)
        return [p.name for p in found if p.name.rsplit(":", 1)[0] == card]

    def ports_of(self, program: str) -> tuple[list[str], list[str]]:
        """Names of a program's input and output ports, in its order."""
        mine = [p for p in self._ports() if p.name.rsplit(":", 1)[0] == program]
        return [p.name for p in mine if p.is_input], [p.name for p in mine if p.is_output]

    def await_ports(self, program: str, outputs: int, alive: Callable[[], None]) -> tuple[list[str], list[str]]:
        """Wait until a program has its two inputs and its outputs; ``alive`` raises when it has ended.

        Raises
        ------
        HardwareTrouble
            It has not, in time.
        """
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            alive()
            heard, played = self.ports_of(program)
            if (len(heard), len(played)) == (2, outputs):
                return heard, played
            time.sleep(POLL_S)
        raise HardwareTrouble(
            f"{program} has {len(heard)} inputs and {len(played)} outputs on the audio server after {PATIENCE_S:g} s; "
            f"2 and {outputs} are expected"
        )

    def named(self, ports: Sequence[str]) -> list[str]:
        """Names on the server of ports that are known as ``client:port``; "" for one that is not there.

        A server may number a client whose name is taken already: ``client-34:port`` is it too.
        """
        found = [p.name for p in self._ports()]
        return [next((n for n in found if port in (n, _NUMBER.sub(":", n, count=1))), "") for port in ports]

    def await_named(self, ports: Sequence[str], alive: Callable[[], None], hint: Callable[[], str]) -> list[str]:
        """Wait until all of these ports are there; ``alive`` raises when their program has ended.

        Parameters
        ----------
        ports
            As ``client:port``.
        alive
            See :meth:`await_ports`.
        hint
            What to look at where they do not come.

        Raises
        ------
        HardwareTrouble
            They are not, in time.
        """
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            alive()
            found = self.named(ports)
            if all(found):
                return found
            time.sleep(POLL_S)
        missing = [port for port, name in zip(ports, self.named(ports), strict=True) if not name]
        raise HardwareTrouble(f"{missing[0]!r} is not on the audio server after {PATIENCE_S:g} s: {hint()}")

    def _ports(self, **which: bool) -> list[Any]:
        """Audio ports of the server; JACK-Client finds them by name, one by one, and fails where one goes meanwhile.

        Raises
        ------
        HardwareTrouble
            It fails for :data:`PATIENCE_S`.
        """
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return list(self._client.get_ports(is_audio=True, **which))
            except library().JackError as fault:
                if time.monotonic() > until:
                    raise HardwareTrouble(f"the audio server's ports cannot be listed: {fault}") from fault
            time.sleep(POLL_S)

    def sources(self, port: str) -> list[str]:
        """Sources of a port.

        Raises
        ------
        HardwareTrouble
            There is no such port.
        """
        try:
            return [p.name for p in self._client.get_all_connections(self._client.get_port_by_name(port))]
        except library().JackError as fault:
            raise HardwareTrouble(f"{port!r} is not on the audio server any more: {fault}") from fault

    def connect(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Connect every pair of a source and a sink that is not connected yet.

        A new port is waited for: PipeWire tells its clients of each other's ports one by one.

        Raises
        ------
        HardwareTrouble
            A port does not come, or the server refuses.
        """
        for pair in pairs:
            source, sink = self.await_named(pair, lambda: None, lambda: "its program has ended")
            if source not in self.sources(sink):
                self._cable(self._client.connect, source, sink)

    def disconnect(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Take the connections away that are there."""
        for source, sink in pairs:
            if source in self.sources(sink):
                self._cable(self._client.disconnect, source, sink)

    def _cable(self, act: Callable[[str, str], None], source: str, sink: str) -> None:
        try:
            act(source, sink)
        except library().JackError as fault:
            raise HardwareTrouble(f"the JACK server does not connect {source} and {sink}: {fault}") from fault


class Recorder:
    """A client that records its inputs and plays nothing.

    Parameters
    ----------
    client
        Of the ``jack`` library, not yet activated.
    """

    def __init__(self, client: Any, inputs: int) -> None:
        self._blocks: list[NDArray[np.float32]] = []
        self._ports = [client.inports.register(f"in_{i + 1}") for i in range(inputs)]
        self._callback = ProcessCallback(client, self._step)
        client.activate()

    def close(self) -> None:
        """End the client."""
        self._callback.close()

    def _step(self, _frames: int) -> None:
        self._blocks.append(np.stack([np.array(p.get_array()) for p in self._ports]))

    @property
    def ports(self) -> list[str]:
        """Names of its ports."""
        return [p.name for p in self._ports]

    @property
    def peak(self) -> float:
        """Largest sample of all that was played into it, full scale = 1; NaN if one was no number."""
        return max((float(np.max(np.abs(b))) for b in list(self._blocks)), default=0.0)


@contextmanager
def recording(inputs: int) -> Iterator[Recorder]:
    """A recorder on the server that runs, while it lasts.

    Raises
    ------
    HardwareTrouble
        No JACK library, or no server.
    """
    recorder = Recorder(_client("sweetspot-recorder"), inputs)
    try:
        yield recorder
    finally:
        recorder.close()


@contextmanager
def opened() -> Iterator[Patchbay]:
    """The patchbay of the server that runs, while it lasts.

    Raises
    ------
    HardwareTrouble
        No JACK library, or no server.
    """
    client = _client("sweetspot-patchbay")
    try:
        yield Patchbay(client)
    finally:
        client.close()


def _client(name: str) -> Any:
    """A client of the server that runs, not activated."""
    jack = library()
    try:
        return jack.Client(name, no_start_server=True)
    except jack.JackOpenError as fault:
        server = os.environ.get("JACK_DEFAULT_SERVER", "default")
        raise HardwareTrouble(f"no JACK server named {server!r} answers; start it before the engine") from fault


def playing_into(bay: Patchbay, ports: Sequence[str]) -> list[str]:
    """The one source that plays into each port.

    Raises
    ------
    BadInput
        Another number of sources: something else is patched there.
    """
    found = []
    for port in ports:
        sources = bay.sources(port)
        if len(sources) != 1:
            raise BadInput(
                f"{len(sources)} programs play into {port} ({', '.join(sources) or 'none'}): only sweetspot may play "
                "into the rig's program outputs. Disconnect the others"
            )
        found += sources
    return found

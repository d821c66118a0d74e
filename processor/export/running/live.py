"""Starts an exported engine on the audio server and stops it, and only it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sweetspot.processor import files
from sweetspot.processor.export import brutefir, c_library, camilladsp, jconvolver, lv2, pipewire
from sweetspot.processor.export.bundles import Bundle, outputs
from sweetspot.processor.export.options import Options
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput, HardwareTrouble

END_S = 5.0
"""Time for an engine to end after a request, s."""

SHOWN = 400
"""Length of an engine's last output that is shown, characters."""

OWN = "sweetspot-jconvolver"

HERE = "{here}"
"""Placeholder for the folder of the files in an engine's command, for programs that need a full path."""


@dataclass(frozen=True, slots=True)
class LiveEngine:
    """How an engine runs on the audio server.

    Parameters
    ----------
    program
        What is started, and the name of the package that brings it.
    client
        Name under which its ports are, where it is one client with ports in the order of channels.
    bundle
        Makes its files for a number of samples per block.
    words
        The command, in the folder of its files; the last word may be left to :attr:`last`.
    leave
        The signal that ends it; where there is a choice, the one at which it takes leave of the audio server, which
        otherwise waits for it. BruteFIR never does: a server that freewheels then stands still for 10 s.
    by_channel
        Whether it has a port for each output channel of the rig, else one for each driver.
    whole
        Whether it has an upmix and a guard, as our own engine has.
    build
        What is to be run before, in the same folder.
    last
        Last word of the command where the filters decide it.
    packages
        What brings the program, where that is not a package of its name.
    asks
        Whether it takes commands from its input and ends where that ends.
    named
        Names of its ports, ``client:port``: left, right, and of each driver; where :attr:`client` does not determine
        them.
    where
        How its program comes on a machine, where that takes more than a package.
    hint
        What to look at where its ports do not appear.
    """

    program: str
    client: str
    bundle: Callable[[FilterSet, Options], Bundle]
    words: tuple[str, ...]
    leave: signal.Signals
    by_channel: bool = False
    whole: bool = False
    build: tuple[str, ...] = ()
    last: Callable[[FilterSet], str] | None = None
    packages: str = ""
    asks: bool = False
    named: Callable[[FilterSet], tuple[tuple[str, str], tuple[str, ...]]] | None = None
    where: str = ""
    hint: str = ""

    def expected(self, filterset: FilterSet) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Full names of its ports for left and right and for each driver, if known."""
        return self.named(filterset) if self.named else ((), ())

    def ports(self, filterset: FilterSet) -> tuple[int, ...]:
        """Index of the output port of each driver."""
        return tuple(c - 1 for c in filterset.channels) if self.by_channel else tuple(range(len(filterset.channels)))

    def count(self, filterset: FilterSet) -> int:
        """Number of output ports."""
        return outputs(filterset) if self.by_channel else len(filterset.channels)


def _camilladsp(filterset: FilterSet, options: Options) -> Bundle:
    """Its live form on JACK, in the format of the version that is installed."""
    version = camilladsp.installed()
    chosen = replace(options, capture="default", playback="default", backend="jack", version=version)
    return camilladsp.bundle(filterset, chosen)


def _cpal_ports(filterset: FilterSet) -> tuple[tuple[str, str], tuple[str, ...]]:
    """CamillaDSP is two clients on JACK, with the names of its sound library."""
    left, right = (f"cpal_client_in:in_{i}" for i in range(2))
    return (left, right), tuple(f"cpal_client_out:out_{c - 1}" for c in filterset.channels)


LIVE = {
    "brutefir": LiveEngine(
        "brutefir", "brutefir", brutefir.bundle, ("brutefir", "-nodefault", brutefir.LIVE), signal.SIGTERM
    ),
    "jconvolver": LiveEngine(
        "jconvolver", OWN, jconvolver.bundle, ("jconvolver", "-N", OWN, jconvolver.CONF), signal.SIGINT, True
    ),
    "c": LiveEngine(
        "make",
        "sweetspot-c",
        c_library.bundle,
        ("./sweetspot-jack", c_library.BLOB, "sweetspot-c"),
        signal.SIGTERM,
        whole=True,
        build=("make", "--silent", "jack"),
        packages="make gcc libjack-jackd2-dev",
    ),
    "lv2": LiveEngine(
        "jalv",
        "sweetspot-lv2",
        lv2.bundle,
        ("jalv", "-x", "-n", "sweetspot-lv2"),
        signal.SIGTERM,
        whole=True,
        build=("make", "--silent", "lv2"),
        last=lv2.address,
        packages="jalv make gcc lv2-dev",
        asks=True,
    ),
    "pipewire": LiveEngine(
        "pipewire",
        pipewire.SINK,
        pipewire.bundle,
        ("pipewire", "-c", f"{HERE}/{pipewire.PLUGIN}"),
        signal.SIGTERM,
        whole=True,
        build=("make", "--silent", "lv2"),
        packages="pipewire pipewire-jack wireplumber make gcc lv2-dev",
        named=pipewire.ports,
        hint="the rig must be on PipeWire too: pw-jack sweetspot verify ... --through pipewire, with a session manager "
        "(wireplumber)",
    ),
    "camilladsp": LiveEngine(
        "camilladsp",
        "cpal_client",
        _camilladsp,
        ("camilladsp", camilladsp.CONF),
        signal.SIGTERM,
        named=_cpal_ports,
        where=camilladsp.SOURCE,
        hint="CamillaDSP must be built with its feature jack-backend",
    ),
}
"""The engines that can be started on a JACK server."""


class Running:
    """An engine that was started here.

    Parameters
    ----------
    process
        Leader of a process group of its own.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name, self._process, self._log = name, process, log

    @property
    def text(self) -> str:
        """Its last words."""
        return self._log.read_text(encoding="utf-8", errors="replace").strip()[-SHOWN:]

    def alive(self) -> None:
        """Raise unless it runs.

        Raises
        ------
        HardwareTrouble
            It has ended; its last words are in the message.
        """
        code = self._process.poll()
        if code is not None:
            raise HardwareTrouble(
                f"{self.name} ended by itself (exit code {code}). Its message: {self.text or 'nothing'}"
            )

    def end(self) -> None:
        """End it and its child processes; may be called twice."""
        if self._process.stdin and LIVE[self.name].asks:
            with suppress(subprocess.TimeoutExpired, BrokenPipeError):
                self._process.stdin.close()
                self._process.wait(END_S)
        for how in (LIVE[self.name].leave, signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            try:
                self._send(how)
            except ProcessLookupError:
                break
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                continue
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def _send(self, how: int) -> None:
        """Send a signal to the process group, if the system has groups."""
        if hasattr(os, "killpg"):
            os.killpg(self._process.pid, how)
        else:
            self._process.terminate()


def check_live(engine: str) -> LiveEngine:
    """How an engine runs on the audio server.

    Raises
    ------
    BadInput
        It is not one of those that are started here, or it is not installed.
    """
    if engine not in LIVE:
        raise BadInput(f"{engine} can't be started here: choose one of: {', '.join(LIVE)}")
    live = LIVE[engine]
    if shutil.which(live.program) is None:
        raise BadInput(
            f"{live.program} is not installed: {live.where or f'apt-get install {live.packages or live.program}'}"
        )
    return live


@contextmanager
def running(filterset: FilterSet, engine: str, period: int, exported: Path | None = None) -> Iterator[Running]:
    """An engine with the exported files of a filter set, on the audio server that this program's environment names.

    Parameters
    ----------
    engine
        One of :data:`LIVE`.
    period
        Samples per block of the server.
    exported
        The folder of an export, which is played as it lies there; by default a new export.

    Raises
    ------
    BadInput
        It is not known or not installed.
    """
    live = check_live(engine)
    with tempfile.TemporaryDirectory(prefix="sweetspot-") as made:
        folder = Path(made) / "sweetspot.lv2"  # a plug-in's folder is called so; to the others it is all the same
        if exported is None:
            files.write_all(folder, live.bundle(filterset, Options(block=period)).everything())
        else:
            shutil.copytree(exported, folder, ignore=shutil.ignore_patterns("*.o", "*.a", "*.so"))
        _build(live, folder)
        log = folder / "output.txt"
        words = [w.replace(HERE, str(folder)) for w in live.words] + ([live.last(filterset)] if live.last else [])
        with log.open("wb") as output:
            process = subprocess.Popen(
                words,
                cwd=folder,
                env=os.environ | {"LV2_PATH": made},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        started = Running(engine, process, log)
        try:
            yield started
        finally:
            started.end()


def _build(live: LiveEngine, folder: Path) -> None:
    """Compile the engine, if necessary.

    Raises
    ------
    BadInput
        The compiler or a header is missing; its last words are in the message.
    """
    if not live.build:
        return
    done = subprocess.run(live.build, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        text = done.stderr.strip()[-SHOWN:]
        raise BadInput(f"{' '.join(live.build)} failed (it needs: apt-get install {live.packages}): {text}")

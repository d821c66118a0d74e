"""Runs an exported engine, if installed, and compares its output with the built-in filter matrix."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweetspot.processor import files
from sweetspot.processor.export import brutefir, c_library, camilladsp, ffmpeg, firmware, jconvolver, lv2
from sweetspot.processor.export.bundles import Bundle, outputs, stereo, wave
from sweetspot.processor.export.options import Options, linear
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.partition import PartitionedMatrix
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Real, power_db

LIMIT_DB = -120.0
PATIENCE_S = 120.0
NEEDS = {"jconvolver": "fconvolver", "brutefir": "brutefir", "ffmpeg": "ffmpeg", "firmware": "cc"}
NEEDS |= {"camilladsp": "camilladsp", "c": "make", "lv2": "lv2apply", "pipewire": "lv2apply"}
"""The program that runs each engine on files; of PipeWire's export, its plug-in. The others can't be run here."""
DATA = ("wav", "rew", "mat", "sofa")
"""Exports for programs that import filters: nothing of them runs."""
PACKAGES = {"fconvolver": "jconvolver", "cc": "gcc", "lv2apply": "lilv-utils lv2-dev gcc make", "make": "gcc make"}
UNPACKAGED = {"camilladsp": camilladsp.SOURCE}


@dataclass(frozen=True, slots=True)
class EngineComparison:
    """Result of a check.

    Parameters
    ----------
    error_db
        Energy of the difference over the energy of ours, dB; None where nothing was run.
    reason
        Why nothing was run.
    """

    error_db: float | None
    reason: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the engine plays the same to :data:`LIMIT_DB`; None where nothing was run."""
        return None if self.error_db is None else self.error_db < LIMIT_DB


def check(
    filterset: FilterSet, engine: str, bundle: Bundle, x: Real | None = None, options: Options | None = None
) -> EngineComparison:
    """Run the bundle's files, unmodified, in a folder of its own.

    Parameters
    ----------
    x
        ``(2, samples)``; by default an impulse on each side and noise after it.

    Raises
    ------
    BadInput
        The engine refuses the files; its own words are in the message.
    """
    program = NEEDS.get(engine)
    if program is None:
        return EngineComparison(
            None, f"{engine} is data for other programs" if engine in DATA else f"{engine} can't be run here"
        )
    if shutil.which(program) is None:
        where = UNPACKAGED.get(program, f"apt-get install {PACKAGES.get(program, program)}")
        return EngineComparison(None, f"{program} is not installed: {where}")
    if engine in WHOLE:
        return _whole(filterset, engine, bundle, x)
    if options and options.form == "linear":
        filterset = linear(filterset, options.share)
    played = (_signal(filterset) if x is None else x).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        files.write_all(Path(folder), bundle.everything())
        if engine == "firmware":
            return EngineComparison(_firmware_db(Path(folder)))
        y = RUNNERS[engine](Path(folder), played, filterset)
    return EngineComparison(
        difference_db(y, PartitionedMatrix(stereo(filterset), 8192).process(played.astype(np.float64)))
    )


def _whole(filterset: FilterSet, engine: str, bundle: Bundle, x: Real | None) -> EngineComparison:
    """A processor with upmix and guard against our own engine, sample by sample, latency included."""
    played = (_loud_signal(filterset) if x is None else x).astype(np.float32)
    from sweetspot.processor.engine import Engine  # brings what a start does not wait for

    wanted = Engine(filterset, 1024).process(played.astype(np.float64))
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / "sweetspot.lv2"
        files.write_all(inside, bundle.everything())
        files.write_all(Path(folder), {"in.wav": wave(played, filterset.fs)})
        return EngineComparison(difference_db(WHOLE[engine](inside, filterset), wanted))


def _c_library(folder: Path, filterset: FilterSet) -> Real:
    _run(folder, "make", "--silent", "all")
    _run(folder, "./example", c_library.BLOB, "../in.wav", "../out.f32")
    return np.fromfile(folder.parent / "out.f32", dtype="<f4").reshape(-1, len(filterset.drivers)).T.astype(np.float64)


def _lv2(folder: Path, filterset: FilterSet) -> Real:
    _run(folder, "make", "--silent", "lv2")
    path = os.environ | {"LV2_PATH": str(folder.parent)}
    command = ["lv2apply", "-i", "../in.wav", "-o", "../out.wav", lv2.address(filterset)]
    _run(folder, *command, env=path)
    return files.read_all(folder.parent / "out.wav")


WHOLE: dict[str, Callable[[Path, FilterSet], Real]] = {"c": _c_library, "lv2": _lv2, "pipewire": _lv2}
"""Engines with upmix and guard; of PipeWire's export the plug-in, which :mod:`verify` measures on PipeWire itself."""


def _loud_signal(filterset: FilterSet) -> Real:
    """Test signal: common and separate parts, silence, one side alone, and finally a level above the ceiling."""
    rng, n = np.random.default_rng(0), 4096
    share, own = rng.uniform(-0.25, 0.25, n), rng.uniform(-0.1, 0.1, (2, n))
    quiet = np.concatenate([share + own, np.zeros((2, n)), own * [[2.0], [0.0]], np.stack([share, share])], axis=1)
    gain = 2.0 * filterset.ceiling / max(float(np.abs(filterset.taps).sum(axis=(0, 2)).max()), 1e-9)
    return np.concatenate([quiet, 40.0 * gain * (share + own), quiet], axis=1)


def difference_db(y: Real, wanted: Real) -> float:
    """Energy of the difference over that of ``wanted``, dB, on the samples that both have.

    Raises
    ------
    BadInput
        Another number of channels, or hardly any samples.
    """
    n = min(y.shape[1], wanted.shape[1])
    if y.shape[0] != wanted.shape[0] or n < wanted.shape[1] // 2:
        raise BadInput(f"the engine returned {y.shape} samples, {wanted.shape} (driver, sample) are expected")
    error = np.sum((y[:, :n] - wanted[:, :n]) ** 2)
    return float(power_db(error / np.sum(wanted[:, :n] ** 2)))


def _signal(filterset: FilterSet) -> Real:
    """An impulse left, one right, then different noise on each side."""
    n, rng = 2 * filterset.length, np.random.default_rng(0)
    x = np.zeros((2, 2 * n + 16384))
    x[0, 10], x[1, n] = 0.5, 0.5
    x[:, 2 * n :] = rng.uniform(-0.25, 0.25, (2, 16384)) * np.array([[1.0], [0.7]])
    return x


def _of_drivers(y: Real, filterset: FilterSet) -> Real:
    """The rows of the drivers, from those of all output channels; the others must be silent.

    Raises
    ------
    BadInput
        Another number of channels, or sound on one that no driver is on.
    """
    if len(y) != outputs(filterset):
        raise BadInput(f"the engine has {len(y)} output channels, {outputs(filterset)} are expected")
    rows = [c - 1 for c in filterset.channels]
    rest = np.delete(y, rows, axis=0)
    if rest.any():
        raise BadInput("the engine plays on an output channel without a driver")
    return y[rows]


def _fconvolver(folder: Path, x: Real, filterset: FilterSet) -> Real:
    files.write_all(folder, {"in.wav": wave(x, filterset.fs)})
    _run(folder, "fconvolver", jconvolver.CONF, "in.wav", "out.wav")
    return _of_drivers(files.read_all(folder / "out.wav"), filterset)


def _brutefir(folder: Path, x: Real, filterset: FilterSet) -> Real:
    files.write_all(folder, {"in.raw": np.ascontiguousarray(x.T, dtype="<f4").tobytes()})
    _run(folder, "brutefir", "-nodefault", brutefir.FILES)
    y = np.fromfile(folder / "out.raw", dtype="<f4").reshape(-1, outputs(filterset))
    return _of_drivers(y.T.astype(np.float64), filterset)


def _ffmpeg(folder: Path, x: Real, filterset: FilterSet) -> Real:
    files.write_all(folder, {"in.wav": wave(x, filterset.fs)})
    _run(folder, "sh", ffmpeg.SCRIPT, "in.wav", "out.wav")
    return _of_drivers(files.read_all(folder / "out.wav"), filterset)


def _camilladsp(folder: Path, x: Real, filterset: FilterSet) -> Real:
    files.write_all(folder, {"in.wav": wave(x, filterset.fs)})
    _run(folder, "camilladsp", "--check", camilladsp.CONF)
    _run(folder, "camilladsp", camilladsp.CONF)
    return _of_drivers(files.read_all(folder / "out.wav"), filterset)


RUNNERS: dict[str, Callable[[Path, Real, FilterSet], Real]] = {
    "jconvolver": _fconvolver,
    "brutefir": _brutefir,
    "ffmpeg": _ffmpeg,
    "camilladsp": _camilladsp,
}


def _firmware_db(folder: Path) -> float:
    """Largest error reported by the compiled program."""
    _run(folder, *["cc", "-O2", "-o", "check", firmware.PROGRAM, "-lm"])
    printed = _run(folder, "./check", ok=(0, 1))
    return max(float(v) for v in re.findall(r"(-?[\d.]+) dB", printed))


def _run(folder: Path, *words: str, ok: tuple[int, ...] = (0,), env: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=env
        )
    except subprocess.TimeoutExpired as fault:
        raise BadInput(f"{words[0]} did not finish within {PATIENCE_S:.0f} s") from fault
    if done.returncode not in ok:
        message = (done.stderr or done.stdout).strip()[-400:]
        raise BadInput(f"{words[0]} refused the exported files (exit code {done.returncode}): {message}")
    return done.stdout

"""Sound files, read and written in pieces: the door to soundfile; files are written atomically."""

from __future__ import annotations

import io
import re
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from sweetspot.processor.choices import BYTES, SUBTYPES
from sweetspot.processor.compiled import loop
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import (
    alone,
    alone_in,
    begin_to_disk,
    broken_off,
    cause,
    check_place,
    mended_wave,
    replacing,
    without_clock,
)
from sweetspot.rigs.storage import write as write_file
from sweetspot.rigs.units import Real

PIECE = 1 << 16
"""Samples read at a time."""
LARGEST_WAV = (1 << 32) - 4096
"""Bytes that a plain WAV can hold; larger ones are written as RF64."""
LARGEST_SAMPLE = 100.0
"""Largest magnitude of a sample that is taken for sound, full scale = 1: 40 dB above it. Counts of a converter, written
as floating point, reach 32768 and more."""
TOGETHER = 16
"""Samples of all channels that are looked at at once."""


class SoundSource:
    """A stereo file that is read in pieces.

    Attributes
    ----------
    fs
        Sampling rate, Hz.
    samples
        Samples per channel according to the header.
    channels
        Channels in the file.
    cut
        Stated and actual length of a truncated file; else empty.
    """

    def __init__(self, path: Path, *, mono: bool = False) -> None:
        self.path, self._mono = path, mono
        self._file = _open(path)
        self.fs, self.samples = int(self._file.samplerate), int(self._file.frames)
        self.channels = int(self._file.channels)
        self.cut = broken_off(str(self._file.extra_info))
        if complaint := self._complaint():
            self._file.close()
            raise BadInput(complaint)

    def _complaint(self) -> str:
        if self.samples == 0:
            return f"{self.path}: has no samples; a sound file is needed"
        if self.channels == 1 and not self._mono:
            return (
                f"{self.path}: has 1 channel, 2 are needed (left, right). "
                "Give --mono to play it to both sides, or convert it to stereo"
            )
        if self.channels > 2 or (self._mono and self.channels != 1):
            wanted = "1 is needed with --mono" if self._mono else "2 are needed (left, right)"
            return (
                f"{self.path}: has {self.channels} channels, {wanted}. Choose them with: sox IN OUT remix 1 2; a "
                "surround mix, whose centre has the voices, is mixed down with: ffmpeg -i IN -ac 2 OUT"
            )
        return ""

    def __enter__(self) -> SoundSource:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def rewind(self) -> None:
        """Go back to the beginning."""
        self._file.seek(0)

    def pieces(self) -> Iterator[Real]:
        """``(2, n)`` float64, full scale = 1, to the end of the file; see :meth:`frames`."""
        return (np.ascontiguousarray(x.T) for x in self.frames("float64"))

    def frames(self, dtype: str = "float32") -> Iterator[Real]:
        """``(n, 2)``, full scale = 1, to the end of the file.

        Raises
        ------
        BadInput
            A sample is not finite or larger than :data:`LARGEST_SAMPLE`, or the file breaks off.
        """
        done = 0
        while True:
            try:
                x = self._file.read(PIECE, dtype=dtype, always_2d=True)
            except sf.LibsndfileError as fault:
                raise BadInput(f"{self.path}: cannot be read beyond sample {done}: {fault.error_string}") from fault
            if not len(x):
                return
            self._check(x, done)
            done += len(x)
            yield np.repeat(x, 2, axis=1) if self.channels == 1 else x

    def _check(self, x: Real, done: int) -> None:
        top, bottom = float(x.max()), float(x.min())  # both are NaN where a sample is
        if top <= LARGEST_SAMPLE and bottom >= -LARGEST_SAMPLE:
            return
        bad = np.argwhere(~np.isfinite(x))
        sample, channel = (int(i) for i in (bad if bad.size else np.argwhere(np.abs(x) > LARGEST_SAMPLE))[0])
        where = f"{self.path}: channel {channel + 1} holds {x[sample, channel]:g} at sample {done + sample}"
        where = f"{where} ({(done + sample) / self.fs:.3f} s)"
        if bad.size:
            raise BadInput(f"{where}; every sample must be finite. Repair or re-export the file")
        raise BadInput(
            f"{where}; full scale is 1, and at most {LARGEST_SAMPLE:g} (40 dB above it) is taken for sound. If these "
            f"are counts of a converter, divide them by its full scale, such as 32768"
        )


def to_counts(y: Any, counts: Any) -> None:
    """Samples ``(n,)`` as 32-bit counts, of which a file of 24 bits keeps the upper ones; clipped at full scale."""
    for i in range(y.size):
        counts[i] = np.int32(np.rint(min(max(float(y[i]) * 2147483648.0, -2147483648.0), 2147483647.0)))


def packed(counts: Any, words: Any) -> None:
    """The upper 24 bits of four times as many 32-bit counts as ``words`` are thirds, end to end, low byte first."""
    for k in range(counts.size // 4):
        a, b = np.uint32(counts[4 * k]) >> np.uint32(8), np.uint32(counts[4 * k + 1]) >> np.uint32(8)
        c, d = np.uint32(counts[4 * k + 2]) >> np.uint32(8), np.uint32(counts[4 * k + 3]) >> np.uint32(8)
        words[3 * k] = a | (b << np.uint32(24))
        words[3 * k + 1] = (b >> np.uint32(8)) | (c << np.uint32(16))
        words[3 * k + 2] = (c >> np.uint32(16)) | (d << np.uint32(8))


class Sink:
    """A file that is being written; use :func:`sink`."""

    def __init__(self, file: Any, subtype: str) -> None:
        self._file, self.written = file, 0
        self._dither = np.random.default_rng(0) if subtype == "PCM_16" else None

    def write(self, y: Real) -> None:
        """Append ``(channels, n)``; 16 bit is dithered (triangular, two steps wide)."""
        if self._dither is not None:
            y = y + (self._dither.random(y.shape) - self._dither.random(y.shape)) / 32768.0
        self._file.write(np.ascontiguousarray(y.T))
        self.written += y.shape[1]


def add_tops(y: Any, tops: Any) -> None:
    """Add samples to largest magnitudes, of which each takes every ``tops.size``-th in turn."""
    for first in range(0, y.size, tops.size):
        row = y[first : first + tops.size]
        for k in range(row.size):
            tops[k] = max(tops[k], abs(row[k]))


class Tops:
    """First sample of largest magnitude of each channel of a file."""

    def __init__(self, channels: int) -> None:
        self.values, self.places = np.zeros(channels, dtype=np.float32), np.zeros(channels, dtype=np.int64)

    def add(self, y: NDArray[np.float32], place: int) -> None:
        """The next samples ``(n, channels)``, of which the first is at ``place`` in the file."""
        tops = np.zeros((TOGETHER, y.shape[1]), dtype=np.float32)
        loop(add_tops)(y.reshape(-1), tops.reshape(-1))
        for channel in np.flatnonzero(tops.max(axis=0) > self.values):
            row = np.abs(y[:, channel])
            first = int(np.argmax(row))
            self.values[channel], self.places[channel] = row[first], place + first


class WaveSink:
    """A WAV file of 24-bit or 32-bit counts or 32-bit floats that is being written behind the header of libsndfile.

    The bytes are libsndfile's, which takes two (floats) to six times as long to make them, and waits for the disk at
    the end: 40 ms a minute of eight channels, where the disk can begin with the first samples.
    """

    def __init__(self, file: BinaryIO, subtype: str, channels: int) -> None:
        self._file, self._subtype, self.written = file, subtype, 0
        self._begins, self._tops = file.seek(0, io.SEEK_END), Tops(channels)

    def write(self, y: Real) -> None:
        """Append ``(channels, n)``."""
        data = self._floats(y) if self._subtype == "FLOAT" else self._counts(y)
        begins = self._file.tell()
        self._file.write(data.data)
        self._file.flush()
        begin_to_disk(self._file.fileno(), begins, data.nbytes)
        self.written += y.shape[1]

    def _floats(self, y: Real) -> NDArray[Any]:
        frames = np.ascontiguousarray(y.T, dtype=np.float32)
        self._tops.add(frames, self.written)
        return frames.astype("<f4", copy=False)

    def _counts(self, y: Real) -> NDArray[Any]:
        counts = np.empty(-(-y.size // 4) * 4, dtype=np.int32)
        counts[y.size :] = 0
        loop(to_counts)(np.ascontiguousarray(y.T).reshape(-1), counts[: y.size])
        data = counts.astype("<i4", copy=False)
        if self._subtype == "PCM_24":
            data = np.empty(3 * counts.size // 4, dtype=np.uint32)
            loop(packed)(counts, data)
            data = data.astype("<u4", copy=False)
        return data.view(np.uint8)[: y.size * BYTES[self._subtype]]

    def close(self) -> None:
        """Put the sizes into the header, and of floats the number of samples and the peaks."""
        size = self._file.tell() - self._begins
        self._file.write(bytes(size % 2))
        values = [(4, self._file.tell() - 8), (self._begins - 4, size)]
        self._put(*((place, struct.pack("<I", value)) for place, value in values))
        if self._subtype == "FLOAT":  # what ends the header: number of samples; PEAK chunk; head of the samples
            peaks = zip(self._tops.values.tolist(), self._tops.places.tolist(), strict=True)
            chunk = b"".join(struct.pack("<fI", *peak) for peak in peaks)
            first = self._begins - 8 - len(chunk)
            self._put((first - 20, struct.pack("<I", self.written)), (first, chunk))

    def _put(self, *parts: tuple[int, bytes]) -> None:
        for place, data in parts:
            self._file.seek(place)
            self._file.write(data)


@contextmanager
def sink(path: Path, fs: int, channels: int, subtype: str, samples: int) -> Iterator[Sink | WaveSink]:
    """A file of about ``samples`` samples; it takes its name when the block ends well, and is gone otherwise.

    Raises
    ------
    BadInput
        The format cannot hold it, the folder is missing or read-only, or the disk is full; what existed at ``path``
        is untouched.
    """
    size = samples * channels * BYTES[subtype]
    form = _format(path, subtype, channels, size)
    ours = form == "WAV" and subtype in ("PCM_24", "PCM_32", "FLOAT")
    _room(path, size)
    with alone(path), replacing(path) as fresh:
        try:
            with sf.SoundFile(fresh, "w", samplerate=fs, channels=channels, format=form, subtype=subtype) as file:
                out: Sink | WaveSink = Sink(file, subtype)
                if not ours:
                    yield out
            if ours:
                with fresh.open("r+b") as header:
                    out = WaveSink(header, subtype, channels)
                    yield out
                    out.close()
            _whole(fresh, out.written)
            without_clock(fresh)
        except (sf.LibsndfileError, AssertionError, OSError) as fault:
            raise BadInput(f"{path}: {_why(fault, fresh, path)}; nothing was changed") from fault


def _why(fault: Exception, fresh: Path, path: Path) -> str:
    """Reason why a sound file cannot be written, from the system, since the library only reports a failure."""
    free = shutil.disk_usage(path.parent).free
    if free < 1 << 20:
        return f"the disk is full ({free / 1e6:.1f} MB free); make room or name another place"
    if isinstance(fault, OSError):
        return cause(fault, path)
    try:
        with fresh.open("ab", buffering=0) as file:
            file.write(bytes(1 << 16))
    except OSError as true:
        return cause(true, path)
    return f"cannot be written: {fault}; name another place"


class Split:
    """One file per channel, written side by side; use :func:`split`."""

    def __init__(self, sinks: list[Sink | WaveSink]) -> None:
        self._sinks = sinks

    def write(self, y: Real) -> None:
        """Append ``(channels, n)``."""
        for row, out in zip(y, self._sinks, strict=True):
            out.write(row[None])


@contextmanager
def split(path: Path, fs: int, names: Sequence[str], subtype: str, samples: int) -> Iterator[Split]:
    """A mono file per name, ``OUT_1_name.wav`` for ``OUT.wav``; see :func:`sink`."""
    _room(path, samples * len(names) * BYTES[subtype])
    with ExitStack() as stack:
        yield Split([stack.enter_context(sink(p, fs, 1, subtype, samples)) for p in parts(path, names)])


def parts(path: Path, names: Sequence[str]) -> list[Path]:
    """The files that :func:`split` writes: numbers from 1, plain letters."""
    plain = [re.sub(r"[^A-Za-z0-9_-]", "_", name) for name in names]
    return [path.with_name(f"{path.stem}_{i + 1}_{name}{path.suffix}") for i, name in enumerate(plain)]


def _open(path: Path) -> Any:
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "is a pipe or a device" if path.exists() else "no such file"
        raise BadInput(f"{path}: {found}; a sound file is needed")
    try:
        return sf.SoundFile(mended_wave(path) or path)
    except (sf.LibsndfileError, OSError) as fault:
        if path.stat().st_size == 0:
            raise BadInput(f"{path}: is empty (0 bytes); a sound file is needed") from fault
        known = ", ".join(sorted(k.lower() for k in sf.available_formats()))
        raise BadInput(f"{path}: cannot be read as sound ({fault}). Known formats: {known}") from fault


def _format(path: Path, subtype: str, channels: int, size: int) -> str:
    form = path.suffix[1:].upper() or "WAV"
    if form not in sf.available_formats():
        raise BadInput(f"{path}: {path.suffix!r} is no format that can be written; name the file OUT.wav")
    if form == "WAV" and size > LARGEST_WAV:
        form = "RF64"
    if not sf.check_format(form, subtype):
        held = ", ".join(s for s in SUBTYPES if sf.check_format(form, s))
        if not held:
            raise BadInput(f"{path}: {form} holds none of {', '.join(SUBTYPES)}; name the file OUT.wav or OUT.flac")
        raise BadInput(f"{path}: {form} does not support {subtype}; it supports {held}. Name the file OUT.wav for any")
    if form == "FLAC" and channels > 8:
        raise BadInput(f"{path}: FLAC holds 8 channels, {channels} are needed; name the file OUT.wav")
    return form


def _room(path: Path, size: int) -> None:
    check_place(path)
    free = shutil.disk_usage(path.parent).free
    if free < size and path.suffix.lower() != ".flac":
        raise BadInput(
            f"{path}: the disk has {free / 1e6:.1f} MB free, {size / 1e6:.1f} MB are needed; nothing was changed. Free "
            f"some space or give another folder"
        )


def _whole(path: Path, samples: int) -> None:
    """Refuse incompletely written files."""
    found = sf.info(path).frames
    if found != samples:
        raise OSError(f"{found} of {samples} samples were written to the disk")


def read_all(path: Path) -> Real:
    """A short sound file as ``(channels, samples)`` float64.

    Raises
    ------
    BadInput
        No such file, or no sound in it.
    """
    with _open(path) as file:
        return np.asarray(file.read(dtype="float64", always_2d=True).T)


def read_float(path: Path) -> tuple[np.ndarray[Any, np.dtype[np.float32]], int]:
    """Samples ``(channels, samples)`` of a sound file and its rate, Hz.

    Raises
    ------
    BadInput
        No such file, or no sound in it.
    """
    with _open(path) as file:
        return np.asarray(file.read(dtype="float32", always_2d=True).T), int(file.samplerate)


def write_float(path: Path, y: Real, fs: int) -> None:
    """Write ``(channels, samples)`` as a 32-bit float WAV file, whole or not at all."""
    with sink(path, fs, len(y), "FLOAT", y.shape[1]) as file:
        file.write(y)


def write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into one folder, created if missing; each replaces an older one atomically.

    Raises
    ------
    BadInput
        The folder cannot be made or written, or the disk is full.
    """
    try:
        with alone_in(folder):
            for name, data in contents.items():
                write_file(folder / name, data)
    except OSError as fault:
        raise BadInput(f"{folder}: cannot be written: {fault.strerror}. Choose another folder") from fault


def counted(pieces: Iterable[Real], step: Callable[[str], None]) -> Iterator[Real]:
    """The pieces; ``step`` is called after each."""
    for x in pieces:
        yield x
        step("")


def compressed(y: Real, fs: int) -> bytes:
    """A short signal ``(channels, samples)`` as an MP3 file, brought to 44.1 kHz where MP3 does not have its rate."""
    if fs not in (32000, 44100, 48000):
        y, fs = at_rate(y, fs, 44100), 44100
    out = io.BytesIO()
    sf.write(out, np.ascontiguousarray(y.T), fs, format="MP3", subtype="MPEG_LAYER_III")
    return out.getvalue()


def at_rate(x: Real, fs: int, wanted: int) -> Real:
    """A short signal ``(channels, samples)`` at another sampling rate."""
    if fs == wanted:
        return x
    import soxr  # only where rates differ

    return np.asarray(soxr.resample(np.ascontiguousarray(x.T), fs, wanted, quality="VHQ").T)


def resampled(pieces: Iterable[Real], fs: int, wanted: int) -> Iterator[Real]:
    """Pieces at another sampling rate (soxr, very high quality, linear phase, delay removed)."""
    if fs == wanted:
        yield from pieces
        return
    import soxr  # only where rates differ

    stream = soxr.ResampleStream(fs, wanted, 2, dtype="float64", quality="VHQ")
    for x in pieces:
        yield stream.resample_chunk(np.ascontiguousarray(x.T)).T
    yield stream.resample_chunk(np.zeros((0, 2)), last=True).T

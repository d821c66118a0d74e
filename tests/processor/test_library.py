"""The C library is the same processor as our engine: sample by sample, stop by stop, and it refuses a bad blob."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sweetspot.processor import files
from sweetspot.processor.engine import Engine
from sweetspot.processor.export import c_library
from sweetspot.processor.export.library import source_files, unit_blob
from sweetspot.processor.filterset import FilterSet, UpmixSettings
from sweetspot.processor.live import bypass
from sweetspot.rigs.errors import BadInput

Real = NDArray[Any]

HERE = Path(__file__).parent
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion", "-Wdouble-promotion")
COMPILERS = [
    pytest.param(c, marks=pytest.mark.skipif(shutil.which(c) is None, reason=f"{c} is absent: apt-get install {c}"))
    for c in ("gcc", "clang")
]
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is absent: apt-get install gcc libc6-dev")
CODES = (
    *("OK", "TOO_SHORT", "NOT_A_BLOB", "OTHER_FORMAT", "DAMAGED", "BAD_SIZE", "OTHER_RATE", "BAD_BLOCK", "NO_MEMORY"),
)


def crooked(drivers: int = 5, taps: int = 300, fs: int = 47872, method: str = "projection", loud: float = 1.0) -> Any:
    rng = np.random.default_rng(drivers)
    h = rng.standard_normal((3, drivers, taps)) * np.exp(-np.arange(taps) / 60.0)
    return FilterSet(
        taps=loud * h / np.abs(h).sum(axis=(0, 2)).max(),
        fs=fs,
        drivers=tuple(f"d{i}" for i in range(drivers)),
        ceiling=0.5,
        delay_samples=7,
        headroom_db=1.0,
        channels=tuple(range(drivers + 1, 1, -1)),
        source="0" * 64,
        unit_serial="SN-1",
        upmix=UpmixSettings(method=method, amount=0.9),
    )


def music(n: int, loud: float = 0.25) -> Real:
    """A part that both sides share, one that they don't, silence, one side alone, and an impulse."""
    rng = np.random.default_rng(3)
    x = rng.uniform(-0.6, 0.6, n) + rng.uniform(-0.4, 0.4, (2, n))
    x[:, n // 4 : n // 3] = 0.0
    x[1, n // 2 : 2 * n // 3] = 0.0
    x[:, -2000:] = 0.0
    x[:, -1500] = 1.0, -0.5
    return np.asarray((loud * x).astype(np.float32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, as an export writes them."""
    where = tmp_path_factory.mktemp("library")
    files.write_all(where, c_library.bundle(crooked()).everything())
    return where


@pytest.fixture(scope="module")
def shared(folder: Path) -> ctypes.CDLL:
    sources = [s for s in c_library.LIBRARY if s.endswith(".c")]
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", "lib.so", *sources, "-lm"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "lib.so"))
    library.sweetspot_memory.restype = ctypes.c_size_t
    library.sweetspot_init.restype = ctypes.c_void_p
    library.sweetspot_least_gain.restype = ctypes.c_float
    return library


class Library:
    """The C library through ctypes."""

    def __init__(self, library: ctypes.CDLL, data: bytes, block: int) -> None:
        self._library, self.info = library, ctypes.create_string_buffer(4096)
        assert library.sweetspot_check(data, ctypes.c_size_t(len(data)), 0, self.info) == 0
        size = library.sweetspot_memory(self.info, block)
        self._memory, code = ctypes.create_string_buffer(size + 64), ctypes.c_int()
        at = ctypes.c_void_p((ctypes.addressof(self._memory) + 63) & ~63)
        made = library.sweetspot_init(at, ctypes.c_size_t(size), self.info, block, ctypes.byref(code))
        assert code.value == 0
        self.state, self.drivers = ctypes.c_void_p(made), struct.unpack_from("<I", self.info, 4)[0]

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, f"sweetspot_{name}")
        return lambda *given: function(self.state, *(ctypes.c_float(v) if isinstance(v, float) else v for v in given))

    def process(self, x: Real, cuts: Sequence[int] = ()) -> Real:
        x, at = np.ascontiguousarray(x, dtype=np.float32), 0
        y = np.zeros((self.drivers, x.shape[1]), dtype=np.float32)
        for n in cuts or [x.shape[1]]:
            given = (ctypes.c_void_p * 2)(*(row.ctypes.data + 4 * at for row in x))
            taken = (ctypes.c_void_p * self.drivers)(*(row.ctypes.data + 4 * at for row in y))
            self._library.sweetspot_process(self.state, given, taken, n)
            at += n
        return y


def ragged(total: int, longest: int = 700) -> list[int]:
    rng, cuts = np.random.default_rng(5), [0, 1]
    while sum(cuts) < total:
        cuts.append(min(int(rng.integers(0, longest)), total - sum(cuts)))
    return cuts


def error_db(y: Real, wanted: Real) -> float:
    return float(10.0 * np.log10(np.sum((y - wanted) ** 2) / np.sum(wanted**2)))


CASES = [
    ("soft-projection", 5, 200, 44100, 128, 1.0),
    ("soft-projection", 2, 1500, 47872, 64, 40.0),
    ("projection", 5, 300, 47872, 64, 1.0),
    ("projection", 8, 1024, 44100, 256, 40.0),
    ("low-latency", 3, 77, 48000, 16, 1.0),
    ("low-latency", 2, 2048, 96000, 1024, 40.0),
    ("similarity", 7, 129, 47872, 128, 1.0),
    ("pca", 4, 500, 48000, 32, 40.0),
    ("off", 6, 1000, 44100, 512, 40.0),
    ("off", 1, 1, 47872, 16, 1.0),
]
"""Upmix, drivers, taps, rate, block, gain of the filters: above 1 the guard works. One table for both processors."""


@pytest.mark.parametrize(("method", "drivers", "taps", "fs", "block", "loud"), CASES)
def test_it_plays_what_our_engine_plays(
    shared: ctypes.CDLL, method: str, drivers: int, taps: int, fs: int, block: int, loud: float
) -> None:
    filters = crooked(drivers, taps, fs, method, loud)
    x = music(24000 if loud <= 1.0 else 2 * fs)
    ours = Engine(filters, block)
    wanted = ours.process(x.astype(np.float64))
    whole, cut = (Library(shared, unit_blob(filters), block) for _ in range(2))
    assert whole.latency() == ours.latency
    assert error_db(whole.process(x), wanted) < -120
    assert error_db(cut.process(x, ragged(x.shape[1])), wanted) < -120
    assert whole.least_gain() == pytest.approx(ours.guard.least_gain, abs=1e-5)
    assert (ours.guard.least_gain < 0.9) == (loud > 1.0)


def test_the_linear_upmix_is_the_linear_form(shared: ctypes.CDLL) -> None:
    """By its definition, with numpy's convolution: C = a (L + R) with a = amount / 2, and the sides keep the rest."""
    filters = crooked(3, 40, method="off")
    data = bytearray(unit_blob(filters))
    struct.pack_into("<I", data, 40, 5)
    struct.pack_into("<I", data, 16, zlib.crc32(data[20:]))
    x = music(3000)
    c = 0.45 * (x[0] + x[1])
    programs = np.stack([x[0] - c, x[1] - c, c]).astype(np.float64)
    wanted = [
        sum(np.convolve(p, h)[:3000] for p, h in zip(programs, filters.taps[:, d], strict=True)) for d in range(3)
    ]
    one = Library(shared, bytes(data), 64)
    late = one.latency()
    assert error_db(one.process(x)[:, late:], np.array(wanted)[:, : 3000 - late]) < -120


@pytest.mark.parametrize(("method", "drivers", "taps", "loud"), [("off", 5, 300, 1.0), ("low-latency", 2, 1000, 6.0)])
def test_q31_is_the_linear_form_to_its_noise_floor(
    shared: ctypes.CDLL, method: str, drivers: int, taps: int, loud: float
) -> None:
    """By its definition in numpy, under the ceiling; above it the output stops there."""
    filters = crooked(drivers, taps, method=method, loud=loud)
    data, info, code = unit_blob(filters), ctypes.create_string_buffer(4096), ctypes.c_int()
    assert shared.sweetspot_check(data, ctypes.c_size_t(len(data)), 0, info) == 0
    shared.sweetspot_fixed_memory.restype = ctypes.c_size_t
    shared.sweetspot_fixed_init.restype = ctypes.c_void_p
    size = shared.sweetspot_fixed_memory(info)
    room = ctypes.create_string_buffer(size + 64)
    at = ctypes.c_void_p((ctypes.addressof(room) + 63) & ~63)
    made = shared.sweetspot_fixed_init(at, ctypes.c_size_t(size), info, 0, ctypes.byref(code))
    assert code.value == 0
    state = ctypes.c_void_p(made)
    assert shared.sweetspot_fixed_shift(state) == (3 if loud > 1.0 else 1)

    def played(x: Real) -> Real:
        q = np.ascontiguousarray(np.clip(np.rint(x * 2.0**31), -(2**31), 2**31 - 1).astype(np.int32))
        y = np.zeros((drivers, q.shape[1]), dtype=np.int32)
        for start, n in ((0, 1), (1, 0), (1, 700), (701, q.shape[1] - 701)):
            given = (ctypes.c_void_p * 2)(*(row.ctypes.data + 4 * start for row in q))
            taken = (ctypes.c_void_p * drivers)(*(row.ctypes.data + 4 * start for row in y))
            shared.sweetspot_fixed_process(state, given, taken, n)
        return y / 2.0**31

    x = music(6000, 0.4 / loud).astype(np.float64)
    a = 0.0 if method == "off" else 0.45
    c = a * (x[0] + x[1])
    programs = np.stack([x[0] - c, x[1] - c, c])
    pairs = [zip(programs, filters.taps[:, d].astype(np.float32), strict=True) for d in range(drivers)]
    wanted = np.array([sum(np.convolve(p, h)[:6000] for p, h in pair) for pair in pairs])
    assert np.abs(wanted).max() < filters.ceiling
    assert error_db(played(x), wanted) < -125
    if loud > 1.0:
        worst = np.zeros((2, 1500))
        worst[0, :taps] = np.sign(filters.taps[0, 0, ::-1])
        assert np.abs(played(worst)).max() == pytest.approx(filters.ceiling, abs=1e-6)


def test_the_guard_stops_what_our_guard_stops(shared: ctypes.CDLL) -> None:
    filters = crooked(method="off", loud=5.0)
    for bad in (np.nan, np.inf):
        x = music(4000)
        x[1, 2000] = bad
        one = Library(shared, unit_blob(filters), 64)
        y = one.process(x)
        assert one.stopped() == 1
        assert not y[:, 2000:].any()
        assert one.process(music(4000)).any() is np.False_
        one.reset()
        assert one.stopped() == 0
        assert one.process(music(4000)).any()
    steady = np.full((2, 47872), 1.0, dtype=np.float32)
    ours, one = Engine(filters, 64), Library(shared, unit_blob(filters), 64)
    stopped = [next((i for i in range(0, 47872, 64) if step(steady[:, i : i + 64])), -1) for step in (
        lambda x: (ours.process(x.astype(np.float64)), ours.stopped)[1],
        lambda x: (one.process(x), one.stopped())[1],
    )]  # fmt: skip
    assert one.stopped() == 3
    assert stopped[0] > 0
    assert abs(stopped[0] - stopped[1]) <= 64


def test_nothing_passes_the_ceiling(shared: ctypes.CDLL) -> None:
    filters = crooked(method="low-latency", loud=30.0)
    one = Library(shared, unit_blob(filters), 64)
    square = np.sign(np.sin(2 * np.pi * 90 * np.arange(40000) / filters.fs))
    y = one.process(np.stack([square, -square]))
    assert one.stopped() == 0
    assert 0.49 < np.abs(y).max() <= np.float32(0.5)


def test_controls_do_what_ours_do(shared: ctypes.CDLL) -> None:
    """Another set, the bypass and the gain: where the fades are over, exactly the other signal."""
    filters, x = crooked(method="low-latency"), music(30000)
    other = replace(filters, taps=filters.taps[::-1, ::-1])
    data = unit_blob(filters, (1, 3), [(other, (0.0, 0.4, 5.0))])

    def played(change: Any) -> Real:
        one = Library(shared, data, 64)
        one.process(x[:, :9000])
        change(one)
        return one.process(x[:, 9000:], ragged(21000))[:, 6000:]

    def wanted(f: FilterSet) -> Real:
        return Engine(f, 64).process(x.astype(np.float64))[:, 15000:]

    assert error_db(played(lambda one: one.select(1, 0.05)), wanted(other)) < -120
    assert error_db(played(lambda one: one.set_bypass(1, 0.03)), wanted(bypass(filters, (1, 3)))) < -120
    assert error_db(played(lambda one: one.set_gain(0.25, 0.03)), 0.25 * wanted(filters)) < -120
    one = Library(shared, data, 64)
    assert shared.sweetspot_nearest(one.info, ctypes.c_float(0.0), ctypes.c_float(0.3)) == 1
    assert shared.sweetspot_nearest(one.info, ctypes.c_float(0.1), ctypes.c_float(-0.3)) == 0


def test_a_change_of_sets_is_our_crossfade(shared: ctypes.CDLL) -> None:
    """Our engine lets the new filters hear their own length first; the library's have heard everything already."""
    filters, x = crooked(method="off"), music(12000)
    other = replace(filters, taps=-filters.taps[::-1])
    ours, one = Engine(filters, 64), Library(shared, unit_blob(filters, others=[(other, (0, 0, 0))]), 64)
    begin = 5000
    head = ours.process(x[:, : begin - filters.length].astype(np.float64))
    ours.exchange(other, 0.05)
    wanted = np.concatenate([head, ours.process(x[:, begin - filters.length :].astype(np.float64))], axis=1)
    first = one.process(x[:, :begin])
    one.select(1, 0.05)
    assert error_db(np.concatenate([first, one.process(x[:, begin:])], axis=1), wanted) < -120


def patched(data: bytes, at: int, form: str, value: float) -> bytes:
    """A field changed and the checksum made right again."""
    new = bytearray(data)
    struct.pack_into(form, new, at, value)
    struct.pack_into("<I", new, 16, zlib.crc32(new[20:]))
    return bytes(new)


DAMAGES: dict[str, tuple[Any, str]] = {
    "cut": (lambda d: d[:-4], "TOO_SHORT"),
    "empty": (lambda d: b"", "TOO_SHORT"),
    "other file": (lambda d: b"RIFF" + d[4:], "NOT_A_BLOB"),
    "old": (lambda d: patched(d, 8, "<I", 0), "OTHER_FORMAT"),
    "one bit": (lambda d: d[:999] + bytes([d[999] ^ 1]) + d[1000:], "DAMAGED"),
    "no drivers": (lambda d: patched(d, 24, "<I", 0), "BAD_SIZE"),
    "more drivers than data": (lambda d: patched(d, 24, "<I", 6), "BAD_SIZE"),
    "huge": (lambda d: patched(d, 28, "<I", 2**31), "BAD_SIZE"),
    "ceiling above full scale": (lambda d: patched(d, 64, "<f", 1.5), "BAD_SIZE"),
    "no number": (lambda d: patched(d, 56, "<f", float("nan")), "BAD_SIZE"),
    "window": (lambda d: patched(d, 44, "<I", 1000), "BAD_SIZE"),
    "bypass on a driver that is not there": (lambda d: patched(d, 72, "<I", 5), "BAD_SIZE"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_blob_is_refused(shared: ctypes.CDLL, damage: str) -> None:
    change, code = DAMAGES[damage]
    data = change(unit_blob(crooked()))
    info = ctypes.create_string_buffer(4096)
    assert CODES[shared.sweetspot_check(data, ctypes.c_size_t(len(data)), 0, info)] == code


def test_another_rate_a_bad_block_and_too_little_memory_are_refused(shared: ctypes.CDLL) -> None:
    data, info, code = unit_blob(crooked()), ctypes.create_string_buffer(4096), ctypes.c_int()
    assert shared.sweetspot_check(data, ctypes.c_size_t(len(data)), 48000, info) == CODES.index("OTHER_RATE")
    assert shared.sweetspot_check(data, ctypes.c_size_t(len(data)), 47872, info) == 0
    assert shared.sweetspot_memory(info, 100) == 0
    size = shared.sweetspot_memory(info, 64)
    room = ctypes.create_string_buffer(size + 64)
    at = (ctypes.addressof(room) + 63) & ~63
    for where, bytes_, block, wanted in (
        (at, size, 100, "BAD_BLOCK"),
        (at, size - 1, 64, "NO_MEMORY"),
        (at + 4, size, 64, "NO_MEMORY"),
        (0, size, 64, "NO_MEMORY"),
    ):
        made = shared.sweetspot_init(ctypes.c_void_p(where), ctypes.c_size_t(bytes_), info, block, ctypes.byref(code))
        assert made is None
        assert code.value == CODES.index(wanted)


def test_what_the_library_cannot_take_is_named() -> None:
    with pytest.raises(BadInput, match="65 drivers: the C library takes at most 64"):
        unit_blob(crooked(65, 4))
    with pytest.raises(BadInput, match="a power of two"):
        unit_blob(replace(crooked(), upmix=UpmixSettings(window=960, hop=240)))
    with pytest.raises(BadInput, match="they must be the same"):
        unit_blob(crooked(), others=[(crooked(taps=299), (0.0, 0.0, 0.0))])


@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_compiler_has_anything_to_say(folder: Path, compiler: str) -> None:
    for flags in (("-O0",), ("-O3", "-march=native", "-ffp-contract=fast")):
        for source in (*(s for s in c_library.LIBRARY if s.endswith(".c")), "example.c"):
            line = [compiler, *STRICT, *flags, "-c", "-o", "unused.o", source]
            done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, ""), f"{source} {flags}"


def test_the_sanitizers_find_nothing(folder: Path, tmp_path: Path) -> None:
    """Ten seconds of everything that is bad for a processor; tests/bench/library.py does ten minutes."""
    filters = crooked(3, 200, 48000, "low-latency", 4.0)
    (tmp_path / "unit.blob").write_bytes(unit_blob(filters, others=[(filters, (0.1, 0.2, 0.0))]))
    sources = [str(folder / s) for s in c_library.LIBRARY if s.endswith(".c")]
    flags = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{folder}"]
    subprocess.run(["gcc", *flags, "-o", "stress", str(HERE / "stress.c"), *sources, "-lm"], cwd=tmp_path, check=True)
    done = subprocess.run(["./stress", "unit.blob", "10"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout.split()[0]) > 0


def test_the_example_is_short() -> None:
    assert len(source_files("hosts/example.c")["example.c"].splitlines()) <= 60


def test_the_header_holds_the_blob(folder: Path) -> None:
    text = (folder / c_library.HEADER).read_text()
    body = text[text.index("{") + 1 : text.index("}")]
    assert bytes(int(v) for v in body.split(",")) == (folder / c_library.BLOB).read_bytes()

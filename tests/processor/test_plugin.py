"""The LV2 plug-in with a bank: its controls in a host, its latency, its state, and the export that makes it."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweetspot.processor import files, store
from sweetspot.processor.bank import FilterBank, StoredBank
from sweetspot.processor.engine import Engine
from sweetspot.processor.export import Options, whole_bundle
from sweetspot.processor.export.bundles import wave
from sweetspot.processor.export.lv2 import address
from sweetspot.processor.filterset import NO_DETECTORS
from sweetspot.processor.plain import bypass, on_pair
from sweetspot.rigs.units import db
from tests.processor.library.loaded import crooked, detectors, error_db, music

MISSING = [t for t in ("gcc", "make", "lv2apply", "lv2_validate") if shutil.which(t) is None]
needs_tools = pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} absent: `make test` installs them")
AT = np.array([[2.0, 0.0, 0.0], [2.0, 0.4, 0.2], [1.6, -0.3, -0.2]])


def bank() -> FilterBank:
    rng = np.random.default_rng(4)
    taps = rng.standard_normal((3, 3, 3, 120)) * np.exp(-np.arange(120) / 30.0) / 30.0
    home = replace(crooked(3, 120, method="low-latency"), detectors=detectors(4.0))
    return FilterBank(home, AT, taps.astype(np.float32), 2, 0.1)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built plug-in with all places."""
    folder = tmp_path_factory.mktemp("lv2") / "sweetspot.lv2"
    files.write_all(folder, whole_bundle(bank(), "lv2", Options(plain=on_pair((0, 2), 3))).everything())
    subprocess.run(["make", "--silent", "CFLAGS=-O1", "lv2"], cwd=folder, check=True)
    return folder


CONTROLS: dict[str, tuple[tuple[str, ...], Callable[[Engine], Engine]]] = {
    "as it starts": ((), lambda e: e),
    "a listener": (("listener_x", "2.05", "listener_y", "0.35"), lambda e: playing(bank().at(1))),
    "a listener far away": (("listener_x", "1.3", "listener_y", "0.7"), lambda e: playing(bank().at(1))),
    "a set by its number": (("set", "1"), lambda e: playing(bank().at(0))),
    "the bypass": (("enabled", "0"), lambda e: playing(bypass(bank().at(2), on_pair((0, 2), 3)))),
    "the gain": (("gain", "-20"), lambda e: playing(replace(bank().at(2), taps=0.1 * bank().at(2).taps))),
    "the amount": (("amount", "0.25"), lambda e: amount(e, 0.25)),
}


def playing(filters: Any) -> Engine:
    return Engine(filters, 64)


def amount(engine: Engine, value: float) -> Engine:
    engine.amount = value
    return engine


@needs_tools
@pytest.mark.parametrize("control", CONTROLS)
def test_each_control_does_what_our_engine_does(plugin: Path, tmp_path: Path, control: str) -> None:
    """Where the fades are over."""
    words, change = CONTROLS[control]
    x = music(24000)
    wanted = change(playing(bank().at(2))).process(x.astype(np.float64))
    files.write_all(tmp_path, {"in.wav": wave(x, 47872)})
    given = [w for i in range(0, len(words), 2) for w in ("-c", words[i], words[i + 1])]
    command = ["lv2apply", "-i", "in.wav", "-o", "out.wav", *given, address(bank().home)]
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"LV2_PATH": str(plugin.parent)}, check=True)
    y = files.read_all(tmp_path / "out.wav")
    assert error_db(y[:, 6000:], wanted[:, 6000 : y.shape[1]]) < -120


@needs_tools
def test_its_description_is_valid_and_names_the_places(plugin: Path) -> None:
    names = [str(plugin / n) for n in ("manifest.ttl", "sweetspot.ttl")]
    done = subprocess.run(["lv2_validate", *names], capture_output=True, text=True, timeout=60, check=False)
    assert "Found 0 errors" in done.stdout + done.stderr, done.stderr[-800:]
    text = (plugin / "sweetspot.ttl").read_text()
    assert '"listener_y" ; lv2:name "Listener y" ; lv2:default -0.3 ; lv2:minimum -0.6 ; lv2:maximum 0.7' in text
    assert "lv2:maximum 3 ; lv2:portProperty lv2:integer" in text


CALL, POINTER, NUMBER = ctypes.CFUNCTYPE, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32)
MAP = CALL(ctypes.c_uint32, POINTER, ctypes.c_char_p)
STORE = CALL(ctypes.c_int, POINTER, ctypes.c_uint32, POINTER, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_uint32)
RETRIEVE = CALL(POINTER, POINTER, ctypes.c_uint32, ctypes.POINTER(ctypes.c_size_t), NUMBER, NUMBER)


class Descriptor(ctypes.Structure):
    """LV2_Descriptor."""

    _fields_ = (
        ("uri", ctypes.c_char_p),
        ("instantiate", CALL(POINTER, POINTER, ctypes.c_double, ctypes.c_char_p, POINTER)),
        ("connect_port", CALL(None, POINTER, ctypes.c_uint32, POINTER)),
        ("activate", CALL(None, POINTER)),
        ("run", CALL(None, POINTER, ctypes.c_uint32)),
        ("deactivate", POINTER),
        ("cleanup", CALL(None, POINTER)),
        ("extension_data", CALL(POINTER, ctypes.c_char_p)),
    )


class Feature(ctypes.Structure):
    """LV2_Feature."""

    _fields_ = (("uri", ctypes.c_char_p), ("data", ctypes.c_void_p))


class Map(ctypes.Structure):
    """LV2_URID_Map."""

    _fields_ = (("handle", ctypes.c_void_p), ("map", MAP))


class State(ctypes.Structure):
    """LV2_State_Interface."""

    _fields_ = (
        ("save", CALL(ctypes.c_int, POINTER, STORE, POINTER, ctypes.c_uint32, POINTER)),
        ("restore", CALL(ctypes.c_int, POINTER, RETRIEVE, POINTER, ctypes.c_uint32, POINTER)),
    )


class Host:
    """As little of a host as state and latency need."""

    def __init__(self, folder: Path) -> None:
        library = ctypes.CDLL(str(folder / "sweetspot.so"))
        library.lv2_descriptor.restype = ctypes.POINTER(Descriptor)
        self.plugin = library.lv2_descriptor(0)[0]
        self.known: list[bytes] = [b""]
        self.kept: dict[int, tuple[bytes, int]] = {}
        self._map = MAP(lambda _, uri: self.number(uri))
        held = Map(None, self._map)
        feature = Feature(b"http://lv2plug.in/ns/ext/urid#map", ctypes.cast(ctypes.pointer(held), ctypes.c_void_p))
        listed = (ctypes.c_void_p * 2)(ctypes.addressof(feature), None)
        self.instance = self.plugin.instantiate(ctypes.addressof(self.plugin), 47872.0, f"{folder}/".encode(), listed)
        found = self.plugin.extension_data(b"http://lv2plug.in/ns/ext/state#interface")
        self.state = ctypes.cast(found, ctypes.POINTER(State))[0]

    def number(self, uri: bytes) -> int:
        if uri not in self.known:
            self.known.append(uri)
        return self.known.index(uri)

    def save(self) -> int:
        def store(_: Any, key: int, value: int, size: int, kind: int, flags: int) -> int:
            self.kept[key] = (ctypes.string_at(value, size), kind)
            return 0 if flags == 3 else 1  # plain data that may be taken to another machine

        return int(self.plugin and self.state.save(self.instance, STORE(store), None, 0, None))

    def restore(self, kept: dict[int, tuple[bytes, int]]) -> int:
        buffers = {key: ctypes.create_string_buffer(data, len(data)) for key, (data, _) in kept.items()}

        def retrieve(_: Any, key: int, size: Any, kind: Any, flags: Any) -> Any:
            if key not in kept:
                return None
            size[0], kind[0], flags[0] = len(kept[key][0]), kept[key][1], 3
            return ctypes.addressof(buffers[key])

        return int(self.state.restore(self.instance, RETRIEVE(retrieve), None, 0, None))


@needs_tools
def test_its_state_reports_whose_filters_a_project_was_made_with(
    plugin: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    host = Host(plugin)
    assert host.save() == 0
    ((data, kind),) = host.kept.values()
    assert host.known[kind].endswith(b"atom#String")
    assert data == b"SN-1, session 000000000000\0"
    assert host.restore(host.kept) == 0
    assert capfd.readouterr().err == ""
    (key,) = host.kept
    for other in (b"SN-2, session 000000000000\0", b"SN-1, session 0123456789ab\0"):
        assert host.restore({key: (other, kind)}) == 0
        message = capfd.readouterr().err
        assert other.rstrip(b"\0").decode() in message
        assert "SN-1, session 000000000000" in message
    for bad in ({}, {key: (b"SN-2" * 40, kind)}, {key: (b"no end", kind)}, {key: (b"SN-2\0", kind + 1)}):
        assert host.restore(bad) == 0
        assert capfd.readouterr().err == ""


@needs_tools
def test_it_reports_its_latency_and_what_its_spl_limiter_does(plugin: Path) -> None:
    """Noise on one side."""
    host, n, ours = Host(plugin), 64, playing(bank().home)
    audio = [(ctypes.c_float * n)() for _ in range(5)]
    audio[1][:] = np.random.default_rng(1).choice([-1.0, 1.0], n).tolist()
    latency, spl = ctypes.c_float(-1.0), ctypes.c_float(-1.0)
    for port, buffer in enumerate(audio):
        host.plugin.connect_port(host.instance, port, ctypes.addressof(buffer))
    host.plugin.connect_port(host.instance, 5 + 7, ctypes.addressof(latency))
    host.plugin.connect_port(host.instance, 5 + 10, ctypes.addressof(spl))
    host.plugin.activate(host.instance)
    for _ in range(100):
        host.plugin.run(host.instance, n)
        ours.spl.memory.least = 1.0
        ours.process(np.array(audio[:2]))
        assert spl.value == pytest.approx(db(ours.spl.limiter[0]), abs=1e-3)
    assert spl.value < -0.5
    host.plugin.cleanup(host.instance)
    assert latency.value == ours.latency + bank().home.delay_samples


@needs_tools
def test_a_bank_and_two_sets_are_exported_as_one_processor(
    tmp_path: Path, sweetspot: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    file, other = tmp_path / "filterset.h5", tmp_path / "b.h5"
    home, found = replace(bank().home, detectors=detectors(3.0)), tmp_path / "ab" / "unit.blob"
    store.write(file, home, bank=StoredBank(bank(), {"mean_db": np.zeros(3, dtype=np.float32)}))
    store.write(other, replace(home, taps=home.taps[..., :100], detectors=detectors(5.0)[:, ::-1]))
    done = sweetspot("export", file, "--to", "c", "--bank", "--check", "--out", tmp_path / "c", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["error_db"] < -120
    listing = json.loads((tmp_path / "c" / "index.json").read_text())
    assert {place["folder"] for place in listing["places"]} == {"."}
    assert "sweetspot_set_listener" in listing["switch"]
    assert not list((tmp_path / "c").glob("place-*"))
    both = sweetspot("export", file, "--to", "lv2", "--b", other, "--out", tmp_path / "ab")
    assert both.returncode == 0, both.stderr
    assert "lv2:maximum 2 ; lv2:portProperty lv2:integer" in (tmp_path / "ab" / "sweetspot.ttl").read_text()
    data = found.read_bytes()
    (taps,) = struct.unpack_from("<I", data, 128)
    both_of = np.abs(np.fft.rfft(np.frombuffer(data[-24 * taps :], "<f4").reshape(2, 3, taps), 4096))
    for one in (detectors(3.0), detectors(5.0)[:, ::-1]):
        assert (both_of > 0.99 * np.abs(np.fft.rfft(one, 4096))).all()
    b = ("--b", other)
    for words, message in (
        (("--to", "wav", *b), "for c, lv2, pipewire"),
        (("--to", "c", *b, "--bank"), "omit one of them"),
    ):
        refused = sweetspot("export", file, *words, "--out", tmp_path / "no")
        assert refused.returncode == 2
        assert message in refused.stderr.replace("\n", " ")
    store.write(other, replace(home, detectors=NO_DETECTORS))
    refused = sweetspot("export", file, "--to", "lv2", *b, "--out", tmp_path / "no")
    assert refused.returncode == 2
    assert "of --b the rig's SPL limit is not held" in refused.stderr.replace("\n", " ")

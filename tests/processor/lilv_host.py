"""A host of LV2 plug-ins that saves their state with the library that hosts use: what jalv's own save calls."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from pathlib import Path

POINTER, TEXT, U32 = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32
MAP = ctypes.CFUNCTYPE(U32, POINTER, TEXT)
UNMAP = ctypes.CFUNCTYPE(POINTER, POINTER, U32)
VALUE = ctypes.CFUNCTYPE(POINTER, TEXT, POINTER, ctypes.POINTER(U32), ctypes.POINTER(U32))
FLOAT_URI = b"http://lv2plug.in/ns/ext/atom#Float"


class Feature(ctypes.Structure):
    """LV2_Feature, and the two that map URIs to numbers and back."""

    _fields_ = (("uri", TEXT), ("data", POINTER))


class Mapper(ctypes.Structure):
    """LV2_URID_Map and LV2_URID_Unmap: a handle and a function."""

    _fields_ = (("handle", POINTER), ("function", POINTER))


def _library() -> ctypes.CDLL:
    lilv = ctypes.CDLL("liblilv-0.so.0")
    for name, kinds in {
        "lilv_world_new": (),
        "lilv_new_uri": (POINTER, TEXT),
        "lilv_world_get_all_plugins": (POINTER,),
        "lilv_plugins_get_by_uri": (POINTER, POINTER),
        "lilv_plugin_instantiate": (POINTER, ctypes.c_double, POINTER),
        "lilv_state_new_from_instance": (*[POINTER] * 3, *[TEXT] * 4, VALUE, POINTER, U32, POINTER),
    }.items():
        function = getattr(lilv, name)
        function.restype, function.argtypes = POINTER, kinds
    lilv.lilv_world_load_all.argtypes = (POINTER,)
    lilv.lilv_state_save.argtypes = (*[POINTER] * 4, *[TEXT] * 3)
    return lilv


def save(uri: str, fs: float, controls: Mapping[str, float], folder: Path) -> None:
    """Write ``folder/state.ttl`` of a plug-in on ``LV2_PATH`` whose controls have been moved.

    Raises
    ------
    SystemExit
        The plug-in is not found, does not start, or its state is not written.
    """
    lilv, known = _library(), [b""]
    held = {name.encode(): ctypes.c_float(v) for name, v in controls.items()}

    def number(_: object, text: bytes) -> int:
        if text not in known:
            known.append(text)
        return known.index(text)

    kept: dict[bytes, ctypes.Array[ctypes.c_char]] = {}

    def text_of(_: object, of: int) -> int:
        return ctypes.addressof(kept.setdefault(known[of], ctypes.create_string_buffer(known[of])))

    def value(symbol: bytes, _: object, size: object, kind: object) -> int | None:
        size[0], kind[0] = 4, number(None, FLOAT_URI)  # type: ignore[index]
        return ctypes.addressof(held[symbol]) if symbol in held else None

    forth, back = MAP(number), UNMAP(text_of)
    pair = [Mapper(None, ctypes.cast(f, POINTER)) for f in (forth, back)]
    uris = (b"http://lv2plug.in/ns/ext/urid#map", b"http://lv2plug.in/ns/ext/urid#unmap")
    features = [Feature(u, ctypes.addressof(m)) for u, m in zip(uris, pair, strict=True)]
    listed = (POINTER * 3)(*(ctypes.addressof(f) for f in features), None)
    world = lilv.lilv_world_new()
    lilv.lilv_world_load_all(world)
    plugin = lilv.lilv_plugins_get_by_uri(
        lilv.lilv_world_get_all_plugins(world), lilv.lilv_new_uri(world, uri.encode())
    )
    if not plugin or not (instance := lilv.lilv_plugin_instantiate(plugin, fs, listed)):
        sys.exit(f"{uri}: not found, or does not start")
    folder.mkdir(parents=True, exist_ok=True)
    where, mapper, unmapper = f"{folder}/".encode(), ctypes.addressof(pair[0]), ctypes.addressof(pair[1])
    state = lilv.lilv_state_new_from_instance(
        plugin, instance, mapper, where, where, where, where, VALUE(value), None, 3, listed
    )
    if not state or lilv.lilv_state_save(world, mapper, unmapper, state, None, where, b"state.ttl") != 0:
        sys.exit(f"{uri}: its state is not written")

"""Colour maps by name: from a value to a shade."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.units import Float

Bytes = NDArray[np.uint8]

_MAPS = {
    "viridis": (
        "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c1f978b"
        "1f9f8821a68527ad8131b57b3dbc744cc26c5cc8636ece5881d34d95d840aadc32c0df25d5e21aeae51afde725"
    ),
    "cividis": (
        "00224e00285b002e6a0533711a386f273e6e32436d3b496c434e6c4b546c535a6d5a5f6e61656f686a716f70737676767d7c78838179"
        "8b8778928d789a9376a29975aaa073b3a670bbad6dc3b369ccba64d4c15fddc858e6d051efd748f8df3cfee838"
    ),
    "magma": (
        "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81762181832681902a819c2e7faa337db73779c23b75"
        "cf4070db476ae55064ee5b5ef4695cf9785dfb8761fd9668fea571feb47bfec287fed194fde0a1fceeb0fcfdbf"
    ),
}
"""33 shades of each, evenly spaced: published in the public domain (CC0) by their authors."""


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def shades(values: Float, low: float, high: float, name: str) -> Bytes:
    """Colours ``(..., 3)`` of values from ``low`` to ``high``; a name that ends in ``_r`` is a map turned round."""
    table = np.frombuffer(bytes.fromhex(_MAPS[name.removesuffix("_r")]), np.uint8).reshape(-1, 3).astype(float)
    if name.endswith("_r"):
        table = table[::-1]
    steps = np.linspace(0.0, len(table) - 1.0, 256)
    fine = np.stack([np.interp(steps, np.arange(len(table)), c) for c in table.T], axis=-1)
    at = np.clip((np.asarray(values) - low) * (256.0 / (high - low)), 0.0, 255.0)
    table_of_bytes: Bytes = np.rint(fine).astype(np.uint8)
    return np.asarray(table_of_bytes[np.nan_to_num(at).astype(np.intp)])

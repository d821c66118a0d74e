"""Colours of pictures: of text, lines and drivers, and scales of maps."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.units import Float

INK, SOFT, GRID, PAPER = "#20262d", "#5b6570", "#d5dbe1", "#fefefe"
DRIVERS = ("#0b6cb6", "#d1570b", "#0a8067", "#a8468c", "#8a6d00", "#3c8fc9", "#5d5fb8", "#7d8591")
"""Colours, each a colour-blind safe hue; the report maps them to variables, so that they follow light and dark."""

CLEAR = 255
"""Number of a cell that is not drawn."""

_MAPS = {
    "viridis": (
        "44015446085c471063481769481d6f482475472a7a46307e453781433d844142873f48893d4e8a3a538b38598c355e8d33638d31"
        "688e2e6d8e2c718e2a768e297b8e27808e25848e23898e218e8d20928c1f978b1e9c891fa18821a58524aa8328ae802eb37c35b7"
        "793dbc7446c06f50c46a5ac86465cb5e70cf577cd25089d54895d840a2da37b0dd2fbddf26cae11fd8e219e5e419f1e51dfde725"
    ),
    "magma": (
        "00000402020b0504160907200e0b2b140e361a104221114e29115a311165390f6e420f754a107952137c5a167e6219806a1c8172"
        "1f81792282812581892881912b81992d80a1307eaa337db2357bba3878c23b75ca3e72d2426fd9466be04c67e75263ec5860f160"
        "5df4695cf7725cf97b5dfb8560fc8e64fd9869fea16efeaa74feb47bfebd82fec68afecf92fed89afde2a3fdebacfcf4b6fcfdbf"
    ),
    "cividis": (
        "00224e002656002a5f002d68003070083370163770203a6f273e6e2e416d34456c3a486c3f4c6c444f6c49536c4e566c535a6d57"
        "5d6d5c616e60646f656870696b716d6f727272747676767a7a787e7d788381798885788d8878928c789690779b9476a09875a59c"
        "74aaa073afa471b5a86fbaac6dbfb06bc4b468c9b965cfbd62d4c15fdac65bdfca57e5cf52ead34cf0d846f6dd3ffce236fee838"
    ),
}
"""Every fifth of the 256 colours of these scales (public domain, CC0); those between are linear to 1 of 255 (4 in one
step of cividis)."""


@cache
def palette(name: str) -> NDArray[np.uint8]:
    """Colours ``(number, 3)`` of a scale from low to high; ``_r`` at its end turns it round. The last one is clear."""
    base = np.frombuffer(bytes.fromhex(_MAPS[name.removesuffix("_r")]), dtype=np.uint8).reshape(-1, 3)
    at = np.linspace(0.0, len(base) - 1.0, CLEAR)
    levels = np.stack([np.interp(at, np.arange(len(base)), base[:, i]) for i in range(3)], axis=1)
    if name.endswith("_r"):
        levels = levels[::-1]
    return np.vstack([np.round(levels), np.zeros((1, 3))]).astype(np.uint8)


def cells(values: Float, low: float, high: float) -> NDArray[np.uint8]:
    """Numbers of colours of a scale from ``low`` to ``high``; NaN is clear."""
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.where(np.isnan(values), CLEAR, np.round(np.nan_to_num(share) * (CLEAR - 1))).astype(np.uint8)

"""Storage of raw samples: integer counts for converters of up to 24 bits, else single precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = "full_scale"
"""Attribute of captures that are kept as integers: the count that is full scale."""

COUNTS = 1 << 23
"""Of a converter of 24 bits, which single precision holds exactly."""

ALIGNED = 1 << 31
"""The same counts in the upper bytes of 32 bits: the lowest byte is nothing, where the highest one, of counts in the
lower bytes, is a sign that changes like noise. Compressed captures are 8 % smaller."""


def kept(x: NDArray[np.floating]) -> tuple[NDArray[Any], dict[str, int]]:
    """Samples as they are stored, with the attributes of their encoding; lossless.

    Parameters
    ----------
    x
        ``(channel, samples)``, full scale = 1.

    Returns
    -------
    32-bit integers where every sample is a whole count, at most full scale; else ``x`` itself and no attributes.
    """
    if x.dtype != np.float32 or not x.size or not float(np.max(np.abs(x))) <= 1.0:
        return x, {}
    counts = x * np.float32(COUNTS)  # exact: a power of two
    whole = counts.astype(np.int32)
    if not np.array_equal(whole, counts):
        return x, {}
    if int(whole.max()) == COUNTS:  # full scale itself has no place in 32 bits
        return whole, {FULL_SCALE: COUNTS}
    return np.left_shift(whole, 8, out=whole), {FULL_SCALE: ALIGNED}


def restored(values: NDArray[Any], full_scale: int | None) -> NDArray[Any]:
    """The samples given to :func:`kept`, from the stored data and its attribute (``None`` for none).

    Raises
    ------
    ValueError
        These are no samples of ours: integers without full scale, with another one, beyond it or finer than 24 bits.
    """
    if values.dtype.kind == "f" and full_scale is None:
        return values
    if values.dtype != np.int32 or full_scale not in (COUNTS, ALIGNED):
        raise ValueError(f"{values.dtype} with {FULL_SCALE} = {full_scale}; int32 with {ALIGNED} or {COUNTS} is needed")
    if full_scale == ALIGNED:
        if np.any(values & 0xFF):
            raise ValueError(f"counts finer than 24 bits of {FULL_SCALE} = {ALIGNED}")
    elif values.size and not -COUNTS <= int(values.min()) <= int(values.max()) <= COUNTS:
        raise ValueError(f"counts beyond {FULL_SCALE} = {COUNTS}")
    return values.astype(np.float32) * np.float32(1.0 / float(full_scale))

"""Storage of raw samples: integer counts for converters of up to 24 bits, else single precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = "full_scale"
"""Attribute of captures that are kept as integers: the count that is full scale."""

COUNTS = 1 << 23
"""Of a converter of 24 bits, which single precision holds exactly."""

OFFSET = "offset"
"""Attribute of captures that are kept as integers: the count of silence; 0 in older sessions."""

SILENCE = 0x808080
"""Counts lie above nothing, with silence in the middle of each of the lower three bytes. Around 0 all bytes above a
quiet signal's own are its sign, which changes like noise: compressed captures are 0.82 to 0.90 of that size."""


def kept(x: NDArray[np.floating]) -> tuple[NDArray[Any], dict[str, int]]:
    """Samples as they are stored, with the attributes of their encoding; lossless.

    Parameters
    ----------
    x
        ``(channel, samples)``, full scale = 1.

    Returns
    -------
    Counts above nothing as 32-bit integers where every sample is a whole one, at most full scale; else ``x`` itself and
    no attributes.
    """
    if x.dtype != np.float32 or not x.size or not float(np.max(np.abs(x))) <= 1.0:
        return x, {}
    counts = x * np.float32(COUNTS)  # exact: a power of two
    whole = counts.astype(np.int32)
    if not np.array_equal(whole, counts):
        return x, {}
    whole += SILENCE
    return whole, {FULL_SCALE: COUNTS, OFFSET: SILENCE}


def restored(values: NDArray[Any], full_scale: object, offset: object = 0) -> NDArray[Any]:
    """The samples given to :func:`kept`, from the stored data and its attributes (``None`` for no full scale).

    Raises
    ------
    ValueError
        These are no samples of ours: integers without full scale, with another one or beyond it.
    """
    if values.dtype.kind == "f" and full_scale is None:
        return values
    if values.dtype != np.int32 or full_scale != COUNTS or offset not in (0, SILENCE):
        raise ValueError(
            f"{values.dtype} with {FULL_SCALE} = {full_scale} and {OFFSET} = {offset}; int32 with {COUNTS} and "
            f"{SILENCE} or 0 is needed"
        )
    counts = values - np.int32(SILENCE) if offset else values
    if counts.size and not -COUNTS <= int(counts.min()) <= int(counts.max()) <= COUNTS:
        raise ValueError(f"counts beyond {FULL_SCALE} = {COUNTS}")
    return counts.astype(np.float32) * np.float32(1.0 / COUNTS)

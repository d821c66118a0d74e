"""``frozen()``: the one way in for arrays that a record keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray


def frozen(
    name: str, value: ArrayLike, *, ndim: int, dtype: DTypeLike = np.float64, finite: bool = True
) -> NDArray[Any]:
    """Return a read-only copy of ``value`` after checking its rank and that it is finite.

    Parameters
    ----------
    name
        What the array is, for the message.
    value
        Anything numpy can read.
    ndim
        The rank it must have.
    dtype
        Type of the copy.
    finite
        Whether NaN and infinity are refused.

    Raises
    ------
    ValueError
        Wrong rank, or a value that is not finite.
    """
    array = np.array(value, dtype=dtype)
    if array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}: {ndim} axes are needed, it has {array.ndim}")
    if finite and not np.isfinite(array).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} holds {array[at]} at index {at}: every value must be finite")
    array.setflags(write=False)
    return array

"""A stream cut into pieces, for what must not depend on where it is cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def ragged(matrix: Any, x: NDArray[Any], cuts: Sequence[int]) -> NDArray[Any]:
    """The stream in pieces of the sizes in ``cuts``, over and over."""
    pieces, done, turn = [], 0, 0
    while done < x.shape[1]:
        n = cuts[turn % len(cuts)]
        pieces.append(matrix.process(x[:, done : done + n]))
        done, turn = done + n, turn + 1
    return np.concatenate(pieces, axis=1)

"""The one world that the virtual interface, the virtual stage and the sound card share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rigs.describe import Description
from rigs.layout import Pose


class World:
    """What stands in the lab: one unit on a turntable, a dummy head, measurement microphones, cables.

    Parameters
    ----------
    description
        The rig; its ``[lab]`` table says what the lab is.
    serial
        Serial number of the unit: its tolerances are drawn from it and the lab's seed.
    """

    def __init__(self, description: Description, serial: str) -> None:
        self.description = description
        self.serial = serial
        self.pose = Pose()

    def paths(self, pose: Pose) -> NDArray[np.float32]:
        """Electrical impulse responses ``(input, output, tap)`` from every output to every input of the interface.

        Full scale to full scale, the loopback cable included, the latency of the interface not included.
        """
        raise NotImplementedError

    def noise(self, rng: np.random.Generator, samples: int) -> NDArray[np.float32]:
        """What the inputs hear when nothing plays: ``(input, samples)``, full scale = 1."""
        raise NotImplementedError

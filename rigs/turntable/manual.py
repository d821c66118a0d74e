"""A stage without motor: nothing moves, or the operator moves it when prompted."""

from __future__ import annotations

from sweetspot.rigs.layout import Pose


class ManualStage:
    """A stage without axes: the capture loop prompts the operator for every move."""

    @property
    def axes(self) -> frozenset[str]:
        """None."""
        return frozenset()

    def move(self, pose: Pose) -> Pose:
        """Nothing to move; see :class:`sweetspot.rigs.protocol.Stage`."""
        return pose

    def stop(self) -> None:
        """Nothing moves."""

    def close(self) -> None:
        """Nothing to close."""

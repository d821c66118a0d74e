"""A stage that moves nothing by itself: everything stands still, or is moved by the operator when asked."""

from __future__ import annotations

from sweetspot.rigs.layout import Pose


class ManualStage:
    """Has no axes, so the measuring loop asks the operator for every move."""

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
        """Nothing to let go of."""

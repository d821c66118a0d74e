"""Choice of a bank's filters from incoming poses of a listener: late, wrong, from two senders, or missing."""

from __future__ import annotations

import numpy as np

from sweetspot.processor.bank.filterbank import FilterBank, ListenerPose

LOST_S = 0.5
"""A stream that is silent for longer is lost: its last place is held."""

HOME_S = 5.0
"""A stream that is lost for longer returns to the default place."""

TAKEN_S = 1.0
"""Another sender is listened to when the present one has been silent for longer."""

JUMP_M, JUMP_S = 0.5, 0.25
"""Distance and time from the last pose; a jump beyond them is accepted if the next pose agrees."""


class Follower:
    """Turns poses into places of a bank; times are those of any one clock, s.

    Parameters
    ----------
    home
        The listener's pose until a stream gives one; by default the bank's default place.
    """

    def __init__(self, bank: FilterBank, home: ListenerPose | None = None) -> None:
        self.bank = bank
        x, y, yaw = (float(v) for v in bank.places[bank.default])
        self.home = home or ListenerPose(x, y, yaw)
        self.pose, self.place = self.home, bank.nearest(self.home)
        self.refused, self.foreign, self.why = 0, 0, ""
        self._pose_at: float | None = None
        self._sender = ""
        self._doubted: ListenerPose | None = None

    def offer(self, now: float, pose: ListenerPose, sender: str = "") -> bool:
        """Use a pose, unless it cannot be followed; returns whether it was used."""
        silent = now - self._pose_at if self._pose_at is not None else np.inf
        if sender != self._sender and silent <= TAKEN_S:
            self.foreign += 1
            return False
        if fault := self.bank.fault(pose):
            self.refused, self.why = self.refused + 1, f"{pose.text}: {fault}"
            return False
        if silent <= JUMP_S and _apart(pose, self.pose) > JUMP_M:
            doubted, self._doubted = self._doubted, pose
            if doubted is None or _apart(pose, doubted) > JUMP_M / 2:
                self._pose_at = now
                self.refused, self.why = self.refused + 1, f"{pose.text}: a jump, accepted if the next pose agrees"
                return False
        self._pose_at, self._sender, self._doubted = now, sender, None
        self._stand(pose)
        return True

    def tick(self, now: float) -> int:
        """The place to play now: that of the last pose, or the default one after a long silence."""
        if self._pose_at is not None and now - self._pose_at > LOST_S + HOME_S:
            self._pose_at = None
            self._stand(self.home)
        return self.place

    def is_lost(self, now: float) -> bool:
        """Whether a stream that was there is silent."""
        return self._pose_at is not None and now - self._pose_at > LOST_S

    def walk(self, x: float, y: float) -> bool:
        """Step by a distance in m, if there is a place for it."""
        pose = ListenerPose(round(self.pose.x + x, 6), round(self.pose.y + y, 6))
        if self.bank.fault(pose):
            return False
        self._stand(pose)
        return True

    def go_home(self) -> None:
        """Stand at the default place."""
        self._stand(self.home)

    def _stand(self, pose: ListenerPose) -> None:
        self.pose, self.place = pose, self.bank.nearest(pose, self.place)


def _apart(a: ListenerPose, b: ListenerPose) -> float:
    return float(np.hypot(a.x - b.x, a.y - b.y))

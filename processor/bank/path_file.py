"""A listener's path as a text file: one pose per line, ``t x y [yaw]`` in seconds, metres and degrees."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweetspot.processor.bank.filterbank import FilterBank, ListenerPose
from sweetspot.rigs.errors import BadInput

FORMAT = (
    "one pose a line: t x y [yaw], in seconds, metres and degrees, separated by spaces or commas; # begins a comment"
)

MOST_BYTES = 64 << 20
"""Largest file that is read."""


@dataclass(frozen=True, slots=True)
class ListenerPath:
    """Poses of a listener over time; each is valid until the next, the first one also before it.

    Parameters
    ----------
    times
        Rising, s from the start of the sound.
    poses
        One a time.
    """

    times: tuple[float, ...]
    poses: tuple[ListenerPose, ...]

    def at(self, seconds: float) -> ListenerPose:
        """The pose at a time."""
        return self.poses[max(bisect_right(self.times, seconds) - 1, 0)]


def read_path(path: Path, bank: FilterBank) -> ListenerPath:
    """A path that a bank can follow.

    Raises
    ------
    BadInput
        The file cannot be read, a line is no pose, times run backwards, or the bank has no place for a pose: with the
        line's number.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{path}: {path.stat().st_size} bytes; a path has at most {MOST_BYTES}")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(f"{path}: the path cannot be read: {getattr(fault, 'strerror', None) or fault}") from fault
    times: list[float] = []
    poses: list[ListenerPose] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#", 1)[0].replace(",", " ").split()
        if not words or (not poses and words[0] in ("t", "t_s", "time")):
            continue
        t, pose = _pose(words, f"{path}:{number}: {line.strip()!r:.80}")
        if times and t < times[-1]:
            raise BadInput(f"{path}:{number}: t = {t:g} s comes after {times[-1]:g} s: times must increase")
        times.append(t)
        poses.append(bank.checked(pose, f"{path}:{number}"))
    if not poses:
        raise BadInput(f"{path}: holds no pose; {FORMAT}")
    return ListenerPath(tuple(times), tuple(poses))


def _pose(words: list[str], where: str) -> tuple[float, ListenerPose]:
    try:
        numbers = [float(w) for w in words]
    except ValueError:
        numbers = []
    if len(numbers) not in (3, 4) or not np.isfinite(numbers).all():
        raise BadInput(f"{where} is no pose; {FORMAT}")
    yaw = float(np.radians(numbers[3])) if len(numbers) == 4 else None
    return numbers[0], ListenerPose(numbers[1], numbers[2], yaw)

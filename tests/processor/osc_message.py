"""Messages of Open Sound Control as a head tracker sends them."""

from __future__ import annotations

import struct

import numpy as np

from sweetspot.processor.bank import ListenerPose


def packed(pose: ListenerPose) -> bytes:
    """A pose as a message: padded address and types, big-endian numbers."""
    values = [pose.x, pose.y, *([] if pose.yaw is None else [float(np.degrees(pose.yaw))])]
    head = b"".join(_padded(t) for t in ("/listener", "," + "f" * len(values)))
    return head + struct.pack(f">{len(values)}f", *values)


def _padded(text: str) -> bytes:
    return text.encode() + b"\0" * (4 - len(text) % 4)

"""Incoming poses: OSC messages ``/listener x y yaw``, metres and degrees (Open Sound Control 1.0)."""

from __future__ import annotations

import struct

import numpy as np

from sweetspot.processor.bank.filterbank import ListenerPose

ADDRESS = "/listener"
LARGEST = 2048
"""Bytes of a packet that is read."""

NUMBERS = {"f": ">f", "d": ">d", "i": ">i", "h": ">q"}
MOST_ELEMENTS = 16
"""Of one bundle."""


class MalformedPacketError(ValueError):
    """A packet that holds no pose."""


def pose_in(packet: bytes) -> ListenerPose:
    """The pose of a packet: a message, or a bundle, of which the last pose counts.

    Raises
    ------
    MalformedPacketError
        It holds none; the message has the reason.
    """
    if len(packet) > LARGEST or len(packet) % 4:
        raise MalformedPacketError(f"{len(packet)} bytes: an OSC packet has a multiple of 4, here at most {LARGEST}")
    if packet.startswith(b"#bundle\0"):
        return _last_of(packet)
    return _message(packet)


def _last_of(packet: bytes) -> ListenerPose:
    at, found, why = 16, None, "an empty bundle"
    for _ in range(MOST_ELEMENTS):
        if at + 4 > len(packet):
            break
        (size,) = struct.unpack_from(">i", packet, at)
        if size <= 0 or at + 4 + size > len(packet):
            raise MalformedPacketError(f"a bundle's element of {size} bytes in {len(packet)}")
        try:
            found = _message(packet[at + 4 : at + 4 + size])
        except MalformedPacketError as fault:
            why = str(fault)
        at += 4 + size
    if found is None:
        raise MalformedPacketError(why)
    return found


def _message(packet: bytes) -> ListenerPose:
    address, at = _text(packet, 0)
    if address != ADDRESS:
        raise MalformedPacketError(f"address {address!r:.40}; {ADDRESS} is needed")
    kinds, at = _text(packet, at)
    if len(kinds) not in (3, 4) or kinds[0] != "," or any(k not in NUMBERS for k in kinds[1:]):
        raise MalformedPacketError(f"arguments {kinds!r:.20}; two or three numbers are needed: ,ff or ,fff")
    values = []
    for kind in kinds[1:]:
        size = struct.calcsize(NUMBERS[kind])
        if at + size > len(packet):
            raise MalformedPacketError(f"{kinds} in {len(packet)} bytes: truncated")
        values.append(float(struct.unpack_from(NUMBERS[kind], packet, at)[0]))
        at += size
    if not np.isfinite(values).all():
        raise MalformedPacketError(f"{values}: a value that is not a number")
    return ListenerPose(values[0], values[1], float(np.radians(values[2])) if len(values) == 3 else None)


def _text(packet: bytes, at: int) -> tuple[str, int]:
    """A zero-terminated string, and the start of the next part."""
    end = packet.find(b"\0", at)
    if end < 0:
        raise MalformedPacketError("a string without an end")
    try:
        return packet[at:end].decode("ascii"), end + 4 - end % 4
    except UnicodeDecodeError as fault:
        raise MalformedPacketError("a string that is not ASCII") from fault

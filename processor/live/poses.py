"""Listener poses by UDP: a local socket, read by a thread of the console process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

from sweetspot.processor.bank import Follower, MalformedPacketError, osc
from sweetspot.rigs.errors import BadInput, HardwareTrouble

LOOPBACK = "127.0.0.1"

WAIT_S = 0.05
"""How often the silence of a stream is noticed."""

AT_ONCE = 256
"""Packets that are taken before the newest of them is followed: a flood costs no more."""

REST_S = 0.002
"""Between two looks: more than 500 poses a second are not followed one by one."""


class PoseStream:
    """Receives poses while it is open, see :meth:`to`.

    Parameters
    ----------
    follower
        What turns poses into places.
    port
        UDP port; 0 takes a free one.
    host
        Address to listen at; by default only this machine can send.
    """

    def __init__(self, follower: Follower, port: int, host: str = LOOPBACK) -> None:
        self.follower, self.host = follower, host
        self._place: Callable[[int], None] = lambda place: None
        self.poses = self.malformed = 0
        self.fault = ""
        self._ending = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except (OSError, OverflowError) as trouble:
            self._socket.close()
            raise BadInput(f"--pose-port {port}: cannot listen at {host}: {trouble}; give another port") from trouble
        self._socket.settimeout(WAIT_S)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._run, name="poses", daemon=True)

    def to(self, place: Callable[[int], None]) -> PoseStream:
        """The stream itself, which from now on sends the bank's place to ``place`` after each update."""
        self._place = place
        return self

    def to_dict(self) -> dict[str, int]:
        """For JSON."""
        kept = {"malformed": self.malformed, "refused": self.follower.refused, "foreign": self.follower.foreign}
        return {"port": self.port, "taken": self.poses, **kept}

    def __enter__(self) -> PoseStream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(2.0)
        self._socket.close()

    def check(self) -> None:
        """Raise the error that ended the stream.

        Raises
        ------
        HardwareTrouble
            The socket failed.
        """
        if self.fault:
            raise HardwareTrouble(f"the pose stream on port {self.port} ended: {self.fault}")

    @property
    def text(self) -> str:
        """How it goes, for people."""
        lost = " (lost, held)" if self.follower.is_lost(time.monotonic()) else ""
        counts = {
            "malformed": self.malformed,
            "cannot be followed": self.follower.refused,
            "from another sender": self.follower.foreign,
        }
        ignored = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
        why = f"; last: {self.follower.why}" if self.follower.why else ""
        return f"poses: {self.poses}{lost}" + (f"; ignored: {ignored}{why}" if ignored else "")

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                packets = self._waiting()
            except OSError as trouble:
                self.fault = str(trouble)
                return
            now = time.monotonic()
            for packet, sender in packets:
                self._take(packet, sender, now)
            self._place(self.follower.tick(now))
            if packets:
                self._ending.wait(REST_S)

    def _waiting(self) -> list[tuple[bytes, str]]:
        """The received packets, at least one unless a timeout passes."""
        packets: list[tuple[bytes, str]] = []
        self._socket.settimeout(WAIT_S)
        while len(packets) < AT_ONCE:
            try:
                packet, where = self._socket.recvfrom(osc.LARGEST + 1)
            except (TimeoutError, BlockingIOError):
                break
            except ConnectionResetError:
                continue
            packets.append((packet, f"{where[0]}:{where[1]}"))
            self._socket.settimeout(0.0)
        return packets

    def _take(self, packet: bytes, sender: str, now: float) -> None:
        try:
            pose = osc.pose_in(packet)
        except MalformedPacketError as fault:
            self.malformed += 1
            self.follower.why = str(fault)
            return
        if self.follower.offer(now, pose, sender):
            self.poses += 1

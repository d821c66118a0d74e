"""Lines of text to and from a controller: over a serial port, or over TCP with a port such as ``socket://host:5025``."""

from __future__ import annotations

from typing import Any, Protocol

from sweetspot.rigs.errors import HardwareTrouble

REPLY_S = 5.0
"""Longest wait for a reply that needs no motion."""


class Line(Protocol):
    """Protocol of a line to a controller."""

    def send(self, data: bytes) -> None:
        """Send bytes at once."""
        ...

    def receive(self, wait_s: float) -> str | None:
        """The next line without its end, or ``None`` when none is complete after ``wait_s``."""
        ...

    def close(self) -> None:
        """Close the port; may be called twice."""
        ...


class SerialLine:
    """A serial port; any path or address that pyserial opens will do.

    Parameters
    ----------
    port
        A path, or ``socket://host:port``.
    baudrate
        Bits per second, 8N1.
    end
        What ends a line that is received.

    Raises
    ------
    HardwareTrouble
        The port does not open, or fails later.
    """

    def __init__(self, port: str, baudrate: int = 115200, end: bytes = b"\n") -> None:
        import serial

        self.port, self._end = port, end
        self._waiting = bytearray()
        try:
            if "://" in port:
                self._serial: Any = serial.serial_for_url(port, baudrate=baudrate, timeout=0.0, write_timeout=REPLY_S)
            else:
                self._serial = serial.Serial(
                    port, baudrate=baudrate, timeout=0.0, write_timeout=REPLY_S, exclusive=True
                )
        except (OSError, ValueError) as fault:
            raise HardwareTrouble(f"stage.port {port} does not open: {fault}. {_ports_text()}") from fault

    def send(self, data: bytes) -> None:
        """Send bytes at once."""
        try:
            self._serial.write(data)
        except OSError as fault:
            raise HardwareTrouble(f"stage.port {self.port}: sending failed: {fault}") from fault

    def receive(self, wait_s: float) -> str | None:
        """The next line without its end, or ``None`` when none is complete after ``wait_s``."""
        while self._end not in self._waiting:
            try:
                self._serial.timeout = wait_s
                piece = self._serial.read(1)
                self._waiting += piece + self._serial.read(self._serial.in_waiting) if piece else b""
            except OSError as fault:
                raise HardwareTrouble(f"stage.port {self.port}: connection lost: {fault}") from fault
            if not piece:
                return None
        line, _, rest = bytes(self._waiting).partition(self._end)
        self._waiting = bytearray(rest)
        return line.strip().decode("ascii", errors="replace")

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._serial.close()


def _ports_text() -> str:
    from serial.tools import list_ports

    found = [p.device for p in list_ports.comports()]
    return "Ports found: " + ", ".join(found) if found else "No serial port was found: is the controller plugged in?"

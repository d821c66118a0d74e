"""The line as a page and an HTTP interface on loopback, with the standard library's server.

It has one operator, one test executive and four addresses, so it needs no web framework. Requests must name this host,
and changes must come as JSON from the same origin, so that another page in the same browser can neither read nor
control the line.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

from sweetspot.calibrate.line.state import LineState
from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.storage import json_value

HOST = "127.0.0.1"
LONGEST = 4096
"""Bytes of a request's body."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Begin = Callable[[str], None]
"""Checks a serial number; raises BadInput."""


class LineServer(ThreadingHTTPServer):
    """Serves a line's state, and starts and stops its cycle.

    Parameters
    ----------
    port
        On loopback; 0 takes a free one.
    check
        Refuses serial numbers, see :data:`Begin`.
    work
        Carries a unit that was begun through its cycle.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, state: LineState, check: Begin, work: Callable[[str], Any]) -> None:
        try:
            super().__init__((HOST, port), Handler)
        except OSError as fault:
            raise HardwareTrouble(f"--web {port}: cannot listen on {HOST}:{port}: {fault.strerror}") from fault
        self.state, self.check, self.work = state, check, work
        self.page = (resources.files("sweetspot.calibrate.line") / "page.html").read_text(encoding="utf-8")

    @property
    def address(self) -> str:
        """URL of the page."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def start(self, serial: str) -> tuple[int, dict[str, Any]]:
        """Begin a unit's cycle; status and answer."""
        try:
            self.check(serial)
        except BadInput as trouble:
            return HTTPStatus.BAD_REQUEST, {"error": str(trouble)}
        if not self.state.begins(serial):
            return HTTPStatus.CONFLICT, {"error": f"unit {self.state.unit} is on the line"}
        threading.Thread(target=self.work, args=(serial,), daemon=True).start()
        return HTTPStatus.ACCEPTED, {"unit": serial}

    def stop(self) -> tuple[int, dict[str, Any]]:
        """Stop the cycle before its next step."""
        with self.state.lock:
            self.state.stopping = self.state.step != "waiting"
            return HTTPStatus.OK, {"stopping": self.state.stopping}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: LineServer
    server_version = "sweetspot"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        """The page, the state, the last result."""
        if not self._from_here():
            return
        if self.path == "/":
            self._answer(HTTPStatus.OK, self.server.page.encode(), "text/html; charset=utf-8")
        elif self.path == "/api/state":
            self._json(HTTPStatus.OK, self.server.state.to_dict())
        elif self.path == "/api/last":
            last = self.server.state.to_dict()["last"]
            status = HTTPStatus.OK if last else HTTPStatus.NOT_FOUND
            self._json(status, last or {"error": "no unit was finished yet"})
        else:
            self._json(HTTPStatus.NOT_FOUND, {"error": "there are: /, /api/state, /api/last, /api/start, /api/stop"})

    def do_POST(self) -> None:
        """Start and stop."""
        if not self._from_here():
            return
        asked = self._asked()
        if asked is None:
            return
        if self.path == "/api/start":
            serial = asked.get("serial")
            if not isinstance(serial, str):
                self._json(HTTPStatus.BAD_REQUEST, {"error": 'a serial number is needed: {"serial": "SN-1"}'})
                return
            self._json(*self.server.start(serial))
        elif self.path == "/api/stop":
            self._json(*self.server.stop())
        else:
            self._json(HTTPStatus.NOT_FOUND, {"error": "there are: /api/start, /api/stop"})

    def _from_here(self) -> bool:
        """Whether the request names this host and comes from no other page."""
        port = self.server.server_address[1]
        hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") in hosts and (origin is None or origin in {f"http://{h}" for h in hosts}):
            return True
        self._json(HTTPStatus.FORBIDDEN, {"error": "this page is only served on this computer"})
        return False

    def _asked(self) -> dict[str, Any] | None:
        """The body as an object; ``None`` after it was refused."""
        kind = (self.headers.get("Content-Type") or "").split(";")[0].strip()
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if kind != "application/json" or not 0 <= length <= LONGEST:
            self.close_connection = True
            self._json(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"error": f"JSON of at most {LONGEST} bytes is needed"})
            return None
        try:
            asked = json_value(self.rfile.read(length) or b"{}")
        except ValueError:
            asked = None
        if isinstance(asked, dict):
            return asked
        self._json(HTTPStatus.BAD_REQUEST, {"error": "the body is not a JSON object"})
        return None

    def _json(self, status: int, data: dict[str, Any]) -> None:
        self._answer(status, json.dumps(data).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (*HEADERS.items(), ("Content-Type", kind), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal shows units."""

"""A proxy on loopback in front of a bucket, which answers some requests badly, slowly, or not at all."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to a request."""

    status: int | None = None
    """Answer with this and no more."""
    code: str = "Error"
    """S3's word for it."""
    more: str = ""
    """What else the answer tells, as XML."""
    headers: Mapping[str, str] = field(default_factory=dict)
    sent_bytes: int | None = None
    """So much of the body is sent, and then nothing; 0 not even the headers."""
    broken: bool = False
    """What comes no further is broken off, instead of being silent."""
    piece_bytes: int = 0
    """The body comes in pieces of this size."""
    pause_s: float = 0.0
    """Before the answer, and between the pieces."""
    times: float = float("inf")
    """So often it happens; then all is well."""


DENIED = Fault(status=403, code="AccessDenied")
BUSY = Fault(status=503, code="SlowDown")
SILENT = Fault(sent_bytes=0)
STALLED = Fault(sent_bytes=100)


class Unreliable(ThreadingHTTPServer):
    """Passes requests on; `url` is what `AWS_ENDPOINT_URL` must say."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(behind).netloc
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests: list[str] = []
        """Methods with paths, in the order in which they came."""
        self.stopped = threading.Event()
        self._faults: dict[str, Fault] = {}
        self._happened: dict[str, int] = {}

    def let(self, part: str, fault: Fault) -> None:
        """Have this happen to every request whose method and path, such as `GET /bucket/key`, contain `part`."""
        self._faults[part] = fault
        self._happened[part] = 0

    def well(self) -> None:
        """Forget all faults and requests."""
        self._faults.clear()
        self.requests.clear()

    def asked_for(self, part: str) -> int:
        """How many requests contained this."""
        return sum(part in request for request in self.requests)

    def fault_of(self, request: str) -> Fault | None:
        """What is to happen to a request that has just come."""
        self.requests.append(request)
        for part, fault in self._faults.items():
            if part in request and self._happened[part] < fault.times:
                self._happened[part] += 1
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Unreliable
    _ours: ClassVar = {"transfer-encoding", "connection", "content-length", "date", "server"}

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        fault = self.server.fault_of(f"{self.command} {self.path}") or Fault()
        if fault.sent_bytes == 0 or self.server.stopped.wait(fault.pause_s):
            self._stay_silent()
        elif fault.status is not None:
            self._answer(fault.status, fault.headers, self._error(fault), fault)
        else:
            connection = http.client.HTTPConnection(self.server.behind)
            connection.request(self.command, self.path, headers=dict(self.headers))
            found = connection.getresponse()
            kept = {name: value for name, value in found.getheaders() if name.lower() not in self._ours}
            length = found.getheader("Content-Length")
            self._answer(found.status, kept, found.read(), fault, length=length if self.command == "HEAD" else None)
            connection.close()

    do_HEAD = do_GET

    def _answer(
        self, status: int, headers: Mapping[str, str], body: bytes, fault: Fault, length: str | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        size = fault.piece_bytes or len(body) or 1
        try:
            for start in range(0, len(body[: fault.sent_bytes]), size):
                self.wfile.write(body[: fault.sent_bytes][start : start + size])
                self.wfile.flush()
                if self.server.stopped.wait(fault.pause_s):
                    raise ConnectionError
        except OSError:  # nobody listens any more
            self.close_connection = True
            return
        if fault.broken:
            self.close_connection = True
        elif fault.sent_bytes is not None:
            self._stay_silent()

    def _stay_silent(self) -> None:
        self.server.stopped.wait(60)
        self.close_connection = True

    @staticmethod
    def _error(fault: Fault) -> bytes:
        told = f"<Code>{fault.code}</Code><Message>as the test wants</Message>{fault.more}"
        return f'<?xml version="1.0"?><Error>{told}</Error>'.encode()


@contextmanager
def in_front_of(url: str) -> Iterator[Unreliable]:
    """A proxy to the server at `url`, for as long as the `with` lasts."""
    with Unreliable(url) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()

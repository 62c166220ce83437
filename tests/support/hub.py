"""A Hugging Face hub on loopback: as much of its interface as the real client uses to find and download models.

Like the real one it keeps weights elsewhere: it tells their SHA-256 and size, and sends whoever asks for them on to
another server, which knows no tokens and whose ways to fail can be chosen.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"

_API = re.compile(r"^/api/models/(?P<id>[\w.-]+(?:/[\w.-]+)?)(?:/revision/(?P<revision>[\w.-]+))?$")
_FILE = re.compile(r"^/(?P<id>[\w.-]+/[\w.-]+)/resolve/[\w.-]+/(?P<file>.+)$")
_HARNESSES = "/api/agent-harnesses"
"""What the client asks by itself, once, to know which program it is part of; it is no concern of any test."""
_STORED = re.compile(r"^/stored/(?P<id>[\w.-]+/[\w.-]+)/(?P<file>.+)$")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


@dataclass
class Hub:
    """What the servers offer, and what they were asked for."""

    url: str = ""
    store_url: str = ""
    """Where the weights are."""
    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Model id → file name → content."""
    told_sizes: dict[str, int] = field(default_factory=dict)
    """File name → bytes that the list of a model's files tells, where it is not the truth."""
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Model id → status and `X-Error-Code` for its files."""
    silent: set[str] = field(default_factory=set)
    """Ids of models whose files are asked for in vain: the connection stays open, and nothing comes."""
    told_as: bytes | None = None
    """What is answered instead of what there is to tell of a model."""
    dripping: bool = False
    """Whether what is told of a model comes byte by byte, one in a second."""
    busy: list[int] = field(default_factory=list)
    """Statuses of the next answers, such as 429, whatever is asked for."""
    retry_after: str = "1"
    """What a busy hub answers besides."""

    ignores_ranges: bool = False
    """Whether weights are always sent from their start."""
    cut_after: list[int] = field(default_factory=list)
    """For each of the next answers with weights: so many bytes, then the connection breaks."""
    silent_after: list[int] = field(default_factory=list)
    """For each of the next answers with weights: so many bytes, and then nothing more comes."""
    spoilt: list[int] = field(default_factory=list)
    """For each of the next answers with weights: which byte of it arrives wrong."""
    bytes_per_s: int | None = None
    """How fast weights are sent, from now on."""

    asked: list[str] = field(default_factory=list)
    """Every request to the hub itself as `METHOD path`, in order."""
    ranges: list[str] = field(default_factory=list)
    """The range of weights that each request for their content asked for; empty for all."""
    tokens: set[tuple[str, str | None]] = field(default_factory=set)
    """(`hub` or `store`, what it was sent as Authorization)."""
    sent: list[int] = field(default_factory=list)
    """Bytes of weights, by answer."""
    closing: Event = field(default_factory=Event)
    servers: _Servers = field(default_factory=lambda: _Servers())

    def add(self, model_id: str, folder: Path, **more: bytes) -> None:
        """Offer the files of a folder as a model."""
        self.models[model_id] = {path.name: path.read_bytes() for path in sorted(folder.iterdir())} | more

    @property
    def weights_sent(self) -> int:
        """Bytes of weights, all answers together."""
        return sum(self.sent)

    def files_sent(self) -> list[str]:
        """Names of the files whose content was asked for."""
        return [match["file"] for line in self.asked if (match := _FILE.match(line.removeprefix("GET ")))]


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers on 127.0.0.1 for as long as the `with` lasts."""
    hub = Hub()
    hub.url, hub.store_url = hub.servers.start(hub, _HubHandler), hub.servers.start(hub, _StoreHandler)
    try:
        yield hub
    finally:
        hub.closing.set()
        hub.servers.stop()


@contextmanager
def gone(hub: Hub) -> Iterator[None]:
    """Nobody listens at the hub's addresses, and all its connections are broken, for as long as the `with` lasts."""
    hub.servers.stop()
    try:
        yield
    finally:
        hub.servers.restart()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, handler: type[_Handler]) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.connections: set[socket.socket] = set()
        self.thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave are what many tests are about."""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in tuple(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.thread.join()


class _Servers:
    def __init__(self) -> None:
        self._running: list[_Server] = []

    def start(self, hub: Hub, handler: type[_Handler]) -> str:
        self._running.append(_Server(0, type(handler.__name__, (handler,), {"offered": hub})))
        return f"http://127.0.0.1:{self._running[-1].server_port}"

    def stop(self) -> None:
        for server in self._running:
            server.stop()

    def restart(self) -> None:
        handlers = [(server.server_port, server.RequestHandlerClass) for server in self._running]
        self._running = [_Server(port, handler) for port, handler in handlers]  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    offered: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def answer(self) -> None:
        raise NotImplementedError

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `asked` has it all."""

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.write(body)

    def write(self, body: bytes) -> None:
        self.wfile.write(body)

    def stay_silent(self) -> None:
        self.offered.closing.wait()
        self.close_connection = True


class _HubHandler(_Handler):
    def answer(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == _HARNESSES:
            self.send(200, b'{"standardEnvVars": [], "harnesses": {}}', {"Content-Type": "application/json"})
            return
        self.offered.asked.append(f"{self.command} {parts.path}")
        self.offered.tokens.add(("hub", self.headers.get("Authorization")))
        if self.offered.busy:
            self.send(self.offered.busy.pop(0), b"", {"Retry-After": self.offered.retry_after})
        elif match := _API.match(parts.path):
            self._model(match["id"], match["revision"], with_sizes="blobs" in parse_qs(parts.query))
        elif match := _FILE.match(parts.path):
            self._file(match["id"], match["file"])
        else:
            self.send(404, b"", {"X-Error-Code": "EntryNotFound"})

    def _model(self, model_id: str, revision: str | None, *, with_sizes: bool) -> None:
        files = self.offered.models.get(model_id)
        if files is None:
            # The real hub does not tell strangers whether a model exists: it answers 401 to both.
            self.send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        if revision not in (None, "main", COMMIT):
            self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        siblings: list[dict[str, Any]] = [
            {"rfilename": name} | ({"size": self.offered.told_sizes.get(name, len(content))} if with_sizes else {})
            for name, content in files.items()
        ]
        document = {"id": model_id, "modelId": model_id, "sha": COMMIT, "private": False, "siblings": siblings}
        told = json.dumps(document).encode() if self.offered.told_as is None else self.offered.told_as
        self.send(200, told, {"Content-Type": "application/json"})

    def _file(self, model_id: str, name: str) -> None:
        if model_id in self.offered.silent:
            self.stay_silent()
            return
        if model_id in self.offered.refused:
            status, code = self.offered.refused[model_id]
            self.send(status, b"", {"X-Error-Code": code})
            return
        content = self.offered.models.get(model_id, {}).get(name)
        headers = {"X-Repo-Commit": COMMIT}
        if content is None:
            self.send(404, b"", headers | {"X-Error-Code": "EntryNotFound"})
        elif name.endswith(".safetensors"):
            headers |= {"X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Linked-Size": str(len(content))}
            self.send(302, b"", headers | {"Location": f"{self.offered.store_url}/stored/{model_id}/{name}"})
        else:
            blob = b"blob %d\0" % len(content) + content  # small files are named as git names them
            self.send(200, content, headers | {"ETag": f'"{hashlib.sha1(blob, usedforsecurity=False).hexdigest()}"'})

    def write(self, body: bytes) -> None:
        if not (self.offered.dripping and _API.match(urlsplit(self.path).path)):
            self.wfile.write(body)
            return
        for byte in body:
            self.wfile.write(bytes([byte]))
            if self.offered.closing.wait(1):
                return


class _StoreHandler(_Handler):
    def answer(self) -> None:
        self.offered.tokens.add(("store", self.headers.get("Authorization")))
        match = _STORED.match(self.path)
        content = self.offered.models.get(match["id"], {}).get(match["file"]) if match else None
        if content is None:
            self.send(404, b"", {})
            return
        self.offered.ranges.append(self.headers.get("Range", ""))
        wanted = None if self.offered.ignores_ranges else _RANGE.match(self.headers.get("Range", ""))
        if wanted is None:
            self.send(200, content, {"Accept-Ranges": "none" if self.offered.ignores_ranges else "bytes"})
            return
        start, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        self.send(206, content[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{len(content)}"})

    def write(self, body: bytes) -> None:
        offered = self.offered
        if offered.spoilt:
            wrong = offered.spoilt.pop(0)
            body = body[:wrong] + bytes([body[wrong] ^ 0xFF]) + body[wrong + 1 :]
        if offered.cut_after:
            self._write_some(body[: offered.cut_after.pop(0)])
            self.connection.close()
            self.close_connection = True
        elif offered.silent_after:
            self._write_some(body[: offered.silent_after.pop(0)])
            self.stay_silent()
        else:
            self._write_some(body)

    def _write_some(self, body: bytes) -> None:
        answer = len(self.offered.sent)
        self.offered.sent.append(0)
        while body:
            rate = self.offered.bytes_per_s
            piece = body if rate is None else body[: max(1, rate // 10)]
            self.wfile.write(piece)
            self.offered.sent[answer] += len(piece)
            body = body[len(piece) :]
            if rate is not None and self.offered.closing.wait(0.1):
                return

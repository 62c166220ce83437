"""A Hugging Face hub on loopback: as much of its interface as the real client uses to find and download models."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"

_API = re.compile(r"^/api/models/(?P<id>[\w.-]+(?:/[\w.-]+)?)(?:/revision/[\w.-]+)?$")
_FILE = re.compile(r"^/(?P<id>[\w.-]+/[\w.-]+)/resolve/[\w.-]+/(?P<file>.+)$")


@dataclass
class Hub:
    """What the server offers, and what it was asked for."""

    url: str = ""
    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Model id → file name → content."""
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Model id → status and `X-Error-Code` for its files."""
    silent: set[str] = field(default_factory=set)
    """Ids of models whose files are asked for in vain: the connection stays open, and nothing comes."""
    cut_after: list[int] = field(default_factory=list)
    """For each of the next answers with weights: so many bytes, then the connection breaks."""
    busy: list[int] = field(default_factory=list)
    """Statuses of the next answers, such as 429, whatever is asked for."""
    bytes_per_s: int | None = None
    """How fast weights are sent."""
    ranges: list[str] = field(default_factory=list)
    """The range of weights that each request for their content asked for; empty for all."""
    asked: list[str] = field(default_factory=list)
    """Every request as `METHOD path`, in order."""
    closing: Event = field(default_factory=Event)

    def add(self, model_id: str, folder: Path, **more: bytes) -> None:
        """Offer the files of a folder as a model."""
        self.models[model_id] = {path.name: path.read_bytes() for path in sorted(folder.iterdir())} | more

    def files_sent(self) -> list[str]:
        """Names of the files whose content was asked for."""
        return [match["file"] for line in self.asked if (match := _FILE.match(line.removeprefix("GET ")))]


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers on 127.0.0.1 for as long as the `with` lasts."""
    hub = Hub()

    class Handler(_Handler):
        offered = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    offered: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `asked` has it all."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        self.offered.asked.append(f"{self.command} {parts.path}")
        if self.offered.busy:
            self._send(self.offered.busy.pop(0), b"", {"Retry-After": "1"})
            return
        if match := _API.match(parts.path):
            self._model(match["id"], with_sizes="blobs" in parse_qs(parts.query))
        elif match := _FILE.match(parts.path):
            self._file(match["id"], match["file"])
        else:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})

    def _model(self, model_id: str, *, with_sizes: bool) -> None:
        files = self.offered.models.get(model_id)
        if files is None:
            # The real hub does not tell strangers whether a model exists: it answers 401 to both.
            self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        siblings: list[dict[str, Any]] = [
            {"rfilename": name} | ({"size": len(content)} if with_sizes else {}) for name, content in files.items()
        ]
        document = {"id": model_id, "modelId": model_id, "sha": COMMIT, "private": False, "siblings": siblings}
        self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _file(self, model_id: str, name: str) -> None:
        if model_id in self.offered.silent:
            self.offered.closing.wait()
            self.close_connection = True
            return
        if model_id in self.offered.refused:
            status, code = self.offered.refused[model_id]
            self._send(status, b"", {"X-Error-Code": code})
            return
        content = self.offered.models.get(model_id, {}).get(name)
        if content is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        headers = {
            "ETag": f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        if name.endswith(".safetensors") and self.command == "GET":
            self.offered.ranges.append(self.headers.get("Range", ""))
        wanted = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", ""))
        if wanted is None:
            self._send(200, content, headers)
            return
        start, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        self._send(206, content[start : end + 1], headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._write(body)

    def _write(self, body: bytes) -> None:
        is_weights = ".safetensors" in self.path
        if is_weights and self.offered.cut_after:
            self.wfile.write(body[: self.offered.cut_after.pop(0)])
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True
            return
        rate = self.offered.bytes_per_s if is_weights else None
        if rate is None:
            self.wfile.write(body)
            return
        for start in range(0, len(body), rate // 10):
            self.wfile.write(body[start : start + rate // 10])
            if self.offered.closing.wait(0.1):
                return

"""The public Imagenette bucket on loopback, with digits samples for photographs: moto's own S3 server."""

from __future__ import annotations

import logging
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moto.backends import get_backend
from moto.s3.models import get_canned_acl
from moto.server import ThreadedMotoServer

NAME = "ray-benchmark-data"
TENCH = "imagenette2/train/n01440764"
CHURCH = "imagenette2/train/n03028079"
ACCOUNT = "123456789012"
"""Whose buckets moto keeps where nobody says who they are."""


@dataclass(frozen=True)
class Bucket:
    """An S3 server with one bucket; `url` is what `AWS_ENDPOINT_URL` must say."""

    url: str

    def put(self, key: str, content: bytes, *, public: bool = True) -> None:
        """Store an object, readable by everyone unless it is not `public`."""
        self._send("PUT", f"{NAME}/{key}", content, {"x-amz-acl": "public-read" if public else "private"})

    def put_photographs(self, folder: str, photographs: Iterable[Path]) -> None:
        """Store pictures as Imagenette does: by class, with names that end in .JPEG."""
        for path in photographs:
            self.put(f"{folder}/{path.stem}.JPEG", path.read_bytes())

    @contextmanager
    def asking_for_credentials(self) -> Iterator[None]:
        """Refuse whoever signs with a key that the server has not given out, for as long as the `with` lasts."""
        self._send("POST", "moto-api/reset-auth", b"0")
        try:
            yield
        finally:
            self._send("POST", "moto-api/reset-auth", b"inf")

    def put_many(self, keys: Iterable[str], content: bytes) -> None:
        """Store the same object under many keys, readable by everyone, without a request for each."""
        backend = get_backend("s3")[ACCOUNT]["aws"]
        for key in keys:
            backend.put_object(NAME, key, content).set_acl(get_canned_acl("public-read"))

    def _send(self, method: str, address: str, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        # urllib would call it a form, which the server would try to parse.
        headers = {"Content-Type": "application/octet-stream"} | (headers or {})
        address = urllib.parse.quote(address)
        request = urllib.request.Request(f"{self.url}/{address}", content, headers, method=method)  # noqa: S310  # our own
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310  # our own
            pass


@contextmanager
def serving() -> Iterator[Bucket]:
    """An empty public bucket that answers on 127.0.0.1 for as long as the `with` lasts."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request otherwise
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        bucket = Bucket(f"http://{host}:{port}")
        get_backend("s3").reset()  # what an earlier server of this process held
        bucket._send("PUT", NAME, headers={"x-amz-acl": "public-read"})
        yield bucket
    finally:
        server.stop()

"""Images in S3: `s3://bucket/folder` with the credentials of the environment, `s3://anonymous@bucket/folder` without.

Only such an address is taken: see `inference.s3` for who is asked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from threading import Lock
from typing import Any

from inference import s3
from inference.errors import DataUnavailable
from inference.images import EXTENSIONS, check_file_size

SCHEME = "s3://"
PIECE_BYTES = 512 * 1024
"""One piece of an object: a line is slow, not dead, while the next one comes within `s3.ANSWER_S`."""
MOST_SILENCES = 8
SILENT_S = 30.0
"""A bucket that has not answered so often in a row is not asked for so many seconds."""
_TRIES = 3
"""A transfer that breaks off is begun again."""

_ADDRESS = re.compile(r"s3://(?P<anonymous>anonymous@)?(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<key>/.*)?", re.S)
_NO_BUCKET = re.compile(r"[0-9.]+|localhost")
"""Amazon has no bucket whose name looks like the address of a machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A folder of a bucket, or one object in it."""

    bucket: str
    key: str
    """Without a slash at either end; may be empty."""
    anonymous: bool

    @classmethod
    def of(cls, text: str) -> Address:
        """Take apart what somebody wrote. Raises `DataUnavailable` for what is no address of a bucket."""
        try:
            address = cls.of_object(text)
        except ValueError:
            address = None
        if address is None or set("?#") & set(text):  # what other programs take options from
            raise DataUnavailable(
                f"{text} is not the address of a bucket: write s3://bucket/folder, or s3://anonymous@bucket/folder for "
                "a public one."
            )
        return address

    @classmethod
    def of_object(cls, uri: str) -> Address:
        """Take apart the address of something that was listed. Raises `ValueError` for what is none."""
        found = _ADDRESS.fullmatch(uri)
        key = (found["key"] or "").removeprefix("/").removesuffix("/") if found else ""
        if found is None or _NO_BUCKET.fullmatch(found["bucket"]) or not _is_plain(key):
            raise ValueError(f"{uri!r:.200} is not the address of an object")
        return cls(bucket=found["bucket"], key=key, anonymous=bool(found["anonymous"]))

    @property
    def path(self) -> str:
        """`bucket/folder`."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    @property
    def uri(self) -> str:
        """As it is written."""
        return f"{SCHEME}{'anonymous@' if self.anonymous else ''}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An image in a bucket."""

    key: str
    """Relative to the address that was listed."""
    size_bytes: int


def stored(address: Address, *, on_skip: Callable[[str, str], None] = lambda name, reason: None) -> Iterator[Stored]:
    """The images below an address by key, as they are found: whoever takes the first few waits for no others.

    `on_skip` is told the name of what cannot be read, and the reason. Hidden files and folders are passed over. Raises
    `DataUnavailable`, within ten seconds of the last answer where nobody answers.
    """
    anything = found = False
    try:
        for key, size_bytes in _objects(address):
            anything = True
            if key.endswith("/") or not key:
                continue  # what some programs put where a folder begins
            if not _is_plain(key):
                on_skip(key, "a part of its name is empty or dots, so it cannot be asked for")
            elif key.lower().endswith(EXTENSIONS) and not any(part.startswith(".") for part in key.split("/")):
                found = True
                yield Stored(key=key, size_bytes=size_bytes)
        if address.key and not anything:
            _require_folder(address)
    except OSError as error:
        raise DataUnavailable(_why_not_listed(address, error)) from error
    if not found:
        raise DataUnavailable(f"s3://{address.path} holds no images: looked for {', '.join(EXTENSIONS)}.")


def _objects(address: Address) -> Iterator[tuple[str, int]]:
    """Keys, relative to the address, and bytes of everything below it, as S3 has them: by key, a thousand at a time.

    Each thousand is asked for when the one before is used up, and has its own time to come.
    """
    below = f"{address.key}/" if address.key else ""
    lister = s3.client(address.anonymous).get_paginator("list_objects_v2")
    pages = iter(lister.paginate(Bucket=address.bucket, Prefix=below))
    while page := s3.answer(lambda: next(pages, None)):
        for found in page.get("Contents", ()):
            yield found["Key"].removeprefix(below), found["Size"]


def _require_folder(address: Address) -> None:
    """Raises what an address below which there is nothing deserves: it may be an object, or not exist."""
    files = s3.client(address.anonymous)
    s3.answer(lambda: files.head_object(Bucket=address.bucket, Key=address.key))
    raise DataUnavailable(f"s3://{address.path} is one object: give the folder that it lies in.")


def read(uri: str) -> bytes:
    """The object at an `s3://` address.

    Raises `OSError` with the reason, which is a `ConnectionError` where nobody answers: within ten seconds of the last
    byte that came, and at once while the bucket has been silent for long.
    """
    try:
        address = Address.of_object(uri)
    except ValueError as error:
        raise OSError(f"it has no name that can be asked for: {error}") from error
    _silences.check(address)
    try:
        content = _whole(address)
    except ConnectionError:
        _silences.note(address)
        raise
    except OSError:
        _silences.forget(address)
        raise
    _silences.forget(address)
    return content


def _whole(address: Address) -> bytes:
    files = s3.client(address.anonymous)
    tries_left = _TRIES
    while True:
        try:
            with closing(s3.answers(lambda alone: _pieces(files, address))) as found:
                return b"".join(found)
        except ConnectionResetError:
            tries_left -= 1
            if not tries_left:
                raise


def _pieces(files: Any, address: Address) -> Generator[bytes]:
    found = files.get_object(Bucket=address.bucket, Key=address.key)
    with closing(found["Body"]) as body:
        check_file_size(found["ContentLength"])
        yield b""  # it has answered
        while piece := body.read(PIECE_BYTES):
            yield piece


class _Silences:
    """How often each bucket has not answered in a row: a run of thousands of images must not wait for each of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._silent: dict[tuple[str | None, str], tuple[int, float]] = {}

    def check(self, address: Address) -> None:
        """Raises `ConnectionError` while it makes no sense to ask again."""
        with self._lock:
            times, last_at = self._silent.get((s3.endpoint(), address.bucket), (0, 0.0))
        if times >= MOST_SILENCES and time.monotonic() - last_at < SILENT_S:
            raise ConnectionError(f"its bucket has not answered {times} times in a row")

    def note(self, address: Address) -> None:
        """Another question has remained without an answer."""
        key = (s3.endpoint(), address.bucket)
        with self._lock:
            self._silent[key] = (self._silent.get(key, (0, 0.0))[0] + 1, time.monotonic())

    def forget(self, address: Address) -> None:
        """It has answered."""
        with self._lock:
            self._silent.pop((s3.endpoint(), address.bucket), None)


_silences = _Silences()


def _is_plain(key: str) -> bool:
    """Whether a key means itself: with dots or nothing between its slashes it would mean another on some way."""
    return not key or not {"", ".", ".."} & set(key.split("/"))


def _why_not_listed(address: Address, error: OSError) -> str:
    """What went wrong, and what to do about it."""
    if isinstance(error, PermissionError):
        whose = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to those of somebody who may read it"
        public = f"write s3://anonymous@{address.path} if it is public"
        advice = f"{whose}, and leave out anonymous@" if address.anonymous else f"{whose}, or {public}"
    elif isinstance(error, ConnectionError):
        advice = "Check that this machine reaches it, or choose digits, which needs no network"
    else:
        advice = "Check the name"
    if not address.anonymous and "anonymous@" not in advice:
        advice += f"; a public bucket is read as s3://anonymous@{address.path}"
    return f"s3://{address.path} could not be listed: {error}. {advice}."

"""Images in S3: `s3://bucket/folder` with the credentials of the environment, `s3://anonymous@bucket/folder` without.

Only such an address is taken. An endpoint comes from the environment (`AWS_ENDPOINT_URL`), never from what somebody
types: an address of one's own choosing would let a page ask this machine's network.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from inference.errors import DataUnavailable
from inference.images import EXTENSIONS

if TYPE_CHECKING:
    from pyarrow import fs

SCHEME = "s3://"
_ADDRESS = re.compile(r"^s3://(?P<anonymous>anonymous@)?(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<key>/[^?#]*)?$")
_NO_CREDENTIALS = re.compile(r"credential|access denied|forbidden|signature|InvalidAccessKeyId", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A folder of a bucket, or one object in it."""

    bucket: str
    key: str
    """Without a slash at either end; may be empty."""
    anonymous: bool

    @classmethod
    def of(cls, text: str) -> Address:
        """Take an address apart. Raises `DataUnavailable` for what is none."""
        found = _ADDRESS.match(text)
        if found is None or ".." in PurePosixPath(found["key"] or "").parts:
            raise DataUnavailable(
                f"{text} is not the address of a bucket: write s3://bucket/folder, or s3://anonymous@bucket/folder for "
                "a public one."
            )
        return cls(bucket=found["bucket"], key=(found["key"] or "").strip("/"), anonymous=bool(found["anonymous"]))

    @property
    def path(self) -> str:
        """As Arrow's file system takes it: `bucket/folder`."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An image in a bucket."""

    key: str
    """Relative to the address that was listed."""
    size_bytes: int


def stored(address: Address, *, region: str | None = None) -> list[Stored]:
    """All images below an address, sorted by key.

    Raises `DataUnavailable` within ten seconds when the bucket cannot be reached or listed.
    """
    from pyarrow import fs

    try:
        entries = filesystem(address.anonymous, region).get_file_info(fs.FileSelector(address.path, recursive=True))
    except OSError as error:
        raise DataUnavailable(_why_not_listed(address, error)) from error
    images = [
        Stored(key=entry.path.removeprefix(f"{address.path}/"), size_bytes=entry.size)
        for entry in entries
        if entry.is_file and entry.path.lower().endswith(EXTENSIONS)
    ]
    if not images:
        raise DataUnavailable(f"s3://{address.path} holds no images: looked for {', '.join(EXTENSIONS)}.")
    return sorted(images, key=lambda image: image.key)


def read(uri: str, region: str | None = None) -> bytes:
    """The object at an `s3://` address. Raises `OSError`."""
    address = Address.of(uri)
    with filesystem(address.anonymous, region).open_input_file(address.path) as file:
        return bytes(file.read())


def filesystem(anonymous: bool, region: str | None = None) -> fs.S3FileSystem:
    """This process's connection to S3, which answers within seconds; `AWS_ENDPOINT_URL` points it at another server."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return _filesystem(anonymous, region, endpoint, _credentials())


@functools.lru_cache(maxsize=8)
def _filesystem(
    anonymous: bool, region: str | None, endpoint: str | None, credentials: tuple[tuple[str, str], ...]
) -> fs.S3FileSystem:
    """Made once for each setting of the environment: `credentials` are read by Arrow from there."""
    from pyarrow import fs

    return fs.S3FileSystem(
        anonymous=anonymous,
        region=region,
        endpoint_override=endpoint,
        scheme="http" if endpoint and endpoint.startswith("http://") else "https",
        connect_timeout=3,
        request_timeout=5,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
    )


def _credentials(environment: Mapping[str, str] = os.environ) -> tuple[tuple[str, str], ...]:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_REGION")
    return tuple((name, environment[name]) for name in names if name in environment)


def _why_not_listed(address: Address, error: OSError) -> str:
    """What went wrong, and what to do about it."""
    reason = _reason(error)
    uri = f"s3://{address.path}"
    if address.anonymous:
        advice = (
            "It is read without credentials over the network: check that this machine reaches it, or choose "
            "digits, which needs no network"
        )
    elif _NO_CREDENTIALS.search(reason):
        advice = (
            f"Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to those of somebody who may read it, or write "
            f"s3://anonymous@{address.path} if it is public"
        )
    else:
        advice = (
            f"Check the name and that this machine reaches it; a public bucket is read as s3://anonymous@{address.path}"
        )
    return f"{uri} could not be listed: {reason}. {advice}."


def _reason(error: OSError) -> str:
    """The part of an Arrow S3 error that tells a person something."""
    text = str(error).partition(" operation: ")[2] or str(error)
    return re.sub(r"^curlCode: \d+, |;? ?\(Request ID: [^)]*\)|\.$", "", text).strip() or "no reason given"

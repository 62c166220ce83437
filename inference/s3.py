"""This process's connections to S3, and questions to it that are answered within ten seconds.

An endpoint comes from the environment (`AWS_ENDPOINT_URL`), never from what somebody types: an address of one's own
choosing would let a page ask this machine's network.
"""

from __future__ import annotations

import http.client
import os
import re
from collections.abc import Callable, Generator
from contextlib import closing
from threading import Event, Lock
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from pyarrow import fs

ANSWER_S = 8.0
"""For each answer, or piece of an object, as a person sees it. Arrow's own limit begins anew with every try and with
every byte (26.0): a server that sends one byte a second would be waited for until it is done."""

_AWS = "https://s3.amazonaws.com"
_REGION_TIMEOUT_S = 3.0
_ELSEWHERE = re.compile(r"HTTP status (301|307|400)|PermanentRedirect|AuthorizationHeaderMalformed")
_SILENT = re.compile(r"NETWORK_CONNECTION|curlCode|HTTP status 5\d\d|SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE")
_SETTINGS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
"""What Arrow reads from the environment when a connection is made."""

_T = TypeVar("_T")
_making = Lock()
_made: dict[tuple[object, ...], fs.S3FileSystem] = {}
"""By what they were made of."""
_regions: dict[tuple[str | None, str], str] = {}
"""By endpoint and bucket, of those that turned out to lie elsewhere than was thought."""


def endpoint() -> str | None:
    """The server that the environment names; None for Amazon's own."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def filesystem(anonymous: bool, region: str | None = None) -> fs.S3FileSystem:
    """A connection, made once for each setting of the environment. Raises `TimeoutError`.

    Whoever has no credentials would have them asked of `169.254.169.254`, where a machine at Amazon finds its own:
    elsewhere that is somebody else's address, and seconds of waiting. `AWS_EC2_METADATA_DISABLED=false` allows it.
    """
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    address = endpoint()
    key = (anonymous, region, address, *(os.environ.get(name) for name in _SETTINGS))
    # Once for all threads: Arrow makes none before all questions of this process are answered (26.0), also those that
    # we have given up.
    if key not in _made:
        with _making:
            if key not in _made:
                _made[key] = answer(lambda: _filesystem(anonymous, region, address))
    return _made[key]


def _filesystem(anonymous: bool, region: str | None, address: str | None) -> fs.S3FileSystem:
    from pyarrow import fs

    return fs.S3FileSystem(
        anonymous=anonymous,
        region=region,
        endpoint_override=address,
        scheme="http" if address and address.startswith("http://") else "https",
        connect_timeout=3,
        request_timeout=5,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=3),  # a busy server is asked again
    )


def connection(bucket: str, anonymous: bool, region: str | None = None) -> fs.S3FileSystem:
    """The connection to where a bucket lies, as far as is known."""
    return filesystem(anonymous, _regions.get((endpoint(), bucket), region))


def asked(bucket: str, anonymous: bool, region: str | None, ask: Callable[[fs.S3FileSystem], _T]) -> _T:
    """What `ask` returns or raises, given the connection to where a bucket lies; finds out where that is."""
    files = connection(bucket, anonymous, region)
    try:
        return ask(files)
    except OSError as error:
        found = region_of(bucket) if _ELSEWHERE.search(str(error)) else None
        if found is None or found == files.region:
            raise
    _regions[endpoint(), bucket] = found
    return ask(connection(bucket, anonymous))


def region_of(bucket: str) -> str | None:
    """Where the server says that a bucket lies; None if it does not.

    It tells everybody, also those whom it shows nothing else; Arrow does not find it out by itself (26.0).
    """
    address = urlsplit(endpoint() or _AWS)
    connect = http.client.HTTPConnection if address.scheme == "http" else http.client.HTTPSConnection
    try:
        with closing(connect(address.netloc, timeout=_REGION_TIMEOUT_S)) as connection:
            connection.request("HEAD", f"{address.path.rstrip('/')}/{quote(bucket)}")
            return connection.getresponse().getheader("x-amz-bucket-region")
    except (OSError, http.client.HTTPException):
        return None


def answers(produce: Callable[[Event], Generator[_T]], silence_s: float | None = None) -> Generator[_T]:
    """What `produce` yields, each within `silence_s` or `ANSWER_S` seconds; `TimeoutError` if not."""
    from inference.patience import attended  # brings the hub's client along, which few of our processes need

    return attended(produce, lambda: None, silence_s or ANSWER_S)


def answer(ask: Callable[[], _T], silence_s: float | None = None) -> _T:
    """What `ask` returns or raises; `TimeoutError` if it takes longer than `silence_s` or `ANSWER_S` seconds."""

    def only(alone: Event) -> Generator[_T]:
        yield ask()

    with closing(answers(only, silence_s)) as given:
        return next(given)


def is_silence(error: OSError) -> bool:
    """Whether it was the network, or the server as a whole: what is asked for next will hardly fare better."""
    return isinstance(error, (TimeoutError, ConnectionError)) or _SILENT.search(str(error)) is not None


def reason(error: OSError) -> str:
    """What an error of Arrow's says to a person."""
    text = error.strerror or str(error)
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_S:.0f} s"
    if isinstance(error, FileNotFoundError):
        return "there is nothing of that name"
    for pattern, words in _WORDS:
        found = re.search(pattern, text, re.IGNORECASE)
        if found is not None:
            return words.format(*found.groups())
    told = text.partition(" operation: ")[2] or text
    return re.sub(r"^curlCode: \d+, |;? ?\(Request ID: [^)]*\)|\.$", "", told).strip() or "no reason given"


_WORDS = (
    (r"ACCESS_DENIED|HTTP status 403|Forbidden", "access denied (ACCESS_DENIED)"),
    (
        r"INVALID_ACCESS_KEY_ID|InvalidAccessKeyId|SIGNATURE_DOES_NOT_MATCH|ExpiredToken|INVALID_CLIENT_TOKEN",
        "the server does not accept these credentials",
    ),
    (r"NO_SUCH_BUCKET|The specified bucket does not exist", "the bucket does not exist"),
    (r"curlCode: 28", "no answer in time"),
    (r"Could not resolve host: (\S+)", "there is no server of the name {}"),
    (r"curlCode: 7|Could not connect", "could not connect to its server"),
    (r"SLOW_DOWN|HTTP status 503|SERVICE_UNAVAILABLE", "its server is busy"),
    (r"HTTP status (5\d\d)|INTERNAL_FAILURE", "its server failed"),
    (
        r"HTTP status (301|307)|PermanentRedirect|AuthorizationHeaderMalformed",
        "the bucket lies in another region: set AWS_DEFAULT_REGION to it",
    ),
)
"""In Arrow's errors, which carry the server's own words only for some questions, and what they mean."""

"""This process's connections to S3, and questions to it that are answered within ten seconds.

An endpoint comes from the environment (`AWS_ENDPOINT_URL`), never from what somebody types: an address of one's own
choosing would let a page ask this machine's network.

What goes wrong is an `OSError` with the reason in a person's words: a `PermissionError` where other credentials may
help, a `FileNotFoundError` where there is nothing, and a `ConnectionError` where it was the network or the server as a
whole, so that what is asked for next will hardly fare better.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing
from threading import Event, Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

ANSWER_S = 8.0
"""For each answer, or piece of an object, as a person sees it. The client's own limit begins anew with every try and
with every byte (botocore 1.44): a server that sends one byte a second would be waited for until it is done."""

_KEPT_OPEN = 16
"""Connections that wait for the next question: pages and readers each ask for some eight objects at a time."""
_TRIES = 3
"""A busy server is asked again."""
_SETTINGS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
"""What is read from the environment when a client is made."""

_T = TypeVar("_T")
_making = Lock()
_made: dict[tuple[object, ...], Any] = {}
"""By what they were made of."""


def endpoint() -> str | None:
    """The server that the environment names; None for Amazon's own."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def client(anonymous: bool) -> Any:
    """A client, made once for each setting of the environment; threads may share it. Raises `OSError`.

    It finds out by itself in which region a bucket lies.

    Whoever has no credentials would have them asked of `169.254.169.254`, where a machine at Amazon finds its own:
    elsewhere that is somebody else's address, and seconds of waiting. `AWS_EC2_METADATA_DISABLED=false` allows it.
    """
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    key = (anonymous, endpoint(), *(os.environ.get(name) for name in _SETTINGS))
    with _making:  # making one is not safe in several threads
        if key not in _made:
            _made[key] = answer(lambda: _client(anonymous))
        return _made[key]


def _client(anonymous: bool) -> Any:
    import botocore.config
    import botocore.session

    settings = botocore.config.Config(
        signature_version=botocore.UNSIGNED if anonymous else None,
        connect_timeout=3,
        read_timeout=5,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        max_pool_connections=_KEPT_OPEN,
    )
    session = botocore.session.Session()
    region = session.get_config_variable("region") or os.environ.get("AWS_REGION")  # which Amazon's other clients read
    made = session.create_client("s3", region, endpoint_url=endpoint(), config=settings)
    made.meta.events.register_last("before-parameter-build.s3", _ask_once)
    return made


def _ask_once(model: Any, context: dict[str, Any], **_: object) -> None:
    """Where a server redirects without a word of where to, the client would ask for that for ever (botocore 1.44)."""
    if model.name == "HeadBucket":
        context["s3_redirect"]["redirected"] = True


def answers(produce: Callable[[Event], Generator[_T]]) -> Generator[_T]:
    """What `produce` yields, each within `ANSWER_S` seconds. Raises `OSError` with the reason."""
    from inference.patience import attended  # brings the hub's client along, which few of our processes need

    try:
        yield from attended(produce, lambda: None, ANSWER_S)
    except TimeoutError:
        raise ConnectionError(f"no answer within {ANSWER_S:.0f} s") from None
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        raise told from error


def answer(ask: Callable[[], _T]) -> _T:
    """What `ask` returns, within `ANSWER_S` seconds. Raises `OSError` with the reason."""

    def only(alone: Event) -> Generator[_T]:
        yield ask()

    with closing(answers(only)) as given:
        return next(given)


def _told(error: Exception) -> OSError | None:
    """The client's error as this module raises it; None for what is not the client's."""
    from botocore import exceptions as client_errors

    match error:
        case client_errors.ClientError():
            code = str(error.response["Error"].get("Code", ""))
            return _refused(code, error.response["ResponseMetadata"].get("HTTPStatusCode", 0))
        case client_errors.NoCredentialsError():
            return PermissionError("there are no credentials")
        case client_errors.ProfileNotFound() | client_errors.PartialCredentialsError():
            return PermissionError(f"the credentials are not complete: {error}".rstrip("."))
        case client_errors.CredentialRetrievalError() | client_errors.TokenRetrievalError():
            return PermissionError(f"the credentials could not be had: {error}".rstrip("."))
        case client_errors.EndpointConnectionError():
            return ConnectionError(_not_connected(error))
        case client_errors.ConnectTimeoutError() | client_errors.ReadTimeoutError():
            return ConnectionError("no answer in time")
        case client_errors.SSLError():
            return ConnectionError("its server's certificate is not accepted")
        case (
            client_errors.ResponseStreamingError()
            | client_errors.IncompleteReadError()
            | client_errors.ConnectionClosedError()
        ):
            return ConnectionResetError("the connection broke off")
        case client_errors.HTTPClientError():
            return ConnectionError(str(error).rstrip("."))
        case client_errors.BotoCoreError():
            return OSError(str(error).rstrip("."))
    return None


def _refused(code: str, status: int) -> OSError:
    """What a server means by its code, or by its status where it may not say more (an answer to HEAD has no body)."""
    if code in ("SlowDown", "RequestLimitExceeded", "Throttling", "TooManyRequests") or status in (429, 503):
        return ConnectionError("its server is busy")
    if status >= 500:
        return ConnectionError(f"its server failed ({code})")
    if code == "NoSuchBucket":
        return FileNotFoundError("the bucket does not exist")
    if status == 404:
        return FileNotFoundError("there is nothing of that name")
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed"):
        return PermissionError(f"the server does not accept these credentials ({code})")
    if status in (301, 307) or code == "AuthorizationHeaderMalformed":
        return OSError("the bucket lies in another region: set AWS_DEFAULT_REGION to it")
    if status in (401, 403):
        return PermissionError("access denied")
    return OSError(f"the server refuses it ({code})")


def _not_connected(error: Any) -> str:
    from urllib3.exceptions import NameResolutionError

    if isinstance(error.kwargs.get("error"), NameResolutionError):
        return f"there is no server of the name {urlsplit(error.kwargs['endpoint_url']).hostname}"
    return "could not connect to its server"

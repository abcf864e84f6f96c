"""What S3 stores refuse, and what to do about it, as errors of one line."""

import contextlib
from collections.abc import Iterator
from typing import Any

from pixmo.errors import PublishError

MISSING = {"NoSuchKey", "NoSuchUpload", "NotFound", "404"}
EXISTS = {"PreconditionFailed", "412"}
CONFLICT = {"ConditionalRequestConflict", "409"}  # the name is being created just now
SERVER_FAILED = 500  # this status and above: the store may have done what was asked, or not
ADVICE = {
    "NoSuchBucket": "there is no such bucket; check the name, or make the bucket first",
    "ExpiredToken": "the credentials have expired; get new ones and run the same command again",
    "InvalidAccessKeyId": "the store does not know AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY is wrong",
    "AccessDenied": "these credentials may not do that",
    "403": "these credentials may not do that",
    "SlowDown": "the store is too busy; run the same command again later",
    "ConditionalRequestConflict": "somebody else writes it just now; run the same command again",
    "BadDigest": "what arrived has another sha256 than what was sent; run the same command again",
    "XAmzContentChecksumMismatch": "what arrived has another sha256 than what was sent; run the"
    " same command again",
}


class ExistsError(PublishError):
    """Another object has the name already."""


def is_missing(error: Any) -> bool:
    """Whether the store says that an object or an upload is not there."""
    return str(error.response.get("Error", {}).get("Code", "")) in MISSING


def code_of(error: Any) -> str:
    """The code by which the store names what it refuses."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return "ExpiredToken" if code == "ExpiredTokenException" else code


def status_of(error: Any) -> int:
    """The HTTP status of what the store refuses."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextlib.contextmanager
def refusals(place: str) -> Iterator[None]:
    """Whatever a store refuses meanwhile is one error with one line, which begins with `place`.

    Raises:
        PublishError: it refuses anything.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        HTTPClientError,
        NoCredentialsError,
    )
    from botocore.exceptions import (
        ConnectionError as NoConnectionError,
    )

    try:
        yield
    except ClientError as error:
        code = code_of(error)
        said = error.response.get("Error", {}).get("Message") or code
        advice = f"{ADVICE[code]} ({said})" if code in ADVICE else f"{said} ({code})"
        raise PublishError(f"{place}: {advice}") from error
    except NoCredentialsError as error:
        raise PublishError(
            f"{place}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    except (HTTPClientError, NoConnectionError) as error:
        raise PublishError(
            f"{place}: the store does not answer ({error}); check the network and the"
            " endpoint, then run the same command again, it goes on where it was"
        ) from error
    except BotoCoreError as error:
        raise PublishError(f"{place}: {error}") from error

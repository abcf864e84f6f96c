"""What a hub refuses, and what to do about it, as errors of one line."""

import contextlib
import itertools
import re
from collections.abc import Iterator

from pixmo.errors import PublishError

NOT_ALLOWED = {401, 403}
QUERY = re.compile(r"(https?://[^\s?'\"]*)\?[^\s'\"]*")
TOO_MANY, SERVER_FAILED = 429, 500  # this status of failure and above


class BusyError(Exception):
    """The hub answers with a status that may pass."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def is_busy(status: int) -> bool:
    """Whether the same request may be answered a little later."""
    return status == TOO_MANY or status >= SERVER_FAILED


@contextlib.contextmanager
def refusals(place: str) -> Iterator[None]:
    """Whatever a hub refuses meanwhile is one error with one line, which begins with `place`.

    Raises:
        PublishError: it refuses anything.
    """
    import httpx2
    from huggingface_hub.errors import (
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        yield
    except BusyError as error:
        raise PublishError(
            f"{place}: the hub answers {error.status}; run the same command again later"
        ) from error
    except RepositoryNotFoundError as error:
        raise PublishError(
            f"{place}: there is no such dataset, or HF_TOKEN may not see it"
        ) from error
    except (HfHubHTTPError, httpx2.HTTPError, OfflineModeIsEnabled, RuntimeError) as error:
        raise PublishError(f"{place}: {reason(error)}") from error
    except ValueError as error:  # the card's front matter, or what the hub says of an upload
        raise PublishError(f"{place}: the hub refuses it: {said(error)}") from error


def reason(error: BaseException) -> str:
    """Why the hub was of no use, and what to do."""
    causes = list(itertools.islice(chain(error), 5))
    for cause in causes:
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if status in NOT_ALLOWED:
            return f"the hub does not let HF_TOKEN do that ({status}); get a token that may write"
        if status is not None:
            return f"the hub answers {status}; run the same command again later ({said(cause)})"
    return f"the hub does not answer ({said(causes[-1])}); run the same command again, it goes on"


def said(error: BaseException) -> str:
    """What an error says, in one line, its URLs without their queries: these may be credentials."""
    return QUERY.sub(r"\1", " ".join(str(error).split()))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__

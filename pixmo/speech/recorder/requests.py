"""What requests hold, of limited size, and how the recorder says what is wrong with one."""

import html
import json
import logging
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from pixmo.speech.recorder.drafts import OffsetError, TooLargeError
from pixmo.speech.recorder.filing import DISK_TROUBLE, TooShortError
from pixmo.speech.recorder.invites import InviteError

LOG = logging.getLogger("uvicorn.error")  # the server's own, shown where it runs
MOST_JSON_BYTES = 10_000
NUMBER = re.compile(r"[0-9]{1,15}")
# What somebody sees whose link is none.
LINK_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Not a valid link</title>
<h1>{}</h1>
</html>
"""


async def refused(_request: Request, error: Exception) -> Response:
    """What is wrong with a request."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


async def unusable(request: Request, error: Exception) -> Response:
    """What is wrong with a link or with what was sent."""
    told: dict[str, object] = {"error": str(error)}
    if isinstance(error, InviteError):
        if "text/html" in request.headers.get("accept", ""):  # somebody opened the link
            page = LINK_PAGE.format(html.escape(str(error)))
            return HTMLResponse(page, HTTPStatus.FORBIDDEN)
        return JSONResponse(told, HTTPStatus.FORBIDDEN)
    if isinstance(error, OffsetError):
        return JSONResponse(told | {"offset": error.offset}, HTTPStatus.CONFLICT)
    if isinstance(error, TooLargeError):
        return JSONResponse(told, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    # What is too short stays a draft; what else is no recording was set aside.
    kept: dict[str, object] = {"kept": "set aside"}
    if isinstance(error, TooShortError):
        kept = {"kept": "draft", "seconds": error.seconds}
    return JSONResponse(told | kept, HTTPStatus.UNPROCESSABLE_ENTITY)


async def troubled(_request: Request, error: Exception) -> Response:
    """The server's disk is full; another trouble is the server's to report."""
    if not isinstance(error, OSError) or error.errno not in DISK_TROUBLE:
        raise error
    LOG.error("%s: nothing can be recorded until there is room", error)
    told = "the server's disk is full; tell the people who invited you"
    return JSONResponse({"error": told}, HTTPStatus.INSUFFICIENT_STORAGE)


async def limited(request: Request, most: int, what: str) -> bytes:
    """The body of a request.

    Raises:
        TooLargeError: it is longer than `most` bytes, whatever it says.
    """
    too_large = TooLargeError(f"{what} has at most {most // 1000} kB")
    stated = number(request.headers.get("content-length", "0"))
    if stated is None or stated > most:
        raise too_large
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise too_large
        pieces.append(piece)
    return b"".join(pieces)


async def body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent."""
    try:
        value = json.loads(await limited(request, MOST_JSON_BYTES, "what is sent as JSON"))
    except (ValueError, RecursionError) as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "this is no JSON") from error
    if not isinstance(value, dict):
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "this is no JSON object")
    return value


def number(stated: str) -> int | None:
    """A number that somebody stated, of bytes or of parts; None, where it is none that can be."""
    return int(stated) if NUMBER.fullmatch(stated) else None


def when(stated: object) -> str:
    """A time that a browser stated, ISO 8601 in UTC; now, where it is none."""
    try:
        said = datetime.fromisoformat(str(stated)).astimezone(UTC)
    except (ValueError, OverflowError):
        said = datetime.now(UTC)
    return said.isoformat(timespec="seconds")

"""The recorder behind HTTP: one page, the images, and recordings that arrive piece by piece.

    GET    /a/TOKEN/                        the page; its script and style beside it
    GET    /a/TOKEN/session                 who is here, what is asked, whether they consented
    POST   /a/TOKEN/consent                 {text_sha256, agreed}
    POST   /a/TOKEN/next                    answers {image}: its sha256, or null
    GET    /a/TOKEN/images/SHA256
    POST   /a/TOKEN/skip                    {image, reason}
    GET    /a/TOKEN/recordings/ID           {parts: [bytes], filed}
    PATCH  /a/TOKEN/recordings/ID/PART      a piece, at the byte that Upload-Offset names; of both,
                                            ?image=SHA256 says what the annotator is at
    POST   /a/TOKEN/recordings/ID           {image, recorded_at, parts}: it is whole, and about the
                                            image that its pieces were
    DELETE /a/TOKEN/recordings/ID           the annotator begins anew

All addresses are relative to the page's own, so a proxy may put them under any path. What is wrong
comes back as {"error": …}, for people, with 403 (no valid link, or no consent), 404, 409 (with the
offset to go on from), 413, 422 or 507 (the disk is full).
"""

import re
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixmo.errors import PixmoError, ReleaseError
from pixmo.resources import shared
from pixmo.speech.recorder.drafts import MOST_PARTS, RECORDING_ID, Draft, Submission
from pixmo.speech.recorder.recorder import SKIP_REASONS, Recorder
from pixmo.speech.recorder.requests import (
    body,
    limited,
    number,
    refused,
    troubled,
    unusable,
    when,
)

PAGE = {
    "": ("recorder.html", "text/html"),
    "recorder.js": ("recorder.js", "text/javascript"),
    "draft.js": ("draft.js", "text/javascript"),
    "image.js": ("image.js", "text/javascript"),
    "recorder.css": ("recorder.css", "text/css"),
}
MOST_PIECE_BYTES = 4_000_000
IMAGE_ID = re.compile(r"[0-9a-f]{64}")  # a sha256
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self), screen-wake-lock=(self)",
    "Referrer-Policy": "no-referrer",  # the address is the invitation
    "X-Content-Type-Options": "nosniff",
}


class Handlers:
    """What answers each request; every one needs a valid link."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    async def page(self, request: Request) -> Response:
        """The page and what belongs to it."""
        self.annotator(request)
        name = request.path_params.get("name", "")
        if name not in PAGE:
            raise HTTPException(404, "there is only one page")
        name, kind = PAGE[name]
        return FileResponse(shared("annotation_ui", "cap", name), media_type=kind)

    async def beside(self, request: Request) -> Response:
        """A link that lost its last slash leads to the page, whatever a proxy puts it under."""
        self.annotator(request)
        return RedirectResponse(f"{request.path_params['token']}/")

    async def session(self, request: Request) -> Response:
        """Who is here, and what is asked of them."""
        annotator = self.annotator(request)
        recorder = self.recorder
        return JSONResponse(
            {
                "workspace": recorder.workspace_id,
                "annotator": annotator,
                "consent": {
                    "text": recorder.consent_text,
                    "text_sha256": recorder.consent_sha256,
                    "is_given": recorder.has_consent(annotator),
                },
                "questions": recorder.questions,
                "min_seconds": recorder.inbox.length.least,
                "max_seconds": recorder.inbox.length.most,
                "max_parts": MOST_PARTS,
                "skip_reasons": SKIP_REASONS,
                "recorded": recorder.inbox.counts[annotator],
            }
        )

    async def consent(self, request: Request) -> Response:
        """The annotator agrees to the text that they saw, or does not."""
        annotator = self.annotator(request)
        said = await body(request)
        if said.get("text_sha256") != self.recorder.consent_sha256:
            raise HTTPException(409, "the text has changed; load the page again")
        agreed = said.get("agreed") is True
        await run_in_threadpool(self.recorder.consent, annotator, agreed=agreed)
        return JSONResponse({})

    async def next(self, request: Request) -> Response:
        """The image to describe."""
        return JSONResponse({"image": self.recorder.next_image(self.consenting(request))})

    async def image(self, request: Request) -> Response:
        """An image's file."""
        self.consenting(request)
        try:
            found = await self.recorder.shown(request.path_params["sha256"])
        except ReleaseError as error:
            raise HTTPException(404, "the image cannot be read") from error
        if found is None:
            raise HTTPException(404, "there is no such image")
        path, kind = found
        # What a sha256 names never changes.
        cached = {"Cache-Control": "private, max-age=86400, immutable"}
        return FileResponse(path, media_type=kind, headers=cached)

    async def skip(self, request: Request) -> Response:
        """The annotator wants another image."""
        annotator = self.consenting(request)
        said = await body(request)
        image, reason = said.get("image"), str(said.get("reason", ""))[:200]
        if not isinstance(image, str) or not self.recorder.assignment.knows(image):
            raise HTTPException(422, "there is no such image")
        await self.recorder.skip(annotator, image, reason)
        return JSONResponse({})

    async def arrived(self, request: Request) -> Response:
        """What has arrived of a recording."""
        _, recording_id, draft = self.draft(request)
        filed = recording_id in self.recorder.inbox.filed
        return JSONResponse({"parts": draft.sizes, "filed": filed})

    async def append(self, request: Request) -> Response:
        """A piece has arrived."""
        _, recording_id, draft = self.draft(request)
        offset = number(request.headers.get("upload-offset", ""))
        if offset is None:
            raise HTTPException(422, "Upload-Offset is missing or no number of bytes")
        part = number(request.path_params["part"])
        if part is None:
            raise HTTPException(404, "there is no such part")
        image = request.query_params.get("image", "")
        piece = await limited(request, MOST_PIECE_BYTES, "a piece")
        # No other request runs between the look at what is there and the writing.
        if recording_id in self.recorder.inbox.filed:
            raise HTTPException(409, "this recording was submitted")
        self.check_image(draft, image)
        size = draft.append(part, offset, piece)
        if not draft.image and self.recorder.assignment.knows(image):
            draft.is_about(image)
        return JSONResponse({"offset": size})

    async def submit(self, request: Request) -> Response:
        """A recording is whole."""
        annotator, recording_id, draft = self.draft(request)
        said = await body(request)
        image = said.get("image")
        if not isinstance(image, str) or not IMAGE_ID.fullmatch(image):
            raise HTTPException(422, "image is no sha256")
        if recording_id not in self.recorder.inbox.filed:
            self.check_image(draft, image)
            if draft.sizes != said.get("parts"):
                return JSONResponse(
                    {"error": "not all of it has arrived", "parts": draft.sizes}, status_code=409
                )
        submission = Submission(recording_id, annotator, image, when(said.get("recorded_at")))
        filed = await self.recorder.submit(draft, submission)
        return JSONResponse({"sha256": filed.sha256, "seconds": filed.seconds})

    async def discard(self, request: Request) -> Response:
        """The annotator begins anew."""
        _, _, draft = self.draft(request)
        await run_in_threadpool(draft.delete)
        return JSONResponse({})

    def annotator(self, request: Request) -> str:
        """Whose link the request came by."""
        return self.recorder.annotator(request.path_params["token"])

    def consenting(self, request: Request) -> str:
        """As `annotator`, who agreed to the consent text."""
        annotator = self.annotator(request)
        if not self.recorder.has_consent(annotator):
            raise HTTPException(403, "nothing is recorded without consent; load the page again")
        return annotator

    def check_image(self, draft: Draft, image: str) -> None:
        """What is said is about the image that it was begun about."""
        if draft.image and image and image != draft.image:
            raise HTTPException(422, "this was begun about another image; load the page again")

    def draft(self, request: Request) -> tuple[str, str, Draft]:
        """The annotator, the recording's id and what has arrived of it."""
        annotator = self.consenting(request)
        recording_id = request.path_params["recording_id"]
        if not RECORDING_ID.fullmatch(recording_id):
            raise HTTPException(404, "there is no such recording")
        image = request.query_params.get("image", "")
        return annotator, recording_id, self.recorder.draft(annotator, recording_id, image)


def build_app(recorder: Recorder) -> Starlette:
    """The recorder as an ASGI application."""
    handlers = Handlers(recorder)
    recording = "/recordings/{recording_id}"
    routes = [
        Route("/session", handlers.session),
        Route("/consent", handlers.consent, methods=["POST"]),
        Route("/next", handlers.next, methods=["POST"]),
        Route("/images/{sha256}", handlers.image),
        Route("/skip", handlers.skip, methods=["POST"]),
        Route(recording, handlers.arrived),
        Route(recording, handlers.submit, methods=["POST"]),
        Route(recording, handlers.discard, methods=["DELETE"]),
        Route(recording + "/{part}", handlers.append, methods=["PATCH"]),
        Route("/", handlers.page),
        Route("/{name}", handlers.page),
    ]
    return Starlette(
        routes=[Mount("/a/{token}", routes=routes), Route("/a/{token}", handlers.beside)],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={
            HTTPException: refused,
            PixmoError: unusable,
            OSError: troubled,
        },
    )


@dataclass(frozen=True)
class SecurityHeaders:
    """Adds what tells a browser to load nothing from elsewhere."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Every answer has the headers."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, add)

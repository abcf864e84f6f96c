"""What writing the stale captions would send and cost, without sending or writing anything."""

from dataclasses import dataclass
from typing import Any

from pixmo.hashing import sha256_value
from pixmo.speech.captioning.caption_writer import CaptionWriter
from pixmo.speech.captioning.captions import Backlog, images_described, options
from pixmo.speech.captioning.language_model_writer import LanguageModelWriter
from pixmo.workspace.workspace import Workspace

FIRST_REQUESTS = 3


@dataclass(frozen=True)
class Plan:
    """What a run would do; tokens and cost are estimates, of first answers only."""

    writer: str
    captions: int  # to write
    requests: int  # to send for them: none where the answer is kept already
    input_tokens: int
    output_tokens: int
    cost: float | None  # None where prices are unknown
    base_url: str  # where they would go; empty for nowhere
    first: list[dict[str, Any]]  # the first requests, exactly as they would be sent


def plan(workspace: Workspace, writer: CaptionWriter) -> Plan:
    """What `write_captions` would do with `writer`."""
    requests = read = written = captions = 0
    first: list[dict[str, Any]] = []
    with workspace.connect() as connection:
        options_sha256 = sha256_value(options(writer))
        backlog = Backlog.find(connection, options_sha256)
        query = "select distinct caption_id from captions"
        ever = {caption_id for (caption_id,) in connection.execute(query).fetchall()}
        for image in images_described(connection, options_sha256):
            if image.caption_id not in backlog.pending:
                continue
            captions += 1
            if image.caption_id in ever or not isinstance(writer, LanguageModelWriter):
                continue
            if (request := writer.unasked(image.texts)) is not None:
                requests += 1
                tokens = writer.estimate(request, image.texts)
                read, written = read + tokens[0], written + tokens[1]
                if len(first) < FIRST_REQUESTS:
                    first.append(request)
    if isinstance(writer, LanguageModelWriter):
        cost, base_url = writer.cost(read, written), writer.settings.base_url
    else:
        cost, base_url = 0.0, ""
    return Plan(writer.name, captions, requests, read, written, cost, base_url, first)

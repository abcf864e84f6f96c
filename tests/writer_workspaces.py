"""Workspaces whose captions a language model writes, for tests that share them."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

from pixmo.hashing import sha256_bytes
from pixmo.speech.captioning.caption_writer import Cleaner
from pixmo.speech.captioning.language_model_writer import LanguageModelWriter, Spent
from pixmo.speech.transcripts import written_row
from pixmo.workspace.workspace import Workspace
from tests.local_model_server import (
    MODEL,
    LocalModelServer,
)

CLEANER = Cleaner().name
INVENTED = "A purple elephant juggles seven lemons beside the castle."


def prepare(root: Path, server_url: str, images: int = 3, **values: Any) -> Workspace:
    """A workspace with so many described images and a language model to write their captions."""
    chosen = {
        "writer": "language-model",
        "base_url": server_url,
        "model": MODEL,
        "concurrency": 4,
        "timeout_seconds": 10.0,
    } | values
    lines = [f"{name} = {json.dumps(value)}" for name, value in chosen.items()]
    root.mkdir(exist_ok=True)
    (root / "pixmo.toml").write_text("\n".join(["[caption]", *lines]) + "\n", "utf-8")
    workspace = Workspace.open(root)
    if not workspace.table("transcripts").parts():
        rows = [
            written_row(f"t{n:04}", image(n), "ann", text_of(n), "en", sha256_bytes(b"written"))
            for n in range(images)
        ]
        workspace.append("transcripts", rows)
        workspace.append("images", [image_row(n) for n in range(images)])
    return workspace


def image(number: int) -> str:
    return sha256_bytes(f"image {number}".encode())


def image_row(number: int) -> dict[str, Any]:
    from pixmo import schema

    kinds: dict[str, Any] = {"string": "", "int64": 0, "double": 0.0, "bool": False}
    row = {column.name: kinds.get(column.type, []) for column in schema.table("images").columns}
    return row | {"image_sha256": image(number), "ordinal": number, "path": f"{number}.png"}


def text_of(number: int) -> str:
    return f"There is a red circle beside door {number + 10}."


def captions(workspace: Workspace) -> list[str]:
    """The captions that count now, in the images' order."""
    with workspace.connect() as connection:
        query = "select caption from current_captions join images using (image_sha256)"
        rows = connection.execute(f"{query} order by images.ordinal").fetchall()
    return [caption for (caption,) in rows]


def writers(workspace: Workspace) -> Counter[str]:
    with workspace.connect() as connection:
        rows = connection.execute("select writer from current_captions").fetchall()
    return Counter(writer for (writer,) in rows)


def responses(workspace: Workspace) -> list[dict[str, Any]]:
    return list(workspace.read("writer_responses").to_pylist())


def asked(server: LocalModelServer) -> Counter[tuple[str, ...]]:
    """How often the server was asked each conversation."""
    return Counter(tuple(request.messages) for request in server.requests)


def spent(writer: LanguageModelWriter) -> Spent:
    return dataclasses.replace(writer.spent, retries=0)

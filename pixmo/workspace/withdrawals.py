"""What people asked to be taken out, as far as those who hand out work must know it."""

from dataclasses import dataclass

from pixmo.hashing import sha256_bytes
from pixmo.workspace.workspace import Workspace


@dataclass(frozen=True)
class Withdrawn:
    """Whom nobody is to ask any more, and what is shown to nobody."""

    annotators: frozenset[str]
    images: frozenset[str]  # sha256
    recordings: frozenset[str]  # sha256
    transcripts: frozenset[str]  # ids
    texts: frozenset[str]  # as `text_sha256` has them


def read_withdrawn(workspace: Workspace) -> Withdrawn:
    """What is withdrawn in the workspace now; what came in since is among it."""
    if not workspace.table("withdrawals").parts():
        return Withdrawn(*[frozenset()] * 5)
    with workspace.connect() as connection:

        def column(view: str) -> frozenset[str]:
            return frozenset(value for (value,) in connection.execute(f"from {view}").fetchall())

        return Withdrawn(
            column("withdrawn_annotators"),
            column("withdrawn_images"),
            column("withdrawn_recordings"),
            column("withdrawn_transcripts"),
            column("withdrawn_texts"),
        )


def text_sha256(image_sha256: str, text: str) -> str:
    """What a written text on an image is known by, as `written_texts` has it."""
    return sha256_bytes(f"{image_sha256}\x1e{text}".encode())

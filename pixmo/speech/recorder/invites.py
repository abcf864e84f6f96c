"""Invitations: a signed link per annotator, which expires; without one there is no page.

The link is all that an annotator needs, and all that the server knows them by.

recorder/
  secret           signs the links; deleting it makes every link invalid
  id               tells pages of several workspaces apart, whatever their addresses and secrets
  revoked.jsonl    annotator, and when: their links made until then are invalid
"""

import contextlib
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from itsdangerous import BadData, URLSafeSerializer

from pixmo.errors import SettingsError, SpeechError
from pixmo.files import append_json, appended_objects, create_atomically, sync_file

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # of a folder on any system
SECRET_BYTES = 32
ID_DIGITS = 16
REVOKED = "revoked.jsonl"


class InviteError(SpeechError):
    """A link invites nobody; the message is for the person who opened it."""


@dataclass(frozen=True)
class Invites:
    """Makes links and reads them."""

    folder: Path
    secret: bytes

    @classmethod
    def of(cls, folder: Path) -> "Invites":
        """Those signed with the secret in `folder`, which is made the first time."""
        secret = kept_bytes(folder / "secret", "invite everybody again")
        return cls(folder, secret)

    def token(self, annotator: str, expires: datetime) -> str:
        """What the annotator's link holds.

        Raises:
            SettingsError: the name could not be that of a folder.
        """
        if not NAME.fullmatch(annotator):
            raise SettingsError(
                f"{annotator!r} cannot be invited: a name is up to 64 letters, digits, dots, dashes"
                " and underscores, and begins with a letter or digit; a pseudonym is best"
            )
        now = datetime.now(UTC).timestamp()
        return self._serializer().dumps([annotator, int(expires.timestamp()), now])

    def revoke(self, annotator: str) -> None:
        """The annotator's links made until now are invalid, for a server that runs already, too."""
        row = {"annotator": annotator, "at": datetime.now(UTC).timestamp()}
        append_json(self.folder / REVOKED, row)
        sync_file(self.folder / REVOKED)

    def annotator(self, token: str, now: datetime) -> str:
        """Whose link it is.

        Raises:
            InviteError: it was not signed here, has expired or was revoked.
        """
        try:
            annotator, expires, made = self._serializer().loads(token)
        except (BadData, ValueError, TypeError) as error:
            raise InviteError("this link is not complete; ask for a new one") from error
        if now.timestamp() >= expires:
            raise InviteError("this link has expired; ask for a new one")
        # Another process revokes; the file is short or not there.
        for row in appended_objects(self.folder / REVOKED):
            if row["annotator"] == annotator and made <= row["at"]:
                raise InviteError("this link was taken back; ask for a new one")
        return str(annotator)

    def _serializer(self) -> URLSafeSerializer:
        # Named for its use: a signature made with the same secret for another use is none here.
        return URLSafeSerializer(
            self.secret, salt="pixmo record", signer_kwargs={"digest_method": hashlib.sha256}
        )


def workspace_id(folder: Path) -> str:
    """What pages keep their drafts under: of this workspace, for good."""
    return kept_bytes(folder / "id", "load all open pages again").hex()[:ID_DIGITS]


def kept_bytes(path: Path, after: str) -> bytes:
    """The random bytes in the file, which is made the first time, whole, for its owner only.

    Raises:
        SpeechError: it holds something else; `after` says what deleting it asks for.
    """

    def write(temporary: Path) -> None:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))

    with contextlib.suppress(FileExistsError):
        create_atomically(path, write)
    kept = path.read_bytes()
    if len(kept) != SECRET_BYTES:
        raise SpeechError(f"{path} is damaged; delete it and {after}")
    return kept

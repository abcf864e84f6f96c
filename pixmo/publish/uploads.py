"""A file on its way into a bucket: in one piece, or in parts that outlive a killed publisher."""

import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixmo.dataset.manifest import File
from pixmo.errors import ReleaseError
from pixmo.publish.s3_errors import (
    CONFLICT,
    EXISTS,
    SERVER_FAILED,
    ExistsError,
    code_of,
    is_missing,
    status_of,
)
from pixmo.publish.shipment import part_bytes

if TYPE_CHECKING:
    from pixmo.publish.s3 import S3


ALGORITHM = "SHA256"  # as S3 calls it
CONFLICT_ATTEMPTS = 5  # of a request that met another one of the same name
FIRST_DELAY_SECONDS = 0.2  # before the second; doubled before each further one


@dataclass(frozen=True)
class Piece:
    """A part of a file, or all of it."""

    upload: "Upload"
    number: int  # from 1

    def send(self) -> int:
        """It is at the place, and the file, too, if it was the last; returns its bytes."""
        return self.upload.send(self.number)


class Upload:
    """One file on its way."""

    def __init__(self, place: "S3", file: File, path: Path, parts: Sequence[bytes]) -> None:
        self.place = place
        self.file = file
        self.path = path
        self.checksums = [b64encode(part).decode() for part in parts]
        self.digests = parts
        self.id = ""  # of several parts, as the store calls them
        self.sent: dict[int, str] = {}  # the store's tags of the parts that it has, by number
        self.is_joined = False  # or just being joined
        self.lock = threading.Lock()

    def pieces(self) -> Iterator[Piece]:
        """Yield what is still to be sent; of a file all of whose parts are there, the last again.

        The piece that makes it whole completes the file.
        """
        numbers = range(1, len(self.checksums) + 1)
        missing = [number for number in numbers if number not in self.sent]
        yield from (Piece(self, number) for number in missing or [len(self.checksums)])

    def begin(self) -> int:
        """The store knows of the file; returns the bytes that it had before.

        It goes on with the parts that a killed publisher sent, by their sha256.
        """
        if len(self.checksums) == 1:
            return 0
        with self.place.refusals(self.file.path):
            self.id = self.begun()
            self.sent = self.known_parts()
            if not self.sent:  # another program's upload, perhaps, that takes no sha256
                self.id = self.created()
        last = len(self.checksums)
        if len(self.sent) == last:
            del self.sent[last]
        return sum(self.bytes_of(number) for number in self.sent)

    def known_parts(self) -> dict[int, str]:
        """The tags of the parts that the store has as they are here, by number.

        An upload that is gone meanwhile is none: another process has completed or ended it.
        """
        from botocore.exceptions import ClientError

        if not self.id:
            return {}
        pages = self.place.client.get_paginator("list_parts")
        try:
            return {
                part["PartNumber"]: part["ETag"]
                for page in pages.paginate(**self.address())
                for part in page.get("Parts", [])
                if part["PartNumber"] <= len(self.checksums) and self.is_ours(part)
            }
        except ClientError as error:
            if not is_missing(error):
                raise
            return {}

    def is_ours(self, part: dict[str, Any]) -> bool:
        """Whether the store has a part as it is here."""
        number = part["PartNumber"]
        is_same = part.get("ChecksumSHA256") == self.checksums[number - 1]
        return is_same and bool(part["Size"] == self.bytes_of(number))

    def begun(self) -> str:
        """The newest upload of this file that was not completed; empty where there is none."""
        where = self.place.object(self.file.path)
        pages = self.place.client.get_paginator("list_multipart_uploads")
        found = [
            upload
            for page in pages.paginate(Bucket=where["Bucket"], Prefix=where["Key"])
            for upload in page.get("Uploads", [])
            if upload["Key"] == where["Key"]
        ]
        newest = max(found, key=lambda upload: upload["Initiated"], default=None)
        return newest["UploadId"] if newest else ""

    def created(self) -> str:
        """The id of a new upload."""
        answer = self.place.client.create_multipart_upload(
            **self.place.object(self.file.path), ChecksumAlgorithm=ALGORITHM
        )
        return str(answer["UploadId"])

    def address(self) -> dict[str, str]:
        """How boto3 is told which upload."""
        return {**self.place.object(self.file.path), "UploadId": self.id}

    def bytes_of(self, number: int) -> int:
        """The bytes of the part of this number."""
        size = part_bytes(self.file.bytes)
        return min(size, self.file.bytes - (number - 1) * size)

    def send(self, number: int) -> int:
        """The part of this number is there; returns its bytes."""
        if not self.id:
            create(self.place, self.file, self.digests, self.put)
            return self.bytes_of(number)
        create(self.place, self.file, self.digests, lambda: self.send_part(number))
        with self.lock:  # of the last parts, which may end at once, one completes the file
            is_last = len(self.sent) == len(self.checksums) and not self.is_joined
            self.is_joined |= is_last
        if is_last:
            create(self.place, self.file, self.digests, self.join, self.send_again)
        return self.bytes_of(number)

    def body(self, number: int) -> dict[str, Any]:
        """What boto3 is told of the part of this number.

        Raises:
            ReleaseError: its bytes are no longer those that were compared with the manifest.
        """
        with self.path.open("rb") as file:
            file.seek((number - 1) * part_bytes(self.file.bytes))
            data = file.read(self.bytes_of(number))
        if sha256(data).digest() != self.digests[number - 1]:  # not every store compares them
            raise ReleaseError(
                f"{self.path} has changed since it was compared with the manifest; restore it and"
                " run the same command again"
            )
        return {
            "Body": data,
            "ChecksumAlgorithm": ALGORITHM,
            "ChecksumSHA256": self.checksums[number - 1],
        }

    def put(self) -> None:
        """The file, of a single part, is there, if there was none of its name."""
        self.place.client.put_object(
            **self.place.object(self.file.path), IfNoneMatch="*", **self.body(1)
        )

    def send_part(self, number: int) -> None:
        """The store has the part of this number."""
        answer = self.place.client.upload_part(
            **self.address(), PartNumber=number, **self.body(number)
        )
        with self.lock:
            self.sent[number] = answer["ETag"]

    def send_again(self) -> None:
        """A new upload has all parts: after a conflict Amazon completes the old one no more."""
        self.id = self.created()
        for number in range(1, len(self.checksums) + 1):
            self.send_part(number)

    def join(self) -> None:
        """The parts are one object, if there was none of its name."""
        parts = [
            {"PartNumber": number, "ETag": tag, "ChecksumSHA256": self.checksums[number - 1]}
            for number, tag in sorted(self.sent.items())
        ]
        self.place.client.complete_multipart_upload(
            **self.address(), MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )


def create(
    place: "S3",
    file: File,
    parts: Sequence[bytes],
    request: Callable[[], None],
    prepare_again: Callable[[], None] = lambda: None,
) -> None:
    """An object or a part of it is there by `request`, or was there already if it is this one.

    So it is when the answer to an earlier attempt was lost, or another process sends the same.
    Where another request for the same name is under way, it is made again a little later, after
    `prepare_again`.

    Raises:
        ExistsError: another one is there.
        PublishError: the store refuses.
    """
    from botocore.exceptions import ClientError

    with place.refusals(file.path):
        for attempt in range(CONFLICT_ATTEMPTS):
            try:
                if attempt:
                    prepare_again()
                request()
            except ClientError as error:
                is_conflict = code_of(error) in CONFLICT
                is_taken = code_of(error) in EXISTS or is_missing(error)
                if not (is_conflict or is_taken or status_of(error) >= SERVER_FAILED):
                    raise
                if is_conflict:
                    time.sleep(FIRST_DELAY_SECONDS * 2**attempt)
                if place.holds(file, parts):
                    return
                if is_conflict and attempt + 1 < CONFLICT_ATTEMPTS:
                    continue
                if not is_taken:
                    raise
                raise ExistsError(
                    f"{place.name}/{file.path} is there with other bytes or was taken away"
                    " meanwhile; somebody else writes there, so publish to another place"
                ) from error
            else:
                return

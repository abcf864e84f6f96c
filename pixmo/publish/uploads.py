"""A file on its way into a bucket: in one piece, or in parts that outlive a killed publisher."""

import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixmo.dataset.manifest import File
from pixmo.publish.s3_errors import is_missing
from pixmo.publish.shipment import part_bytes

if TYPE_CHECKING:
    from pixmo.publish.s3 import S3


ALGORITHM = "SHA256"  # as S3 calls it


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
        count = self.bytes_of(number)
        with self.path.open("rb") as file:
            file.seek((number - 1) * part_bytes(self.file.bytes))
            body = file.read(count)
        given = {
            "Body": body,
            "ChecksumAlgorithm": ALGORITHM,
            "ChecksumSHA256": self.checksums[number - 1],
        }
        client = self.place.client
        with self.place.created(self.file, self.digests):
            if not self.id:
                client.put_object(**self.place.object(self.file.path), IfNoneMatch="*", **given)
                return count
            answer = client.upload_part(**self.address(), PartNumber=number, **given)
            with self.lock:
                self.sent[number] = answer["ETag"]
                is_whole = len(self.sent) == len(self.checksums)
            if is_whole:
                self.join()
        return count

    def join(self) -> None:
        """The parts are one object, if there was none of its name."""
        parts = [
            {"PartNumber": number, "ETag": tag, "ChecksumSHA256": self.checksums[number - 1]}
            for number, tag in sorted(self.sent.items())
        ]
        self.place.client.complete_multipart_upload(
            **self.address(), MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )

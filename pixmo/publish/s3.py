"""A prefix of a bucket as a place, on Amazon S3 or whatever speaks its protocol.

Every object is created under the condition that there is none of its name, and the store compares
its sha256 with what arrived. A claim, an object with the manifest's sha256, keeps a second release
from being published to the same place at once; it is gone when the manifest is there.
"""

import contextlib
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pixmo.dataset.manifest import FILE_NAME, SIGNATURE, File, Manifest, not_named
from pixmo.errors import PublishError
from pixmo.execution.progress import Progress
from pixmo.execution.threads import map_in_threads
from pixmo.hashing import CHUNK_BYTES
from pixmo.publish.place import Contents, contents, local_file, read_on
from pixmo.publish.publish import taken
from pixmo.publish.s3_errors import ExistsError, is_missing, refusals
from pixmo.publish.uploads import ALGORITHM, Piece, Upload, create
from pixmo.publish.verify import sha256_chunks

if TYPE_CHECKING:
    from pixmo.publish.shipment import Shipment

CLAIM = ".publishing"
SENDING_THREADS = 10
LOOKING_THREADS = 16
ATTEMPTS = 6  # of a request that the store or the network failed
CONNECT_SECONDS, READ_SECONDS = 10, 60


@dataclass(frozen=True)
class S3:
    """A prefix of a bucket that holds a release, or will; it is the release's own."""

    client: Any  # boto3's, for S3
    bucket: str
    prefix: str  # of all keys: empty, or with a slash at its end

    @classmethod
    def open(cls, path: str, endpoint_url: str = "") -> "S3":
        """`bucket/prefix`, with credentials from the environment, as boto3 finds them.

        Raises:
            PublishError: no bucket is named, or the endpoint is none.
        """
        import boto3
        from botocore.config import Config

        bucket, _, prefix = path.partition("/")
        prefix = "/".join(part for part in prefix.split("/") if part)
        if not bucket:
            raise PublishError(f"s3://{path} names no bucket; write s3://bucket/prefix")
        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=LOOKING_THREADS,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            # Every object is sent with its sha256, and what is read is compared with the manifest.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            with refusals(f"s3://{path}"):  # a profile or its file may be wrong
                client = boto3.Session().client(
                    "s3", endpoint_url=endpoint_url or None, config=config
                )
        except ValueError as error:
            raise PublishError(f"{error}; write https://host") from error
        return cls(client, bucket, f"{prefix}/" if prefix else "")

    @property
    def name(self) -> str:
        """The address."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def object(self, path: str) -> dict[str, str]:
        """How boto3 is told which object."""
        return {"Bucket": self.bucket, "Key": f"{self.prefix}{path}"}

    def files(self) -> dict[str, int]:
        """The bytes of every object there, by path."""
        pages = self.client.get_paginator("list_objects_v2")
        with self.refusals():
            return {
                path: found["Size"]
                for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix)
                for found in page.get("Contents", [])
                if (path := found["Key"].removeprefix(self.prefix)) and not path.endswith("/")
            }

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of an object in chunks; what a broken connection cut off is asked again.

        Raises:
            FileNotFoundError: there is no such object.
            PublishError: it cannot be read.
        """
        from botocore.exceptions import (
            ClientError,
            IncompleteReadError,
            ReadTimeoutError,
            ResponseStreamingError,
        )

        broken = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
        condition: dict[str, str] = {}

        def read_from(offset: int) -> Iterator[bytes]:
            if offset:
                condition["Range"] = f"bytes={offset}-"
            answer = self.client.get_object(**self.object(path), **condition)
            condition["IfMatch"] = answer["ETag"]  # the rest of the same bytes, or none
            yield from answer["Body"].iter_chunks(CHUNK_BYTES)

        with self.refusals(path):
            try:
                yield from read_on(read_from, broken)
            except ClientError as error:
                if is_missing(error):
                    raise FileNotFoundError(f"{self.name}/{path}") from error
                raise

    def standing(self, manifest: Manifest) -> Contents | None:  # noqa: ARG002
        """The whole release that is there."""
        return contents(self)

    def foreign(self, manifest: Manifest) -> Sequence[str]:
        """Paths of objects that are not this release's."""
        return not_named(self.files().keys() - {CLAIM}, manifest)

    def making_way(self, release: Contents) -> Sequence[str]:  # noqa: ARG002
        """Nothing: another release is never replaced."""
        return ()

    def check_signable(self, release: Contents) -> None:
        """Nothing: a signature may come at any time."""

    def holding(self, shipment: "Shipment") -> set[str]:
        """Paths of the files that are there already, by the sha256 that the store has.

        Raises:
            PublishError: another release is on its way or came meanwhile, or other bytes have the
                name of one of the files.
        """
        sizes = self.files()
        self.check_claim(shipment.contents, sizes)
        maybe = [file for file in shipment.files if sizes.get(file.path) == file.bytes]
        results = map_in_threads(
            lambda file: self.holds(file, shipment.parts[file.path]),
            maybe,
            LOOKING_THREADS,
            threading.Event(),
        )
        held = {file.path for file, is_held in zip(maybe, results, strict=True) if is_held}
        for file in shipment.files:
            if file.path in sizes and file.path not in held:
                if other := self.other(shipment.contents):
                    raise PublishError(taken(self.name, other.manifest.version))
                raise PublishError(
                    f"{self.name}/{file.path} is there with other bytes; give the release a place"
                    " of its own, or take it away there"
                )
        return held

    def check_claim(self, release: Contents, sizes: Mapping[str, int]) -> None:
        """Nothing, if no other release is on its way to a place with files of these sizes.

        Raises:
            PublishError: one is, or was left there half-way.
        """
        if CLAIM in sizes:
            with contextlib.suppress(FileNotFoundError):  # it is done meanwhile
                if b"".join(self.read(CLAIM)) != claim_of(release):
                    raise PublishError(self.claimed())

    def other(self, release: Contents) -> Contents | None:
        """Another whole release that is there."""
        found = self.standing(release.manifest)
        return found if found and found.manifest_bytes != release.manifest_bytes else None

    def holds(self, file: File, parts: Sequence[bytes]) -> bool:
        """Whether this very file is there; it is read where the store knows no sha256 of it."""
        from botocore.exceptions import ClientError

        with self.refusals(file.path):
            try:
                found = self.client.head_object(**self.object(file.path), ChecksumMode="ENABLED")
            except ClientError as error:
                if is_missing(error):
                    return False
                raise
        if found["ContentLength"] != file.bytes:
            return False
        if found.get("ChecksumSHA256") == checksum(parts):
            return True
        # In other parts, or by somebody who sent no sha256: only the bytes tell.
        return sha256_chunks(self.read(file.path)) == file.sha256

    def receive(self, shipment: "Shipment", sends: Sequence[File], progress: Progress) -> None:
        """The whole release is there, its manifest last.

        Raises:
            PublishError: another release is there or on its way, or the store refuses.
        """
        release = shipment.contents
        self.claim(release)
        # Whoever was here before had the manifest there before the claim was gone.
        if other := self.other(release):
            self.unclaim()
            raise PublishError(taken(self.name, other.manifest.version))
        stop = threading.Event()
        total = sum(file.bytes for file in sends)
        with progress.task("Publishing", total=total, unit="bytes") as advance:
            pieces = self.pieces(shipment, sends, advance)
            for count in map_in_threads(Piece.send, pieces, SENDING_THREADS, stop):
                advance(count)
        if release.signature is not None:
            self.create(SIGNATURE, release.signature)
        self.create(FILE_NAME, release.manifest_bytes)

    def pieces(self, shipment: "Shipment", sends: Sequence[File], advance: Any) -> Iterator[Piece]:
        """Yield everything to send; `advance` hears of what an earlier attempt sent."""
        for file in sends:
            path = local_file(shipment.source.root, file.path)
            upload = Upload(self, file, path, shipment.parts[file.path])
            advance(upload.begin())
            yield from upload.pieces()

    def claim(self, release: Contents) -> None:
        """Nobody can publish another release here until `unclaim`.

        Raises:
            PublishError: somebody has begun to.
        """
        try:
            self.create(CLAIM, claim_of(release))
        except ExistsError as error:
            raise PublishError(self.claimed()) from error

    def claimed(self) -> str:
        """What to say where another release has the claim."""
        return (
            f"another release is on its way to {self.name}, or was left there half-way; let its"
            f" publisher end, or delete {self.name}/{CLAIM} and what else is there"
        )

    def unclaim(self) -> None:
        """The claim is gone."""
        with self.refusals(CLAIM):
            self.client.delete_object(**self.object(CLAIM))

    def complete(self, shipment: "Shipment") -> None:
        """The signature is there, and no claim and no part of a file that was being sent."""
        release = shipment.contents
        files = self.files()
        if release.signature is not None and SIGNATURE not in files:
            self.create(SIGNATURE, release.signature)
        if CLAIM in files:
            self.unclaim()
        self.abort_uploads({f"{self.prefix}{file.path}" for file in shipment.files})

    def abort_uploads(self, keys: Set[str]) -> None:
        """No part of these objects is left; the store would ask money for it."""
        from botocore.exceptions import ClientError

        pages = self.client.get_paginator("list_multipart_uploads")
        with self.refusals():
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix):
                for upload in page.get("Uploads", []):
                    if upload["Key"] not in keys:  # another release's, on its way to below here
                        continue
                    where = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                    try:
                        self.client.abort_multipart_upload(Bucket=self.bucket, **where)
                    except ClientError as error:
                        if not is_missing(error):  # another process of this release was quicker
                            raise

    def create(self, path: str, content: bytes) -> None:
        """An object with this content is there, and it was not another one before.

        Raises:
            ExistsError: another one is there.
            PublishError: the store refuses.
        """
        digest = sha256(content)
        file = File(path, digest.hexdigest(), len(content))

        def put() -> None:
            self.client.put_object(
                **self.object(path),
                Body=content,
                IfNoneMatch="*",
                ChecksumAlgorithm=ALGORITHM,
                ChecksumSHA256=b64encode(digest.digest()).decode(),
            )

        create(self, file, [digest.digest()], put)

    def refusals(self, path: str = "") -> contextlib.AbstractContextManager[None]:
        """Whatever the store refuses meanwhile is one PublishError with one line."""
        return refusals(f"{self.name}/{path}" if path else self.name)


def claim_of(release: Contents) -> bytes:
    """What a claim of this release holds."""
    return f"{release.sha256} {release.manifest.version}\n".encode()


def checksum(parts: Sequence[bytes]) -> str:
    """The sha256 that a store has of an object sent in these parts: of one its own, else theirs."""
    if len(parts) == 1:
        return b64encode(parts[0]).decode()
    return f"{b64encode(sha256(b''.join(parts)).digest()).decode()}-{len(parts)}"

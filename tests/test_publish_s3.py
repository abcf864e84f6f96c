"""pixmo.publish to S3 servers, and what breaks on the way."""

import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from pixmo.errors import PublishError, ReleaseError
from pixmo.hashing import sha256_file
from pixmo.publish import s3
from pixmo.publish.places import opened
from pixmo.publish.publish import plan, publish
from pixmo.publish.s3 import CLAIM, S3
from pixmo.publish.shipment import Shipment
from pixmo.publish.uploads import CONFLICT_ATTEMPTS
from pixmo.publish.verify import verify
from tests import object_stores
from tests.object_stores import BUCKET, CREDENTIALS, CUT, HOLD, LOSE, PASS, Proxy, client_of
from tests.published import LARGE, PARTS, SIZES, contents, packed, plain_release

CREATING = ("PutObject", "UploadPart", "CompleteMultipartUpload", "CreateMultipartUpload")


@pytest.fixture(scope="module", autouse=True)
def credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module", params=["moto", "ministack"])
def endpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server with a bucket; each finds mistakes that the other lets pass."""
    folder = tmp_path_factory.mktemp("objects")
    serving = object_stores.moto() if request.param == "moto" else object_stores.ministack(folder)
    with serving as url:
        client = client_of(url)
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield url


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain_release(tmp_path_factory.mktemp("release") / "v1")


@pytest.fixture(scope="module")
def shipment(release: Path) -> Shipment:
    return packed(release)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Shipment:
    """Another release, of files with the same names."""
    return packed(plain_release(tmp_path_factory.mktemp("other") / "v2", "v2", seed=1))


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """A place where nothing is."""
    return f"s3://{BUCKET}/{re.sub(r'[^a-z]+', '-', request.node.name)}/v1"


def at(address: str, endpoint: str) -> S3:
    """The place."""
    place = opened(address, endpoint)
    assert isinstance(place, S3)
    return place


@pytest.fixture
def place(address: str, endpoint: str) -> Iterator[S3]:
    found = at(address, endpoint)
    yield found
    found.client.close()


def is_moto(place: S3) -> bool:
    """Whether moto serves the place."""
    answer = place.client.list_objects_v2(Bucket=BUCKET, MaxKeys=1)
    return "Werkzeug" in answer["ResponseMetadata"]["HTTPHeaders"].get("server", "")


def objects(place: S3) -> dict[str, bytes]:
    """Every object at a place."""
    return {path: b"".join(place.read(path)) for path in place.files()}


def asked(place: S3) -> list[tuple[str, str]]:
    """A list that fills with the operations asked of the store from now on, and their paths."""
    operations: list[tuple[str, str]] = []

    def note(model: Any, params: Any, **_: Any) -> None:
        operations.append((model.name, params["url_path"].removeprefix(f"/{place.prefix}")))

    place.client.meta.events.register("before-call.s3", note)
    return operations


def answering(place: S3, operation: str, times: int, status: int, code: str) -> list[int]:
    """The next requests of an operation are refused; a list that counts them."""
    count: list[int] = []

    def refuse(request: Any, **_: Any) -> AWSResponse | None:
        if len(count) == times:
            return None
        count.append(1)
        text = f"<Error><Code>{code}</Code><Message>planted</Message></Error>".encode()
        return AWSResponse(request.url, status, {}, Raw(text))

    place.client.meta.events.register(f"before-send.s3.{operation}", refuse)
    return count


class Raw:
    """The body of an answer."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def stream(self) -> Iterator[bytes]:
        yield self.text


def once(wanted: Callable[[bytes], bool], what: str) -> Callable[[bytes], str]:
    """A fault of the first chunk that is wanted."""
    seen = threading.Lock()

    def fault(chunk: bytes) -> str:
        return what if wanted(chunk) and seen.acquire(blocking=False) else PASS

    return fault


def impatient(place: S3) -> S3:
    """The place with a client that tries once."""
    config = Config(retries={"total_max_attempts": 1})
    endpoint = place.client.meta.endpoint_url
    return replace(place, client=boto3.client("s3", endpoint_url=endpoint, config=config))


def test_a_release_is_there_to_the_byte_and_its_manifest_came_last(
    place: S3, release: Path, shipment: Shipment
) -> None:
    operations = asked(place)
    done = publish(shipment, place)
    assert [file.path for file in done.sends] == sorted(SIZES)
    assert objects(place) == contents(release)
    created = [key for name, key in operations if name in CREATING]
    assert created[0] == CLAIM
    assert created[-1] == "manifest.json"
    assert created.count("manifest.json") == 1
    found = verify(place)
    assert (found.passed, found.version, found.files) == (True, "v1", len(SIZES))
    assert found.bytes == sum(SIZES.values())


def test_the_store_has_the_sha256_of_every_object(
    place: S3, release: Path, shipment: Shipment
) -> None:
    publish(shipment, place)
    for file in shipment.files:
        head = place.client.head_object(**place.object(file.path), ChecksumMode="ENABLED")
        if is_moto(place) and file.path == LARGE:
            continue  # moto forgets the sha256 of what came in parts
        assert head["ChecksumSHA256"] == s3.checksum(shipment.parts[file.path])
        assert head["ChecksumSHA256"].endswith(f"-{PARTS}") == (file.path == LARGE)


def test_a_published_release_is_sent_once_and_never_replaced(
    place: S3, shipment: Shipment, other: Shipment
) -> None:
    assert not publish(shipment, place).is_published
    before = objects(place)
    operations = asked(place)
    again = publish(shipment, place)
    assert again.is_published
    assert not again.sends
    with pytest.raises(PublishError, match="holds another release, v1; a published release never"):
        publish(other, place)
    assert not [name for name, _ in operations if name in CREATING]
    assert objects(place) == before


def test_a_place_with_files_of_something_else_is_refused(
    place: S3, shipment: Shipment, address: str
) -> None:
    place.client.put_object(**place.object("v1/notes.txt"), Body=b"mine")
    with pytest.raises(PublishError, match=r"holds 1 file of something else, .* v1/notes.txt"):
        publish(shipment, place)
    assert list(place.files()) == ["v1/notes.txt"]


def test_what_is_there_by_other_means_counts_by_its_bytes(
    place: S3, release: Path, shipment: Shipment
) -> None:
    # As other programs send it: in parts of their own and without a sha256.
    place.client.upload_file(str(release / LARGE), BUCKET, f"{place.prefix}{LARGE}")
    planned = plan(shipment, place)
    assert [file.path for file in planned.there] == [LARGE]
    publish(shipment, place)
    assert objects(place) == contents(release)


def test_a_file_that_is_there_with_other_bytes_is_never_replaced(
    place: S3, shipment: Shipment
) -> None:
    theirs = b"x" * SIZES["README.md"]
    place.client.put_object(**place.object("README.md"), Body=theirs)
    operations = asked(place)
    for attempt in (plan, publish):
        with pytest.raises(PublishError, match=r"README.md is there with other bytes; give the"):
            attempt(shipment, place)
    assert not [name for name, _ in operations if name in CREATING]
    assert objects(place) == {"README.md": theirs}


def test_a_release_on_its_way_is_seen_before_anything_is_sent(
    place: S3, shipment: Shipment, other: Shipment
) -> None:
    place.claim(other.contents)
    claim = objects(place)
    for attempt in (plan, publish):
        with pytest.raises(PublishError, match="another release is on its way to s3://"):
            attempt(shipment, place)
    assert objects(place) == claim
    publish(other, place)
    assert verify(place).version == "v2"


def test_a_place_that_has_lost_an_object_is_not_said_to_hold_the_release(
    place: S3, shipment: Shipment
) -> None:
    publish(shipment, place)
    place.client.delete_object(**place.object(LARGE))
    with pytest.raises(PublishError, match=f"release v1, but {LARGE} is missing there; pixmo ver"):
        publish(shipment, place)


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (503, "SlowDown")])
def test_a_store_that_fails_for_a_while_is_asked_again(
    place: S3, release: Path, shipment: Shipment, status: int, code: str
) -> None:
    puts = answering(place, "PutObject", 2, status, code)
    parts = answering(place, "UploadPart", 2, status, code)
    publish(shipment, place)
    assert (len(puts), len(parts)) == (2, 2)
    assert objects(place) == contents(release)


def test_a_request_that_meets_another_of_the_same_name_is_made_again(
    place: S3, release: Path, shipment: Shipment
) -> None:
    """Amazon answers so while another conditional write of the name is under way."""
    conflict = (409, "ConditionalRequestConflict")
    puts = answering(place, "PutObject", 2, *conflict)
    joins = answering(place, "CompleteMultipartUpload", 1, *conflict)
    operations = asked(place)
    publish(shipment, place)
    assert (len(puts), len(joins)) == (2, 1)
    names = [name for name, key in operations if key.startswith(LARGE)]
    assert names.count("CreateMultipartUpload") == 2  # the first cannot be completed any more
    assert names.count("UploadPart") == 2 * PARTS
    assert objects(place) == contents(release)
    listed = place.client.list_multipart_uploads(Bucket=BUCKET, Prefix=place.prefix)
    assert listed.get("Uploads", []) == []


def test_a_name_that_is_being_written_by_others_for_long_is_said(
    place: S3, shipment: Shipment
) -> None:
    asked_for = answering(place, "PutObject", 10**6, 409, "ConditionalRequestConflict")
    with pytest.raises(PublishError, match=f"{CLAIM}: somebody else writes it just now; run"):
        publish(shipment, place)
    assert len(asked_for) == CONFLICT_ATTEMPTS
    assert place.files() == {}


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (503, "SlowDown", "the store is too busy"),
        (400, "ExpiredToken", "the credentials have expired; get new ones"),
        (403, "AccessDenied", "these credentials may not do that"),
        (500, "InternalError", r"planted \(InternalError\)"),
    ],
)
def test_a_store_that_refuses_is_one_line_and_no_release(
    place: S3, shipment: Shipment, status: int, code: str, says: str
) -> None:
    hurried = impatient(place)
    answering(hurried, "UploadPart", 10**6, status, code)
    with pytest.raises(PublishError, match=f"{LARGE}: {says}"):
        publish(shipment, hurried)
    hurried.client.close()
    assert "manifest.json" not in place.files()
    publish(shipment, place)  # with what is there already
    assert verify(place).passed


@pytest.mark.parametrize(
    "operation", ["GetObject", "ListObjectsV2", "PutObject", "CreateMultipartUpload"]
)
def test_credentials_that_expire_at_any_time_are_said(
    place: S3, shipment: Shipment, operation: str
) -> None:
    hurried = impatient(place)
    refused = answering(hurried, operation, 10**6, 400, "ExpiredToken")
    with pytest.raises(PublishError, match="the credentials have expired; get new ones and run"):
        publish(shipment, hurried)
    hurried.client.close()
    assert len(refused) >= 1
    assert "manifest.json" not in place.files()


def test_a_bucket_that_does_not_exist_is_said(endpoint: str, shipment: Shipment) -> None:
    with pytest.raises(PublishError, match="no such bucket; check the name"):
        publish(shipment, at("s3://nowhere/v1", endpoint))


def test_without_credentials_nothing_is_tried(
    place: S3, shipment: Shipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(PublishError, match="no credentials; set AWS_ACCESS_KEY_ID and"):
        publish(shipment, at(place.name, place.client.meta.endpoint_url))


def test_a_store_that_is_away_is_said(shipment: Shipment, address: str) -> None:
    away = impatient(at(address, f"http://127.0.0.1:{object_stores.free_port()}"))
    with pytest.raises(PublishError, match="the store does not answer"):
        publish(shipment, away)


@pytest.mark.parametrize("wrong", ["s3://", "s3:///prefix"])
def test_an_address_without_a_bucket_is_refused(wrong: str) -> None:
    with pytest.raises(PublishError, match="names no bucket"):
        opened(wrong)


def test_an_endpoint_that_is_no_url_is_refused(address: str) -> None:
    with pytest.raises(
        PublishError, match=r"Invalid endpoint: storage\.example\.org; write https://host"
    ):
        opened(address, "storage.example.org")


def test_a_connection_cut_within_a_part_is_mended(
    place: S3, release: Path, shipment: Shipment, endpoint: str
) -> None:
    middle = shipment.source.root / LARGE
    wanted = middle.read_bytes()[3_000_000:3_000_016]
    proxy = Proxy(endpoint, once(lambda chunk: wanted in chunk, CUT))
    with proxy.running() as url:
        broken = at(place.name, url)
        publish(shipment, broken)
        broken.client.close()
    assert objects(place) == contents(release)


@pytest.mark.parametrize(
    "request_line",
    [rb"PUT \S*/manifest.json ", rb"PUT \S*/README.md ", rb"POST \S*uploadId=", rb"PUT \S*part"],
)
def test_a_reply_that_is_lost_is_no_conflict(
    place: S3, release: Path, shipment: Shipment, endpoint: str, request_line: bytes
) -> None:
    hit: list[bytes] = []

    def wanted(chunk: bytes) -> bool:
        if re.match(request_line, chunk):
            hit.append(chunk)
        return bool(hit)

    # The store hears the request, all of it, and only its answer gets lost.
    with Proxy(endpoint, once(wanted, LOSE)).running() as url:
        broken = at(place.name, url)
        publish(shipment, broken)
        broken.client.close()
    assert len(hit) >= 1
    assert objects(place) == contents(release)


def test_what_a_broken_connection_cut_off_is_read_on(
    place: S3, shipment: Shipment, endpoint: str
) -> None:
    publish(shipment, place)
    read: list[int] = []

    def cut(chunk: bytes) -> str:
        read.append(len(chunk))
        return CUT if len(read) == 40 else PASS  # within the large file, or between two

    with Proxy(endpoint, lambda _: PASS, cut).running() as url:
        broken = at(place.name, url)
        found = broken.read(LARGE)
        operations = asked(broken)
        data = b"".join(found)
        broken.client.close()
    assert data == (shipment.source.root / LARGE).read_bytes()
    assert operations == [("GetObject", LARGE)] * 2


def test_bytes_that_changed_after_they_were_checked_never_make_a_release(
    place: S3, tmp_path: Path
) -> None:
    root = plain_release(tmp_path / "v1")
    shipment = packed(root)
    with (root / LARGE).open("r+b") as file:
        file.seek(9_000_000)
        file.write(b"changed")
    # The store is not even asked: moto would take whatever comes.
    with pytest.raises(ReleaseError, match=f"{LARGE} has changed since it was compared with the"):
        publish(shipment, place)
    assert "manifest.json" not in place.files()


def test_a_publisher_that_was_killed_goes_on_with_its_parts(
    place: S3, release: Path, shipment: Shipment, endpoint: str, pixmo: Path, tmp_path: Path
) -> None:
    parts: list[bytes] = []

    def fault(chunk: bytes) -> str:
        if re.match(rb"PUT \S*partNumber=", chunk):
            parts.append(chunk)
        return HOLD if len(parts) == PARTS else PASS  # of the last part nothing arrives

    proxy = Proxy(endpoint, fault)
    with proxy.running() as url:
        command = [pixmo, "publish", release, place.name, "--endpoint-url", url]
        process = subprocess.Popen([*map(str, command)], cwd=tmp_path)
        assert proxy.held.wait(60)
        wait_until(lambda: len(parts_at(place)) >= PARTS - 1)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert "manifest.json" not in place.files()
    assert LARGE not in place.files()
    known = {path for path in place.files() if path in SIZES}
    operations = asked(place)
    done = publish(shipment, place)
    assert {file.path for file in done.there} == known
    sent = [key for name, key in operations if name == "UploadPart"]
    # The one that had not arrived; moto forgets the sha256 of parts, so none of its is trusted.
    assert sent == [LARGE] * (PARTS if is_moto(place) else 1)
    begun = [name for name, _ in operations if name == "CreateMultipartUpload"]
    assert len(begun) == is_moto(place)
    assert objects(place) == contents(release)


def parts_at(place: S3) -> list[Any]:
    """The parts of the large file that the store has."""
    listed = place.client.list_multipart_uploads(Bucket=BUCKET, Prefix=f"{place.prefix}{LARGE}")
    return [
        part
        for upload in listed.get("Uploads", [])
        for part in place.client.list_parts(
            Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"]
        ).get("Parts", [])
    ]


def wait_until(done: Callable[[], bool]) -> None:
    """It is so; each look asks a server, so this is no busy loop."""
    for _ in range(2_000):
        if done():
            return
    pytest.fail("it never came to that")


def test_nothing_of_other_attempts_is_left(place: S3, shipment: Shipment) -> None:
    where = place.object(LARGE)
    for _ in range(2):
        place.client.create_multipart_upload(**where)  # as of a program that sends no sha256
    operations = asked(place)
    publish(shipment, place)
    assert ("CreateMultipartUpload", f"{LARGE}?uploads") in operations
    listed = place.client.list_multipart_uploads(Bucket=BUCKET, Prefix=place.prefix)
    assert listed.get("Uploads", []) == []
    assert set(place.files()) == {*SIZES, "manifest.json"}


def test_what_another_publisher_sends_to_below_is_left_to_it(place: S3, shipment: Shipment) -> None:
    theirs = place.object("v2/" + LARGE)
    place.client.create_multipart_upload(**theirs)
    publish(shipment, place)
    listed = place.client.list_multipart_uploads(Bucket=BUCKET, Prefix=place.prefix)
    assert [upload["Key"] for upload in listed.get("Uploads", [])] == [theirs["Key"]]


def test_of_two_releases_at_once_exactly_one_is_published(
    endpoint: str, address: str, shipment: Shipment, other: Shipment
) -> None:
    for number in range(3):
        start = threading.Barrier(2)

        def attempt(sent: Shipment, where: str, start: threading.Barrier) -> str:
            found = at(where, endpoint)
            start.wait()
            try:
                publish(sent, found)
            except PublishError as error:
                return str(error)
            finally:
                found.client.close()
            return sent.version

        where = f"{address}-{number}"
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(attempt, one, where, start) for one in (shipment, other)]
            won = [future.result() for future in both]
        (lost,) = (said for said in won if said not in ("v1", "v2"))
        assert "another release" in lost
        place = at(where, endpoint)
        found = verify(place)
        assert (found.passed, found.faults) == (True, ())
        assert found.version in won
        place.client.close()


@pytest.mark.parametrize("before", [CLAIM, "manifest.json"])
def test_whoever_comes_between_finds_the_place_taken_or_takes_it(
    place: S3, endpoint: str, shipment: Shipment, other: Shipment, before: str
) -> None:
    """Just before one publisher claims the place, or completes it, another wants it."""
    outcomes: list[str] = []

    def interfere(params: Any, **_: Any) -> None:
        if params["url_path"].endswith(before) and not outcomes:
            outcomes.append("")
            rival = at(place.name, endpoint)
            try:
                publish(other, rival)
                outcomes.append("published")
            except PublishError as error:
                outcomes.append(str(error))
            rival.client.close()

    place.client.meta.events.register("before-call.s3.PutObject", interfere)
    if before == CLAIM:
        with pytest.raises(PublishError, match="holds another release, v2"):
            publish(shipment, place)
        assert outcomes[1] == "published"
    else:
        publish(shipment, place)
        assert "another release is on its way" in outcomes[1]
    found = verify(place)
    assert found.passed
    assert found.version == ("v2" if before == CLAIM else "v1")


def test_two_publishers_of_the_same_release_both_succeed(
    endpoint: str, address: str, shipment: Shipment, release: Path
) -> None:
    start = threading.Barrier(2)

    def attempt() -> bool:
        found = at(address, endpoint)
        start.wait()
        publish(shipment, found)
        found.client.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert [future.result() for future in [pool.submit(attempt) for _ in range(2)]] == [
            True
        ] * 2
    place = at(address, endpoint)
    assert objects(place) == contents(release)
    place.client.close()


def test_a_file_is_compared_as_a_whole_where_the_store_knows_no_sha256(
    place: S3, release: Path, shipment: Shipment
) -> None:
    """Of a store that forgets checksums the bytes are read: right ones count, wrong ones do not."""
    (file,) = (file for file in shipment.files if file.path == "README.md")
    data = (release / "README.md").read_bytes()
    assert sha256_file(release / "README.md") == file.sha256
    place.client.put_object(**place.object(file.path), Body=data)
    assert place.holds(file, [b"\0" * 32])
    place.client.put_object(**place.object(file.path), Body=data[:-1] + b"?")
    assert not place.holds(file, [b"\0" * 32])

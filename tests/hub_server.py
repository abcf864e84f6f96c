"""A small hub: datasets with commits and tags, and the protocol by which files come and go."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_a_token_for_tests"
SECRET = "0123456789abcdef"  # that signs the URLs of uploads
CUT = 0  # the connection ends half-way
SMALL_BYTES = 4096  # above it a file is a large one, with its own upload


def git_oid(data: bytes) -> str:
    """What git calls a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Dataset:
    """One dataset: every commit whole."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)  # main and the tags
    private: bool = False

    def commit(self, files: dict[str, bytes], message: str) -> str:
        """`main` is a new commit with these files; returns its id."""
        self.messages.append(message)
        oid = hashlib.sha1(f"{len(self.commits)} {message}".encode()).hexdigest()
        self.commits[oid] = files
        self.refs["main"] = oid
        return oid

    def at(self, revision: str) -> dict[str, bytes] | None:
        """The files of a revision."""
        return self.commits.get(self.refs.get(revision, revision))


@dataclass
class HubServer:
    """All datasets, the large files, and what was asked."""

    url: str = ""
    datasets: dict[str, Dataset] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)  # by sha256
    uploads: list[str] = field(default_factory=list)  # sha256s whose bytes came
    before_create: Callable[[], None] = lambda: None
    before_commit: Callable[[], None] = lambda: None
    lose_reply: bool = False  # of the next commit
    fail_uploads: int = 0  # so many come to nothing
    refuse_uploads: bool = False
    fail_reads: list[int] = field(default_factory=list)  # of large files: a status each, or CUT
    ranges: list[str] = field(default_factory=list)  # what was asked of large files
    token: str = TOKEN

    def dataset(self, name: str) -> Dataset:
        """One of its datasets."""
        return self.datasets[name]


class RefusedError(Exception):
    """An answer with another status than 200."""

    def __init__(self, status: int, code: str = "") -> None:
        super().__init__(status, code)
        self.status, self.code = status, code


class Handler(BaseHTTPRequestHandler):
    """What the hub answers."""

    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def handle_all(self) -> None:
        """Whatever the method."""
        # Read in any case: what is left would be taken for the next request.
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        try:
            if self.headers.get("Authorization") != f"Bearer {self.hub.token}" and (
                not path.startswith("/large/")
            ):
                raise RefusedError(401)
            for pattern, method, answer in ROUTES:
                found = re.fullmatch(pattern, path)
                if found and self.command in method:
                    answer(self, *found.groups())
                    return
            raise RefusedError(404, "EntryNotFound")
        except RefusedError as refused:
            headers = {"X-Error-Code": refused.code} if refused.code else {}
            self.reply(b"{}", refused.status, headers)

    do_GET = do_POST = do_PUT = do_HEAD = handle_all  # noqa: N815

    def reply(self, data: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """An answer of these bytes."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def json(self, value: Any, status: int = 200) -> None:
        """An answer in JSON."""
        self.reply(json.dumps(value).encode(), status, {"Content-Type": "application/json"})

    def found(self, name: str, revision: str = "main") -> tuple[Dataset, dict[str, bytes]]:
        """A dataset and its files at a revision."""
        dataset = self.hub.datasets.get(name)
        if dataset is None:
            raise RefusedError(404, "RepoNotFound")
        files = dataset.at(revision)
        if files is None:
            raise RefusedError(404, "RevisionNotFound")
        return dataset, files

    def create(self) -> None:
        self.hub.before_create()
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else None
        name = name or asked["name"]
        if name in self.hub.datasets:
            self.json({"url": f"{self.hub.url}/datasets/{name}"}, status=409)
            return
        dataset = self.hub.datasets[name] = Dataset(private=asked.get("visibility") == "private")
        dataset.commit({".gitattributes": b"*.parquet filter=lfs\n"}, "initial commit")
        self.json({"url": f"{self.hub.url}/datasets/{name}"})

    def validate(self) -> None:
        is_card = json.loads(self.body)["content"].startswith("---")
        faults = [] if is_card else [{"message": "no front matter"}]
        self.json({"errors": [], "warnings": faults})

    def info(self, name: str, revision: str | None = None) -> None:
        dataset, files = self.found(name, revision or "main")
        oid = dataset.refs.get(revision or "main", revision or "main")
        siblings = [{"rfilename": path} for path in files]
        self.json({"id": name, "sha": oid, "private": dataset.private, "siblings": siblings})

    def refs(self, name: str) -> None:
        dataset, _ = self.found(name)
        tags = [
            {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid}
            for tag, oid in dataset.refs.items()
            if tag != "main"
        ]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": dataset.refs["main"]}
        self.json({"branches": [main], "converts": [], "tags": tags})

    def entries(self, name: str, revision: str, wanted: Callable[[str], bool]) -> list[Any]:
        _, files = self.found(name, revision)
        return [entry(path, data) for path, data in sorted(files.items()) if wanted(path)]

    def tree(self, name: str, revision: str, folder: str | None = None) -> None:
        inside = f"{folder}/" if folder else ""
        found = self.entries(name, revision, lambda path: path.startswith(inside))
        if inside and not found:
            raise RefusedError(404, "EntryNotFound")
        if parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() != "true":
            found = shallow(found, len(inside))
        self.json(found)

    def paths_info(self, name: str, revision: str) -> None:
        asked = json.loads(self.body)["paths"]
        self.json(self.entries(name, revision, lambda path: path in asked))

    def preupload(self, name: str, revision: str) -> None:
        _, files = self.found(name, revision)
        self.json(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["size"] > SMALL_BYTES else "regular",
                        "shouldIgnore": False,
                        "oid": oid_of(files.get(file["path"])),
                    }
                    for file in json.loads(self.body)["files"]
                ]
            }
        )

    def batch(self, name: str) -> None:
        self.found(name)
        objects: list[dict[str, Any]] = []
        for asked in json.loads(self.body)["objects"]:
            known = asked["oid"] in self.hub.large
            # Whoever has such a URL may upload: what follows the question mark is a secret.
            signed = f"{self.hub.url}/large/{asked['oid']}?X-Amz-Signature={SECRET}&x-id=PutObject"
            upload = {"upload": {"href": signed}}
            objects.append({**asked, **({} if known else {"actions": upload})})
        self.json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if self.hub.fail_uploads:
            self.hub.fail_uploads -= 1
            raise RefusedError(503)
        if self.hub.refuse_uploads:
            raise RefusedError(409)
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise RefusedError(400)
        self.hub.large[oid] = self.body
        self.hub.uploads.append(oid)
        self.reply(b"")

    def commit(self, name: str, branch: str) -> None:
        header, *operations = [json.loads(line) for line in self.body.splitlines()]
        self.hub.before_commit()
        dataset, files = self.found(name, branch)
        if header["value"].get("parentCommit") not in (None, dataset.refs["main"]):
            raise RefusedError(412)
        files = dict(files)
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            else:
                del files[value["path"]]
        oid = dataset.commit(files, header["value"]["summary"])
        if self.hub.lose_reply:
            self.hub.lose_reply = False
            self.close_connection = True
            return
        self.json({"commitUrl": f"{self.hub.url}/datasets/{name}/commit/{oid}", "commitOid": oid})

    def tag(self, name: str, revision: str) -> None:
        dataset, _ = self.found(name, revision)
        tag = json.loads(self.body)["tag"]
        if tag in dataset.refs:
            raise RefusedError(409)
        dataset.refs[tag] = dataset.refs.get(revision, revision)
        self.json({})

    def resolve(self, name: str, revision: str, path: str) -> None:
        dataset, files = self.found(name, revision)
        if path not in files:
            raise RefusedError(404, "EntryNotFound")
        data, status = files[path], 200
        headers = {
            "ETag": f'"{oid_of(data)}"',
            "X-Repo-Commit": dataset.refs.get(revision, revision),
            "Accept-Ranges": "bytes",
        }
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        if len(files[path]) > SMALL_BYTES and self.command == "GET":
            self.hub.ranges.append(self.headers.get("Range") or "")
            fault = self.hub.fail_reads.pop(0) if self.hub.fail_reads else status
            if fault == CUT:
                headers["Content-Length"] = str(len(data))
                data, self.close_connection = data[: len(data) // 2], True
            elif fault != status:
                raise RefusedError(fault)
        self.reply(data, status, headers)


def oid_of(data: bytes | None) -> str | None:
    """What the hub knows a file by: a large one by its sha256."""
    if data is None:
        return None
    return hashlib.sha256(data).hexdigest() if len(data) > SMALL_BYTES else git_oid(data)


def entry(path: str, data: bytes) -> dict[str, Any]:
    """A file of a listing."""
    known = {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
    if len(data) <= SMALL_BYTES:
        return known
    large = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return {**known, "lfs": large}


def shallow(entries: list[Any], start: int) -> list[Any]:
    """The entries that stand in a folder itself, those below it as their folders."""
    direct = [one for one in entries if "/" not in one["path"][start:]]
    below = {one["path"][: one["path"].index("/", start)] for one in entries if one not in direct}
    return direct + [
        {"type": "directory", "path": path, "size": 0, "oid": git_oid(path.encode())}
        for path in sorted(below)
    ]


NAME = r"([\w.-]+/[\w.-]+)"
ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("/api/repos/create", "POST", Handler.create),
    ("/api/validate-yaml", "POST", Handler.validate),
    (f"/api/datasets/{NAME}", "GET", Handler.info),
    (f"/api/datasets/{NAME}/revision/(.+)", "GET", Handler.info),
    (f"/api/datasets/{NAME}/refs", "GET", Handler.refs),
    (f"/api/datasets/{NAME}/tree/([^/]+)", "GET", Handler.tree),
    (f"/api/datasets/{NAME}/tree/([^/]+)/(.+)", "GET", Handler.tree),
    (f"/api/datasets/{NAME}/paths-info/(.+)", "POST", Handler.paths_info),
    (f"/api/datasets/{NAME}/preupload/(.+)", "POST", Handler.preupload),
    (rf"/datasets/{NAME}\.git/info/lfs/objects/batch", "POST", Handler.batch),
    ("/large/([0-9a-f]{64})", "PUT", Handler.upload),
    (f"/api/datasets/{NAME}/commit/(.+)", "POST", Handler.commit),
    (f"/api/datasets/{NAME}/tag/(.+)", "POST", Handler.tag),
    (f"/datasets/{NAME}/resolve/([^/]+)/(.+)", "GET HEAD", Handler.resolve),
]


@contextmanager
def running() -> Iterator[HubServer]:
    """A hub with nothing on it."""
    hub = HubServer()
    handler = type("HubHandler", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()

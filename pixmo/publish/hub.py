"""A dataset of the Hugging Face hub as a place: a release is one commit, its version a tag.

The hub keeps what was there before, so a newer release may follow an older one: `main` is what was
published last, and a tag that exists is never moved.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pixmo.dataset.manifest import FILE_NAME, SIGNATURE, File, Manifest, not_named
from pixmo.errors import PublishError
from pixmo.execution.progress import Progress
from pixmo.publish.hub_errors import refusals
from pixmo.publish.hub_reads import read
from pixmo.publish.place import Contents, contents, local_file
from pixmo.publish.publish import check_free, taken

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

    from pixmo.publish.shipment import Shipment

ADDRESS = re.compile(r"(?:datasets/)?([\w.-]+/[\w.-]+)(?:@(.+))?")
MAIN = "main"
MESSAGE = "Release "  # and the version: what a commit is called
OWN_FILES = {".gitattributes"}  # the hub makes it, and no release has it
FIRST_FILES = {"README.md"}  # that a dataset made by hand on the hub may have
BATCH_FILES = 64  # whose bytes are sent at a time
CONFLICT = {409, 412}


@dataclass(frozen=True)
class Hub:
    """A dataset on the hub, at one of its revisions."""

    repository: str  # org/name
    revision: str
    api: Any  # huggingface_hub's HfApi

    @classmethod
    def open(cls, path: str) -> "Hub":
        """`org/name` or `org/name@revision`; the token comes from HF_TOKEN.

        Raises:
            PublishError: it names no dataset.
        """
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars

        found = ADDRESS.fullmatch(path)
        if not found:
            raise PublishError(f"hf://{path} names no dataset; write hf://org/name")
        disable_progress_bars()  # whoever publishes brings a display
        return cls(found[1], found[2] or MAIN, HfApi())

    @property
    def name(self) -> str:
        """The address."""
        at = "" if self.revision == MAIN else f"@{self.revision}"
        return f"hf://{self.repository}{at}"

    def files(self) -> dict[str, int]:
        """The bytes of every file there, by path."""
        return {path: file.size for path, file in self.tree().items()}

    def tree(self) -> dict[str, "RepoFile"]:
        """Every file there, by path; none of a dataset that does not exist or is empty."""
        from huggingface_hub.errors import (
            EntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
        from huggingface_hub.hf_api import RepoFile

        with self.refusals():
            try:
                found = self.api.list_repo_tree(
                    self.repository, recursive=True, revision=self.revision, repo_type="dataset"
                )
                files = [file for file in found if isinstance(file, RepoFile)]
            except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError):
                return {}
        return {file.path: file for file in files if file.path not in OWN_FILES}

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file in chunks, as `hub_reads.read` does.

        Raises:
            FileNotFoundError: there is no such file.
            PublishError: it cannot be read.
        """
        return read(self.api.endpoint, self.repository, self.revision, path, self.name)

    def at(self, revision: str) -> "Hub":
        """The same dataset at another revision."""
        return replace(self, revision=revision)

    def standing(self, manifest: Manifest) -> Contents | None:
        """The release that has this version's tag, or that is the newest and has this version.

        Raises:
            PublishError: a revision is named, to which nothing can be published; or something else
                has the tag.
        """
        if self.revision != MAIN:
            raise PublishError(
                f"publish to hf://{self.repository}; the version {manifest.version} becomes a tag"
            )
        tagged = contents(self.at(manifest.version))
        if tagged is None and manifest.version in self.tags():
            raise PublishError(self.tag_taken(manifest.version))
        newest = contents(self)
        same = newest if newest and newest.manifest.version == manifest.version else None
        if tagged and not (same and same.manifest_bytes == tagged.manifest_bytes):
            return tagged
        return same  # which may have been signed after it was tagged

    def tags(self) -> set[str]:
        """The names of the tags there; none of a dataset that does not exist."""
        from huggingface_hub.errors import RepositoryNotFoundError

        with self.refusals():
            try:
                refs = self.api.list_repo_refs(self.repository, repo_type="dataset")
            except RepositoryNotFoundError:
                return set()
        return {tag.name for tag in refs.tags}

    def tag_taken(self, version: str) -> str:
        """What to say where something else has a version's tag."""
        return (
            f"{self.name} has a tag {version} that is not this release, and a tag is never moved;"
            " build the release under another name, or delete the tag on the hub"
        )

    def foreign(self, manifest: Manifest) -> Sequence[str]:  # noqa: ARG002
        """Every file that the newest release there does not name; that release makes way."""
        files, newest = self.files(), contents(self)
        return not_named(files, newest.manifest) if newest else sorted(files.keys() - FIRST_FILES)

    def making_way(self, release: Contents) -> Sequence[str]:
        """Paths of the newest release's files that this one does not have."""
        newest = contents(self)
        if newest is None:
            return ()
        unsigned = {SIGNATURE} if newest.signature and not release.signature else set()
        return sorted(unsigned | set(not_named(self.named(newest), release.manifest)))

    def named(self, release: Contents) -> set[str]:
        """Paths of a release's files that are there."""
        return {file.path for file in release.manifest.files} & self.files().keys()

    def check_signable(self, release: Contents) -> None:
        """Nothing, if the release is the newest: its tag is never moved, so only `main` can be.

        Raises:
            PublishError: a newer release is in `main`.
        """
        newest = contents(self)
        if newest is None or newest.manifest_bytes != release.manifest_bytes:
            raise PublishError(
                f"{self.name} has another release in {MAIN} by now, so {release.manifest.version}"
                " can no longer be signed there; delete the local signature, or publish to"
                " another place"
            )

    def holding(self, shipment: "Shipment") -> set[str]:
        """Paths of the files that the newest commit has, byte for byte."""
        from huggingface_hub.utils.sha import git_hash

        tree, held = self.tree(), set()
        for file in shipment.files:
            found = tree.get(file.path)
            if found is None or found.size != file.bytes:
                continue
            if found.lfs is not None:
                is_same = found.lfs.sha256 == file.sha256
            else:  # small, or the hub would keep it as a large file
                path = local_file(shipment.source.root, file.path)
                is_same = found.blob_id == git_hash(path.read_bytes())
            held |= {file.path} if is_same else set()
        return held

    def receive(
        self,
        shipment: "Shipment",
        sends: Sequence[File],  # noqa: ARG002 - what is missing is asked of the commit to follow
        progress: Progress,
    ) -> None:
        """One commit has the whole release and no file of an older one.

        Raises:
            PublishError: somebody else commits at the same time or did so since this was planned,
                or the hub refuses.
        """
        from huggingface_hub import CommitOperationDelete

        with self.refusals():
            self.api.create_repo(self.repository, repo_type="dataset", private=True, exist_ok=True)
            head = self.api.repo_info(self.repository, repo_type="dataset").sha
        before = self.at(head)
        release = shipment.contents
        standing = contents(before)
        if standing and standing.manifest.version == shipment.version:
            if standing.manifest_bytes == release.manifest_bytes:
                return  # another process was quicker
            raise PublishError(taken(self.name, shipment.version))
        check_free(release, before)
        held = before.holding(shipment)
        missing = [file for file in shipment.files if file.path not in held]
        additions = self.additions(shipment, missing, progress)
        deletions = [CommitOperationDelete(path) for path in before.making_way(release)]
        self.commit(shipment, [*additions, *deletions], head)

    def additions(
        self, shipment: "Shipment", sends: Sequence[File], progress: Progress
    ) -> list[Any]:
        """What a commit adds; the bytes of large files are on the hub already, in no commit."""
        from huggingface_hub import CommitOperationAdd

        root = shipment.source.root
        additions = [CommitOperationAdd(file.path, local_file(root, file.path)) for file in sends]
        total = sum(file.bytes for file in sends)
        with progress.task("Publishing", total=total, unit="bytes") as advance, self.refusals():
            for start in range(0, len(additions), BATCH_FILES):
                batch = slice(start, start + BATCH_FILES)
                self.api.preupload_lfs_files(
                    self.repository, additions[batch], repo_type="dataset", free_memory=False
                )
                advance(sum(file.bytes for file in sends[batch]))
        release = shipment.contents
        last = {FILE_NAME: release.manifest_bytes, SIGNATURE: release.signature}
        return [
            *additions,
            *(CommitOperationAdd(path, data) for path, data in last.items() if data is not None),
        ]

    def commit(self, shipment: "Shipment", operations: Sequence[Any], head: str) -> None:
        """The newest commit has the release; it follows `head`, or is another process's same.

        Raises:
            PublishError: somebody else has committed meanwhile, or the hub refuses.
        """
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError

        with self.refusals():
            try:
                self.api.create_commit(
                    self.repository,
                    operations,
                    commit_message=f"{MESSAGE}{shipment.version}",
                    repo_type="dataset",
                    parent_commit=head,
                )
            except (HfHubHTTPError, httpx2.TransportError) as error:
                # The reply may have been lost, or another process published the same.
                found = contents(self)
                if found and found.manifest_bytes == shipment.contents.manifest_bytes:
                    return
                status = getattr(getattr(error, "response", None), "status_code", None)
                if status in CONFLICT:
                    raise PublishError(
                        f"{self.name} was changed by somebody else meanwhile; nothing was"
                        " published, look at it and run the same command again"
                    ) from error
                raise

    def complete(self, shipment: "Shipment") -> None:
        """The version's tag is there, and the signature if it was made later.

        Raises:
            PublishError: something else has the tag, or is in `main` before the tag was made; or
                the hub refuses.
        """
        from huggingface_hub import CommitOperationAdd

        release = shipment.contents
        with self.refusals():
            head = self.api.repo_info(self.repository, repo_type="dataset").sha
            newest = contents(self.at(head))
            is_newest = newest is not None and newest.manifest_bytes == release.manifest_bytes
            if shipment.version in self.tags():
                tagged = contents(self.at(shipment.version))
                if tagged is None or tagged.manifest_bytes != release.manifest_bytes:
                    raise PublishError(self.tag_taken(shipment.version))
            else:
                if not is_newest:
                    raise PublishError(
                        f"{self.name} was changed before {shipment.version} had its tag; give the"
                        f" tag to the commit called {MESSAGE}{shipment.version} on the hub"
                    )
                self.api.create_tag(
                    self.repository,
                    tag=shipment.version,
                    revision=head,
                    repo_type="dataset",
                    exist_ok=True,
                )
            if is_newest and newest and newest.signature is None and release.signature is not None:
                self.api.create_commit(
                    self.repository,
                    [CommitOperationAdd(SIGNATURE, release.signature)],
                    commit_message=f"Sign release {shipment.version}",
                    repo_type="dataset",
                    parent_commit=head,
                )

    def refusals(self) -> contextlib.AbstractContextManager[None]:
        """Whatever the hub refuses meanwhile is one PublishError with one line."""
        return refusals(self.name)

"""A published release is copied into a folder, every byte compared with its manifest."""

from pixmo.errors import PublishError
from pixmo.execution.progress import SILENT, Progress
from pixmo.publish.folder import Folder
from pixmo.publish.place import Contents, Readable, needed
from pixmo.publish.publish import taken


def fetch(place: Readable, target: Folder, progress: Progress = SILENT) -> Contents:
    """The folder holds the release of the place; where it did before, a later signature is added.

    Raises:
        ReleaseError: there is no whole release at the place, or a file of it is damaged.
        PublishError: the folder holds something else, or the place cannot be read.
    """
    release = needed(place)
    if target.has(release):
        target.add_signature(release.signature)
        return release
    standing = target.standing(release.manifest)
    if standing:
        raise PublishError(taken(target.name, standing.manifest.version))
    if target.files():
        raise PublishError(f"{target.name} is not empty; name a new folder")
    copied = target.copied(release)
    files = [file for file in release.manifest.files if file.path not in copied]
    target.take(place, release, files, progress)
    return release

"""A published release is copied into a folder, every byte compared with its manifest."""

from pixmo.errors import PublishError, ReleaseError
from pixmo.execution.progress import SILENT, Progress
from pixmo.publish.folder import Folder
from pixmo.publish.place import Contents, Readable, needed
from pixmo.publish.publish import taken
from pixmo.publish.verify import verify


def fetch(place: Readable, target: Folder, progress: Progress = SILENT) -> Contents:
    """The folder holds the release of the place; where it did before, a later signature is added.

    A release that the folder had is compared with its manifest, too.

    Raises:
        ReleaseError: there is no whole release at the place, or a file of it is damaged; or one of
            those that the folder had is.
        PublishError: the folder holds something else, or is inside of the place, or the place
            cannot be read.
    """
    release = needed(place)
    if target.has(release):
        if faults := verify(target, progress).faults:
            raise ReleaseError(
                f"{target.name} is not what its manifest says: {faults[0]}; name a new folder, or"
                " delete this one and run the same command again"
            )
        target.add_signature(release.signature)
        return release
    standing = target.standing(release.manifest)
    if standing:
        raise PublishError(taken(target.name, standing.manifest.version))
    if target.foreign(release.manifest):
        raise PublishError(f"{target.name} is not empty; name a new folder")
    target.check_outside(place)
    copied = target.copied(release)
    files = [file for file in release.manifest.files if file.path not in copied]
    target.take(place, release, files, progress)
    return release

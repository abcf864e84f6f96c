"""A release is published: data first, the manifest last, and nothing there is ever replaced."""

from dataclasses import dataclass

from pixmo.dataset.manifest import File
from pixmo.errors import PublishError
from pixmo.execution.progress import SILENT, Progress
from pixmo.publish.place import Contents, Place, check_sizes
from pixmo.publish.shipment import Shipment
from pixmo.text import counted


@dataclass(frozen=True)
class Plan:
    """What publishing a release would do."""

    place: str
    version: str
    sends: tuple[File, ...]
    there: tuple[File, ...]  # files that are at the place already, byte for byte
    is_published: bool  # this very release is whole at the place
    sends_signature: bool
    deletes: tuple[str, ...] = ()  # paths of an older release's files that make way

    @property
    def bytes(self) -> int:
        """What would be sent, without manifest and signature."""
        return sum(file.bytes for file in self.sends)


def plan(shipment: Shipment, place: Place) -> Plan:
    """What publishing the release would do.

    Raises:
        PublishError: another release is there, or files of something else, or this very release
            with files missing; or a signature comes too late; or the place cannot be read.
    """
    release = shipment.contents
    standing = place.standing(release.manifest)
    if standing is None:
        check_free(release, place)
        held = place.holding(shipment)
        sends = tuple(file for file in shipment.files if file.path not in held)
        there = tuple(file for file in shipment.files if file.path in held)
        has_signature = release.signature is not None
        deletes = tuple(place.making_way(release))
        return Plan(place.name, shipment.version, sends, there, False, has_signature, deletes)
    if standing.manifest_bytes != release.manifest_bytes:
        raise PublishError(taken(place.name, standing.manifest.version))
    check_sizes(standing)
    is_new = release.signature is not None and standing.signature is None
    if not is_new and release.signature not in (None, standing.signature):
        raise PublishError(
            f"{place.name} holds release {shipment.version} with another signature, which stays;"
            " delete the local one, or publish to another place"
        )
    if is_new:
        place.check_signable(release)
    return Plan(place.name, shipment.version, (), tuple(shipment.files), True, is_new)


def taken(place: str, version: str) -> str:
    """What to say where another release is."""
    return (
        f"{place} holds another release, {version}; a published release never changes, so"
        " publish to another place"
    )


def check_free(release: Contents, place: Place) -> None:
    """Nothing, if nothing is at the place that would stand beside the release.

    Raises:
        PublishError: something is.
    """
    foreign = place.foreign(release.manifest)
    if foreign:
        raise PublishError(
            f"{place.name} holds {counted(len(foreign), 'file')} of something else,"
            f" such as {foreign[0]}; give the release a place of its own, or take them away there"
        )


def publish(shipment: Shipment, place: Place, progress: Progress = SILENT) -> Plan:
    """The whole release is at the place; returns what was done.

    Killed at any moment, it leaves no manifest, so no release; run again, it goes on.

    Raises:
        PublishError: another release is there or came meanwhile, or the place cannot be written.
    """
    planned = plan(shipment, place)
    if not planned.is_published:
        place.receive(shipment, planned.sends, progress)
    place.complete(shipment)
    return planned

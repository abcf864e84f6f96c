"""A release is published: data first, the manifest last, and nothing there is ever replaced."""

from dataclasses import dataclass

from pixmo.dataset.manifest import File
from pixmo.errors import PublishError
from pixmo.execution.progress import SILENT, Progress
from pixmo.publish.place import Place
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

    @property
    def bytes(self) -> int:
        """What would be sent, without manifest and signature."""
        return sum(file.bytes for file in self.sends)


def plan(shipment: Shipment, place: Place) -> Plan:
    """What publishing the release would do.

    Raises:
        PublishError: another release is there, or files of something else; or the place cannot be
            read.
    """
    release = shipment.contents
    standing = place.standing(release.manifest)
    if standing is None:
        check_free(shipment, place)
        held = place.holding(shipment)
        sends = tuple(file for file in shipment.files if file.path not in held)
        there = tuple(file for file in shipment.files if file.path in held)
        has_signature = release.signature is not None
        return Plan(place.name, shipment.version, sends, there, False, has_signature)
    if standing.manifest_bytes != release.manifest_bytes:
        raise PublishError(taken(place.name, standing.manifest.version))
    is_new = release.signature is not None and standing.signature is None
    if not is_new and release.signature not in (None, standing.signature):
        raise PublishError(
            f"{place.name} holds release {shipment.version} with another signature, which stays;"
            " delete the local one, or publish to another place"
        )
    return Plan(place.name, shipment.version, (), tuple(shipment.files), True, is_new)


def taken(place: str, version: str) -> str:
    """What to say where another release is."""
    return (
        f"{place} holds another release, {version}; a published release never changes, so"
        " publish to another place"
    )


def check_free(shipment: Shipment, place: Place) -> None:
    """Nothing, if nothing is at the place that would stand beside the release.

    Raises:
        PublishError: something is.
    """
    foreign = place.foreign(shipment.contents.manifest)
    if foreign:
        raise PublishError(
            f"{place.name} holds {counted(len(foreign), 'file')} that this release does not have,"
            f" such as {foreign[0]}; give the release a place of its own"
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

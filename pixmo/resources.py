"""The data folders, found in a checkout and in an install alike."""

from pathlib import Path

from pixmo.errors import ResourceError

PACKAGE = Path(__file__).parent


def shared(*parts: str) -> Path:
    """The path of a file or folder under `pipelines/`, `schemas/` or `annotation_ui/`.

    In a wheel these folders lie in `pixmo/_shared/`; in a checkout beside the package.

    Raises:
        ResourceError: it is in neither place.
    """
    for root in (PACKAGE / "_shared", PACKAGE.parent):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise ResourceError(f"{'/'.join(parts)} does not ship with this pixmo; reinstall it")

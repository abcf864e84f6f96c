"""Files of a hub's dataset, read over connections that may break."""

from collections.abc import Iterator

from pixmo.errors import PublishError
from pixmo.hashing import CHUNK_BYTES
from pixmo.publish.hub_errors import BusyError, is_busy, refusals
from pixmo.publish.place import read_on


def read(endpoint: str, repository: str, revision: str, path: str, place: str) -> Iterator[bytes]:
    """Yield the bytes of a file in chunks; what a broken connection cut off is asked again.

    So is what a hub refused that is busy or failed just then. Messages call the dataset `place`.

    Raises:
        FileNotFoundError: there is no such file.
        PublishError: it cannot be read.
    """
    import httpx2
    from huggingface_hub import get_session, hf_hub_url, hf_raise_for_status
    from huggingface_hub.errors import (
        EntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils._headers import build_hf_headers

    url = hf_hub_url(repository, path, repo_type="dataset", revision=revision, endpoint=endpoint)

    def read_from(offset: int) -> Iterator[bytes]:
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with get_session().stream("GET", url, headers=headers, follow_redirects=True) as reply:
            if is_busy(reply.status_code):
                raise BusyError(reply.status_code)
            hf_raise_for_status(reply)
            if offset and reply.status_code != httpx2.codes.PARTIAL_CONTENT:
                raise PublishError(f"{place}/{path}: the hub cannot go on after a break")
            yield from reply.iter_bytes(CHUNK_BYTES)

    with refusals(f"{place}/{path}"):
        try:
            yield from read_on(read_from, (httpx2.TransportError, BusyError))
        except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise FileNotFoundError(f"{place}/{path}") from error

"""Which place an address names."""

import re
from pathlib import Path

from pixmo.errors import PublishError
from pixmo.publish.folder import Folder
from pixmo.publish.place import Place

MISSPELT = re.compile(r"[A-Za-z0-9]+:/")  # s3:/bucket
SCHEMES = "s3://bucket/prefix, hf://org/name or a folder"


def is_remote(address: str) -> bool:
    """Whether it is no folder's path."""
    return "://" in address


def opened(address: str, endpoint_url: str = "") -> Place:
    """The place at an address; `endpoint_url` is that of a store other than Amazon's.

    Raises:
        PublishError: nothing has such an address.
    """
    scheme, separator, rest = address.partition("://")
    if not separator and not MISSPELT.match(address):
        return Folder(Path(address).expanduser().resolve())
    if scheme == "s3":
        from pixmo.publish.s3 import S3

        return S3.open(rest, endpoint_url)
    if scheme == "hf":
        from pixmo.publish.hub import Hub

        return Hub.open(rest)
    raise PublishError(f"{address} is no place that pixmo knows; give {SCHEMES}")

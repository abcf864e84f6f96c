"""Signatures of a release's manifest, in minisign's format (https://jedisct1.github.io/minisign).

The manifest has the sha256 of every file, so who signs it signs the release.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pixmo.dataset.manifest import FILE_NAME, SIGNATURE
from pixmo.errors import PublishError, ReleaseError
from pixmo.execution.progress import SILENT, Progress
from pixmo.files import create_atomically, replace_atomically
from pixmo.publish.folder import Folder
from pixmo.publish.place import Contents
from pixmo.publish.shipment import pack
from pixmo.publish.verify import SignatureError

PUBLIC_SUFFIX = ".pub"
EXTRA = "signatures need py-minisign; pip install 'pixmo[sign]'"
Password = Callable[[str], str]  # asked with what it is for


def minisign() -> Any:
    """The library.

    Raises:
        PublishError: it is not installed.
    """
    try:
        import minisign as library
    except ImportError as error:
        raise PublishError(EXTRA) from error
    return library


def sign(release: Folder, key: Path, password: Password, progress: Progress = SILENT) -> Path:
    """The release in a folder has a signature, made with a secret key; returns its path.

    The release is compared with its manifest first. The same key signs the same release with the
    same bytes.

    Raises:
        ReleaseError: it is no whole release, or not the one that was built.
        PublishError: the key cannot be used.
    """
    library = minisign()
    contents = pack(release, progress).contents
    try:
        secret = library.SecretKey.from_bytes(key.read_bytes())
        if secret.is_encrypted():
            secret.decrypt(password(f"Password of {key}"))
        signature = secret.sign(contents.manifest_bytes, trusted_comment=comment(contents))
    except library.Error as error:
        raise PublishError(f"{key}: {error}; give a secret key in minisign's format") from error
    path = release.root / SIGNATURE
    data = bytes(signature) + b"\n"
    replace_atomically(path, lambda temporary: temporary.write_bytes(data))
    return path


def comment(contents: Contents) -> str:
    """What is signed beside the manifest: no clock, so that signing again changes nothing."""
    return f"{FILE_NAME} of release {contents.manifest.version}, sha256 {contents.sha256}"


def check(contents: Contents, public_key: str) -> str:
    """The trusted comment of a release's signature, which holds.

    `public_key` is a file, or the key itself in base64.

    Raises:
        SignatureError: there is no signature, or this key did not make it, or of something else.
        PublishError: the key cannot be used.
    """
    library = minisign()
    try:
        key = library.PublicKey.from_base64(public_key)
    except library.ParseError:
        try:
            key = library.PublicKey.from_bytes(Path(public_key).expanduser().read_bytes())
        except library.ParseError as error:
            raise PublishError(
                f"{public_key}: {error}; give a public key in minisign's format"
            ) from error
    if contents.signature is None:
        raise SignatureError(f"{SIGNATURE} is missing: the release is not signed")
    try:
        signature = library.Signature.from_bytes(contents.signature)
        key.verify(contents.manifest_bytes, signature)
    except library.Error as error:
        raise SignatureError(f"{SIGNATURE} does not hold: {error}") from error
    return str(signature.trusted_comment)


def new_key(path: Path, password: Password) -> Path:
    """A new secret key is in the file `path`, its public key beside it; returns the latter's path.

    Raises:
        ReleaseError: a file is there already; no key is ever overwritten.
    """
    library = minisign()
    public = path.with_name(path.name + PUBLIC_SUFFIX)
    for file in (path, public):
        if file.exists():
            raise ReleaseError(f"{file} is already there; a key is never overwritten")
    pair = library.KeyPair.generate()
    data = {public: bytes(pair.public_key) + b"\n"}
    secret = password(f"Password for {path}, empty for none")
    if secret:
        pair.secret_key.encrypt(secret)
    data[path] = bytes(pair.secret_key) + b"\n"

    def write(temporary: Path, content: bytes, mode: int) -> None:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)

    create_atomically(path, lambda temporary: write(temporary, data[path], 0o600))
    create_atomically(public, lambda temporary: write(temporary, data[public], 0o644))
    return public

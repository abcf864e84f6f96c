"""Commands that put a release where others find it, and check what is there."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace
from pixmo.errors import PublishError, ReleaseError, SettingsError

if TYPE_CHECKING:
    from pixmo.publish.folder import Folder
    from pixmo.workspace.workspace import Workspace

PLACE = Annotated[
    str,
    typer.Argument(
        help="s3://bucket/prefix, hf://org/name or a folder: the release's own, not one above it."
    ),
]
ENDPOINT = Annotated[
    str,
    typer.Option(
        help="Of an S3 store that is not Amazon's; default: AWS_ENDPOINT_URL.", metavar="URL"
    ),
]
RELEASE = Annotated[str, typer.Argument(help="A release or its folder.")]
NOT_HELD = 1  # exit status


def refuse_withdrawn(here: "Workspace", root: Path) -> None:
    """Nothing, if the release in `root` holds nothing that was withdrawn from this workspace.

    Raises:
        PublishError: it does.
    """
    from pixmo.release.held import held
    from pixmo.text import counted

    if not here.table("withdrawals").parts():
        return
    rows = sum(one.rows for one in held(here, None, show.Bars(), [root.name]))
    if rows:
        raise PublishError(
            f"{root} holds {counted(rows, 'row')} of what was withdrawn since; build and publish a"
            " new release, or say --withdrawn to publish it all the same"
        )


def homes_of(here: "Workspace", named: str, root: Path) -> dict[Path, "Workspace"]:
    """The workspaces that have the release in `root`, by its path among their releases.

    They are `here`, or whatever has the folder `releases` in which it is, also by links.
    """
    found = {}
    for path in (root, Path(named).expanduser().absolute()):
        if path.resolve() != root.resolve():
            continue
        if path.parent.resolve() == here.releases.resolve():
            found[here.releases / path.name] = here
        elif path.parent.name == here.releases.name:
            home = open_workspace(path.parent.parent)
            found[home.releases / path.name] = home
    return found


def release_in(workspace: Path, named: str) -> "Folder":
    """The folder of a release of the workspace.

    Raises:
        ReleaseError: there is no such release.
    """
    from pixmo.publish.folder import Folder
    from pixmo.release.versions import release_folder

    root = release_folder(open_workspace(workspace), named)
    if not root.is_dir():
        raise ReleaseError(f"there is no release at {root}; see pixmo status for those there are")
    return Folder(root)


def release_here(workspace: "Workspace", named: str) -> Path:
    """The folder of a release; one named by s3://… or hf://… has been fetched into the cache.

    Raises:
        ReleaseError: there is no such release, or its copy in the cache is damaged.
        PublishError: the place cannot be read, or has lost files since they were fetched.
    """
    from pixmo.publish.fetch import fetch
    from pixmo.publish.folder import Folder
    from pixmo.publish.place import check_sizes, needed
    from pixmo.publish.places import is_remote, opened
    from pixmo.release.versions import release_folder

    if not is_remote(named):
        return release_folder(workspace, named)
    place = opened(named)
    release = needed(place)
    check_sizes(release)
    folder = workspace.cache / "published" / release.sha256[:16] / release.manifest.version
    fetch(place, Folder(folder), show.Bars())
    return folder


def place_in(workspace: Path, named: str) -> str:
    """The address of a place; a version that the workspace has is its release's folder.

    Raises:
        ReleaseError: the current folder has one of this name, too.
    """
    if Path(named).name != named:  # "./v1" is a folder, and s3://… a bucket
        return named
    root, beside = open_workspace(workspace).releases / named, Path(named).absolute()
    if root.is_dir() and beside.is_dir() and not root.samefile(beside):
        raise ReleaseError(
            f"{named} is a release of the workspace, {root}, and a folder here, {beside}; write"
            f" the path of either, such as ./{named}"
        )
    return str(root) if root.is_dir() else named


@app.command()
def publish(
    version: RELEASE,
    place: PLACE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent, and what is there.")
    ] = False,
    endpoint_url: ENDPOINT = "",
    withdrawn: Annotated[
        bool,
        typer.Option("--withdrawn", help="Even if it holds rows that were withdrawn since."),
    ] = False,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Put a release where others find it.

    Data goes first and the manifest last, so a reader finds a whole release or none. A published
    release is never changed. Stopped, the same command goes on where it was.

    Credentials come from the environment: AWS_ACCESS_KEY_ID and the like, HF_TOKEN.

    Example: pixmo publish v1 s3://bucket/my-dataset/v1
    """
    from pixmo.publish.places import opened
    from pixmo.publish.publish import plan
    from pixmo.publish.publish import publish as send
    from pixmo.publish.shipment import pack
    from pixmo.text import counted

    target = opened(place, endpoint_url)
    folder = release_in(workspace, version)
    if not withdrawn:
        for root, home in homes_of(open_workspace(workspace), version, folder.root).items():
            refuse_withdrawn(home, root)
    shipment = pack(folder, show.Bars())
    done = plan(shipment, target) if dry_run else send(shipment, target, show.Bars())
    if json:
        show.as_json(done)
        return
    if dry_run:
        for file in done.sends:
            show.say(f"{file.bytes:>14,}  {file.path}")
        for path in done.deletes:
            show.say(f"{'deleted':>14}  {path}")
    there = f"; {counted(len(done.there), 'file')} there already" if done.there else ""
    verb = "would send" if dry_run else "sent"
    if done.is_published:
        show.say(f"{done.place} already holds this release, {done.version}; nothing to send")
        if done.sends_signature:
            show.say(f"{verb} its signature")
        return
    show.say(f"{verb} {counted(len(done.sends), 'file')}, {done.bytes:,} bytes{there}")
    if done.deletes:
        verb = "would delete" if dry_run else "deleted"
        show.say(f"{verb} {counted(len(done.deletes), 'file')} of the release before")
    if not dry_run:
        show.say(f"published {done.version} at {done.place}")
        where = f" --endpoint-url {endpoint_url}" if endpoint_url else ""
        show.say(f"check it with: pixmo verify {done.place}{where}")


@app.command()
def verify(
    place: Annotated[
        str,
        typer.Argument(
            help="A version of the workspace, s3://bucket/prefix, hf://org/name or a folder: the"
            " release's own, not one above it."
        ),
    ],
    public_key: Annotated[
        str | None,
        typer.Option(help="A minisign public key or its file: the signature must be of it."),
    ] = None,
    endpoint_url: ENDPOINT = "",
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Compare every byte of a release, here or published, with its manifest.

    Each file that is missing, changed or too many has its line, and the exit status is 1.

    Example: pixmo verify hf://org/name
    """
    from pixmo.publish import signature
    from pixmo.publish.places import opened
    from pixmo.publish.verify import verify as check
    from pixmo.text import counted

    signed_by = None
    if public_key is not None:
        if not public_key.strip():  # as of a variable that is not set: nothing would be checked
            raise typer.BadParameter("is empty", param_hint="--public-key")
        key = public_key
        signed_by = lambda found: signature.check(found, key)  # noqa: E731
    found = check(opened(place_in(workspace, place), endpoint_url), show.Bars(), signed_by)
    if json:
        show.as_json({**vars(found), "passed": found.passed})
    else:
        for fault in found.faults:
            show.say(fault)
        what = f"{found.place}: release {found.version}, {counted(found.files, 'file')}"
        outcome = counted(len(found.faults), "fault") if found.faults else "as released"
        show.say(f"{what}, {found.bytes:,} bytes: {outcome}")
        show.say(f"manifest sha256 {found.manifest_sha256}")
        if found.signed:
            show.say(f"signature holds: {found.signed}")
        elif found.is_signed and public_key is None:
            show.say("signed, not checked; give --public-key")
    if not found.passed:
        raise typer.Exit(NOT_HELD)


@app.command()
def fetch(
    place: PLACE,
    folder: Annotated[Path, typer.Argument(help="A new folder for the release.")],
    endpoint_url: ENDPOINT = "",
) -> None:
    """Copy a published release here.

    Every byte is compared with the manifest; the folder is there when all of it is. Stopped, the
    same command goes on where it was.

    Example: pixmo fetch s3://bucket/my-dataset/v1 v1
    """
    from pixmo.publish.fetch import fetch as copy
    from pixmo.publish.folder import Folder
    from pixmo.publish.places import opened

    target = Folder(folder.expanduser().resolve())
    release = copy(opened(place, endpoint_url), target, show.Bars())
    show.say(f"release {release.manifest.version} is in {show.here(target.root)}")


@app.command()
def sign(
    version: Annotated[str, typer.Argument(help="A release or its folder.")] = "",
    key: Annotated[Path | None, typer.Option(help="A secret key of minisign's.")] = None,
    new_key: Annotated[
        Path | None, typer.Option(help="Make a key: this file, and its public key beside it.")
    ] = None,
    workspace: WORKSPACE = Path(),
) -> None:
    """Sign a release, in minisign's format.

    The signature stands beside the manifest, which has the sha256 of every file. A password comes
    from MINISIGN_PASSWORD, or is asked for.

    Example: pixmo sign v1 --key me.key
    """
    from pixmo.publish import signature

    if new_key is not None:
        public = signature.new_key(new_key.expanduser(), password_from)
        show.say(f"secret key  {show.here(new_key)}; keep it to yourself")
        show.say(f"public key  {show.here(public)}")
    if key is not None and version:
        path = signature.sign(
            release_in(workspace, version), key.expanduser(), password_from, show.Bars()
        )
        show.say(f"signature  {show.here(path)}")
    elif new_key is None:
        raise SettingsError("give a release and --key, or --new-key to make a key first")


def password_from(asked: str) -> str:
    """The password in the environment, or the one that is typed.

    Raises:
        SettingsError: there is neither, nor a terminal to type it.
    """
    known = os.environ.get("MINISIGN_PASSWORD")
    if known is not None:
        return known
    if not has_terminal():
        raise SettingsError(
            f"{asked}: there is no terminal to type it; set MINISIGN_PASSWORD, to nothing where"
            " the key has none"
        )
    return str(typer.prompt(asked, default="", hide_input=True))


def has_terminal() -> bool:
    """Whether a person can be asked, also where the input is a file or a pipe."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return sys.stdin.isatty()
    return True

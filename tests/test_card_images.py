"""The card shows how to open an image, wherever it is, and the code shown runs."""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from pixmo.release.build import build_release
from pixmo.release.images import Mode
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.workspaces import Planter

FREE, CLOSED = "CC0-1.0", "CC-BY-ND-4.0"
TURNED = 6  # of EXIF's orientations: shown, it is a quarter turn to the right
Images = tuple[tuple[str, str | None], ...]  # name and licence; None: one of our own


@dataclass
class Web:
    """A server of a folder, and who asked it for what."""

    url: str
    folder: Path
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path and User-Agent


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    """Images on the web."""
    web = Web("", tmp_path / "web")
    web.folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            web.asked.append((self.path, self.headers["User-Agent"]))

    handler = partial(Handler, directory=str(web.folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        web.url = f"http://127.0.0.1:{server.server_port}"
        yield web
        server.shutdown()
        thread.join()


def make(root: Path, web: Web, images: Images) -> Workspace:
    """A workspace of these images, each stored on its side; those with a licence are on the web."""
    planter = Planter(Workspace.init(root))
    exif = Image.Exif()
    exif[0x0112] = TURNED
    for number, (name, license) in enumerate(images):
        picture = workspaces.picture(number)
        url = f"{web.url}/{name}" if license else None
        planter.image(name, picture, url, license, exif=exif)
        planter.points(name, name, [(1.0, 1.0)], label="leaf")
        if license:
            path = planter.workspace.images / name
            (web.folder / name).write_bytes(path.read_bytes())
    workspace = planter.write()
    workspaces.accept(workspace, CLOSED)
    return workspace


def code(release: Path) -> str:
    """The Python of a card."""
    text = (release / "README.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    return block.replace(f"path/to/{release.name}", release.as_posix())


def run(release: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the names of a card's Python stand for once it has run."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    cache = release.parents[1] / "datasets"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    datasets.disable_progress_bars()
    names: dict[str, Any] = {}
    exec(compile(code(release), "README.md", "exec"), names)
    return names


def shown(names: dict[str, Any]) -> dict[str, Image.Image | None]:
    """The image of each row as the card's Python opens it, by its URL."""
    opener = names.get("open_image", lambda row: row["image"])
    return {row["image_url"].rpartition("/")[2]: opener(row) for row in names["rows"]}


def upright(workspace: Workspace, name: str) -> bytes:
    """The pixels of an image as people saw it."""
    with Image.open(workspace.images / name) as image:
        return image.transpose(Image.Transpose.ROTATE_270).convert("RGB").tobytes()


ALL: Images = (
    ("own.png", None),
    ("free.png", FREE),
    ("closed.png", CLOSED),
)
CASES: dict[str, tuple[Mode, Images]] = {
    "url": ("url", ALL[1:]),
    "url and own": ("url", ALL),
    "files": ("files", ALL[:2]),
    "files and url": ("files", ALL),
    "rows": ("embedded", ALL[:2]),
    "rows and url": ("embedded", ALL),
    "no row": ("embedded", ALL[2:]),
}
INSIDE = {"url and own", "files", "files and url", "rows", "rows and url"}
OUTSIDE = {"url", "url and own", "files and url", "rows and url", "no row"}
# What a card says of images, and of which releases alone.
SAID = {
    "stands in its column `image`": {"rows", "rows and url"},
    "it is a name, and there is no such file": {"rows", "rows and url"},
    "| `image` | image |": {"rows", "rows and url", "no row"},
    "Where `image` is null": {"rows and url"},
    "The column `image` is null in their rows.": {"rows and url", "no row"},
    "No image is in this release": {"url", "no row"},
    "Images lie in `images/`": {"files"},
    "Some images lie in `images/`": {"url and own", "files and url"},
    "named by source URL only |": OUTSIDE,
    "Whether a URL still answers": OUTSIDE,
    "Pictures named by URL are no part of this release": OUTSIDE,
    "The licences of those in this release": INSIDE,
    "The annotations are under ODC-BY-1.0. That does not cover the pictures": CASES.keys(),
    "Points are percent (0 to 100)": CASES.keys(),
    "whatever the licences say": set(),
}


@pytest.mark.parametrize("case", CASES)
def test_the_card_says_where_images_are_and_its_code_opens_them_upright(
    case: str, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how, images = CASES[case]
    workspace = make(tmp_path / "world", web, images)
    release = build_release(workspace, "v1", images=how)
    card = (release / "README.md").read_text("utf-8")
    assert {said for said in SAID if said in card} == {s for s in SAID if case in SAID[s]}
    names = run(release, monkeypatch)
    assert names["image"].size == (96, 128)
    found = shown(names)
    sha256s = {row["image_url"]: row["image_sha256"] for row in names["rows"]}
    own = {f"{sha256}.png" for url, sha256 in sha256s.items() if "://" not in url}
    expected = {name if license else own.pop(): name for name, license in images}
    assert found.keys() == expected.keys()
    for place, image in found.items():
        assert image is not None
        assert image.convert("RGB").tobytes() == upright(workspace, expected[place])
    outside = {name for name, license in images if license and (how == "url" or license == CLOSED)}
    assert {path for path, _ in web.asked} == {f"/{name}" for name in outside}
    assert {who for _, who in web.asked} <= {"your name and address"}


def test_a_picture_that_changed_on_the_web_is_refused(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = build_release(make(tmp_path / "world", web, ALL[2:]), "v1")
    names = run(release, monkeypatch)
    workspaces.picture(9).save(web.folder / "closed.png")
    with pytest.raises(ValueError, match=r"closed\.png is another picture now"):
        names["open_image"](names["row"])

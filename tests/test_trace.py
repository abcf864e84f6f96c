"""A row of a release leads back to the files that people made, whatever became of it."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pixmo.dataset.reader import Release
from pixmo.errors import ReleaseError
from pixmo.hashing import sha256_bytes, sha256_file
from pixmo.label.ingest import ingest
from pixmo.release.build import build_release
from pixmo.release.trace import find_row, rows_of, trace, traces
from pixmo.release.traced import AS_IT_WAS, CHANGED, GONE, Trace
from pixmo.release.withdraw import Request, withdraw
from pixmo.speech.captioning.captions import write_captions
from pixmo.speech.recordings import find, record
from pixmo.workspace.workspace import Workspace
from tests import label_studio_exports as ls
from tests import workspaces
from tests.conftest import Demo, run_pixmo
from tests.recorders import as_browsers_record
from tests.workspaces import Planter, picture, prose

LICENSE = "CC-BY-4.0"
URL = "https://example.org/0.png"


def make(root: Path) -> Workspace:
    """Real files: pictures, a recording, an export; a row of every fate made from them."""
    planter = Planter(Workspace.init(root))
    for number in range(4):
        planter.image(f"{number}.png", picture(number), URL if number == 0 else None)
        planter.rows["images"][-1]["license"] = LICENSE
    audio = planter.workspace.audio
    audio.mkdir()
    (audio / "0.webm").write_bytes(as_browsers_record(root, 2.0))
    line = {"file_name": "0.webm", "image": "0.png", "annotator": "anna", "recorded_at": "noon"}
    (audio / "metadata.jsonl").write_text(json.dumps(line), "utf-8")
    sha256 = sha256_file(audio / "0.webm")
    planter.caption("0.png", prose(0), recording_sha256=sha256, annotator="anna")
    planter.caption("1.png", prose(1), **workspaces.WRITTEN, annotator="ben")
    workspace = planter.write()
    record(workspace, find(workspace, audio))
    write_captions(workspace)
    workspace.exports.mkdir()
    (workspace.exports / "points.json").write_text(json.dumps(export(planter)), "utf-8")
    ingest(workspace, [workspace.exports])
    return workspace


def export(planter: Planter) -> list[dict[str, Any]]:
    """Tasks of points: two people agree, two differ, one is outside of the image."""
    agreed = [(10.0, 10.0), (40.0, 40.0)]
    tasks = []
    for image, label, people in (
        ("2.png", "cup", {"2": agreed, "3": agreed}),
        ("2.png", "plate", {"2": agreed, "3": [(80.0, 80.0)]}),
        ("3.png", "fork", {"2": [(150.0, 10.0)]}),
    ):
        annotations = [
            ls.annotation(
                ls.points(points), unique_id=f"{label}-{person}", completed_by=int(person)
            )
            for person, points in people.items()
        ]
        data = {
            "image": f"/data/{image}",
            "image_sha256": planter.sha256[image],
            "label": label,
            "collection_method": "pointing",
        }
        tasks.append(ls.task(data, annotations))
    return tasks

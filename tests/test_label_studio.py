"""pixmo.label.push and .pull against a real Label Studio."""

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image

from pixmo.errors import LabelError
from pixmo.hashing import sha256_file
from pixmo.images.store import add_images
from pixmo.label import pull as pulling
from pixmo.label import studio as studying
from pixmo.label.ingest import ingest
from pixmo.label.pull import pull
from pixmo.label.push import push, state_file
from pixmo.label.report import report
from pixmo.label.studio import Listed, Project, Studio, connected
from pixmo.speech.captioning.captions import write_captions
from pixmo.speech.recordings import find, record
from pixmo.speech.transcripts import written_row
from pixmo.workspace.workspace import Workspace
from tests.label_studio_exports import (
    caption_verdict,
    keypoint,
    mended_caption,
    pointed,
    presence,
    result,
    write_export,
)
from tests.label_studio_server import (
    TOKEN,
    Server,
    count,
    free_port,
    labels,
    make_workspace,
    tasks_of,
)
from tests.object_stores import LOSE, PASS, Proxy
from tests.sounds import write_speech

pytestmark = pytest.mark.slow  # real servers or a real browser


@pytest.fixture
def server(label_studio: Server) -> Server:
    return label_studio


@pytest.fixture
def workspace(
    server: Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    return make_workspace(server, request.node.name)


@pytest.fixture
def studio(server: Server, workspace: Workspace) -> Iterator[Studio]:
    with connected(server.url) as reached:
        yield reached


def asked_by_a_pull(
    workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> list[list[int]]:
    """The ids of the tasks in each export that a pull asks for."""
    asked: list[list[int]] = []
    export = Studio.export

    def noted(reached: Studio, project: Project, tasks: Iterable[int]) -> Any:
        asked.append(list(tasks))
        return export(reached, project, asked[-1])

    with monkeypatch.context() as patch:
        patch.setattr(Studio, "export", noted)
        pull(workspace, studio, "points")
    return asked


def test_a_push_makes_the_project_and_a_second_adds_nothing(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    file = labels(workspace, "red dots", "faces")
    first = push(workspace, studio, "points", file)
    assert (first.added, first.waiting) == (8, 0)
    second = push(workspace, studio, "points", file)
    assert (second.project, second.added, second.waiting) == (first.project, 0, 8)
    third = push(workspace, studio, "points", labels(workspace, "red dots", "faces", "hands"))
    assert (third.added, third.waiting) == (4, 8)
    tasks = tasks_of(server, first.project)
    assert len({task.data["pixmo_id"] for task in tasks}) == len(tasks) == 12
    assert {task.data["label"] for task in tasks} == {"red dots", "faces", "hands"}


def test_an_answer_that_is_lost_doubles_no_task(server: Server, workspace: Workspace) -> None:
    lost: list[bytes] = []

    def fault(chunk: bytes) -> str:
        if lost or not re.match(rb"POST \S*/import", chunk):
            return PASS
        lost.append(chunk)
        return LOSE

    with Proxy(server.url, fault).running() as url, connected(url) as behind:
        with pytest.raises(LabelError, match="Run the same command to go on"):
            push(workspace, behind, "points", labels(workspace, "red dots"))
        assert lost
        again = push(workspace, behind, "points", labels(workspace, "red dots"))
    assert (again.added, again.waiting) == (0, 4)
    assert len(tasks_of(server, again.project)) == 4


@pytest.mark.filterwarnings("ignore:The `parse_obj` method")  # the SDK's own
def test_a_personal_access_token_is_as_good_as_a_legacy_one(
    server: Server, workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = httpx.post(
        f"{server.url}/api/token/", headers={"Authorization": f"Token {TOKEN}"}, trust_env=False
    )
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", made.json()["token"])
    with connected(server.url) as personal:
        pushed = push(workspace, personal, "points", labels(workspace, "red dots"))
        assert pushed.added == 4
        assert pull(workspace, personal, "points").added == 0


def test_images_are_shown_by_their_own_urls(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    asked = labels(workspace, "red dots")
    lines = [
        {"file_name": f"photo {number}.png", "image_url": f"https://example.org/{number}.png"}
        for number in range(2)
    ]
    metadata = workspace.images / "metadata.jsonl"
    metadata.write_text("".join(json.dumps(line) + "\n" for line in lines))
    add_images(workspace, workspace.images)
    settings = replace(workspace.settings.label_studio, images="url")
    by_url = replace(workspace, settings=replace(workspace.settings, label_studio=settings))
    pushed = push(by_url, studio, "points", asked)
    shown = {str(task.data["image"]) for task in tasks_of(server, pushed.project)}
    assert shown == {line["image_url"] for line in lines}
    assert (pushed.added, pushed.set_aside) == (2, 2)  # one has no URL, one is turned


def test_every_image_is_asked_about_as_often_as_said(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    first = push(workspace, studio, "points")
    assert (first.added, first.waiting) == (4, 0)
    more = push(workspace, studio, "points", per_image=2)
    assert (more.added, more.waiting) == (4, 4)
    task = tasks_of(server, first.project)[0]
    own = result("expression", "image", "textarea", {"text": ["yellow hats"]})
    server.annotate(task.id, keypoint(10, 20), presence("present"), own)
    assert pull(workspace, studio, "points").points == 1
    with workspace.connect() as connection:
        found = connection.execute("select image_sha256, label from current_point_annotations")
        assert found.fetchall() == [(task.data["image_sha256"], "yellow hats")]


def test_each_task_waits_for_as_many_people_as_said(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    first = push(workspace, studio, "points", labels(workspace, "red dots"), annotators=2)
    one, *others = tasks_of(server, first.project)

    def is_done() -> bool:
        """Whether the queue hands the task to nobody any more."""
        return bool(server.client.tasks.get(one.id).is_labeled)

    server.annotate(one.id, presence("none"))
    push(workspace, studio, "points", labels(workspace, "red dots"))  # it stays so
    assert not is_done()
    name = f"{first.project}@example.org"
    other = server.client.users.create(username=name, email=name)
    server.annotate(one.id, presence("none"), completed_by=other.id)
    assert is_done()
    assert pull(workspace, studio, "points").points == 2
    server.annotate(others[0].id, presence("none"))
    push(workspace, studio, "points", labels(workspace, "red dots"), annotators=1)
    assert server.client.tasks.get(others[0].id).is_labeled


def test_gold_among_the_tasks_pushed_looks_like_them(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    asked = labels(workspace, "hats", "cats")
    gold = workspace.root / "gold/points.jsonl"
    gold.parent.mkdir()
    answer = {"image": "photo 0.png", "points": [[10, 20]]}
    known = [answer | {"label": label} for label in ("cats", "dogs", "mugs")]  # cats are asked, too
    gold.write_text("".join(json.dumps(row) + "\n" for row in known))
    first = push(workspace, studio, "points", asked, gold_share=0.2)
    assert (first.added, first.gold, first.waiting) == (10, 2, 0)
    again = push(workspace, studio, "points", asked, gold_share=0.2)
    assert (again.added, again.gold, again.waiting) == (0, 0, 8)
    tasks = tasks_of(server, first.project)
    assert len({frozenset(task.data) for task in tasks}) == 1  # none has a key of its own
    with pytest.raises(LabelError, match="among those of --ask"):
        push(workspace, studio, "points", gold_share=0.2)
    by_label = {task.data["label"]: task for task in tasks}
    server.annotate(by_label["dogs"].id, keypoint(10.5, 20.5), presence("present"))
    server.annotate(by_label["mugs"].id, presence("none"))
    assert pull(workspace, studio, "points").points == 2
    (one,) = report(workspace, most_seconds=600, within=5.0).annotators
    assert (one.gold.pairs, one.gold.point_f1, one.gold.equal_counts) == (2, 0.5, 0.5)


def test_the_server_shows_every_image_upright(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    turned = sha256_file(workspace.images / "turned.jpg")
    for task in tasks_of(server, pushed.project):
        answer = httpx.get(
            f"{server.url}{task.data['image']}",
            headers={"Authorization": f"Token {TOKEN}"},
            trust_env=False,
        )
        assert answer.status_code == 200
        shown = Path(workspace.root / "shown")
        shown.write_bytes(answer.content)
        with Image.open(shown) as image:
            is_turned = task.data["image_sha256"] == turned
            assert image.size == ((96, 128) if is_turned else (128, 96))
            assert image.getexif().get(0x0112, 1) == 1


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket called pictures, on a server that speaks S3."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_CONFIG_FILE", "/nowhere"),
    ):
        monkeypatch.setenv(name, value)
    storage = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    storage.start()
    host, port = storage.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="pictures")
    yield client
    client.close()
    storage.stop()


def test_tasks_whose_images_are_not_shown_are_told(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    task = tasks_of(server, pushed.project)[0]
    elsewhere = str(task.data["image"]).replace("?d=", "?d=elsewhere/")  # as of another root
    server.client.tasks.update(task.id, data=task.data | {"image": elsewhere})
    with pytest.raises(
        LabelError, match=r"does not show /data/local-files/\S+, the image of a task"
    ):
        push(workspace, studio, "points", labels(workspace, "red dots"))
    # A picture that was erased since is not looked for.
    (file,) = (workspace.root / "label-studio/images").glob(f"{task.data['image_sha256']}.*")
    file.unlink()
    assert push(workspace, studio, "points", labels(workspace, "faces")).added == 4


def test_images_are_shown_from_a_bucket_by_presigned_urls(
    server: Server,
    workspace: Workspace,
    studio: Studio,
    bucket: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = bucket.meta.endpoint_url
    settings = replace(
        workspace.settings.label_studio,
        images="s3",
        bucket="s3://pictures/ours",
        s3_endpoint=endpoint,
    )
    workspace = replace(workspace, settings=replace(workspace.settings, label_studio=settings))
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-newer-key")
    assert push(workspace, studio, "points", labels(workspace, "red dots")).added == 0
    listed = bucket.list_objects_v2(Bucket="pictures")["Contents"]
    assert len(listed) == 5  # one says what the others are for
    assert len(list(server.client.import_storage.s3.list(project=pushed.project))) == 1
    for task in tasks_of(server, pushed.project):
        # What the server sends a browser in place of s3://…: a way to a URL that needs no key.
        answer = httpx.get(
            f"{server.url}{shown_by(server, task)}",
            headers={"Authorization": f"Token {TOKEN}"},
            trust_env=False,
        )
        assert answer.status_code in (302, 303, 307), answer.text
        assert "a-newer-key" in answer.headers["location"]
        image = httpx.get(answer.headers["location"], trust_env=False)
        assert image.status_code == 200
        assert image.content.startswith(b"\x89PNG")
    unknown = replace(settings, bucket="s3://elsewhere")
    other = replace(workspace, settings=replace(workspace.settings, label_studio=unknown))
    with pytest.raises(LabelError, match="elsewhere"):
        push(other, studio, "points", labels(workspace, "faces"))


def shown_by(server: Server, task: Any) -> str:
    """The address at which a browser asks for a task's image."""
    data = server.client.tasks.get(task.id).data
    return str(data["image"])


def test_only_the_folder_for_it_need_be_the_servers_root(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    settings = replace(workspace.settings.label_studio, document_root="")
    workspace = replace(workspace, settings=replace(workspace.settings, label_studio=settings))
    folder = workspace.root / "label-studio"
    own = Server(workspace.root / "data", folder, free_port())
    shutil.copytree(server.data, own.data)
    own.start()
    try:
        with connected(own.url) as reached:
            pushed = push(workspace, reached, "points", labels(workspace, "red dots"))
        (task, *_) = tasks_of(own, pushed.project)
        answer = httpx.get(
            f"{own.url}{task.data['image']}",
            headers={"Authorization": f"Token {TOKEN}"},
            trust_env=False,
        )
        assert answer.status_code == 200
    finally:
        own.close()


def test_a_folder_that_the_server_does_not_serve_is_said(
    studio: Studio, workspace: Workspace, tmp_path: Path
) -> None:
    root = tmp_path / "elsewhere"
    shutil.copytree(workspace.root, root)
    settings = replace(workspace.settings.label_studio, document_root=str(tmp_path))
    elsewhere = replace(
        Workspace.open(root), settings=replace(workspace.settings, label_studio=settings)
    )
    with pytest.raises(
        LabelError, match=r"does not serve .*DOCUMENT_ROOT as \[label_studio\] document_root"
    ):
        push(elsewhere, studio, "points", labels(elsewhere, "faces"))


def test_a_pull_brings_what_changed_and_nothing_twice(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    assert pull(workspace, studio, "points").added == 0
    one, two, *_ = tasks_of(server, pushed.project)
    made = server.annotate(one.id, keypoint(10, 20), keypoint(30.5, 40.25), presence("present"))
    server.annotate(two.id, presence("none"))
    pulled = pull(workspace, studio, "points")
    assert (pulled.added, pulled.points, pulled.deleted) == (2, 2, 0)
    again = pull(workspace, studio, "points")
    assert (again.added, again.points, again.deleted) == (0, 0, 0)
    server.client.annotations.update(made, result=[keypoint(11, 21), presence("present")])
    changed = pull(workspace, studio, "points")
    assert (changed.added, changed.points) == (1, 1)
    with workspace.connect() as connection:
        rows = connection.execute(
            "select image_sha256, presence, points from current_point_annotations order by presence"
        ).fetchall()
        states = connection.execute("select count(*) from annotations").fetchone()
    assert rows == [
        (two.data["image_sha256"], "none", []),
        (one.data["image_sha256"], "present", [{"x": 11.0, "y": 21.0}]),
    ]
    assert states == (3,)  # the first state of the changed one is kept
    assert push(workspace, studio, "points", labels(workspace, "red dots")).waiting == 2


def test_what_is_deleted_on_the_server_no_longer_counts(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    tasks = tasks_of(server, pushed.project)
    made = [server.annotate(task.id, presence("none")) for task in tasks]
    skipped = server.annotate(tasks[0].id, was_cancelled=True)
    assert pull(workspace, studio, "points").added == 5
    assert count(workspace, "current_set_aside") == 1
    server.client.annotations.delete(made[1])
    server.client.annotations.delete(skipped)
    pulled = pull(workspace, studio, "points")
    assert (pulled.deleted, pulled.added) == (2, 0)
    assert count(workspace, "current_point_annotations") == 3
    assert count(workspace, "current_set_aside") == 0
    server.client.tasks.delete(tasks[2].id)  # the task itself
    assert pull(workspace, studio, "points").deleted == 1
    assert pull(workspace, studio, "points").deleted == 0
    assert count(workspace, "current_point_annotations") == 2
    assert count(workspace, "annotations") == 5  # every state is kept


def test_a_server_that_dies_in_the_middle_or_is_restored_loses_nothing(
    server: Server,
    workspace: Workspace,
    studio: Studio,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    for task in tasks_of(server, pushed.project):
        server.annotate(task.id, presence("none"))
    monkeypatch.setattr(pulling, "TASKS_AT_ONCE", 1)
    export, calls = Studio.export, 0

    def dies_at_the_third(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            server.kill()
        return export(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Studio, "export", dies_at_the_third)
        with pytest.raises(LabelError, match="Run the same command to go on"):
            pull(workspace, studio, "points")
    assert count(workspace, "current_point_annotations") == 2
    with pytest.raises(LabelError, match="cannot be reached"), connected(server.url):
        pass
    backup = shutil.copytree(server.data, tmp_path / "backup")
    server.start()
    assert pull(workspace, studio, "points").added == 2
    assert count(workspace, "current_point_annotations") == 4

    first, second, *_ = server.client.tasks.list(project=pushed.project, fields="all").items
    server.client.annotations.delete(first.annotations[0]["id"])
    server.client.tasks.delete(second.id)
    assert pull(workspace, studio, "points").deleted == 2
    assert count(workspace, "current_point_annotations") == 2
    server.kill()
    shutil.rmtree(server.data)
    backup.rename(server.data)
    server.start()
    pulled = pull(workspace, studio, "points")
    assert (pulled.back, pulled.added, pulled.deleted) == (2, 0, 0)
    assert count(workspace, "current_point_annotations") == 4


def test_tasks_that_wait_are_listed_once(
    server: Server, workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    changed_since, times = Studio.changed_since, []

    def noted(reached: Studio, project: Project, since: datetime | None) -> Any:
        times.append(since)
        return changed_since(reached, project, since)

    monkeypatch.setattr(Studio, "changed_since", noted)
    for _ in range(3):
        assert pull(workspace, studio, "points").added == 0
    assert times == [None]
    one, *_ = tasks_of(server, pushed.project)
    server.annotate(one.id, presence("none"))
    assert pull(workspace, studio, "points").added == 1
    push(workspace, studio, "points", labels(workspace, "red dots", "faces"))
    for _ in range(3):
        assert pull(workspace, studio, "points").added == 0
    assert len(times) == 3  # each time that something had changed


def test_a_count_that_comes_late_hides_no_annotation(
    server: Server, workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    one, *_ = tasks_of(server, pushed.project)
    server.annotate(one.id, presence("none"))
    changed_since = Studio.changed_since

    def late(*arguments: Any) -> list[Listed]:
        return [replace(task, annotations=0) for task in changed_since(*arguments)]

    with monkeypatch.context() as patch:
        patch.setattr(Studio, "changed_since", late)
        assert pull(workspace, studio, "points").added == 0
    pull(workspace, studio, "points")  # nothing is newer, and still its count is not ours
    pull(workspace, studio, "points")
    assert count(workspace, "current_point_annotations") == 1


def test_tasks_that_changed_in_one_moment_overwrite_no_file(
    server: Server, workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    tasks = [task.id for task in tasks_of(server, pushed.project)]
    server.annotate_at_once(pushed.project, {task: [presence("none")] for task in tasks})
    assert len({task.updated_at for task in tasks_of(server, pushed.project)}) == 1
    monkeypatch.setattr(pulling, "TASKS_AT_ONCE", 1)
    assert pull(workspace, studio, "points").added == 4
    files = sorted((workspace.exports / "label-studio").rglob("*.json"))
    assert [len(json.loads(file.read_text())) for file in files] == [1, 1, 1, 1]
    assert asked_by_a_pull(workspace, studio, monkeypatch) == []  # though all are in the overlap


def test_what_the_order_of_changes_does_not_show_is_found_by_counting(
    server: Server, workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    one, two, *_ = tasks_of(server, pushed.project)
    server.annotate(one.id, presence("none"))
    pull(workspace, studio, "points")
    (file,) = (workspace.exports / "label-studio").rglob("*.json")
    year = file.name[:4]  # the server's clock went wrong, and was set right
    later = file.rename(file.with_name(file.name.replace(year, str(int(year) + 1), 1)))
    row = {"export_sha256": sha256_file(later), "path": workspace.relative(later), "annotations": 1}
    workspace.append("exports", [row])
    server.annotate(two.id, presence("none"))
    assert pull(workspace, studio, "points").added == 1
    assert asked_by_a_pull(workspace, studio, monkeypatch) == []


def test_what_comes_during_a_pull_hides_no_other_change(
    server: Server, workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    one, two, *_ = tasks_of(server, pushed.project)
    made = server.annotate(one.id, presence("none"))
    export = Studio.export

    def meanwhile(reached: Studio, project: Project, tasks: Iterable[int]) -> Any:
        found = export(reached, project, tasks)
        server.client.annotations.update(made, result=[keypoint(1, 2), presence("present")])
        server.annotate(two.id, presence("none"))
        return found

    monkeypatch.setattr(pulling, "OVERLAP", timedelta(0))  # as if the pull took long
    with monkeypatch.context() as patch:
        patch.setattr(Studio, "export", meanwhile)
        assert pull(workspace, studio, "points").added == 1
    assert pull(workspace, studio, "points").added == 2


def test_what_becomes_visible_late_is_found_once_the_overlap_has_passed(
    server: Server, workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    one, two, *_ = tasks_of(server, pushed.project)
    made = server.annotate(one.id, presence("none"))
    server.annotate(two.id, presence("none"))
    assert pull(workspace, studio, "points").added == 2
    lists: list[datetime | None] = []
    changed_since = Studio.changed_since

    def noted(reached: Studio, project: Project, since: datetime | None) -> Any:
        lists.append(since)
        return changed_since(reached, project, since)

    with monkeypatch.context() as patch:
        patch.setattr(Studio, "changed_since", noted)
        patch.setattr(Studio, "has_changed_after", lambda *_: False)  # as if it were hidden yet
        server.client.annotations.update(made, result=[keypoint(1, 2), presence("present")])
        assert pull(workspace, studio, "points").added == 0
        assert lists == []  # one request told
        patch.setattr(pulling, "OVERLAP", timedelta(0))  # as if it had passed
        assert pull(workspace, studio, "points").added == 1
        for _ in range(3):  # until what it reaches is settled
            assert pull(workspace, studio, "points").added == 0
        assert len(lists) == 2
    server.client.annotations.update(made, result=[presence("none")])
    assert pull(workspace, studio, "points").added == 1


def test_what_came_by_hand_is_deleted_with_the_project_that_it_is_of(
    server: Server, workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    one, two, *_ = tasks_of(server, pushed.project)
    made = server.annotate(one.id, presence("none"))
    server.annotate(two.id, presence("none"))
    exported = server.client.projects.exports.download_sync(pushed.project, export_type="JSON")
    by_hand = workspace.exports / "by hand.json"
    by_hand.parent.mkdir()
    by_hand.write_bytes(b"".join(exported))
    # Another server has a project and tasks of the same ids; a third names them in words.
    elsewhere = [
        {
            "id": one.id,
            "data": {},
            "annotations": [pointed(7, project=pushed.project, task=one.id)],
        },
        {"id": one.id, "data": {}, "annotations": [pointed(8, project="a", task="b")]},
    ]
    write_export(workspace.exports / "elsewhere.json", elsewhere)
    assert ingest(workspace, [workspace.exports]).added == 4
    assert pull(workspace, studio, "points").added == 0
    assert asked_by_a_pull(workspace, studio, monkeypatch) == []
    server.client.annotations.delete(made)
    assert pull(workspace, studio, "points").deleted == 1
    assert count(workspace, "current_annotations") == 3
    server.client.tasks.delete(two.id)
    assert pull(workspace, studio, "points").deleted == 1
    assert count(workspace, "current_annotations") == 2


def test_a_list_of_tasks_passes_none_over_while_others_are_deleted(
    server: Server, workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    project = studio.project(pushed.project)
    assert project is not None
    monkeypatch.setattr(studying, "PAGE_TASKS", 1)
    tasks = studio.tasks(project, "id")
    first, second = next(tasks), next(tasks)
    server.client.tasks.delete(first.id)
    assert len([second, *tasks]) == 3


def test_a_kill_between_fetching_and_taking_in_loses_nothing(
    server: Server, workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    server.annotate(tasks_of(server, pushed.project)[0].id, presence("none"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pulling, "ingest", killed)
        with pytest.raises(KeyboardInterrupt):
            pull(workspace, studio, "points")
    assert count(workspace, "annotations") == 0
    assert pull(workspace, studio, "points").added == 1


def test_captions_are_reviewed_with_what_was_said_beside_them(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    workspace.audio.mkdir()
    recording = write_speech(
        workspace.root / "audio/photo 0.webm", "There is a dog.", "It is brown."
    )
    found = find(workspace, workspace.audio)
    record(workspace, found)
    sha256 = sha256_file(recording)
    image = sha256_file(workspace.images / "photo 0.png")
    heard = written_row("t", image, "ann", "There is a um dog.", "en", sha256)
    spoken = {"source": "speech", "recording_sha256": sha256, "speech_seconds": 30.0}
    workspace.append("transcripts", [heard | spoken])
    write_captions(workspace)
    pushed = push(workspace, studio, "cap")
    (task,) = tasks_of(server, pushed.project)
    assert task.data["transcript"] == "There is a um dog."
    (sound,) = task.data["recordings"]
    answer = httpx.get(
        f"{server.url}{sound['audio']}",
        headers={"Authorization": f"Token {TOKEN}"},
        trust_env=False,
    )
    assert answer.content == recording.read_bytes()
    server.annotate(task.id, caption_verdict("accept"), mended_caption("There is a big dog."))
    assert pull(workspace, studio, "cap").caption_reviews == 1
    with workspace.connect() as connection:
        reviews = connection.execute("select caption, verdict from current_caption_reviews")
        assert reviews.fetchall() == [("There is a big dog.", "accept")]
    assert push(workspace, studio, "cap").waiting == 0  # it is reviewed


def test_a_config_changed_on_the_server_is_told(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    config = server.client.projects.get(pushed.project).label_config or ""
    reworded = config.replace("There is none in this image", "Nichts davon ist im Bild")
    assert reworded != config
    server.client.projects.update(pushed.project, label_config=reworded)
    assert push(workspace, studio, "points", labels(workspace, "red dots")).waiting == 4
    other = config.replace('alias="none"', 'alias="nothing"')
    server.client.projects.update(pushed.project, label_config=other)
    for work in (
        lambda: push(workspace, studio, "points", labels(workspace, "red dots")),
        lambda: pull(workspace, studio, "points"),
    ):
        with pytest.raises(
            LabelError, match=r"config of project .* changed on the server: presence"
        ):
            work()


def test_a_push_counts_what_it_sent(server: Server, workspace: Workspace, studio: Studio) -> None:
    file = labels(workspace, "red dots")
    (workspace.images / "turned.jpg").unlink()
    first = push(workspace, studio, "points", file)
    assert (first.added, first.set_aside) == (3, 1)
    again = push(workspace, studio, "points", file)
    assert (again.added, again.waiting) == (0, 3)


def test_a_project_that_only_has_the_id_is_another(
    server: Server, workspace: Workspace, studio: Studio
) -> None:
    push(workspace, studio, "points", labels(workspace, "red dots"))
    file = state_file(workspace, "points")
    state = json.loads(file.read_text()) | {"created_at": "2025-03-09T21:52:49.513742+00:00"}
    file.write_text(json.dumps(state))
    with pytest.raises(LabelError, match="of points, is gone"):
        pull(workspace, studio, "points")


def test_a_long_title_is_cut(server: Server, workspace: Workspace, studio: Studio) -> None:
    settings = workspace.settings
    dataset = replace(settings.dataset, title="A title that goes on and on, " * 4)
    named = replace(workspace, settings=replace(settings, dataset=dataset))
    pushed = push(named, studio, "points", labels(workspace, "red dots"))
    title = server.client.projects.get(pushed.project).title
    assert title == "points: A title that goes on and on, A title that"


def test_what_cannot_be_asked_is_one_clear_error(
    server: Server, workspace: Workspace, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LabelError, match="first: pixmo label push ama"):
        pull(workspace, studio, "ama")
    file = workspace.root / "ask.jsonl"
    for line, wanted in (
        ('{"image": "nowhere.png", "label": "x"}', "line 1: nowhere.png names no image"),
        ('{"image": "turned.jpg"}', "line 1: it has no label"),
        ('{"image": "turned.jpg", "label": "x", "collection_method": "guess"}', "guess; pointing"),
        ("{", "line 1: not JSON"),
    ):
        file.write_text(line)
        with pytest.raises(LabelError, match=wanted):
            push(workspace, studio, "points", file)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    with pytest.raises(LabelError, match="API_KEY is not set"), connected(server.url):
        pass
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "wrong")
    with pytest.raises(LabelError, match="refuses the token"), connected(server.url):
        pass
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    pushed = push(workspace, studio, "points", labels(workspace, "dots"))
    server.client.projects.delete(pushed.project)
    with pytest.raises(LabelError, match=f"project {pushed.project}, of points, is gone"):
        push(workspace, studio, "points", labels(workspace, "dots"))
    with pytest.raises(LabelError, match="was pushed to"):
        pull(workspace, replace(studio, url="http://127.0.0.1:1"), "points")

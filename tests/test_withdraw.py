"""What people withdraw is in no release to come, however it comes in again, and may be erased."""

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pixmo.curate.curate import Curation
from pixmo.curate.recipe import load
from pixmo.curate.trial import explain
from pixmo.curate.withdrawn import BY_ANNOTATOR, BY_COPY, BY_IMAGE, BY_QUESTION, BY_TRANSCRIPT
from pixmo.dataset.reader import Release
from pixmo.errors import ReleaseError, WorkspaceError
from pixmo.execution.progress import Advance
from pixmo.hashing import sha256_bytes, sha256_file
from pixmo.label.gold import take_in
from pixmo.label.rounds import Question, questions
from pixmo.label.tasks import tasks_for
from pixmo.release import withdraw as withdrawing
from pixmo.release.build import build_release
from pixmo.release.diff import diff
from pixmo.release.difference import Cause
from pixmo.release.erase import erase, erasing
from pixmo.release.held import Held, held, search
from pixmo.release.withdraw import Request, request_of, undo, withdraw
from pixmo.resources import shared
from pixmo.speech.captioning.captions import write_captions
from pixmo.speech.recordings import find, record
from pixmo.speech.transcribe import not_withdrawn
from pixmo.speech.written import Added, add_written
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.conftest import run_pixmo
from tests.recorders import as_browsers_record, make_workspace, recording_with
from tests.workspaces import WRITTEN, Planter, name, picture, prose

NAME, WHY = "mary-quant", "she asked by letter of 3 May"
Row = dict[str, Any]


def make(root: Path) -> tuple[Workspace, Planter]:
    """The small workspace; besides, NAME spoke, wrote, pointed, answered and reviewed."""
    planter = workspaces.make(root)[1]
    planter.image("spoken.png", picture(200))
    planter.caption("spoken.png", prose(200), annotator=NAME)
    planter.image("written.png", picture(201))
    planter.caption("written.png", prose(201), **WRITTEN, annotator=NAME)
    planter.image("together.png", picture(202))
    for person, points in (
        (NAME, [(10.0, 10.0), (50.0, 50.0)]),
        ("2", [(10.5, 10.0), (50.0, 50.5)]),
        ("3", [(10.0, 10.5), (50.5, 50.0)]),
    ):
        planter.points(f"of-{person}", "together.png", points, "cup", annotator=person)
    planter.points("alone", "together.png", [(1.0, 1.0)], "plate", annotator=NAME)
    planter.answer("qa-mary", "together.png", "How many?", "There are two cups.")
    planter.rows["answers"][-1]["annotator"] = NAME
    mended = planter.caption("together.png", prose(203))
    planter.review("review-mary", "together.png", mended, prose(204), "accept")
    planter.rows["caption_reviews"][-1]["annotator"] = NAME
    return planter.write(), planter


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Planter]:
    """Made and released once, as v1. Never to be changed."""
    workspace, planter = make(tmp_path_factory.mktemp("untouched") / "world")
    build_release(workspace, "v1")
    return workspace, planter


@pytest.fixture
def workspace(untouched: tuple[Workspace, Planter], tmp_path: Path) -> Workspace:
    """A copy, with all that a build has computed before."""
    return Workspace.open(Path(shutil.copytree(untouched[0].root, tmp_path / "world")))


@pytest.fixture
def planter(untouched: tuple[Workspace, Planter], workspace: Workspace) -> Planter:
    """Plants more in the copy."""
    return Planter(workspace, dict(untouched[1].sha256))


def dropped(workspace: Workspace, version: str, step: str = "withdrawn") -> Counter[str]:
    """What a step dropped: subset and reason."""
    release = Release.open(workspace.releases / version)
    return Counter(
        f"{subset.stem}: {row['reason']}"
        for subset in release.manifest.subsets
        for row in release.dropped(subset.stem).to_pylist()
        if row["step"] == step
    )


def rows(workspace: Workspace, version: str, stem: str) -> list[Row]:
    """The rows of a subset."""
    release = Release.open(workspace.releases / version)
    return [row for split in release.splits(stem) for row in release.read(stem, split).to_pylist()]


def cups(workspace: Workspace, version: str) -> Row:
    (row,) = (row for row in rows(workspace, version, "points") if row["label"] == "cup")
    return row


def test_all_that_a_person_did_goes_and_says_so(workspace: Workspace) -> None:
    before = {stem: rows(workspace, "v1", stem) for stem in ("ama", "cap", "points")}
    assert cups(workspace, "v1")["merged_from"] == ["of-2", "of-3", f"of-{NAME}"]
    assert withdraw(workspace, Request("annotator", NAME), WHY)
    build_release(workspace, "v2")
    assert dropped(workspace, "v2") == {
        f"ama: {BY_ANNOTATOR}": 1,
        f"cap: {BY_ANNOTATOR}": 2,
        f"points: {BY_ANNOTATOR}": 2,
    }
    assert cups(workspace, "v2")["merged_from"] == ["of-2", "of-3"]
    (mended,) = (row for row in before["cap"] if row["caption"] == prose(204))
    (again,) = (row for row in rows(workspace, "v2", "cap") if row["id"] == mended["id"])
    assert again["caption"] == prose(203)  # as it was before her review
    for subset in Release.open(workspace.releases / "v2").manifest.subsets:
        step = subset.funnel[0]
        assert (step.step, step.then) == ("withdrawn", "drop")
        kept = sum(subset.rows.values())
        assert kept == subset.candidates - sum(one.gone for one in subset.funnel)
    assert "withdrawn" in (workspace.releases / "v2/README.md").read_text("utf-8")


def test_no_file_of_a_release_names_who_withdrew_or_why(workspace: Workspace) -> None:
    withdraw(workspace, Request("annotator", NAME), WHY)
    build_release(workspace, "v2")
    told = []
    for path in (workspace.releases / "v2").rglob("*"):
        if path.suffix == ".parquet":
            told.append(json.dumps(pq.read_table(path, partitioning=None).to_pylist()))
        elif path.is_file() and path.suffix != ".png":
            told.append(path.read_text("utf-8"))
    assert "two cups" not in "".join(told)
    assert not any(NAME in text or WHY in text for text in told)


def test_a_question_goes_with_who_asked_it(workspace: Workspace, planter: Planter) -> None:
    """Others judged the answers; one question somebody else asked as well."""
    planter.question("hers", name(3), "  What is number 3? ", NAME)
    planter.question("hers-too", name(4), "What is number 4?", NAME)
    planter.question("of-ben", name(4), " What is number 4?", "ben")
    planter.question("elsewhere", name(5), "What is number 3?", NAME)
    planter.write()

    def answered(version: str) -> set[str]:
        return {row["annotation_uid"] for row in rows(workspace, version, "ama")}

    assert {"qa-3", "qa-4", "qa-5"} <= answered("v1")
    before = questions(workspace)
    request = Request("annotator", NAME)
    withdraw(workspace, request, WHY)
    subset = Release.open(workspace.releases / "v1").manifest.subset("ama").name
    assert held(workspace, request)[0] == Held("v1", subset, 2)  # besides the answer she judged
    assert held(workspace)[0] == Held("v1", subset, 2)
    build_release(workspace, "v2")
    assert answered("v1") - answered("v2") == {"qa-3", "qa-mary"}
    assert dropped(workspace, "v2")[f"ama: {BY_QUESTION}"] == 1
    assert {one.version for one in held(workspace)} == {"v1"}
    after = questions(workspace)  # what a model is to answer
    assert set(before) - set(after) == {
        Question(planter.sha256[name(image)], asked)
        for image, asked in (
            (3, "  What is number 3? "),
            (4, "What is number 4?"),
            (5, "What is number 3?"),
        )
    }
    assert set(after) == {Question(planter.sha256[name(4)], " What is number 4?")}


def test_dropped_rows_quote_nobody(tmp_path: Path) -> None:
    word = "xylophonist"
    planter = Planter(Workspace.init(tmp_path / "world"))
    for number in range(5):
        planter.image(name(number), picture(number))
    planter.answer("kept", name(0), "What is it?", "It is a house.")
    planter.answer("refused", name(1), "Who is it?", f"As an AI, I know no {word}.")
    planter.answer("greeting", name(1), word, "It is a house.")
    for number, said in (
        (2, {"lost_share": 0.5, "lost": [word]}),
        (3, {"unsupported_share": 0.5, "unsupported": [word]}),
        (4, {"unsupported": ["three cups", f"two {word}s"]}),
    ):
        planter.caption(name(number), prose(number))
        planter.rows["captions"][-1].update(said)
    workspace = planter.write()
    build_release(workspace, "v1")
    release = Release.open(workspace.releases / "v1")
    gone = [row for stem in ("ama", "cap") for row in release.dropped(stem).to_pylist()]
    steps = ("lost", "not_a_question", "refused", "unheard", "unheard_number")
    assert tuple(sorted(row["step"] for row in gone)) == steps
    assert not [row for row in gone if word in row["evidence"] or "cups" in row["evidence"]]


def test_an_image_goes_from_every_subset_with_its_near_copies(
    workspace: Workspace, planter: Planter
) -> None:
    withdraw(workspace, Request("image", planter.sha256[name(1)]), WHY)
    build_release(workspace, "v2")
    # copy-small.png is a smaller copy of it, with a row of each subset.
    assert dropped(workspace, "v2") == {
        f"{stem}: {why}": 1 for stem in ("ama", "cap", "points") for why in (BY_IMAGE, BY_COPY)
    }
    gone = {planter.sha256[name(1)], planter.sha256["copy-small.png"]}
    for stem in ("ama", "cap", "points"):
        assert not gone & {row["image_sha256"] for row in rows(workspace, "v2", stem)}
        kept = {row["id"] for row in rows(workspace, "v1", stem) if row["image_sha256"] not in gone}
        assert {row["id"] for row in rows(workspace, "v2", stem)} == kept
    assert not list((workspace.releases / "v2/images").rglob(f"{planter.sha256[name(1)]}*"))


def test_a_url_stays_out_when_it_comes_with_other_bytes(
    workspace: Workspace, planter: Planter
) -> None:
    url = "https://example.org/p00.png"
    withdraw(workspace, Request("url", url), WHY)
    planter.image("other-bytes.png", picture(300), url)
    planter.points("later", "other-bytes.png", [(5.0, 5.0)])
    planter.image("elsewhere.png", picture(301), "https://example.org/p01.png")
    planter.points("fine", "elsewhere.png", [(5.0, 5.0)])
    planter.write()
    build_release(workspace, "v2")
    uids = {row["annotation_uid"] for row in rows(workspace, "v2", "points")}
    assert "fine" in uids
    assert not {"later", "good-0"} & uids
    assert dropped(workspace, "v2")[f"points: {BY_IMAGE}"] == 2


def test_what_was_theirs_does_not_come_back_under_another_name(
    workspace: Workspace, planter: Planter
) -> None:
    withdraw(workspace, Request("annotator", NAME), WHY)
    later = "2026-05-01T00:00:00.000000Z"
    planter.points("alone", "together.png", [(2.0, 1.0)], "plate", "", later, "somebody")
    planter.points("new", "together.png", [(3.0, 1.0)], "fork", "", later, NAME)
    planter.write()
    build_release(workspace, "v2")
    assert dropped(workspace, "v2")[f"points: {BY_ANNOTATOR}"] == 3
    assert not [r for r in rows(workspace, "v2", "points") if r["label"] in ("plate", "fork")]


def test_no_recipe_can_leave_it_out(workspace: Workspace) -> None:
    workspace.recipes.mkdir()
    folder = workspace.recipes / "ama"
    folder.mkdir()
    text = shared("pipelines", "ama.toml").read_text("utf-8")
    own = text[: text.index("[[step]]")] + '[[step]]\nsql = "ama/image_unknown.sql"\n'
    (workspace.recipes / "ama.toml").write_text(own, "utf-8")
    sql = shared("pipelines", "ama/rows.sql").read_text("utf-8")
    (folder / "rows.sql").write_text(sql.replace("newest_answers", "answers"), "utf-8")
    withdraw(workspace, Request("annotator", NAME), WHY)
    build_release(workspace, "v2")
    assert dropped(workspace, "v2")[f"ama: {BY_ANNOTATOR}"] == 1
    assert not [row for row in rows(workspace, "v2", "ama") if row["annotator"] == NAME]
    assert len(rows(workspace, "v2", "ama")) > len(rows(workspace, "v1", "ama"))  # no other step


def test_agreement_is_that_of_the_others(workspace: Workspace) -> None:
    def agreement() -> dict[str, tuple[int, float | None]]:
        with workspace.connect() as connection:
            work = Curation(connection, load("points", workspace.recipes))
            work.begin()
            found = connection.execute(
                "select annotation_uid, annotators, agreement from points where label = 'cup'"
            ).fetchall()
        return {uid: (annotators, value) for uid, annotators, value in found}

    assert agreement()["of-2"] == (3, 1.0)
    withdraw(workspace, Request("annotator", NAME), WHY)
    assert agreement()["of-2"] == (2, 1.0)
    withdraw(workspace, Request("annotator", "3"), WHY)
    assert agreement()["of-2"] == (1, None)
    assert set(agreement()) == {"of-2", "of-3", f"of-{NAME}"}  # those that go are candidates still


def test_a_caption_of_several_people_is_written_anew_without_theirs(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path / "world"))
    for number, one in enumerate(("both.png", "hers.png")):
        planter.image(one, picture(number))
    workspace = planter.write()
    lines = [
        {"image": "both.png", "annotator": NAME, "text": prose(1)},
        {"image": "both.png", "annotator": "ben", "text": prose(2)},
        {"image": "hers.png", "annotator": NAME, "text": prose(3)},
    ]
    file = workspace.root / "said.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert add_written(workspace, file) == Added(3, 0, 0)
    write_captions(workspace)
    withdraw(workspace, Request("annotator", NAME), WHY)
    with pytest.raises(ReleaseError, match="withdrawn 2"):
        build_release(workspace, "early")
    with workspace.connect() as connection:
        (found,) = explain_rows(workspace, connection, planter.sha256["both.png"])
    assert found == BY_TRANSCRIPT
    assert write_captions(workspace).written == 1
    assert write_captions(workspace).written == 0
    build_release(workspace, "v1")
    (row,) = rows(workspace, "v1", "cap")
    assert (row["image_sha256"], row["annotators"]) == (planter.sha256["both.png"], ["ben"])
    assert not set(prose(1).lower().split()[1:4]) <= set(row["caption"].lower().split())
    assert dropped(workspace, "v1") == {f"cap: {BY_ANNOTATOR}": 1}
    # The same file once more, and the same text under an id of its own.
    file.write_text(
        file.read_text("utf-8") + json.dumps(lines[0] | {"transcript_id": "t"}), "utf-8"
    )
    assert add_written(workspace, file) == Added(0, 1, 3)
    assert write_captions(workspace).written == 0


def explain_rows(workspace: Workspace, connection: Any, image: str) -> list[str]:
    """The reason of the first step to take the caption of an image."""
    row = sha256_bytes(f"cap/{image}".encode())[:16]
    found = explain(connection, [load("cap", workspace.recipes)], row)
    return [said.reason for said in found.said if said.step == found.taken_by]


def test_a_withdrawn_text_stays_out_whoever_hands_it_in(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path / "world"))
    for number in range(2):
        planter.image(name(number), picture(number))
    workspace = planter.write()
    file = workspace.root / "said.jsonl"

    def add(*people: str | None, text: str = prose(1), image: str = name(0)) -> Added:
        lines = [{"image": image, "text": text} | ({"annotator": p} if p else {}) for p in people]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        return add_written(workspace, file)

    def counting() -> set[tuple[str, str]]:
        with workspace.connect() as connection:
            query = "select annotator, text from current_transcripts"
            return set(connection.execute(query).fetchall())

    assert add(NAME, "before") == Added(2, 0, 0)
    withdraw(workspace, Request("annotator", NAME), WHY)
    assert counting() == set()  # the same words stood there under another name, too
    assert add(None, "after") == Added(0, 0, 2)
    assert add("after", text=f" {prose(1)}\n") == Added(0, 0, 1)
    shutil.rmtree(workspace.root / "tables/transcripts")  # purged: the withdrawal itself knows
    assert add(None, "later") == Added(0, 0, 2)
    assert add("after", text=prose(2)) == Added(1, 0, 0)
    assert add("after", image=name(1)) == Added(1, 0, 0)
    assert counting() == {("after", prose(2)), ("after", prose(1))}
    undo(workspace, Request("annotator", NAME), "")
    assert add(None, "later") == Added(2, 0, 0)


@dataclass(frozen=True)
class Meanwhile:
    """Progress that has something happen when a task begins, and knows which tasks there were."""

    task_name: str
    happens: Callable[[], object]
    begun: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def task(self, description: str, total: int, unit: str) -> Iterator[Advance]:  # noqa: ARG002
        self.begun.append(description)
        if description == self.task_name:
            self.happens()
        yield lambda count, note="": None  # noqa: ARG005


def test_what_is_withdrawn_while_a_build_runs_is_not_in_its_release(workspace: Workspace) -> None:
    request = Request("annotator", NAME)
    late = Meanwhile("Writing card and report", lambda: withdraw(workspace, request, WHY))
    with pytest.raises(WorkspaceError, match=r"something was withdrawn.*build-release v2"):
        build_release(workspace, "v2", late)
    assert [path.name for path in workspace.releases.iterdir()] == ["v1"]
    build_release(workspace, "v2")
    assert dropped(workspace, "v2")[f"ama: {BY_ANNOTATOR}"] == 1


def test_nothing_is_withdrawn_while_a_release_gets_its_name(workspace: Workspace) -> None:
    with contextlib.ExitStack() as withdrawing_still:
        late = Meanwhile(
            "Writing card and report",
            lambda: withdrawing_still.enter_context(workspace.lock("withdraw")),
        )
        with pytest.raises(WorkspaceError, match="busy with withdraw"):
            build_release(workspace, "v2", late)
    assert [path.name for path in workspace.releases.iterdir()] == ["v1"]


def test_damaged_rows_of_the_newest_release_stop_a_build_before_it_curates(
    workspace: Workspace,
) -> None:
    v1 = workspace.releases / "v1"
    train, gone = min(v1.glob("*/train-*.parquet")), v1 / "dropped/cap.parquet"
    whole = {path: path.read_bytes() for path in (train, gone)}
    group = pq.ParquetFile(train).metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    (ids,) = (one for one in columns if one.path_in_schema == "id")
    damaged = bytearray(whole[train])  # where nobody looks who wants the splits of images
    damaged[ids.data_page_offset + ids.total_compressed_size - 2] ^= 1
    for path, data in ((train, damaged), (gone, None)):
        path.unlink() if data is None else path.write_bytes(data)
        seen = Meanwhile("", lambda: None)
        with pytest.raises(ReleaseError, match=rf"{path} is missing or not what .* restore"):
            build_release(workspace, "v2", seen)
        assert seen.begun == ["Checking tables", "Checking v1"]
        assert [folder.name for folder in workspace.releases.iterdir()] == ["v1"]
        path.write_bytes(whole[path])


def test_a_recording_that_lost_its_name_stays_out(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "world", images=2)
    audio = workspace.audio
    audio.mkdir()
    for number, person in enumerate((NAME, "ben")):
        (audio / f"{person}.webm").write_bytes(as_browsers_record(tmp_path, 1.0 + number))
    sources = [
        {"file_name": f"{person}.webm", "image": "picture 0.png", "annotator": person}
        for person in (NAME, "ben")
    ]
    metadata = audio / "metadata.jsonl"
    metadata.write_text("".join(json.dumps(line) + "\n" for line in sources), "utf-8")

    def heard() -> set[str]:
        found = find(workspace, audio)
        record(workspace, found)
        return {recording.file.name for recording in not_withdrawn(workspace, found.recordings)}

    assert heard() == {f"{NAME}.webm", "ben.webm"}
    withdraw(workspace, Request("annotator", NAME), WHY)
    assert heard() == {"ben.webm"}
    metadata.unlink()
    (audio / f"{NAME}.webm").rename(audio / "picture 1.webm")  # named by its image alone
    (audio / "ben.webm").rename(audio / "picture 0.webm")
    assert heard() == {"picture 0.webm"}
    other = as_browsers_record(tmp_path, 3.0)
    (audio / f"picture 1__{NAME}.webm").write_bytes(other)  # new, and hers
    line = {"file_name": f"picture 1__{NAME}.webm", "annotator": NAME}
    metadata.write_text(json.dumps(line), "utf-8")
    assert heard() == {"picture 0.webm"}
    undo(workspace, Request("annotator", NAME), "")
    assert heard() == {"picture 0.webm", "picture 1.webm", f"picture 1__{NAME}.webm"}


def test_it_can_be_taken_back(workspace: Workspace) -> None:
    request = Request("annotator", NAME)
    with pytest.raises(WorkspaceError, match="is not withdrawn"):
        undo(workspace, request, "")
    assert withdraw(workspace, request, WHY)
    assert not withdraw(workspace, request, WHY)
    undo(workspace, request, "she changed her mind")
    (one,) = withdrawing.standing(workspace)
    assert (one.reason, one.is_undone, one.undone_because) == (WHY, True, "she changed her mind")
    assert (one.recordings, one.transcripts, one.annotations) == (0, 0, 0)
    assert withdrawing.reason_of(workspace, request) is None
    build_release(workspace, "v2")
    assert dropped(workspace, "v2") == {}
    for stem in ("ama", "cap", "points"):
        assert rows(workspace, "v2", stem) == rows(workspace, "v1", stem)
    assert withdraw(workspace, request, "and again")
    assert withdrawing.reason_of(workspace, request) == "and again"
    (one,) = withdrawing.standing(workspace)
    assert (one.request, one.reason, one.is_undone) == (f"annotator {NAME}", "and again", False)
    assert (one.recordings, one.transcripts, one.annotations) == (0, 2, 4)


def test_a_request_counts_what_it_takes_out(workspace: Workspace, planter: Planter) -> None:
    def counts(kind: str, value: str) -> tuple[int, ...]:
        withdraw(workspace, Request(kind, value), WHY)
        one = withdrawing.standing(workspace)[-1]
        assert one.request == f"{kind} {value}"
        return one.images, one.recordings, one.transcripts, one.annotations

    planter.image("later.png", picture(203), "https://example.org/other.png")
    planter.caption("later.png", prose(203), annotator=NAME)
    planter.points("on-later", "later.png", [(1.0, 1.0)], annotator="2")
    planter.write()
    audio = workspace.audio
    audio.mkdir()
    for stem in ("together", "later"):
        (audio / f"{stem}.webm").write_bytes(as_browsers_record(audio, 1.0 + len(stem)))
    lines = [
        {"file_name": f"{stem}.webm", "image": f"{stem}.png", "annotator": who}
        for stem, who in (("together", "ben"), ("later", NAME))
    ]
    (audio / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    record(workspace, find(workspace, audio))
    assert counts("image", planter.sha256["together.png"]) == (1, 1, 1, 6)
    assert counts("url", "https://example.org/other.png") == (1, 1, 1, 1)
    assert counts("annotator", NAME) == (0, 1, 3, 4)
    assert counts("image", "0" * 64) == (0, 0, 0, 0)
    planter.points("after", "later.png", [(2.0, 2.0)], annotator=NAME)
    planter.write()  # what comes in later goes, too
    assert [one.annotations for one in withdrawing.standing(workspace)] == [6, 2, 5, 0]


def test_of_many_annotators_the_nearest_are_named_first() -> None:
    many = [f"annotator-{number}" for number in range(40)]
    told = withdrawing.nearest_first("Mary-Qant", [*many, NAME, "mary"])
    assert told.startswith(f"{NAME}, mary, annotator-0, annotator-1, annotator-10, ")
    assert told.endswith(" and 32 more")
    assert told.count(",") == 9
    assert withdrawing.nearest_first("x", ["b", "a"]) == "a, b"


def test_releases_that_hold_it_are_named(workspace: Workspace, planter: Planter) -> None:
    request = Request("annotator", NAME)
    withdraw(workspace, request, WHY)
    image = Request("image", planter.sha256[name(1)])
    withdraw(workspace, image, WHY)
    expected = []
    for stem, column in (("ama", "annotator"), ("cap", "annotators"), ("points", "merged_from")):
        hers = {NAME, f"of-{NAME}", "alone"}
        found = rows(workspace, "v1", stem)
        some = [
            r
            for r in found
            if hers & {*r.get(column, ()), r.get("annotator"), r.get("annotation_uid")}
            or r.get("caption") == prose(204)  # which she mended
        ]
        subset = Release.open(workspace.releases / "v1").manifest.subset(stem)
        expected.append(Held("v1", subset.name, len(some)))
    assert [one.rows for one in expected] == [1, 3, 2]
    assert held(workspace, request) == expected
    on_image = [
        len([r for r in rows(workspace, "v1", stem) if r["image_sha256"] == image.value])
        for stem in ("ama", "cap", "points")
    ]
    assert [one.rows for one in held(workspace, image)] == on_image
    together = [one.rows + more for one, more in zip(expected, on_image, strict=True)]
    assert [one.rows for one in held(workspace)] == together
    build_release(workspace, "v2")
    assert {one.version for one in held(workspace)} == {"v1"}


def test_words_that_somebody_else_stands_for_too_are_not_held(
    workspace: Workspace, planter: Planter
) -> None:
    request = Request("annotator", NAME)
    withdraw(workspace, request, WHY)
    subset = Release.open(workspace.releases / "v1").manifest.subset("cap").name
    assert Held("v1", subset, 3) in held(workspace, request)
    caption_id = sha256_bytes(b"caption together.png")[:16]
    planter.review("of-ben", "together.png", caption_id, prose(204), "accept")
    planter.write()
    assert Held("v1", subset, 2) in held(workspace, request)
    assert Held("v1", subset, 2) in held(workspace)


def test_what_turned_out_to_be_theirs_later_is_found(
    workspace: Workspace, planter: Planter
) -> None:
    """The recording of a caption, and an annotation, get her name after the request."""
    request = Request("annotator", NAME)
    withdraw(workspace, request, WHY)
    before = {one.subset: one.rows for one in held(workspace, request)}
    planter.row(
        "recordings",
        recording_sha256=sha256_bytes(f"recording {name(1)}".encode()),
        path="audio/late.webm",
        image_sha256=planter.sha256[name(1)],
        annotator=NAME,
        prompt=None,
        recorded_at=None,
        bytes=1,
        ordinal=0,
    )
    later = "2026-05-01T00:00:00.000000Z"
    planter.points("good-4", name(4), [(1.0, 1.0)], "", "", later, NAME)
    planter.write()
    build_release(workspace, "v2")
    gone = dropped(workspace, "v2")
    assert (gone[f"cap: {BY_ANNOTATOR}"], gone[f"points: {BY_ANNOTATOR}"]) == (3, 3)
    for found in (held(workspace, request), held(workspace)):
        assert {one.version for one in found} == {"v1"}
        now = {one.subset: one.rows for one in found}
        more = {subset: now[subset] - rows for subset, rows in before.items()}
        assert {subset for subset, rows in more.items() if rows == 1} == {
            Release.open(workspace.releases / "v1").manifest.subset(stem).name
            for stem in ("cap", "points")
        }
        assert sum(more.values()) == 2


def test_a_broken_release_is_named_and_the_others_are_searched(
    workspace: Workspace, pixmo: Path
) -> None:
    build_release(workspace, "v2")
    request = Request("annotator", NAME)
    shutil.rmtree(workspace.releases / "v1/pixmo-cap")
    told = run_pixmo(pixmo, "withdraw", "--annotator", NAME, "--reason", WHY, cwd=workspace.root)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"annotator {NAME} is withdrawn\n  v2 holds ")
    v1 = workspace.releases / "v1"
    line = f"{v1} cannot be searched for what was withdrawn: "
    (said,) = [one for one in told.stderr.splitlines() if "cannot be searched" in one]
    assert line in said
    assert said.endswith("; pixmo verify v1 says what is wrong with it")
    listed = run_pixmo(pixmo, "withdraw", "--list", "--json", cwd=workspace.root)
    assert [line in one for one in json.loads(listed.stdout)["unreadable"]] == [True]
    found = search(workspace, request)
    assert {one.version for one in found.held} == {"v2"}
    assert held(workspace, request, versions=["v2"]) == list(found.held)
    with pytest.raises(ReleaseError, match="v1 cannot be searched") as error:
        held(workspace, request)
    assert "\n" not in str(error.value)
    (v1 / "manifest.json").write_text("{}", "utf-8")
    assert [line in one for one in search(workspace).unreadable] == [True]


def test_releases_that_hold_a_near_copy_are_named(workspace: Workspace, planter: Planter) -> None:
    copy = Request("image", planter.sha256["copy-small.png"])
    withdraw(workspace, copy, WHY)
    # v1 left the copy out and has the larger picture, which the next build drops, too.
    larger = planter.sha256[name(1)]
    expected = {
        stem: len([r for r in rows(workspace, "v1", stem) if r["image_sha256"] == larger])
        for stem in ("ama", "cap", "points")
    }
    assert all(expected.values())
    seen = Meanwhile("", lambda: None)
    found = held(workspace, copy, seen)
    assert {one.subset.removeprefix("pixmo-"): one.rows for one in found} == {
        Release.open(workspace.releases / "v1").manifest.subset(stem).name.removeprefix("pixmo-"): n
        for stem, n in expected.items()
    }
    assert held(workspace) == found
    assert seen.begun == ["Searching releases"]


def test_the_diff_says_what_was_withdrawn(workspace: Workspace) -> None:
    withdraw(workspace, Request("annotator", NAME), WHY)
    build_release(workspace, "v2")
    found = diff(*(Release.open(workspace.releases / version) for version in ("v1", "v2")))
    causes = {subset.stem: subset.removed_because for subset in found.subsets}
    why = ("dropped", "withdrawn", BY_ANNOTATOR)
    assert causes["ama"] == (Cause(*why, 1),)
    assert causes["cap"] == (Cause(*why, 2),)
    assert causes["points"] == (Cause(*why, 1),)  # the other was merged, and its row stays
    points = next(subset for subset in found.subsets if subset.stem == "points")
    assert points.changed == 1
    assert "merged_from" in points.columns_changed


@pytest.mark.parametrize("subset", ["points", "questions", "cap"])
def test_nobody_is_asked_about_a_withdrawn_image(
    workspace: Workspace, planter: Planter, subset: str
) -> None:
    image = planter.sha256[name(5)]
    before = {task.image_sha256 for task in tasks_for(workspace, subset, None)}
    withdraw(workspace, Request("image", image), WHY)
    after = {task.image_sha256 for task in tasks_for(workspace, subset, None)}
    assert before - after == {image}


def test_nobody_reviews_a_caption_or_meets_gold_that_was_withdrawn(
    workspace: Workspace, planter: Planter
) -> None:
    hers = {planter.sha256["spoken.png"], planter.sha256["written.png"]}
    before = {task.image_sha256 for task in tasks_for(workspace, "cap", None)}
    withdraw(workspace, Request("annotator", NAME), WHY)
    after = {task.image_sha256 for task in tasks_for(workspace, "cap", None)}
    assert before - after == hers
    gold = workspace.root / "gold/points.jsonl"
    gold.parent.mkdir()
    lines = [{"image": name(n), "label": "mug", "points": []} for n in (5, 6)]
    gold.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    withdraw(workspace, Request("image", planter.sha256[name(5)]), WHY)
    (task,) = take_in(workspace, "points")
    assert task.image_sha256 == planter.sha256[name(6)]


def test_the_recorder_obeys_while_it_runs(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "world", images=2)
    with recording_with(workspace, NAME, "ben") as (mary, ben):
        hers, his = mary.next(), ben.next()
        assert hers != his
        sent = mary.record(hers, as_browsers_record(tmp_path, 3.0))
        assert sent.status_code == 200, sent.text
        withdraw(workspace, Request("image", his), WHY)
        assert ben.next() == hers
        assert ben.call("GET", f"images/{his}").status_code == 404
        assert ben.call("GET", f"images/{hers}").status_code == 200
        withdraw(workspace, request_of(workspace, "annotator", NAME), WHY)
        refused = mary.call("POST", "next")
        assert refused.status_code == 403
        assert "withdrawn" in refused.json()["error"]
        assert ben.call("POST", "next").status_code == 200


def test_who_withdrew_is_not_invited(workspace: Workspace, pixmo: Path) -> None:
    withdraw(workspace, Request("annotator", NAME), WHY)
    told = run_pixmo(pixmo, "record", "--invite", NAME, cwd=workspace.root)
    assert told.returncode == 1
    assert f"{NAME} withdrew what they did and cannot be invited" in told.stderr


def test_erasing_deletes_their_files_and_nothing_else(tmp_path: Path, pixmo: Path) -> None:
    workspace = make_workspace(tmp_path / "world", images=2)
    outside = tmp_path / "elsewhere.webm"
    outside.write_bytes(as_browsers_record(tmp_path, 4.0))
    with recording_with(workspace, NAME, "ben") as (mary, ben):
        for person in (mary, ben):
            assert (
                person.record(person.next(), as_browsers_record(tmp_path, 3.0)).status_code == 200
            )
        mary.send("11111111-1111-1111-1111-111111111111", 0, b"begun")
        ben.send("22222222-2222-2222-2222-222222222222", 0, b"begun")
    found = find(workspace, workspace.audio)
    record(workspace, found)
    served = workspace.root / "label-studio/audio"
    served.mkdir(parents=True)
    for one in found.recordings:
        (served / f"{one.sha256}.webm").write_bytes(one.file.read_bytes())
    hers = [one for one in found.recordings if one.annotator == NAME]
    others = next(one for one in found.recordings if one.annotator == "ben")
    workspace.append(
        "recordings",
        [
            {
                **workspace.read("recordings").to_pylist()[0],
                "recording_sha256": sha256_file(outside),
                "path": str(outside),
                "annotator": NAME,
            },
        ],
    )
    tables = {path: path.read_bytes() for path in (workspace.root / "tables").rglob("*.parquet")}

    def run(*words: str) -> Any:
        return run_pixmo(pixmo, "withdraw", "--annotator", NAME, *words, cwd=workspace.root)

    asked = run("--reason", WHY, "--erase")  # nobody answers
    assert asked.returncode == 1
    doomed = [
        path
        for path in workspace.root.rglob("*")
        if path.is_file()
        and ({"mary-quant", hers[0].sha256, hers[0].file.stem} & {*path.parts, path.stem})
    ]
    assert f"Delete {len(doomed)} files for good?" in asked.stderr
    assert "drafts/mary-quant, a folder with " in asked.stderr
    assert "nothing was deleted, nobody said yes; --yes deletes without asking" in asked.stderr
    assert hers[0].file.is_file()
    done = run("--erase", "--yes")  # its reason is known
    assert done.returncode == 0, done.stderr
    assert f"{len(doomed)} files deleted" in done.stderr
    assert not any(path.exists() for path in doomed)
    assert f"{outside} lies outside" in done.stderr
    left = set(workspace.root.rglob("*.webm"))
    assert left == {others.file, served / f"{others.sha256}.webm"}
    assert outside.is_file()
    drafts = {path.name for path in (workspace.root / "recorder/drafts").iterdir()}
    assert drafts == {"ben"}
    for path, data in tables.items():
        assert path.read_bytes() == data
    assert len(list(workspace.images.iterdir())) == 2


def test_erasing_takes_no_name_for_a_pattern(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path / "world")
    day = workspace.audio / "recorder/2026-05-01"
    day.mkdir(parents=True)
    for file_name in ("*.webm", "of-ben.webm"):
        (day / file_name).write_bytes(b"1")
    said = {"annotator": NAME, "image": "0" * 64, "sha256": "0" * 64, "seconds": 60.0}
    (day / "metadata.jsonl").write_text(json.dumps({"file_name": "*.webm"} | said), "utf-8")
    request = Request("annotator", NAME)
    withdraw(workspace, request, WHY)
    assert erasing(workspace, request).inside == (day / "*.webm",)


@pytest.mark.parametrize("inside", [True, False])
def test_erasing_follows_no_name_out_of_its_folder(tmp_path: Path, inside: bool) -> None:
    """Names come from metadata that anybody may have written."""
    workspace = Workspace.init(tmp_path / "world")
    photos = tmp_path / "photos"
    for folder in (photos, workspace.root / "recorder/drafts/ben", workspace.root / "recorder/of"):
        folder.mkdir(parents=True)
        (folder / "precious").write_bytes(b"1")
    (workspace.root / "recorder/drafts/linked").symlink_to(photos)
    outside = ["..", ".", str(photos), "../of", "mary/../ben", "linked", "ben/", ""]
    for name_of in ["ben"] if inside else outside:
        request = Request("annotator", name_of)
        withdraw(workspace, request, WHY)
        expected = (workspace.root / "recorder/drafts/ben",) if inside else ()
        assert erasing(workspace, request).inside == expected


def test_erasing_an_image_deletes_its_file_and_copies(
    workspace: Workspace, planter: Planter
) -> None:
    image = planter.sha256[name(4)]
    served = workspace.root / f"label-studio/images/{image}.png"
    served.parent.mkdir(parents=True)
    shutil.copy(workspace.images / name(4), served)
    unpacked = workspace.unpacked / image[:2] / image
    fetched = workspace.cache / "published/0123456789abcdef/v1/images/of.png"
    other = workspace.unpacked / "00" / ("0" * 64)
    for path in (unpacked, fetched, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(workspace.images / name(4), path)
    request = Request("image", image)
    withdraw(workspace, request, WHY)
    found = erasing(workspace, request)
    cached = {workspace.cache / "curate", workspace.cache / "published", unpacked}
    assert set(found.inside) == {workspace.images / name(4), served, *cached}
    assert found.outside == ()
    erase(workspace, found)
    assert not any(path.exists() for path in found.inside)
    assert other.is_file()
    assert (workspace.images / name(5)).is_file()
    build_release(workspace, "v2")
    assert dropped(workspace, "v2", "image_file") == {}  # what is withdrawn is said first
    assert dropped(workspace, "v2")[f"points: {BY_IMAGE}"] == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--annotator", "mary", "--reason", "x"], "nobody called 'mary' recorded"),
        (["--annotator", "unknown", "--reason", "x"], "stands for everybody"),
        (["--image", "p99.png", "--reason", "x"], "p99.png names no image"),
        (["--image", "p01.png"], "say why with --reason"),
        (["--reason", "x"], "name one of --annotator, --image or --url"),
        (["--image", "p01.png", "--url", "u", "--reason", "x"], "name one of"),
        (["--url", "u", "--undo"], "url u is not withdrawn"),
    ],
)
def test_a_slip_withdraws_nothing(
    workspace: Workspace, pixmo: Path, words: list[str], said: str
) -> None:
    told = run_pixmo(pixmo, "withdraw", *words, cwd=workspace.root)
    assert told.returncode == 1
    assert said in told.stderr
    assert len(told.stderr.splitlines()) == 1
    assert not workspace.table("withdrawals").parts()


def test_the_command_names_what_to_do_next(workspace: Workspace, pixmo: Path) -> None:
    def run(*words: str) -> str:
        told = run_pixmo(pixmo, "withdraw", *words, cwd=workspace.root)
        assert told.returncode == 0, told.stderr
        return told.stdout

    first = run("--image", name(1), "--reason", WHY)
    assert "v1 holds 1 row of pixmo-points" in first
    assert "pixmo build-release" in first
    assert "was withdrawn already" in run("--image", f"images/{name(1)}", "--reason", WHY)
    assert WHY in run("--list")
    listed = json.loads(run("--list", "--json"))
    assert [one["request"][:6] for one in listed["withdrawals"]] == ["image "]
    assert {one["version"] for one in listed["held_by"]} == {"v1"}
    assert "counts again" in run("--image", name(1), "--undo", "--reason", "it was an error")
    assert "(undone)" in run("--list")
    assert f"{WHY}; undone: it was an error" in run("--list")


@pytest.mark.parametrize(
    ("words", "is_noted"),
    [
        (("--url", "https://example.org/p00.jpg"), True),
        (("--url", "https://example.org/p00.png"), False),
        (("--image", "0" * 64), True),
        (("--image", name(1)), False),
    ],
)
def test_a_request_that_hits_nothing_says_so(
    workspace: Workspace, pixmo: Path, words: tuple[str, str], is_noted: bool
) -> None:
    told = run_pixmo(pixmo, "withdraw", *words, "--reason", WHY, cwd=workspace.root)
    assert told.returncode == 0
    assert "is withdrawn" in told.stdout
    which = f"{words[0][2:]} {words[1]}"
    note = f"pixmo: no image here has {which}; it holds for what comes in later\n"
    assert told.stderr == (note if is_noted else "")


def test_who_withdrew_is_in_no_report_of_annotators(workspace: Workspace) -> None:
    from pixmo.label.report import annotations

    before = {one["annotation_uid"] for one in annotations(workspace)}
    withdraw(workspace, Request("annotator", NAME), WHY)
    after = {one["annotation_uid"] for one in annotations(workspace)}
    assert before - after == {f"of-{NAME}", "alone", "qa-mary", "review-mary"}


def test_a_release_that_holds_what_was_withdrawn_is_not_published(
    tmp_path: Path, pixmo: Path
) -> None:
    planter = Planter(Workspace.init(tmp_path / "data"))
    planter.image("a.png", picture(1))
    for uid, annotator in (("one", "anna"), ("two", "ben")):
        planter.points(uid, "a.png", [(1.0, 1.0)], label=uid, annotator=annotator)
    workspace = planter.write()
    build_release(workspace, "v1")

    def publish(version: str, place: str, *options: str) -> Any:
        words = ("publish", version, tmp_path / place, *options)
        return run_pixmo(pixmo, *words, cwd=workspace.root)

    assert publish("v1", "before").returncode == 0
    withdraw(workspace, Request("annotator", "ben"), "he asked")
    refused = publish("v1", "refused")
    assert refused.returncode == 1
    assert "v1 holds 1 row of what was withdrawn since" in " ".join(refused.stderr.split())
    assert not (tmp_path / "refused").exists()
    assert publish("v1", "forced", "--withdrawn").returncode == 0
    build_release(workspace, "v2")
    shutil.rmtree(workspace.releases / "v1/pixmo-points")  # v2 alone is searched
    assert publish("v2", "after").returncode == 0

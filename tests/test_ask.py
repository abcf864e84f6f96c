"""`pixmo ask`: answers, drawn points, the local page by a real client, and what goes wrong."""

import http.client
import io
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest
import torch
from PIL import Image

from pixmo.cli.train import load_model, named_run, newest_run
from pixmo.dataset.reader import Release
from pixmo.errors import ImageError, SettingsError, TrainingError
from pixmo.molmo import checkpoint, data, tokenizer
from pixmo.molmo.ask import MOST_QUESTION_CHARACTERS, ask, prompt_for, read_image
from pixmo.molmo.ask_server import MOST_BYTES, AskServer
from pixmo.molmo.model import Molmo, build
from pixmo.molmo.stages import FINETUNE
from pixmo.molmo.tokenizer import Tokenizer
from pixmo.molmo.train import TrainingOptions, train
from pixmo.points import Point
from pixmo.workspace.workspace import Workspace
from tests.conftest import hear_ctrl_c, run_pixmo
from tests.releases import write_release
from tests.train_together import TINY

LONG_NAME = f"{'a' * 245}.png"  # itself short enough, its temporary name is not
QUESTION = "Point to the square"
POINTS = '<points x1="25.0" y1="50.0" x2="75.0" y2="50.0" alt="square">square</points>'
DESCRIPTION = "Two squares."


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Molmo, Tokenizer]:
    """An image, and a model that knows by heart what to say of it."""
    release = Release.open(write_release(tmp_path_factory.mktemp("release"), 1, 1))
    (example,) = data.read_examples(release, ["train"], ["cap"])
    known = [
        data.Annotation("a", "points", prompt_for(QUESTION, None), f" {POINTS}"),
        data.Annotation("b", "cap", prompt_for("", None), f" {DESCRIPTION}"),
    ]
    made = tokenizer.train((one.prompt + one.answer for one in known), TINY.vocabulary_size)
    crops = data.load_crops(release, example, TINY)
    packed = data.pack(crops, known, made, TINY)
    model = build(TINY, made.vocabulary_size, seed=0)
    options = TrainingOptions(steps=60, learning_rate=1e-2, warmup_steps=5)
    for _ in train(model, [packed], [crops], options):
        pass
    return release.image_path(example.image_url, example.image_sha256), model, made


@pytest.fixture(scope="module")
def workspace(
    taught: tuple[Path, Molmo, Tokenizer], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A workspace whose newest run holds that model, an older and a control's another."""
    folder = tmp_path_factory.mktemp("workspace")
    image, model, made = taught
    (folder / "square.png").write_bytes(image.read_bytes())
    run = folder / "runs/train-v1-finetune-tiny"
    checkpoint.save(run / "checkpoints/step-000009", model, made)
    other = build(TINY, made.vocabulary_size, seed=1)
    for name in ("probe-v1/release", "probe-v1/control"):
        checkpoint.save(folder / "runs" / name, other, made)
    os.utime(folder / "runs/probe-v1/release/config.json", (1, 1))
    return folder


def test_a_question_is_put_as_the_stage_taught_it() -> None:
    assert prompt_for("What is this?", "finetune") == " User: What is this? Assistant:"
    assert prompt_for("point to a dog", "finetune") == " User: pointing: point to a dog Assistant:"
    assert "point_count: How many dogs" in prompt_for("How many dogs are there?", "finetune")
    assert prompt_for("Point to a dog", "caption") == " User: Point to a dog Assistant:"
    assert prompt_for("Pointless?", "finetune") == " User: Pointless? Assistant:"
    assert prompt_for("", "caption") == " long_caption:"
    assert prompt_for("", "finetune").startswith(" User: long_caption: ")


def test_a_stage_stays_with_the_model(tmp_path: Path) -> None:
    made = tokenizer.train(["text"], 300)
    model = build(TINY, made.vocabulary_size, seed=0)
    model.train_as(FINETUNE)
    checkpoint.save(tmp_path, model, made)
    assert checkpoint.load(tmp_path)[0].stage == "finetune"


def test_an_answer_and_its_points(taught: tuple[Path, Molmo, Tokenizer]) -> None:
    image, model, made = taught
    found = ask(model, made, read_image(image, "it"), f"  {QUESTION} ")
    assert found.text == POINTS
    assert found.points == (Point(25.0, 50.0), Point(75.0, 50.0))
    assert ask(model, made, read_image(image, "it"), "").text == DESCRIPTION


def test_an_image_is_read_upright(tmp_path: Path) -> None:
    lying = Image.new("RGB", (40, 20), "red")
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    lying.save(tmp_path / "lying.jpg", exif=exif)
    assert read_image(tmp_path / "lying.jpg", "it").size == (20, 40)


def test_ask_draws_the_points_beside_the_answer(workspace: Path, pixmo: Path) -> None:
    shown = run_pixmo(pixmo, "ask", "square.png", QUESTION, cwd=workspace)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines() == [POINTS, "points drawn in square-points.png"]
    with (
        Image.open(workspace / "square.png") as image,
        Image.open(workspace / "square-points.png") as drawn,
    ):
        assert drawn.size == image.size == (80, 60)
        for x, changed in ((20, True), (60, True), (40, False)):
            assert (drawn.getpixel((x, 34)) != image.convert("RGB").getpixel((x, 34))) == changed
    told = run_pixmo(pixmo, "ask", "square.png", "--json", cwd=workspace)
    assert json.loads(told.stdout) == {"answer": DESCRIPTION, "points": [], "picture": None}


def test_a_question_that_no_model_can_read_is_refused(
    taught: tuple[Path, Molmo, Tokenizer],
) -> None:
    image, model, made = taught
    picture = read_image(image, "it")
    assert ask(model, made, picture, "a" * MOST_QUESTION_CHARACTERS).text
    with pytest.raises(SettingsError, match="has 2001 characters; one has at most 2000"):
        ask(model, made, picture, "a" * (MOST_QUESTION_CHARACTERS + 1))
    with pytest.raises(SettingsError, match="no valid UTF-8"):
        ask(model, made, picture, b"caf\xe9?".decode("utf-8", "surrogateescape"))


def test_no_file_but_an_older_drawing_is_overwritten(workspace: Path, pixmo: Path) -> None:
    (workspace / "notes.png").write_text("mine", "utf-8")
    image = (workspace / "square.png").read_bytes()
    Image.new("RGB", (2, 2)).save(workspace / "older.png")
    for name, says in (
        ("notes.png", "notes.png is there already and is no PNG or JPEG: it is not overwritten"),
        ("square.png", "square.png is the image that is asked about"),
        ("notes.png/new.png", "notes.png: Not a directory"),
        (LONG_NAME, f"{LONG_NAME}: File name too long"),
    ):
        refused = run_pixmo(pixmo, "ask", "square.png", QUESTION, "--out", name, cwd=workspace)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"pixmo: {says}"), refused.stderr
    assert (workspace / "notes.png").read_text("utf-8") == "mine"
    assert (workspace / "square.png").read_bytes() == image
    drawn = run_pixmo(pixmo, "ask", "square.png", QUESTION, "--out", "older.png", cwd=workspace)
    assert drawn.returncode == 0, drawn.stderr
    with Image.open(workspace / "older.png") as over:
        assert over.size == (80, 60)


def test_an_image_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(whole, "PNG")
    with pytest.raises(ImageError, match=r"it is damaged and cannot be read: .* give a whole copy"):
        read_image(whole.getvalue()[:2000], "it")
    huge = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(huge, "PNG")
    with pytest.raises(ImageError, match=r"exceeds limit .* give a smaller picture"):
        read_image(huge.getvalue(), "it")
    with pytest.raises(ImageError, match=r"it cannot be read: Is a directory$"):
        read_image(tmp_path, "it")


def test_what_cannot_be_asked(
    workspace: Path, pixmo: Path, tmp_path: Path, page: AskServer
) -> None:
    (workspace / "text.png").write_text("no image", "utf-8")
    result = run_pixmo(pixmo, "ask", "text.png", cwd=workspace)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "pixmo: text.png cannot be read: it is no image; give a JPEG, PNG or WebP"
    ]
    with pytest.raises(ImageError, match=r"there is no file gone\.png"):
        read_image(Path("gone.png"), "gone.png")
    with pytest.raises(TrainingError, match="train one: pixmo train"):
        newest_run(Workspace.open(tmp_path))
    (workspace / "run").mkdir(exist_ok=True)
    with pytest.raises(TrainingError, match="run holds no checkpoint"):
        load_model(Workspace.open(workspace), str(workspace / "run"), "cpu")
    with pytest.raises(SettingsError, match=f"port {page.server_port} cannot be used: .* --port"):
        AskServer(page.model, page.tokenizer, page.server_port)
    for words, says in (
        (("Where is it?", "square.png"), "pixmo ask square.png 'Where is it?'"),
        (("square.png", QUESTION, "--serve"), "leave out IMAGE and question"),
        (("gone.png", "why " * 400), "there is no file gone.png"),
    ):
        result = run_pixmo(pixmo, "ask", *words, cwd=workspace)
        assert result.returncode == 1
        assert says in result.stderr


def test_a_run_may_be_named_and_the_newest_is_the_default(workspace: Path) -> None:
    opened = Workspace.open(workspace)
    trained = workspace / "runs/train-v1-finetune-tiny"
    assert newest_run(opened) == trained
    assert named_run(opened, "train-v1-finetune-tiny") == trained
    assert named_run(opened, str(trained)) == trained
    assert named_run(opened, "runs/train-v1-finetune-tiny") == trained
    assert named_run(opened, "probe-v1") == workspace / "runs/probe-v1/release"
    looked = f"neither {Path.cwd() / 'gone'} nor {workspace / 'runs/gone'} nor"
    with pytest.raises(TrainingError, match=f"there is no run gone: {re.escape(looked)}"):
        named_run(opened, "gone")


def test_an_older_checkpoint_answers_where_the_newest_is_damaged(
    workspace: Path, taught: tuple[Path, Molmo, Tokenizer], capsys: pytest.CaptureFixture[str]
) -> None:
    _, model, made = taught
    steps = workspace / "runs/damaged/checkpoints"
    checkpoint.save(steps / "step-000003", model, made)
    checkpoint.save(steps / "step-000004", model, made)
    weights = steps / "step-000004/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    loaded, _ = load_model(Workspace.open(workspace), "damaged", "cpu")
    before, after = (one.state_dict() for one in (model, loaded))
    assert all(torch.equal(before[name], after[name]) for name in before)
    told = capsys.readouterr().err
    assert re.match(r"pixmo: warning: .*step-000004 holds no .*step-000003 before it", told)
    assert weights.exists()


def test_another_models_tokenizer_is_no_part_of_a_checkpoint(
    taught: tuple[Path, Molmo, Tokenizer], tmp_path: Path
) -> None:
    checkpoint.save(tmp_path, taught[1], taught[2])
    tokenizer.train(["short"], 300).save(tmp_path / "tokenizer.json")
    with pytest.raises(TrainingError, match=r"tokenizer\.json is another model's"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "holds", "says"),
    [
        ("tokenizer.json", "garbage", "tokenizer.json is no tokenizer that can be loaded"),
        ("config.json", "{}", "no checkpoint that can be loaded: config.json lacks 'size'"),
        ("config.json", "[]", "no checkpoint that can be loaded"),
        ("config.json", '{"size": null}', "no checkpoint that can be loaded"),
        ("model.safetensors", "garbage", "no checkpoint that can be loaded"),
    ],
)
def test_a_file_that_holds_anything_else_is_one_error(
    taught: tuple[Path, Molmo, Tokenizer], tmp_path: Path, name: str, holds: str, says: str
) -> None:
    _, model, made = taught
    checkpoint.save(tmp_path, model, made)
    (tmp_path / name).write_text(holds, "utf-8")
    with pytest.raises(TrainingError, match=says):
        checkpoint.load(tmp_path)


@pytest.fixture
def page(taught: tuple[Path, Molmo, Tokenizer]) -> Iterator[AskServer]:
    """The page, served on a free port."""
    _, model, made = taught
    with AskServer(model, made, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def send(
    page: AskServer, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """The status, headers and body of a reply."""
    client = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=30)
    client.request(method, path, body, headers)
    reply = client.getresponse()
    found = reply.status, reply.headers, reply.read()
    client.close()
    return found


def test_the_page_is_one_file_without_anything_from_elsewhere(page: AskServer) -> None:
    status, headers, body = send(page, "GET", "/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    text = body.decode()
    assert not re.search(r"https?://|src=\"[^\"]|<link", text)
    found: list[tuple[str, dict[str, str | None]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, dict(attributes)))  # type: ignore[method-assign]
    parser.feed(text)
    named = {attributes.get("id"): attributes for _, attributes in found}
    assert named["file"]["type"] == "file"
    assert named["question"]["aria-label"]
    assert named["answer"]["aria-live"] == "polite"
    assert any(tag == "meta" and "width=device-width" in str(a) for tag, a in found)
    assert send(page, "GET", "/etc/passwd")[0] == 404


def test_the_page_answers(page: AskServer, taught: tuple[Path, Molmo, Tokenizer]) -> None:
    image = taught[0].read_bytes()
    status, _, body = send(page, "POST", f"/ask?question={quote(QUESTION)}", image)
    assert status == 200
    assert json.loads(body) == {
        "answer": POINTS,
        "points": [{"x": 25.0, "y": 50.0}, {"x": 75.0, "y": 50.0}],
    }
    assert json.loads(send(page, "POST", "/ask", image)[2])["answer"] == DESCRIPTION
    host = f"localhost:{page.server_port}"
    again = send(page, "POST", "/ask", image, Host=host, Origin=f"http://{host}")
    assert again[0] == 200


def test_wrong_input_is_a_message(page: AskServer, taught: tuple[Path, Molmo, Tokenizer]) -> None:
    status, _, body = send(page, "POST", "/ask", b"no image")
    assert status == 400
    assert "it is no image" in json.loads(body)["error"]
    status, _, body = send(page, "POST", "/ask", b"\0" * (MOST_BYTES + 1))
    assert status == 413
    assert "20 MB" in json.loads(body)["error"]
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    status, _, body = send(page, "POST", "/ask", bomb.getvalue())
    assert status == 400
    assert "cannot be read" in json.loads(body)["error"]
    assert send(page, "POST", "/elsewhere", b"x")[0] == 404
    path = f"/ask?question={'why+' * 501}"
    status, _, body = send(page, "POST", path, taught[0].read_bytes())
    assert status == 400
    assert "2004 characters; one has at most 2000" in json.loads(body)["error"]
    client = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=30)
    client.putrequest("POST", "/ask")
    client.putheader("Content-Length", "²".encode())
    client.endheaders()
    assert client.getresponse().status == 411
    client.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_reads_and_asks_nothing(page: AskServer, headers: dict[str, str]) -> None:
    sent = {name: value.format(port=page.server_port) for name, value in headers.items()}
    for method, path in (("GET", "/"), ("POST", "/ask")):
        status, _, body = send(page, method, path, b"", **sent)
        assert status == 403
        assert "open http://127.0.0.1" in json.loads(body)["error"]


def test_ctrl_c_ends_the_page(workspace: Path, pixmo: Path) -> None:
    process = subprocess.Popen(
        [pixmo, "ask", "--serve", "--port", "0"],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        preexec_fn=hear_ctrl_c,
    )
    assert process.stdout is not None
    address = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
    assert address
    client = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=30)
    client.request("GET", "/")
    assert client.getresponse().status == 200
    client.close()
    process.send_signal(signal.SIGINT)
    said, wrong = process.communicate(timeout=60)
    assert (process.returncode, wrong) == (0, "")
    assert "ended" in said

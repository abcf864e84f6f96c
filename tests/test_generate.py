"""Written answers against the slowest way to write them: the whole sequence again for a token."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch

from pixmo.dataset.reader import Release
from pixmo.molmo import data, tokenizer
from pixmo.molmo.data import collate
from pixmo.molmo.generate import Request, generate, pack_prompt
from pixmo.molmo.model import Molmo, build
from pixmo.molmo.prompts import Annotation
from pixmo.molmo.tokenizer import EOS, Tokenizer
from pixmo.molmo.train import TrainingOptions, train
from tests.molmo_configs import TINY
from tests.releases import write_release

Trained = tuple[Molmo, Tokenizer, list[Request], list[Annotation]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model that has seen two pictures often, and everything it was asked of them."""
    torch.set_num_threads(1)
    release = Release.open(write_release(tmp_path_factory.mktemp("release"), train=2, held_out=2))
    examples = data.read_examples(release, ["train"], ["points", "ama", "cap"])
    texts = [one.prompt + one.answer for example in examples for one in example.annotations]
    made = tokenizer.train(texts, TINY.vocabulary_size)
    size = replace(TINY, most_text_tokens=300)
    crops = [data.load_crops(release, example, size) for example in examples]
    packed = [
        data.pack(image, example.annotations, made, size)
        for image, example in zip(crops, examples, strict=True)
    ]
    model = build(size, made.vocabulary_size, 0)
    for _ in train(model, packed, crops, TrainingOptions(steps=150, learning_rate=1e-2)):
        pass
    asked = [
        (image, one)
        for image, example in zip(crops, packed, strict=True)
        for one in example.annotations
    ]
    requests = [Request(image, one.prompt) for image, one in asked]
    return model, made, requests, [one for _, one in asked]


@torch.no_grad()
def slowly(model: Molmo, made: Tokenizer, request: Request, most_tokens: int) -> str:
    """The answer by its definition: the likeliest next token of the sequence so far, by itself."""
    packed = pack_prompt(request, made)
    tokens: list[int] = []
    for _ in range(most_tokens):
        batch = collate([packed], [request.image])
        added = torch.tensor([tokens], dtype=torch.int64)
        positions = torch.arange(batch.tokens.shape[1] + len(tokens))[None]
        longer = replace(
            batch,
            tokens=torch.cat([batch.tokens, added], 1),
            segments=torch.cat([batch.segments, torch.ones_like(added)], 1),
            positions=positions,
        )
        following = int(model.language.logits(model(longer)[0, -1]).argmax())
        if following == EOS:
            break
        tokens.append(following)
    return made.decode(tokens).strip()


@pytest.mark.parametrize("batch_requests", [1, 3, 64])
def test_answers_are_those_of_the_slow_way(trained: Trained, batch_requests: int) -> None:
    model, made, requests, _ = trained
    found = list(generate(model, made, requests, 40, batch_requests))
    assert found == [slowly(model, made, request, 40) for request in requests]
    assert len(set(found)) > 4


def test_what_was_learnt_by_heart_is_answered(trained: Trained) -> None:
    model, made, requests, truth = trained
    found = list(generate(model, made, requests))
    assert found == [one.answer.strip() for one in truth]


def test_the_image_decides(trained: Trained) -> None:
    model, made, requests, truth = trained
    place = next(i for i, one in enumerate(truth) if one.kind == "cap")
    other = next(one.image for one in requests if one.image is not requests[place].image)
    (exchanged,) = generate(model, made, [replace(requests[place], image=other)])
    assert exchanged != truth[place].answer.strip()


def test_a_long_answer_is_cut(trained: Trained) -> None:
    model, made, requests, truth = trained
    cut: Sequence[str] = list(generate(model, made, requests, most_tokens=2))
    for answer, one in zip(cut, truth, strict=True):
        assert one.answer.strip().startswith(answer)
        assert 0 < len(made.encode(answer)) <= 3


def test_nothing_asked_is_nothing_answered(trained: Trained) -> None:
    assert list(generate(trained[0], trained[1], [])) == []

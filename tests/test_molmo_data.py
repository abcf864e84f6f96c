"""Crops, prompts, tokens and packing, each against its definition."""

import math
import re
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from pixmo.dataset.reader import Release
from pixmo.molmo import data, prompts, tokenizer
from pixmo.molmo.crops import (
    NO_PATCH,
    choose_grid,
    joined_grid,
    pool_windows,
    preprocess,
    resize_and_pad,
)
from pixmo.molmo.sizes import PROBE_XS, Size, named
from pixmo.molmo.stages import CAPTION, FINETUNE
from pixmo.points import Point
from tests.releases import picture, write_release

# The pre-processor of Molmo-7B: 336 pixels, patches of 14, 4 patches of margin, 12 crops.
MOLMO = replace(PROBE_XS, crop_pixels=336, patch_pixels=14, margin_patches=4, most_crops=12)
SMALL = replace(PROBE_XS, crop_pixels=48, patch_pixels=8, margin_patches=1, most_crops=6)


def noise(height: int, width: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize(
    ("height", "width", "tokens", "crops"),
    [(336, 336, 316, 2), (480, 640, 740, 7), (1024, 1024, 972, 10), (1080, 1920, 1196, 13)],
)
def test_an_image_takes_the_tokens_that_molmos_own_pre_processor_gives(
    height: int, width: int, tokens: int, crops: int
) -> None:
    found = preprocess(Image.new("RGB", (width, height)), MOLMO)
    assert len(data.image_tokens(found)) == tokens
    assert len(found.pixels) == crops


def slow_joined_grid(rows: int, columns: int, size: Size) -> list[list[int]]:
    """Walk over every patch of the enlarged image and ask which crop it belongs to."""
    side, margin = size.patches_per_side, size.margin_patches
    inner = side - 2 * margin
    grid = []
    for y in range(rows * inner + 2 * margin):
        line = []
        for x in range(columns * inner + 2 * margin):
            row = min(max(y - margin, 0) // inner, rows - 1)
            column = min(max(x - margin, 0) // inner, columns - 1)
            crop = row * columns + column
            line.append(crop * side**2 + (y - row * inner) * side + (x - column * inner))
        grid.append(line)
    return grid


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 3), (2, 2), (3, 2)])
def test_every_patch_of_the_enlarged_image_counts_once(rows: int, columns: int) -> None:
    found = joined_grid(rows, columns, SMALL)
    assert found.tolist() == slow_joined_grid(rows, columns, SMALL)


def test_the_joined_crops_show_the_enlarged_image() -> None:
    image = noise(90, 130)
    found = preprocess(image, SMALL)
    rows, columns = choose_grid(90, 130, SMALL)
    inner, patch = SMALL.patches_per_side - 2, SMALL.patch_pixels
    height, width = (rows * inner + 2) * patch, (columns * inner + 2) * patch
    large, _ = resize_and_pad(image, height, width, SMALL)
    for y, line in enumerate(joined_grid(rows, columns, SMALL)):
        for x, number in enumerate(line):
            crop, inside = divmod(int(number), SMALL.patches_per_crop)
            top, left = (patch * i for i in divmod(inside, SMALL.patches_per_side))
            shown = found.pixels[1 + crop, top : top + patch, left : left + patch]
            expected = large[y * patch : (y + 1) * patch, x * patch : (x + 1) * patch]
            assert (shown == expected).all()


@pytest.mark.parametrize(("height", "width"), [(50, 50), (300, 40), (90, 200), (64, 65)])
def test_the_grid_of_crops_changes_the_image_least(height: int, width: int) -> None:
    margin, step = 2 * 8, 48 - 2 * 8
    grids = [(r, c) for r in range(1, 7) for c in range(1, 7) if r * c <= 6]

    def scale(grid: tuple[int, int]) -> float:
        return min(grid[0] * step / (height - margin), grid[1] * step / (width - margin))

    found = scale(choose_grid(height, width, SMALL))
    larger = [scale(grid) for grid in grids if scale(grid) >= 1]
    assert found == (min(larger) if larger else max(map(scale, grids)))


def test_windows_are_two_by_two_patches_and_odd_edges_are_filled() -> None:
    grid = np.arange(15).reshape(3, 5)
    windows = pool_windows(grid)
    assert windows.shape == (2, 3, 4)
    assert windows[0, 1].tolist() == [2, 3, 7, 8]
    assert windows[1, 2].tolist() == [14, NO_PATCH, NO_PATCH, NO_PATCH]


def test_padding_is_known_patch_by_patch() -> None:
    found = preprocess(noise(30, 60), PROBE_XS)  # 64 x 32 pixels in the middle of 64 x 64
    share = found.real.reshape(8, 8)
    assert share[:2].max() == 0 == share[6:].max()
    assert share[2:6].min() == 1
    black = found.pixels[0][:16]
    assert black.max() == 0


def test_a_caption_is_asked_for_with_its_length() -> None:
    text = "a" * 629
    assert prompts.caption("1", text).prompt == " long_caption 41:"
    noisy = [prompts.caption("1", text, Random(seed)).prompt for seed in range(400)]
    hints = [int(p.split()[1][:-1]) for p in noisy if p != " long_caption:"]
    assert 0.85 < len(hints) / len(noisy) < 0.95
    deviation = np.std(hints) * prompts.HINT_CHARACTERS
    assert 20 < deviation < 30


def test_points_are_written_as_molmo_reads_them() -> None:
    points = [Point(50, 20), Point(10, 90.04)]
    one = prompts.pointing("1", "Cat", points, "pointing")
    assert one.prompt == " User: Point to cat Assistant:"
    text = '<points x1="10.0" y1="90.0" x2="50.0" y2="20.0" alt="cat">cat</points>'
    assert one.answer == f" {text}"
    counted = prompts.pointing("1", "Cat", points, "counting")
    assert counted.answer == f" Counting the {text} shows a total of 2."
    assert prompts.pointing("1", "cat", [], "counting").answer == " There are none."


def test_any_text_survives_the_tokenizer_digit_by_digit(tmp_path: Path) -> None:
    made = tokenizer.train(["the cat at 12.5 percent"] * 3, 300)
    for text in ("the cat", "Ünïcode 猫 <patch> <eos>\n", ' x1="10.0"'):
        tokens = made.encode(text)
        assert made.decode(tokens) == text
        assert min(tokens) >= len(tokenizer.SPECIAL)
    assert [made.decode([token]) for token in made.encode("125")] == ["1", "2", "5"]
    made.save(tmp_path / "tokenizer.json")
    assert tokenizer.load(tmp_path / "tokenizer.json").encode("the cat") == made.encode("the cat")


def test_annotations_are_packed_behind_one_image() -> None:
    found = preprocess(noise(48, 64), PROBE_XS)
    annotations = [prompts.question("1", "Who?", "Me."), prompts.question("2", "Where?", "Here.")]
    made = tokenizer.train([one.prompt + one.answer for one in annotations], 300)
    packed = data.pack(found, annotations, made, PROBE_XS)
    prefix = [tokenizer.BOS, *data.image_tokens(found)]
    tokens, segments, positions, weights = list(prefix), [0] * len(prefix), [], []
    positions += range(len(prefix))
    weights += [0.0] * len(prefix)
    for number, one in enumerate(annotations, 1):
        prompt, answer = made.encode(one.prompt), [*made.encode(one.answer), tokenizer.EOS]
        tokens += prompt + answer
        segments += [number] * len(prompt + answer)
        positions += [len(prefix) + n for n in range(len(prompt + answer))]
        weights += [0.0] * len(prompt) + [1 / math.sqrt(len(answer))] * len(answer)
    assert packed.tokens.tolist() == tokens
    assert packed.segments.tolist() == segments
    assert packed.positions.tolist() == positions
    assert packed.weights.tolist() == pytest.approx(weights)
    assert packed.characters == (len(" Me."), len(" Here."))


def test_an_answer_that_is_too_long_is_cut_and_counted_as_far_as_it_is_read() -> None:
    found = preprocess(noise(48, 64), PROBE_XS)
    made = tokenizer.train(["abc"], 300)
    size = replace(PROBE_XS, most_answer_tokens=4, most_text_tokens=30)
    annotation = prompts.Annotation("1", "ama", " a", " 123456789")
    packed = data.pack(found, [annotation] * 9, made, size)
    answers = packed.tokens[packed.weights > 0].reshape(-1, 4).tolist()
    assert made.decode(answers[0]) == " 123"
    assert packed.characters[0] == 4
    assert len(packed.annotations) == len(answers) < 9
    text_tokens = len(packed.tokens) - (packed.segments == 0).sum()
    assert text_tokens <= 30


def test_a_release_is_read_by_image_with_its_annotations(tmp_path: Path) -> None:
    release = Release.open(write_release(tmp_path / "v1", train=5, held_out=2))
    examples = data.read_examples(release, ["train"], ["cap", "ama", "points"], seed=None)
    assert len(examples) == 5
    assert [one.image_sha256 for one in examples] == sorted(one.image_sha256 for one in examples)
    captions = {picture(number).caption for number in range(5)}
    assert {one.annotations[0].answer.strip() for one in examples} == captions
    kinds = [annotation.kind for annotation in examples[0].annotations]
    assert kinds == ["cap", "ama", "ama", "points", "points"]
    held_out = data.read_examples(release, ["validation", "test"], ["cap"])
    assert len(held_out) == 4
    assert not {one.image_sha256 for one in held_out} & {one.image_sha256 for one in examples}


def test_a_transcript_is_asked_for_like_a_caption_but_by_its_own_name() -> None:
    text = "a" * 500
    found = prompts.transcript("1", text)
    assert (found.kind, found.prompt, found.answer) == ("transcript", " transcript 33:", f" {text}")


def test_the_caption_stage_reads_one_transcript_an_image(tmp_path: Path) -> None:
    release = Release.open(write_release(tmp_path / "v1", train=3, held_out=2))
    rows = {row["image_sha256"]: row for row in release.read("cap", "train").to_pylist()}
    exact = data.read_examples(release, ["train"], CAPTION.stems, stage="caption")
    for example in exact:
        texts = rows[example.image_sha256]["transcripts"]
        assert [one.kind for one in example.annotations] == ["cap", "transcript"]
        assert example.annotations[0].prompt.startswith(" long_caption ")
        assert example.annotations[1].answer.strip() == texts[0]
    row = {"id": "1", "caption": "c", "transcripts": ["one", "two", "three"]}
    drawn = [data.annotations_of("cap", row, seed, "caption")[1].answer for seed in range(60)]
    assert {text: drawn.count(text) > 9 for text in drawn} == dict.fromkeys(
        (" one", " two", " three"), True
    )
    assert len(data.annotations_of("cap", row, 0)) == 1
    assert len(data.annotations_of("cap", {**row, "transcripts": []}, 0, "caption")) == 1


def test_fine_tuning_tags_all_but_questions(tmp_path: Path) -> None:
    release = Release.open(write_release(tmp_path / "v1", train=2, held_out=2))
    examples = data.read_examples(release, ["train"], FINETUNE.stems, stage="finetune")
    kinds = [annotation.kind for annotation in examples[0].annotations]
    assert kinds == ["ama", "ama", "points", "points", "cap"]
    for one in examples[0].annotations:
        found = re.fullmatch(r" User: (?:(\w+)(?: \d+)?: )?(.+) Assistant:", one.prompt)
        assert found is not None, one.prompt
        tag = {"ama": None, "cap": "long_caption"}.get(one.kind, found[1])
        assert found[1] == tag
    row = {"id": "1", "label": "Cat", "points": [], "collection_method": "counting"}
    (counted,) = data.annotations_of("points", row, None, "finetune")
    assert counted.prompt == " User: point_count: How many cat are there? Assistant:"
    (pointed,) = data.annotations_of(
        "points", {**row, "collection_method": "pointing"}, 0, "finetune"
    )
    assert pointed.prompt == " User: pointing: Point to cat Assistant:"
    assert pointed.answer == " There are none."


def test_expressions_with_very_many_points_are_left_out() -> None:
    row = {"id": "1", "label": "cat", "collection_method": "pointing"}
    places = [{"x": float(i), "y": 1.0} for i in range(41)]
    assert not data.annotations_of("points", {**row, "points": places}, None)
    assert data.annotations_of("points", {**row, "points": places[:40]}, None)


@pytest.mark.parametrize("count", [1, 3])
def test_an_answer_weighs_as_its_stage_says(count: int) -> None:
    found = preprocess(noise(48, 64), PROBE_XS)
    annotations = [prompts.question(str(n), "Who?", "a" * (n + 1)) for n in range(count)]
    made = tokenizer.train([], 300)
    weights = {}
    for weighting in ("uniform", "root_tokens", "root_annotations"):
        packed = data.pack(found, annotations, made, PROBE_XS, weighting)
        weights[weighting] = packed.weights[packed.weights > 0].tolist()
    lengths = [n + 3 for n in range(count)]  # a space, the letters, the end
    assert weights["uniform"] == [1.0] * sum(lengths)
    assert weights["root_annotations"] == pytest.approx([math.sqrt(1 / count)] * sum(lengths))
    by_tokens = [length**-0.5 for length in lengths for _ in range(length)]
    assert weights["root_tokens"] == pytest.approx(by_tokens)


def test_image_and_text_together_are_no_longer_than_the_size_allows() -> None:
    found = preprocess(noise(48, 64), PROBE_XS)
    prefix = 1 + len(data.image_tokens(found))
    size = replace(PROBE_XS, sequence_length=prefix + 40)
    packed = data.pack(
        found, [prompts.question("1", "Who?", "a" * 99)], tokenizer.train([], 300), size
    )
    assert len(packed.tokens) == prefix + 40
    batch = data.collate([packed, packed], [found, found], multiple=32)
    assert batch.tokens.shape == (2, -(-(prefix + 40) // 32) * 32)
    assert set(batch.segments[0, prefix + 40 :].tolist()) == {data.PADDING_SEGMENT}


def test_an_unknown_size_names_the_known_ones() -> None:
    with pytest.raises(Exception, match="probe-xs"):
        named("huge")

"""A workspace of PixMo's size, made at once: its tables as the intake would have left them.

Texts are sentences of made-up words and common English ones, frequent words more often (Zipf).
Among the rows are near-duplicates and defects that recipes look for, at the shares in DEFECTS.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pixmo.workspace.workspace import Workspace

# Rows of the published datasets (arXiv 2409.17146; their cards), and the images they speak of.
CAPTIONS, TRANSCRIPTS_OF_AN_IMAGE = 717_042, 1.813  # 1.3 million
ANSWERS, ANSWERED_IMAGES = 161_737, 71_658
POINTS, POINTED_IMAGES = 2_376_222, 227_733
HELD_OUT_IMAGES, HELD_OUT_QUESTIONS = 50_000, 20_000
PART_ROWS = 50_000
SENTENCES, WORDS, WORDS_A_SENTENCE = 200_000, 20_000, 13
SENTENCES_A_CAPTION = 15
REVIEWED = ("caption_id", "image_sha256", "caption")  # what a review repeats
COMMON = (
    "the",
    "a",
    "of",
    "and",
    "is",
    "are",
    "in",
    "on",
    "to",
    "with",
    "it",
    "there",
    "at",
    "two",
)
COMMON_SHARE = 0.4  # of the words of English prose
LABELS, LABELS_OF_AN_IMAGE = 5_000, 12
CLUMP = 200  # near-duplicate images
COUNTING_SHARE = 0.05  # of the questions
REVIEWED_SHARE = 0.01  # of the captions
ANNOTATORS = 400
DEFECTS = {
    "near-duplicate image": 0.02,
    "image of a clump": 0.01,
    "near-duplicate caption": 0.02,
    "short caption": 0.01,
    "silent recording": 0.005,
    "looped transcript": 0.005,
    "rejected answer": 0.05,
    "answer given again": 0.01,
    "point set twice": 0.005,
    "point outside": 0.005,
    "held-out image": 0.001,
}
WHEN = "2026-01-01T00:00:00.000000Z"
Columns = dict[str, Any]
Integers = npt.NDArray[np.int64]


def make(root: Path, share: float) -> Workspace:
    """The workspace in `root` has the tables of a project of this share of PixMo's size."""
    workspace = Workspace.init(root)
    rng = np.random.default_rng(0)
    bank, labels = sentences(rng), phrases(rng, LABELS, 2)
    sizes = {
        "captions": int(CAPTIONS * share),
        "answers": int(ANSWERS * share),
        "points": int(POINTS * share),
    }
    hashes = pictures(rng, sizes["captions"])
    write(workspace, "held_out_images", held_out_images(rng, hashes, int(HELD_OUT_IMAGES * share)))
    write(workspace, "held_out_questions", held_out_questions(rng, bank, share))
    for rows in pieces(sizes["captions"]):
        write(workspace, "images", images(rows, hashes))
        write(workspace, "image_thumbnails", thumbnails(rng, rows, hashes))
        spoken, written = captions(rng, rows, bank)
        write(workspace, "transcripts", spoken)
        write(workspace, "captions", written)
        reviewed = reviews(rng, rows, written)
        write(workspace, "caption_reviews", reviewed)
        write(workspace, "annotations", annotations(reviewed, "cap"))
    for rows in pieces(sizes["answers"]):
        answered = answers(rng, rows, bank, labels, int(ANSWERED_IMAGES * share))
        write(workspace, "answers", answered)
        write(workspace, "annotations", annotations(answered, "ama"))
    for rows in pieces(sizes["points"]):
        pointed = points(rng, rows, labels, int(POINTED_IMAGES * share))
        write(workspace, "point_annotations", pointed)
        write(workspace, "annotations", annotations(pointed, "points"))
    return workspace


def pieces(size: int) -> Iterator[Integers]:
    """Yield the numbers of the rows of each part."""
    for start in range(0, size, PART_ROWS):
        yield np.arange(start, min(size, start + PART_ROWS))


def write(workspace: Workspace, name: str, columns: Columns) -> None:
    """A part more of a table; columns that are not given are null, empty or zero."""
    table = workspace.table(name)
    target = table.schema.arrow()
    rows = len(next(iter(columns.values())))
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else filler(field, rows)
        for field in target
    ]
    table.folder.mkdir(parents=True, exist_ok=True)
    path = table.folder / f"part-{table.next_number():08d}.parquet"
    made = pa.Table.from_arrays(arrays, schema=target)
    pq.write_table(made, path, compression="zstd", write_page_checksum=True)


def filler(field: pa.Field, rows: int) -> pa.Array:
    """What stands in a column that says nothing."""
    if field.nullable:
        return pa.nulls(rows, field.type)
    empty: Any = 0
    if pa.types.is_list(field.type):
        empty = []
    elif pa.types.is_string(field.type):
        empty = ""
    elif pa.types.is_boolean(field.type):
        empty = False
    return pa.repeat(pa.scalar(empty, field.type), rows)


def phrases(rng: np.random.Generator, count: int, words: int) -> pa.Array:
    """So many runs of words: common ones, and of the others frequent ones more often."""
    syllables = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]
    made = ["".join(rng.choice(syllables, size)) for size in rng.integers(2, 4, WORDS)]
    vocabulary = np.array([*COMMON, *made], object)
    frequency = 1 / np.arange(10, WORDS + 10)
    numbers = len(COMMON) + rng.choice(WORDS, (count, words), p=frequency / frequency.sum())
    is_common = rng.random((count, words)) < COMMON_SHARE
    # In turns from either half: nobody says a common word twice in a row.
    half = len(COMMON) // 2
    common = rng.integers(0, half, (count, words)) + half * (np.arange(words) % 2)
    numbers[is_common] = common[is_common]
    return pa.array([" ".join(row) for row in vocabulary[numbers]])


def sentences(rng: np.random.Generator) -> pa.Array:
    """What captions are made of."""
    made = phrases(rng, SENTENCES, WORDS_A_SENTENCE)
    return pc.binary_join_element_wise(pc.utf8_capitalize(made), ".", "")


def joined(bank: pa.Array, chosen: Sequence[Integers]) -> pa.Array:
    """For every row its sentences in one text."""
    offsets = np.append(0, np.cumsum([len(row) for row in chosen])).astype(np.int32)
    taken = bank.take(pa.array(np.concatenate(chosen)))
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), taken), " ")


def image_sha256(number: int) -> str:
    """The image's hash, by its number."""
    return hashlib.sha256(f"image {number}".encode()).hexdigest()


def pictures(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint64]:
    """Hashes of 64 and 256 bits, shape (count, 5); some are an earlier one's but for some bits."""
    hashes = rng.integers(0, 1 << 64, (count, 5), np.uint64)
    clumped = np.arange(int(count * DEFECTS["image of a clump"]))
    hashes[clumped] = hashes[clumped // CLUMP * CLUMP]
    bits = np.uint64(1) << rng.integers(0, 64, (len(clumped), 4), np.uint64)
    hashes[clumped, 4] ^= np.bitwise_or.reduce(bits, axis=1)
    again = np.flatnonzero(rng.random(count) < DEFECTS["near-duplicate image"])
    again = again[again > 0]
    hashes[again] = hashes[rng.integers(0, again)]
    hashes[again, 4] ^= np.uint64(1) << rng.integers(0, 64, len(again), np.uint64)
    return hashes


def held_out_images(
    rng: np.random.Generator, hashes: npt.NDArray[np.uint64], count: int
) -> Columns:
    """Evaluation pictures of which some are among the images, but for a bit."""
    shown = rng.integers(0, 1 << 64, (2, count, 5), np.uint64)
    again = np.arange(min(count, int(len(hashes) * DEFECTS["held-out image"])))
    shown[0, again] = hashes[rng.integers(0, len(hashes), len(again))]
    shown[0, again, 4] ^= np.uint64(1)
    words = [[[f"{word:016x}" for word in row] for row in side.tolist()] for side in shown]
    return {
        "source": ["evaluation"] * count,
        "key": [f"{number}.jpg" for number in range(count)],
        "phash_64": [row[0] for row in words[0]],
        "phash_256": ["".join(row[1:]) for row in words[0]],
        "mirrored_phash_64": [row[0] for row in words[1]],
        "mirrored_phash_256": ["".join(row[1:]) for row in words[1]],
    }


def held_out_questions(rng: np.random.Generator, bank: pa.Array, share: float) -> Columns:
    """Evaluation questions, some of which annotators will ask by chance."""
    count = max(1, int(HELD_OUT_QUESTIONS * share))
    asked = bank.take(pa.array(rng.integers(0, len(bank), count))).to_pylist()
    return {
        "source": ["evaluation"] * count,
        "key": [str(number) for number in range(count)],
        "question": [f"What is {question[:-1].lower()}?" for question in asked],
    }


def images(rows: Integers, hashes: npt.NDArray[np.uint64]) -> Columns:
    """A part of `images`; all of them on the web."""
    sha256s = [image_sha256(number) for number in rows]
    words = [[f"{word:016x}" for word in row] for row in hashes[rows].tolist()]
    return {
        "image_sha256": sha256s,
        "path": [f"images/{sha256}.jpg" for sha256 in sha256s],
        "image_url": [f"https://example.org/{sha256}.jpg" for sha256 in sha256s],
        "width": np.full(len(rows), 1024),
        "height": np.full(len(rows), 768),
        "format": ["JPEG"] * len(rows),
        "exif_orientation": np.ones(len(rows), np.int64),
        "bytes": np.full(len(rows), 200_000),
        "phash_64": [row[0] for row in words],
        "phash_256": ["".join(row[1:]) for row in words],
        "ordinal": rows,
    }


def thumbnails(rng: np.random.Generator, rows: Integers, hashes: npt.NDArray[np.uint64]) -> Columns:
    """A part of `image_thumbnails`: 32 fields each, the same for near-duplicates but for noise."""
    fields = np.ascontiguousarray(hashes[rows, :4]).view(np.uint8).reshape(-1, 4, 8) // 2 + 60
    pixels = fields.repeat(16, axis=1).repeat(8, axis=2)
    pixels += rng.integers(0, 4, pixels.shape, np.uint8)
    return {
        "image_sha256": [image_sha256(number) for number in rows],
        "thumbnail": [one.tobytes() for one in pixels],
    }


def reviews(rng: np.random.Generator, rows: Integers, written: Columns) -> Columns:
    """A part of `caption_reviews`, all of them satisfied."""
    some = np.flatnonzero(rng.random(len(rows)) < REVIEWED_SHARE)
    some = some if len(some) else np.array([0])
    return {
        **states("cap", rows[some]),
        **{name: [written[name][place] for place in some] for name in REVIEWED},
        "verdict": ["accept"] * len(some),
        "annotator": [f"{number}" for number in rng.integers(0, ANNOTATORS, len(some))],
    }


def label_of(rng: np.random.Generator, shown: Integers) -> Integers:
    """One of the few things that there are on each image."""
    found: Integers = (shown * 31 + rng.integers(0, LABELS_OF_AN_IMAGE, len(shown))) % LABELS
    return found


def captions(rng: np.random.Generator, rows: Integers, bank: pa.Array) -> tuple[Columns, Columns]:
    """A part of `transcripts` and of `captions`: what one or two people said of each image."""
    chosen = list(rng.integers(0, len(bank), (len(rows), SENTENCES_A_CAPTION)))
    for place in np.flatnonzero(rng.random(len(rows)) < DEFECTS["near-duplicate caption"]):
        if place:
            chosen[place] = np.append(chosen[place - 1][:-1], chosen[place][-1])
    for place in np.flatnonzero(rng.random(len(rows)) < DEFECTS["short caption"]):
        chosen[place] = chosen[place][:3]
    texts = joined(bank, chosen).to_pylist()
    is_second = rng.random(len(rows)) < TRANSCRIPTS_OF_AN_IMAGE - 1
    speakers = np.concatenate([np.arange(len(rows)), np.flatnonzero(is_second)])
    heard = (
        texts
        + joined(bank, [rng.permutation(chosen[p]) for p in speakers[len(rows) :]]).to_pylist()
    )
    sha256s = [image_sha256(number) for number in rows]
    ids = [
        f"{rows[p]:013x}{turn:03x}"
        for p, turn in zip(speakers, speakers_turns(speakers), strict=True)
    ]
    said: list[list[tuple[str, str]]] = [[] for _ in rows]
    for place, transcript_id, text in zip(speakers.tolist(), ids, heard, strict=True):
        said[place].append((transcript_id, text))
    seconds = (
        np.array([len(text) for text in heard]) / 5.5 / 2.4
    )  # characters a word, words a second
    is_silent = rng.random(len(heard)) < DEFECTS["silent recording"]
    transcripts = {
        "transcript_id": ids,
        "image_sha256": [sha256s[place] for place in speakers],
        "source": ["speech"] * len(ids),
        "recording_sha256": [hashlib.sha256(name.encode()).hexdigest() for name in ids],
        "annotator": [f"annotator-{number}" for number in rng.integers(0, ANNOTATORS, len(ids))],
        "text": heard,
        "language": ["en"] * len(ids),
        "language_prob": rng.uniform(0.9, 1.0, len(ids)),
        "avg_logprob": rng.uniform(-0.5, -0.1, len(ids)),
        "compression_ratio": rng.uniform(1.3, 1.9, len(ids)),
        "words_over_silence_share": rng.uniform(0.0, 0.05, len(ids)),
        "repeated_share": np.where(
            rng.random(len(ids)) < DEFECTS["looped transcript"], 0.6, rng.uniform(0, 0.04, len(ids))
        ),
        "duration_seconds": np.maximum(seconds * 1.25, 62.0),
        "speech_seconds": np.where(is_silent, 0.3, seconds),
        "longest_silence_seconds": rng.uniform(0.5, 4.0, len(ids)),
        "rms_dbfs": rng.uniform(-30.0, -18.0, len(ids)),
        "peak_dbfs": rng.uniform(-12.0, -1.0, len(ids)),
        "clipped_share": np.zeros(len(ids)),
        "noise_dbfs": rng.uniform(-70.0, -50.0, len(ids)),
        "words_per_minute": np.full(len(ids), 144.0),
        "model": ["turbo"] * len(ids),
    }
    return transcripts, {
        "caption_id": [f"{number:016x}" for number in rows],
        "image_sha256": sha256s,
        "caption": texts,
        "transcript_ids": [[name for name, _ in of_image] for of_image in said],
        "transcripts_sha256": [
            hashlib.sha256(
                "\x1f".join(f"{name}\x1e{text}" for name, text in sorted(of_image)).encode()
            ).hexdigest()
            for of_image in said
        ],
        "writer": ["cleaner-4"] * len(rows),
    }


def speakers_turns(speakers: Integers) -> Integers:
    """Of each transcript whether its image had one before: 0 or 1."""
    seen = np.zeros(int(speakers.max()) + 1, np.int64)
    turns = np.zeros(len(speakers), np.int64)
    for number, place in enumerate(speakers):
        turns[number] = seen[place]
        seen[place] += 1
    return turns


def answers(
    rng: np.random.Generator, rows: Integers, bank: pa.Array, labels: pa.Array, of_images: int
) -> Columns:
    """A part of `answers`; some questions ask how many there are of what others point at."""
    asked = bank.take(pa.array(rng.integers(0, len(bank), len(rows)))).to_pylist()
    told = joined(bank, list(rng.integers(0, len(bank), (len(rows), 2)))).to_pylist()
    shown = rng.integers(0, max(1, of_images), len(rows))
    for place in np.flatnonzero(rng.random(len(rows)) < DEFECTS["answer given again"]):
        if place:
            asked[place], told[place], shown[place] = (
                asked[place - 1],
                told[place - 1],
                shown[place - 1],
            )
    questions = [f"What is {question[:-1].lower()}?" for question in asked]
    things = labels.take(pa.array(label_of(rng, shown))).to_pylist()
    for place in np.flatnonzero(rng.random(len(rows)) < COUNTING_SHARE):
        questions[place] = f"How many {things[place]} are there?"
        told[place] = f"There are {rng.integers(1, 9)} of them."
    is_rejected = rng.random(len(rows)) < DEFECTS["rejected answer"]
    return {
        **states("ama", rows),
        "image_sha256": [image_sha256(number) for number in shown],
        "question": questions,
        "answer": told,
        "verdict": np.where(is_rejected, "reject", "accept").tolist(),
        "annotator": [f"{number}" for number in rng.integers(0, ANNOTATORS, len(rows))],
    }


def points(rng: np.random.Generator, rows: Integers, labels: pa.Array, of_images: int) -> Columns:
    """A part of `point_annotations`: an expression in seven is not there, many have one point."""
    is_there = rng.random(len(rows)) > 0.15
    counts = np.where(is_there, np.minimum(rng.geometric(0.25, len(rows)), 70), 0)
    starts = np.append(0, np.cumsum(counts))
    x, y = rng.uniform(0, 100, (2, starts[-1]))
    for defect, shift in (("point set twice", 0.0), ("point outside", 150.0)):
        some = starts[:-1][(rng.random(len(rows)) < DEFECTS[defect]) & (counts > 1)]
        x[some + 1], y[some + 1] = x[some] + shift, y[some]
    shown = rng.integers(0, max(1, of_images), len(rows))
    spots = pa.StructArray.from_arrays([pa.array(x), pa.array(y)], ["x", "y"])
    return {
        **states("points", rows),
        "image_sha256": [image_sha256(number) for number in shown],
        "label": labels.take(pa.array(label_of(rng, shown))),
        "collection_method": ["pointing"] * len(rows),
        "presence": np.where(is_there, "present", "none").tolist(),
        "points": pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), spots),
        "annotator": [f"{number}" for number in rng.integers(0, ANNOTATORS, len(rows))],
    }


def states(subset: str, rows: Integers) -> Columns:
    """What an annotation and its parsed row share."""
    uids = [f"{subset}-{number}" for number in rows]
    return {
        "annotation_uid": uids,
        "updated_at": [WHEN] * len(rows),
        "state_sha256": [hashlib.sha256(uid.encode()).hexdigest() for uid in uids],
    }


def annotations(parsed: Columns, subset: str) -> Columns:
    """The raw annotations of a part of parsed ones."""
    return {
        **{name: parsed[name] for name in ("annotation_uid", "updated_at", "state_sha256")},
        "subset": [subset] * len(parsed["annotation_uid"]),
        "task_json": ["{}"] * len(parsed["annotation_uid"]),
        "annotation_json": ["{}"] * len(parsed["annotation_uid"]),
    }

"""A release of any size as batches: rows stay on the disk, worker processes prepare images ahead.

The examples of a step are a pure function of seed and step, so that a run that was killed goes on
with the batches that it would have seen.
"""

from array import array
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from pixmo import schema
from pixmo.dataset.reader import Release
from pixmo.errors import PixmoError, ReleaseError
from pixmo.execution.local import deaf_children
from pixmo.files import replace_atomically
from pixmo.molmo.data import Batch, Example, annotations_of, collate, load_crops, pack
from pixmo.molmo.distributed import ProcessGroup
from pixmo.molmo.prompts import Annotation
from pixmo.molmo.sizes import Size
from pixmo.molmo.stages import StageName, Weighting
from pixmo.molmo.stopping import lost_workers_told, unterminated_children
from pixmo.molmo.tokenizer import Tokenizer
from pixmo.molmo.train import LENGTH_POOL_BATCHES

INDEX = "index.npz"
KEY_DIGITS = 16  # of a sha256, 64 bits: two images in a billion would hardly share them
EPOCH_SEEDS = 1_000_003  # a prime: epochs of one seed hardly ever meet those of another
IMAGES_REMEMBERED = 1 << 16  # whose file was looked for already
BATCHES_AHEAD = 2  # prepared by each worker
Item = TypeVar("Item")
Places = Sequence[tuple[int, int]]  # epoch and number of each example
Numbers = npt.NDArray[np.int64]


class Examples:
    """A split of a release by number: the images in the order of their sha256."""

    def __init__(
        self, release: Release, folder: Path, stems: Sequence[str], stage: StageName
    ) -> None:
        self.release, self.folder, self.stems, self.stage = release, folder, tuple(stems), stage
        with np.load(folder / INDEX) as index:
            self.index: dict[str, Numbers] = dict(index)

    def __reduce__(self) -> tuple[type, tuple[Release, Path, tuple[str, ...], StageName]]:
        """What another process needs: it opens the files itself."""
        return Examples, (self.release, self.folder, self.stems, self.stage)

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def characters(self) -> Numbers:
        """Of all annotations of each image."""
        return self.index["characters"]

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """The rows of each subset, which the system reads from the disk as they are asked for."""
        return {
            stem: pa.ipc.open_file(pa.memory_map(str(self.folder / f"{stem}.arrow"))).read_all()
            for stem in self.stems
        }

    def read(self, number: int, seed: int | None) -> Example:
        """The example of this number; `seed` as in `annotations_of`."""
        annotations: list[Annotation] = []
        for stem in self.stems:
            first, last = self.index[f"{stem} bounds"][number : number + 2]
            places = self.index[f"{stem} order"][first:last]
            rows = [self.tables[stem].slice(place, 1).to_pylist()[0] for place in places]
            for row in sorted(rows, key=lambda row: str(row["id"])):
                image = (row["image_url"], row["image_sha256"], row["cluster"])
                annotations += annotations_of(stem, row, seed, self.stage)
        return Example(*image, tuple(annotations))


def open_examples(
    release: Release, split: str, stems: Sequence[str], stage: StageName, folder: Path
) -> Examples:
    """The examples of a split; `folder` holds their rows, written unless it did before.

    Rows that are not trained on, and those whose image has no file, are left out.

    Raises:
        ReleaseError: a file of the release cannot be read.
    """
    stems = [stem for stem in stems if stem in release.stems]
    if not (folder / INDEX).exists():
        write_examples(release, split, stems, stage, folder)
    return Examples(release, folder, stems, stage)


def write_examples(
    release: Release, split: str, stems: Sequence[str], stage: StageName, folder: Path
) -> None:
    """`folder` holds the rows of each subset and, written last, which belong to which image."""
    folder.mkdir(parents=True, exist_ok=True)
    keys, characters = {}, {}
    for stem in stems:
        keys[stem], characters[stem] = copy_rows(
            release, split, stem, stage, folder / f"{stem}.arrow"
        )
    images = np.unique(np.concatenate([*keys.values(), np.zeros(0, np.uint64)]))
    index: dict[str, Numbers] = {"characters": np.zeros(len(images), np.int64)}
    for stem in stems:
        order = np.argsort(keys[stem], kind="stable")
        index[f"{stem} order"] = order
        bounds = np.searchsorted(keys[stem][order], images)
        index[f"{stem} bounds"] = np.append(bounds, len(order))
        np.add.at(index["characters"], np.searchsorted(images, keys[stem]), characters[stem])

    def save(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **index)

    replace_atomically(folder / INDEX, save)


def copy_rows(
    release: Release, split: str, stem: str, stage: StageName, path: Path
) -> tuple[npt.NDArray[np.uint64], Numbers]:
    """The rows that can be trained on are in `path`; returns each one's image and characters.

    Files are read in pieces; of a row sixteen bytes stay in memory.
    """
    promise = schema.subset(stem)
    names = {column.name for column in promise.columns if column.published}
    names |= {"id", "image_url", "image_sha256", "cluster"}
    kept = pa.schema([field for field in promise.arrow() if field.name in names])
    keys, characters = array("Q"), array("q")
    has_image = lru_cache(maxsize=IMAGES_REMEMBERED)(partial(has_file, release))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, kept) as writer:
        for piece in pieces(release, split, stem, kept):
            usable = []
            for row in piece.to_pylist():
                found = annotations_of(stem, row, None, stage)
                usable.append(bool(found) and has_image(row["image_url"], row["image_sha256"]))
                if usable[-1]:
                    keys.append(int(row["image_sha256"][:KEY_DIGITS], 16))
                    characters.append(sum(len(one.prompt) + len(one.answer) for one in found))
            writer.write_table(piece.filter(pa.array(usable, pa.bool_())))
    return np.array(keys, np.uint64), np.array(characters, np.int64)


def has_file(release: Release, image_url: str, image_sha256: str) -> bool:
    """Whether there is a file of the image."""
    try:
        release.image_path(image_url, image_sha256)
    except ReleaseError:
        return False
    return True


def pieces(release: Release, split: str, stem: str, kept: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of a split of a subset, some thousands at a time."""
    for file in release.manifest.parquet(schema.subset(stem).name, split):
        path = release.root / file.path
        try:
            with pq.ParquetFile(path) as parquet:
                for batch in parquet.iter_batches(columns=kept.names):
                    yield pa.Table.from_batches([batch]).select(kept.names).cast(kept)
        except (OSError, KeyError, pa.ArrowException) as error:
            raise ReleaseError(f"{path} cannot be read: {error}") from error


@dataclass(frozen=True)
class Order:
    """Which examples make the batch of a step: epochs one after another, each in its own order.

    Some batches' examples at a time are sorted by length, so that a batch pads little.
    """

    lengths: Numbers
    batch_examples: int
    seed: int

    def batch(self, step: int) -> Places:
        """Epoch and number of the step's examples."""
        pool, inside = divmod(step, LENGTH_POOL_BATCHES)
        examples = LENGTH_POOL_BATCHES * self.batch_examples
        places = [self.place(pool * examples + n) for n in range(examples)]
        places.sort(key=lambda place: self.lengths[place[1]])
        batches = np.random.default_rng([self.seed, pool, 1]).permutation(LENGTH_POOL_BATCHES)
        start = int(batches[inside]) * self.batch_examples
        return places[start : start + self.batch_examples]

    def place(self, position: int) -> tuple[int, int]:
        """Epoch and number of the example at a position of the endless order."""
        epoch, inside = divmod(position, len(self.lengths))
        return epoch, int(epoch_order(self.seed, epoch, len(self.lengths))[inside])


@lru_cache(maxsize=3)
def epoch_order(seed: int, epoch: int, count: int) -> Numbers:
    """The numbers below `count` in the order of an epoch."""
    return np.random.default_rng([seed, epoch, 0]).permutation(count)


@dataclass(frozen=True)
class Preparation:
    """How examples become a batch."""

    examples: Examples
    tokenizer: Tokenizer
    size: Size
    seed: int
    weighting: Weighting
    padding: int = 1  # lengths are a multiple of it

    def batch(self, places: Places) -> Batch:
        """The examples of these epochs and numbers, their images decoded and cut."""
        read = [
            self.examples.read(number, self.seed + EPOCH_SEEDS * epoch) for epoch, number in places
        ]
        crops = [load_crops(self.examples.release, one, self.size) for one in read]
        packed = [
            pack(image, one.annotations, self.tokenizer, self.size, self.weighting)
            for image, one in zip(crops, read, strict=True)
        ]
        return collate(packed, crops, self.padding)


class MicroBatches(Dataset[Batch | PixmoError]):
    """By step and number: the parts of this process's share of the step's batch."""

    def __init__(
        self, preparation: Preparation, order: Order, group: ProcessGroup, micro_batch: int
    ) -> None:
        self.preparation, self.order = preparation, order
        self.rank, self.processes, self.micro_batch = group.rank, group.size, micro_batch

    @property
    def per_step(self) -> int:
        """Micro-batches of a step, the same in every process."""
        return -(-self.order.batch_examples // (self.processes * self.micro_batch))

    def __getitem__(self, at: tuple[int, int]) -> Batch | PixmoError:
        """The micro-batch, or what is wrong with it: torch would wrap an error in a traceback."""
        step, number = at
        share = self.order.batch(step)[self.rank :: self.processes]
        start = number * self.micro_batch
        try:
            return self.preparation.batch(share[start : start + self.micro_batch])
        except PixmoError as error:
            return error


def stream(
    data: MicroBatches, steps: range, workers: int, pinned: bool = False
) -> Generator[list[Batch], None, None]:
    """Yield the micro-batches of each step, prepared ahead by worker processes.

    If `pinned` they are in memory that a GPU can read by itself.

    Raises:
        ReleaseError: an image cannot be read.
        TrainingError: a worker was killed.
    """
    loader = DataLoader(
        data,
        batch_size=None,
        sampler=((step, number) for step in steps for number in range(data.per_step)),
        num_workers=workers,
        pin_memory=pinned,
        collate_fn=unchanged,
        # Spawn, not fork: a fork copies the locks of threads that torch has started.
        multiprocessing_context="spawn" if workers else None,
        prefetch_factor=BATCHES_AHEAD if workers else None,
    )
    with deaf_children(), unterminated_children():
        found = iter(loader)
    try:
        for _ in steps:
            with lost_workers_told():
                batches = list(islice(found, data.per_step))
            yield [sound(batch) for batch in batches]
    finally:
        # Torch would end them when nobody refers to `found`, which an error's traceback does; at
        # the program's end, only by the signal that they do not hear.
        if isinstance(found, _MultiProcessingDataLoaderIter):
            found._shutdown_workers()


def unchanged(batch: Item) -> Item:
    """The batch as it is; torch would look for tensors to stack."""
    return batch


def sound(batch: Batch | PixmoError) -> Batch:
    """The batch, or its error raised."""
    if isinstance(batch, PixmoError):
        raise batch
    return batch

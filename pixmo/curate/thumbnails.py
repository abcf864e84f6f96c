"""Whether two pictures show the same, looked at closer than their perceptual hashes do.

Tables of one layout, or pages of one form, share the coarse waves that such hashes see. Here one
picture is laid over the other, moved and stretched a little as a crop would be, and what differs
then is compared with the picture's own contrast, in the parts where it differs most.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pixmo.curate.hamming import Integers
from pixmo.images.fingerprint import THUMBNAIL_SIDE as SIDE

if TYPE_CHECKING:
    import duckdb

Levels = npt.NDArray[np.uint8]
Floats = npt.NDArray[Any]  # of 32 bits

INNER = slice(3, -3)  # what a crop of a twentieth leaves in place at every edge
FIELDS = 8  # along a side
WORST = 6  # fields: a tenth of the picture
LEAST_CONTRAST = 4.0  # grey levels; noise in an empty picture is no difference
ROUNDS, LONGEST_STEP, FARTHEST = 4, 0.03, 0.08  # of a Gauss-Newton search; half sides of a picture
BATCH = 512  # pairs
# From -1 to 1 over a side.
PLACES: Floats = ((np.arange(SIDE, dtype=np.float32) + 0.5) * 2 / SIDE - 1).astype(np.float32)


class Thumbnails:
    """The thumbnails of a workspace's images: those that were asked for, on the disk, read once."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self._connection = connection
        self._place_of: dict[str, int] = {}  # -1 for an image that has none
        self._levels: Levels = np.zeros((0, SIDE, SIDE), np.uint8)

    def places(self, sha256s: Sequence[str]) -> Integers:
        """Where each image's thumbnail is among `levels`; -1 where it has none."""
        if missing := [sha256 for sha256 in sha256s if sha256 not in self._place_of]:
            self._read(missing)
        return np.array([self._place_of[sha256] for sha256 in sha256s], np.int64)

    def levels(self, places: Integers) -> Levels:
        """The thumbnails that are there, shape = (n, 64, 64)."""
        return self._levels[places]

    def _read(self, sha256s: Sequence[str]) -> None:
        """These images' thumbnails are among the others."""
        self._place_of |= dict.fromkeys(sha256s, -1)
        ((folder,),) = self._connection.execute(
            "select current_setting('temp_directory')"
        ).fetchall()
        Path(folder or tempfile.gettempdir()).mkdir(parents=True, exist_ok=True)
        self._connection.register("wanted", pa.table({"image_sha256": list(sha256s)}))
        rows = self._connection.sql("from image_thumbnails semi join wanted using (image_sha256)")
        # The file has no name, so none is left behind; it is in memory while there is room.
        with tempfile.TemporaryFile(dir=folder or None) as file:
            file.write(self._levels.tobytes())
            done = len(self._levels)
            for batch in rows.to_arrow_reader(BATCH):
                columns = (column.to_pylist() for column in batch.columns)
                for sha256, pixels in zip(*columns, strict=True):
                    if self._place_of[sha256] < 0:
                        self._place_of[sha256] = done
                        file.write(pixels)
                        done += 1
            file.flush()
            if done:
                self._levels = np.memmap(file, np.uint8, "r").reshape(-1, SIDE, SIDE)
        self._connection.unregister("wanted")


@dataclass(frozen=True)
class Looks:
    """What some pictures look like from afar; read when it is first asked for."""

    sha256s: Sequence[str]
    thumbnails: Thumbnails

    @cached_property
    def places(self) -> Integers:
        """Where their thumbnails are."""
        return self.thumbnails.places(self.sha256s)

    def differ(self, first: Integers, second: Integers, most: float) -> npt.NDArray[np.bool_]:
        """Whether picture first[i] differs from second[i] by more than `most`.

        Pictures without a thumbnail do not.
        """
        found = np.zeros(len(first), bool)
        one, other = self.places[first], self.places[second]
        known = np.flatnonzero((one >= 0) & (other >= 0))
        for start in range(0, len(known), BATCH):
            batch = known[start : start + BATCH]
            levels = [self.thumbnails.levels(side[batch]) for side in (one, other)]
            found[batch] = difference(levels[0], levels[1], most) > most
        return found


def difference(first: Levels, second: Levels, enough: float = 0.0) -> Floats:
    """How far picture first[i] is from second[i]; 0 is equal.

    Shapes: (n, 64, 64) twice give (n,). It is the root of the mean square of what differs, in units
    of the standard deviation of the picture, over the tenth of the picture where most does. Either
    is laid over the other, unless no more than `enough` is left before; whether it is at most
    `enough` is the same either way round.
    """
    one, other = first.astype(np.float32), second.astype(np.float32)
    found = worst(standard(one[:, INNER, INNER]) - standard(other[:, INNER, INNER]))
    for fixed, moving in ((one, other), (other, one)):
        far = np.flatnonzero(found > enough)
        if len(far):
            found[far] = np.minimum(found[far], laid_over(fixed[far], moving[far]))
    return found


def laid_over(fixed: Floats, moving: Floats) -> Floats:
    """What is left of the differences when each of `moving` is laid over its counterpart.

    It is moved and stretched along both axes: a Gauss-Newton search for the least squares (Baker
    and Matthews 2004, Lucas-Kanade 20 Years On). The edges are left out.
    """
    target = standard(fixed[:, INNER, INNER])
    best: Floats = np.full(len(target), np.inf, np.float32)
    # Of each pair: how much x is stretched and moved, and y.
    moved: Floats = np.zeros((len(target), 4), np.float32)
    for _ in range(ROUNDS):
        across = weights(PLACES * (1 + moved[:, :1]) + moved[:, 1:2])
        down = weights(PLACES * (1 + moved[:, 2:3]) + moved[:, 3:])
        seen = down @ moving @ across.transpose(0, 2, 1)
        left = target - standard(seen[:, INNER, INNER])
        best = np.minimum(best, worst(left))
        scale = SIDE / 2 / contrast(seen[:, INNER, INNER])
        slope_down, slope_across = (
            slope[:, INNER, INNER] * scale for slope in np.gradient(seen, axis=(1, 2))
        )
        slopes = np.stack(
            [
                slope_across * PLACES[INNER],
                slope_across,
                slope_down * PLACES[INNER, None],
                slope_down,
            ],
            axis=1,
        ).reshape(len(target), 4, -1)
        squares = slopes @ slopes.transpose(0, 2, 1)
        # A picture without slopes in one direction says nothing of it: then it is not moved there.
        squares += (
            np.eye(4, dtype=np.float32)
            * (1e-6 * np.trace(squares, axis1=1, axis2=2) + 1e-6)[:, None, None]
        )
        step = np.linalg.solve(squares, slopes @ left.reshape(len(left), -1, 1))[:, :, 0]
        moved += step.clip(-LONGEST_STEP, LONGEST_STEP)
        moved = moved.clip(-FARTHEST, FARTHEST)
    return best


def weights(at: Floats) -> Floats:
    """How much of each level along a side stands at these places, shape = (n, 64, 64): linear."""
    level = ((at + 1) * SIDE / 2 - 0.5).clip(0, SIDE - 1)
    distance = np.abs(level[:, :, None] - np.arange(SIDE, dtype=np.float32))
    share: Floats = (1 - distance).clip(min=0)
    return share


def standard(pictures: Floats) -> Floats:
    """Pictures of mean 0 and standard deviation 1."""
    found: Floats = (pictures - pictures.mean(axis=(1, 2), keepdims=True)) / contrast(pictures)
    return found


def contrast(pictures: Floats) -> Floats:
    """The standard deviation of each, at least that of noise."""
    found: Floats = pictures.std(axis=(1, 2), keepdims=True).clip(min=LEAST_CONTRAST)
    return found


def worst(left: Floats) -> Floats:
    """The root mean square over those fields of each picture that have the most of it."""
    side = left.shape[1] // FIELDS
    fields = left[:, : FIELDS * side, : FIELDS * side].reshape(-1, FIELDS, side, FIELDS, side)
    squares = np.sort((fields**2).mean(axis=(2, 4)).reshape(len(left), -1), axis=1)
    found: Floats = np.sqrt(squares[:, -WORST:].mean(axis=1))
    return found

"""A release of two gigabytes on its way to S3 servers of this machine, beside `aws s3 sync`.

Afterwards every byte is compared with the manifest.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from pixmo.publish.places import opened
from pixmo.publish.verify import verify
from tests import object_stores
from tests.benchmarks.watched import run_watched
from tests.object_stores import BUCKET, CREDENTIALS, client_of, program
from tests.published import write_manifest

MEGABYTES = 2_000
SHARD_MEGABYTES = 400  # about what the hub's viewer likes
IMAGES, IMAGE_BYTES = 1_000, 100_000
ROUNDS = 3
MOST_RATIO, MOST_MEGABYTES = 1.3, 300  # targets: of the time that aws takes; of memory
CHUNK_BYTES = 1 << 20


def make_release(root: Path, megabytes: int) -> Path:
    """A release of noise in the folder `root`: shards, and a twentieth of it images."""
    rng = Random(0)
    images = IMAGES * megabytes // MEGABYTES
    for number in range(images):
        write_noise(rng, root / f"images/{number:05d}.jpg", IMAGE_BYTES)
    left, number = megabytes * 10**6 - images * IMAGE_BYTES, 0
    while left > 0:
        size = min(left, SHARD_MEGABYTES * 10**6)
        write_noise(rng, root / f"pixmo-cap/train-{number:05d}.parquet", size)
        left, number = left - size, number + 1
    write_manifest(root)
    return root


def write_noise(rng: Random, path: Path, size: int) -> None:
    """`path` holds so many random bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, size, CHUNK_BYTES):
            file.write(rng.randbytes(min(CHUNK_BYTES, size - start)))


@contextlib.contextmanager
def serving(name: str, folder: Path) -> Iterator[str]:
    """A server with an empty bucket."""
    server = object_stores.moto() if name == "moto" else object_stores.ministack(folder)
    with server as url:
        client = client_of(url)
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield url


def timed(command: list[object], cwd: Path) -> tuple[float, float]:
    """The seconds that a command takes, and the megabytes that it takes at most."""
    started = time.perf_counter()
    _, taken = run_watched(command, cwd)
    return time.perf_counter() - started, max(taken)


def measure(name: str, release: Path, folder: Path) -> list[str]:
    """Seconds of both, their ratio, and the memory of both, on one server."""
    pixmo, aws = Path(sys.executable).with_name("pixmo"), program("aws")
    ours, theirs = [], []
    for number in range(ROUNDS):
        # A server of its own for each: what it holds already would slow the next.
        for results, what in ((ours, "pixmo"), (theirs, "aws")):
            data = folder / f"{name}-{number}-{what}"
            data.mkdir()
            with serving(name, data) as url:
                place = f"s3://{BUCKET}/{what}"
                sent = (
                    [pixmo, "publish", release, place, "--endpoint-url", url]
                    if what == "pixmo"
                    else [aws, "--endpoint-url", url, "s3", "sync", release, place, "--quiet"]
                )
                results.append(timed(sent, folder))
                if not verify(opened(place, url)).passed:
                    raise RuntimeError(f"{what}: what is on {name} is not what was sent")
            shutil.rmtree(data)
    seconds = [median(taken for taken, _ in results) for results in (ours, theirs)]
    memory = [max(most for _, most in results) for results in (ours, theirs)]
    return [
        *(f"{taken:.1f}" for taken in seconds),
        f"{seconds[0] / seconds[1]:.2f}",
        *(f"{most:.0f}" for most in memory),
    ]


def run(megabytes: int = MEGABYTES) -> dict[str, Any]:
    """Both commands on both servers, in turns."""
    os.environ.update(CREDENTIALS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release = make_release(folder / "v1", megabytes)
        rows = {server: measure(server, release, folder) for server in ("moto", "ministack")}
    ratios, memory = ([float(row[column]) for row in rows.values()] for column in (2, 3))
    outcomes = [
        "met" if max(taken) <= most else "MISSED"
        for taken, most in ((ratios, MOST_RATIO), (memory, MOST_MEGABYTES))
    ]
    return {
        "title": f"A release of {megabytes / 1000:.1f} GB published to S3 servers of this machine,"
        " beside `aws s3 sync` of the same files",
        "columns": ["pixmo, s", "aws, s", "ratio", "pixmo, MB", "aws, MB"],
        "rows": rows,
        "notes": [
            f"At most {MOST_RATIO} times the time that aws takes is the target: {outcomes[0]}. At"
            f" most {MOST_MEGABYTES} MB of memory is, too: {outcomes[1]}.",
            f"Whole commands, median of {ROUNDS} in turns, each on an empty server that shares the"
            " processor; memory is the most that was seen. pixmo first compares every file with"
            " the manifest, then sends a sha256 with every part; aws sends CRCs. moto believes"
            " checksums, ministack computes them again.",
        ],
    }

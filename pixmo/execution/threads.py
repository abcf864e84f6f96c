"""Map a function that waits for others, such as a server, over items in threads."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 16  # items begun per thread while an earlier one is waited for; this bounds the memory
GRACE_SECONDS = 10.0


def map_in_threads(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    stop: threading.Event,
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order, with at most `threads` of them at work.

    `items` are asked for one by one, in the calling thread, and only as results are taken away.
    What `function` raises first is raised here, after the results before it. `stop` is set once
    nothing more is wanted: no further item is begun, and what is at work then has `GRACE_SECONDS`
    to end, and is abandoned after them.
    """
    work: SimpleQueue[tuple[Future[Result], Item] | None] = SimpleQueue()
    failures: list[BaseException] = []

    def take(future: Future[Result]) -> Result:
        try:
            return future.result()
        except Exception:  # noqa: BLE001 - whatever it is, the first one is raised
            # Often only the consequence: the first failure stops all others.
            raise failures[0] from None

    # Daemons: a server that never answers must not keep the process from ending.
    workers = [
        threading.Thread(target=serve, args=(function, work, stop, failures), daemon=True)
        for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            future: Future[Result] = Future()
            work.put((future, item))
            waiting.append(future)
            while waiting and (waiting[0].done() or len(waiting) >= threads * AHEAD):
                yield take(waiting.popleft())
        while waiting:
            yield take(waiting.popleft())
    finally:
        stop.set()
        for future in waiting:
            future.cancel()
        for _ in workers:
            work.put(None)
        end = time.monotonic() + GRACE_SECONDS
        for worker in workers:
            worker.join(max(0.0, end - time.monotonic()))


def serve(
    function: Callable[[Item], Result],
    work: "SimpleQueue[tuple[Future[Result], Item] | None]",
    stop: threading.Event,
    failures: list[BaseException],
) -> None:
    """Every piece of `work` up to the None is done, or cancelled where `stop` was set before it."""
    while (piece := work.get()) is not None:
        future, item = piece
        if stop.is_set():
            future.cancel()
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function(item))
            except BaseException as error:  # noqa: BLE001 - raised again where the result is taken
                failures.append(error)
                stop.set()
                future.set_exception(error)

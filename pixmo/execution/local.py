"""Map a function over items on this machine, results in the items' order."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from pixmo.errors import ExecutionError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Below this many items a pool costs more than it saves.
FEWEST_ITEMS_FOR_A_POOL = 64
CHUNK_ITEMS = 16


def map_ordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    fewest_items: int = FEWEST_ITEMS_FOR_A_POOL,
    items_ahead: int | None = None,
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order; in so many processes beside this one.

    0 workers: in this one. Default: one a core, or none where a pool costs more than it saves.
    `function` can be pickled; what it raises is raised here. At most `items_ahead` results wait to
    be taken (default: a few chunks a worker), so memory is bounded however many items there are.

    Raises:
        ExecutionError: a process was killed.
    """
    pending = list(items)
    cores = os.cpu_count() or 1
    processes = workers if workers is not None else cores if cores > 1 else 0
    if processes < 1 or len(pending) < fewest_items:
        yield from map(function, pending)
        return
    chunk = CHUNK_ITEMS if items_ahead is None else 1
    ahead = items_ahead or 2 * CHUNK_ITEMS * processes
    chunks = (pending[start : start + chunk] for start in range(0, len(pending), chunk))
    # Spawn, not fork: a fork copies the locks of threads that other libraries have started.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=end_with_parent) as pool:
        waiting: deque[Future[list[Result]]] = deque()
        try:
            while True:
                with deaf_children():
                    for some in islice(chunks, max(1, ahead // chunk) - len(waiting)):
                        waiting.append(pool.submit(apply, function, some))
                if not waiting:
                    return
                yield from waiting.popleft().result()
        except BrokenProcessPool as error:
            raise ExecutionError(
                "a worker process was killed, most often for want of memory; what was finished is"
                " kept, run the same command to go on"
            ) from error
        finally:  # whoever asked may want no more
            pool.shutdown(wait=False, cancel_futures=True)


def apply(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    """`function` of every item; one message to a process holds several."""
    return list(map(function, items))


def end_with_parent() -> None:
    """This process ends when its parent does, even one that was killed and could not say so."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Processes started meanwhile do not hear Ctrl-C: their parent does, and stops them.

    A terminal sends it to all of them, and each would print a traceback of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

"""Map a function over items on this machine, results in the items' order."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Below this many items a pool costs more than it saves.
FEWEST_ITEMS_FOR_A_POOL = 64
CHUNK_ITEMS = 16


def map_ordered(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order; in `workers` processes (default: cores).

    `function` is a module-level function; what it raises is raised here.
    """
    pending = list(items)
    processes = workers if workers is not None else os.cpu_count() or 1
    if processes < 2 or len(pending) < FEWEST_ITEMS_FOR_A_POOL:
        yield from map(function, pending)
        return
    # Spawn, not fork: a fork copies the locks of threads that other libraries have started.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        with deaf_children():
            results = pool.map(function, pending, chunksize=CHUNK_ITEMS)
        yield from results


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

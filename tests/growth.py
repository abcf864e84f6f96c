"""How the time of some work grows with its size; a ratio, so that slow machines pass, too."""

import time
from collections.abc import Callable
from typing import TypeVar

Prepared = TypeVar("Prepared")
TIMES = 4
MOST = 9.0  # where time grows with the size 4 times, with its square 16 times
ROUNDS = 2


def grows_evenly(
    size: int, prepare: Callable[[int], Prepared], work: Callable[[Prepared], object]
) -> bool:
    """Whether four times as much to do takes hardly more than four times the processor's time."""

    def seconds(of: int) -> float:
        taken = []
        for _ in range(ROUNDS):
            prepared = prepare(of)
            start = time.process_time()
            work(prepared)
            taken.append(time.process_time() - start)
        return min(taken)

    return seconds(TIMES * size) < MOST * seconds(size)

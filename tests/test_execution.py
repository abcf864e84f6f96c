"""pixmo.execution.local: work in processes, in order, never far ahead of who takes the results."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pixmo.errors import AudioError, ExecutionError
from pixmo.execution.local import map_ordered


def slow_square(number: int) -> int:
    time.sleep(0.02 * (number % 3))
    return number * number


def touch(path: Path) -> Path:
    path.touch()
    return path


def own_process(_: int) -> int:
    return os.getpid()


def dies_at_five(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuses_three(number: int) -> int:
    if number == 3:
        raise AudioError("damaged recording: three")
    return number


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    found = map_ordered(slow_square, range(40), workers, fewest_items=0, items_ahead=4)
    assert list(found) == [number * number for number in range(40)]


def test_nothing_runs_far_ahead_of_who_takes_the_results(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:03}" for number in range(100)]
    found = map_ordered(touch, paths, 1, fewest_items=0, items_ahead=8)
    for taken in range(1, 30):
        next(found)
        time.sleep(0.01)
        assert len(list(tmp_path.iterdir())) <= taken + 8 + 8
    found.close()
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) < 60


def test_few_items_and_no_workers_need_no_process() -> None:
    assert set(map_ordered(own_process, range(5), 2)) == {os.getpid()}
    assert set(map_ordered(own_process, range(5), 0, fewest_items=0)) == {os.getpid()}
    assert os.getpid() not in set(map_ordered(own_process, range(5), 1, fewest_items=0))


def test_a_killed_process_is_named_and_what_came_before_is_kept() -> None:
    found = map_ordered(dies_at_five, range(10), 1, fewest_items=0, items_ahead=2)
    kept: list[int] = []
    with pytest.raises(ExecutionError, match=r"a worker process was killed.*run the same command"):
        kept.extend(found)
    assert kept == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("workers", [0, 1])
def test_what_the_function_raises_is_raised(workers: int) -> None:
    found = map_ordered(refuses_three, range(10), workers, fewest_items=0, items_ahead=2)
    assert [next(found), next(found), next(found)] == [0, 1, 2]
    with pytest.raises(AudioError, match="damaged recording: three"):
        next(found)


PARENT = """
from pixmo.execution.local import map_ordered
from tests.test_execution import own_process_slowly

if __name__ == "__main__":
    for process in map_ordered(own_process_slowly, range(100), 1, fewest_items=0, items_ahead=2):
        print(process, flush=True)
"""


def own_process_slowly(_: int) -> int:
    time.sleep(0.1)
    return os.getpid()


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    root = Path(__file__).parents[1]
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert parent.stdout is not None
    with parent.stdout:
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)  # it is there
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 20
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(worker)


def is_running(process: int) -> bool:
    """Whether it is there, and not only as a name that nobody has asked after."""
    try:
        return "(zombie)" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False

"""How a run hears that it is to stop, and that a worker is lost; its workers hear no SIGTERM."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from types import FrameType

from pixmo.errors import TrainingError


@contextlib.contextmanager
def stop_asked() -> Iterator[Callable[[], bool]]:
    """A context whose value says whether Ctrl-C or SIGTERM asked to stop; a second Ctrl-C does.

    A second SIGTERM does not: `timeout` sends it to a process and then to its whole group.
    """
    asked = False

    def ask(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # only the main thread may say what a signal does
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def lost_workers_told() -> Iterator[None]:
    """A context in which a worker that is gone is an error that says what to change.

    Torch tells the main thread as soon as it hears of it, whatever that does just then; of a batch
    that was on its way the pipe's end may be heard first.

    Raises:
        TrainingError: a worker was killed, or had no room for its batch.
    """
    try:
        yield
    except (RuntimeError, EOFError, ConnectionError) as error:
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        reason = str(error).strip(" .") or "its pipe ended"
        raise TrainingError(
            f"a process that prepares batches was lost: {reason}; most often memory, or shared"
            " memory in a container, is short: use fewer --workers, 0 for none"
        ) from error


@contextlib.contextmanager
def unterminated_children() -> Iterator[None]:
    """Processes started meanwhile do not hear SIGTERM: their parent does, and ends them.

    A scheduler sends it to all of them, and the parent needs them for its last step. It is blocked,
    not ignored: torch has its workers hear it again, and the parent is to hear of one that comes
    now.
    """
    resource_tracker.ensure_running()  # its own start would unblock it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

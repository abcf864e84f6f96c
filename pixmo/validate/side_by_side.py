"""All runs of the probe at once: a process each, a thread each, one progress bar."""

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from pixmo.errors import PixmoError, TrainingError
from pixmo.execution.local import deaf_children
from pixmo.execution.progress import Advance, Progress
from pixmo.validate.probe_run import ProbeRun, RunResult, run, stored_result

# A child sends the steps it has done, at the end True, or the message of an error.
Message = int | bool | str
REPORT_STEPS = 5


def run_side_by_side(jobs: Sequence[ProbeRun], progress: Progress) -> list[RunResult]:
    """The results of all jobs, in order; those that are stored are not run again.

    Raises:
        TrainingError: a run stopped before its end; what finished is kept.
    """
    waiting = [job for job in jobs if stored_result(job.folder, job.key) is None]
    steps = sum(job.most_steps for job in waiting)
    if waiting:
        with progress.task("Training the probe and its controls", steps, "steps") as advance:
            run_processes(waiting, advance)
    results = []
    for job in jobs:
        result = stored_result(job.folder, job.key)
        if result is None:
            raise TrainingError(f"another probe has written to {job.folder}; run this one again")
        results.append(result)
    return results


def run_processes(jobs: Sequence[ProbeRun], advance: Advance) -> None:
    """Every job has run in a process of its own.

    Raises:
        TrainingError: one stopped before its end; the others are stopped, too.
    """
    # Spawn, not fork: a fork copies the locks of threads that torch has started.
    context = multiprocessing.get_context("spawn")
    children: dict[Connection, tuple[ProbeRun, SpawnProcess]] = {}
    try:
        for job in jobs:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=run_in_child, args=(job, sender), daemon=True)
            with deaf_children():
                process.start()
            sender.close()  # the child's end only, so that its death is seen as the pipe's end
            children[receiver] = (job, process)
        listen(dict(children), advance)
    finally:
        for _, process in children.values():
            process.terminate()
            process.join()


def listen(children: dict[Connection, tuple[ProbeRun, SpawnProcess]], advance: Advance) -> None:
    """Every child has said that it is done; `advance` was told their steps."""
    while children:
        for receiver in wait(list(children)):
            if not isinstance(receiver, Connection):
                continue
            job, process = children[receiver]
            try:
                message: Message = receiver.recv()
            except EOFError as error:
                process.join()
                raise TrainingError(
                    f"the probe's run in {job.folder} stopped with exit status {process.exitcode};"
                    " run it again: what finished is kept"
                ) from error
            if isinstance(message, str):
                raise TrainingError(f"the probe's run in {job.folder} stopped: {message}")
            if message is True:
                process.join()
                del children[receiver]
            else:
                advance(message)


def run_in_child(job: ProbeRun, sender: Connection) -> None:
    """The job is done, in one thread, and the parent told so; or told why it is not."""
    import torch

    torch.set_num_threads(1)
    unsaid = 0

    def advance(steps: int) -> None:
        nonlocal unsaid
        unsaid += steps
        if unsaid >= REPORT_STEPS:
            sender.send(unsaid)
            unsaid = 0

    try:
        run(job, advance)
        sender.send(unsaid)
        sender.send(True)
    except PixmoError as error:
        sender.send(str(error))
    except BrokenPipeError:
        return  # the parent was stopped: nobody waits for the result

"""A command run to its end, its memory looked at on the way."""

import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

LOOK_SECONDS = 0.5


def run_watched(command: Sequence[object], cwd: Path | None = None) -> tuple[str, list[float]]:
    """What the command prints, and the megabytes that it and all it started took, over time.

    Raises:
        RuntimeError: it fails; the message has what it said.
    """
    process = subprocess.Popen(
        list(map(str, command)), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    taken = [0.0]

    def watch() -> None:
        while process.poll() is None:
            taken.append(memory(process.pid))
            time.sleep(LOOK_SECONDS)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, errors = process.communicate()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{errors}")
    return output, taken


def memory(process: int) -> float:
    """Megabytes of a process and all that it started; what they share counts once."""
    total = 0.0
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
        for task in Path(f"/proc/{process}/task").iterdir():
            total += sum(memory(int(child)) for child in (task / "children").read_text().split())
    except OSError:  # it has just ended
        pass
    return total

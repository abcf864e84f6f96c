"""Pulling again and again, whatever goes wrong meanwhile, and sooner when something hints."""

import contextlib
import queue
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields

from pixmo.errors import LabelError, PixmoError, ServerAwayError
from pixmo.label.controls import interfaces
from pixmo.label.pull import Pulled, pull
from pixmo.label.push import state_file
from pixmo.label.studio import Studio
from pixmo.label.webhooks import register
from pixmo.text import counted
from pixmo.workspace.workspace import Workspace

HINT, END = "hint", "end"
SETTLE_SECONDS = 1.0  # a webhook is sent before its request is done; more of them often follow
LONGEST_PAUSE_SECONDS = 60.0  # between two tries while something is wrong


def pushed_subsets(workspace: Workspace, wanted: Sequence[str]) -> list[str]:
    """The subsets to watch: those wanted, or else all that were pushed.

    Raises:
        LabelError: one that is wanted was not pushed or is no subset, or none was pushed.
    """
    for subset in wanted:
        if subset not in interfaces():
            raise LabelError(f"there is no subset {subset}; name some of {', '.join(interfaces())}")
        if not state_file(workspace, subset).exists():
            raise LabelError(
                f"no project of {subset} was pushed from here; first: pixmo label push {subset}"
            )
    found = [subset for subset in interfaces() if state_file(workspace, subset).exists()]
    if not found:
        raise LabelError("no project was pushed from here; first: pixmo label push")
    return list(dict.fromkeys(wanted)) or found


@dataclass
class Watch:
    """A watch over some subsets; `say` gets a line when something came or went wrong."""

    workspace: Workspace
    studio: Studio
    subsets: Sequence[str]
    every_seconds: float
    say: Callable[[str], None]
    webhook: str | None = None  # where the server is to send its hints
    # The one queue that a signal handler may fill.
    heard: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    registered: set[str] = field(default_factory=set)  # subsets whose project sends them
    total: Pulled = field(default_factory=lambda: Pulled(*[0] * len(fields(Pulled))))

    def run(self) -> None:
        """Every subset is pulled until `end`."""
        trouble: str | None = None
        tries = 0
        while True:
            before, trouble = trouble, self.round()
            if trouble and trouble != before:
                self.say(f"{trouble}; trying again, at least once a minute")
            elif before and not trouble:
                self.say("all is well again")
            tries = tries + 1 if trouble else 0
            pause = retry_seconds(tries) if tries else self.every_seconds
            if self.waited(pause) == END:
                return

    def round(self) -> str | None:
        """Every subset is pulled once; returns what went wrong, None where nothing did."""
        trouble = None
        for subset in self.subsets:
            for work in (self.ask_for_hints, self.pull):
                try:
                    work(subset)
                except ServerAwayError:  # why exactly changes from try to try
                    return f"Label Studio at {self.studio.url} is away"
                except (PixmoError, OSError) as error:  # the disk may be full for a while
                    trouble = str(error)
        return trouble

    def ask_for_hints(self, subset: str) -> None:
        """The server sends them to the webhook, if there is one."""
        if self.webhook is not None and subset not in self.registered:
            register(self.workspace, self.studio, subset, self.webhook)
            self.registered.add(subset)

    def pull(self, subset: str) -> None:
        """What is new of the subset is there, and was said."""
        came = pull(self.workspace, self.studio, subset)
        if came.added or came.deleted or came.back:
            self.say(f"{subset}: {described(came)}")
        self.total = plus(self.total, came)

    def waited(self, seconds: float) -> str | None:
        """Wait so long, or until a hint or the end; returns which."""
        try:
            heard = {self.heard.get(timeout=seconds)}
        except queue.Empty:
            return None
        if HINT in heard:
            time.sleep(SETTLE_SECONDS)
        while not self.heard.empty():
            heard.add(self.heard.get())
        return END if END in heard else HINT

    def hint(self) -> None:
        """The next pull comes at once."""
        if self.heard.empty():
            self.heard.put(HINT)

    def end(self) -> None:
        """There is none after the one under way."""
        self.heard.put(END)


def retry_seconds(tries: int) -> float:
    """How long to wait after so many tries that failed."""
    return min(2.0 ** min(tries, 10), LONGEST_PAUSE_SECONDS)


def plus(one: Pulled, other: Pulled) -> Pulled:
    """What two pulls brought together."""
    names = [each.name for each in fields(Pulled)]
    return Pulled(**{name: getattr(one, name) + getattr(other, name) for name in names})


def described(pulled: Pulled) -> str:
    """What a pull brought, in words, less what it did not."""
    counts = {
        counted(pulled.added, "annotation"): pulled.added,
        f"{pulled.deleted} deleted": pulled.deleted,
        f"{pulled.back} there again": pulled.back,
        counted(pulled.points, "point annotation"): pulled.points,
        counted(pulled.answers, "answer"): pulled.answers,
        counted(pulled.questions, "question"): pulled.questions,
        counted(pulled.caption_reviews, "caption review"): pulled.caption_reviews,
        f"{pulled.set_aside} set aside": pulled.set_aside,
    }
    return ", ".join(text for text, count in counts.items() if count) or "nothing"


@contextlib.contextmanager
def on_ctrl_c(end: Callable[[], None]) -> Iterator[None]:
    """A context in which Ctrl-C or SIGTERM calls `end`; a second one stops at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def heard(*_: object) -> None:
        restore()
        end()

    for number in before:
        signal.signal(number, heard)
    try:
        yield
    finally:
        restore()

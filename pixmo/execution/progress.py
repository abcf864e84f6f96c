"""How long work says how far it is, without knowing where that is shown."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """Shows long work to a person; the command line brings one that draws bars."""

    def task(
        self, description: str, total: int, unit: str
    ) -> contextlib.AbstractContextManager[Advance]:
        """A context whose value is called with the number of units just finished."""
        ...


class Silent:
    """Shows nothing."""

    @contextlib.contextmanager
    def task(self, description: str, total: int, unit: str) -> Iterator[Advance]:  # noqa: ARG002
        """Counts nothing and shows nothing."""
        yield lambda _: None


SILENT = Silent()

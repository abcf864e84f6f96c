"""How long work says how far it is, without knowing where that is shown."""

import contextlib
from collections.abc import Iterator
from typing import Protocol


class Advance(Protocol):
    """Says that units are finished, and what else is worth showing."""

    def __call__(self, count: int, note: str = "") -> None:
        """So many more units."""
        ...


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
        yield lambda count, note="": None  # noqa: ARG005


SILENT = Silent()

"""What was seen and when: a growing list that one thread fills and others wait on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Stamped(Protocol):
    """Anything with the wall time at which it was seen."""

    @property
    def at(self) -> float:
        """Wall time, seconds."""


Entry = TypeVar("Entry", bound=Stamped)


class Record(Generic[Entry]):
    """Entries in the order in which they were seen."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._grown = threading.Condition(threading.RLock())

    def add(self, entry: Entry) -> None:
        """Appends, and wakes whoever waits."""
        with self._grown:
            self._entries.append(entry)
            self._grown.notify_all()

    def since(self, at: float = 0.0) -> list[Entry]:
        """What was seen at this wall time or later."""
        with self._grown:
            return [entry for entry in self._entries if entry.at >= at]

    def first(self, wanted: Callable[[Entry], bool], since: float = 0.0) -> Entry | None:
        """The first matching entry seen at this wall time or later, if there is one yet."""
        return next(filter(wanted, self.since(since)), None)

    def wait_for(self, wanted: Callable[[Entry], bool], timeout_s: float, since: float = 0.0) -> Entry | None:
        """The first matching entry, waiting for it; None when the time is up."""
        with self._grown:
            self._grown.wait_for(lambda: self.first(wanted, since), timeout_s)
            return self.first(wanted, since)

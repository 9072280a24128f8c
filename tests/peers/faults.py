"""The six kinds of fault that detection is measured on: how to give one, how to heal it, and how each side names it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from gpuwarden import Line
from load import Flow, Load, infer_target
from prometheus import Alert
from standin import Standin
from triton import Model, Triton, TritonError, bad, fast, flaky, slow

UNLOAD_GRACE_S = 5.0
ERROR_TRAFFIC_RATE = 20.0
HELD_REQUESTS = 40


@dataclass(frozen=True)
class Given:
    """A fault that was given: when it counts from, and when its cause was set, which is the same but for a grace."""

    at: float
    caused_at: float


class Fault(ABC):
    """One kind of fault, with subjects to give it to, each of which stays apart from the others."""

    kind: str
    rules: frozenset[str]
    alert: str | None = None
    # How long a subject must have run as `prepare` leaves it before a fault on it means anything.
    warm_up_s = 0.0

    def __init__(self, subjects: Sequence[str]) -> None:
        self.subjects = subjects

    def prepare(self, subject: str) -> None:
        """Brings the subject into the healthy state that the fault ends."""

    @abstractmethod
    def give(self, subject: str) -> Given:
        """The fault."""

    @abstractmethod
    def heal(self, subject: str) -> None:
        """The end of the fault."""

    def names(self, subject: str) -> tuple[str, ...]:
        """What a subject of ours must be called."""
        return (subject,)

    def ours(self, line: Line, subject: str) -> bool:
        """Whether this line of the watch tells of this fault on this subject."""
        return line.change != "snapshot" and line.concerns(*self.names(subject), rules=self.rules)

    def theirs(self, alert: Alert, subject: str) -> bool:
        """Whether this alert tells of it."""
        return alert.firing and alert.name == self.alert and alert.labels.get("model") == subject


class QueueBackup(Fault):
    """40 requests held in flight on a model that serves 10 a second; counts from the first of them."""

    kind = "queue_backup"
    rules = frozenset({"queue-backup"})
    alert = "QueueBackup"

    def __init__(self, triton: Triton, load: Load, subjects: Sequence[str]) -> None:
        super().__init__(subjects)
        self._triton = triton
        self._load = load
        self._flows: dict[str, Flow] = {}

    def give(self, subject: str) -> Given:
        """Returns when the first request is out."""
        flow = self._load.hold(infer_target(self._triton.http_port, subject), HELD_REQUESTS)
        self._flows[subject] = flow
        while flow.outcomes.first_sent_at is None:
            time.sleep(0.001)
        return Given(flow.outcomes.first_sent_at, flow.outcomes.first_sent_at)

    def heal(self, subject: str) -> None:
        """The queue drains by itself in 4 s."""
        self._flows.pop(subject).stop()


class Errors(Fault):
    """Half of 20 requests a second raise; counts from the write to the control file."""

    kind = "errors"
    rules = frozenset({"error-rate-high"})
    alert = "ErrorRate"
    warm_up_s = 8.0

    def __init__(self, triton: Triton, load: Load, subjects: Sequence[str]) -> None:
        super().__init__(subjects)
        self._triton = triton
        self._load = load
        self._flows: dict[str, Flow] = {}

    def prepare(self, subject: str) -> None:
        """Traffic of which nothing fails, so that whatever is heard before the fault is early."""
        self._triton.repository.fail(subject, 0.0)
        target = infer_target(self._triton.http_port, subject)
        self._flows[subject] = self._load.poisson(target, ERROR_TRAFFIC_RATE)

    def give(self, subject: str) -> Given:
        """The next request to come may fail."""
        at = time.time()
        self._triton.repository.fail(subject, 0.5)
        return Given(at, at)

    def heal(self, subject: str) -> None:
        """Ends the traffic too."""
        self._triton.repository.fail(subject, 0.0)
        self._flows.pop(subject).stop()


class LoadFailure(Fault):
    """A new version that does not load: unloaded, and the load call answers with an error, from which it counts."""

    kind = "load_failure"
    rules = frozenset({"model-unavailable"})
    alert = "ModelUnavailable"

    def __init__(self, triton: Triton, subjects: Sequence[str]) -> None:
        super().__init__(subjects)
        self._triton = triton

    def give(self, subject: str) -> Given:
        """Takes as long as the load takes to fail."""
        self._triton.repository.spoil(subject)
        caused_at = time.time()
        self._triton.unload(subject)
        try:
            self._triton.load(subject)
        except TritonError:
            return Given(time.time(), caused_at)
        raise RuntimeError(f"{subject} was to fail and has loaded")

    def heal(self, subject: str) -> None:
        """A version that loads."""
        self._triton.repository.mend(subject)
        self._triton.load(subject)


class Unloaded(Fault):
    """A model unloaded and not brought back; counts from the end of the grace that a deploy is given."""

    kind = "model_unloaded"
    rules = frozenset({"model-unavailable"})
    alert = "ModelUnavailable"

    def __init__(self, triton: Triton, subjects: Sequence[str], grace_s: float = UNLOAD_GRACE_S) -> None:
        super().__init__(subjects)
        self._triton = triton
        self._grace_s = grace_s

    def give(self, subject: str) -> Given:
        """Returns at once, before the grace is over."""
        caused_at = time.time()
        self._triton.unload(subject)
        return Given(caused_at + self._grace_s, caused_at)

    def heal(self, subject: str) -> None:
        """It is loaded again."""
        self._triton.load(subject)


class Killed(Fault):
    """A server killed with SIGKILL; counts from just before the signal."""

    kind = "server_killed"
    rules = frozenset({"server-unavailable"})
    alert = "TritonDown"

    def __init__(self, tritons: Sequence[Triton]) -> None:
        super().__init__([triton.name for triton in tritons])
        self._tritons = {triton.name: triton for triton in tritons}

    def give(self, subject: str) -> Given:
        """The server is gone when this returns."""
        at = time.time()
        self._tritons[subject].kill()
        return Given(at, at)

    def heal(self, subject: str) -> None:
        """On the same ports."""
        self._tritons[subject].restart()

    def theirs(self, alert: Alert, subject: str) -> bool:
        """Prometheus knows servers by their metrics port."""
        instance = f"127.0.0.1:{self._tritons[subject].metrics_port}"
        return alert.firing and alert.name == self.alert and alert.labels.get("instance") == instance


class MemoryExhausted(Fault):
    """All memory of a GPU in use; counts from the command to the stand-in. Prometheus has no exporter to see it by."""

    kind = "memory_exhausted"
    rules = frozenset({"gpu-memory-exhausted"})

    def __init__(self, standin: Standin) -> None:
        super().__init__(standin.uuids)
        self._standin = standin

    def give(self, subject: str) -> Given:
        """Every reading that begins after this returns sees it."""
        at = time.time()
        self._standin.fill(self.subjects.index(subject))
        return Given(at, at)

    def heal(self, subject: str) -> None:
        """The memory is free again."""
        self._standin.relieve(self.subjects.index(subject))


class Ground:
    """Everything that faults are given to, with as many subjects of each kind as there will be faults of it."""

    def __init__(self, count: int) -> None:
        self._slow = [f"slow_{number:02}" for number in range(count)]
        self._flaky = [f"flaky_{number:02}" for number in range(count)]
        self._fast = [f"fast_{number:02}" for number in range(count)]
        self._bad = [f"bad_{number:02}" for number in range(count)]
        self.servers = [f"empty_{number:02}" for number in range(count)]

    def models(self) -> list[Model]:
        """The models of the main server."""
        sound_at_first = [bad(name, loaded=True) for name in self._bad]
        return [*map(slow, self._slow), *map(flaky, self._flaky), *map(fast, self._fast), *sound_at_first]

    def faults(self, main: Triton, empty: Sequence[Triton], load: Load, standin: Standin) -> list[Fault]:
        """The six kinds."""
        return [
            QueueBackup(main, load, self._slow),
            Errors(main, load, self._flaky),
            LoadFailure(main, self._bad),
            Unloaded(main, self._fast),
            Killed(empty),
            MemoryExhausted(standin),
        ]

"""A healthy, bursty load: busy, uneven, deploying, now and then failing, and nothing in it is worth an incident.

Poisson arrivals at half capacity; bursts of 12 to 18 requests on a 10/s model every 20 to 40 s, each answered in full
in under 3 s; 1 % random failures at 20 requests a second; every 45 s a deploy: unload, and the load call within 3 s.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from load import Flow, Load, Target, infer_target
from triton import Model, Triton, fast, flaky, slow

SLOW_MODELS = ("slow_0", "slow_1", "slow_2", "slow_3")
FAST_MODELS = ("fast_0", "fast_1", "fast_2", "fast_3", "fast_4", "fast_5", "fast_6")
FLAKY_MODEL = "flaky_0"
BURSTY_MODEL = SLOW_MODELS[0]
# A fast model's capacity is in the thousands: half of that would only measure this machine.
FAST_RATE = 2.0
FLAKY_RATE = 20.0
SLOW_RATE = 5.0
BURST_SIZE = (12, 18)
BURST_EVERY_S = (20.0, 40.0)
DEPLOY_EVERY_S = 45.0
DEPLOY_PAUSE_S = (0.5, 2.5)
# Deployed in turn: models with little traffic, and one whose queue is in use.
DEPLOYED = (*FAST_MODELS[:3], SLOW_MODELS[3])


def models() -> list[Model]:
    """The twelve models that this load is made for."""
    return [*map(slow, SLOW_MODELS), *map(fast, FAST_MODELS), flaky(FLAKY_MODEL)]


@dataclass(frozen=True)
class Deploy:
    """One deploy, wall times: the unload call, the load call, and when that call returned."""

    model: str
    unload_at: float
    load_at: float
    loaded_at: float


@dataclass(frozen=True)
class Burst:
    """One burst: when it was sent, and how long until its last request was answered."""

    at: float
    size: int
    drained_s: float


@dataclass
class Journal:
    """What the load did."""

    deploys: list[Deploy] = field(default_factory=list)
    bursts: list[Burst] = field(default_factory=list)

    def longest_drain_s(self) -> float:
        """The slowest burst; 0 when there was none."""
        return max((burst.drained_s for burst in self.bursts), default=0.0)

    def as_json(self) -> dict[str, Any]:
        """For a file beside the results."""
        return asdict(self)


class HealthyLoad:
    """The load, running from enter to exit on a Triton that serves `models()`. The same seed plans the same load."""

    def __init__(self, triton: Triton, load: Load, seed: int = 1, bursty_rate: float = SLOW_RATE) -> None:
        self.journal = Journal()
        self._triton = triton
        self._load = load
        self._luck = random.Random(seed)
        self._rates = {
            **dict.fromkeys(SLOW_MODELS, SLOW_RATE),
            **dict.fromkeys(FAST_MODELS, FAST_RATE),
            FLAKY_MODEL: FLAKY_RATE,
            BURSTY_MODEL: bursty_rate,
        }
        self._flows: dict[str, Flow] = {}
        self._stopping = threading.Event()
        self._trouble: list[BaseException] = []
        bursts, deploys = random.Random(self._luck.random()), random.Random(self._luck.random())
        self._threads = [
            threading.Thread(target=self._guard, args=(self._burst_now_and_then, bursts), name="bursts", daemon=True),
            threading.Thread(target=self._guard, args=(self._deploy_in_turn, deploys), name="deploys", daemon=True),
        ]

    def __enter__(self) -> HealthyLoad:
        for model, rate in self._rates.items():
            self._flows[model] = self._load.poisson(self._target(model), rate)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops; a deploy that has begun is finished first."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for flow in self._flows.values():
            flow.stop()

    def check(self) -> None:
        """Raises what ended the bursts or the deploys before their time, if anything did."""
        if self._trouble:
            raise self._trouble[0]

    def sent(self) -> int:
        """Requests sent so far, bursts not counted."""
        return sum(flow.outcomes.sent for flow in self._flows.values())

    def _burst_now_and_then(self, luck: random.Random) -> None:
        while not self._stopping.wait(luck.uniform(*BURST_EVERY_S)):
            size, at = luck.randint(*BURST_SIZE), time.time()
            flow = self._load.burst(self._target(BURSTY_MODEL), size)
            flow.wait()
            self.journal.bursts.append(Burst(at, size, flow.outcomes.longest_s))

    def _deploy_in_turn(self, luck: random.Random) -> None:
        begun = time.monotonic()
        for turn in range(1_000_000):
            due = begun + DEPLOY_EVERY_S * (turn + 0.5)
            if self._stopping.wait(max(0.0, due - time.monotonic())):
                return
            self.journal.deploys.append(deploy(self._triton, DEPLOYED[turn % len(DEPLOYED)], luck))

    def _guard(self, run: Callable[[random.Random], None], luck: random.Random) -> None:
        try:
            run(luck)
        except Exception as trouble:  # it is raised again by `check`, on the thread that can act on it
            self._trouble.append(trouble)

    def _target(self, model: str) -> Target:
        return infer_target(self._triton.http_port, model)


def deploy(triton: Triton, model: str, luck: random.Random) -> Deploy:
    """Unloads a model and loads it again within 3 s, as a deploy of a new version does."""
    unload_at = time.time()
    triton.unload(model)
    time.sleep(luck.uniform(*DEPLOY_PAUSE_S))
    load_at = time.time()
    triton.load(model)
    return Deploy(model, unload_at, load_at, loaded_at=time.time())

"""What one cause does: its symptoms as agents would see them, its effects on those who call, silences and changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import symptom
from fleet import Fleet, Gpu, Model, Node, Replica, Server, Subject
from symptom import Words

Span = tuple[float, float]


@dataclass
class Symptom:
    """A condition on one subject from `since` to `until`; the agent tells of it a little later.

    `sees` is how long the agent needs, where that is not as usual for the rule.
    """

    node: Node
    subject: Subject
    words: Words
    since: float
    until: float
    gpus: tuple[str, ...] = ()
    sees: Span | None = None


@dataclass
class Effect:
    """What a caller of one replica meets: it is lost, fails a share of requests, or is slow."""

    replica: Replica
    since: float
    until: float
    lost: bool = False
    failing: float = 0.0
    slow: bool = False


@dataclass
class Silence:
    """A node says nothing. Its agent may live on (cut off), or be gone; or have said that it stops."""

    node: Node
    since: float
    until: float
    agent_lives: bool
    announced: bool = False


@dataclass
class Change:
    """Something was done to a node."""

    node: Node
    at: float
    subject: Subject
    kind: str
    summary: str
    replica: Replica | None = None


@dataclass
class Play:
    """One cause. `alone` means that nothing but its models' own symptoms shows it: no sick GPU, no lost node."""

    kind: str
    type: str
    root: dict[str, Any]
    summary: str
    rng: Random
    also: list[dict[str, Any]] = field(default_factory=list)
    alone: bool = False
    symptoms: list[Symptom] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def started(self) -> float:
        """When it began."""
        return min([thing.since for thing in (*self.symptoms, *self.silences)], default=0.0)

    def on_gpu(self, words: Words, gpu: Gpu, since: float, until: float) -> None:
        """A symptom of a GPU."""
        self.symptoms.append(Symptom(gpu.node, gpu.subject, words, since, until))

    def on_server(self, words: Words, server: Server, since: float, until: float) -> None:
        """A symptom of a server."""
        gpus = tuple(gpu.uuid for gpu in server.gpus)
        self.symptoms.append(Symptom(server.node, server.subject, words, since, until, gpus))

    def on_source(self, source: str, reason: str, node: Node, since: float, until: float) -> None:
        """A source of a node is blind."""
        subject = {"kind": "source", "source": source}
        self.symptoms.append(Symptom(node, subject, symptom.blind(reason), since, until))

    def on_node(self, words: Words, node: Node, since: float, until: float) -> None:
        """A symptom of a node."""
        self.symptoms.append(Symptom(node, {"kind": "node"}, words, since, until))

    def on_model(
        self,
        words: Words,
        replica: Replica,
        since: float,
        until: float,
        version: int | None = None,
        sees: Span | None = None,
    ) -> None:
        """A symptom of a replica. In a fifth of the cases its agent does not know the GPUs."""
        gpus = tuple(gpu.uuid for gpu in replica.gpus) if self.rng.random() < 0.8 else ()
        self.symptoms.append(Symptom(replica.node, replica.subject(version), words, since, until, gpus, sees))

    def lose(self, replicas: Iterable[Replica], since: float, until: float) -> None:
        """These replicas answer nobody."""
        self.effects += [Effect(replica, since, until, lost=True) for replica in replicas]

    def errors(self, replica: Replica, since: float, until: float, share: float, version: int | None = None) -> None:
        """A share of its requests fails, and the agent says so where it is enough."""
        self.effects.append(Effect(replica, since, until, failing=share))
        self.on_model(symptom.failing(self.rng, share), replica, since, until, version)

    def slows(self, replica: Replica, since: float, until: float, version: int | None = None) -> None:
        """It computes slowly."""
        self.effects.append(Effect(replica, since, until, slow=True))
        self.on_model(symptom.slower(self.rng, replica.model), replica, since, until, version)

    def queues(self, replica: Replica, since: float, until: float, version: int | None = None) -> None:
        """Requests wait."""
        self.effects.append(Effect(replica, since, until, slow=True))
        self.on_model(symptom.backup(self.rng), replica, since, until, version)

    def stalls(self, replica: Replica, since: float, until: float) -> None:
        """Nothing comes back: for callers it is lost."""
        self.lose([replica], since, until)
        self.on_model(symptom.stall(self.rng), replica, since, until)

    def crash(self, server: Server, since: float, until: float) -> None:
        """Nobody listens at this server: all its models are lost, and the agent can say nothing of each."""
        self.on_server(symptom.server_gone(), server, since, until)
        self.lose(server.replicas, since, until)
        if until - since > 1:
            self.change(server.node, until + 0.1, server.subject, "server-restarted", "answers again")

    def change(
        self, node: Node, at: float, subject: Subject, kind: str, summary: str, replica: Replica | None = None
    ) -> None:
        """Something was done there."""
        self.changes.append(Change(node, at, subject, kind, summary, replica))

    def deploys(self, replica: Replica, at: float, version: int) -> None:
        """Another version serves there from now on."""
        away = f"was away for {self.rng.randint(1, 4)} s and is back"
        self.change(replica.node, at, replica.subject(version), "model-deployed", away, replica)

    def dies(self, node: Node, since: float, until: float) -> None:
        """The machine is off: its agent is gone and so is all that it serves, until its models are loaded again."""
        self.silences.append(Silence(node, since, until, agent_lives=False))
        self.lose(node.replicas, since, until + self.rng.uniform(20, 120))

    def cut(self, node: Node, since: float, until: float) -> None:
        """The machine runs and nobody reaches it."""
        self.silences.append(Silence(node, since, until, agent_lives=True))
        self.lose(node.replicas, since, until)

    def overload(self, lost: Iterable[Replica], since: float, until: float) -> None:
        """Where a third or more of a model's replicas are gone, those left often cannot carry the load."""
        gone: dict[Model, set[int]] = {}
        for replica in lost:
            gone.setdefault(replica.model, set()).add(id(replica))
        for model, ids in gone.items():
            left = [replica for replica in model.replicas if id(replica) not in ids]
            if len(ids) * 3 < len(model.replicas) or not left or self.rng.random() > 0.6:
                continue
            for replica in left:
                if self.rng.random() < 0.75:
                    begin = since + self.rng.uniform(8, 75)
                    self.queues(replica, begin, max(begin + 15, until + self.rng.uniform(0, 25)))

    def flapping(self, since: float, until: float, on_s: Span, off_s: Span) -> Iterator[Span]:
        """Spans of a condition that comes and goes."""
        at = since
        while at < until:
            end = min(until, at + self.rng.uniform(*on_s))
            yield at, end
            at = end + self.rng.uniform(*off_s)


@dataclass
class Site:
    """Where and when something may happen; `near` is a node on which something else happens at that time."""

    fleet: Fleet
    rng: Random
    at: float
    horizon: float
    near: Node | None = None

    def node(self) -> Node:
        """A node: the near one, one of its rack, or any that serves something."""
        if self.near is not None:
            return self.near if self.rng.random() < 0.5 else self.rng.choice(self.near.rack.nodes)
        return self.rng.choice(self.fleet.nodes)

    def gpu(self) -> Gpu:
        """A GPU, most often one that serves a model; models with few replicas are hit as often as others."""
        if self.near is None and self.rng.random() < 0.35:
            return self.rng.choice(self.rng.choice(self.model(1).replicas).gpus)
        for _ in range(12):
            gpu = self.rng.choice(self.node().gpus)
            if gpu.replicas:
                return gpu
        return gpu

    def replica(self) -> Replica:
        """A replica; models with few of them are hit as often as others."""
        if self.near is None and self.rng.random() < 0.5:
            return self.rng.choice(self.model(1).replicas)
        for _ in range(12):
            if replicas := self.node().replicas:
                return self.rng.choice(replicas)
        return self.rng.choice([replica for model in self.fleet.models for replica in model.replicas])

    def server(self) -> Server:
        """A server with models."""
        return self.replica().server

    def model(self, least: int = 3) -> Model:
        """A model with so many replicas, where there is one."""
        many = [model for model in self.fleet.models if len(model.replicas) >= least]
        return self.rng.choice(many or [model for model in self.fleet.models if model.replicas])

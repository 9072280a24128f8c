"""What the agents see of the plays: which findings come up on each node, when, and when they end."""

from __future__ import annotations

import bisect
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Any

from fleet import Node
from instant import written
from play import Play, Span, Symptom

SEES_S: dict[str, Span] = {
    "xid": (0.1, 0.5),
    "gpu-lost": (0.2, 1.0),
    "gpu-recovery-required": (0.5, 2.0),
    "ecc-uncorrected": (0.5, 3.0),
    "row-remap": (0.5, 3.0),
    "thermal-throttle": (1.0, 3.0),
    "power-brake": (0.5, 2.0),
    "pcie-degraded": (1.0, 3.0),
    "gpu-memory-exhausting": (0.1, 1.0),
    "gpu-memory-exhausted": (0.2, 1.0),
    "host-memory-oom": (0.1, 1.0),
    "queue-backup": (0.3, 6.0),
    "queue-stall": (5.0, 6.0),
    "queue-rejecting": (0.5, 3.0),
    "latency-high": (10.0, 20.0),
    "kv-cache-saturated": (1.0, 3.0),
    "noisy-neighbour": (30.0, 90.0),
    "rogue-process": (1.0, 3.0),
    "cpu-throttled": (2.0, 10.0),
    "error-rate-high": (0.4, 3.0),
    "model-unavailable": (5.0, 6.0),
    "server-unavailable": (0.1, 0.5),
    "telemetry-blind": (1.5, 2.5),
}
"""How long an agent needs for each rule, by the rule's own description."""
LEAVES_S: dict[str, Span] = {
    "latency-high": (10, 18),
    "error-rate-high": (9, 14),
    "gpu-lost": (10, 11),
    "gpu-memory-exhausting": (5, 7),
    "noisy-neighbour": (10, 40),
    "xid": (0, 1),
    "telemetry-blind": (2, 3),
}
LEAVES_USUALLY_S: Span = (0.5, 4)
"""How long it waits until it calls it over."""


@dataclass(eq=False)
class Finding:
    """One finding of one node, from raised to cleared. `dies_at` is when its agent went without clearing it."""

    node: Node
    symptom: Symptom
    cause: Play
    raised_at: float
    cleared_at: float
    dies_at: float | None = None
    updates: list[float] = field(default_factory=list)
    arrived: bool = False

    def active(self, at: float) -> bool:
        """Whether its agent holds it to be so at this time."""
        return self.raised_at <= at < (self.cleared_at if self.dies_at is None else self.dies_at)

    def identity(self) -> tuple[Any, ...]:
        """What it is about, on its node."""
        subject = self.symptom.subject
        return (
            self.symptom.words.rule,
            *(str(value) for key, value in sorted(subject.items()) if key not in ("index", "name")),
        )

    def body(self, phase: str) -> dict[str, Any]:
        """The finding as the agent tells it, by the node's own clock."""
        words = self.symptom.words
        return {
            "rule": words.rule,
            "subject": self.symptom.subject,
            "phase": phase,
            "grade": words.grade,
            "summary": words.summary,
            "evidence": list(words.evidence),
            "suspects": list(words.suspects),
            "raised_at": written(self.raised_at + self.node.skew_s),
            "gpus": list(self.symptom.gpus),
        }


def dead_spans(plays: list[Play]) -> dict[Node, list[Span]]:
    """When no agent runs, by node."""
    spans: dict[Node, list[Span]] = defaultdict(list)
    for play in plays:
        for silence in play.silences:
            if not silence.agent_lives:
                spans[silence.node].append((silence.since, silence.until))
    return spans


def findings(plays: list[Play], rng: Random) -> list[Finding]:
    """All findings of all nodes, by the time they are raised."""
    dead = dead_spans(plays)
    gone = _servers_gone(plays)
    seen = [found for play in plays for symptom in play.symptoms if (found := _seen(symptom, play, gone, rng))]
    seen.sort(key=lambda finding: finding.raised_at)
    kept: list[Finding] = []
    newest: dict[tuple[Any, ...], Finding] = {}
    for finding in seen:
        spans = dead.get(finding.node, [])
        if any(since <= finding.raised_at < until for since, until in spans):
            continue
        key = (finding.node.name, *finding.identity())
        before = newest.get(key)
        if before is not None and before.active(finding.raised_at):
            # An agent has one finding of a rule on a subject at a time: the same goes on.
            before.cleared_at = max(before.cleared_at, finding.cleared_at)
            before.dies_at = _dies_at(before, spans)
            continue
        finding.dies_at = _dies_at(finding, spans)
        newest[key] = finding
        kept.append(finding)
    for finding in kept:
        _update(finding, rng)
    return kept


def _seen(symptom: Symptom, play: Play, gone: dict[tuple[str, str], list[Span]], rng: Random) -> Finding | None:
    rule = symptom.words.rule
    raised = symptom.since + rng.uniform(*(symptom.sees or SEES_S[rule]))
    until = symptom.until
    if symptom.subject["kind"] == "model":
        # A server that does not answer says nothing of its models: neither that they fail nor that they are well.
        for since, back in gone.get((symptom.node.name, symptom.subject["server"]), ()):
            if since <= raised < back:
                raised = back + rng.uniform(0.5, 3)
            if since <= until < back:
                until = back
    if raised >= until:
        return None
    cleared = until + rng.uniform(*LEAVES_S.get(rule, LEAVES_USUALLY_S))
    return Finding(symptom.node, symptom, play, round(raised, 3), cleared)


def _servers_gone(plays: list[Play]) -> dict[tuple[str, str], list[Span]]:
    gone: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for play in plays:
        for symptom in play.symptoms:
            if symptom.words.rule == "server-unavailable":
                gone[symptom.node.name, symptom.subject["server"]].append((symptom.since, symptom.until))
    for spans in gone.values():
        spans.sort()
    return gone


def _dies_at(finding: Finding, spans: list[Span]) -> float | None:
    return min((since for since, _ in spans if finding.raised_at < since < finding.cleared_at), default=None)


def _update(finding: Finding, rng: Random) -> None:
    end = finding.cleared_at if finding.dies_at is None else finding.dies_at
    if end - finding.raised_at > 60 and rng.random() < 0.5:
        finding.updates = sorted(rng.uniform(finding.raised_at + 10, end - 5) for _ in range(rng.randint(1, 2)))


class Versions:
    """Which version of a model each replica serves, over time."""

    def __init__(self, plays: list[Play]) -> None:
        self._turns: dict[int, list[tuple[float, str]]] = defaultdict(list)
        for change in (change for play in plays for change in play.changes):
            if change.replica is not None and change.kind in ("model-deployed", "model-loaded"):
                self._turns[id(change.replica)].append((change.at, change.subject["version"]))
        for turns in self._turns.values():
            turns.sort()

    def of(self, replica: Any, at: float) -> str:
        """At this time."""
        turns = self._turns.get(id(replica), [])
        nth = bisect.bisect_right(turns, at, key=lambda turn: turn[0])
        return turns[nth - 1][1] if nth else str(replica.model.version)

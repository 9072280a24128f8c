"""From what the nodes tell to what the aggregator receives: delays, losses, duplicates, order, cuts, heartbeats."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from random import Random
from typing import Any

from agent import Finding, dead_spans
from fleet import Fleet, Node
from instant import written
from inventory import Inventory
from play import Change, Play, Silence, Span
from story import HORIZON_S, TAIL_S

END_S = HORIZON_S + TAIL_S
HEARTBEAT_S = 5.0
LOST_AFTER_S = 20.0
LOST_SHARE = 0.004
TWICE_SHARE = 0.01
LATE_SHARE = 0.007
SNAPSHOTS_MAX = 3_500
"""Of the whole fleet; large fleets send them less often, which keeps the files small."""


@dataclass
class Missed:
    """A node that the aggregator gave up: its `node-lost`, from `at` on, last heard `since`."""

    node: Node
    cause: Play
    at: float
    since: float
    back: float


@dataclass
class Told:
    """Something on its way: observed on the node, and by which finding."""

    node: Node
    observed: float
    body: dict[str, Any]
    finding: Finding | None = None
    snapshot: bool = False


class Network:
    """Delivers a stream. `events` has every line, sorted; `missed` the nodes given up."""

    def __init__(self, fleet: Fleet, plays: list[Play], found: list[Finding], rng: Random) -> None:
        self._rng = rng
        self._inventory = Inventory(plays, found, rng)
        self._lines: list[tuple[float, int, dict[str, Any]]] = []
        self._seq: dict[Node, int] = defaultdict(int)
        self._dead = dead_spans(plays)
        self._cuts: dict[Node, list[Span]] = defaultdict(list)
        self.missed: list[Missed] = []
        told = [*_findings(found), *(_change(change) for play in plays for change in play.changes)]
        for play in plays:
            for silence in play.silences:
                told += self._silence(silence, play)
        self._hiccups(fleet)
        told += self._snapshots(fleet)
        self._deliver(told)
        self._lines.sort(key=lambda line: line[:2])
        self.events = [line for _, _, line in self._lines]

    def _silence(self, silence: Silence, play: Play) -> list[Told]:
        """Heartbeats that do not come, and what a node says when it is back."""
        node, rng = silence.node, self._rng
        back = silence.until + rng.uniform(0.2, 1.5)
        told = []
        if silence.announced:
            stopped = Change(node, silence.since - 0.5, {"kind": "node"}, "agent-stopped", "stopped on purpose")
            told.append(_change(stopped))
        else:
            since = silence.since - rng.uniform(0, HEARTBEAT_S)
            at = since + LOST_AFTER_S + rng.uniform(0, 1)
            if at < min(back, END_S):
                self.missed.append(Missed(node, play, round(at, 3), round(since, 3), back))
                self._put(at, node, {"event": "lost", "since": written(since)})
                self._put(back, node, {"event": "back"})
        self._cuts[node].append((silence.since, back))
        if not silence.agent_lives:
            started = Change(node, silence.until, {"kind": "node"}, "agent-started", "began")
            told.append(_change(started))
        told.append(self._told_snapshot(node, back + 0.02))
        return told

    def _hiccups(self, fleet: Fleet) -> None:
        """Short cuts of a node or a rack, too short to give it up: all comes, and comes late."""
        for _ in range(max(4, len(fleet.nodes) // 12)):
            at, rack = self._rng.uniform(0, END_S), self._rng.choice(fleet.racks)
            nodes = rack.nodes if self._rng.random() < 0.15 else [self._rng.choice(rack.nodes)]
            until = at + self._rng.uniform(3, 14)
            for node in nodes:
                self._cuts[node].append((at, until))

    def _snapshots(self, fleet: Fleet) -> list[Told]:
        every = max(600.0, END_S * len(fleet.nodes) / SNAPSHOTS_MAX)
        told = []
        for node in fleet.nodes:
            at = self._rng.uniform(0, 20)
            while at < END_S:
                if not any(since <= at < until for since, until in self._dead.get(node, ())):
                    told.append(self._told_snapshot(node, at))
                at += every * self._rng.uniform(0.8, 1.2)
        return told

    def _told_snapshot(self, node: Node, at: float) -> Told:
        return Told(node, at, {}, snapshot=True)

    def _deliver(self, told: list[Told]) -> None:
        """Numbers what each node tells in its order and brings it over."""
        for one in sorted(told, key=lambda one: one.observed):
            if one.observed >= END_S:
                continue
            at = self._arrival(one)
            if one.snapshot and at < END_S:
                self._put(at, one.node, self._inventory.snapshot(one.node, one.observed))
                for finding in self._inventory.active(one.node, one.observed):
                    finding.arrived = True
            elif not one.snapshot:
                self._event(one, at)

    def _event(self, one: Told, at: float) -> None:
        """One event of a node's outbox: it has a number, and may be lost or come twice."""
        self._seq[one.node] += 1
        if self._rng.random() < LOST_SHARE or at >= END_S:
            return
        line = self._put(at, one.node, one.body, self._seq[one.node])
        if one.finding is not None and one.body["phase"] != "cleared":
            one.finding.arrived = True
        if self._rng.random() < TWICE_SHARE:
            self._again(at + self._rng.uniform(0.1, 5), line)

    def _arrival(self, one: Told) -> float:
        at = one.observed + self._rng.uniform(0.03, 0.4)
        if self._rng.random() < LATE_SHARE:
            at += self._rng.uniform(2, 20)
        for since, until in sorted(self._cuts.get(one.node, ())):
            if since <= at < until:
                # The backlog comes in its order, a thousand events a second.
                at = until + 0.1 + (one.observed - since) / max(1.0, until - since) * 2
        return at

    def _put(self, at: float, node: Node, body: dict[str, Any], seq: int = 0) -> dict[str, Any]:
        """A line of the log. What does not come out of a node's outbox has the number 0."""
        line = {"at": written(at), "node": node.name, "seq": seq, **body}
        self._lines.append((round(at, 3), len(self._lines), line))
        return line

    def _again(self, at: float, line: dict[str, Any]) -> None:
        if at < END_S:
            self._lines.append((round(at, 3), len(self._lines), line | {"at": written(at)}))


def _findings(found: list[Finding]) -> list[Told]:
    told = []
    for finding in found:
        times = [(finding.raised_at, "raised"), *((at, "updated") for at in finding.updates)]
        if finding.dies_at is None:
            times.append((finding.cleared_at, "cleared"))
        for at, phase in times:
            head = {"event": "finding", "observed_at": written(at + finding.node.skew_s)}
            told.append(Told(finding.node, at, head | finding.body(phase), finding))
    return told


def _change(change: Change) -> Told:
    body = {
        "event": "change",
        **({"version": change.summary.rsplit(" ", 1)[1]} if change.kind == "driver-changed" else {}),
        "observed_at": written(change.at + change.node.skew_s),
        "subject": change.subject,
        "kind": change.kind,
        "summary": change.summary,
    }
    return Told(change.node, change.at, body)

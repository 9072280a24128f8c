"""What a node says is true of itself: its snapshot at one time."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

from agent import Finding, Versions
from fleet import DRIVER, GIB, Node, Replica, Server
from instant import written
from play import Effect, Play

SOURCES = ("nvml", "kmsg", "host")


class Inventory:
    """Answers for every node and every time."""

    def __init__(self, plays: list[Play], found: list[Finding], rng: Random) -> None:
        self._rng = rng
        self._versions = Versions(plays)
        self._drivers = {
            change.node: (change.at, change.summary.rsplit(" ", 1)[1])
            for play in plays
            for change in play.changes
            if change.kind == "driver-changed"
        }
        self._lost: dict[int, list[Effect]] = defaultdict(list)
        for effect in (effect for play in plays for effect in play.effects if effect.lost):
            self._lost[id(effect.replica)].append(effect)
        self._found: dict[Node, list[Finding]] = defaultdict(list)
        for finding in found:
            self._found[finding.node].append(finding)

    def active(self, node: Node, at: float) -> list[Finding]:
        """The findings that its agent holds to be so."""
        return [finding for finding in self._found[node] if finding.active(at)]

    def snapshot(self, node: Node, at: float) -> dict[str, Any]:
        """The body of the event."""
        active = self.active(node, at)
        changed_at, driver = self._drivers.get(node, (0.0, DRIVER))
        labels = {"rack": node.rack.name, "zone": node.rack.zone} if node.has_labels else {}
        return {
            "event": "snapshot",
            "observed_at": written(at + node.skew_s),
            "hostname": node.name,
            "driver_version": driver if at >= changed_at else DRIVER,
            "active": [finding.body("raised") for finding in active],
            "gpus": self._gpus(node, active),
            "servers": [self._server(server, at, active) for server in node.servers],
            "sources": _sources(node, active),
            "labels": labels,
        }

    def _gpus(self, node: Node, active: list[Finding]) -> list[dict[str, Any]]:
        lost = {finding.symptom.subject["uuid"] for finding in active if finding.symptom.words.rule == "gpu-lost"}
        return [
            {
                "uuid": gpu.uuid,
                "index": gpu.index,
                "name": gpu.name,
                "pci_bus_id": gpu.pci_bus_id,
                "memory_total_bytes": 80 * GIB,
                "memory_used_bytes": None if gpu.uuid in lost else round(self._rng.uniform(5, 70)) * GIB,
                "utilization_ratio": None if gpu.uuid in lost else round(self._rng.random(), 2),
                "lost": gpu.uuid in lost,
            }
            for gpu in node.gpus
        ]

    def _server(self, server: Server, at: float, active: list[Finding]) -> dict[str, Any]:
        gone = any(
            finding.symptom.words.rule == "server-unavailable" and finding.symptom.subject["server"] == server.name
            for finding in active
        )
        return {
            "name": server.name,
            "version": "2.60.0",
            "availability": "unreachable" if gone else "ready",
            "models": [self._model(replica, at, active, gone) for replica in server.replicas],
        }

    def _model(self, replica: Replica, at: float, active: list[Finding], gone: bool) -> dict[str, Any]:
        missing = [
            finding
            for finding in active
            if finding.symptom.words.rule == "model-unavailable"
            and finding.symptom.subject["model"] == replica.model.name
            and finding.symptom.subject["server"] == replica.server.name
        ]
        version, availability, reason = self._versions.of(replica, at), "ready", ""
        if gone:
            availability = "unreachable"
        elif missing:
            failed = "could not be loaded" in missing[0].symptom.words.summary
            availability = "failed" if failed else "unloaded"
            reason = missing[0].symptom.words.summary if failed else "unloaded"
            version = missing[0].symptom.subject["version"]
        elif any(effect.since <= at < effect.until for effect in self._lost.get(id(replica), ())) and not active:
            availability = "loading"
        return {
            "name": replica.model.name,
            "version": version,
            "availability": availability,
            "reason": reason,
            "requests_per_s": round(replica.requests_per_s, 1) if availability == "ready" else None,
            "pending": 0.0 if availability == "ready" else None,
            "gpus": [gpu.uuid for gpu in replica.gpus] if replica.placed else [],
        }


def _sources(node: Node, active: list[Finding]) -> list[dict[str, Any]]:
    names = [*SOURCES, *(f"triton/{server.name}" for server in node.servers)]
    blind = {
        finding.symptom.subject["source"]: finding.symptom.words.summary
        for finding in active
        if finding.symptom.words.rule == "telemetry-blind"
    }
    return [
        {"name": name, "state": "blind" if name in blind else "seeing", "reason": blind.get(name, "")} for name in names
    ]

"""Groupings that need no thought, to compare with: perfect, all in one, each alone, by node and minute."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from instant import read_ms
from score import Incident

GAP_MS = 60_000
TYPES = {
    "gpu-oom": "gpu-memory-exhausted gpu-memory-exhausting host-memory-oom",
    "high-latency": "queue-backup queue-stall queue-rejecting latency-high kv-cache-saturated",
    "noisy-neighbour": "noisy-neighbour rogue-process cpu-throttled",
    "model-unavailable": "model-unavailable server-unavailable",
    "high-error-rate": "error-rate-high",
    "gpu-hardware": "xid gpu-lost gpu-recovery-required ecc-uncorrected row-remap thermal-throttle power-brake "
    "pcie-degraded nvlink-errors",
    "telemetry-blind": "telemetry-blind",
    "node-unreachable": "node-lost",
}
TYPE_OF = {rule: type_ for type_, rules in TYPES.items() for rule in rules.split()}
DOWN = {"node-lost", "model-unavailable", "server-unavailable", "gpu-lost", "queue-stall", "gpu-memory-exhausted"}
WARNINGS = {"gpu-memory-exhausting", "telemetry-blind", "rogue-process"}


def severity(rule: str) -> str:
    """What a person would write beside the alert once and for all."""
    return "P2" if rule in DOWN else "P4" if rule in WARNINGS else "P3"


def perfect(truth: dict[str, Any]) -> list[Incident]:
    """One incident a cause, all of it right."""
    incidents = []
    for cause in truth["causes"]:
        members = [row for row in truth["findings"] if row["cause"] == cause["id"]]
        roots = [{"entity": cause["root"], "score": 1.0, "reason": "known"}]
        incidents.append(
            _incident(cause["id"], members) | {key: cause[key] for key in ("type", "severity")} | {"roots": roots}
        )
    return incidents


def all_in_one(truth: dict[str, Any]) -> list[Incident]:
    """One incident for everything."""
    return [_incident(1, truth["findings"])]


def each_alone(truth: dict[str, Any]) -> list[Incident]:
    """One incident a finding."""
    return [_incident(nth, [row]) for nth, row in enumerate(truth["findings"])]


def by_node_and_minute(truth: dict[str, Any]) -> list[Incident]:
    """Findings of one node belong together while less than a minute lies between them."""
    by_node: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(truth["findings"], key=lambda row: read_ms(row["raised_at"])):
        by_node[row["node"]].append(row)
    groups: list[list[dict[str, Any]]] = []
    for rows in by_node.values():
        newest = None
        for row in rows:
            at = read_ms(row["raised_at"])
            if newest is None or at - newest > GAP_MS:
                groups.append([])
            groups[-1].append(row)
            newest = at
    return [_incident(nth, rows) for nth, rows in enumerate(groups)]


def _incident(name: Any, rows: list[dict[str, Any]]) -> Incident:
    members = [{key: row[key] for key in ("node", "rule", "subject", "raised_at")} for row in rows]
    rules = Counter(row["rule"] for row in rows)
    type_ = TYPE_OF[rules.most_common(1)[0][0]] if rules else "external"
    return {
        "id": name,
        "type": type_,
        "severity": min((severity(rule) for rule in rules), default="P4"),
        "members": members,
    }

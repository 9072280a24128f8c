"""What really happened: every cause with its type, severity and root, and the cause of every finding."""

from __future__ import annotations

from typing import Any

from agent import Finding
from fault import NOISE
from fleet import Fleet
from impact import P2, P3, severities
from instant import written
from network import Missed
from play import Play


def told(fleet: Fleet, plays: list[Play], found: list[Finding], missed: list[Missed], seed: int) -> dict[str, Any]:
    """The truth of a stream. A cause of which nothing arrived is left out: nobody could know of it."""
    worst = severities(plays)
    ids: dict[int, str] = {}
    rows = []
    for finding in found:
        if finding.arrived:
            rows.append(_row(finding, ids))
            if finding.symptom.words.grade != "warning":
                worst[id(finding.cause)] = min(worst[id(finding.cause)], P3)
    for miss in missed:
        rows.append(_node_lost(miss, ids))
        worst[id(miss.cause)] = min(worst[id(miss.cause)], P2)
    causes = [_cause(play, ids[id(play)], worst[id(play)]) for play in plays if id(play) in ids]
    shape = {
        "nodes": len(fleet.nodes),
        "racks": len(fleet.racks),
        "zones": len(fleet.zones),
        "gpus": sum(len(node.gpus) for node in fleet.nodes),
        "models": len(fleet.models),
        "services": len(fleet.services),
    }
    return {"seed": seed, "fleet": shape, "causes": causes, "findings": rows}


def _id(play: Play, ids: dict[int, str]) -> str:
    return ids.setdefault(id(play), f"c{len(ids) + 1}")


def _row(finding: Finding, ids: dict[int, str]) -> dict[str, Any]:
    return {
        "node": finding.node.name,
        "rule": finding.symptom.words.rule,
        "subject": finding.symptom.subject,
        "raised_at": written(finding.raised_at + finding.node.skew_s),
        "cause": _id(finding.cause, ids),
    }


def _node_lost(miss: Missed, ids: dict[int, str]) -> dict[str, Any]:
    """The aggregator's own finding; it may count it from when it gave up or from when it last heard."""
    return {
        "node": miss.node.name,
        "rule": "node-lost",
        "subject": {"kind": "node"},
        "raised_at": written(miss.at),
        "since": written(miss.since),
        "cause": _id(miss.cause, ids),
    }


def _cause(play: Play, name: str, severity: str) -> dict[str, Any]:
    return {
        "id": name,
        "kind": play.kind,
        "noise": play.kind in NOISE,
        "type": play.type,
        "severity": severity,
        "root": play.root,
        "root_also": play.also,
        "started_at": written(play.started()),
        "summary": play.summary,
    }

"""Holds incidents against the truth of a stream.

python3 tests/correlation/score.py --truth F --incidents F [--detail]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import root
from clustering import Pairs, fragmentation, macro_f1, over_merge, pairs
from instant import read_ms

Incident = dict[str, Any]
Key = tuple[Any, ...]
NODE_LOST_SLACK_MS = 60_000


@dataclass
class Judged:
    """One cause and the incident that was taken for it; `None` where no incident is mostly its."""

    cause: dict[str, Any]
    findings: int
    incident: Incident | None
    groups: int
    foreign: int
    root_rank: int | None

    @property
    def type_right(self) -> bool:
        """Whether there is an incident and it has the cause's type."""
        return self.incident is not None and self.incident["type"] == self.cause["type"]

    @property
    def severity_right(self) -> bool:
        """The same of the severity."""
        return self.incident is not None and self.incident["severity"] == self.cause["severity"]


@dataclass
class Verdict:
    """All that was found out about one stream."""

    seed: int
    pairs: Pairs
    over_merge: float
    fragmentation: float
    incidents: dict[Any, Incident]
    judged: list[Judged]
    majority: dict[Any, str]
    placed: dict[int, Any]
    truth: dict[str, Any]
    unknown: int
    absent: int
    twice: int
    false_p1: int
    told_p1: int
    rooted: bool
    again: int
    members: dict[Any, Counter[str]] = field(default_factory=dict)

    def figures(self) -> dict[str, float | None]:
        """The scores of this stream, by name."""
        count = len(self.judged) or 1
        ranks = [one.root_rank for one in self.judged if one.root_rank is not None]
        at = lambda k: sum(rank <= k for rank in ranks) / count  # noqa: E731
        return {
            "pairwise_precision_ratio": self.pairs.precision(),
            "pairwise_recall_ratio": self.pairs.recall(),
            "pairwise_f1_ratio": self.pairs.f1(),
            "adjusted_rand_index": self.pairs.adjusted_rand(),
            "over_merge_ratio": self.over_merge,
            "fragmentation_incidents_per_cause": self.fragmentation,
            "reduction_findings_per_incident": len(self.truth["findings"]) / max(1, len(self.incidents)),
            "type_macro_f1_ratio": macro_f1(types(self.judged)),
            "severity_accuracy_ratio": sum(one.severity_right for one in self.judged) / count,
            "false_p1_ratio": self.false_p1 / self.told_p1 if self.told_p1 else 0.0,
            "root_ac_at_1_ratio": at(1) if self.rooted else None,
            "root_ac_at_3_ratio": at(3) if self.rooted else None,
            "root_ac_at_5_ratio": at(5) if self.rooted else None,
        }


def types(judged: Iterable[Judged]) -> list[tuple[str, str | None]]:
    """Type in truth and type told, of each cause."""
    return [(one.cause["type"], one.incident["type"] if one.incident else None) for one in judged]


def key(finding: dict[str, Any]) -> Key:
    """What makes a finding the one it is, beside its time: what is only for people is left out."""
    subject = {name: str(value) for name, value in finding["subject"].items()}
    drop = {"gpu": {"index"}, "process": {"name"}}.get(subject["kind"], set())
    return (
        finding["node"],
        finding["rule"],
        tuple(sorted((name, value) for name, value in subject.items() if name not in drop)),
    )


class Findings:
    """The findings of the truth, to be looked up by what an incident says of its members."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._by_key: dict[Key, list[tuple[int, int]]] = defaultdict(list)
        for nth, row in enumerate(rows):
            self._by_key[key(row)].append((read_ms(row["raised_at"]), nth))

    def find(self, member: dict[str, Any]) -> int | None:
        """The number of the finding. The times must agree, but for `node-lost`, which the aggregator dates itself."""
        at = read_ms(member["raised_at"])
        slack = NODE_LOST_SLACK_MS if member["rule"] == "node-lost" else 1
        near = [(abs(raised - at), nth) for raised, nth in self._by_key.get(key(member), ())]
        distance, nth = min(near, default=(slack + 1, -1))
        return nth if distance <= slack else None


class Lives:
    """When each incident lasted and of what it holds members, for findings that came again.

    A condition that ends and comes again while its incident lasts is one member there, with one of its times.
    """

    def __init__(self, incidents: Iterable[Incident]) -> None:
        self._spans: dict[Key, list[tuple[int, int, int, Any]]] = defaultdict(list)
        for incident in incidents:
            if not incident.get("opened_at"):
                continue
            until = read_ms(incident["resolved_at"]) if incident.get("resolved_at") else sys.maxsize
            for member in incident["members"]:
                raised = read_ms(member["raised_at"])
                since = min(raised, read_ms(incident["opened_at"]))
                self._spans[key(member)].append((since, until, raised, incident["id"]))

    def of(self, finding: dict[str, Any]) -> Any | None:
        """The incident that lasted when this came and holds the same rule and subject; the nearest in time."""
        at = read_ms(finding["raised_at"])
        near = [
            (abs(raised - at), name)
            for since, until, raised, name in self._spans.get(key(finding), ())
            if since <= at <= until
        ]
        return min(near, default=(0, None))[1]


def survivors(incidents: Iterable[Incident]) -> dict[Any, Any]:
    """By id: the incident into which it was merged at last, or itself."""
    into = {incident["id"]: incident.get("merged_into") for incident in incidents}

    def last(name: Any) -> Any:
        seen = {name}
        while (following := into.get(name)) is not None and following not in seen:
            name = following
            seen.add(name)
        return name

    return {name: last(name) for name in into}


def score(truth: dict[str, Any], incidents: list[Incident]) -> Verdict:
    """Holds the incidents of one stream against its truth. A finding in no incident stands alone."""
    rows = truth["findings"]
    findings, last = Findings(rows), survivors(incidents)
    placed, unknown, twice = {}, 0, 0
    for incident in incidents:
        for member in incident["members"]:
            nth = findings.find(member)
            group = last[incident["id"]]
            if nth is None:
                unknown += 1
            elif placed.setdefault(nth, group) != group:
                twice += 1
    lives, again = Lives(incidents), 0
    for nth, row in enumerate(rows):
        if nth not in placed and (name := lives.of(row)) is not None:
            placed[nth] = last[name]
            again += 1
    causes = [row["cause"] for row in rows]
    labels = [placed.get(nth, ("alone", nth)) for nth in range(len(rows))]
    members: dict[Any, Counter[str]] = defaultdict(Counter)
    for nth, group in placed.items():
        members[group][causes[nth]] += 1
    kept = {incident["id"]: incident for incident in incidents if last[incident["id"]] == incident["id"]}
    majority = {group: counts.most_common(1)[0][0] for group, counts in members.items()}
    judged = _judge(truth, kept, members, majority)
    by_id = {cause["id"]: cause for cause in truth["causes"]}
    told_p1 = [group for group, incident in kept.items() if incident["severity"] == "P1"]
    false_p1 = sum(group not in majority or by_id[majority[group]]["severity"] != "P1" for group in told_p1)
    in_groups = [(causes[nth], group) for nth, group in placed.items()]
    merged = over_merge([cause for cause, _ in in_groups], [group for _, group in in_groups])
    return Verdict(
        truth["seed"],
        pairs(causes, labels),
        merged,
        fragmentation(causes, labels),
        kept,
        judged,
        majority,
        placed,
        truth,
        unknown,
        len(rows) - len(placed),
        twice,
        false_p1,
        len(told_p1),
        any("roots" in incident for incident in incidents),
        again,
        dict(members),
    )


def _judge(
    truth: dict[str, Any], kept: dict[Any, Incident], members: dict[Any, Counter[str]], majority: dict[Any, str]
) -> list[Judged]:
    indices = gpu_indices(truth)
    sizes = Counter(row["cause"] for row in truth["findings"])
    judged = []
    for cause in truth["causes"]:
        name = cause["id"]
        own = [group for group, most in majority.items() if most == name]
        best = max(own, key=lambda group: members[group][name], default=None)
        incident = kept.get(best)
        groups = sum(name in counts for counts in members.values())
        foreign = sum(members[best].values()) - members[best][name] if best is not None else 0
        rank = root.rank(incident.get("roots", []), cause, indices) if incident else None
        judged.append(Judged(cause, sizes[name], incident, groups, foreign, rank))
    return judged


def gpu_indices(truth: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """Node and index of each GPU that a finding names."""
    return {
        row["subject"]["uuid"]: (row["node"], row["subject"]["index"])
        for row in truth["findings"]
        if row["subject"]["kind"] == "gpu"
    }


def read(path: Path) -> list[Incident]:
    """Incidents from JSON Lines."""
    with open(path) as file:
        return [json.loads(line) for line in file if line.strip()]


def main() -> None:
    """The scores of one stream."""
    from detail import tell

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--incidents", type=Path, required=True)
    parser.add_argument("--detail", action="store_true", help="what was confused with what")
    args = parser.parse_args()
    verdict = score(json.loads(args.truth.read_text()), read(args.incidents))
    if args.detail:
        tell([verdict])
    print(json.dumps(verdict.figures()))


if __name__ == "__main__":
    main()

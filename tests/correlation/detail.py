"""Where it goes wrong: scores by kind of fault, confusions, and the worst examples in words that one can follow."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from score import Judged, Verdict

EXAMPLES = 12
SHOWN = 6


def by_kind(verdicts: Sequence[Verdict]) -> dict[str, dict[str, float | None]]:
    """For each kind of fault, over all streams: how it fared."""
    judged: dict[str, list[Judged]] = defaultdict(list)
    for verdict in verdicts:
        for one in verdict.judged:
            judged[one.cause["kind"]].append(one)
    rooted = any(verdict.rooted for verdict in verdicts)
    return {kind: _row(ones, rooted) for kind, ones in sorted(judged.items())}


def _row(ones: list[Judged], rooted: bool) -> dict[str, float | None]:
    share = lambda count: round(count / len(ones), 3)  # noqa: E731
    return {
        "causes_count": len(ones),
        "findings_count": sum(one.findings for one in ones),
        "missed_ratio": share(sum(one.incident is None for one in ones)),
        "split_ratio": share(sum(one.groups > 1 for one in ones)),
        "merged_ratio": share(sum(one.foreign > 0 for one in ones)),
        "type_ratio": share(sum(one.type_right for one in ones)),
        "severity_ratio": share(sum(one.severity_right for one in ones)),
        "root_ac_at_1_ratio": share(sum(one.root_rank == 1 for one in ones)) if rooted else None,
    }


def table(verdicts: Sequence[Verdict]) -> None:
    """The same, to be read."""
    head = ("causes", "found", "missed", "split", "merged", "type", "sever", "AC@1")
    print(f"  {'kind of fault':22}" + "".join(f"{word:>8}" for word in head))
    for kind, row in by_kind(verdicts).items():
        cells = ["n/a" if value is None else f"{value:g}" for value in row.values()]
        print(f"  {kind:22}" + "".join(f"{cell:>8}" for cell in cells))


def tell(verdicts: Sequence[Verdict]) -> None:
    """Table, confusions, examples."""
    table(verdicts)
    for what in ("type", "severity"):
        _confusions(what, [one for verdict in verdicts for one in verdict.judged])
    for verdict in verdicts:
        _examples(verdict)


def _confusions(what: str, judged: Iterable[Judged]) -> None:
    pairs = Counter(
        (one.cause["kind"], one.cause[what], one.incident[what] if one.incident else "missed") for one in judged
    )
    print(f"  {what}: true, told, how often, of which kind")
    for (kind, true, told), count in pairs.most_common():
        if true != told:
            print(f"    {true} told as {told}: {count} of {kind}")


def _examples(verdict: Verdict) -> None:
    causes = {cause["id"]: cause for cause in verdict.truth["causes"]}
    counters = f"{verdict.unknown} members unknown, {verdict.absent} findings in no incident, {verdict.twice} in two"
    counters += f", {verdict.again} came again within theirs"
    print(f"  seed {verdict.seed}: {counters}")
    mixed = [(group, counts) for group, counts in verdict.members.items() if len(counts) > 1]
    mixed.sort(key=lambda item: -(sum(item[1].values()) - max(item[1].values())))
    for group, counts in mixed[:EXAMPLES]:
        print(f"    incident {group} ({_of(verdict, group)}) merges {len(counts)} causes:")
        for name, count in counts.most_common(SHOWN):
            print(f"      {count} findings of {_named(causes[name])}")
            _rows(verdict, name, group)
    split = sorted((one for one in verdict.judged if one.groups > 1), key=lambda one: -one.groups)
    for one in split[:EXAMPLES]:
        print(f"    split over {one.groups} incidents: {_named(one.cause)}")
        groups = [group for group, counts in verdict.members.items() if one.cause["id"] in counts]
        for group in groups[:SHOWN]:
            print(f"      incident {group} ({_of(verdict, group)}):")
            _rows(verdict, one.cause["id"], group)
    for one in verdict.judged:
        if one.incident and verdict.rooted and one.root_rank != 1:
            roots = [root["entity"] for root in one.incident.get("roots", [])[:3]]
            print(f"    root of {_named(one.cause)}: {one.cause['root']}; blamed were {roots}")
        if one.incident and not (one.type_right and one.severity_right):
            told = f"{one.incident['type']} {one.incident['severity']}"
            print(f"    incident {one.incident['id']} says {told}: {_named(one.cause)}")


def _of(verdict: Verdict, group: Any) -> str:
    incident = verdict.incidents.get(group)
    return f"{incident['type']} {incident['severity']}" if incident else "not told"


def _named(cause: dict[str, Any]) -> str:
    what = f"{cause['kind']}, {cause['type']} {cause['severity']}"
    return f"{cause['id']} {what}, {cause['started_at'][11:23]}, {cause['summary']}"


def _rows(verdict: Verdict, cause: str, group: Any) -> None:
    rows = [verdict.truth["findings"][nth] for nth, its in verdict.placed.items() if its == group]
    rows = [row for row in rows if row["cause"] == cause]
    for row in rows[:3]:
        subject = " ".join(str(value) for value in row["subject"].values())
        print(f"        {row['raised_at'][11:23]} {row['node']} {row['rule']} {subject}")
    if len(rows) > 3:
        print(f"        and {len(rows) - 3} more")

"""Tries the scorer on values worked out by hand, and the generator on its promises, in about half a minute.

python3 tests/correlation/selftest.py
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import naive
import root
from agent import SEES_S
from clustering import fragmentation, macro_f1, over_merge, pairs
from fault import FAULTS, NOISE
from generate import Stream, generate
from impact import of_service
from instant import read_ms, written
from score import Verdict, score
from symptom import XIDS

SEEDS = (1, 2, 3)
FOLDER = tempfile.TemporaryDirectory()


def stream(seed: int) -> Stream:
    """A stream, made once."""
    if seed not in _MADE:
        _MADE[seed] = generate(seed, Path(FOLDER.name))
    return _MADE[seed]


_MADE: dict[int, Stream] = {}


def close(one: float, other: float) -> bool:
    return abs(one - other) < 1e-9


def pairs_are_counted() -> str:
    found = pairs("aaabbc", "xxyyyz")
    # Together in truth: 3 of a and 1 of b. In the answer: 1 of x and 3 of y. In both: aa in x, bb in y.
    assert (found.truth, found.answer, found.both, found.all) == (4, 4, 2, 15), found
    assert close(found.precision(), 0.5) and close(found.recall(), 0.5) and close(found.f1(), 0.5)
    return "F1 0.5"


def the_adjusted_rand_index_is_that_of_hubert_and_arabie() -> str:
    # (2 - 16/15) / (4 - 16/15) = 14/44.
    assert close(pairs("aaabbc", "xxyyyz").adjusted_rand(), 14 / 44)
    assert close(pairs("aabb", "xxyy").adjusted_rand(), 1)
    assert close(pairs("aabb", "xxxx").adjusted_rand(), 0)
    # No pair is in both: (0 - 4/6) / (2 - 4/6) = -1/2.
    assert close(pairs("aabb", "xyxy").adjusted_rand(), -0.5)
    return "14/44, 1, 0, -1/2"


def merges_and_fragments_are_counted() -> str:
    assert close(over_merge("aaabbc", "xxyyyz"), 1 / 3)
    assert close(fragmentation("aaabbc", "xxyyyz"), 4 / 3)
    return "1/3 merged, 4/3 incidents a cause"


def macro_f1_is_the_mean_over_the_classes_of_the_truth() -> str:
    # p: 2 hits, told 3, real 2: 4/5. q: 1 hit, told 1, real 2: 2/3. r: missed: 0.
    told = [("p", "p"), ("p", "p"), ("q", "q"), ("q", "p"), ("r", None)]
    assert close(macro_f1(told), (4 / 5 + 2 / 3 + 0) / 3)
    return "(4/5 + 2/3 + 0) / 3"


def _member(node: str, at: float, rule: str = "latency-high") -> dict[str, Any]:
    return {"node": node, "rule": rule, "subject": {"kind": "node"}, "raised_at": written(at)}


def _cause(name: str, severity: str, type_: str = "high-latency") -> dict[str, Any]:
    entity = {"kind": "node", "name": name}
    return {"id": name, "kind": "made", "type": type_, "severity": severity, "root": entity, "root_also": []}


def _truth() -> dict[str, Any]:
    findings = [_member("a", 1) | {"cause": "a"}, _member("a", 2) | {"cause": "a"}, _member("b", 3) | {"cause": "b"}]
    return {"seed": 0, "causes": [_cause("a", "P1"), _cause("b", "P3")], "findings": findings}


def what_was_merged_counts_where_it_went_and_whats_in_no_incident_stands_alone() -> str:
    roots = [{"entity": {"kind": "node", "name": name}, "score": 1, "reason": ""} for name in ("x", "a")]
    incident = {"type": "high-latency", "severity": "P1", "roots": roots}
    first = incident | {"id": 1, "members": [_member("a", 1)], "merged_into": 2}
    second = incident | {"id": 2, "members": [_member("a", 2), _member("z", 9)]}
    verdict = score(_truth(), [first, second])
    figures = verdict.figures()
    assert figures["pairwise_f1_ratio"] == 1 and len(verdict.incidents) == 1, figures
    assert (verdict.unknown, verdict.absent) == (1, 1)
    # The second cause has no incident, which is wrong in type, severity and root.
    assert figures["type_macro_f1_ratio"] == 2 / 3 and figures["severity_accuracy_ratio"] == 0.5, figures
    assert (figures["root_ac_at_1_ratio"], figures["root_ac_at_3_ratio"]) == (0, 0.5), figures
    return "merged into 2; one alone"


def what_comes_again_while_its_incident_lasts_belongs_to_it() -> str:
    incident = {
        "id": 1,
        "type": "high-latency",
        "severity": "P1",
        "opened_at": written(1),
        "members": [_member("a", 1)],
    }
    assert score(_truth(), [incident]).again == 1
    assert score(_truth(), [incident | {"resolved_at": written(1.5)}]).again == 0
    return "once, and not when it was over"


def a_p1_that_is_none_is_a_false_one() -> str:
    told = [{"id": 1, "type": "high-latency", "severity": "P1", "members": [_member("b", 3)]}]
    assert score(_truth(), told).figures()["false_p1_ratio"] == 1
    return "1 of 1"


def the_aggregator_dates_a_lost_node_itself() -> str:
    truth = _truth() | {"findings": [_member("a", 100, "node-lost") | {"cause": "a"}]}
    told = [{"id": 1, "type": "node-unreachable", "severity": "P2", "members": [_member("a", 78, "node-lost")]}]
    assert score(truth, told).unknown == 0
    return "22 s apart"


def roots_are_the_same_thing_or_not() -> str:
    gpu = {"root": {"kind": "gpu", "node": "n", "name": "GPU-1"}}
    where = {"GPU-1": ("n", 3)}
    assert root.same({"kind": "gpu", "node": "n", "name": "GPU-1"}, gpu, where)
    assert root.same({"kind": "gpu", "node": "n", "name": "3"}, gpu, where)
    assert not root.same({"kind": "gpu", "node": "m", "name": "3"}, gpu, where)
    assert not root.same({"kind": "node", "name": "n"}, gpu, where), "an ancestor is not the same"
    change = {
        "root": {"kind": "change", "name": "rank:7"},
        "root_also": [{"kind": "model", "name": "rank", "version": "7"}],
    }
    assert root.same({"kind": "change", "name": "rank version 7"}, change) and root.same(
        {"kind": "model", "name": "rank:7"}, change
    )
    assert not root.same({"kind": "change", "name": "rank:6"}, change) and not root.same(
        {"kind": "model", "name": "rank"}, change
    )
    process = {"root": {"kind": "process", "node": "n", "name": "train (pid 12)", "pid": 12}}
    assert root.same({"kind": "process", "node": "n", "name": "train (pid 12)"}, process)
    assert not root.same({"kind": "process", "node": "n", "name": "train (pid 123)"}, process)
    replica = {"root": {"kind": "model", "node": "n", "name": "rank"}}
    assert not root.same({"kind": "model", "name": "rank"}, replica), "a replica is not the whole model"
    return "gpu, change, process, model"


def _service(replicas: int, critical: bool = False) -> Any:
    return SimpleNamespace(replicas=[object() for _ in range(replicas)], service=SimpleNamespace(critical=critical))


def _hit(model: Any, nth: int, **what: Any) -> Any:
    fields = {"lost": False, "failing": 0.0, "slow": False} | what
    return SimpleNamespace(replica=model.replicas[nth], **fields)


def severity_is_what_the_handbook_says() -> str:
    four, critical, one, three = _service(4), _service(4, critical=True), _service(1), _service(3)
    lost = lambda model, count: [_hit(model, nth, lost=True) for nth in range(count)]  # noqa: E731
    assert of_service(four, lost(four, 1)) == "P3"
    assert of_service(four, lost(four, 2)) == "P2"
    assert of_service(critical, lost(critical, 2)) == "P1"
    assert of_service(three, lost(three, 2)) == "P2", "one is left of several"
    assert of_service(four, lost(four, 4)) == of_service(one, lost(one, 1)) == "P1"
    assert of_service(four, [_hit(four, 0, failing=0.99)]) == "P3", "a quarter of a quarter less"
    assert of_service(four, [_hit(four, 0, failing=1.0)]) == "P2", "a quarter of all requests"
    assert of_service(four, [_hit(four, nth, failing=0.95) for nth in range(4)]) == "P1"
    assert of_service(four, [_hit(four, nth, slow=True) for nth in range(4)]) == "P3"
    return "nine cases"


def the_same_seed_gives_the_same_bytes() -> str:
    made = stream(SEEDS[0])
    with tempfile.TemporaryDirectory() as folder:
        again = generate(SEEDS[0], Path(folder))
        assert again.events.read_bytes() == made.events.read_bytes() and again.truth == made.truth
    return f"{made.events.stat().st_size / 1e6:.1f} MB"


def the_log_is_sorted_and_every_line_is_whole() -> str:
    lines = 0
    for seed in SEEDS:
        before, kinds = "", Counter()
        with open(stream(seed).events) as file:
            for line in map(json.loads, file):
                assert line["at"] >= before and {"node", "seq", "event"} <= line.keys(), line
                before = line["at"]
                kinds[line["event"]] += 1
        assert stream(seed).events.stat().st_size < 30e6
        assert {"finding", "change", "snapshot"} <= kinds.keys(), kinds
        lines += kinds.total()
    return f"{lines} lines"


def every_finding_of_the_truth_was_received() -> str:
    count = 0
    for seed in SEEDS:
        told = set()
        with open(stream(seed).events) as file:
            for line in map(json.loads, file):
                rows = [line] if line["event"] == "finding" and line["phase"] != "cleared" else line.get("active", [])
                told |= {(line["node"], row["rule"], row["raised_at"]) for row in rows}
        truth = {
            (row["node"], row["rule"], row["raised_at"])
            for row in stream(seed).truth["findings"]
            if row["rule"] != "node-lost"
        }
        assert told == truth, (len(told - truth), len(truth - told))
        count += len(truth)
    return f"{count} findings"


def agents_tell_of_every_rule_and_know_each_xid() -> str:
    assert set(naive.TYPE_OF) - {"node-lost", "nvlink-errors"} == set(SEES_S)
    assert {79, 119, 31} < set(XIDS)
    return f"{len(SEES_S)} rules, {len(FAULTS)} faults, {len(NOISE)} kinds of noise"


def a_perfect_answer_scores_one() -> str:
    for seed in SEEDS:
        figures = score(stream(seed).truth, naive.perfect(stream(seed).truth)).figures()
        off = {"over_merge_ratio": 0, "false_p1_ratio": 0}
        wrong = {
            name: value for name, value in figures.items() if name[:9] != "reduction" and value != off.get(name, 1)
        }
        assert not wrong, wrong
    return "all ones"


def simple_answers_do_not_do() -> str:
    scores = {}
    for answer in (naive.all_in_one, naive.each_alone, naive.by_node_and_minute):
        verdicts: list[Verdict] = [score(stream(seed).truth, answer(stream(seed).truth)) for seed in SEEDS]
        values = [verdict.figures()["pairwise_f1_ratio"] or 0.0 for verdict in verdicts]
        scores[answer.__name__] = sum(values) / len(values)
    assert scores["all_in_one"] < 0.6 and scores["each_alone"] == 0 and scores["by_node_and_minute"] < 0.3, scores
    return ", ".join(f"{name} {value:.2f}" for name, value in scores.items())


def times_are_read_as_they_are_written() -> str:
    assert written(61.5) == "2026-03-02T06:01:01.500Z" and read_ms(written(61.5)) == 61_500
    return written(61.5)


CHECKS: tuple[Callable[[], str], ...] = (
    times_are_read_as_they_are_written,
    pairs_are_counted,
    the_adjusted_rand_index_is_that_of_hubert_and_arabie,
    merges_and_fragments_are_counted,
    macro_f1_is_the_mean_over_the_classes_of_the_truth,
    what_was_merged_counts_where_it_went_and_whats_in_no_incident_stands_alone,
    what_comes_again_while_its_incident_lasts_belongs_to_it,
    a_p1_that_is_none_is_a_false_one,
    the_aggregator_dates_a_lost_node_itself,
    roots_are_the_same_thing_or_not,
    severity_is_what_the_handbook_says,
    the_same_seed_gives_the_same_bytes,
    the_log_is_sorted_and_every_line_is_whole,
    every_finding_of_the_truth_was_received,
    agents_tell_of_every_rule_and_know_each_xid,
    a_perfect_answer_scores_one,
    simple_answers_do_not_do,
)


def passes(check: Callable[[], str]) -> bool:
    """Runs one check and prints its line."""
    title = check.__name__.replace("_", " ")
    try:
        print(f"ok    {title}: {check()}", flush=True)
    except Exception as trouble:  # a check that fails in an unforeseen way has failed; the others still count
        print(f"FAIL  {title}: {type(trouble).__name__}: {trouble}", flush=True)
        return False
    return True


def main() -> int:
    """Runs the checks."""
    results = [passes(check) for check in CHECKS]
    FOLDER.cleanup()
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

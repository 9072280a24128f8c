"""How well one grouping agrees with another: pairs, adjusted Rand index, over-merge, fragmentation. Pure arithmetic."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb

Label = Hashable


@dataclass(frozen=True)
class Pairs:
    """Pairs of findings: together in truth, together in the answer, together in both; of how many there are."""

    truth: int
    answer: int
    both: int
    all: int

    def precision(self) -> float:
        """Of the pairs put together, the share that belongs together; 1 where none was put together."""
        return self.both / self.answer if self.answer else 1.0

    def recall(self) -> float:
        """Of the pairs that belong together, the share put together; 1 where there are none."""
        return self.both / self.truth if self.truth else 1.0

    def f1(self) -> float:
        """The harmonic mean of both."""
        precision, recall = self.precision(), self.recall()
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def adjusted_rand(self) -> float:
        """Hubert and Arabie's: 0 for chance, 1 for the same grouping."""
        if self.all == 0:
            return 1.0
        expected = self.truth * self.answer / self.all
        most = (self.truth + self.answer) / 2
        return (self.both - expected) / (most - expected) if most != expected else 1.0


def pairs(truth: Sequence[Label], answer: Sequence[Label]) -> Pairs:
    """Of two labels for each finding."""
    within = lambda labels: sum(comb(count, 2) for count in Counter(labels).values())  # noqa: E731
    both = within(list(zip(truth, answer, strict=True)))
    return Pairs(within(truth), within(answer), both, comb(len(truth), 2))


def over_merge(truth: Sequence[Label], answer: Sequence[Label]) -> float:
    """Share of the answer's groups that hold two causes or more."""
    causes = _by(answer, truth)
    return sum(len(its) > 1 for its in causes.values()) / len(causes) if causes else 0.0


def fragmentation(truth: Sequence[Label], answer: Sequence[Label]) -> float:
    """The mean number of groups over which a cause is spread."""
    groups = _by(truth, answer)
    return sum(map(len, groups.values())) / len(groups) if groups else 0.0


def _by(keys: Sequence[Label], values: Sequence[Label]) -> dict[Label, set[Label]]:
    found: dict[Label, set[Label]] = defaultdict(set)
    for key, value in zip(keys, values, strict=True):
        found[key].add(value)
    return found


def macro_f1(pairs_: Sequence[tuple[str, str | None]]) -> float:
    """Mean over the classes that occur in truth of each one's F1, from (truth, answer); no answer is a miss."""
    scores = []
    for name in {truth for truth, _ in pairs_}:
        hits = sum(truth == name == answer for truth, answer in pairs_)
        told = sum(answer == name for _, answer in pairs_)
        real = sum(truth == name for truth, _ in pairs_)
        scores.append(2 * hits / (told + real))
    return sum(scores) / len(scores) if scores else 1.0

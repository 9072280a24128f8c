"""Severity by the handbook's words, from what callers of each service meet while a cause lasts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from fleet import Model
from play import Effect, Play

P1, P2, P3, P4 = "P1", "P2", "P3", "P4"
FAILING_SIGNIFICANT = 0.25
FAILING_OUTAGE = 0.9


@dataclass(frozen=True)
class Hit:
    """An effect and the cause it comes from."""

    effect: Effect
    cause: int


def of_service(model: Model, effects: list[Effect]) -> str:
    """What callers of a model meet while these effects last. A service works as long as all its models do."""
    total = len(model.replicas)
    lost = {id(effect.replica) for effect in effects if effect.lost}
    failing: dict[int, float] = {}
    for effect in effects:
        if effect.failing and id(effect.replica) not in lost:
            failing[id(effect.replica)] = max(effect.failing, failing.get(id(effect.replica), 0.0))
    serving = total - len(lost)
    if serving == 0:
        return P1
    # Requests go to the replicas that are left, in equal shares.
    share = sum(failing.values()) / serving
    if share >= FAILING_OUTAGE:
        return P1
    one_left = bool(lost) and total > 1 and serving == 1
    if 2 * len(lost) >= total or one_left or share >= FAILING_SIGNIFICANT:
        return P1 if model.service is not None and model.service.critical else P2
    return P3 if effects else P4


def severities(plays: list[Play]) -> dict[int, str]:
    """By id of the play: the worst that it does alone, or without which it would not have come so far."""
    worst = {id(play): P4 for play in plays}
    hits: dict[Model, list[Hit]] = defaultdict(list)
    for play in plays:
        for effect in play.effects:
            hits[effect.replica.model].append(Hit(effect, id(play)))
    for model, its in hits.items():
        times = sorted({time for hit in its for time in (hit.effect.since, hit.effect.until)})
        for since, until in zip(times, times[1:]):
            _judge(model, [hit for hit in its if hit.effect.since <= since and hit.effect.until >= until], worst)
    return worst


def _judge(model: Model, hits: list[Hit], worst: dict[int, str]) -> None:
    causes = {hit.cause for hit in hits}
    together = of_service(model, [hit.effect for hit in hits])
    for cause in causes:
        own = of_service(model, [hit.effect for hit in hits if hit.cause == cause])
        if len(causes) > 1:
            without = of_service(model, [hit.effect for hit in hits if hit.cause != cause])
            own = min(own, together) if together < without else own
        worst[cause] = min(worst[cause], own)

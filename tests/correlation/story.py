"""What happens in a stream: faults and noise, overlapping in time and place, yet each with a territory of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from fault import FAULTS, NOISE, WIDE, deploy
from fleet import Fleet, Node
from play import Play, Site, Span

HORIZON_S = 7_200.0
TAIL_S = 600.0
"""After the horizon nothing begins; what is under way is told until the tail ends."""
TRIES = 25
NEAR_SHARE = 0.4
"""How often something is put beside something else: same node, same rack, same minutes."""
COINCIDENCE_SHARE = 0.1
"""How often a coincidence on one model is let through although even a person could be misled."""
XID_NEWS_S = 300.0


@dataclass
class Footprint:
    """Where and when a play shows."""

    play: Play
    replicas: dict[object, Span]
    things: dict[object, Span]
    models: dict[object, Span]
    begun: dict[Node, list[float]]
    silent: dict[Node, list[Span]]

    @staticmethod
    def of(play: Play) -> Footprint:
        """Gathered from its symptoms, effects and silences."""
        print_ = Footprint(play, {}, {}, {}, {}, {})
        for one in play.symptoms:
            # An XID stays up for an hour; it is news for some minutes.
            until = min(one.until, one.since + XID_NEWS_S) if one.words.rule == "xid" else one.until
            span = (one.since, until)
            subject = one.subject
            key = tuple(value for name, value in sorted(subject.items()) if name not in ("index", "version", "name"))
            _widen(print_.things, (one.node.name, key), span)
            if subject["kind"] == "model":
                _widen(print_.models, subject["model"], span)
            print_.begun.setdefault(one.node, []).append(one.since)
        for effect in play.effects:
            _widen(print_.replicas, id(effect.replica), (effect.since, effect.until))
        for silence in play.silences:
            print_.silent.setdefault(silence.node, []).append((silence.since, silence.until))
        return print_

    def nodes(self) -> list[Node]:
        """All nodes on which it shows."""
        return list(dict.fromkeys((*self.begun, *self.silent)))


def _widen(spans: dict[object, Span], key: object, span: Span) -> None:
    known = spans.get(key, span)
    spans[key] = (min(known[0], span[0]), max(known[1], span[1]))


def _meet(one: dict[object, Span], other: dict[object, Span], margin_s: float) -> bool:
    return any(_overlap(one[key], other[key], margin_s) for key in one.keys() & other.keys())


def _overlap(one: Span, other: Span, margin_s: float) -> bool:
    return one[0] - margin_s <= other[1] and other[0] - margin_s <= one[1]


def clash(one: Footprint, other: Footprint, rng: Random) -> bool:
    """Whether their symptoms could not be told apart even by somebody who knows the fleet well."""
    if _meet(one.things, other.things, 180) or _meet(one.replicas, other.replicas, 180):
        return True
    if _silenced(one, other) or _silenced(other, one):
        return True
    if one.play.alone and other.play.alone:
        return _meet(one.models, other.models, 480)
    if one.play.alone or other.play.alone:
        return _meet(one.models, other.models, 240) and rng.random() > COINCIDENCE_SHARE
    return False


def _silenced(silent: Footprint, other: Footprint) -> bool:
    """Whether something of the other begins on a node silent just then. Who is cut off may see a GPU fail."""
    lives = all(silence.agent_lives for silence in silent.play.silences) and not other.play.alone
    for node, spans in silent.silent.items():
        if any(_overlap(span, its, 180) for span in spans for its in other.silent.get(node, ())):
            return True
        begun = other.begun.get(node, ())
        if not lives and any(since - 180 <= at <= until + 120 for since, until in spans for at in begun):
            return True
    return False


def write(fleet: Fleet, rng: Random) -> list[Play]:
    """All plays of a stream, harmless deploys among them, by their start."""
    size = len(fleet.nodes)
    faults = rng.randint(11, 15) if size < 100 else rng.randint(20, 30) if size < 450 else rng.randint(28, 42)
    told: list[Footprint] = []
    _add(told, fleet, rng, _draw(rng, FAULTS, faults), FAULTS)
    _add(told, fleet, rng, _draw(rng, NOISE, round(faults * rng.uniform(0.7, 1.1))), NOISE)
    for _ in range(rng.randint(3, 7)):
        play = deploy.harmless(Site(fleet, rng, rng.uniform(60, HORIZON_S - 600), HORIZON_S))
        if not any(
            _meet({play.summary.split()[0]: (0, 0)}, dict.fromkeys(print_.models, (0, 0)), 0)
            for print_ in told
            if print_.play.alone
        ):
            told.append(Footprint.of(play))
    return sorted((print_.play for print_ in told), key=Play.started)


def _draw(rng: Random, kinds: dict[str, tuple[float, object]], count: int) -> list[str]:
    names, weights = list(kinds), [weight for weight, _ in kinds.values()]
    drawn: list[str] = []
    while len(drawn) < count:
        name = rng.choices(names, weights)[0]
        if name not in WIDE or name not in drawn:
            drawn.append(name)
    # The wide ones first, since the small ones find room between them and not the other way round.
    return sorted(drawn, key=lambda name: name not in WIDE)


def _add(told: list[Footprint], fleet: Fleet, rng: Random, names: Iterable[str], kinds: dict) -> None:
    for name in names:
        for _ in range(TRIES):
            play = kinds[name][1](_site(told, fleet, rng))
            if play is None or not (play.symptoms or play.silences):
                continue
            print_ = Footprint.of(play)
            if not any(clash(print_, other, rng) for other in told):
                told.append(print_)
                break


def _site(told: list[Footprint], fleet: Fleet, rng: Random) -> Site:
    if told and rng.random() < NEAR_SHARE:
        other = rng.choice(told)
        if nodes := other.nodes():
            at = other.play.started() + rng.uniform(-60, 240)
            return Site(fleet, rng, min(max(60.0, at), HORIZON_S), HORIZON_S, rng.choice(nodes))
    return Site(fleet, rng, rng.uniform(90, HORIZON_S - 900), HORIZON_S)

"""Too much asked for, and slowness that travels from a service to those who call it."""

from __future__ import annotations

import symptom
from fleet import Service
from play import Play, Site


def surge(site: Site) -> Play:
    """A campaign: all replicas of a model queue within a minute; some turn requests away; callers wait too."""
    model, rng, at = site.model(), site.rng, site.at
    service = model.service
    assert service is not None, f"model {model.name} belongs to no service"
    root = {"kind": "model", "name": model.name}
    play = Play("demand-surge", "high-latency", root, f"surge on {model.name} of {service.name}", rng, alone=True)
    play.also = [{"kind": "service", "name": service.name}]
    end, pace = at + rng.uniform(120, 700), rng.uniform(10, 60)
    refused = rng.uniform(0.05, 0.5) if rng.random() < 0.4 else 0.0
    for replica in model.replicas:
        if rng.random() < 0.12:
            continue
        begin = at + rng.uniform(0, pace)
        spans = play.flapping(begin, end, (40, 200), (8, 50)) if rng.random() < 0.4 else iter([(begin, end)])
        for since, until in spans:
            play.queues(replica, since, until)
        if refused and rng.random() < 0.7:
            late = begin + rng.uniform(5, 40)
            share = min(0.9, refused * rng.uniform(0.7, 1.3))
            if late < end:
                play.on_model(symptom.rejecting(share), replica, late, end)
                play.errors(replica, late + rng.uniform(0, 10), end, share)
        if model.language and rng.random() < 0.6:
            play.on_model(symptom.cache_full(rng), replica, begin + rng.uniform(0, 20), end)
    if rng.random() < 0.5:
        _callers(site, play, service, at + pace, end)
    return play


def slow_upstream(site: Site) -> Play | None:
    """What a service reads from becomes slow: it computes slowly everywhere, then those who call it queue."""
    rng, at, services = site.rng, site.at, site.fleet.services
    called = [service for service in services if service.dependents(services)]
    if not called:
        return None
    service = rng.choice(called)
    root = {"kind": "service", "name": service.name}
    play = Play("slow-upstream", "high-latency", root, f"service {service.name} is slow", rng, alone=True)
    if len(service.models) == 1:
        play.also = [{"kind": "model", "name": service.models[0].name}]
    end = at + rng.uniform(150, 800)
    for model in service.models:
        for replica in model.replicas:
            if rng.random() < 0.9:
                begin = at + rng.uniform(0, 25)
                play.slows(replica, begin, end + rng.uniform(0, 10))
                if rng.random() < 0.3:
                    play.queues(replica, begin + rng.uniform(10, 50), end)
    _callers(site, play, service, at + 10, end)
    return play


def _callers(site: Site, play: Play, service: Service, since: float, until: float) -> None:
    """Ten seconds to a minute and a half later those who call it wait for it."""
    rng = play.rng
    for caller in service.dependents(site.fleet.services):
        for replica in rng.choice(caller.models).replicas:
            begin = since + rng.uniform(5, 90)
            if rng.random() < 0.8 and begin + 20 < until:
                (play.slows if rng.random() < 0.5 else play.queues)(replica, begin, until + rng.uniform(0, 30))

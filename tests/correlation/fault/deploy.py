"""A bad version that is rolled out node by node, and is rolled back at last."""

from __future__ import annotations

from collections.abc import Iterator

import symptom
from fault.memory import suspect_of
from fleet import Model, Replica
from play import Play, Site


def _play(site: Site, kind: str, type_: str, model: Model, what: str) -> Play:
    """The change is the root; the version of that model, said otherwise, is the same thing."""
    version = model.version + 1
    root = {"kind": "change", "name": f"{model.name}:{version}"}
    play = Play(kind, type_, root, f"{model.name}:{version} {what}", site.rng, alone=True)
    play.also = [{"kind": "model", "name": model.name, "version": str(version)}]
    return play


def _rolling(site: Site, model: Model) -> Iterator[tuple[Replica, float, float]]:
    """Replica, when it gets the new version, when it gets the old one again. A canary goes first; some are spared."""
    rng = site.rng
    order = rng.sample(model.replicas, len(model.replicas))
    reach = max(2, round(len(order) * rng.uniform(0.5, 1.0)))
    step = rng.uniform(4, 45)
    at = site.at
    deploys = []
    for nth, replica in enumerate(order[:reach]):
        deploys.append((replica, at))
        at += rng.uniform(60, 150) if nth == 0 and rng.random() < 0.5 else step * rng.uniform(0.5, 1.5)
    rollback = at + rng.uniform(60, 400)
    for replica, deployed in deploys:
        rollback += rng.uniform(1, 8)
        yield replica, deployed, rollback


def errors(site: Site) -> Play:
    """The new version fails a good part of its requests."""
    model, rng = site.model(), site.rng
    play = _play(site, "deploy-errors", "high-error-rate", model, "fails requests")
    share, version = rng.uniform(0.08, 1.0), model.version + 1
    for replica, at, back in _rolling(site, model):
        play.deploys(replica, at, version)
        play.errors(replica, at + rng.uniform(1, 20), back, min(1.0, share * rng.uniform(0.85, 1.15)), version)
        play.deploys(replica, back, model.version)
    return play


def slow(site: Site) -> Play:
    """The new version computes slowly; its replicas queue, and after them those who call."""
    model, rng = site.model(), site.rng
    play = _play(site, "deploy-slow", "high-latency", model, "is slow")
    version = model.version + 1
    for replica, at, back in _rolling(site, model):
        play.deploys(replica, at, version)
        begin = at + rng.uniform(1, 10)
        play.slows(replica, begin, back, version)
        if rng.random() < 0.6:
            for since, until in play.flapping(begin + rng.uniform(10, 60), back, (30, 200), (10, 60)):
                play.queues(replica, since, until, version)
        play.deploys(replica, back, model.version)
    return play


def fails_to_load(site: Site) -> Play:
    """The new version cannot be loaded: one replica after another is gone, until the old one is loaded again."""
    model, rng = site.model(), site.rng
    play = _play(site, "deploy-fails-to-load", "model-unavailable", model, "cannot be loaded")
    version = model.version + 1
    play.also.append({"kind": "change", "name": f"{model.name}:{model.version}"})
    reason = rng.choice(("Invalid argument: unexpected input shape", "failed to load libtorch.so", "out of memory"))
    lost = []
    for replica, at, back in _rolling(site, model):
        gone = "was unloaded and is not back after 5 s"
        play.change(replica.node, at + 5, replica.subject(), "model-unloaded", gone, replica)
        play.on_model(symptom.not_loaded(reason), replica, at + rng.uniform(0.5, 8), back, version, sees=(0.1, 1))
        play.lose([replica], at, back)
        play.change(replica.node, back, replica.subject(), "model-loaded", "serves", replica)
        lost.append((replica, at, back))
    _, last, back = lost[-1]
    play.overload([replica for replica, _, _ in lost], last, back)
    return play


def leaks(site: Site) -> Play:
    """The new version leaks GPU memory on every node that has it, until the memory is gone."""
    model, rng = site.model(), site.rng
    play = _play(site, "deploy-leaks", "gpu-oom", model, "leaks memory")
    version, after = model.version + 1, rng.uniform(30, 150)
    for replica, at, back in _rolling(site, model):
        play.deploys(replica, at, version)
        gpu = replica.gpus[0]
        begin = at + after * rng.uniform(0.9, 1.1)
        if begin + 20 < back:
            suspect = suspect_of(site, gpu, replica.server)
            play.on_gpu(symptom.exhausting(rng, suspect), gpu, begin, min(back, begin + rng.uniform(50, 90)))
            gone = begin + rng.uniform(40, 60)
            if gone + 5 < back:
                play.on_gpu(symptom.exhausted(rng, rng.randint(3, 50)), gpu, gone, back)
                for other in gpu.replicas:
                    play.errors(
                        other,
                        gone + rng.uniform(0, 8),
                        back,
                        rng.uniform(0.1, 0.8),
                        version if other is replica else None,
                    )
        play.deploys(replica, back, model.version)
    return play


def harmless(site: Site) -> Play:
    """A good version is rolled out. Nobody is hurt; it only stands near what others do."""
    model, rng = site.model(least=1), site.rng
    play = Play("harmless-deploy", "", {}, f"{model.name} deployed", rng)
    at = site.at
    for replica in model.replicas:
        play.deploys(replica, at, model.version)
        at += rng.uniform(2, 30)
    return play

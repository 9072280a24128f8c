"""Others' work that slows a model."""

from __future__ import annotations

import symptom
from fault.memory import process_entity, suspect_of
from play import Play, Site, Symptom


def busy_process(site: Site) -> Play:
    """Somebody's job shares a GPU, in bouts: its models are slow, queue, and after a minute the job is blamed."""
    gpu, rng, at = site.gpu(), site.rng, site.at
    suspect = suspect_of(site, gpu, None) | {"confidence": round(rng.uniform(0.6, 0.97), 3)}
    root = process_entity(gpu, suspect)
    summary = f"{root['name']} slows GPU {gpu.index} of {gpu.node.name}"
    play = Play("noisy-neighbour", "noisy-neighbour", root, summary, rng)
    end = at + rng.uniform(180, 900)
    if rng.random() < 0.3:
        words = symptom.rogue(suspect)
        play.symptoms.append(Symptom(gpu.node, suspect["subject"], words, at + rng.uniform(5, 40), end))
    for replica in gpu.replicas:
        blamed = symptom.neighbour(rng, replica.model, gpu, suspect)
        play.on_model(blamed, replica, at + rng.uniform(0, 5), end, sees=(30, 90))
        if rng.random() < 0.6:
            play.slows(replica, at + rng.uniform(0, 10), end)
        if rng.random() < 0.6:
            begin = at + rng.uniform(10, 60)
            for since, until in play.flapping(begin, end, (15, 60), (15, 90)):
                play.queues(replica, since, until)
    return play


def cpu_limit(site: Site) -> Play:
    """A server's own CPU limit is too low for the hour: it is throttled, and its models queue."""
    server, rng, at = site.server(), site.rng, site.at
    where = f"CPU limit of Triton {server.name} of {server.node.name}"
    play = Play("cpu-limit", "noisy-neighbour", server.entity, where, rng)
    end = at + rng.uniform(120, 600)
    play.on_server(symptom.cpu_throttled(rng), server, at, end)
    for replica in server.replicas:
        if rng.random() < 0.6:
            play.queues(replica, at + rng.uniform(2, 40), end)
    return play

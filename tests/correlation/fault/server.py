"""Triton servers that crash, hang, or crash again and again."""

from __future__ import annotations

import symptom
from fleet import Server
from play import Play, Site


def _play(site: Site, kind: str, server: Server, what: str) -> Play:
    summary = f"Triton {server.name} of {server.node.name} {what}"
    play = Play(kind, "model-unavailable", server.entity, summary, site.rng)
    play.also = [
        {"kind": "process", "node": server.node.name, "name": f"tritonserver (pid {server.pid})", "pid": server.pid}
    ]
    return play


def crash(site: Site) -> Play:
    """It dies and is started again; some of its models are missing after that, siblings elsewhere carry more."""
    server, rng, at = site.server(), site.rng, site.at
    play = _play(site, "server-crash", server, "crashed")
    back = at + rng.uniform(5, 240)
    play.crash(server, at, back)
    for replica in server.replicas:
        if rng.random() < 0.35:
            until = back + rng.uniform(30, 240)
            if rng.random() < 0.5:
                play.on_model(symptom.unloaded(), replica, back, until)
            else:
                words = symptom.not_loaded("Internal: unable to create stub process")
                play.on_model(words, replica, back + rng.uniform(1, 15), until, sees=(0.1, 1))
            play.lose([replica], back, until)
    if back - at > 60:
        play.overload(server.replicas, at, back)
    return play


def hang(site: Site) -> Play:
    """It listens and does not answer: its source is blind, its models stall; then it is killed and comes back."""
    server, rng, at = site.server(), site.rng, site.at
    play = _play(site, "server-hang", server, "hangs")
    killed = at + rng.uniform(30, 240)
    stalled = rng.random() < 0.6
    blind_at = at + (rng.uniform(6, 12) if stalled else 0)
    for replica in server.replicas:
        if stalled and rng.random() < 0.8:
            play.stalls(replica, at, killed)
        else:
            play.lose([replica], at, killed)
    play.on_source(f"triton/{server.name}", "no answer within 1 s", server.node, blind_at, killed)
    play.crash(server, killed, killed + rng.uniform(4, 30))
    return play


def crash_loop(site: Site) -> Play:
    """It crashes a while after each start, with longer and longer pauses."""
    server, rng, at = site.server(), site.rng, site.at
    play = _play(site, "server-crash-loop", server, "crashes again and again")
    pause = 8.0
    for _ in range(rng.randint(3, 6)):
        play.crash(server, at, at + pause)
        up = rng.uniform(8, 45)
        if rng.random() < 0.4 and server.replicas:
            replica = rng.choice(server.replicas)
            play.errors(replica, at + pause, at + pause + up, rng.uniform(0.2, 1))
        at, pause = at + pause + up, min(90.0, pause * 1.8)
    return play

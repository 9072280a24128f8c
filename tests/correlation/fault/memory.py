"""GPU and host memory that runs out."""

from __future__ import annotations

from typing import Any

import symptom
from fleet import Gpu, Server
from play import Play, Site, Symptom


def suspect_of(site: Site, gpu: Gpu, server: Server | None) -> dict[str, Any]:
    """The server itself, or somebody else's process."""
    rng = site.rng
    if server is not None:
        return symptom.process(gpu, server.pid, server.pid * 7 + 1_000, "tritonserver", "triton.service", 0.5)
    name, owner = rng.choice(
        (("python3", "notebook-7f9c"), ("train", "nightly-train"), ("ffmpeg", ""), ("eval", "eval-job"))
    )
    return symptom.process(gpu, rng.randint(60_001, 99_000), rng.randint(10_000, 10_000_000), name, owner, 0.5)


def process_entity(gpu: Gpu, suspect: dict[str, Any]) -> dict[str, Any]:
    """A process as a root: its node, its name for people, its pid."""
    subject = suspect["subject"]
    return {
        "kind": "process",
        "node": gpu.node.name,
        "name": f"{subject['name']} (pid {subject['pid']})",
        "pid": subject["pid"],
    }


def _play(site: Site, kind: str, gpu: Gpu, server: Server | None, what: str) -> tuple[Play, dict[str, Any]]:
    suspect = suspect_of(site, gpu, server)
    root = process_entity(gpu, suspect)
    also = [server.entity] if server is not None else []
    summary = f"{what}: {root['name']} on GPU {gpu.index} of {gpu.node.name}"
    return Play(kind, "gpu-oom", root, summary, site.rng, also), suspect


def leak(site: Site) -> Play:
    """A process takes memory until there is none: models on the GPU fail, at last a server is killed and restarted."""
    gpu, rng, at = site.gpu(), site.rng, site.at
    own = bool(gpu.replicas) and rng.random() < 0.6
    server = gpu.replicas[0].server if own else None
    play, suspect = _play(site, "memory-leak", gpu, server, "memory leak")
    gone, end = at + rng.uniform(40, 75), at + rng.uniform(150, 500)
    play.on_gpu(symptom.exhausting(rng, suspect), gpu, at, gone + rng.uniform(5, 30))
    play.on_gpu(symptom.exhausted(rng, rng.randint(3, 60) if gpu.replicas else 0), gpu, gone, end)
    for replica in gpu.replicas:
        play.errors(replica, gone + rng.uniform(0, 12), end - rng.uniform(0, 10), rng.uniform(0.08, 0.9))
    if server is not None and rng.random() < 0.7:
        back = end + rng.uniform(4, 25)
        play.crash(server, end, back)
        for replica in server.replicas:
            if rng.random() < 0.3:
                play.on_model(symptom.unloaded(), replica, back, back + rng.uniform(30, 200))
                play.lose([replica], back, back + 100)
    return play


def leak_caught(site: Site) -> Play:
    """The same, restarted in time: a forecast that did not come true."""
    gpu, rng, at = site.gpu(), site.rng, site.at
    play, suspect = _play(site, "memory-leak-caught", gpu, None, "memory leak, stopped in time")
    play.on_gpu(symptom.exhausting(rng, suspect), gpu, at, at + rng.uniform(20, 60))
    return play


def grab(site: Site) -> Play:
    """Somebody starts a job on a GPU that is not theirs; the models there cannot allocate any more."""
    gpu, rng, at = site.gpu(), site.rng, site.at
    play, suspect = _play(site, "memory-grab", gpu, None, "memory taken at once")
    end = at + rng.uniform(60, 600)
    play.on_gpu(symptom.exhausted(rng, rng.randint(1, 40) if gpu.replicas else 0, suspect), gpu, at, end)
    if rng.random() < 0.5:
        seen = at + rng.uniform(20, 40)
        words = symptom.rogue(suspect)
        play.symptoms.append(Symptom(gpu.node, suspect["subject"], words, seen, max(end, seen + 5)))
    for replica in gpu.replicas:
        play.errors(replica, at + rng.uniform(0, 6), end, rng.uniform(0.06, 0.8))
    return play


def host_oom(site: Site) -> Play:
    """The host's memory runs out, the kernel kills Triton; it comes back, and some models are not loaded again."""
    server, rng, at = site.server(), site.rng, site.at
    node = server.node
    play = Play("host-oom", "gpu-oom", server.entity, f"host memory: Triton {server.name} of {node.name} killed", rng)
    play.also = [{"kind": "process", "node": node.name, "name": f"tritonserver (pid {server.pid})", "pid": server.pid}]
    play.also.append(node.entity)
    back = at + rng.uniform(6, 40)
    play.on_node(symptom.host_oom("tritonserver"), node, at, at + rng.uniform(60, 300))
    play.crash(server, at + rng.uniform(0, 1), back)
    for replica in server.replicas:
        if rng.random() < 0.4:
            until = back + rng.uniform(30, 300)
            play.on_model(symptom.unloaded(), replica, back, until)
            play.lose([replica], back, until)
    return play

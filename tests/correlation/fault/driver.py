"""A driver that is rolled out and does not bear the load."""

from __future__ import annotations

import symptom
from play import Play, Silence, Site

VERSIONS = ("575.57.08", "580.65.06", "580.95.05")


def rollout(site: Site) -> Play:
    """Nodes are drained, get the driver and come back, in batches; then many of their GPUs report XIDs under load."""
    rng, version = site.rng, site.rng.choice(VERSIONS)
    root = {"kind": "change", "name": f"driver:{version}"}
    play = Play("driver-rollout", "gpu-hardware", root, f"driver {version}", rng)
    nodes = rng.sample(site.fleet.nodes, max(4, min(40, len(site.fleet.nodes) // 8)))
    code, at = rng.choice((62, 109, 119)), site.at
    for nth, node in enumerate(nodes):
        if nth % 4 == 3:
            at += rng.uniform(20, 120)
        begin = at + rng.uniform(0, 15)
        back = begin + rng.uniform(60, 150)
        play.silences.append(Silence(node, begin, back, agent_lives=False, announced=True))
        play.change(node, back + 2, {"kind": "node"}, "driver-changed", f"driver 570.172.08 became {version}")
        if rng.random() < 0.6:
            for gpu in rng.sample(node.gpus, rng.choice((1, 1, 2))):
                sick = back + rng.uniform(60, 600)
                play.on_gpu(symptom.xid(code), gpu, sick, sick + symptom.XIDS[code][3])
                for replica in gpu.replicas:
                    play.errors(replica, sick + rng.uniform(0.3, 8), sick + rng.uniform(90, 500), rng.uniform(0.3, 1.0))
    return play

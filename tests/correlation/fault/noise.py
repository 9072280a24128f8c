"""Small things that are nobody's fault: each a cause of its own."""

from __future__ import annotations

import symptom
from fleet import Replica
from play import Play, Site


def _of(replica: Replica, kind: str, type_: str, site: Site) -> Play:
    where = f"{kind} of {replica.model.name} on {replica.node.name}"
    return Play(kind, type_, replica.entity, where, site.rng, alone=True)


def latency_blip(site: Site) -> Play:
    """A few long prompts slow one replica for a while."""
    replica = site.replica()
    play = _of(replica, "latency-blip", "high-latency", site)
    play.slows(replica, site.at, site.at + site.rng.uniform(25, 70))
    return play


def error_blip(site: Site) -> Play:
    """One client sends nonsense to one replica."""
    replica = site.replica()
    play = _of(replica, "error-blip", "high-error-rate", site)
    play.errors(replica, site.at, site.at + site.rng.uniform(5, 40), site.rng.uniform(0.06, 0.2))
    return play


def queue_blip(site: Site) -> Play:
    """A burst on one replica."""
    replica = site.replica()
    play = _of(replica, "queue-blip", "high-latency", site)
    play.queues(replica, site.at, site.at + site.rng.uniform(8, 40))
    return play


def stray_xid(site: Site) -> Play:
    """A notebook's kernel faults on some GPU; nothing that is served there notices."""
    gpu, code = site.gpu(), site.rng.choice((13, 31, 94))
    where = f"stray XID {code} on GPU {gpu.index} of {gpu.node.name}"
    play = Play("stray-xid", "gpu-hardware", gpu.entity, where, site.rng)
    play.on_gpu(symptom.xid(code), gpu, site.at, site.at + symptom.XIDS[code][3])
    return play


def blind_blip(site: Site) -> Play:
    """A source times out for some seconds."""
    node, rng = site.node(), site.rng
    source, reason = rng.choice(
        (("nvml", "the driver does not answer"), ("kmsg", "cannot be read"), ("host", "cannot be read"))
    )
    root = {"kind": "node", "name": node.name}
    play = Play("blind-blip", "telemetry-blind", root, f"{source} of {node.name} blind for a moment", rng)
    play.also = [{"kind": "source", "node": node.name, "name": source}]
    play.on_source(source, reason, node, site.at, site.at + rng.uniform(5, 40))
    return play

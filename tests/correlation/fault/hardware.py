"""GPUs that fail, slow down, or hang the driver; air and power of a rack that slow all of its GPUs."""

from __future__ import annotations

import symptom
from fleet import Gpu
from play import Play, Site


def _of(gpu: Gpu, kind: str, site: Site, summary: str) -> Play:
    where = f"{summary}: GPU {gpu.index} of {gpu.node.name}"
    return Play(kind, "gpu-hardware", gpu.entity, where, site.rng)


def _tell_xid(play: Play, gpu: Gpu, code: int, at: float) -> None:
    """The agent keeps it up for ten minutes or an hour after the last time."""
    play.on_gpu(symptom.xid(code, play.rng.choice((1, 1, 2, 5))), gpu, at, at + symptom.XIDS[code][3])


def fell_off(site: Site) -> Play:
    """XID 79, the GPU is gone; its models fail, their servers are restarted and cannot load them there."""
    gpu, rng, at = site.gpu(), site.rng, site.at
    play = _of(gpu, "gpu-fell-off", site, "fell off the bus")
    mended = at + rng.uniform(300, 1500)
    _tell_xid(play, gpu, 79, at)
    play.on_gpu(symptom.gpu_lost(gpu), gpu, at + rng.uniform(0.1, 3), mended)
    if rng.random() < 0.5:
        play.on_gpu(symptom.recovery_required("reboot"), gpu, at + rng.uniform(1, 8), mended)
    if rng.random() < 0.3:
        play.on_source("nvml", "the driver does not answer", gpu.node, at + 1, at + rng.uniform(10, 60))
    for server in dict.fromkeys(replica.server for replica in gpu.replicas):
        hit = [replica for replica in gpu.replicas if replica.server is server]
        restart = at + rng.uniform(25, 120)
        for replica in hit:
            if rng.random() < 0.85:
                play.errors(replica, at + rng.uniform(0.3, 6), restart, rng.uniform(0.9, 1.0))
            else:
                play.lose([replica], at, restart)
        if rng.random() < 0.6:
            play.crash(server, restart, restart + rng.uniform(4, 20))
        for replica in hit:
            fails = restart + rng.uniform(20, 35)
            play.on_model(symptom.not_loaded("CUDA error: no device"), replica, fails, mended, sees=(0.1, 1))
            play.lose([replica], restart, mended)
    return play


def memory_error(site: Site) -> Play:
    """An uncorrectable error: XID 48, 94 or 95, ECC counters, a row to remap, failing executions; healed by a reset."""
    gpu, rng, at = site.gpu(), site.rng, site.at
    play = _of(gpu, "gpu-memory-error", site, "uncorrectable memory error")
    code = rng.choice((48, 94, 95))
    mended = at + rng.uniform(120, 900)
    _tell_xid(play, gpu, code, at)
    play.on_gpu(symptom.ecc(rng), gpu, at + rng.uniform(0.2, 3), mended)
    if rng.random() < 0.6:
        play.on_gpu(symptom.row_remap(code == 95), gpu, at + rng.uniform(1, 20), mended)
    for replica in gpu.replicas:
        if code != 94 or rng.random() < 0.6:
            play.errors(replica, at + rng.uniform(0.5, 12), mended - rng.uniform(5, 60), rng.uniform(0.1, 0.95))
    return play


def application_xid(site: Site) -> Play:
    """XID 13 or 31: one application's kernel faults; its model fails until the server is restarted."""
    gpu, rng, at = site.gpu(), site.rng, site.at
    play = _of(gpu, "gpu-application-xid", site, "an application faulted")
    _tell_xid(play, gpu, rng.choice((13, 31)), at)
    for replica in gpu.replicas[:1]:
        restart = at + rng.uniform(15, 90)
        play.errors(replica, at + rng.uniform(0.2, 4), restart, rng.uniform(0.4, 1.0))
        play.crash(replica.server, restart, restart + rng.uniform(3, 15))
    return play


def driver_hang(site: Site) -> Play:
    """XID 119 or 109: the driver hangs on one GPU; NVML goes blind and the models there stall."""
    gpu, rng, at = site.gpu(), site.rng, site.at
    play = _of(gpu, "driver-hang", site, "the driver hangs")
    mended = at + rng.uniform(120, 700)
    _tell_xid(play, gpu, rng.choice((62, 109, 119)), at)
    play.on_source("nvml", "the driver does not answer", gpu.node, at + rng.uniform(0.5, 4), mended)
    for replica in gpu.replicas:
        play.stalls(replica, at + rng.uniform(0.5, 5), mended)
    if rng.random() < 0.4:
        play.on_gpu(symptom.recovery_required("reset"), gpu, at + rng.uniform(2, 15), mended)
    return play


def thermal(site: Site) -> Play:
    """A fan or a clogged filter: one GPU is slowed for heat, on and off; its models are slow, some queue."""
    gpu, rng, at = site.gpu(), site.rng, site.at
    play = _of(gpu, "thermal", site, "slowed for heat")
    end = at + rng.uniform(150, 1200)
    flaps = rng.random() < 0.6
    spans = play.flapping(at, end, (25, 90), (14, 70)) if flaps else iter([(at, end)])
    for since, until in spans:
        play.on_gpu(symptom.thermal(rng), gpu, since, until)
    for replica in gpu.replicas:
        slow_at = at + rng.uniform(0, 15)
        play.slows(replica, slow_at, end)
        if rng.random() < 0.5:
            queue_at = slow_at + rng.uniform(15, 90)
            for since, until in play.flapping(queue_at, end, (20, 100), (10, 60)):
                play.queues(replica, since, until)
    return play


def narrow_link(site: Site) -> Play:
    """The PCIe link trains down to four lanes; models that copy much become slow."""
    gpu, rng, at = site.gpu(), site.rng, site.at
    play = _of(gpu, "narrow-link", site, "narrow PCIe link")
    end = at + rng.uniform(300, 1500)
    play.on_gpu(symptom.pcie(), gpu, at, end)
    for replica in gpu.replicas:
        if rng.random() < 0.7:
            play.slows(replica, at + rng.uniform(0, 30), end - rng.uniform(0, 20))
    return play


def rack_cooling(site: Site) -> Play:
    """A rack's cooling fails: one GPU after another is slowed for heat, over minutes, on nearly all its nodes."""
    return _rack(site, "rack-cooling", "cooling", symptom.thermal, (0, 150))


def rack_power_brake(site: Site) -> Play:
    """A rack's feed is overloaded: all GPUs are braked within seconds, on and off."""
    return _rack(site, "rack-power-brake", "power feed", symptom.power_brake, (0, 4))


def _rack(site: Site, kind: str, what: str, words: object, spread_s: tuple[float, float]) -> Play:
    rng, at, rack = site.rng, site.at, site.node().rack
    play = Play(kind, "gpu-hardware", {"kind": "rack", "name": rack.name}, f"{what} of rack {rack.name}", rng)
    end = at + rng.uniform(240, 800)
    for node in rack.nodes:
        if rng.random() < 0.08:
            continue
        for gpu in node.gpus:
            if rng.random() < 0.3:
                continue
            since = at + rng.uniform(*spread_s)
            until = end + rng.uniform(-30, 60)
            play.on_gpu(words(rng), gpu, since, until)  # type: ignore[operator]
            for replica in gpu.replicas:
                if rng.random() < 0.7:
                    play.slows(replica, since + rng.uniform(0, 20), until)
                if rng.random() < 0.25:
                    play.queues(replica, since + rng.uniform(15, 60), until)
    return play

"""What agents say of trouble, in their own words: rule, grade, summary, evidence. A function words one finding."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from fleet import GIB, Gpu, Model, Subject

Evidence = dict[str, Any]


@dataclass(frozen=True)
class Words:
    """A finding without its subject and its times."""

    rule: str
    grade: str
    summary: str
    evidence: tuple[Evidence, ...] = ()
    suspects: tuple[dict[str, Any], ...] = ()


def _read(
    signal: str,
    value: float,
    unit: str,
    window_s: float = 0.0,
    threshold: float | None = None,
    baseline: float | None = None,
) -> Evidence:
    value, threshold, baseline = (
        number if number is None else round(number, 4) for number in (value, threshold, baseline)
    )
    return {
        "signal": signal,
        "value": value,
        "unit": unit,
        "window_s": window_s,
        "threshold": threshold,
        "baseline": baseline,
    }


XIDS = {
    13: ("graphics engine exception", "warning", "the application must be restarted", 600),
    31: ("GPU memory page fault", "warning", "the application must be restarted", 600),
    94: ("contained memory error", "warning", "the application must be restarted", 600),
    48: ("double bit ECC error", "degraded", "to be looked into", 3_600),
    74: ("NVLink error", "degraded", "to be looked into", 3_600),
    62: ("internal micro-controller halt", "down", "the GPU must be reset", 3_600),
    95: ("uncontained memory error", "down", "the GPU must be reset", 3_600),
    109: ("context switch time-out", "down", "the GPU must be reset", 3_600),
    119: ("GSP firmware error", "down", "the GPU must be reset", 3_600),
    79: ("GPU has fallen off the bus", "down", "the machine must be restarted", 3_600),
}


def xid(code: int, times: int = 1) -> Words:
    """The driver reported this one."""
    meaning, grade, advice, _ = XIDS[code]
    evidence = (_read("XID", code, "code"), _read("times told", times, "count"))
    return Words("xid", grade, f"XID {code} ({meaning}): {advice}", evidence)


def gpu_lost(gpu: Gpu) -> Words:
    """The driver cannot reach it."""
    evidence = (_read("time lost", 0.0, "s", threshold=0.0),)
    return Words("gpu-lost", "down", f"the driver has lost {gpu.name} at {gpu.pci_bus_id}", evidence)


def recovery_required(action: str) -> Words:
    """The driver asks for a reset or a reboot."""
    return Words(
        "gpu-recovery-required", "down", f"the driver asks for: {action}", (_read("recovery action", 1, "code"),)
    )


def ecc(rng: Random) -> Words:
    """Uncorrectable memory errors."""
    count = rng.randint(1, 9)
    return Words(
        "ecc-uncorrected",
        "degraded",
        f"{count} uncorrectable memory errors",
        (_read("uncorrectable errors", count, "count"),),
    )


def row_remap(failed: bool) -> Words:
    """Rows were remapped or cannot be."""
    text = "a row could not be remapped" if failed else "a row waits to be remapped at the next reset"
    return Words("row-remap", "degraded" if failed else "warning", text, (_read("rows pending", 1, "count"),))


def thermal(rng: Random) -> Words:
    """It slows itself for heat."""
    share = rng.uniform(0.4, 1.0)
    evidence = (_read("share of time slowed for heat", share, "ratio", 10.0, 0.2),)
    return Words("thermal-throttle", "degraded", f"slowed for heat {share * 100:.0f} % of the time", evidence)


def power_brake(rng: Random) -> Words:
    """The power supply slows it."""
    share = rng.uniform(0.5, 1.0)
    evidence = (_read("share of time slowed by the supply", share, "ratio", 10.0, 0.05),)
    return Words("power-brake", "degraded", f"slowed by the power supply {share * 100:.0f} % of the time", evidence)


def pcie() -> Words:
    """The link to the host is narrower than it should be."""
    evidence = (_read("PCIe link width", 4, "count", threshold=16),)
    return Words("pcie-degraded", "degraded", "the link runs 4 lanes wide of 16", evidence)


def exhausting(rng: Random, suspect: dict[str, Any] | None) -> Words:
    """Memory will be gone soon."""
    left_s, pace = rng.uniform(25, 59), rng.uniform(100, 900)
    by = f" (pid {suspect['subject']['pid']}, {suspect['subject']['name']})" if suspect else ""
    evidence = (
        _read("time to exhaustion", left_s, "s", threshold=60.0),
        _read("growth", pace * (1 << 20), "bytes/s", 10.0),
    )
    summary = f"memory gone in {left_s:.0f} s at {pace:.0f} MiB/s{by}"
    return Words("gpu-memory-exhausting", "warning", summary, evidence, (suspect,) if suspect else ())


def exhausted(rng: Random, failed: int, suspect: dict[str, Any] | None = None) -> Words:
    """Memory is gone; with failures it is worse."""
    free = rng.uniform(0.0005, 0.009)
    failures = f", {failed} executions failed" if failed else ""
    evidence = (
        _read("free share of device memory", free, "ratio", threshold=0.01),
        _read("free device memory", round(free * 80 * GIB), "bytes"),
        _read("growth within a minute", rng.uniform(0.02, 0.4), "ratio", 60.0, 0.02),
        _read("failed executions", failed, "count", 3.0),
    )
    summary = f"memory is gone: {free * 80:.2f} of 80.0 GiB free{failures}"
    return Words(
        "gpu-memory-exhausted", "down" if failed else "degraded", summary, evidence, (suspect,) if suspect else ()
    )


def host_oom(name: str) -> Words:
    """The host's memory ran out."""
    return Words("host-memory-oom", "down", f"the kernel killed {name}", (_read("processes killed", 1, "count"),))


def backup(rng: Random) -> Words:
    """Requests wait too long."""
    wait_s, rate = rng.uniform(3.1, 25), rng.uniform(5, 60)
    pending = max(8, round(wait_s * rate))
    evidence = (
        _read("predicted wait", wait_s, "s", threshold=3.0),
        _read("nv_inference_pending_request_count", pending, "count", threshold=8.0),
        _read("requests worked off", rate, "1/s", 5.0),
    )
    summary = f"{pending} requests wait, {wait_s:.1f} s of work at {rate:.1f}/s (limit 3.0 s)"
    return Words("queue-backup", "degraded", summary, evidence)


def stall(rng: Random) -> Words:
    """Requests wait and nothing is worked off."""
    pending = rng.randint(2, 90)
    evidence = (
        _read("time without progress", 5.0, "s", threshold=5.0),
        _read("nv_inference_pending_request_count", pending, "count", threshold=1.0),
    )
    return Words("queue-stall", "down", f"{pending} requests wait and nothing was worked off for 5 s", evidence)


def rejecting(share: float) -> Words:
    """Requests are turned away."""
    evidence = (_read("share of requests turned away", share, "ratio", 10.0, 0.01),)
    return Words("queue-rejecting", "degraded", f"{share * 100:.0f} % of requests are turned away", evidence)


def slower(rng: Random, model: Model) -> Words:
    """It computes slower than it used to."""
    times = rng.uniform(2.1, 6.0)
    now_ms = times * model.usual_ms
    evidence = (
        _read("slowdown", times, "ratio", 20.0, 2.0),
        _read("computing time per request", now_ms / 1e3, "s", 20.0, baseline=model.usual_ms / 1e3),
    )
    summary = f"computes {times:.1f} times slower than usual ({now_ms:.1f} ms, usually {model.usual_ms:.1f} ms)"
    return Words("latency-high", "degraded", summary, evidence)


def cache_full(rng: Random) -> Words:
    """A language model's key-value cache is full."""
    share = rng.uniform(0.97, 1.0)
    return Words(
        "kv-cache-saturated",
        "degraded",
        "the key-value cache is full",
        (_read("share of the cache used", share, "ratio", 10.0, 0.95),),
    )


def failing(rng: Random, share: float) -> Words:
    """Requests fail."""
    window_s, requests = rng.choice((0.5, 1.0, 3.0, 10.0)), rng.randint(20, 400)
    failed = max(3, round(share * requests))
    evidence = (
        _read("share of requests that failed", failed / requests, "ratio", window_s, 0.05, 0.01),
        _read("nv_inference_request_failure", failed, "count", window_s),
        _read('of which reason="BACKEND"', round(failed * rng.uniform(0.5, 1.0)), "count", window_s),
    )
    summary = (
        f"{100 * failed / requests:.0f} % of requests fail ({failed} of {requests} in {window_s:g} s, objective 1 %)"
    )
    return Words("error-rate-high", "down" if failed / requests >= 0.9 else "degraded", summary, evidence)


def not_loaded(reason: str) -> Words:
    """The server says that it could not load it."""
    return Words(
        "model-unavailable",
        "down",
        f"could not be loaded: {reason}",
        (_read("time unavailable", 0.1, "s", threshold=0.0),),
    )


def unloaded() -> Words:
    """It was there and is not back."""
    evidence = (_read("time away", 5.0, "s", threshold=5.0),)
    return Words("model-unavailable", "down", "was unloaded and is not back after 5 s", evidence)


def server_gone() -> Words:
    """Nobody listens."""
    return Words(
        "server-unavailable", "down", "nobody listens there", (_read("refused connections", 2, "count", 0.1, 2.0),)
    )


def blind(reason: str) -> Words:
    """A source sees nothing."""
    return Words(
        "telemetry-blind",
        "warning",
        f"sees nothing: {reason}",
        (_read("time without a good reading", 1.5, "s", threshold=1.5),),
    )


def neighbour(rng: Random, model: Model, gpu: Gpu, suspect: dict[str, Any]) -> Words:
    """A process slows a model on the same GPU."""
    ratio, correlation, window_s = rng.uniform(1.5, 4), rng.uniform(0.6, 0.97), rng.choice((30.0, 60.0, 120.0, 180.0))
    usual_s = model.usual_ms / 1e3
    evidence = (
        _read("contrast", ratio, "ratio", window_s, 1.5),
        _read("correlation", correlation, "ratio", window_s, 0.6),
        _read("computing time per request", usual_s * ratio, "s", window_s, baseline=usual_s),
    )
    who = f"{suspect['subject']['name']} (pid {suspect['subject']['pid']})"
    summary = f"{model.name} is {ratio:.1f} times slower while {who} is busy on GPU {gpu.index} (r {correlation:.2f})"
    return Words("noisy-neighbour", "degraded", summary, evidence, (suspect,))


def rogue(suspect: dict[str, Any]) -> Words:
    """A process uses a GPU it does not own."""
    name = suspect["subject"]["name"]
    return Words(
        "rogue-process",
        "warning",
        f"{name} uses a GPU it does not own",
        (_read("share of the GPU used", 0.8, "ratio", 30.0),),
        (suspect,),
    )


def cpu_throttled(rng: Random) -> Words:
    """The server's own CPU limit slows it."""
    share = rng.uniform(0.1, 0.7)
    evidence = (_read("share of periods throttled", share, "ratio", 10.0, 0.05),)
    return Words(
        "cpu-throttled", "degraded", f"its CPU limit held it back in {share * 100:.0f} % of the time", evidence
    )


def process(gpu: Gpu, pid: int, start_ticks: int, name: str, owner: str, confidence: float) -> dict[str, Any]:
    """A suspect."""
    subject: Subject = {"kind": "process", "gpu": gpu.uuid, "pid": pid, "start_ticks": start_ticks, "name": name}
    return {"subject": subject, "owner": owner, "confidence": round(confidence, 3)}

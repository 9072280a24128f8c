"""The kinds of fault. Each is a function from a site to a play; what each does and why stands in the README."""

from __future__ import annotations

from collections.abc import Callable

from fault import demand, deploy, driver, hardware, memory, neighbour, noise, outage, server
from play import Play, Site

Fault = Callable[[Site], Play | None]

FAULTS: dict[str, tuple[float, Fault]] = {
    "gpu-fell-off": (2.0, hardware.fell_off),
    "gpu-memory-error": (2.0, hardware.memory_error),
    "gpu-application-xid": (2.0, hardware.application_xid),
    "driver-hang": (1.5, hardware.driver_hang),
    "thermal": (2.0, hardware.thermal),
    "narrow-link": (1.0, hardware.narrow_link),
    "rack-cooling": (0.7, hardware.rack_cooling),
    "rack-power-brake": (0.5, hardware.rack_power_brake),
    "memory-leak": (2.0, memory.leak),
    "memory-leak-caught": (1.0, memory.leak_caught),
    "memory-grab": (1.2, memory.grab),
    "host-oom": (1.2, memory.host_oom),
    "noisy-neighbour": (2.0, neighbour.busy_process),
    "cpu-limit": (1.2, neighbour.cpu_limit),
    "deploy-errors": (1.5, deploy.errors),
    "deploy-slow": (1.3, deploy.slow),
    "deploy-fails-to-load": (1.3, deploy.fails_to_load),
    "deploy-leaks": (0.8, deploy.leaks),
    "server-crash": (2.0, server.crash),
    "server-hang": (1.5, server.hang),
    "server-crash-loop": (1.2, server.crash_loop),
    "demand-surge": (1.8, demand.surge),
    "slow-upstream": (1.8, demand.slow_upstream),
    "node-death": (1.8, outage.node_death),
    "node-cut": (1.2, outage.node_cut),
    "rack-power": (0.7, outage.rack_power),
    "rack-switch": (0.7, outage.rack_switch),
    "zone-cut": (0.25, outage.zone_cut),
    "driver-rollout": (0.5, driver.rollout),
}
"""By name: how often, relative to the others, and what it does."""

NOISE: dict[str, tuple[float, Fault]] = {
    "latency-blip": (2.0, noise.latency_blip),
    "error-blip": (2.0, noise.error_blip),
    "queue-blip": (2.0, noise.queue_blip),
    "stray-xid": (2.0, noise.stray_xid),
    "blind-blip": (1.5, noise.blind_blip),
}
"""Small causes of their own, nobody's fault."""

WIDE = {"rack-cooling", "rack-power-brake", "rack-power", "rack-switch", "zone-cut", "driver-rollout"}
"""At most one of each in a stream."""

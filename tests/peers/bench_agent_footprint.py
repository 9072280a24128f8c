"""What the agent costs a node: CPU in per cent of a core, and memory; beside it node_exporter and Prometheus.

Eight GPUs and 32 processes from the stand-in, and a real Triton's metrics page of 30 models. Prometheus scrapes the
same page, and node_exporter, once a second.

    python3 tests/peers/bench_agent_footprint.py [--seconds 120] [--profile default|fast] [--quick]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from figures import Figure, report, rounded, say
from gpuwarden import Gpuwarden, binary
from install import Cache, NotInstalled
from process import Meter, exit_on_signals, tree, usage
from prometheus import ONE_SECOND, NodeExporter, Prometheus
from standin import Standin
from triton import Triton, page

GPUS = 8
MODELS = 30
SETTLE_S = 10.0


def run(seconds: float, profile: str, models: int) -> dict[str, Figure]:
    """All of them at once, on the same page, over the same time."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        say(f"{models} models are loading")
        triton = stack.enter_context(Triton(folder / "main", page(models)))
        # Real processes, so that the agent finds them in /proc: Triton, its stubs, and we make 32.
        pids = [os.getpid(), *tree(triton.pid)]
        standin = Standin(folder / "nvml", GPUS, pids)
        gpuwarden = stack.enter_context(Gpuwarden(folder, [triton], profile, standin.nvml))
        exporter = stack.enter_context(NodeExporter(folder / "node"))
        prometheus = Prometheus(folder / "prometheus", [triton], ONE_SECOND, node_exporter=exporter)
        stack.enter_context(prometheus)
        time.sleep(SETTLE_S)
        watched = {
            "agent": gpuwarden.agent.pid,
            "aggregator": gpuwarden.aggregator.pid,
            "node_exporter": exporter.pid,
            "prometheus": prometheus.pid,
        }
        setting: dict[str, Figure] = {
            "bench": "agent-footprint",
            "profile": profile,
            "gpus_count": GPUS,
            "gpu_processes_count": len(pids),
            "models_count": models,
            "measured_s": seconds,
            "page_bytes": len(triton.metrics()),
        }
        return setting | _measure(watched, seconds)


def _measure(watched: dict[str, int], seconds: float) -> dict[str, Figure]:
    say(f"measuring for {seconds:g} s")
    meters = {name: Meter(pid) for name, pid in watched.items()}
    time.sleep(seconds)
    result: dict[str, Figure] = {}
    for name, pid in watched.items():
        cpu, cost, count = meters[name].cpu_percent(), usage(pid), len(tree(pid))
        rss, pss = cost.rss_bytes / (1 << 20), cost.pss_bytes / (1 << 20)
        say(f"{name:14} {cpu:6.2f} % of a core, {rss:6.1f} MiB resident ({pss:.1f} shared out), {count} processes")
        result |= {
            f"{name}_cpu_percent": rounded(cpu),
            f"{name}_rss_mib": rounded(rss),
            f"{name}_pss_mib": rounded(pss),
            f"{name}_processes_count": count,
        }
    return result


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--profile", choices=["default", "fast"], default="default")
    parser.add_argument("--quick", action="store_true", help="20 s, and a page of 4 models")
    chosen = parser.parse_args()
    exit_on_signals()
    try:
        Cache.default().need_triton()
        binary("gpuwarden")
        report(run(20.0 if chosen.quick else chosen.seconds, chosen.profile, 4 if chosen.quick else MODELS))
    except NotInstalled as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

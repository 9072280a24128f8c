"""Incidents that a healthy, bursty load provokes: none is right. Beside it the alerts of Prometheus on the same load.

    python3 tests/peers/bench_false_alarms.py [--minutes 10] [--profile default|fast] [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from figures import Figure, report, rounded, say
from gpuwarden import Gpuwarden, binary
from healthy import SLOW_RATE, HealthyLoad, Journal, models
from install import Cache, NotInstalled
from load import Load
from process import exit_on_signals
from prometheus import ONE_SECOND, Monitoring, distinct
from triton import Triton

PROGRESS_EVERY_S = 30.0
SETTLE_S = 5.0
TAIL_S = 10.0
ALERTS = {
    "QueueBackup": "queue_backup",
    "QueueTime": "queue_time",
    "ErrorRate": "error_rate",
    "ModelUnavailable": "model_unavailable",
    "TritonDown": "triton_down",
}


def run(seconds: float, profile: str, seed: int, bursty_rate: float) -> dict[str, Figure]:
    """The load for so long, and then a while for what is still under way."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        triton = stack.enter_context(Triton(folder / "main", models()))
        load = stack.enter_context(Load(seed))
        gpuwarden = stack.enter_context(Gpuwarden(folder, [triton], profile))
        monitoring = stack.enter_context(Monitoring(folder / "monitoring", [triton], ONE_SECOND))
        time.sleep(SETTLE_S)
        with HealthyLoad(triton, load, seed, bursty_rate) as healthy:
            _follow(seconds, healthy, gpuwarden, monitoring)
        time.sleep(TAIL_S)
        _tell(gpuwarden)
        return _figures(seconds, profile, healthy, gpuwarden, monitoring)


def _follow(seconds: float, healthy: HealthyLoad, gpuwarden: Gpuwarden, monitoring: Monitoring) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, PROGRESS_EVERY_S))
        healthy.check()
        if not gpuwarden.watch.alive():
            raise RuntimeError("the watching client has ended: an incident now would not be seen")
        incidents, alerts = len(gpuwarden.watch.opened_since(0)), len(distinct(monitoring.alerts.since()))
        bursts, deploys = len(healthy.journal.bursts), len(healthy.journal.deploys)
        did = f"{healthy.sent()} requests, {bursts} bursts, {deploys} deploys"
        say(f"{did}: {incidents} incidents, {alerts} alerts")


def _tell(gpuwarden: Gpuwarden) -> None:
    """A false alarm is worth seeing whole."""
    for line in gpuwarden.watch.opened_since(0):
        say(f"false alarm: {json.dumps(line.incident)}")


def _figures(
    seconds: float, profile: str, healthy: HealthyLoad, gpuwarden: Gpuwarden, monitoring: Monitoring
) -> dict[str, Figure]:
    journal: Journal = healthy.journal
    alerts = Counter(alert.name for alert in distinct(monitoring.alerts.since()))
    return {
        "bench": "false-alarms",
        "profile": profile,
        "load_minutes": rounded(seconds / 60),
        "requests_sent_count": healthy.sent(),
        "bursts_count": len(journal.bursts),
        "bursts_drained_s_max": rounded(journal.longest_drain_s()),
        "deploys_made_count": len(journal.deploys),
        "deploys_recorded_count": gpuwarden.deploys_recorded(),
        "incidents_opened_count": len(gpuwarden.watch.opened_since(0)),
        "prometheus_1s_alerts_count": alerts.total(),
        **{f"prometheus_1s_alerts_{word}_count": alerts[name] for name, word in ALERTS.items()},
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--profile", choices=["default", "fast"], default="default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bursty-rate", type=float, default=SLOW_RATE, help="arrivals a second where the bursts fall")
    parser.add_argument("--quick", action="store_true", help="one and a half minutes")
    chosen = parser.parse_args()
    exit_on_signals()
    try:
        Cache.default().need_triton()
        binary("gpuwarden")
        minutes = 1.5 if chosen.quick else chosen.minutes
        report(run(minutes * 60, chosen.profile, chosen.seed, chosen.bursty_rate))
    except NotInstalled as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

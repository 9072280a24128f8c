"""From a fault to the incident on a watching client, in seconds; beside it Debian's Prometheus on the same faults.

Six kinds of fault, in random order and at random phase, each on a model, server or GPU of its own that has no open
incident. Prometheus and Alertmanager run at 1 s with no waiting; what their stock waits would add is plain arithmetic.

    python3 tests/peers/bench_detect_latency.py [--faults 10] [--profile default|fast|both] [--quick]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from faults import Fault, Given, Ground
from figures import Figure, report, rounded, say, spread
from gpuwarden import Gpuwarden, Line, binary
from install import Cache, NotInstalled
from load import Load
from process import exit_on_signals
from prometheus import ONE_SECOND, STOCK, Alert, Monitoring
from standin import Standin
from triton import Triton

BEFORE_FAULT_S = (0.7, 2.2)
DETECT_TIMEOUT_S = 15.0
FREE_TIMEOUT_S = 60.0
SETTLE_S = 10.0


@dataclass(frozen=True)
class Outcome:
    """One fault and what each side made of it."""

    kind: str
    given: Given
    line: Line | None
    alert: Alert | None

    def ours_s(self) -> float | None:
        """From the fault to our incident; negative when it came before the fault."""
        return self.line.at - self.given.at if self.line else None

    def theirs_s(self) -> float | None:
        """From the cause to their alert: Prometheus knows of no grace, and must not pay for ours."""
        return self.alert.at - self.given.caused_at if self.alert else None


class Course:
    """One run over all faults with one profile of the agent."""

    def __init__(self, gpuwarden: Gpuwarden, monitoring: Monitoring, faults: Sequence[Fault], seed: int) -> None:
        self._watch = gpuwarden.watch
        self._alerts = monitoring.alerts
        self._faults = faults
        self._luck = random.Random(seed)

    def run(self, rounds: int) -> list[Outcome]:
        """In each round one fault of every kind, in random order."""
        outcomes = []
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            order = self._luck.sample(self._faults, len(self._faults))
            prepared = {fault.kind: self._prepare(fault, fault.subjects[number]) for fault in order}
            for fault in order:
                outcomes.append(self._measure(fault, fault.subjects[number], prepared[fault.kind]))
        return outcomes

    def _prepare(self, fault: Fault, subject: str) -> float:
        """Gives the time from which on nothing about this subject may be heard."""
        free_by = time.monotonic() + FREE_TIMEOUT_S
        while not self._watch.free(*fault.names(subject)):
            if time.monotonic() > free_by:
                raise TimeoutError(f"{subject} still has an open incident")
            time.sleep(0.1)
        fault.prepare(subject)
        return time.time()

    def _measure(self, fault: Fault, subject: str, prepared_at: float) -> Outcome:
        time.sleep(max(0.0, prepared_at + fault.warm_up_s - time.time()))
        time.sleep(self._luck.uniform(*BEFORE_FAULT_S))
        given = fault.give(subject)
        patience = given.at + DETECT_TIMEOUT_S - time.time()
        line = self._watch.wait_for(lambda line: fault.ours(line, subject), patience, since=prepared_at)
        alert = self._wait_for_alert(fault, subject, given, prepared_at)
        fault.heal(subject)
        outcome = Outcome(fault.kind, given, line, alert)
        ours, theirs = _seconds(outcome.ours_s()), _seconds(outcome.theirs_s())
        say(f"  {fault.kind:17} {subject[:12]:12} ours {ours}  theirs {theirs}")
        return outcome

    def _wait_for_alert(self, fault: Fault, subject: str, given: Given, prepared_at: float) -> Alert | None:
        if fault.alert is None:
            return None
        patience = max(0.0, given.caused_at + DETECT_TIMEOUT_S - time.time())
        return self._alerts.wait_for(lambda alert: fault.theirs(alert, subject), patience, since=prepared_at)


def _seconds(value: float | None) -> str:
    return "   none" if value is None else f"{value:7.3f}"


def run(profile: str, rounds: int, seed: int) -> list[Outcome]:
    """Sets everything up afresh for one profile."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, ground = Path(name), Ground(rounds)
        say(f"profile {profile}: {len(ground.models())} models are loading")
        main = stack.enter_context(Triton(folder / "main", ground.models()))
        empty = [stack.enter_context(Triton(folder / server)) for server in ground.servers]
        load = stack.enter_context(Load(seed))
        standin = Standin(folder / "nvml", gpus=rounds)
        tritons = [main, *empty]
        gpuwarden = stack.enter_context(Gpuwarden(folder, tritons, profile, standin.nvml))
        monitoring = stack.enter_context(Monitoring(folder / "monitoring", tritons, ONE_SECOND))
        time.sleep(SETTLE_S)
        faults = ground.faults(main, empty, load, standin)
        return Course(gpuwarden, monitoring, faults, seed).run(rounds)


def figures(profile: str, outcomes: Sequence[Outcome]) -> dict[str, Figure]:
    """Per kind and over all, for both sides."""
    result = _side(f"detect_latency_{profile}", [(outcome.kind, outcome.ours_s()) for outcome in outcomes])
    opened = sum(outcome.line is not None and outcome.line.opened for outcome in outcomes)
    result[f"detect_latency_{profile}_opened_count"] = opened
    seen = [(outcome.kind, outcome.theirs_s()) for outcome in outcomes if outcome.kind != "memory_exhausted"]
    return result | _side(f"prometheus_1s_beside_{profile}", seen)


def _side(prefix: str, latencies: Sequence[tuple[str, float | None]]) -> dict[str, Figure]:
    """Early ones and missed ones are counted, and are not latencies."""
    result: dict[str, Figure] = {}
    for kind in dict.fromkeys(kind for kind, _ in latencies):
        result |= spread(f"{prefix}_{kind}", [s for k, s in latencies if k == kind and s is not None and s >= 0])
    result |= spread(f"{prefix}_all", [s for _, s in latencies if s is not None and s >= 0])
    result[f"{prefix}_early_count"] = sum(s is not None and s < 0 for _, s in latencies)
    result[f"{prefix}_missed_count"] = sum(s is None for _, s in latencies)
    return result


def stock() -> dict[str, Figure]:
    """What the stock intervals add up to, without a rate's window to fill."""
    return {
        "prometheus_stock_theory_s_min": rounded(STOCK.fastest_s()),
        "prometheus_stock_theory_s_median": rounded(STOCK.middle_s()),
        "prometheus_stock_theory_s_max": rounded(STOCK.slowest_s()),
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=10, help="faults of each kind")
    parser.add_argument("--profile", choices=["default", "fast", "both"], default="default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="two faults of each kind")
    chosen = parser.parse_args()
    exit_on_signals()
    profiles = ["default", "fast"] if chosen.profile == "both" else [chosen.profile]
    result: dict[str, Figure] = {"bench": "detect-latency"}
    try:
        Cache.default().need_triton()
        binary("gpuwarden")
        for profile in profiles:
            result |= figures(profile, run(profile, 2 if chosen.quick else chosen.faults, chosen.seed))
    except NotInstalled as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        return 2
    report(result | stock())
    return 0


if __name__ == "__main__":
    sys.exit(main())

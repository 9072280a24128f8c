"""The whole of Gpuwarden against the real Triton: each trouble gives the right incident, a healthy load gives none.

    python3 tests/peers/run.py [--minutes 1.5]

Ends in `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from faults import Errors, Fault, Killed, LoadFailure, MemoryExhausted, QueueBackup, Unloaded
from figures import say
from gpuwarden import Gpuwarden, Line
from healthy import HealthyLoad
from healthy import models as healthy_models
from install import Cache, NotInstalled
from load import Load, infer_target
from process import exit_on_signals
from standin import Standin
from triton import Triton, bad, fast, flaky, slow, stuck

DETECT_TIMEOUT_S = 15.0
SETTLE_TIMEOUT_S = 60.0
STALL_TIMEOUT_S = 45.0
START_S = 8.0
HEALED_TRAFFIC_S = 15.0
BLIND_TIMEOUT_S = 2.0
OUTAGE_S = 5.0
HEARTBEATS_S = 5.0


class Stuck(Fault):
    """A model that stops in the midst of a request, with others waiting behind it."""

    kind = "stuck"
    rules = frozenset({"queue-stall"})
    warm_up_s = 6.0

    def __init__(self, triton: Triton, load: Load, subject: str) -> None:
        super().__init__([subject])
        self._triton = triton
        self._load = load

    def prepare(self, subject: str) -> None:
        """Traffic, so that the model's usual time is known."""
        self._flow = self._load.poisson(infer_target(self._triton.http_port, subject), 10.0)

    def give(self, subject: str) -> Line | None:  # type: ignore[override]
        """From now on nothing ends."""
        self._triton.repository.block(subject)
        return None

    def heal(self, subject: str) -> None:
        """Whatever waited is worked off."""
        self._triton.repository.unblock(subject)
        self._flow.stop()


class DriverBlocked(Fault):
    """A call into the driver does not return: the agent sees no GPU any more, and must say so."""

    kind = "driver_blocked"
    rules = frozenset({"telemetry-blind"})

    def __init__(self, standin: Standin) -> None:
        super().__init__(["nvml"])
        self._standin = standin

    def give(self, subject: str) -> Line | None:  # type: ignore[override]
        """Every GPU is asked for its memory, and none answers."""
        self._standin.command("fault", call="nvmlDeviceGetMemoryInfo_v2", block=True)
        return None

    def heal(self, subject: str) -> None:
        """The calls return."""
        self._standin.command("clear_fault")


class FallenOff(Fault):
    """XID 79, and the driver has lost the GPU."""

    kind = "fallen_off"
    rules = frozenset({"xid", "gpu-lost"})

    def __init__(self, standin: Standin, gpu: int) -> None:
        super().__init__([standin.uuids[gpu]])
        self._standin = standin
        self._gpu = gpu

    def give(self, subject: str) -> Line | None:  # type: ignore[override]
        """As it comes: the event first."""
        self._standin.command("xid", gpu=self._gpu, code=79)
        self._standin.command("lose_gpu", gpu=self._gpu)
        return None

    def heal(self, subject: str) -> None:
        """The GPU is back. The XID stays: the driver never says that a GPU is well again."""
        self._standin.command("restore_gpu", gpu=self._gpu)


class HealedErrors(Errors):
    """Half of the requests fail, and then they succeed again: silence alone would not be recovery."""

    def heal(self, subject: str) -> None:
        """Traffic goes on until it has shown that all is well."""
        self._triton.repository.fail(subject, 0.0)
        time.sleep(HEALED_TRAFFIC_S)
        super().heal(subject)


@dataclass(frozen=True)
class Trouble:
    """A fault and the incident that it must give."""

    fault: Fault
    type: str
    timeout_s: float = DETECT_TIMEOUT_S
    # Whether the incident is over when the fault is healed.
    ends: bool = True


class Run:
    """One run; counts what passed and what did not."""

    def __init__(self, gpuwarden: Gpuwarden) -> None:
        self.passed = 0
        self.failed = 0
        self._gpuwarden = gpuwarden

    def check(self, what: str, found: str | None, detail: str = "") -> None:
        """Passes unless something was found wrong."""
        if found is None:
            self.passed += 1
            say(f"ok    {what}{f': {detail}' if detail else ''}")
        else:
            self.failed += 1
            say(f"FAIL  {what}: {found}")

    def trouble(self, trouble: Trouble) -> None:
        """Gives a fault, waits for its incident, heals it, waits until the incident is quiet."""
        fault, watch = trouble.fault, self._gpuwarden.watch
        subject = fault.subjects[0]
        fault.prepare(subject)
        time.sleep(fault.warm_up_s)
        before, began = {line.id for line in watch.opened_since(0)}, time.time()
        fault.give(subject)
        line = watch.wait_for(lambda line: fault.ours(line, subject), trouble.timeout_s, since=began)
        fault.heal(subject)
        name = f"{fault.kind} gives an incident of type {trouble.type}"
        if line is None:
            return self.check(name, f"none within {trouble.timeout_s:g} s")
        wrong = None if line.incident["type"] == trouble.type else f"its type is {line.incident['type']}"
        self.check(name, wrong or _incomplete(line), f"#{line.id} {line.incident['severity']} {line.incident['title']}")
        if trouble.ends:
            settled = self._wait(lambda: watch.free(*fault.names(subject)))
            self.check(f"{fault.kind} is over when it is healed", None if settled else "it is still open")
        others = [one for one in watch.opened_since(0) if one.id not in before | {line.id}]
        wrong = json.dumps([one.incident["title"] for one in others]) if others else None
        self.check(f"{fault.kind} gives one incident and no other", wrong)

    def calm(self, seconds: float, triton: Triton, load: Load) -> None:
        """A healthy load, of which nothing may be said but that models were deployed."""
        began = time.time()
        with HealthyLoad(triton, load, seed=7) as healthy:
            time.sleep(seconds)
            healthy.check()
        opened = [line.incident["title"] for line in self._gpuwarden.watch.opened_since(began)]
        journal = healthy.journal
        detail = f"{healthy.sent()} requests, {len(journal.bursts)} bursts, {len(journal.deploys)} deploys"
        self.check(f"{seconds:g} s of a healthy load give no incident", json.dumps(opened) if opened else None, detail)
        recorded = self._gpuwarden.deploys_recorded()
        wrong = None if recorded == len(journal.deploys) else f"{recorded} recorded of {len(journal.deploys)}"
        self.check("each deploy is recorded as a change", wrong)

    def aggregator_gone(self, standin: Standin, gpu: int) -> None:
        """What happens while nobody listens is told afterwards, once, and what was known is still known."""
        aggregator, watch, uuid = self._gpuwarden.aggregator, self._gpuwarden.watch, standin.uuids[gpu]
        known = {one["id"] for one in aggregator.ask("incidents", "list", "--all")["incidents"]}
        aggregator.kill()
        standin.fill(gpu)
        time.sleep(OUTAGE_S)
        restarted_at = time.time()
        aggregator.start()
        line = watch.wait_for(lambda line: line.concerns(uuid), SETTLE_TIMEOUT_S, since=restarted_at)
        self.check("a fault while the aggregator is gone is told when it is back", None if line else "it never was")
        time.sleep(HEARTBEATS_S)
        incidents = aggregator.ask("incidents", "list", "--all")["incidents"]
        told = [m for one in incidents for m in one["members"] if uuid in json.dumps(m["subject"])]
        self.check("and told once", None if len(told) == 1 else f"{len(told)} members speak of it")
        lost = known - {one["id"] for one in incidents}
        self.check("no incident was lost by the restart", f"{sorted(lost)} are gone" if lost else None)
        standin.relieve(gpu)

    def _wait(self, met: Callable[[], bool]) -> bool:
        until = time.monotonic() + SETTLE_TIMEOUT_S
        while time.monotonic() < until:
            if met():
                return True
            time.sleep(0.1)
        return False


def _incomplete(line: Line) -> str | None:
    """What an incident must have to be worth waking somebody."""
    incident = line.incident
    missing = [key for key in ("title", "type_reason", "severity_reason", "timeline", "members") if not incident.get(key)]
    return f"it has no {', '.join(missing)}" if missing else None


def run(seconds: float) -> Run:
    """Everything on one machine, one trouble after another."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        extra = [slow("queue"), flaky("errors"), bad("broken", loaded=True), fast("away"), stuck("stuck")]
        main = stack.enter_context(Triton(folder / "main", [*healthy_models(), *extra]))
        other = stack.enter_context(Triton(folder / "other", [fast("elsewhere")]))
        load = stack.enter_context(Load(1))
        standin = Standin(folder / "nvml", gpus=3)
        gpuwarden = stack.enter_context(Gpuwarden(folder, [main, other], "default", standin.nvml))
        course = Run(gpuwarden)
        time.sleep(START_S)
        course.calm(seconds, main, load)
        for trouble in [
            Trouble(QueueBackup(main, load, ["queue"]), "high-latency"),
            Trouble(HealedErrors(main, load, ["errors"]), "high-error-rate"),
            Trouble(LoadFailure(main, ["broken"]), "model-unavailable"),
            Trouble(Unloaded(main, ["away"]), "model-unavailable"),
            Trouble(Stuck(main, load, "stuck"), "high-latency", STALL_TIMEOUT_S),
            Trouble(Killed([other]), "model-unavailable"),
            Trouble(MemoryExhausted(standin), "gpu-oom"),
            Trouble(DriverBlocked(standin), "telemetry-blind", BLIND_TIMEOUT_S),
            Trouble(FallenOff(standin, 2), "gpu-hardware", ends=False),
        ]:
            course.trouble(trouble)
        course.aggregator_gone(standin, 1)
        return course


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.5, help="length of the healthy load")
    chosen = parser.parse_args()
    exit_on_signals()
    try:
        Cache.default().need_triton()
        course = run(chosen.minutes * 60)
    except NotInstalled as trouble:
        print(f"peers: {trouble}", file=sys.stderr)
        return 2
    print(f"{course.passed} passed, {course.failed} failed")
    return 1 if course.failed else 0


if __name__ == "__main__":
    sys.exit(main())

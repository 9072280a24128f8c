"""What is held back, here and in Debian's Alertmanager: the same small stream to both, in real time.

    python3 tests/peers/held_back.py

Two things are known to go wrong in Alertmanager, and must not here. An inhibition must outlast the end of one of its
sources: from 0.30 on Alertmanager keeps one source for each set of equal labels, and forgets the others with it; what
Debian ships is older and looks at all, so it is only told what it does. And what joins a group that was told already
must be told at once: Alertmanager waits for the group's next interval, in every version. Beside that: labels that both
sides lack are equal to Alertmanager and not to us.

Ends in `N passed, N failed`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from figures import report, rounded, say
from gpuwarden import Aggregator, Line, Watch, binary
from install import Cache, NotInstalled
from process import exit_on_signals
from prometheus import Alert, Alertmanager, Timing, Webhook

# The stock waits are 30 s and 5 min; their ratio is what matters here.
TIMING = Timing(scrape_s=0, evaluation_s=0, for_s=0, group_wait_s=1, group_interval_s=10, window_s=0)
HELD_FOR = timedelta(hours=1)
SETTLE_S = 2.0
LATE_AFTER_S = 3.0
TOLD_TIMEOUT_S = 15.0
AT_ONCE_S = 1.0
SOURCE, TARGET, LATE = "gpu-lost", "queue-backup", "latency-high"
NAMES = {SOURCE: "GpuLost", TARGET: "QueueBackup", LATE: "LatencyHigh"}


@dataclass(frozen=True)
class Trouble:
    """One finding of one node; `what` is a GPU's UUID for a source and a model otherwise."""

    node: str
    rule: str
    what: str
    rack: str = ""

    def labels(self) -> dict[str, str]:
        """As an alert."""
        kind = "gpu" if self.rule == SOURCE else "model"
        labels = {"alertname": NAMES[self.rule], "node": self.node, kind: self.what, "rack": self.rack}
        return {name: value for name, value in labels.items() if value}

    def event(self, at: str, firing: bool) -> dict[str, Any]:
        """As a line of an event log."""
        model = {"kind": "model", "server": "default", "model": self.what, "version": "1"}
        subject = {"kind": "gpu", "uuid": self.what} if self.rule == SOURCE else model
        phase = "raised" if firing else "cleared"
        told = {"rule": self.rule, "subject": subject, "phase": phase, "grade": "degraded", "raised_at": at}
        return {"at": at, "node": self.node, "event": "finding", "summary": f"{self.rule} seen"} | told


class Manager(Alertmanager):
    """Alertmanager with one inhibition, grouped by node."""

    def _config(self) -> dict[str, Any]:
        config = super()._config()
        config["route"]["group_by"] = ["node"]
        source, target = (f'alertname="{NAMES[rule]}"' for rule in (SOURCE, TARGET))
        rule = {"source_matchers": [source], "target_matchers": [target], "equal": ["rack"]}
        return config | {"inhibit_rules": [rule]}

    def say(self, trouble: Trouble, firing: bool) -> None:
        """Posts one alert, as Prometheus would; one that fires goes on until it is told otherwise."""
        now = datetime.now(timezone.utc)
        starts, ends = (now, now + HELD_FOR) if firing else (now - timedelta(seconds=30), now)
        self._post("alerts", [{"labels": trouble.labels(), "startsAt": iso(starts), "endsAt": iso(ends)}])

    def silence(self, **labels: str) -> None:
        """Silences what has these labels."""
        matchers = [{"name": name, "value": value, "isRegex": False} for name, value in labels.items()]
        now = datetime.now(timezone.utc)
        times = {"startsAt": iso(now), "endsAt": iso(now + HELD_FOR)}
        self._post("silences", times | {"matchers": matchers, "createdBy": "ann", "comment": "a test"})

    def inhibited(self, trouble: Trouble) -> bool:
        """Whether another alert holds it back now."""
        with urlopen(f"http://{self.address}/api/v2/alerts", timeout=5) as answer:
            alerts = json.load(answer)
        return any(one["labels"] == trouble.labels() and one["status"]["inhibitedBy"] for one in alerts)

    def _post(self, what: str, body: Any) -> None:
        url, kind = f"http://{self.address}/api/v2/{what}", {"Content-Type": "application/json"}
        with urlopen(Request(url, json.dumps(body).encode(), kind), timeout=5):
            pass


class Centre(Aggregator):
    """Our aggregator with the same inhibition."""

    def config(self) -> dict[str, Any]:
        """See `aggregator_config`."""
        rule = {"name": "rack-first", "source": [f"rule={SOURCE}"], "target": [f"rule={TARGET}"], "equal": ["rack"]}
        return super().config() | {"inhibit": [rule]}

    def silence(self, *matchers: str) -> None:
        """Silences what is like that."""
        self.ask("silence", "add", *matchers, "--for", "1h", "--by", "ann", "--reason", "a test")


class Player:
    """The nodes of the stream, on the wire to our aggregator."""

    def __init__(self, aggregator: Aggregator) -> None:
        self._command = [str(binary("play-events")), f"127.0.0.1:{aggregator.grpc_port}"]

    def __enter__(self) -> Player:
        self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()

    def send(self, line: dict[str, Any]) -> None:
        """Sends one line at once."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(line) + "\n")
        self._child.stdin.flush()


class Both:
    """Both sides, told the same at the same time."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.webhook = stack.enter_context(Webhook())
        self.manager: Manager = stack.enter_context(Manager(folder / "alertmanager", self.webhook.url, TIMING))
        self.centre: Centre = stack.enter_context(Centre(folder / "aggregator"))
        self.watch = stack.enter_context(All(folder, self.centre))
        self._player = stack.enter_context(Player(self.centre))

    def node(self, node: str, rack: str = "") -> None:
        """A node says where it stands; Prometheus would know from its service discovery."""
        labels = {"rack": rack} if rack else {}
        self._player.send({"at": iso(datetime.now(timezone.utc)), "node": node, "event": "snapshot", "labels": labels})

    def say(self, trouble: Trouble, firing: bool = True) -> float:
        """Tells both, and gives the wall time of that."""
        at = time.time()
        self._player.send(trouble.event(iso(datetime.now(timezone.utc)), firing))
        self.manager.say(trouble, firing)
        return at

    def shown(self, trouble: Trouble) -> bool | None:
        """Whether our incident of it is shown; None when there is none."""
        lines = [line for line in self.watch.since() if line.concerns(trouble.what)]
        return lines[-1].incident["held_since"] is None if lines else None


class All(Watch):
    """A client that watches what is held back, too."""

    words = ("--held",)


def iso(at: datetime) -> str:
    """An instant as both sides read it."""
    return at.isoformat().replace("+00:00", "Z")


class Run:
    """One run; counts what passed and what did not."""

    def __init__(self, both: Both) -> None:
        self.passed = 0
        self.failed = 0
        self.figures: dict[str, Any] = {}
        self._both = both

    def check(self, what: str, held: bool, detail: str = "") -> None:
        """Passes when it held."""
        self.passed, self.failed = self.passed + held, self.failed + (not held)
        say(f"{'ok   ' if held else 'FAIL '} {what}{f': {detail}' if detail else ''}")

    def second_source(self) -> None:
        """An inhibition outlasts the end of one of two sources, whichever of the two ends."""
        both, racks = self._both, ("r1", "r2")
        first, second = ([Trouble(f"{rack}-{n}", SOURCE, f"GPU-{rack}-{n}", rack) for rack in racks] for n in "ab")
        targets = [Trouble(f"{rack}-c", TARGET, f"model-{rack}", rack) for rack in racks]
        lone, alike = Trouble("x-a", SOURCE, "GPU-x"), Trouble("x-b", TARGET, "model-x")
        for trouble in [*first, *second, *targets, lone, alike]:
            both.node(trouble.node, trouble.rack)
        for trouble in [*first, *second, lone]:
            both.say(trouble)
        time.sleep(SETTLE_S / 2)
        for trouble in [*targets, alike]:
            both.say(trouble)
        time.sleep(SETTLE_S)
        self.check("two sources: what they inhibit is held back", all(both.shown(one) is False for one in targets))
        self.check("the peer holds it back, too", all(both.manager.inhibited(one) for one in targets))
        self.check("a rack that nobody knows is not the same rack", both.shown(alike) is True)
        say(f"      to the peer it is the same: {'yes' if both.manager.inhibited(alike) else 'no'}")
        ended = time.time()
        # In one rack the source that was told first ends, in the other the one that was told last.
        both.say(first[0], firing=False)
        both.say(second[1], firing=False)
        lapsed = self._lapses(targets)
        self.figures["peer_lapses_with_a_second_source"] = lapsed
        say(f"      the peer (Debian's version) lapsed in {lapsed} of 2 racks")
        wrong = [line for one in targets for line in self._shown_since(one, ended)]
        self.check("one source ends: the other keeps it held back", not wrong)
        over = time.time()
        both.say(second[0], firing=False)
        both.say(first[1], firing=False)
        told = [self._wait(lambda line, one=one: line.concerns(one.what) and shown(line), over) for one in targets]
        self.check("the last source ends: it is shown at once", all(t is not None and t < AT_ONCE_S for t in told))

    def late_member(self) -> None:
        """What joins late is told at once, also where silence is kept over what was there before."""
        both = self._both
        plain, silenced = Trouble("l-a", TARGET, "model-late"), Trouble("l-b", TARGET, "model-quiet")
        both.manager.silence(alertname=NAMES[TARGET], node=silenced.node)
        both.centre.silence(f"rule={TARGET}", f"node={silenced.node}")
        for trouble in (plain, silenced):
            both.node(trouble.node, "r9")
            both.say(trouble)
        time.sleep(LATE_AFTER_S)
        self.check("what is silenced is held back", both.shown(silenced) is False and both.shown(plain) is True)
        # Both are told now, amid the peer's interval: whoever is told when it ends finds the peer just about to speak.
        before = {"late": plain, "late_and_not_silenced": silenced}
        late = {name: Trouble(one.node, LATE, one.what, "r9") for name, one in before.items()}
        told = {name: both.say(trouble) for name, trouble in late.items()}
        for name, trouble in late.items():
            self._late(name, trouble, told[name])

    def _late(self, name: str, late: Trouble, at: float) -> None:
        joined = lambda line: shown(line) and line.concerns(late.what, rules=frozenset({LATE}))  # noqa: E731
        ours = self._wait(joined, at)
        told: Callable[[Alert], bool] = lambda alert: alert.labels == late.labels() and alert.firing  # noqa: E731
        alert = self._both.webhook.alerts.wait_for(told, TOLD_TIMEOUT_S, at)
        theirs = alert.at - at if alert else None
        self.figures |= {f"{name}_s": ours and rounded(ours), f"peer_{name}_s": theirs and rounded(theirs)}
        detail = f"{ours:.2f} s" if ours is not None else "never"
        self.check(f"{name.replace('_', ' ')}: shown at once", ours is not None and ours < AT_ONCE_S, detail)
        say(f"      the peer: {f'{theirs:.2f} s' if theirs is not None else 'never'}, group_interval {TIMING.group_interval_s:g} s")
        self.check("and before the peer tells it", ours is not None and (theirs is None or ours < theirs))

    def _lapses(self, targets: list[Trouble]) -> int:
        """In how many of these the peer holds nothing back any more, looked at for a while."""
        lapsed: set[Trouble] = set()
        until = time.time() + 2 * SETTLE_S
        while time.time() < until:
            lapsed |= {one for one in targets if not self._both.manager.inhibited(one)}
            time.sleep(0.2)
        return len(lapsed)

    def _shown_since(self, trouble: Trouble, at: float) -> list[Line]:
        return [line for line in self._both.watch.since(at) if line.concerns(trouble.what) and shown(line)]

    def _wait(self, wanted: Callable[[Line], bool], since: float) -> float | None:
        """How long it took until a watching client had it."""
        line = self._both.watch.wait_for(wanted, TOLD_TIMEOUT_S, since)
        return line.at - since if line else None


def shown(line: Line) -> bool:
    """Whether nothing holds back all of the incident."""
    return line.incident["held_since"] is None


def main() -> int:
    """One course of all."""
    exit_on_signals()
    try:
        Cache.default().need_prometheus()
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            run = Run(Both(Path(name), stack))
            run.second_source()
            run.late_member()
    except NotInstalled as trouble:
        print(f"held_back: {trouble}", file=sys.stderr)
        return 2
    report(run.figures)
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())

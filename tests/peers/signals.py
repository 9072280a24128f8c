"""Alerts of a real Prometheus and a real Alertmanager: by either way, and by both, each is one signal.

    python3 tests/peers/signals.py

Ends in `N passed, N failed`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

from figures import say
from gpuwarden import Aggregator, Watch
from install import Cache, NotInstalled
from process import exit_on_signals, listening
from prometheus import ONE_SECOND, Alertmanager, Peer, duration

TIMEOUT_S = 30.0
ALERT = "ModelSlow"
MODEL = "bert"
# Longer than Prometheus waits before it tells an alert again.
SEVERAL_TELLINGS_S = 4.0


class Exporter:
    """A page with one number, which is 1 while there is trouble."""

    def __init__(self) -> None:
        self.trouble = False
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802, the base class wants this name
                page = f'model_slow{{model="{MODEL}",service="chat"}} {int(exporter.trouble)}\n'.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Exporter:
        Thread(target=self._server.serve_forever, name="exporter", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Prometheus(Peer):
    """Prometheus with one rule, told that there are these Alertmanagers."""

    binary = "prometheus"

    def __init__(self, folder: Path, exporter: Exporter, managers: Sequence[str]) -> None:
        super().__init__(folder)
        self._exporter = exporter
        self._managers = list(managers)

    def command(self, binary: Path) -> Sequence[str | Path]:
        """Tells again what holds every second, and says that it holds for four."""
        second = duration(1)
        rule = {
            "alert": ALERT,
            "expr": "model_slow == 1",
            "labels": {"severity": "critical"},
            "annotations": {"summary": "{{ $labels.model }} is slow"},
        }
        (self.folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
        config = {
            "global": {"scrape_interval": second, "evaluation_interval": second, "scrape_timeout": second},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "m", "static_configs": [{"targets": [self._exporter.address]}]}],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": self._managers}]}]},
        }
        path = self.folder / "prometheus.yml"
        path.write_text(json.dumps(config))
        return [
            binary,
            f"--config.file={path}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--rules.alert.resend-delay=1s",
            "--log.level=warn",
        ]

    def ready(self) -> bool:
        """It listens before it is ready, and that is enough for us."""
        return listening(self.port)


class Run:
    """One run; counts what passed and what did not."""

    def __init__(self, aggregator: Aggregator, cache: Cache) -> None:
        self.passed = 0
        self.failed = 0
        self.aggregator = aggregator
        self.cache = cache

    def check(self, what: str, met: Callable[[], object]) -> None:
        """Passes when it is so before long."""
        until = time.monotonic() + TIMEOUT_S
        while not (good := bool(met())) and time.monotonic() < until:
            time.sleep(0.2)
        self.passed += good
        self.failed += not good
        say(f"{'ok   ' if good else 'FAIL '} {what}")
        if not good:
            say(json.dumps(self.incidents(), indent=1))

    def incidents(self) -> list[dict[str, Any]]:
        """All of them."""
        return self.aggregator.ask("incidents", "list", "--all")["incidents"]

    def members(self, active: bool = True) -> list[dict[str, Any]]:
        """What has been told from elsewhere."""
        members = [member for incident in self.incidents() for member in incident["members"]]
        return [member for member in members if (member["cleared_at"] is None) == active]

    def get(self, path: str) -> Any:
        """What the aggregator answers over HTTP."""
        with urlopen(f"http://127.0.0.1:{self.aggregator.http_port}{path}", timeout=5) as answer:
            body = answer.read()
        return json.loads(body) if path.startswith("/api/") else body.decode()

    def heard(self, outcome: str) -> int:
        """How many signals of Alertmanager's kind had this outcome, by our own count."""
        name = f'gpuwarden_aggregator_signals_total{{sender="alertmanager",outcome="{outcome}"}}'
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith(name)]
        return int(lines[0].split()[-1]) if lines else 0


def fingerprints(address: str) -> list[str]:
    """Of the alerts that an Alertmanager, or what is like one, has."""
    with urlopen(f"http://{address}/api/v2/alerts", timeout=5) as answer:
        return sorted(alert["fingerprint"] for alert in json.loads(answer.read()))


def notified(alertmanager: Alertmanager) -> int:
    """How many webhooks it has sent."""
    with urlopen(f"http://{alertmanager.address}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    name = 'alertmanager_notifications_total{integration="webhook"'
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(name))


def amtool(cache: Cache, address: str, *words: str) -> str:
    """What Alertmanager's own command line says of us."""
    command = [str(cache.debian_binary("amtool")), "--alertmanager.url", f"http://{address}", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout


def course(run: Run, exporter: Exporter, alertmanager: Alertmanager, prometheus: Prometheus) -> None:
    """One alert through its life, told by two ways all the while."""
    ours = f"127.0.0.1:{run.aggregator.http_port}"
    exporter.trouble = True
    run.check("a rule of Prometheus that fires opens an incident of type external",
              lambda: [one["type"] for one in run.incidents()] == ["external"])
    title = f"alert {ALERT}: {MODEL} is slow"
    run.check("it is P2 and says what is told",
              lambda: [(one["severity"], one["title"]) for one in run.incidents()] == [("P2", title)])
    run.check("Alertmanager sends the same alert by its webhook", lambda: notified(alertmanager) >= 1)
    time.sleep(SEVERAL_TELLINGS_S)
    run.check("told by both ways, again and again, it is one member of one incident",
              lambda: len(run.incidents()) == len(run.members()) == 1 and run.heard("Duplicate") >= 3)
    run.check("its fingerprint is Alertmanager's",
              lambda: fingerprints(ours) == fingerprints(alertmanager.address) == [run.members()[0]["subject"]["key"]])
    listed = amtool(run.cache, ours, "alert", "query", f"alertname={ALERT}", "-o", "json")
    run.check("amtool lists it", lambda: [alert["labels"]["model"] for alert in json.loads(listed)] == [MODEL])
    run.aggregator.kill()
    run.aggregator.start()
    time.sleep(SEVERAL_TELLINGS_S)
    run.check("after a crash it is still that one", lambda: len(run.incidents()) == len(run.members()) == 1)
    exporter.trouble = False
    run.check("when the rule no longer fires it is over", lambda: not run.members() and len(run.members(False)) == 1)
    time.sleep(SEVERAL_TELLINGS_S)
    run.check("that it is over is told again, too, and changes nothing",
              lambda: not run.members() and len(run.incidents()) == 1)
    exporter.trouble = True
    run.check("the rule fires again", lambda: len(run.members()) == 1)
    prometheus.__exit__(None, None, None)
    run.check("what a Prometheus that is gone does not renew is over", lambda: not run.members())


def run() -> Run:
    """Everything on one machine."""
    cache = Cache.default()
    cache.need_prometheus()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        aggregator = stack.enter_context(Aggregator(folder / "aggregator"))
        ours = f"127.0.0.1:{aggregator.http_port}"
        stack.enter_context(Watch(folder, aggregator))
        exporter = stack.enter_context(Exporter())
        webhook = f"http://{ours}/api/v1/signals/alertmanager"
        alertmanager = stack.enter_context(Alertmanager(folder / "alertmanager", webhook, ONE_SECOND, cache))
        managers = [alertmanager.address, ours]
        prometheus = stack.enter_context(Prometheus(folder / "prometheus", exporter, managers))
        done = Run(aggregator, cache)
        course(done, exporter, alertmanager, prometheus)
        return done


def main() -> int:
    """The command line."""
    exit_on_signals()
    try:
        done = run()
    except NotInstalled as trouble:
        print(f"peers: {trouble}", file=sys.stderr)
        return 2
    print(f"{done.passed} passed, {done.failed} failed")
    return 1 if done.failed else 0


if __name__ == "__main__":
    sys.exit(main())

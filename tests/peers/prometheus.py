"""Debian's Prometheus, Alertmanager and node_exporter, set up to watch the same Tritons that we watch.

    with Monitoring(folder, [triton], ONE_SECOND) as monitoring:
        monitoring.alerts.wait_for(lambda alert: alert.name == "QueueBackup", timeout_s=5)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from install import Cache, NotInstalled
from process import Process, free_ports, listening
from record import Record
from triton import Triton

START_TIMEOUT_S = 20.0
SYSTEM_SHARE = Path("/usr/share")
TEMPLATE = Path("prometheus/alertmanager/default.tmpl")


@dataclass(frozen=True)
class Timing:
    """The waits between a fault and its alert, in seconds; `window_s` is the range of every rate()."""

    scrape_s: float
    evaluation_s: float
    for_s: float
    group_wait_s: float
    group_interval_s: float
    window_s: float

    def fastest_s(self) -> float:
        """The least time from fault to webhook: nothing to wait for but what is always waited for."""
        return self.for_s + self.group_wait_s

    def slowest_s(self) -> float:
        """The most: the fault just missed a scrape, and that scrape just missed an evaluation."""
        return self.scrape_s + self.evaluation_s + self.fastest_s()

    def middle_s(self) -> float:
        """The median, the two phases being independent and even."""
        return (self.fastest_s() + self.slowest_s()) / 2


STOCK = Timing(scrape_s=15, evaluation_s=15, for_s=60, group_wait_s=30, group_interval_s=300, window_s=60)
ONE_SECOND = Timing(scrape_s=1, evaluation_s=1, for_s=0, group_wait_s=0, group_interval_s=1, window_s=5)


@dataclass(frozen=True)
class Alert:
    """One alert of one notification. `at` is the wall time at which the webhook had it."""

    at: float
    name: str
    labels: dict[str, str]
    status: str
    starts_at: str
    fingerprint: str

    @property
    def firing(self) -> bool:
        """Whether it says that something is wrong, not that it is over."""
        return self.status == "firing"


class Webhook:
    """Receives what Alertmanager sends and records each alert with its time."""

    def __init__(self) -> None:
        self.alerts: Record[Alert] = Record()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.alerts))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="webhook", daemon=True)

    def __enter__(self) -> Webhook:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where to send."""
        return f"http://127.0.0.1:{self._server.server_port}/"


def _handler(alerts: Record[Alert]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802, the base class wants this name
            at = time.time()
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            for alert in json.loads(body)["alerts"]:
                alerts.add(_alert(at, alert))

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


def _alert(at: float, alert: dict[str, Any]) -> Alert:
    labels = alert["labels"]
    return Alert(at, labels["alertname"], labels, alert["status"], alert["startsAt"], alert["fingerprint"])


def distinct(alerts: Iterable[Alert]) -> list[Alert]:
    """Each firing once, at its first notification: the same alert firing anew counts again."""
    first: dict[tuple[str, str], Alert] = {}
    for alert in alerts:
        if alert.firing:
            first.setdefault((alert.fingerprint, alert.starts_at), alert)
    return list(first.values())


class Peer:
    """One of Debian's daemons: a process with a port of its own."""

    binary = ""

    def __init__(self, folder: Path, cache: Cache | None = None) -> None:
        self.cache = cache or Cache.default()
        self.cache.need_prometheus()
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        self._process: Process | None = None

    def __enter__(self) -> Any:
        command = self.command(self.cache.debian_binary(self.binary))
        self._process = Process(self.binary, command, self.folder / f"{self.binary}.log")
        self._process.wait_until(self.ready, START_TIMEOUT_S)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.stop()

    @property
    def pid(self) -> int:
        """The daemon's pid."""
        assert self._process is not None, f"{self.binary} was not started"
        return self._process.pid

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def command(self, binary: Path) -> Sequence[str | Path]:
        """How to start it; writes what it reads."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it answers."""
        return listening(self.port)


class NodeExporter(Peer):
    """Debian's node_exporter with its default collectors."""

    binary = "prometheus-node-exporter"

    def command(self, binary: Path) -> Sequence[str | Path]:
        """Needs no files."""
        return [binary, f"--web.listen-address={self.address}", "--log.level=warn"]


class Alertmanager(Peer):
    """Alertmanager with one route to one webhook, grouped by alert, model and instance."""

    binary = "prometheus-alertmanager"

    def __init__(self, folder: Path, webhook: str, timing: Timing, cache: Cache | None = None) -> None:
        super().__init__(folder, cache)
        self._webhook = webhook
        self._timing = timing

    def command(self, binary: Path) -> Sequence[str | Path]:
        """With its file of routes, alone, not in a cluster."""
        config = self.folder / "alertmanager.yml"
        config.write_text(json.dumps(self._config(), indent=1))
        return with_templates(self.cache) + [
            str(binary),
            f"--config.file={config}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def _config(self) -> dict[str, Any]:
        route = {
            "receiver": "webhook",
            "group_by": ["alertname", "model", "instance"],
            "group_wait": duration(self._timing.group_wait_s),
            "group_interval": duration(self._timing.group_interval_s),
            "repeat_interval": "4h",
        }
        webhook = {"url": self._webhook, "send_resolved": True}
        return {"route": route, "receivers": [{"name": "webhook", "webhook_configs": [webhook]}]}


def with_templates(cache: Cache) -> list[str]:
    """Debian's Alertmanager insists on a template at a fixed place in /usr/share.

    Where it is not installed we show it that place: in a mount namespace of its own, which needs root or user
    namespaces, or else, as root, by a copy. Gives the words to put before its command.
    """
    if (SYSTEM_SHARE / TEMPLATE).exists():
        return []
    unshare = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    share = cache.debian / "usr" / "share"
    bind = [*unshare, "sh", "-c", f'mount --bind "$1" {SYSTEM_SHARE} && shift && exec "$@"', "sh", str(share)]
    if subprocess.run([*bind, "/bin/true"], capture_output=True).returncode == 0:
        return bind
    if os.geteuid() == 0:
        shutil.copytree(share / TEMPLATE.parent, SYSTEM_SHARE / TEMPLATE.parent)
        return []
    raise NotInstalled("no mount namespace for Alertmanager; as root run: apt-get install prometheus-alertmanager")


class Prometheus(Peer):
    """Prometheus scraping Tritons, and a node_exporter if there is one, with the rules below when it may alert."""

    binary = "prometheus"

    def __init__(
        self,
        folder: Path,
        tritons: Sequence[Triton],
        timing: Timing,
        alertmanager: Alertmanager | None = None,
        node_exporter: NodeExporter | None = None,
        cache: Cache | None = None,
    ) -> None:
        super().__init__(folder, cache)
        self._tritons = tritons
        self._timing = timing
        self._alertmanager = alertmanager
        self._node_exporter = node_exporter

    def command(self, binary: Path) -> Sequence[str | Path]:
        """With a fresh database."""
        config = self.folder / "prometheus.yml"
        config.write_text(json.dumps(self._config(), indent=1))
        (self.folder / "rules.yml").write_text(json.dumps(rules(self._tritons, self._timing), indent=1))
        return [
            binary,
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--log.level=warn",
        ]

    def ready(self) -> bool:
        """Prometheus listens before it is ready."""
        return listening(self.port) and self._get("/-/ready") is not None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        answer = self._get(f"/api/v1/query?{urlencode({'query': expression})}")
        return json.loads(answer)["data"]["result"] if answer else []

    def _get(self, path: str) -> bytes | None:
        try:
            with urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return answer.read()
        except OSError:
            return None

    def _config(self) -> dict[str, Any]:
        timing = self._timing
        jobs = {"triton": [f"127.0.0.1:{triton.metrics_port}" for triton in self._tritons]}
        if self._node_exporter:
            jobs["node"] = [self._node_exporter.address]
        config: dict[str, Any] = {
            "global": {
                "scrape_interval": duration(timing.scrape_s),
                "scrape_timeout": duration(min(timing.scrape_s, 10)),
                "evaluation_interval": duration(timing.evaluation_s),
            },
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": targets}]} for job, targets in jobs.items()
            ],
            "rule_files": ["rules.yml"],
        }
        if self._alertmanager:
            managers = {"static_configs": [{"targets": [self._alertmanager.address]}]}
            config["alerting"] = {"alertmanagers": [managers]}
        return config


def rules(tritons: Sequence[Triton], timing: Timing) -> dict[str, Any]:
    """The alert rules one would write for Triton; "is the model there" needs one for each model that serves now."""
    expressions = [*_rates(duration(timing.window_s)), ("TritonDown", 'up{job="triton"} == 0')]
    for triton in tritons:
        for model in triton.serving():
            row = f'model="{model}",instance="127.0.0.1:{triton.metrics_port}"'
            expressions.append(("ModelUnavailable", f"absent(nv_inference_request_success{{{row}}})"))
    hold = duration(timing.for_s)
    alerts = [{"alert": name, "expr": expression, "for": hold} for name, expression in expressions]
    return {"groups": [{"name": "triton", "rules": alerts}]}


def _rates(window: str) -> list[tuple[str, str]]:
    queued = f"rate(nv_inference_queue_duration_us[{window}])"
    success = f"rate(nv_inference_request_success[{window}])"
    failed = f"sum by (instance, model) (rate(nv_inference_request_failure[{window}]))"
    succeeded = f"sum by (instance, model) ({success})"
    return [
        ("QueueBackup", "nv_inference_pending_request_count > 10"),
        ("QueueTime", f"{queued} / {success} > 500e3"),
        ("ErrorRate", f"{failed} / ({failed} + {succeeded}) > 0.05"),
    ]


def duration(seconds: float) -> str:
    """A duration as Prometheus writes it."""
    return f"{round(seconds * 1000)}ms"


class Monitoring:
    """The usual set: a webhook, Alertmanager and Prometheus with one timing, over some Tritons."""

    def __init__(self, folder: Path, tritons: Sequence[Triton], timing: Timing, cache: Cache | None = None) -> None:
        self.webhook = Webhook()
        self.alertmanager = Alertmanager(folder, self.webhook.url, timing, cache)
        self.prometheus = Prometheus(folder, tritons, timing, self.alertmanager, cache=cache)
        self._stack = ExitStack()

    def __enter__(self) -> Monitoring:
        with ExitStack() as stack:
            for part in (self.webhook, self.alertmanager, self.prometheus):
                stack.enter_context(part)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def alerts(self) -> Record[Alert]:
        """Everything that reached the webhook."""
        return self.webhook.alerts

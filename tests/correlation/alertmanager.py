"""The same stream through Debian's Alertmanager: its notification groups as incidents.

It works in real time, so the stream is played faster than it was, and its waits are shortened by the same factor.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.request import Request, urlopen

from generate import Stream
from instant import read_ms
from naive import TYPE_OF, severity
from score import Incident

sys.path.insert(0, str(Path(__file__).parent.parent / "peers"))

from install import Cache  # noqa: E402
from prometheus import Peer, duration, with_templates  # noqa: E402

SPEED = 60.0
GROUP_WAIT_S = 30.0
GROUP_INTERVAL_S = 300.0
GROUPINGS = {
    "service": ["alertname", "service"],
    "rack": ["alertname", "zone", "rack"],
    "node": ["node"],
}
"""Ways to group that are met in the field."""
TICK_S = 0.1
POLL_S = 0.3
# Kept alive well past the end; the end is told by us.
FOR_EVER = timedelta(hours=6)


def alert_name(rule: str) -> str:
    """As one would name it in Prometheus."""
    return "".join(word.capitalize() for word in rule.split("-"))


RULE_OF = {alert_name(rule): rule for rule in TYPE_OF}


def inhibitions() -> list[dict[str, Any]]:
    """What a careful person writes: the greater trouble on a node, server or GPU silences the lesser."""

    def rule(sources: Sequence[str], targets: Sequence[str], equal: list[str]) -> dict[str, Any]:
        names = lambda rules: "|".join(map(alert_name, rules))  # noqa: E731
        return {
            "source_matchers": [f'alertname=~"{names(sources)}"'],
            "target_matchers": [f'alertname=~"{names(targets)}"'],
            "equal": equal,
        }

    models = ["model-unavailable", "error-rate-high", "latency-high", "queue-backup", "queue-stall"]
    others = [other for other in TYPE_OF if other != "node-lost"]
    return [
        rule(["node-lost"], others, ["node"]),
        rule(["server-unavailable"], models, ["node", "server"]),
        rule(["gpu-lost", "gpu-recovery-required"], ["xid", "ecc-uncorrected", *models], ["node", "gpu"]),
        rule(["xid", "gpu-memory-exhausted", "ecc-uncorrected"], models, ["node", "gpu"]),
        rule(["thermal-throttle", "power-brake"], ["latency-high", "queue-backup"], ["node", "gpu"]),
        rule(["noisy-neighbour", "cpu-throttled"], ["latency-high", "queue-backup"], ["node"]),
        rule(["gpu-memory-exhausted"], ["gpu-memory-exhausting"], ["node", "gpu"]),
    ]


class Alertmanager(Peer):
    """Alertmanager with these groups and inhibitions, and waits shortened by `SPEED`."""

    binary = "prometheus-alertmanager"

    def __init__(self, folder: Path, webhook: str, group_by: list[str], cache: Cache | None = None) -> None:
        super().__init__(folder, cache)
        self._webhook = webhook
        self._group_by = group_by

    def command(self, binary: Path) -> Sequence[str | Path]:
        """Alone, not in a cluster."""
        config = self.folder / "alertmanager.yml"
        route = {
            "receiver": "webhook",
            "group_by": self._group_by,
            "group_wait": duration(GROUP_WAIT_S / SPEED),
            "group_interval": duration(GROUP_INTERVAL_S / SPEED),
            "repeat_interval": "4h",
        }
        hook = {"url": self._webhook, "send_resolved": True}
        receivers = [{"name": "webhook", "webhook_configs": [hook]}]
        config.write_text(
            json.dumps({"route": route, "receivers": receivers, "inhibit_rules": inhibitions()}, indent=1)
        )
        return with_templates(self.cache) + [
            str(binary),
            f"--config.file={config}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def post(self, alerts: list[dict[str, Any]]) -> None:
        """As Prometheus would send them."""
        body = json.dumps(alerts).encode()
        request = Request(f"http://{self.address}/api/v2/alerts", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=20):
            pass

    def inhibited(self) -> list[dict[str, Any]]:
        """Those silenced by others now."""
        query = "active=false&silenced=false&inhibited=true&unprocessed=false"
        with urlopen(f"http://{self.address}/api/v2/alerts?{query}", timeout=20) as answer:
            return [alert for alert in json.load(answer) if alert["status"]["inhibitedBy"]]


@dataclass
class Groups:
    """Notification groups as incidents: one lasts from its first alert until all of it was resolved."""

    lock: Lock = field(default_factory=Lock)
    open: dict[str, int] = field(default_factory=dict)
    members: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    group_of: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def notified(self, body: dict[str, Any]) -> None:
        """Takes one notification."""
        with self.lock:
            key = body["groupKey"]
            number = self.open.setdefault(key, len(self.members) + 1)
            for alert in body["alerts"]:
                self.members[number].add(int(alert["annotations"]["finding"]))
                self.group_of[alert["fingerprint"]] = number
                self.members[number] |= self.waiting.pop(alert["fingerprint"], set())
            if body["status"] == "resolved":
                del self.open[key]

    def silenced(self, alerts: Iterable[dict[str, Any]]) -> None:
        """An alert that is silenced belongs to the incident of the one that silences it, once there is one."""
        with self.lock:
            for alert in alerts:
                by, finding = alert["status"]["inhibitedBy"][0], int(alert["annotations"]["finding"])
                its = self.members[self.group_of[by]] if by in self.group_of else self.waiting[by]
                its.add(finding)


def incidents(stream: Stream, folder: Path, group_by: list[str], until_s: float | None = None) -> list[Incident]:
    """Plays a stream through Alertmanager, `SPEED` times as fast as it was."""
    groups = Groups()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(groups))
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        with Alertmanager(folder, url, group_by) as manager:
            alerts = Alerts(stream)
            _play(alerts, manager, groups, until_s)
    finally:
        server.shutdown()
        server.server_close()
    return _incidents(groups, alerts)


def _handler(groups: Groups) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802, the base class wants this name
            groups.notified(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


class Alerts:
    """A stream as alerts: each firing with the number of its finding, by simulated time of arrival."""

    def __init__(self, stream: Stream) -> None:
        self.findings: list[dict[str, Any]] = []
        self.turns: list[tuple[float, dict[str, Any]]] = []
        self._labels = _Labels(stream)
        self._active: dict[tuple[str, str, str], tuple[str, dict[str, Any]]] = {}
        with open(stream.events) as file:
            for line in map(json.loads, file):
                self._take(read_ms(line["at"]) / 1000, line)

    def _take(self, at: float, line: dict[str, Any]) -> None:
        match line["event"]:
            case "finding":
                key = line["node"], line["rule"], json.dumps(line["subject"], sort_keys=True)
                self._turn(at, key, line, line["phase"] != "cleared", line["raised_at"])
            case "lost":
                row = line | {"rule": "node-lost", "subject": {"kind": "node"}, "gpus": []}
                self._turn(at, (line["node"], "node-lost", ""), row, True, line["at"])
            case "back":
                row = line | {"rule": "node-lost", "subject": {"kind": "node"}, "gpus": []}
                self._turn(at, (line["node"], "node-lost", ""), row, False, line["at"])
            case "snapshot":
                self._labels.learn(line)
                self._settle(at, line)

    def _settle(self, at: float, line: dict[str, Any]) -> None:
        """What a node that was away does not hold to be so any more is over: Prometheus would see the series end."""
        held = {(row["rule"], json.dumps(row["subject"], sort_keys=True)) for row in line["active"]}
        for key, (raised_at, row) in list(self._active.items()):
            if (
                key[0] == line["node"]
                and key[1] != "node-lost"
                and key[1:] not in held
                and raised_at < line["observed_at"]
            ):
                self._turn(at, key, row, False, raised_at)

    def _turn(self, at: float, key: tuple[str, str, str], row: dict[str, Any], firing: bool, raised_at: str) -> None:
        known = self._active.get(key)
        if firing and (known is None or known[0] < raised_at):
            member = {name: row[name] for name in ("node", "rule", "subject")} | {"raised_at": raised_at}
            self.findings.append(member)
            alert = {"labels": self._labels.of(row), "annotations": {"finding": str(len(self.findings) - 1)}}
            self._active[key] = raised_at, row | {"alert": alert}
            self.turns.append((at, alert | {"firing": True}))
        elif not firing and known is not None:
            del self._active[key]
            self.turns.append((at, known[1]["alert"] | {"firing": False}))


class _Labels:
    """What the exporters and the service discovery would add: rack, zone, service, GPU."""

    def __init__(self, stream: Stream) -> None:
        import tomllib

        topology = tomllib.loads(stream.topology.read_text())
        self._place = {node: (rack["name"], rack["zone"]) for rack in topology["rack"] for node in rack["nodes"]}
        self._service = {model: service["name"] for service in topology["service"] for model in service["models"]}

    def learn(self, snapshot: dict[str, Any]) -> None:
        """A node's own labels."""
        if labels := snapshot["labels"]:
            self._place.setdefault(snapshot["node"], (labels["rack"], labels["zone"]))

    def of(self, row: dict[str, Any]) -> dict[str, str]:
        """All that is known; empty labels are left out, as Prometheus does."""
        subject, (rack, zone) = row["subject"], self._place.get(row["node"], ("", ""))
        gpus = row.get("gpus") or [subject.get("uuid") or subject.get("gpu") or ""]
        labels = {
            "alertname": alert_name(row["rule"]),
            "node": row["node"],
            "rack": rack,
            "zone": zone,
            "gpu": gpus[0],
            "server": subject.get("server", ""),
            "model": subject.get("model", ""),
            "service": self._service.get(subject.get("model", ""), ""),
            "source": subject.get("source", ""),
            "pid": str(subject.get("pid", "")),
            "severity": severity(row["rule"]),
        }
        return {name: value for name, value in labels.items() if value}


def _play(alerts: Alerts, manager: Alertmanager, groups: Groups, until_s: float | None) -> None:
    begun, nth, polled = time.monotonic(), 0, 0.0
    turns = [turn for turn in alerts.turns if until_s is None or turn[0] <= until_s]
    while nth < len(turns):
        simulated = (time.monotonic() - begun) * SPEED
        batch: dict[str, dict[str, Any]] = {}
        while nth < len(turns) and turns[nth][0] <= simulated:
            alert = turns[nth][1]
            if (name := json.dumps(alert["labels"], sort_keys=True)) in batch:
                break
            batch[name] = _posted(alert)
            nth += 1
        if batch:
            manager.post(list(batch.values()))
        if time.monotonic() - polled > POLL_S:
            groups.silenced(manager.inhibited())
            polled = time.monotonic()
        time.sleep(TICK_S)
    groups.silenced(manager.inhibited())
    # The last groups are told after their interval.
    time.sleep((GROUP_WAIT_S + GROUP_INTERVAL_S) / SPEED + 1)
    groups.silenced(manager.inhibited())


def _posted(alert: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(timezone.utc)
    ends = now + FOR_EVER if alert["firing"] else now
    body = {"labels": alert["labels"], "annotations": alert["annotations"], "endsAt": ends.isoformat()}
    return body | (
        {"startsAt": now.isoformat()} if alert["firing"] else {"startsAt": (now - timedelta(seconds=1)).isoformat()}
    )


def _incidents(groups: Groups, alerts: Alerts) -> list[Incident]:
    told = []
    for number, members in groups.members.items():
        rows = [alerts.findings[nth] for nth in sorted(members)]
        rules = [row["rule"] for row in rows]
        types = [TYPE_OF[rule] for rule in rules]
        told.append(
            {
                "id": number,
                "type": max(types, key=types.count),
                "severity": min(map(severity, rules)),
                "members": rows,
            }
        )
    return told

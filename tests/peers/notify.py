"""What is told by mail and to Alertmanager, by the real ones: our outbox, a mail server that wants TLS and a login,
and Debian's Alertmanager.

    python3 tests/peers/notify.py

Ends in `N passed, N failed`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from figures import say
from gpuwarden import binary, toml
from install import Cache, NotInstalled
from mail import PASSWORD, Mail, MailServer
from process import exit_on_signals
from prometheus import Alertmanager, Timing, Webhook
from record import Record

TIMING = Timing(scrape_s=0, evaluation_s=0, for_s=0, group_wait_s=0, group_interval_s=1, window_s=0)
TOLD_TIMEOUT_S = 15.0
ALERT_LASTS_S = 3


@dataclass(frozen=True)
class Line:
    """One line of what our program says."""

    at: float
    text: str


class Teller:
    """Our outbox, told what to tell line by line."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.lines: Record[Line] = Record()
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "notify.toml"
        file.write_text(toml(config))
        self._command = [str(binary("examples/tell")), "--config", str(file)]

    def __enter__(self) -> Teller:
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True)
        threading.Thread(target=self._read, name="teller", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()

    def tell(self, destination: str, step: str, kind: str, incident: int, severity: str = "P1") -> None:
        """Asks for one thing to be told."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{destination} {step} {kind} {incident} {severity} engineering\n")
        self._child.stdin.flush()

    def says(self, *parts: str) -> bool:
        """Whether it says all of this in one line, within a while."""
        wanted = lambda line: all(part in line.text for part in parts)  # noqa: E731
        return self.lines.wait_for(wanted, TOLD_TIMEOUT_S) is not None

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self.lines.add(Line(time.time(), line.rstrip()))


class Manager(Alertmanager):
    """Alertmanager, asked for its alerts."""

    def severities(self, incident: int) -> list[str]:
        """The severities by which it knows an incident now."""
        with urlopen(f"http://{self.address}/api/v2/alerts?active=true", timeout=5) as answer:
            alerts = json.load(answer)
        of = [one["labels"] for one in alerts if one["labels"].get("incident") == str(incident)]
        return sorted(labels["severity"] for labels in of)


class Run:
    """One run; counts what passed and what did not."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.passed = 0
        self.failed = 0
        self._folder = folder
        self.starttls: MailServer = stack.enter_context(MailServer(folder / "starttls", "starttls"))
        self.tls: MailServer = stack.enter_context(MailServer(folder / "tls", "tls"))
        self._stranger = stack.enter_context(MailServer(folder / "stranger", "starttls"))
        webhook = stack.enter_context(Webhook())
        self.manager: Manager = stack.enter_context(Manager(folder / "alertmanager", webhook.url, TIMING))
        self.teller: Teller = stack.enter_context(Teller(folder / "teller", self._config()))

    def _config(self) -> dict[str, Any]:
        right, wrong = self._folder / "password", self._folder / "wrong"
        right.write_text(f"{PASSWORD}\n")
        wrong.write_text("wrong password\n")
        trusted = [self.starttls.certificate, self.tls.certificate]
        ca_file = self._folder / "ca.crt"
        ca_file.write_text("".join(one.certificate.read_text() for one in trusted))

        def mail(name: str, port: int, security: str = "starttls", **more: Any) -> dict[str, Any]:
            usual = {"kind": "email", "host": "localhost", "port": port, "security": security, "user": "gpuwarden"}
            people = {"from": "Gpuwarden <gpuwarden@ops.example>", "to": [f"{name}@ops.example"]}
            return {"name": name, "password_file": str(right), "bundle": "0s"} | usual | people | more

        return {
            "notify": {"ca_file": str(ca_file), "installation": "bench"},
            "destination": [
                mail("oncall", self.starttls.port),
                mail("desk", self.tls.port, "tls"),
                mail("locked", self.starttls.port, password_file=str(wrong), fall_back="desk"),
                mail("stranger", self._stranger.port),
                mail("refused", self.starttls.port),
                mail("busy", self.starttls.port),
                {"name": "alerts", "kind": "alertmanager", "url": f"http://{self.manager.address}", "lasts": f"{ALERT_LASTS_S}s"},
            ],
        }

    def check(self, what: str, held: bool, detail: str = "") -> None:
        """Passes when it held."""
        self.passed, self.failed = self.passed + held, self.failed + (not held)
        say(f"{'ok   ' if held else 'FAIL '} {what}{f': {detail}' if detail else ''}")

    def _mail(self, server: MailServer, *parts: str) -> Mail | None:
        wanted = lambda mail: all(part in mail.subject + mail.text("plain") for part in parts)  # noqa: E731
        return server.mails.wait_for(wanted, TOLD_TIMEOUT_S)

    def mails(self) -> None:
        """A page, an update and an end are one thread, over STARTTLS, and over TLS from the first byte."""
        for name, server in [("oncall", self.starttls), ("desk", self.tls)]:
            self.teller.tell(name, "page", "page", 2)
            first = self._mail(server, "P1 bert-large on node-a fails 38 % of requests")
            self.check(f"{name}: a page arrives, encrypted and with a login", first is not None and first.tls and first.user == "gpuwarden")
            if first is None:
                continue
            self.check(f"{name}: to whom it should", first.recipients == (f"{name}@ops.example",) and first.sender == "gpuwarden@ops.example")
            self.check(f"{name}: in plain text and as a page with links", "cause " in first.text("plain") and "<a href=" in first.text("html"))
            for kind, part in [("update", "errors 38 % → 12 %"), ("resolved", "Resolved: P1")]:
                self.teller.tell(name, kind, kind, 2)
                mail = self._mail(server, part)
                answers = mail is not None and mail.message["In-Reply-To"] == first.message["Message-ID"]
                self.check(f"{name}: {kind} is in its thread, under its subject", answers and mail.subject == f"Re: {first.subject}")

    def troubles(self) -> None:
        """What a mail server may say, and who it may be."""
        self.teller.tell("locked", "page", "page", 3)
        diverted = self._mail(self.tls, "[#3]", "meant for locked: 535")
        self.check("a wrong password sends the page to the fall-back", diverted is not None)
        self.teller.tell("stranger", "page", "page", 4)
        told = self.teller.says("failed 4/page/stranger/0", "TLS: localhost", "invalid peer certificate")
        failed = [line.text for line in self.teller.lines.since() if "stranger" in line.text]
        self.check("a server that nobody vouches for is told nothing", told, "; ".join(failed[:1]))
        self.check("not even the login", not self._stranger.mails.since())
        self.teller.tell("refused", "page", "page", 5)
        self.check("a mailbox that is not there is said so", self.teller.says("dead 5/page/refused/0", "550"))
        self.teller.tell("busy", "page", "page", 6)
        greylisted = self.teller.says("failed 6/page/busy/0", "451")
        self.check("who says later is asked later", greylisted and self._mail(self.starttls, "[#6]") is not None)

    def alerts(self) -> None:
        """An incident is an alert that stands while it is open, and no longer."""
        self.teller.tell("alerts", "page", "page", 7, "P2")
        self.check("Alertmanager has it", self._becomes(7, ["P2"]))
        until = time.time() + 2 * ALERT_LASTS_S
        seen = set()
        while time.time() < until:
            seen.add(tuple(self.manager.severities(7)))
            time.sleep(0.1)
        self.check("it stands longer than one telling lasts", seen == {("P2",)}, str(seen))
        self.teller.tell("alerts", "worse", "page", 7, "P1")
        self.check("when it gets worse there is one alert, of the new severity", self._becomes(7, ["P1"]))
        self.teller.tell("alerts", "over", "resolved", 7, "P1")
        self.check("when it is over there is none", self._becomes(7, []))
        time.sleep(ALERT_LASTS_S)
        self.check("and it stays over", self.manager.severities(7) == [])

    def _becomes(self, incident: int, severities: list[str]) -> bool:
        until = time.time() + TOLD_TIMEOUT_S
        while self.manager.severities(incident) != severities:
            if time.time() > until:
                say(f"      it is {self.manager.severities(incident)}")
                return False
            time.sleep(0.05)
        return True


def main() -> int:
    """One course of all."""
    exit_on_signals()
    try:
        cache = Cache.default()
        cache.need_prometheus()
        cache.need_smtp()
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            run = Run(Path(name), stack)
            run.mails()
            run.troubles()
            run.alerts()
    except NotInstalled as trouble:
        print(f"notify: {trouble}", file=sys.stderr)
        return 2
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())

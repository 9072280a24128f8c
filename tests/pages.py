"""Who is paged, with an aggregator that is killed again and again.

    python3 tests/pages.py [--crashes N] [--idle N]

Real processes: an aggregator, its command line, and a receiver of CloudEvents which takes each id once, as the
contract of the destination has it. Trouble of P1 is told; at some moment of the incident's life the aggregator is killed
(SIGKILL) and started again. Wanted: each page that is due is delivered, none twice in effect, and each timer fired.
Prints readable progress and, last, one JSON object of figures; ends with 1 where something was lost or doubled.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from replay import Aggregator, free_port

PEOPLE = ("ann", "ben", "cyd")
DELIVERED_WITHIN_S = 15.0
MODELS = 2000


class Receiver:
    """Takes CloudEvents: what comes, when, and how often each id."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[float, dict[str, Any]]] = {}
        self.repeats = 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_POST(self) -> None:
                """Takes an event, or says that it is known."""
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                known = receiver.take(body)
                self.send_response(409 if known else 202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, event: dict[str, Any]) -> bool:
        """Whether it is known."""
        with self._lock:
            if event["id"] in self.taken:
                self.repeats += 1
                return True
            self.taken[event["id"]] = (time.time(), event)
            return False

    def pages(self, incident: int) -> list[tuple[float, dict[str, Any]]]:
        """The pages of an incident, in the order in which they came."""
        with self._lock:
            found = [each for each in self.taken.values() if each[1]["data"]["incident"] == incident]
        return sorted((each for each in found if each[1]["data"]["kind"] == "page"), key=lambda each: each[0])


def settings(folder: Path, receiver: Receiver, port: int) -> Path:
    """One person a level; the second is asked after two seconds, the third after four."""
    lines = [
        f'[grpc]\nlisten = "127.0.0.1:{port}"\n[http]\nlisten = "127.0.0.1:{free_port()}"',
        f'[store]\ndir = "{folder / "data"}"',
        "[incidents]\ncritical_services = [" + ", ".join(f'"m{n}"' for n in range(MODELS)) + "]",
        '[escalation]\nl1 = ["ann"]\nl2 = ["ben"]\nl3 = ["cyd"]',
        '[escalation.p1]\nladder = ["l1", "l2 after 2s", "l3 after 4s"]',
    ]
    for name in PEOPLE:
        lines.append(
            f'[[destination]]\nname = "{name}-hook"\nkind = "webhook"\nrate = "10ms"\nburst = 100\n'
            f'url = "http://127.0.0.1:{receiver.port}/{name}"\n'
            f'[[oncall.person]]\nname = "{name}"\ncontacts = ["{name}-hook"]\n'
            f'[[oncall.schedule]]\nname = "{name}"\n[[oncall.schedule.layer]]\nname = "always"\n'
            f'people = ["{name}"]\nstarts = "2026-01-05T09:00"\nturn = "weekly"'
        )
    path = folder / "aggregator.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Crashing(Aggregator):
    """An aggregator that can be killed."""

    def __init__(self, config: Path, port: int) -> None:
        self._config, self._port = config, port
        super().__init__(config, port)

    def crash(self) -> None:
        """As a machine that loses its power, but for the disk's cache."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=30)
        super().__init__(self._config, self._port)


def wait(found: Any, wanted: Any) -> Any:
    """What is found once it is as wanted, or at last."""
    end = time.monotonic() + DELIVERED_WITHIN_S
    while not wanted(last := found()) and time.monotonic() < end:
        time.sleep(0.005)
    return last


def outage(desk: Aggregator, number: int) -> int:
    """Tells of trouble that is P1, and gives its incident: it is on disk by now."""
    told = desk.ask(
        "incidents", "report", f"m{number} answers nobody", "--model", f"m{number}", "--severity", "critical", "--by", "eve"
    )
    return int(told["incident"])


def seconds(text: str) -> float:
    """An instant of ours in seconds since 1970."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def idle(desk: Aggregator, receiver: Receiver, count: int) -> list[float]:
    """From detection to the first page that was delivered, in seconds."""
    delays = []
    for number in range(count):
        incident = outage(desk, number)
        pages = wait(lambda incident=incident: receiver.pages(incident), bool)
        detected = seconds(desk.ask("incidents", "show", str(incident))["work"]["detected_at"])
        delays.append(pages[0][0] - detected if pages else float("inf"))
        desk.ask("incidents", "ack", str(incident), "--by", "ann")
    return delays


def crashes(desk: Crashing, receiver: Receiver, count: int, seed: int) -> dict[str, int]:
    """Kills at a moment of an incident's life that chance names: before or after its first page, while it climbs, when
    somebody has taken it, when it is over."""
    chance = random.Random(seed)
    lost = doubled = untrue = 0
    for nth in range(count):
        incident = outage(desk, MODELS - 1 - nth)
        moment = nth % 5
        if moment == 0:
            desk.crash()
        elif moment == 1:
            time.sleep(chance.uniform(0, 0.05))
            desk.crash()
        elif moment == 2:
            wait(lambda: receiver.pages(incident), bool)
            time.sleep(chance.uniform(0, 2.1))
            desk.crash()
        wanted = 3
        if moment == 3:
            wait(lambda: receiver.pages(incident), bool)
            desk.ask("incidents", "ack", str(incident), "--by", "ann")
            desk.crash()
            wanted = 1
        elif moment == 4:
            wait(lambda: receiver.pages(incident), bool)
            desk.ask("incidents", "resolve", str(incident), "--reason", "mended", "--force", "--by", "ann")
            desk.crash()
            wanted = 1
        pages = wait(lambda: receiver.pages(incident), lambda pages: len(pages) >= wanted)
        if moment >= 3:
            # Whoever took it, or ended it, is believed also after the crash: nobody else is paged.
            time.sleep(2.2)
            pages = receiver.pages(incident)
            work = desk.ask("incidents", "show", str(incident))["work"]
            untrue += work["owner"] != "ann" if moment == 3 else work["resolved_at"] is None
        else:
            desk.ask("incidents", "ack", str(incident), "--by", "ann")
        lost += max(0, wanted - len(pages))
        doubled += max(0, len(pages) - wanted)
        if (nth + 1) % 20 == 0:
            print(f"{nth + 1} crashes: {lost} lost, {doubled} doubled, {untrue} forgotten", flush=True)
    return {"crashes": count, "lost": lost, "doubled": doubled, "forgotten": untrue}


def timers(data: Path) -> tuple[list[float], int]:
    """By how much each timer fired late, in seconds, of those for which the aggregator was there; and how many of those
    that were due never fired."""
    database = sqlite3.connect(f"file:{data / 'aggregator.db'}?mode=ro", uri=True)
    armed: dict[str, float] = {}
    late, now = [], time.time()
    for at_ns, text in database.execute("SELECT at_ns, payload FROM timer_word ORDER BY id"):
        [(kind, word)] = json.loads(text)["word"].items()
        if kind == "set":
            armed[json.dumps(word["id"])] = max(seconds(word["at"]), at_ns / 1e9)
        elif (due := armed.pop(json.dumps(word), None)) is not None and kind == "fired":
            late.append(at_ns / 1e9 - due)
    return late, sum(1 for due in armed.values() if due < now - 1)


def main() -> int:
    """The figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--crashes", type=int, default=200)
    parser.add_argument("--idle", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    receiver = Receiver()
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        config = settings(folder, receiver, port)
        desk = Crashing(config, port)
        desk.ask("incidents", "list")
        delays = idle(desk, receiver, args.idle)
        figures: dict[str, Any] = {
            "page_p50_ms": round(statistics.median(delays) * 1000, 1),
            "page_p99_ms": round(sorted(delays)[max(0, int(len(delays) * 0.99) - 1)] * 1000, 1),
        }
        print(f"first page of a P1: p50 {figures['page_p50_ms']} ms, p99 {figures['page_p99_ms']} ms", flush=True)
        late, _ = timers(folder / "data")
        figures |= crashes(desk, receiver, args.crashes, args.seed)
        # What was due while nobody was there fires at the start: that delay is the crash's.
        every, missing = timers(folder / "data")
        figures |= {
            "timers_fired": len(every),
            "timers_missing": missing,
            "timer_late_median_ms": round(statistics.median(every) * 1000, 1) if every else None,
            "repeated_requests": receiver.repeats,
        }
        del late
        desk.end()
    print(json.dumps(figures))
    wrong = figures["lost"] + figures["doubled"] + figures["forgotten"] + figures["timers_missing"]
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}: {error.stderr}")

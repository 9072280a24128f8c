"""Holds a replay of what an aggregator has written of its history against the incidents that it had: the same numbers,
members, types, severities, states, causes, timelines and times.

    python3 tests/replay.py DATA QUIET

DATA is the folder of the store, which no aggregator has open; QUIET is the quiet period that it ran with, e.g. `30s`.
The aggregator is started on it twice: it shows what it had, is told something by a person, and ends; then its history is
exported and replayed. Ends in `N passed, N failed`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
START_WITHIN_S = 30
Incidents = dict[int, dict[str, Any]]


def binary(name: str) -> str:
    """A program of ours."""
    return str(Path(os.environ.get("GPUWARDEN_BIN", CHECKOUT / "target" / "release")) / name)


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Aggregator:
    """The real one, on a store that is there."""

    def __init__(self, config: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen([binary("gpuwarden-aggregator"), "run", "--config", str(config)])

    def ask(self, *words: str) -> Any:
        """What the command line answers."""
        command = [binary("gpuwarden"), *words, "--aggregator", self.url, "--output", "json"]
        began = time.monotonic()
        while True:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return json.loads(done.stdout)
            if time.monotonic() - began > START_WITHIN_S:
                raise RuntimeError(done.stderr)
            time.sleep(0.1)

    def end(self) -> None:
        """As an operator ends it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)


def incidents(aggregator: Aggregator) -> Incidents:
    """All that it has, by number."""
    listed = aggregator.ask("incidents", "list", "--all", "--limit", "1000")["incidents"]
    return {incident["id"]: incident for incident in listed}


def replayed(data: Path, config: Path) -> Incidents:
    """What a replay makes of the history, twice the same bytes."""
    log = config.with_name("history.jsonl")
    with log.open("wb") as out:
        subprocess.run([binary("gpuwarden-aggregator"), "events", "--data", str(data)], stdout=out, check=True)
    command = [binary("gpuwarden-aggregator"), "replay", "--config", str(config), "--events", str(log)]
    once, again = (subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2))
    if once != again:
        raise RuntimeError("two replays of one log differ")
    told = [json.loads(line) for line in once.splitlines()]
    return {incident["id"]: incident for incident in told}


def differing(live: Incidents, replay: Incidents) -> list[str]:
    """What is not the same, incident by incident."""
    found = [f"#{each} is only in one" for each in sorted(live.keys() ^ replay.keys())]
    for each in sorted(live.keys() & replay.keys()):
        keys = [key for key in live[each] if live[each][key] != replay[each].get(key)]
        found += [f"#{each} {key}: {live[each][key]!r} / {replay[each].get(key)!r}" for key in keys]
    return found


def settings(folder: Path, data: Path, quiet: str, port: int) -> Path:
    """A config for the store."""
    config = folder / "aggregator.toml"
    text = [f'[grpc]\nlisten = "127.0.0.1:{port}"', f'[http]\nlisten = "127.0.0.1:{free_port()}"']
    text += [f'[store]\ndir = "{data}"', f'[incidents]\nquiet_period = "{quiet}"']
    config.write_text("\n".join(text) + "\n", encoding="utf-8")
    return config


def check(data: Path, quiet: str) -> list[str]:
    """What differs between the incidents of a store and a replay of its history; nothing if all is well."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = settings(Path(folder), data, quiet, port)
        expected = replayed(data, config)
        aggregator = Aggregator(config, port)
        found = [] if expected else ["the history makes no incident"]
        found += differing(incidents(aggregator), expected)
        still_open = [each for each, incident in expected.items() if incident["resolved_at"] is None]
        for each in still_open[:1]:
            aggregator.ask("incidents", "note", str(each), "seen after the restart", "--by", "ann")
        aggregator.end()
        expected = replayed(data, config)
        aggregator = Aggregator(config, port)
        found += [f"after a restart: {each}" for each in differing(incidents(aggregator), expected)]
        aggregator.end()
    return found


def main() -> int:
    """One line a difference."""
    found = check(Path(sys.argv[1]), sys.argv[2])
    for each in found:
        print(f"FAIL  {each}")
    print(f"{0 if found else 1} passed, {1 if found else 0} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

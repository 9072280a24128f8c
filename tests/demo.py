"""Runs the demo as a newcomer would and holds what it prints against what it promises: five types of incident, each
with type, severity, subject, evidence and timeline, as JSON lines and nothing else; and a replay of what was written of
its history gives the same incidents.

    python3 tests/demo.py

Ends in `N passed, N failed`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import replay

CHECKOUT = Path(__file__).resolve().parent.parent
SECONDS = 90
# The quiet period of the demo.
QUIET = "5s"
TYPES = ["gpu-oom", "high-latency", "noisy-neighbour", "model-unavailable", "gpu-hardware"]


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def demo(folder: str) -> list[dict[str, Any]]:
    """The lines of one run."""
    binary = Path(os.environ.get("GPUWARDEN_BIN", CHECKOUT / "target" / "release")) / "gpuwarden"
    command = [str(binary), "up", "--demo", "--duration", f"{SECONDS}s", "--output", "json", "--data", folder]
    command += ["--grpc", f"127.0.0.1:{free_port()}", "--http", f"127.0.0.1:{free_port()}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=SECONDS + 30, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def missing(incident: dict[str, Any]) -> list[str]:
    """What an incident lacks."""
    lacks = [key for key in ("type", "severity", "severity_reason", "title", "timeline") if not incident.get(key)]
    members = incident.get("members") or []
    if not members or not all(member.get("subject") for member in members):
        lacks.append("subject")
    if not members or not all(member.get("evidence") for member in members):
        lacks.append("evidence")
    return lacks


def main() -> int:
    """One line a check."""
    with tempfile.TemporaryDirectory() as folder:
        lines = demo(folder)
        differing = replay.check(Path(folder) / "demo" / "aggregator", QUIET)
    latest = {line["incident"]["id"]: line["incident"] for line in lines if "incident" in line}
    failed = 0
    for wanted in TYPES:
        found = [incident for incident in latest.values() if incident["type"] == wanted]
        lacks = missing(found[0]) if found else ["to be there at all"]
        failed += bool(lacks)
        print(f"{'FAIL' if lacks else 'ok  '}  {wanted}: {f'lacks {lacks}' if lacks else found[0]['title']}")
    others = [incident["title"] for incident in latest.values() if incident["type"] not in TYPES]
    failed += bool(others)
    print(f"{'FAIL' if others else 'ok  '}  no incident that the demo did not provoke {others or ''}")
    failed += bool(differing)
    print(f"{'FAIL' if differing else 'ok  '}  a replay of its history gives its incidents {differing or ''}")
    print(f"{len(TYPES) + 2 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

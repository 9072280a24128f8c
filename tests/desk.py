"""What people say at the command line, to a live aggregator with a candidate config beside it, and what a replay of it all
makes: trouble is told, merged, split, taken and resolved; the candidate says live what it says over the log.

    python3 tests/desk.py

Ends in `N passed, N failed`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replay import Aggregator, binary, differing, free_port, incidents, replayed, settings

BY = ("--by", "ann")
SEEN_WITHIN_S = 20


class Desk(Aggregator):
    """The real aggregator with a candidate beside it, and somebody who talks to it."""

    def __init__(self, config: Path, port: int, candidate: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        command = [binary("gpuwarden-aggregator"), "run", "--config", str(config), "--shadow", str(candidate)]
        self._process = subprocess.Popen(command)

    def refused(self, *words: str) -> str:
        """The words of a refusal; empty when there is none."""
        command = [binary("gpuwarden"), *words, "--aggregator", self.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stderr if done.returncode == 1 else ""

    def report(self, what: str, **named: str) -> None:
        """Somebody has seen something."""
        options = [word for name, value in named.items() for word in (f"--{name}", value)]
        self.ask("incidents", "report", what, *options, *BY)

    def open(self) -> dict[int, list[str]]:
        """What is open: the summaries of the members of each, by number."""
        found = {number: each for number, each in incidents(self).items() if each["resolved_at"] is None}
        return {number: sorted(member["summary"] for member in each["members"]) for number, each in found.items()}


class Checks:
    """What was found to be so, and what not."""

    def __init__(self) -> None:
        self.passed, self.failed = 0, 0

    def same(self, what: str, found: Any, wanted: Any) -> None:
        """Two things that must be the same."""
        if found == wanted:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAIL  {what}: {found!r} instead of {wanted!r}")


def until(found: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """What is found once it is as wanted, or at last."""
    end = time.monotonic() + SEEN_WITHIN_S
    while not wanted(last := found()) and time.monotonic() < end:
        time.sleep(0.1)
    return last


def talk(desk: Desk, checks: Checks) -> None:
    """A morning at the desk."""
    until(desk.open, lambda _: True)
    desk.report("chat answers nobody", service="chat", severity="critical")
    desk.report("bert answers nobody", model="bert", severity="critical")
    opened = until(desk.open, lambda found: len(found) == 2)
    checks.same("two things that nothing ties", opened, {1: ["chat answers nobody"], 2: ["bert answers nobody"]})

    merged = desk.ask("incidents", "merge", "2", "1", "--reason", "bert serves chat", *BY)
    checks.same("the answer is what it went on as", merged["id"], 1)
    both = ["bert answers nobody", "chat answers nobody"]
    checks.same("merged", desk.open(), {1: both})
    told = [line for line in desk.ask("incidents", "show", "1")["timeline"] if line["kind"] == "merged"]
    checks.same("who said so is in its history", "ann says so: bert serves chat" in told[0]["text"], True)
    refused = desk.refused("incidents", "merge", "2", "1", "--reason", "again", *BY)
    checks.same("what is over is not merged again", "#2" in refused, True)

    members = [member["summary"] for member in desk.ask("incidents", "show", "1")["members"]]
    nth = members.index("bert answers nobody") + 1
    split = desk.ask("incidents", "split", "1", "--member", str(nth), "--reason", "another disk", *BY)
    checks.same("split", desk.open(), {1: ["chat answers nobody"], 3: ["bert answers nobody"]})
    checks.same("the new one says where it was", split["id"], 3)
    refused = desk.refused("incidents", "split", "3", "--member", "1", "--reason", "alone", *BY)
    checks.same("one that has only this member is not split", bool(refused), True)

    desk.ask("incidents", "ack", "3", *BY)
    desk.ask("incidents", "resolve", "3", "--reason", "the disk was changed", "--force", *BY)
    checks.same("resolved", desk.open(), {1: ["chat answers nobody"]})


def shadow(desk: Desk, checks: Checks) -> dict[str, Any]:
    """What the candidate says of the morning."""
    report = until(lambda: desk.ask("shadow"), lambda found: bool(found.get("differences")))
    severities = json.dumps(report)
    checks.same("the candidate calls the loss of a critical model P1", '"P1"' in severities, True)
    return dict(report)


def main() -> int:
    """One line a difference."""
    checks = Checks()
    with tempfile.TemporaryDirectory() as name:
        folder, data, port = Path(name), Path(name) / "data", free_port()
        config = settings(folder, data, "30s", port)
        candidate = folder / "candidate.toml"
        candidate.write_text('[incidents]\nquiet_period = "30s"\ncritical_services = ["bert"]\n', encoding="utf-8")
        desk = Desk(config, port, candidate)
        talk(desk, checks)
        live = shadow(desk, checks)
        kept = incidents(desk)
        desk.end()
        checks.same("a replay gives the incidents that were", differing(kept, replayed(data, config)), [])
        command = [binary("gpuwarden-aggregator"), "replay", "--config", str(config)]
        command += ["--events", str(folder / "history.jsonl"), "--against", str(candidate), "--output", "json"]
        offline = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        # Live time goes on to the question, that of a log to its last line.
        checks.same("live and over the log the candidate says the same", live | {"until": ""}, offline | {"until": ""})
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The form at `/report` in a real browser, from the page up to the incident.

    target/peers/venv/bin/python3 tests/peers/report_form.py

Ends in `N passed, N failed`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import say
from gpuwarden import Aggregator
from install import Cache, NotInstalled
from process import exit_on_signals

TIMEOUT_S = 10.0
TITLE = "Report trouble"
WRONG = "What is wrong?"
MODEL = "Which model? (if you know)"
NAME = "Your name"
MORE = "More, if it helps: when, where, the text of the error"
# Each would become part of the page if it were not escaped where it is shown.
SCRIPT = "<script>document.title='owned'</script>"
BREAKING_OUT = f'"><img src=x onerror="document.title=1"></textarea>{SCRIPT} & it\'s slow'


class Run:
    """One run; counts what passed and what did not."""

    def __init__(self, aggregator: Aggregator) -> None:
        self.passed = 0
        self.failed = 0
        self.aggregator = aggregator
        self.form = f"http://127.0.0.1:{aggregator.http_port}/report"

    def check(self, what: str, met: Callable[[], object], seen: Callable[[], object] = lambda: "") -> None:
        """Passes when it is so before long; else `seen` says what is so instead."""
        until = time.monotonic() + TIMEOUT_S
        while not (good := bool(met())) and time.monotonic() < until:
            time.sleep(0.1)
        self.passed += good
        self.failed += not good
        say(f"{'ok   ' if good else 'FAIL '} {what}{'' if good else f': {seen()}'}")

    def incidents(self) -> list[dict[str, Any]]:
        """All of them."""
        return self.aggregator.ask("incidents", "list", "--all")["incidents"]

    def reports(self) -> list[str]:
        """What people have reported, in words."""
        members = [member for incident in self.incidents() for member in incident["members"]]
        return [member["summary"] for member in members if member["rule"] == "user-report"]

    def reported(self, text: str) -> bool:
        """Whether somebody has reported just this."""
        return any(text in report for report in self.reports())


def with_scripts(run: Run, folder: Path) -> None:
    """The form as most people have it."""
    from browser import Browser

    with Browser(folder) as browser:
        browser.open(run.form)
        run.check("the page says what it is", lambda: browser.title == TITLE and browser.text("h1") == TITLE)
        unnamed = [field.get_attribute("id") for field in browser.fields() if not field.accessible_name.strip()]
        run.check("each field has a label", lambda: len(browser.fields()) >= 6 and not unnamed, lambda: unnamed)
        browser.press("Send")
        run.check("an empty form is not sent", lambda: browser.count("form") == 1 and not run.reports())
        browser.type_into(WRONG, BREAKING_OUT)
        browser.type_into(MODEL, "bert")
        browser.type_into(NAME, "ann <b>")
        browser.choose("How bad is it?", "It does not work at all")
        browser.type_into(MORE, "since noon\nHTTP 500")
        browser.press("Send")
        run.check("who sends it is thanked and told the incident",
                  lambda: "Your report is part of incident #1." in browser.text("[role=status]"), browser.text)
        complaints = browser.complaints()
        run.check("the browser has nothing to complain of", lambda: not complaints, lambda: complaints)
        told = run.incidents()
        run.check("an incident of type external came of it", lambda: [one["type"] for one in told] == ["external"])
        run.check("it says what was typed, to the letter", lambda: run.reported(BREAKING_OUT), run.reports)
        browser.press("Report something else")
        run.check("the way back is an empty form", lambda: browser.value(WRONG) == "")
        refused(run, browser)


def refused(run: Run, browser: Any) -> None:
    """What cannot be taken comes back as it was typed, and stays text."""
    browser.type_into(WRONG, "   ")
    browser.type_into(NAME, BREAKING_OUT)
    browser.type_into(MORE, BREAKING_OUT)
    browser.press("Send")
    run.check("what is missing is said", lambda: browser.text("[role=status]") != "", browser.text)
    run.check("what was typed stands there as before",
              lambda: (browser.value(NAME), browser.value(MORE)) == (BREAKING_OUT, BREAKING_OUT),
              lambda: (browser.value(NAME), browser.value(MORE)))
    run.check("nothing of it became part of the page",
              lambda: browser.count("script, img") == 0 and browser.title == TITLE, lambda: browser.title)


def without_scripts(run: Run, folder: Path) -> None:
    """The same where the browser runs no scripts."""
    from browser import Browser

    with Browser(folder, scripts=False) as browser:
        browser.open("data:text/html,<title>off</title><script>document.title='on'</script>")
        run.check("scripts are off", lambda: browser.title == "off", lambda: browser.title)
        browser.open(run.form)
        browser.type_into(WRONG, "chat answers nobody")
        browser.type_into(NAME, "bob")
        browser.press("Send")
        thanks = "Your report is part of incident"
        run.check("without scripts it is taken, too", lambda: thanks in browser.text(), browser.text)
        run.check("it is told like the other", lambda: run.reported("chat answers nobody"), run.reports)


def course() -> Run:
    """Everything on one machine."""
    Cache.default().need_browser()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Aggregator(folder / "aggregator") as aggregator:
            run = Run(aggregator)
            with_scripts(run, folder / "browser")
            without_scripts(run, folder / "plain")
            return run


def main() -> int:
    """The command line."""
    exit_on_signals()
    try:
        run = course()
    except NotInstalled as trouble:
        print(f"peers: {trouble}", file=sys.stderr)
        return 2
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""A real browser without a screen: Debian's Chromium, driven by Selenium.

    with Browser(folder) as browser:
        browser.open("http://127.0.0.1:7080/report")
        browser.type_into("Your name", "ann")
        browser.press("Send")

Runs in the python of the peers: `install.py browser` makes it. Things are found by what people see: a field by its
label, a button or a link by its text. The page that a press leads to may come a moment later: look until it is there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

CHROMIUM = Path("/usr/bin/chromium")
CHROMEDRIVER = Path("/usr/bin/chromedriver")
PAGE_TIMEOUT_S = 15
FIELDS = "input:not([type=hidden]), select, textarea"
# In Chromium's settings 2 means that pages may run no scripts.
BLOCKED = 2


class Browser:
    """One browser with a profile of its own in `folder`; `scripts=False` is one that runs none."""

    def __init__(self, folder: Path, scripts: bool = True) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._scripts = scripts

    def __enter__(self) -> Browser:
        service = Service(str(CHROMEDRIVER), log_output=str(self.folder / "chromedriver.log"))
        self._driver = webdriver.Chrome(options=self._options(), service=service)
        self._driver.set_page_load_timeout(PAGE_TIMEOUT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.quit()

    def open(self, url: str) -> None:
        """Goes to a page and waits until it has been read."""
        self._driver.get(url)

    def type_into(self, label: str, text: str) -> None:
        """Types into the field of this label, as a person would, after what stands there is gone."""
        field = self.field(label)
        field.clear()
        field.send_keys(text)

    def choose(self, label: str, option: str) -> None:
        """Chooses what people see as `option`."""
        Select(self.field(label)).select_by_visible_text(option)

    def press(self, text: str) -> None:
        """Presses a button or follows a link."""
        way = f"//button[normalize-space()={quoted(text)}] | //a[normalize-space()={quoted(text)}]"
        self._driver.find_element(By.XPATH, way).click()

    def field(self, label: str) -> WebElement:
        """The field of a label."""
        found = self._driver.find_element(By.XPATH, f"//label[normalize-space()={quoted(label)}]")
        return self._driver.find_element(By.ID, str(found.get_attribute("for")))

    def value(self, label: str) -> str:
        """What stands in a field."""
        return str(self.field(label).get_property("value"))

    def fields(self) -> list[WebElement]:
        """All that something can be typed into or chosen from."""
        return self._driver.find_elements(By.CSS_SELECTOR, FIELDS)

    def text(self, selector: str = "body") -> str:
        """What people read, of the whole page or of a part of it; nothing where there is no such part."""
        return "\n".join(part.text for part in self._driver.find_elements(By.CSS_SELECTOR, selector))

    def count(self, selector: str) -> int:
        """How many such elements the page has."""
        return len(self._driver.find_elements(By.CSS_SELECTOR, selector))

    @property
    def title(self) -> str:
        """What stands on the tab."""
        return self._driver.title

    def complaints(self) -> list[str]:
        """What the browser has complained of since it was last asked: errors of scripts, of the page's policy, of
        what could not be loaded."""
        return [str(line["message"]) for line in self._driver.get_log("browser") if line["level"] == "SEVERE"]

    def _options(self) -> Options:
        options = Options()
        options.binary_location = str(CHROMIUM)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        words = ["--headless=new", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]
        words += ["--disable-background-networking", "--window-size=1280,900"]
        words += [f"--user-data-dir={self.folder / 'profile'}"]
        # Chromium keeps its sandbox, but for root, for whom it has none.
        words += ["--no-sandbox"] if os.geteuid() == 0 else []
        for word in words:
            options.add_argument(word)
        if not self._scripts:
            settings: dict[str, Any] = {"profile.managed_default_content_settings.javascript": BLOCKED}
            options.add_experimental_option("prefs", settings)
        return options


def quoted(text: str) -> str:
    """Text within XPath, which knows no escapes."""
    return "concat(" + ", \"'\", ".join(f"'{part}'" for part in text.split("'")) + ", '')"

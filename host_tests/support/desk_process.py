"""`thecal desk` in a process of its own, and a browser that walks through it.

`Walker` finds things as a person does, by what is written on them, or by the `data-testid` of what has no
words. Waits are only there so that what is broken ends in a failure and not in a hang.
"""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 30
PICTURES = Path(__file__).parents[2] / "build" / "desk"
WIDE, PHONE = (1200, 1000), (390, 844)


@contextmanager
def desk(*options):
    """The desk with these options of `thecal`; gives the address that it prints."""
    from thecal_host.desk import showcase

    with showcase.desk(*options) as address:
        yield address


@contextmanager
def chromium():
    """A browser without a window; the test is skipped where the machine has none."""
    pytest.importorskip("selenium", reason="selenium comes with `make desk`")
    from thecal_host.desk import showcase

    if shutil.which("chromium") is None or not os.path.exists(showcase.DRIVER):
        pytest.skip("no Chromium here: Debian's packages chromium and chromium-driver bring it")
    with showcase.chromium() as driver:
        yield driver


class Walker:
    """A person at the desk at `address`, with `patience_s` for each thing."""

    def __init__(self, driver, address, patience_s=PATIENCE_S):
        from selenium.webdriver.support.ui import WebDriverWait

        self.driver = driver
        self.base = address.partition("?")[0].rstrip("/")
        self._until = WebDriverWait(driver, patience_s, 0.1).until
        self.size(*WIDE)
        driver.get(address)

    def size(self, width, height):
        # A window is 500 px wide at least; the page may be narrower.
        mobile = width < 500
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, path):
        self.driver.get(self.base + path)

    def until(self, condition) -> Any:
        """Wait until it holds; what it gave. An element that was made anew meanwhile is looked for again."""
        from selenium.common.exceptions import StaleElementReferenceException

        def look(_driver):
            try:
                return condition()
            except StaleElementReferenceException:
                return False

        return self._until(look)

    def find(self, name):
        """The thing with this `data-testid`."""
        return self.until(lambda: next(iter(self.all(f'[data-testid="{name}"]')), None))

    def all(self, selector):
        return [
            found for found in self.driver.find_elements("css selector", selector) if found.is_displayed()
        ]

    def button(self, words):
        """The button or link with these words on it."""

        def look():
            buttons = self.all("button, a")
            return next((found for found in buttons if words in " ".join(found.text.split())), None)

        return self.until(look)

    def click(self, words):
        button = self.button(words)
        self.until(button.is_enabled)
        button.click()

    def type(self, label, text):
        """Into the field of a dialog with this label."""
        field = self.until(lambda: next(iter(self.all(f'input[aria-label="{label}"]')), None))
        self._write(field, text)

    def clinician_bolus(self, volume, over):
        """Asked for on the page of the pump that is open."""
        self.click("Clinician bolus")
        self.type("Volume", volume)
        self.type("Over", over)
        self.click("Give it")

    def fill(self, name, text):
        """Into the field with this `data-testid`."""
        field = self.find(name)
        field = field if field.tag_name in ("input", "textarea") else field.find_element("tag name", "input")
        self._write(field, text)

    def _write(self, field, text):
        from selenium.webdriver.common.keys import Keys

        field.send_keys(Keys.CONTROL + "a")
        field.send_keys(Keys.DELETE)
        field.send_keys(text)

    def sees(self, name, *words):
        """Wait until the thing says all these words; what it says."""

        def look():
            text = self.find(name).text
            return text if all(word in text for word in words) else None

        try:
            return self.until(look)
        except Exception:
            raise AssertionError(f"{name} never said {words}, but: {self.find(name).text!r}") from None

    def said(self, *words):
        """Wait for what the page tells of the last order."""
        return self.sees("said", *words)

    def picture(self, name):
        """Keep what is to be seen, the whole page."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        width = self.driver.execute_script("return window.innerWidth")
        self.size(width, height)
        self.driver.save_screenshot(str(PICTURES / f"{name}.png"))
        self.size(width, PHONE[1] if width < 500 else WIDE[1])

    def complaints(self):
        """What the browser's console holds against the pages."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

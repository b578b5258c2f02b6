"""The picture of the desk on the pages: a pump's page as a browser shows it, a bolus running.

`make bench` runs it: it boots the image, gives the desk that pump, programs it, and takes the picture.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thecal_host.beside import beside
from thecal_host.desk import server
from thecal_host.files import FileError
from thecal_host.python.pump import Pump

PICTURE = Path(__file__).parents[1] / "pictures" / "desk.png"
DRIVER = "/usr/bin/chromedriver"
WIDTH, HEIGHT = 1200, 1140

# The chart has something to show by then.
FLOW, BOLUS_FLOW = "40 s", "15 s"
LOOKS_S = 120.0


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window. FileError where the machine has none."""
    if not os.path.exists(DRIVER):
        raise FileError(f"{DRIVER} is not there: Debian's packages chromium and chromium-driver bring it")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.add_argument("--headless=new")
    options.add_argument("--hide-scrollbars")
    if os.geteuid() == 0:  # as root it runs without its sandbox only
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def desk(*options: str) -> Iterator[str]:
    """The desk in a process beside; where it is."""
    with beside(*options, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        yield next(line.strip() for line in lines if "http://" in line)


def _flow(pump: Pump) -> None:
    """A therapy with a limit, a reservoir, and a bolus that goes on."""
    pump.confirm(pump.refill("20 mL"))
    pump.confirm(pump.program(rate="6 mL/h", limit="10 mL", within="1 h"))
    pump.start()
    for _ in pump.listen(FLOW):
        pass
    pump.bolus("200 uL", over="60 s")
    for _ in pump.listen(BOLUS_FLOW):
        pass


@contextmanager
def _archive_of_its_own() -> Iterator[None]:
    """What is recorded for the picture is nothing to keep."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["THECAL_ARCHIVE"] = os.path.join(folder, "archive.sqlite")
        yield
        del os.environ["THECAL_ARCHIVE"]


def take(path: Path) -> None:
    """Take the picture. Raises what the desk and the pump do."""
    with (
        _archive_of_its_own(),
        server.bench("reference") as name,
        desk("--port", name, "desk") as address,
        chromium() as browser,
    ):
        metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(address)
        browser.get(address.partition("?")[0] + "pump/1")
        with Pump(name) as pump:
            _flow(pump)
            _until_it_shows(browser, "clinician:")
            browser.save_screenshot(str(path))
            pump.stop()


def _until_it_shows(browser: Any, text: str) -> None:
    until_s = time.monotonic() + LOOKS_S
    while text not in browser.find_element("tag name", "body").text:
        if time.monotonic() > until_s:
            raise TimeoutError(f"the page never showed {text!r}")
        time.sleep(0.2)


if __name__ == "__main__":
    take(PICTURE)
    print(f"written: {PICTURE}")

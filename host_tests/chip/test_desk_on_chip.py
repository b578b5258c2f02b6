"""`thecal desk --bench` and a browser: one walk from programming to the report, against the emulated chip. In
the end the desk is killed, and its bench goes with it.

Pictures of what is seen on the way go to build/desk, beside those of the tests without a chip.
"""

import os
import signal

import pytest
from desk_process import Walker, chromium, desk
from ends import child, ends
from thecal_bench.chip.bench import DEFAULT_IMAGE
from thecal_host import ports

pytest.importorskip("nicegui", reason="nicegui comes with `make desk`")

MORPHINE = {
    "therapy.drug": "morphine",
    "therapy.concentration": "20 mg/mL",
    "therapy.dose": "2.4 mg/day",
    "therapy.limit.dose": "1 mg",
    "therapy.limit.window": "4 h",
}

# The emulator is as slow as what else the machine does makes it.
PATIENCE_S = 180


@pytest.mark.chip
@pytest.mark.req("DESK-01", "LIM-08", "LNK-04", "RIG-03")
def test_a_soft_limit_a_bolus_an_alarm_a_stop_and_the_report():
    assert DEFAULT_IMAGE.exists(), "`make image` first"
    with chromium() as browser, desk("desk", "--bench", "--rig", "pressure") as address:
        walker = Walker(browser, address, PATIENCE_S)
        walker.sees("pump-1", "STOPPED", "rig pressure", "not watched: ")
        walker.picture("chip-1-overview")
        walker.open("/pump/1/therapy")
        for name, text in MORPHINE.items():
            walker.fill(name, text)
        walker.click("Have it read back")
        walker.sees("asked", "2.4 mg a day", "50 uL in any 4 h", "soft limit")
        soft = {tick.get_attribute("data-soft"): tick for tick in walker.all("[data-soft]")}
        assert {"morphine.start_dose.high.naive", "unpaired", "stall", "air"} <= set(soft)
        assert not walker.find("confirm").is_enabled()
        walker.picture("chip-2-readback")
        for tick in [*soft.values(), walker.find("is-it")]:
            tick.click()
        walker.click("Confirm")
        walker.said("is in force")

        walker.open("/pump/1")
        walker.sees("card-rig", "unwatched:")
        walker.click("Start")
        walker.said("Started: the pump is RUNNING.")
        walker.clinician_bolus("5 uL", "20 s")
        walker.said("Granted: 5 uL at 900 uL/h on top of the basal rate.")
        walker.sees("card-bolus", "clinician:", "left")
        walker.clinician_bolus("46 uL", "1 min")
        walker.said("the bolus is denied: ", "(")
        walker.sees("card-events", "bolus complete: 5 uL")
        walker.clinician_bolus("46 uL", "1 min")
        walker.said("would hold more than its limit of", "(max_dose)")
        walker.sees("card-alarms", "LOW MAX DOSE")
        walker.picture("chip-3-alarm")
        walker.click("Acknowledge")
        walker.said("Acknowledged")
        walker.sees("card-alarms", "No alarm stands.")
        walker.click("Stop")
        walker.said("The pump is STOPPED.")
        walker.sees("card-state", "STOPPED")
        desk_id = child(os.getpid(), "desk")
        bench_id = child(desk_id, "bench")
        walker.open("/pump/1/calibration")
        (balance,) = [
            port.name
            for port in ports.find_benches()
            if f"balance below it, process {bench_id}" in port.description
        ]
        walker.fill("rate", "6 mL/h")
        walker.fill("balance", balance)
        walker.click("Begin")
        walker.sees("question", "The line is full")
        walker.click("End it here")
        walker.open("/pump/1")
        walker.click("End this run and report it")
        walker.said("has ended")
        walker.driver.get(walker.button("Report of run").get_attribute("href"))
        text = walker.driver.find_element("tag name", "body").text
        for said in (
            "Programmed and confirmed",
            "morphine",
            "MAX_DOSE",
            "max_dose",
            "granted",
            "Not watched",
        ):
            assert said in text
        walker.picture("chip-4-report")
        assert walker.complaints() == []
        with ends(bench_id):
            os.kill(desk_id, signal.SIGKILL)

"""The desk in a browser: what a person reads, clicks and types there, wide and on a phone, by keyboard too.

One pump, the firmware's own code at a pty, one desk, one browser for all of it. Pictures go to build/desk.
"""

import io
import re

import pytest
from desk_process import PHONE, WIDE, Walker, chromium, desk
from pump_at_pty import PtyPump, until
from rich.console import Console

pytest.importorskip("nicegui", reason="nicegui comes with `make desk`")
pytestmark = pytest.mark.req("DESK-01")

MORPHINE = {
    "therapy.drug": "morphine",
    "therapy.concentration": "20 mg/mL",
    "therapy.dose": "2.4 mg/day",
    "therapy.patient_bolus.volume": "5 uL",
    "therapy.patient_bolus.duration": "20 s",
    "therapy.patient_bolus.lockout": "10 min",
    "therapy.patient_bolus.max_per_day": "6",
    "therapy.limit.dose": "1 mg",
    "therapy.limit.window": "4 h",
}
PAGES = {
    "overview": "/",
    "live": "/pump/1",
    "therapy": "/pump/1/therapy",
    "calibration": "/pump/1/calibration",
    "log": "/pump/1/log",
}


@pytest.fixture(scope="module")
def pump():
    with PtyPump() as pump:
        yield pump


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def everything(pump, browser):
    with desk("--port", pump.name, "desk") as address:
        yield Walker(browser, address)


@pytest.fixture
def walker(everything):
    """On the first page, whatever was before."""
    everything.size(*WIDE)
    everything.open("/")
    everything.sees("pump-1", "heard just now")
    yield everything
    assert everything.complaints() == []


def program(walker, fields):
    """Have it read back; the soft limits that are asked about."""
    walker.open("/pump/1/therapy")
    for name, text in fields.items():
        walker.fill(name, text)
    walker.until(lambda: all(text in walker.find("file").get_attribute("value") for text in fields.values()))
    walker.click("Have it read back")
    walker.sees("asked", "The pump read back", "digest")
    return walker.all("[data-soft]")


def test_a_calibration_asks_before_anything_turns(walker, pump):
    walker.open("/pump/1/calibration")
    walker.fill("rate", "6 mL/h")
    walker.fill("balance", "/dev/no-balance")
    walker.click("Begin")
    walker.sees("ended", "/dev/no-balance")
    walker.fill("rate", "6 mL/h")
    walker.click("Begin")
    walker.sees("question", "The line is full, without air")
    walker.click("Yes")
    walker.sees("question", "Nobody is connected to this pump. It may deliver 1 mL then.")
    walker.picture("calibration")
    assert pump.state == "STOPPED"
    walker.click("End it here")
    walker.sees("ended", "It was ended here.")


def test_a_therapy_is_confirmed_when_each_soft_limit_has_its_yes(walker, pump):
    soft = program(walker, MORPHINE)
    text = walker.sees("asked", "morphine, 20 mg/mL", "2.4 mg a day", "50 uL in any 4 h")
    names = [tick.get_attribute("data-soft") for tick in soft]
    assert len(names) == 4 and all(name in text for name in names)
    walker.picture("readback")
    ticks = [*soft, walker.find("is-it")]
    for tick in ticks:
        assert not walker.find("confirm").is_enabled()
        tick.click()
    walker.until(lambda: walker.find("confirm").is_enabled())
    assert pump.pump_port.bench.pump.regimen.prescription is None
    walker.click("Confirm")
    walker.said("is in force")
    assert pump.pump_port.bench.pump.regimen.prescription is not None
    walker.sees("in-force", "Therapy 1 is in force", "5 uL/h")
    walker.picture("therapy")


def test_what_is_refused_is_said_in_the_pumps_own_words(walker):
    walker.open("/pump/1/therapy")
    ziconotide = {"drug": "ziconotide", "concentration": "25 mcg/mL", "dose": "19.3 mcg/day"}
    for name, text in ziconotide.items():
        walker.fill(f"therapy.{name}", text)
    walker.click("Have it read back")
    walker.said("the pump refuses the therapy:", "ziconotide.dose_per_day.maximum: 19.3 mcg/day")
    assert "no" in walker.find("said").get_attribute("class").split()
    walker.fill("therapy.dose", "2 mg")
    walker.click("Have it read back")
    walker.said("the therapy:5: therapy.dose:")  # that is not sent
    walker.open("/pump/1")
    walker.click("Patient bolus")
    walker.said("the bolus is denied: the pump is STOPPED: start it first (not_running)")


def test_the_clock_is_set_by_hand(walker):
    walker.open("/pump/1")
    walker.click("Set the clock")
    walker.type("The time of the week (that of here)", "mon 06:30")
    walker.click("Set it")
    walker.said("The pump's clock is at mon 06:30.")
    assert re.match(r"\d\d:\d\d:\d\d ", walker.find("said").text)
    walker.sees("card-events", "mon 06:30")


def test_start_boluses_an_alarm_and_stop(walker, pump):
    walker.open("/pump/1")
    walker.click("Start")
    walker.said("Started: the pump is RUNNING.")
    walker.sees("card-state", "▶ RUNNING")
    walker.click("Patient bolus")
    walker.said("Granted")
    walker.sees("card-bolus", "patient:", "left", "the lockout begins when it ends")
    walker.sees("card-bolus", "lockout: ", "window of the limit")
    walker.clinician_bolus("46 uL", "1 min")
    walker.said("would hold more than its limit of", "(max_dose)")
    walker.sees("card-alarms", "● !", "LOW MAX DOSE: a bolus was denied")
    walker.sees("head-alarm", "● LOW ALARM: MAX DOSE")
    walker.picture("alarm-low")
    walker.click("Acknowledge")
    walker.said("Acknowledged")
    walker.sees("card-alarms", "✓ No alarm stands.")
    walker.click("Stop")
    walker.said("The pump is STOPPED.")
    assert pump.state == "STOPPED"


def test_an_empty_reservoir_is_told_in_red_with_its_marks_and_by_its_name(walker, pump):
    soft = program(walker, {"therapy.rate": "60 mL/h"})
    for tick in [*soft, walker.find("is-it")]:
        tick.click()
    walker.click("Confirm")
    walker.said("is in force")
    walker.open("/pump/1")
    walker.click("Refill")
    walker.type("What it holds now", "600 uL")
    walker.click("Have it read back")
    walker.sees("asked", "600 uL", "The reservoir holds 600 uL now.")
    walker.find("is-it").click()
    walker.click("Confirm")
    walker.said("Refilled: the reservoir holds 600 uL.")
    walker.sees("card-reservoir", "600 uL", "refill by")
    walker.click("Start")
    walker.sees(
        "card-alarms", "▲ !!!", "HIGH RESERVOIR EMPTY: the reservoir is empty", "First cause: RESERVOIR EMPTY"
    )
    walker.sees("card-state", "✖ HALTED")
    box = next(iter(walker.all('[data-alarm="RESERVOIR_EMPTY"]')))
    red, green, blue = map(int, re.findall(r"\d+", box.value_of_css_property("border-top-color"))[:3])
    assert red > 2 * max(green, blue)
    walker.picture("alarm-high")
    walker.open("/")
    walker.sees("pump-1", "HALTED", "RESERVOIR EMPTY")
    walker.picture("overview")
    walker.open("/pump/1")
    walker.click("Refill")
    walker.type("What it holds now", "20 mL")
    walker.click("Have it read back")
    walker.find("is-it").click()
    walker.click("Confirm")
    walker.said("Refilled")
    walker.click("Acknowledge")
    walker.said("Acknowledged: the pump is STOPPED.")


def test_a_run_is_ended_and_reported(walker):
    walker.open("/pump/1")
    walker.sees("card-link", "of the archive")
    walker.click("End this run and report it")
    walker.said("has ended, and another one has begun")
    report = walker.button("Report of run").get_attribute("href")
    walker.driver.get(report)
    text = walker.driver.find_element("tag name", "body").text
    for said in ("Programmed and confirmed", "morphine, 20 mg/mL", "MAX_DOSE", "RESERVOIR_EMPTY", "max_dose"):
        assert said in text
    assert "Incomplete" not in text and "no edit, no gap" in text
    walker.picture("report")


def test_the_log_is_shown_as_its_filters_say(walker):
    walker.open("/pump/1/log")
    walker.sees("log", "boot: was BOOT", "therapy: 60 mL/h", "alarm RESERVOIR_EMPTY raised")
    walker.picture("log")
    walker.fill("last", "2")
    walker.click("Read the log")
    walker.until(lambda: "therapy: 60 mL/h" not in walker.find("log").text)
    assert len(walker.all('[data-testid="log"] tbody tr')) == 2
    walker.fill("last", "none")
    walker.click("Read the log")
    walker.said('last: expected a whole number, 1 at least, found "none"')


@pytest.mark.parametrize("page", PAGES)
def test_on_a_phone_nothing_is_cut_off_and_stop_is_within_reach(walker, page):
    walker.open(PAGES[page])
    walker.size(*PHONE)
    walker.button("Stop")
    run = walker.driver.execute_script
    walker.until(lambda: run("return window.innerWidth") == PHONE[0])
    assert run("return document.documentElement.scrollWidth") <= PHONE[0]
    if page == "log":
        walker.sees("log", "boot: was BOOT")
        cut_off = "e => e.scrollWidth > e.clientWidth"
        assert not run(f"return [...document.querySelectorAll('.q-table__middle')].some({cut_off})")
    if page != "overview":
        run("window.scrollTo(0, document.body.scrollHeight)")
        place = run("return document.querySelector('.stop').getBoundingClientRect().toJSON()")
        assert place["top"] >= 0 and place["bottom"] < 100 and place["right"] <= PHONE[0]
        assert place["height"] >= 44 and place["width"] >= 44
    walker.picture(f"phone-{page}")


def test_stop_is_the_first_that_the_keyboard_reaches(walker, pump):
    from selenium.webdriver.common.keys import Keys

    walker.open("/pump/1")
    walker.click("Start")
    walker.said("Started")
    walker.open("/pump/1/therapy")
    walker.sees("head-state", "RUNNING")
    walker.driver.find_element("tag name", "body").send_keys(Keys.TAB)
    focused = walker.driver.switch_to.active_element
    assert focused.get_attribute("aria-label") == f"Stop the pump {pump.name}"
    focused.send_keys(Keys.ENTER)
    walker.said("The pump is STOPPED.")


def test_a_role_finds_shut_what_it_may_not_with_the_reason(everything, pump):
    """A desk of its own beside the other one, on the same pump."""
    with desk("--role", "patient", "--port", pump.name, "desk") as address:
        walker = Walker(everything.driver, address)
        walker.open("/pump/1")
        walker.sees("card-state", "STOPPED")
        walker.sees("may-not", "Start", "Refill", "a patient may not: it takes the role clinician")
        shut = {name for name in ("start", "bolus", "acknowledge", "refill", "new_line", "prime", "set_time")}
        for name in shut | {"patient_bolus", "audio_pause"}:
            assert walker.find(f"do-{name}").is_enabled() == (name not in shut)
        walker.picture("role")
        walker.open("/pump/1/therapy")
        assert not walker.find("propose").is_enabled()
        walker.click("Stop")
        walker.said("The pump is STOPPED.")


def test_what_the_desk_costs_is_measured_and_its_memory_bounded(browser):
    """Ten minutes of four pumps here; `make bench-archive` takes a day."""
    from thecal_host.desk import cost

    with io.StringIO() as said:
        found = cost.benchmark(600, Console(file=said), steady_s=4.0)
        assert f"{found.memory_mb:.0f} MB" in said.getvalue()
    assert 50 < found.memory_mb < 300
    assert found.replay_s > 0  # a refresh is the difference of two measurements: noise, in four seconds


def test_a_pump_that_is_gone_is_said_to_be_and_found_again(browser, tmp_path):
    link = tmp_path / "pump"
    with PtyPump(link) as pump, desk("--port", str(link), "desk") as address:
        walker = Walker(browser, address)
        walker.open("/pump/1")
        walker.sees("card-state", "STOPPED")
        pump.unplug()
        walker.sees("head-state", "NOT HEARD")
        walker.sees("old", "What is shown is old", "trying again")
        walker.sees("card-link", "not heard for ")
        walker.sees("card-alarms", "Not known: the pump is not heard.")
        walker.picture("gone")
        pump.plug()
        walker.sees("head-state", "STOPPED")
        walker.sees("card-link", "heard just now")
        walker.sees("card-alarms", "✓ No alarm stands.")
        until(lambda: pump.state == "STOPPED")

"""The table of alarms, and what is shown, heard, escalated and refused. Answers by hand."""

import pytest
from thecal.watch import alarms
from thecal.watch.alarms import ALARMS, CONTINUE, HIGH, KVO, LOW, MEDIUM, STOP, Alarms
from thecal_bench.scenario import ALARM_CODES

ROWS = {alarm.code: alarm for alarm in ALARMS}
MIN = 600  # ticks


@pytest.fixture
def board() -> Alarms:
    board = Alarms()
    board.advance(10)
    return board


def shown(board: Alarms) -> list[int]:
    rows = []
    row = board.after(-1)
    while row != -1:
        rows.append(row)
        row = board.after(row)
    return rows


# --- the table


@pytest.mark.req("ALM-01")
def test_the_table_holds_every_alarm_that_a_scenario_can_name_and_each_once():
    assert [alarm.code for alarm in ALARMS if alarm.code not in ALARM_CODES] == []
    assert len(ROWS) == len(ALARMS) == len(ALARM_CODES)
    for row, alarm in enumerate(ALARMS):
        assert getattr(alarms, alarm.code) == row
        assert alarm.priority in (HIGH, MEDIUM, LOW) and alarm.response in (CONTINUE, KVO, STOP)
        assert alarm.text and alarm.clears
        assert ("acknowledge" in alarm.clears) == alarm.latching, alarm.code


@pytest.mark.req("ALM-01", "ALM-02")
def test_rows_stand_in_order_of_priority():
    assert [alarm.priority for alarm in ALARMS] == sorted(alarm.priority for alarm in ALARMS)


@pytest.mark.req("ALM-08")
@pytest.mark.parametrize(
    ("codes", "priorities", "responses"),
    [
        ("OVER_INFUSION FREE_FLOW RUNAWAY", {HIGH}, {KVO, STOP}),
        ("OCCLUSION_DOWN OCCLUSION_UP AIR RESERVOIR_EMPTY STALL", {HIGH, MEDIUM}, {STOP}),
        ("RESERVOIR_LOW MAX_DOSE SUPPLY_LOW LONG_STOP CLOCK_LOST", {LOW}, {CONTINUE}),
        ("SENSOR_FAULT DRIVER_FAULT POST_FAILED JOURNAL_FAULT MEMORY_FAULT LOOP_FAULT", {HIGH}, {STOP}),
        ("RESET_LOOP THREE_STRIKES SUPPLY_CRITICAL", {HIGH}, {STOP}),
        ("LIMIT_GUARD LIBRARY_FAULT", {HIGH}, {CONTINUE}),
    ],
)
def test_priority_and_response_are_those_that_are_required(codes, priorities, responses):
    for code in codes.split():
        assert ROWS[code].priority in priorities and ROWS[code].response in responses, code


# --- which is shown


@pytest.mark.req("ALM-02")
def test_the_highest_is_annunciated_and_the_others_come_after_it(board):
    assert board.annunciated() == -1 and not board.sounding() and shown(board) == []
    for row in (alarms.MAX_DOSE, alarms.UNDER_INFUSION, alarms.CLOCK_LOST, alarms.AIR, alarms.RUNAWAY):
        assert board.set(row)
        assert not board.set(row), "it stands already"
    assert shown(board) == [
        alarms.RUNAWAY,
        alarms.AIR,
        alarms.UNDER_INFUSION,
        alarms.MAX_DOSE,
        alarms.CLOCK_LOST,
    ]
    assert board.annunciated() == alarms.RUNAWAY and board.sounding()
    assert board.clear(alarms.RUNAWAY) and not board.clear(alarms.RUNAWAY)
    assert board.annunciated() == alarms.AIR
    assert board.after(alarms.RUNAWAY) == alarms.AIR, "one that is gone still has its place"


@pytest.mark.req("ALM-07")
def test_the_first_cause_stays_until_the_clinician_clears_it(board):
    board.set(alarms.RESERVOIR_LOW)
    board.set(alarms.UNDER_INFUSION)
    assert board.first_cause == -1, "only HIGH counts"
    board.set(alarms.STALL)
    board.set(alarms.LOOP_FAULT)
    board.clear(alarms.STALL)
    assert board.annunciated() == alarms.LOOP_FAULT and board.first_cause == alarms.STALL
    board.clear_first_cause()
    assert board.first_cause == -1
    board.set(alarms.AIR)
    assert board.first_cause == alarms.AIR


@pytest.mark.req("ALM-08")
def test_a_long_stop_rises_to_high_after_half_a_day_and_starts_low_again(board):
    half_a_day = 12 * 60 * MIN
    board.set(alarms.LONG_STOP)
    board.set(alarms.UNDER_INFUSION)
    assert board.pause_audio(10 * MIN)
    assert board.advance(10 + half_a_day - 1) == -1
    assert board.pause_audio(10 * MIN) and not board.sounding()
    assert board.annunciated() == alarms.UNDER_INFUSION
    assert board.advance(10 + half_a_day) == alarms.LONG_STOP
    assert board.annunciated() == alarms.LONG_STOP and board.priority[alarms.LONG_STOP] == HIGH
    assert board.sounding(), "it is a new HIGH alarm"
    assert board.first_cause == alarms.LONG_STOP
    assert board.advance(10 + half_a_day + 1) == -1, "it rises once"
    board.clear(alarms.LONG_STOP)
    board.set(alarms.LONG_STOP)
    assert board.priority[alarms.LONG_STOP] == LOW and board.annunciated() == alarms.UNDER_INFUSION


# --- which is heard


@pytest.mark.req("ALM-04")
@pytest.mark.parametrize(
    ("asked", "lasts"), [((), 2 * MIN), ((1,), 1), ((10 * MIN,), 10 * MIN), ((10 * MIN + 1,), 10 * MIN)]
)
def test_an_audio_pause_lasts_as_long_as_the_profile_says_and_ten_minutes_at_most(board, asked, lasts):
    board.set(alarms.AIR)
    assert board.pause_audio(*asked)
    assert board.paused and not board.sounding() and board.annunciated() == alarms.AIR
    board.advance(10 + lasts - 1)
    assert board.paused and not board.sounding()
    board.advance(10 + lasts)
    assert board.sounding() and not board.paused


@pytest.mark.req("ALM-04")
def test_a_pause_is_not_prolonged_and_none_is_saved_up(board):
    assert not board.pause_audio(), "there is nothing to pause"
    board.set(alarms.AIR)
    assert board.sounding()
    assert board.pause_audio()
    board.advance(10 + MIN)
    assert not board.pause_audio()
    board.advance(10 + 2 * MIN)
    assert board.sounding()
    assert board.pause_audio(), "it may be paused anew"
    board.clear(alarms.AIR)
    assert not board.paused
    board.set(alarms.CLOCK_LOST)
    assert board.sounding(), "the pause went with what it was for"


@pytest.mark.req("ALM-04")
@pytest.mark.parametrize(
    ("paused", "new", "heard"),
    [
        ("UNDER_INFUSION", "AIR", True),
        ("UNDER_INFUSION", "RESERVOIR_LOW", False),
        ("AIR", "RUNAWAY", True),
        ("RUNAWAY", "AIR", True),
        ("AIR", "UNDER_INFUSION", False),
        ("MAX_DOSE", "CLOCK_LOST", True),
    ],
)
def test_a_new_alarm_of_the_same_or_a_higher_priority_ends_the_pause(board, paused, new, heard):
    board.set(getattr(alarms, paused))
    board.pause_audio()
    board.advance(20)
    board.set(getattr(alarms, new))
    assert board.sounding() == heard and board.paused != heard


@pytest.mark.req("ALM-04")
def test_a_pause_hides_nothing_as_high_as_what_is_left_of_it(board):
    board.set(alarms.AIR)
    board.set(alarms.RESERVOIR_LOW)
    board.pause_audio()
    board.clear(alarms.AIR)
    assert not board.sounding(), "what is left was paused too"
    board.set(alarms.UNDER_INFUSION)
    assert board.sounding()


@pytest.mark.req("ALM-05")
def test_a_stop_silences_and_cancels_a_pause_and_a_high_cause_comes_back_within_ten_seconds(board):
    board.set(alarms.AIR)
    board.pause_audio(10 * MIN)
    board.advance(20)
    board.stop()
    assert not board.paused and not board.sounding()
    for tick in range(21, 20 + 80):
        board.advance(tick)
        assert not board.sounding()
    board.stop()  # a button that is held or hit again and again
    board.advance(100)
    assert board.sounding() and 100 <= 20 + 100


@pytest.mark.req("ALM-05")
def test_a_stop_silences_what_is_not_high_for_no_longer_than_a_pause(board):
    board.stop()
    board.set(alarms.UNDER_INFUSION)
    assert board.sounding(), "a stop before the alarm silences nothing"
    board.stop()
    board.advance(10 + 2 * MIN - 1)
    assert not board.sounding()
    board.advance(10 + 2 * MIN)
    assert board.sounding()
    board.stop()
    board.set(alarms.AIR)
    assert board.sounding(), "and nothing that is new"


@pytest.mark.req("ALM-05")
def test_a_stop_makes_no_silence_longer(board):
    board.set(alarms.AIR)
    board.pause_audio(30)
    board.advance(30)
    board.stop()
    board.advance(40)
    assert board.sounding()


# --- three strikes


def strike(board: Alarms, tick: int, row: int) -> bool:
    """Alarm, stop and, at `tick`, start."""
    board.advance(tick - 2)
    board.set(row)
    board.motion_stopped()
    board.clear(row)
    board.advance(tick)
    return board.third_start()


@pytest.mark.req("ALM-06")
@pytest.mark.parametrize(("span", "latches"), [(100, True), (10 * MIN, True), (10 * MIN + 1, False)])
def test_the_third_start_after_the_same_alarm_within_ten_minutes_is_refused(board, span, latches):
    assert not strike(board, 1_000, alarms.AIR)
    assert not strike(board, 1_000 + span // 2, alarms.AIR)
    assert strike(board, 1_000 + span, alarms.AIR) == latches


@pytest.mark.req("ALM-06")
def test_it_takes_the_same_alarm_a_stop_and_a_start_each_time(board):
    assert not strike(board, 1_000, alarms.AIR)
    assert not strike(board, 1_100, alarms.STALL)
    assert not strike(board, 1_200, alarms.AIR)
    assert not strike(board, 1_300, alarms.STALL)
    board.set(alarms.AIR)
    board.clear(alarms.AIR)
    assert not board.third_start(), "no stop after the alarm"
    board.motion_stopped()
    assert not board.third_start(), "the alarm was before the last start"
    board.motion_stopped()
    assert not board.third_start(), "no alarm at all"
    board.set(alarms.AIR)
    board.motion_stopped()
    assert board.third_start()


@pytest.mark.req("ALM-06")
def test_an_alarm_that_goes_on_standing_is_one_alarm(board):
    board.set(alarms.RESERVOIR_LOW)
    for _ in range(5):
        board.motion_stopped()
        assert not board.third_start()


@pytest.mark.req("ALM-06")
def test_after_the_third_it_counts_from_the_beginning(board):
    strikes = [strike(board, 1_000 + 100 * number, alarms.AIR) for number in range(6)]
    assert strikes == [False, False, True, False, False, True]


# --- the table, frozen

ACK = "acknowledge"
FROZEN = """
LOOP_FAULT HIGH latching stop acknowledge
MEMORY_FAULT HIGH latching stop acknowledge
JOURNAL_FAULT HIGH latching stop acknowledge
POST_FAILED HIGH latching stop acknowledge
RESET_LOOP HIGH latching stop acknowledge
RUNAWAY HIGH latching stop acknowledge
FREE_FLOW HIGH latching stop acknowledge
OVER_INFUSION HIGH latching stop acknowledge
LIMIT_GUARD HIGH latching continue acknowledge
AIR HIGH latching stop acknowledge
OCCLUSION_DOWN HIGH latching stop acknowledge
OCCLUSION_UP HIGH latching stop acknowledge
STALL HIGH latching stop acknowledge
DRIVER_FAULT HIGH latching stop acknowledge
SENSOR_FAULT HIGH latching stop acknowledge
SUPPLY_CRITICAL HIGH latching stop acknowledge
THREE_STRIKES HIGH latching stop acknowledge
LIBRARY_FAULT HIGH latching continue acknowledge, or a sound library
RESERVOIR_EMPTY HIGH - stop refill, or a lower level
COUNT_END HIGH - stop begin_anew
UNDER_INFUSION MEDIUM latching continue acknowledge
SUPPLY_LOW LOW - continue supply back
RESERVOIR_LOW LOW - continue refill, or a lower level
LONG_STOP LOW - continue any change of state
MAX_DOSE LOW latching continue acknowledge
AUTO_RESUMED LOW latching continue acknowledge
BAD_AUTH LOW latching continue acknowledge
CLOCK_LOST LOW - continue set_time
SERVICE_DUE LOW - continue service
"""
"""Code, priority, whether it latches, response, what clears it: what a row says is decided here once more."""


@pytest.mark.req("ALM-01", "ALM-08")
@pytest.mark.parametrize("line", FROZEN.strip().splitlines(), ids=lambda line: line.split()[0])
def test_a_row_says_what_was_decided(line):
    code, priority, latching, response, clears = line.split(maxsplit=4)
    row = ROWS[code]
    assert alarms.PRIORITIES[row.priority] == priority
    assert row.latching == (latching == "latching")
    assert alarms.RESPONSES[row.response] == response
    assert row.clears == clears
    assert row.rises_ticks == (12 * 36_000 if code == "LONG_STOP" else 0)


@pytest.mark.req("ALM-03", "ALM-04", "ALM-05", "ALM-06")
def test_the_times_of_alarms_are_those_that_were_decided():
    assert (alarms.PAUSE_TICKS, alarms.MOST_PAUSE_TICKS) == (1_200, 6_000)
    assert (alarms.RESOUND_TICKS, alarms.STRIKE_TICKS) == (80, 6_000)

"""pump.py: states and their one door, programming in two steps, starting, stopping, boluses, orders to the
motor.
"""

import itertools

import pytest
from pump_on_desk import SIX_ML_H, PumpOnDesk, frame, request
from thecal import causes, control, states
from thecal.link.commands import COMMANDS
from thecal.record import events
from thecal.signals import QUEUE_SEGMENTS
from thecal.watch import alarms


@pytest.fixture
def desk() -> PumpOnDesk:
    return PumpOnDesk()


@pytest.mark.req("SAFE-06")
@pytest.mark.parametrize(("left", "entered"), list(itertools.product(range(len(states.STATES)), repeat=2)))
def test_the_door_lets_through_what_the_table_says_and_nothing_else(desk, left, entered):
    desk.tick()
    desk.program()
    desk.pump.control.state = left
    if entered in states.MOVES[left]:
        desk.pump.control.enter(entered, causes.COMMAND)
        assert desk.pump.control.state == entered
    else:
        with pytest.raises(control.IllegalMove, match=f"{states.STATES[left]} to {states.STATES[entered]}"):
            desk.pump.control.enter(entered, causes.COMMAND)
        assert desk.pump.control.state == states.HALTED
        assert desk.pump.log.record(desk.pump.log.count - 1)[3:6] == (events.FAULT, left, causes.ILLEGAL_MOVE)


@pytest.mark.req("SAFE-06")
def test_power_on_goes_through_the_self_test_to_stopped(desk):
    desk.tick()
    assert desk.events == [("boot", 0, 0), ("state", 0, 1), ("state", 1, 2)]
    assert desk.outputs.halt and not desk.outputs.enable


@pytest.mark.req("MOT-06", "SAFE-01")
def test_the_motor_has_power_while_running_only(desk):
    desk.tick()
    desk.program()
    assert not desk.outputs.enable
    desk.ask("start")
    assert desk.outputs.enable and not desk.outputs.halt
    desk.ask("stop")
    assert desk.outputs.halt and not desk.outputs.enable


@pytest.mark.req("LIM-10")
def test_nothing_is_applied_before_the_digest_is_confirmed(desk):
    desk.tick()
    proposal = desk.ask("program", therapy=SIX_ML_H)
    assert not desk.ask("start")["ok"]
    wrong = desk.ask("confirm", digest="00000000")
    assert not wrong["ok"] and "digest" in wrong["message"]
    assert desk.ask("confirm", digest=proposal["digest"])["ok"]
    assert not desk.ask("confirm", digest=proposal["digest"])["ok"], "a proposal is confirmed once"
    assert desk.ask("start")["ok"]


@pytest.mark.req("DOSE-05", "DOSE-13")
def test_a_dose_reads_back_as_the_rate_it_means(desk):
    """2.4 mg/day of 20 mg/mL is 120 uL/day, 5 uL/h: 5 000 nL/h / 31.25 nL / 36 000 ticks = 1/225 microstep a
    tick.
    """
    desk.tick()
    therapy = {
        "mode": "continuous",
        "drug": "morphine",
        "concentration_pg_nl": 20_000,
        "dose_pg_day": 2_400_000_000,
    }
    readback = desk.ask("program", therapy=therapy)["readback"]
    assert (readback["rate_num"], readback["rate_den"], readback["daily_nl"]) == (5_000, 1, 120_000)
    assert (readback["steps_per_tick_num"], readback["steps_per_tick_den"]) == (1, 225)
    assert readback["daily_pg"] == 2_400_000_000


@pytest.mark.req("DOSE-04", "DOSE-13")
@pytest.mark.parametrize(
    ("therapy", "said"),
    [
        ({"mode": "continuous"}, ["rate_num: None", "rate_den: None"]),
        ({"mode": "fast", "rate_num": 5_000, "rate_den": 1}, ["mode: fast, must be one of continuous, flex"]),
        ({**SIX_ML_H, "speed": 3}, ["speed: unknown key"]),
        (
            {"mode": "continuous", "rate_num": 1_999, "rate_den": 1},
            ["rate: 1.999 uL/h, must be 2 uL/h to 120 mL/h"],
        ),
        ({"mode": "continuous", "rate_num": 120_000_001, "rate_den": 1}, ["rate: 120.000001 mL/h, must be"]),
        ({**SIX_ML_H, "max_rate_nl_h": 5_000_000}, ["rate: 6 mL/h, must be 2 uL/h to 5 mL/h"]),
        ({**SIX_ML_H, "max_rate_nl_h": 120_000_001}, ["max_rate_nl_h: 120.000001 mL/h, must"]),
        # 30000/11 nL/h has no whole number of grains; 2727 + 115/420 is the nearest that has
        (
            {"mode": "continuous", "rate_num": 30_000, "rate_den": 11},
            ["rate: 2.727 uL/h cannot be delivered exactly, the nearest that can is 2.727274 uL/h"],
        ),
        (
            {**SIX_ML_H, "kvo_num": 7_000_000, "kvo_den": 1},
            ["kvo: 7 mL/h, must not be above the basal rate 6 mL/h"],
        ),
        ({"mode": "continuous", "dose_pg_day": 5}, ["dose_pg_day: a dose needs a drug"]),
        ({"mode": "continuous", "concentration_pg_nl": 0}, ["drug: None", "concentration_pg_nl: 0"]),
        ({**SIX_ML_H, "drug": "morphine", "dose_pg_day": 5, "concentration_pg_nl": 5}, ["a dose or a rate"]),
        ({"mode": "continuous", "rate_num": True, "rate_den": "1"}, ["rate_num: True", "rate_den: 1"]),
    ],
)
def test_everything_that_is_wrong_with_a_therapy_is_said_at_once(desk, therapy, said):
    desk.tick()
    reply = desk.ask("program", therapy=therapy)
    assert reply["error"] == "refused"
    for words in said:
        assert words in reply["message"]
    assert desk.pump.handlers.programming.proposals.last is None and desk.pump.regimen.prescription is None


@pytest.mark.req("MOT-04")
def test_a_start_orders_a_second_of_motion_and_no_more(desk):
    """6 mL/h is 16/3 microsteps a tick, from the next tick on; positions are owed + 1/4, rounded down."""
    desk.run()
    assert desk.outputs.motion_flush
    assert desk.targets == [0, 10, 21, 32, 42]
    assert len(desk.targets) == 1 + QUEUE_SEGMENTS
    desk.tick(executed_steps=0)
    assert not desk.outputs.motion_flush and desk.targets == []
    desk.tick(executed_steps=5, queue_free=1)
    assert desk.targets == [53]


@pytest.mark.req("DOSE-02")
def test_a_new_rate_throws_the_queue_away_and_keeps_what_is_owed(desk):
    desk.run()
    desk.tick(executed_steps=0)
    twice = desk.ask("program", therapy={"mode": "continuous", "rate_num": 12_000_000, "rate_den": 1})
    assert not desk.outputs.motion_flush
    desk.inputs.executed_steps = 10
    desk.ask("confirm", digest=twice["digest"])
    # 3 ticks at 16/3, then 32/3 a tick: 16, and since segments of two ticks end on even ones, + 10 2/3,
    # + 3 x 10 2/3, + 5 x 10 2/3 ..., each with a quarter and rounded down.
    assert desk.outputs.motion_flush and desk.targets == [16, 26, 48, 69, 90]


@pytest.mark.req("DOSE-07", "DOSE-12")
def test_a_bolus_runs_on_top_of_the_basal_and_is_slowed_to_the_largest_rate(desk):
    desk.run({**SIX_ML_H, "max_rate_nl_h": 36_000_000})
    # 1 mL in 1 min is 60 mL/h; the profile leaves 30 mL/h beside the basal, for 2 min
    reply = desk.ask("bolus", volume_nl=1_000_000, duration_ms=60_000)
    assert reply["granted"] and (reply["rate_num"], reply["rate_den"]) == (30_000_000, 1)
    assert desk.events == [("bolus_start", 1_000_000, 30_000_000)]
    ends = 0
    for tick in range(1_201):
        desk.tick(executed_steps=desk.pump.delivery.position(), queue_free=tick % 2)
        ends += ("bolus_end", 1_000_000, 1) in desk.events
    assert ends == 1 and desk.events == [("bolus_end", 1_000_000, 1)]
    # 1 201 ticks of basal at 16/3, one of them before the bolus, and 32 000 steps of bolus, + 1/4, rounded
    # down
    assert desk.pump.delivery.position() == 38_405


@pytest.mark.req("DOSE-07", "LIM-02")
def test_a_second_bolus_and_one_while_stopped_are_denied_with_the_reason(desk):
    desk.tick()
    desk.program()
    assert desk.ask("bolus", volume_nl=1_000, duration_ms=1_000)["reason"] == "not_running"
    desk.ask("start")
    assert desk.ask("bolus", volume_nl=100_000, duration_ms=60_000)["granted"]
    assert desk.ask("bolus", volume_nl=100_000, duration_ms=60_000)["reason"] == "bolus_active"
    bolus = [row.name for row in COMMANDS].index("bolus")
    assert desk.events == [("denied", bolus, causes.BOLUS_ACTIVE)]


@pytest.mark.req("LIM-07")
def test_a_denial_is_stamped_when_the_bolus_was_asked_for(desk):
    """Asked for tick 20 and looked at in tick 19, like every command that changes the flow."""
    desk.tick()
    desk.ask("bolus", volume_nl=1_000, duration_ms=1_000, at_tick=20)
    seen = []
    while desk.at_tick < 21:
        seen += [(sent["tick"], sent["code"]) for sent in desk.tick() if sent["type"] == "event"]
    assert seen == [(20, "denied")]


@pytest.mark.req("DOSE-04")
@pytest.mark.parametrize(
    ("volume_nl", "duration_ms", "said"),
    [
        (0, 1_000, "volume_nl: 0 nL, must be 1 nL to 60 mL"),
        (60_000_001, 1_000, "volume_nl: 60.000001 mL"),
        (1_000, 0, "duration_ms: 0 s"),
        (1_000, 86_400_001, "duration_ms: 24.000000278 h, must be 1 ms to 24 h"),
    ],
)
def test_a_bolus_out_of_range_is_refused(desk, volume_nl, duration_ms, said):
    desk.run()
    reply = desk.ask("bolus", volume_nl=volume_nl, duration_ms=duration_ms)
    assert not reply["ok"] and said in reply["message"]
    assert not desk.outputs.motion_flush


@pytest.mark.req("DOSE-15", "DOSE-01")
def test_stop_cancels_the_bolus_and_what_the_motor_ran_on_by_is_owed_less(desk):
    desk.run()
    desk.ask("bolus", volume_nl=1_000_000, duration_ms=60_000)
    desk.tick(executed_steps=5)
    desk.inputs.executed_steps = 64
    desk.ask("stop")
    assert ("state", states.RUNNING, states.STOPPED) in desk.events
    # owed of it: 1 tick at 60 mL/h, 1 666 nL, 53 whole steps
    assert ("bolus_end", 1_656, 0) in desk.events
    desk.tick(executed_steps=67)
    desk.ask("start")
    # Owed at the stop: 2 ticks of basal and that of the bolus, 64.0 steps; 3 too many were made until it was
    # heard. Then one tick up to an even one, and two at a time.
    assert desk.targets == [64, 69, 80, 90, 101], "a fresh basal from where all was owed"


@pytest.mark.req("MOT-01")
def test_more_steps_than_were_ever_ordered_halt_the_pump(desk):
    desk.run()
    desk.tick(executed_steps=42)
    assert desk.pump.control.state == states.RUNNING
    desk.tick(executed_steps=43)
    assert desk.pump.control.state == states.HALTED and desk.outputs.halt and not desk.outputs.enable
    assert ("alarm", alarms.RUNAWAY, 1) in desk.events
    assert not desk.ask("start")["ok"]
    assert desk.ask("acknowledge")["state"] == "STOPPED"
    assert ("alarm", alarms.RUNAWAY, 0) in desk.events


@pytest.mark.req("MOT-01")
def test_steps_of_a_motor_at_rest_halt_the_pump_but_those_of_the_last_moment_do_not(desk):
    desk.run()
    desk.tick(executed_steps=5)
    desk.ask("stop")
    desk.tick(executed_steps=7)
    desk.tick(executed_steps=7)
    assert desk.pump.control.state == states.STOPPED
    desk.tick(executed_steps=8)
    assert desk.pump.control.state == states.HALTED


@pytest.mark.req("DOSE-01")
def test_what_a_starved_motor_missed_is_forfeited_and_logged(desk):
    desk.run()
    desk.tick(ticks=20, executed_steps=42, starved=True)
    # owed 19 x 16/3 = 101 1/3, executed 42; 47 2/3 at the end of this tick
    assert ("merged", 19, 0) in desk.events and ("starved", 59, 0) in desk.events
    assert desk.outputs.motion_flush and desk.targets == [47, 58, 69, 79, 90]


@pytest.mark.req("DOSE-12", "LIM-05")
def test_the_guard_cuts_a_wrong_order_and_what_it_cuts_is_not_owed(desk):
    desk.run({**SIX_ML_H, "max_rate_nl_h": 6_000_000})
    desk.tick(executed_steps=5)
    desk.pump.delivery.planned.basal.rate_steps += 100
    desk.pump.delivery.planned.flow_steps += 100
    desk.pump.critical.words.keep_all()  # a mistake of the program, not of the memory
    desk.tick(executed_steps=10, queue_free=1)
    # 2 ticks at 6 mL/h are 10 2/3 microsteps: 11 and 2 for rounding; wanted were 53 and 200 more
    assert desk.targets == [42 + 13]
    assert desk.events == [("limited", 253 - 55, 0)]


@pytest.mark.req("LNK-04")
def test_status_comes_every_second_and_events_at_once_each_numbered(desk):
    seen = {"status": [], "event": []}
    for _ in range(50):
        for sent in desk.tick():
            seen[sent["type"]].append((desk.at_tick, sent["seq"]))
    desk.program()
    for sent in desk.ask("start"), *desk.frames:
        if sent["type"] == "event":
            seen["event"].append((sent["tick"], sent["seq"]))
    assert seen["status"] == [(10 * n, n) for n in range(5)]
    assert [seq for _, seq in seen["event"]] == [0, 1, 2, 4], "3 was the therapy's"
    assert seen["event"][-1][0] == desk.at_tick + 1, "a flow changes at the end of the tick"


@pytest.mark.req("LNK-01")
@pytest.mark.parametrize("word", [b"hello", b"status", b"stop"])
def test_a_person_at_a_terminal_needs_no_crc_for_three_words(desk, word):
    desk.run()
    for line in (word + b"\r\n", b'{"cmd":"' + word + b'","id":3}\n'):
        assert all(sent.get("ok", True) for sent in desk.tick(line)) and desk.frames
    assert desk.pump.control.state == (states.STOPPED if word == b"stop" else states.RUNNING)


@pytest.mark.req("LNK-01", "LNK-02")
@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"cmd":"start"}\n', "bad_crc"),
        (b'{"cmd":"start"} 00000000\n', "bad_crc"),
        (frame(b'{"cmd":"start","x":1.5}'), "bad_frame"),
        (frame(b'{"cmd":"start","x":1e400}'), "bad_frame"),
        (frame(b'["start"]'), "bad_frame"),
        (frame(b'{"cmd":5}'), "bad_frame"),
        (frame(b"{" * 40), "bad_frame"),
        (frame(b'{"cmd":"start"'), "bad_frame"),
        (frame(b"\xff\xfe"), "bad_frame"),
        (b"\x00" * 30 + b"\n", "bad_frame"),
        (frame(b'{"cmd":"dance"}'), "unknown_command"),
        (frame(b'{"cmd":"start","at":1}'), "bad_argument"),
        (frame(b'{"cmd":"bolus","volume_nl":1}'), "bad_argument"),
        (frame(b'{"cmd":"bolus","volume_nl":-1,"duration_ms":5}'), "bad_argument"),
        (frame(b'{"cmd":"program","therapy":5}'), "bad_argument"),
        (frame(b'{"cmd":"confirm","digest":5}'), "bad_argument"),
        (frame(b'{"cmd":"start","id":"x"}'), "bad_argument"),
    ],
)
def test_a_bad_line_changes_nothing_says_why_and_the_next_is_understood(desk, line, error):
    desk.tick()
    desk.program()
    replies = [sent for sent in desk.tick(line) if sent["type"] == "reply"]
    assert [(sent["ok"], sent["error"]) for sent in replies] == [(False, error)]
    assert desk.pump.control.state == states.STOPPED
    assert desk.ask("start")["ok"]


@pytest.mark.req("LNK-02")
def test_an_overlong_line_is_refused_whole_and_the_next_is_understood(desk):
    """Twice, as the end of the first must not be taken for a part of the second."""
    desk.run()

    def tick(data):
        executed_steps = desk.pump.delivery.position()
        return desk.tick(data, executed_steps=executed_steps, queue_free=desk.at_tick % 2)

    for _ in range(2):
        for part in (b"x" * 1_000, b'y" {"cmd":"hello"} ' * 50, b"z" * 1_000, b"stop " * 204, b"z" * 1_000):
            assert desk.outputs.rx_most >= len(part)
            assert all(sent["type"] != "reply" for sent in tick(part))
        answers = [sent for sent in tick(b"stop\n") if sent["type"] == "reply"]
        assert [(sent["error"], sent["message"]) for sent in answers] == [
            ("too_large", "a line has at most 4096 bytes")
        ]
    assert desk.pump.control.state == states.RUNNING
    assert tick(request("hello", id=3))[0]["id"] == 3
    tick(b"stop\n")
    assert desk.pump.control.state == states.STOPPED


@pytest.mark.req("LNK-01", "LNK-02")
@pytest.mark.parametrize(("spare", "error"), [(0, "bad_frame"), (-1, "too_large")])
def test_a_line_of_4096_bytes_is_read_and_one_more_is_too_much(desk, spare, error):
    desk.tick()
    text = b'{"cmd":"hello","a":[%s' % (b"0, " * 400)
    line = frame(text + b"x" * (4_096 - 9 - spare - len(text)))
    assert len(line) == 4_097 - spare
    for start in range(0, len(line), 1_000):
        desk.tick(line[start : start + 1_000])
    answers = [sent for sent in desk.frames if sent["type"] == "reply"]
    for _ in range(10):
        answers += [sent for sent in desk.tick() if sent["type"] == "reply"]
    assert [sent["error"] for sent in answers] == [error]
    assert desk.ask("hello")["ok"]


@pytest.mark.req("LNK-01")
def test_a_line_may_come_in_pieces_and_several_in_one_tick(desk):
    desk.tick()
    whole = request("hello", id=1)
    desk.tick(whole[:9])
    assert [sent["id"] for sent in desk.tick(whole[9:] + request("hello", id=2))] == [1, 2]


@pytest.mark.req("LNK-01")
def test_a_command_with_a_tick_waits_for_it(desk):
    desk.tick()
    desk.program()
    at_tick = desk.at_tick + 5
    assert desk.ask("start", at_tick=at_tick)["held"]
    assert desk.ask("audio_pause", at_tick=at_tick - 2)["held"]
    while desk.at_tick < at_tick - 2:
        assert desk.pump.control.state == states.STOPPED
        desk.tick()
    assert desk.events == [("audio_pause", 0, 0)]
    desk.tick()
    assert desk.pump.control.state == states.RUNNING and desk.targets[0] == 0
    assert desk.events == [("state", states.STOPPED, states.RUNNING)]
    assert [sent["tick"] for sent in desk.frames if sent["type"] == "event"] == [at_tick]


@pytest.mark.req("LNK-01")
def test_commands_for_one_tick_keep_their_order_even_if_the_second_could_be_early(desk):
    desk.run()
    desk.tick(driver_fault=True)
    desk.tick(driver_fault=False)
    assert desk.pump.control.state == states.HALTED
    at_tick = desk.at_tick + 4
    desk.ask("acknowledge", at_tick=at_tick)
    desk.ask("start", at_tick=at_tick)
    while desk.at_tick < at_tick:
        assert desk.pump.control.state == states.HALTED
        desk.tick()
    assert [event for event in desk.events if event[0] == "state"] == [
        ("state", states.HALTED, states.STOPPED),
        ("state", states.STOPPED, states.RUNNING),
    ]


@pytest.mark.req("LNK-01")
def test_only_so_many_commands_are_held_back(desk):
    desk.tick()
    replies = [desk.ask("stop", at_tick=1_000) for _ in range(9)]
    assert [sent["ok"] for sent in replies] == [True] * 8 + [False]
    assert replies[-1]["error"] == "busy"


@pytest.mark.req("LNK-03")
def test_frames_for_which_there_is_no_room_are_dropped_whole_and_counted(desk):
    desk.tick()
    desk.outputs.tx_end = len(desk.outputs.tx) - 50
    desk.inputs.rx_len = 0
    desk.inputs.tick_s, desk.inputs.tick_ms = 1, 0
    desk.turn()
    assert desk.outputs.tx_end == len(desk.outputs.tx) - 50
    desk.outputs.tx_start = desk.outputs.tx_end
    desk.at_tick = 19
    assert desk.tick()[0]["frames_dropped"] == 1
    assert desk.frames[0]["seq"] == 2, "the gap is visible"

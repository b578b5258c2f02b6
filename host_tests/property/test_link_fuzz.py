"""LNK-02: whatever bytes come, the pump goes on, changes nothing, and understands the next good line."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pump_on_desk import PumpOnDesk, frame, request
from thecal import states

GOOD_LINES = (
    request("start", id=1),
    request("bolus", volume_nl=5_000, duration_ms=60_000),
    request("program", therapy={"mode": "continuous", "rate_num": 5_000, "rate_den": 1}),
    b"stop\n",
)
good_lines = st.sampled_from(GOOD_LINES)


@st.composite
def damaged_lines(draw):
    """A good line with bytes changed, cut out or put in: its CRC no longer fits."""
    line = bytearray(draw(good_lines)[:-1])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(line) - 1))
        how = draw(st.sampled_from(["change", "cut", "insert"]))
        if how == "change":
            line[at] ^= draw(st.integers(1, 255))
        elif how == "cut" and len(line) > 1:
            del line[at : at + draw(st.integers(1, 5))]
        else:
            line.insert(at, draw(st.integers(0, 255)))
        if not line:
            break
    # a line feed or a blank put in at the end leaves the line as good as it was
    whole = [good[:-1] for good in GOOD_LINES]
    assume(all(part.rstrip(b"\r ") not in whole for part in bytes(line).split(b"\n")))
    return bytes(line) + b"\n"


deep = st.integers(1, 1_000).map(lambda depth: frame(b'{"cmd":' + b"[" * min(depth, 900) + b"}"))
noise = st.one_of(st.binary(max_size=1_024), damaged_lines(), deep, st.text(max_size=200).map(str.encode))


@pytest.mark.req("LNK-01", "LNK-02")
@given(st.lists(noise, max_size=12))
@settings(max_examples=400, deadline=None)
def test_noise_never_raises_never_starts_anything_and_leaves_the_link_usable(lines):
    desk = PumpOnDesk()
    desk.tick()
    desk.program()
    before = desk.pump.regimen.prescription
    for line in lines:
        desk.tick(line[:1_024])
        assert desk.pump.control.state == states.STOPPED and not desk.outputs.enable
        assert desk.pump.regimen.prescription is before
    desk.tick(b"\n")
    assert desk.ask("hello")["state"] == "STOPPED"


@pytest.mark.req("LNK-02")
@given(good_lines, st.data())
@settings(deadline=None)
def test_where_a_line_is_torn_between_ticks_does_not_matter(line, data):
    whole, torn = PumpOnDesk(), PumpOnDesk()
    for desk in (whole, torn):
        desk.tick()
        desk.program()
    cut = data.draw(st.integers(0, len(line) - 1))
    whole.tick()
    torn.tick(line[:cut])
    assert whole.tick(line) == torn.tick(line[cut:])

"""SEC-02, SEC-03 on the chip: the hashes are right, whoever has no key is not obeyed, and what a signature
and a flood of bad ones cost.
"""

import ast

import pytest
from forger import Forger
from paired import Signer, key_of
from pump_on_desk import frame
from thecal.link.commands import ROLES

pytestmark = pytest.mark.chip

CPU_HZ = 125_000_000
CYCLES_PER_US = CPU_HZ // 1_000_000
OFTEN = 10
BATCH = 20  # a program of more is too much for the compiler on the chip
TICK_US = 100_000

HASHES = """
from thecal.link.signing import hmac, pads_of, same
import time
CASES = (
    (b"\\x0b" * 20, b"Hi There"),
    (b"Jefe", b"what do ya want for nothing?"),
    (b"\\xaa" * 20, b"\\xdd" * 50),
    (bytes(range(1, 26)), b"\\xcd" * 50),
    (b"\\x0c" * 20, b"Test With Truncation"),
)
from binascii import hexlify
macs = [hexlify(hmac(pads_of(key), (data[:3], data[3:]))).decode() for key, data in CASES]
one = bytes(range(16))
def took_us(other):
    start_us = time.ticks_us()
    for _ in range(400):
        same(one, other)
    return time.ticks_diff(time.ticks_us(), start_us)
places = [one[:at] + b"x" + one[at + 1 :] for at in (0, 7, 15)] + [one]
print()
print((macs, [took_us(other) for other in places]))
"""
MACS = (
    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    "a3b6167473100ee06e0c796c2955552b",
)
"""RFC 4231, 4.2 to 4.6; of the last one 128 bits are told."""

PUMP = f"""
import gc, micropython, time
from thecal import app
a = app.App()
session = a.pump.host.session
keys = session.keys
keys.use(bytes.fromhex({"".join(key_of(role).hex() for role in ROLES)!r}), True)
keys.open = True
for _ in range(12):
    a.wait()
    a.tick()
def hear(line, second):
    a.inputs.rx_len = 0
    session.begin_tick(a.inputs, a.outputs)
    keys.pass_time(second)
    session.reader.take_in(line, len(line))
    session.more = True
    role = -1
    while session.more:
        if session.next(a.outputs) is not None:
            role = keys.role
    return role
micropython.kbd_intr(3)
print()
print((keys.nonce, keys.counters()))
"""

COST = """
lines = {lines!r}
took_us = []
gc.collect()  # once: how long free memory is looked for after one differs from image to image
for number in range(len(lines)):
    if number == {signed}:
        keys.use(b"", False)
    start_us = time.ticks_us()
    role = hear(lines[number], number)
    took_us.append(time.ticks_diff(time.ticks_us(), start_us))
    assert session.refusal is None, session.refusal
    assert (role >= 0) == (number < {signed}), role
a.stepper.halt()
print()
print(took_us)
"""

FLOOD = """
lines = {lines!r}
flood = memoryview(b"".join(lines + lines))
length = len(flood) // 2
sent = 0
def read(inputs, most):
    global sent
    inputs.rx_len = 0
    if flooding:
        inputs.rx[:most] = flood[sent : sent + most]
        inputs.rx_len = most
        sent = (sent + most) % length
a.usb.read = read
def mean_us(ticks):
    gc.collect()
    total_us = 0
    for _ in range(ticks):
        a.wait()
        a.tick()
        a.outputs.tx_start = a.outputs.tx_end = 0
        total_us += a.inputs.loop_us
    return total_us // ticks
keys.second = a.inputs.tick_s  # the lines before came at seconds of their own
keys.tries = 1
flooding = False
quiet_us = mean_us({ticks})
flooding = True
mean_us(10)
before = session.reader.bad_lines
assert keys.tries <= 0
loud_us = mean_us({ticks})
a.stepper.halt()
print()
print((quiet_us, loud_us, session.reader.bad_lines - before, a.pump.alarms.bits))
"""


def signer_of(prompt) -> Signer:
    """The owner of the pump at the prompt."""
    nonce, counters = ast.literal_eval(prompt.run(PUMP, limit_ms=60_000).strip().splitlines()[-1])
    return Signer(nonce.decode(), counters)


def told(prompt, program: str):
    return ast.literal_eval(prompt.run(program, limit_ms=150_000).strip().splitlines()[-1])


@pytest.mark.req("SEC-02")
def test_the_hashes_are_those_of_rfc_4231_and_macs_are_compared_in_one_time(prompt):
    macs, took_us = told(prompt, HASHES)
    assert [mac[: len(wanted)] for mac, wanted in zip(macs, MACS, strict=True)] == list(MACS)
    assert max(took_us) - min(took_us) <= max(took_us) // 50, took_us


def attack(prompt, count: int, seed: int) -> None:
    """So many lines of a forger, each tenth followed by one of the owner's."""
    lines: list[tuple[bool, bytes]] = []
    forger = Forger(signer_of(prompt), seed, lambda line: lines.append((True, line)))
    for _ in range(4):
        forger.owner_sends()
    for number in range(count):
        lines.append((False, forger.next()[1]))
        if number % OFTEN == 0:
            forger.owner_sends()
    for start in range(0, len(lines), BATCH):
        batch = lines[start : start + BATCH]
        text = f"print([hear(line, {start} + n) for n, line in enumerate({[line for _, line in batch]!r})])"
        roles = told(prompt, text)
        assert [role >= 0 for role in roles] == [good for good, _ in batch]


@pytest.mark.req("SEC-02", "SIM-01")
def test_the_chip_obeys_nobody_without_a_key(pump_prompt):
    attack(pump_prompt, 200, 20_261)


@pytest.mark.long
@pytest.mark.req("SEC-02", "SIM-01")
def test_the_chip_obeys_nobody_without_a_key_in_ten_thousand_lines(pump_prompt):
    attack(pump_prompt, 10_000, 7)


@pytest.mark.req("SEC-02", "SEC-03")
@pytest.mark.parametrize("ticks", [100, pytest.param(600, id="a minute", marks=pytest.mark.long)])
def test_a_signature_costs_little_and_a_flood_of_bad_ones_too(pump_prompt, measured, ticks):
    """What it adds to a command, and what of the loop goes to as many bad lines as the pump reads."""
    signer = signer_of(pump_prompt)
    texts = [b'{"id":%d,"run":"3f2a91c0","cmd":"set_time","week_s":5}' % number for number in range(10, 26)]
    signed = [signer.line(text, "clinician") for text in texts]
    unsigned = [frame(text) for text in texts]
    lines = signed + unsigned
    took_us = told(pump_prompt, COST.format(lines=lines, signed=len(signed)))
    each_us = [sorted(part)[len(part) // 2] for part in (took_us[: len(signed)], took_us[len(signed) :])]
    signature_cycles = (each_us[0] - each_us[1]) * CYCLES_PER_US
    print(f"a signed command takes {each_us[0]} us, an unsigned one {each_us[1]} us")
    assert 0 < signature_cycles <= 300_000
    pump_prompt.run(f"keys.use(bytes.fromhex({''.join(key_of(role).hex() for role in ROLES)!r}), True)")
    bad = [signer.line(text, "clinician", signer.counters["clinician"] + 1)[:-11] for text in texts]
    flood = [frame(text + b"0" if text[-1:] != b"0" else text + b"1") for text in bad]
    quiet_us, loud_us, dropped, bits = told(pump_prompt, FLOOD.format(lines=flood, ticks=ticks))
    share = (loud_us - quiet_us) * 100 / TICK_US
    print(f"a tick takes {quiet_us} us, under the flood {loud_us} us, {dropped} lines in {ticks} ticks")
    assert dropped > 5 * ticks and bits, "that was no flood"
    assert share <= 3
    measured(signature_cycles / 1_000, share)

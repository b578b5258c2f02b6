"""Runs under MicroPython's unix port and under CPython alike: the rooms' own arithmetic, printed line by
line.

Arguments: the folder of the firmware. Everything is drawn from one small generator, so both print the same.
"""

import json
import sys
from binascii import hexlify

sys.path.insert(0, sys.argv[1])

from thecal import rig  # noqa: E402
from thecal.crc import digits_into  # noqa: E402
from thecal.dose import mechanism, prescription, program, units  # noqa: E402
from thecal.dose.delivery import Delivery  # noqa: E402
from thecal.dose.rate import Flow  # noqa: E402
from thecal.dose.schedule import Schedule  # noqa: E402
from thecal.drivers import segment  # noqa: E402
from thecal.drivers.pace import Pace  # noqa: E402
from thecal.link import commands  # noqa: E402
from thecal.link.frame import LineReader  # noqa: E402
from thecal.link.parser import Parser  # noqa: E402
from thecal.link.signing import Keys, hmac, pads_of, same  # noqa: E402
from thecal.record import events, journal, layout, pages  # noqa: E402
from thecal.record.ledger import Ledger  # noqa: E402
from thecal.watch.ahead import peak_steps  # noqa: E402
from thecal.watch.guard import Guard  # noqa: E402
from thecal.watch.limits import WindowLedger  # noqa: E402
from thecal.watch.occlusion import Occlusion, UpstreamOcclusion  # noqa: E402
from thecal.watch.readings import Reading  # noqa: E402

try:
    from micropython import heap_lock, heap_unlock  # pyright: ignore[reportMissingImports]
except ImportError:  # CPython has no heap to lock

    def heap_lock():
        pass

    heap_unlock = heap_lock


class Draw:
    """Numbers below a bound, the same everywhere (Park and Miller's generator)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        self.state = self.state * 48_271 % 2_147_483_647
        return self.state % bound


def rate(draw, head):
    flow = Flow(head.grains_per_step)
    for _ in range(50):
        flow.set_rate(*head.grains_per_tick(2_000 + draw.below(60_000_000), 1))
        flow.advance(draw.below(900_000))
        print("flow", flow.steps, flow.grains)
        flow.steps = 0


def delivery(draw, head):
    course = Delivery(head)
    course.begin(7)
    owed = course.owed
    owed.most_steps, owed.most_grains = head.grains_per_tick(60_000_000, 1)
    entries = []
    for _ in range(40):
        rate_nl_h = 2_000 + draw.below(50_000_000)
        entries.append((draw.below(7 * 864_000),) + head.grains_per_tick(rate_nl_h, 1) + (rate_nl_h,))
    owed.follow(Schedule(entries), draw.below(7 * 864_000), True)
    for _ in range(60):
        course.advance(1 + draw.below(9_000))
        kind = draw.below(2)
        if not owed.active[kind]:
            course.to_boundary()
            rate = (2_000 + draw.below(60_000_000), 1)
            course.begin_bolus(kind, (1 + draw.below(50_000), 1), rate)
        course.plan_from_now()
        print("position", course.position(), [course.plan(course.next_ticks()) for _ in range(4)])


def volumes(draw, head):
    """What the steady loop asks of any head allocates nothing."""
    for _ in range(40):
        steps = draw.below(1 << 30)
        part = steps % (3 * head.steps_per_rev)
        grains = draw.below(head.grains_per_step)
        per_tick = draw.below(121)
        while per_tick * head.nl_per_rev * 10 > 36_000 * head.steps_per_rev:  # 1.3 L/h: below 2^30 nL/h
            per_tick >>= 1
        heap_lock()
        volume_ul, volume_nl = head.volume_ul(steps), head.volume_nl(part)
        flow_nl_h = head.flow_nl_h(per_tick, grains)
        heap_unlock()
        print("volume", volume_ul, volume_nl, flow_nl_h)


def refusals(draw):
    """Of motors and heads of any kind, each mended by what it says."""
    for _ in range(60):
        motor = {"full_steps": 20 + draw.below(981), "microsteps": 1 + draw.below(256)}
        motor["gear"] = [1 + draw.below(3_000), 1 + draw.below(30)]
        tables = {
            "rig": {"name": "drawn"},
            "motor": motor,
            "driver": {"dir_forward": 1, "enable": 0, "interval_us": draw.below(20_000)},
            "head": {"nl_per_rev": 1_000 + draw.below(999_001)},
            "step": {"sense": "pad"},
            "encoder": {"pulses_per_rev": 1 + draw.below(2_000)},
        }
        while True:
            try:
                found = rig.read(tables)
                print("rig", found.steps_per_rev, found.nl_per_rev, found.mechanism().grains_per_step)
                break
            except rig.RigError as error:
                print("refused", error)
                where, value = str(error).split(": set ")[1].split(" to ")
                table, key = where.split(".")
                tables[table][key] = json.loads(value)


def window(draw):
    ledger = WindowLedger()
    for _ in range(400):
        ledger.advance(draw.below(2_000), draw.below(300))
        if draw.below(50) == 0:
            ledger.set_window(6_000 + draw.below(858_000), 0)
        print("window", ledger.content_steps())
    profile = [(600, 14_000_000), (899_400, 5_000_000)]
    print("peak", peak_steps(ledger, 864_000, profile, 0, 472_500_000))


def segments(draw):
    cutter = segment.Cutter(segment.LEAST_PULSE, segment.MIN_PERIOD_CYCLES)
    for _ in range(100):
        cycles = 20_000 + draw.below(segment.SEGMENT_CYCLES - 20_000)
        first = draw.below(cycles) - 5_000
        steps = cutter.cut(draw.below(260), cycles, first, draw.below(cycles))
        print("segment", steps, cutter.q, cutter.lead, cutter.tail, cutter.early)


def pace(draw):
    clock = Pace(0x3FFF_F000, 0x3FFF_0000)
    counter_ms = 0x3FFF_F000
    for _ in range(200):
        counter_ms = counter_ms + draw.below(260) & 0x3FFF_FFFF
        counter_ms = counter_ms + clock.wait_ms(counter_ms) & 0x3FFF_FFFF
        print("tick", clock.tick_s, clock.tick_ms, clock.due_counter_us)
        clock.started()


def guard(draw):
    last = Guard(100_000, 3_200, 6_000_000)
    for _ in range(50):
        start = draw.below(1_000)
        print("allow", last.allow(start, start + draw.below(40), 1 + draw.below(2)), last.ordered_steps)


def occlusion(draw):
    """A line that is open at several rates, then blocked; an alarm allocates nothing either."""
    down, up = Reading(400, 50, -20_000, 184_000), Reading(400, 50, -20_000, 184_000)
    line, inlet = Occlusion(100_000, 3_200), UpstreamOcclusion()
    position = excess_pa = tick = 0
    for steps, pause, ticks, blocked in (
        (1, 30, 600, 0),
        (53, 1, 700, 0),
        (1, 30, 900, 0),
        (2, 9, 400, 0),
        (1, 12, 700, 1),
    ):
        heap_lock()
        for _ in range(ticks):
            tick += 1
            moved = steps if tick % pause == 0 else 0
            position += moved
            if not blocked:
                excess_pa -= excess_pa // 18
            excess_pa += moved * 62
            code = 420 + excess_pa // 50 + draw.below(5) + draw.below(5) - 4
            down.update(code if draw.below(50) else 0, tick)
            up.update(400 - (tick > 2_700) * draw.below(300), tick)
            line.update(1, position, down.value, down.fresh)
            inlet.update(up.value, up.fresh)
        heap_unlock()
        print("reading", down.value, down.fault, down.error_count, up.value, up.fault, up.min_value)
        print("occlusion", line.alarm, line.rise_16, line.base_16, line.resistance_pa_ml_h, inlet.alarm)
        print("stored", line.stored_nl(), line.compliance_nl_kpa())


def programming(draw, head):
    for _ in range(60):
        numerator = 1_000 + draw.below(90_000_000)
        therapy = {"mode": "continuous", "rate_num": numerator, "rate_den": 1 + draw.below(9)}
        if draw.below(2):
            therapy = {
                "mode": "continuous",
                "drug": "morphine",
                "concentration_pg_nl": 1 + draw.below(30_000),
                "dose_pg_day": 1 + draw.below(2_000_000_000),
            }
        try:
            said = prescription.parse(therapy, head).readback()
            print("readback", program.digest(said), [said[key] for key in sorted(said)])
        except prescription.PrescriptionError as error:
            print("refused", error.problems)
    print("reduced", units.reduced(6 * 10**15, 8 * 10**12))


def link(draw):
    digits = bytearray(8)
    for length in range(40):
        data = bytes(draw.below(256) for _ in range(length))
        digits_into(data, 0, length, digits)
        print("crc", bytes(digits))
    reader = LineReader(digits_into, Keys(commands.ROLES))
    for line in (
        b"stop\n",
        b'{"cmd":"start","x":1.5} 12345678\n',
        b"\xff\xfe\xfd\n",
        b"x" * 1_000,
        b"x" * 1_000,
        b"x" * 1_000,
        b"x" * 1_000,
        b"x" * 1_000 + b"\nhello\n",
    ):
        reader.take_in(line, len(line))
        while True:
            request = reader.next()
            if request is None and not reader.error:
                break
            print("line", request, reader.error, reader.message, reader.room())
    signatures(draw)
    parse(draw)


def signatures(draw):
    """Lines signed for a boot and a count, most of them spoilt somewhere."""
    for length in (0, 1, 20, 64):
        key = bytes(draw.below(256) for _ in range(length))
        for more in (0, 1, 55, 56, 64, 200):
            data = bytes(draw.below(256) for _ in range(more))
            print("hmac", length, more, hexlify(hmac(pads_of(key), (data[:9], memoryview(data)[9:]))))
    key = bytes(draw.below(256) for _ in range(32))
    print("same", [same(key, key[:at] + b"x" + key[at + 1 :]) for at in range(32)], same(key, key))
    keys = Keys(commands.ROLES)
    keys.begin(5, b"chip", b"chance")
    keys.use(key * 3 + bytes(32), True)
    print("keys", keys.nonce, keys.counters(), keys.most)
    for turn in range(200):
        role = commands.ROLES[draw.below(4)]
        who = b"%s:%016x" % (role.encode(), (5 << 34) + turn + draw.below(3) - 1)
        text = b'{"id":%d,"cmd":"stop"}' % turn
        mac = hmac(pads_of(key), (b"thecal-link-1\n", keys.nonce, b"\n", who, b"\n", text))[:16]
        line = bytearray(text + b" " + who + b":" + hexlify(mac))
        if draw.below(4) == 0:
            line[draw.below(len(line))] ^= 1 << draw.below(7)
        keys.pass_time(turn)
        keys.forget()
        at = keys.find(line, 0, len(line))
        if at >= 0:
            keys.judge(line, 0, at, len(line))
        print("signed", at, keys.role, keys.problem, keys.bad)


# The backslashes are those of JSON.
PIECES = b'{ } [ ] , : "a" "b" "cmd" "id" 0 -1 12 1.5 01 true null nan "\\u0041\\n" "\\x" \xc3'.split(b" ")
PIECES += [b" ", b"9" * 19, b"9" * 20]


def parse(draw):
    """Sentences of the pieces of JSON, most of them wrong: the same is made of each, in whatever bites."""
    parser = Parser()
    for _ in range(1_500):
        text = b"{" + b"".join([PIECES[draw.below(len(PIECES))] for _ in range(draw.below(12))])
        if draw.below(2):
            text = b'{"a":[' + text + b'}],"id":5,"b":{"a":' + PIECES[draw.below(len(PIECES))] + b"}}"
        parser.begin(bytearray(text), 0, len(text))
        while not parser.work(1 + draw.below(3)):
            pass
        request = parser.request
        print("parse", parser.error, parser.message, parser.number, request and sorted(request), parser.count)


def memory(draw):
    """A journal of a few sectors on a flash in memory, booted again and again; a bit flips now and then."""
    sector_bytes = 1_024
    rings = (4, 5, 5, 4, 4)
    slots = ((3, 1), (2, 2), (2, 1))
    flash = bytearray(b"\xff" * (sector_bytes * (22 + 9)))
    for boot in range(6):
        log = events.EventLog()
        fault = lambda ring, at: ring[at + 10] == events.FAULT  # noqa: E731
        book = journal.Journal(journal.crc_into, log.ring, events.CAPACITY, fault, sector_bytes, rings, slots)
        book.recover(memoryview(flash))
        log.count = book.log_count
        history = book.history
        assert history is not None
        print("boot", boot, book.status, book.torn, list(book.words), book.log_count)
        print("day", [steps for steps in history.minutes if steps], history.granted, history.denied)
        serial = book.words[layout.SERIALS[0]]
        print("therapy", serial, bytes(book.slots.read(0, serial) or b""))
        print("log", [bytes(flash[at : at + 32]) for at in book.events.kept(0)][-3:])
        for stream in range(len(pages.STREAMS)):
            told = pages.page(book, stream, draw.below(book.log_count + 2))
            print("page", [(key, told[key]) for key in sorted(told)])
        ledger = Ledger(book, 32)
        ledger.set_flow(draw.below(50), draw.below(1_000), 1_000)
        tick, executed = book.words[layout.TICK], book.words[layout.EXECUTED]
        book.state.save()
        book.slots.begin(0, (b"therapy %d" % boot * 20,))
        done = ok = False
        for turn in range(150):
            book.heard(done, ok)
            ledger.heard()
            tick += 1 + draw.below(400)
            executed += min(draw.below(60), ledger.booked_steps - executed)
            if turn % 40 == 9:
                book.history_writer.grant(tick)
            if turn % 7 == 3:
                log.add(tick // 10, 0, events.FAULT if turn % 2 else events.STATE, turn, boot, executed)
            if turn == 80:
                book.history_writer.rescale(3, 2, executed)
            if book.slots.done():
                book.slots.adopt()
                book.state.save()
            ledger.step(tick, executed, executed, executed, turn % 30 > 3)
            book.log_count = log.count
            book.order(True)
            start, length = book.command.offset, book.command.length
            done = book.command.kind != layout.NOTHING
            ok = True
            if book.command.kind == layout.ERASE:
                flash[start : start + length] = b"\xff" * length
            elif done:
                for index in range(length):
                    flash[start + index] &= book.command.data[(start + index) % 256]
        flash[draw.below(len(flash))] ^= 1
        flash[book.parts[0].ring.head * sector_bytes + book.parts[0].ring.at - 20] ^= 1


def main():
    draw = Draw(20_261)
    head = mechanism.Mechanism(100_000, 3_200, 120)
    other = mechanism.Mechanism(98_760, 3_200, 120)
    finest = mechanism.Mechanism(51_200, 5_120_000, 120)
    coarse = mechanism.Mechanism(1_000_000, 200, 120)
    for one in (head, other, finest, coarse):
        volumes(draw, one)
    refusals(draw)
    for one in (head, other):
        rate(draw, one)
        delivery(draw, one)
        programming(draw, one)
    segments(draw)
    pace(draw)
    guard(draw)
    occlusion(draw)
    window(draw)
    link(draw)
    memory(draw)


main()

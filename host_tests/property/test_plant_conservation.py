"""The plant loses no volume, pulsation moves none, and a bulk of steps is those steps one by one."""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from thecal_bench.line import TONES
from thecal_bench.parameters import NS_PER_MS, REFERENCE, Geometry, PlantParameters
from thecal_bench.plant import SIDES, Plant
from thecal_bench.sensor_faults import KINDS, SENSORS

TICK_NS = 100 * NS_PER_MS
PERCENT = st.integers(0, 2000).map(lambda n: Fraction(n, 10))

PARAMETERS = st.builds(
    PlantParameters,
    compliance_nl_pa=st.integers(1, 40).map(lambda n: Fraction(n, 20)),
    resistance_pa_ms_nl=st.integers(360, 36_000).map(Fraction),
    pulsation_percent=PERCENT,
    dip_percent=st.just(Fraction(0)) | st.integers(0, 500).map(Fraction),
    calibration_error_percent=st.integers(-50, 50).map(lambda n: Fraction(n, 10)),
    back_pressure_pa=st.integers(-2000, 20_000).map(Fraction),
)
HEADS = st.builds(
    Geometry,
    nl_per_rev=st.integers(1, 10**6),
    steps_per_rev=st.integers(100, 12_800),
    rollers=st.integers(1, 8),
    encoder_pulses_per_rev=st.integers(1, 50),
)


def step_singly(plant, count, tick):
    """`count` steps (or backwards) one by one, each in the middle of its share of the tick."""
    for index in range(abs(count)):
        at_ns = tick * TICK_NS + (2 * index + 1) * TICK_NS // (2 * abs(count))
        plant.step(1 if count > 0 else -1, at_ns)


COUNTS = st.lists(st.integers(-3, 120), min_size=1, max_size=60)


@given(PARAMETERS, HEADS, st.integers(-10_000, 10_000), st.integers(-5, 5))
def test_pulsation_moves_volume_within_a_pitch_and_none_out_of_it(parameters, head, start, revolutions):
    """From any angle, whole revolutions displace exactly their volume; so does a whole pitch."""
    scale = 1 + parameters.calibration_error_percent / 100
    plant = Plant(parameters, head, angle_steps=start)
    if revolutions:
        plant.steps(revolutions * head.steps_per_rev, 0, TICK_NS)
    assert plant.displaced_nl() == revolutions * head.nl_per_rev * scale
    if head.steps_per_rev % head.rollers == 0:
        plant.steps(head.steps_per_rev // head.rollers, TICK_NS, 2 * TICK_NS)
        assert plant.displaced_nl() == (revolutions + Fraction(1, head.rollers)) * head.nl_per_rev * scale


@given(PARAMETERS, HEADS, st.integers(0, 10_000))
def test_displacement_strays_no_further_than_the_pulsation_and_never_reverses(parameters, head, start):
    """|V - uniform| <= A/2 x a pitch x (largest S, 1/3), from a trough to a peak, and D x a pitch x what T
    loses from its peak, 0.0677, to its trough, -0.0177. Forward stays forward unless the dip is deep.
    """
    plant = Plant(parameters, head, angle_steps=start)
    step_nl = head.step_nl * (1 + parameters.calibration_error_percent / 100)
    pitch_nl = step_nl * head.steps_per_rev / head.rollers
    dip_pitches = parameters.dip_percent / 100 * Fraction(86, 1000)
    bound = (parameters.pulsation_percent / 600 + dip_pitches) * pitch_nl
    reverses = parameters.pulsation_percent / 2 + parameters.dip_percent * 9 / 10 > 100
    last = Fraction(0)
    for tick in range(1, 40):
        plant.steps(head.steps_per_rev // 29 + 1, (tick - 1) * TICK_NS, tick * TICK_NS)
        displaced = plant.displaced_nl()
        assert abs(displaced - plant.steps_seen * step_nl) <= bound
        assert reverses or displaced >= last
        last = displaced


@given(PARAMETERS, HEADS, COUNTS, st.integers(0, 10_000))
def test_displaced_volume_and_edges_are_the_same_in_bulk_and_step_by_step(parameters, head, counts, start):
    bulk = Plant(parameters, head, angle_steps=start)
    single = Plant(parameters, head, angle_steps=start)
    for tick, count in enumerate(counts):
        bulk.steps(count, tick * TICK_NS, (tick + 1) * TICK_NS)
        step_singly(single, count, tick)
        assert bulk.displaced_nl() == single.displaced_nl()
        assert bulk.encoder_count == single.encoder_count
        assert bulk.index_count == single.index_count
        assert bulk.steps_seen == single.steps_seen
        assert bulk.reservoir_nl() == single.reservoir_nl()


@given(PARAMETERS, COUNTS)
def test_pressure_is_the_same_in_bulk_and_step_by_step(parameters, counts):
    """They differ by what a microstep or two stores, at most, and with even flow by far less (next test)."""
    bulk, single = Plant(parameters), Plant(parameters)
    one_step_pa = 31.25 * 1.05 * 2 / float(parameters.compliance_nl_pa)
    # With pulsation the flow within a bulk is not constant: 120 steps are a ninth of a pitch, over which the
    # flow changes by at most A sin(pi/9); what comes early or late decays by 100 ms / RC meanwhile.
    tau_ms = float(parameters.compliance_nl_pa * parameters.resistance_pa_ms_nl)
    # A dip falls by all of D within 3/40 of a pitch, 80 steps.
    uneven = float(parameters.pulsation_percent) / 100 * 0.35 * min(1.0, 100 / tau_ms)
    uneven += float(parameters.dip_percent) / 100 * min(1.0, 100 / tau_ms)
    for tick, count in enumerate(counts):
        bulk.steps(count, tick * TICK_NS, (tick + 1) * TICK_NS)
        step_singly(single, count, tick)
        end = (tick + 1) * TICK_NS
        tolerance = one_step_pa + uneven * 120 * one_step_pa / 2
        assert bulk.pressure_down_pa(end) == pytest.approx(single.pressure_down_pa(end), abs=tolerance)


@settings(deadline=None)  # what time it takes depends on who else is at work
@given(st.integers(1, 120), st.integers(1, 300))
def test_steady_bulk_and_stepwise_pressure_agree_to_a_thousandth(count, ticks):
    """Reference line: RC is 18 ticks, so a bulk of n steps is off by (1/36n)^2/6 of it and no more."""
    bulk, single = Plant(), Plant()
    for tick in range(ticks):
        bulk.steps(count, tick * TICK_NS, (tick + 1) * TICK_NS)
        step_singly(single, count, tick)
    end = ticks * TICK_NS
    assert bulk.stored_nl(end) == pytest.approx(single.stored_nl(end), rel=1e-3)
    assert bulk.outflow_nl(end) == pytest.approx(single.outflow_nl(end), rel=1e-3, abs=0.1)


@settings(max_examples=40)
@given(PARAMETERS, COUNTS)
def test_what_was_displaced_is_in_the_line_or_has_left(parameters, counts):
    """Outflow here is the integral of (p - p_back)/R over 2 ms trapezia, not from the plant's balance."""
    plant = Plant(parameters)
    r_ms = float(parameters.resistance_pa_ms_nl)
    back_pa = float(parameters.back_pressure_pa)
    left_nl = 0.0
    for tick, count in enumerate(counts):
        start = tick * TICK_NS
        flow = [plant.pressure_down_pa(start)]
        # the same bulk in 50 parts, to see the pressure on the way
        done = 0
        for part in range(50):
            to = count * (part + 1) // 50
            plant.steps(to - done, start + part * TICK_NS // 50, start + (part + 1) * TICK_NS // 50)
            done = to
            flow.append(plant.pressure_down_pa(start + (part + 1) * TICK_NS // 50))
        left_nl += sum((a + b) / 2 - back_pa for a, b in zip(flow, flow[1:], strict=False)) * 2 / r_ms
    end = len(counts) * TICK_NS
    displaced = float(plant.displaced_nl())
    assert plant.outflow_nl(end) + plant.stored_nl(end) == pytest.approx(displaced, abs=1e-6)
    assert left_nl == pytest.approx(plant.outflow_nl(end), rel=0.01, abs=31.25)


WORLDS = st.lists(
    st.one_of(
        st.tuples(st.just("height"), st.integers(-30_000, 30_000), st.none()),
        st.tuples(st.sampled_from(TONES), st.integers(0, 10_000), st.sampled_from([0.1, 0.25, 1.2, 5])),
        st.tuples(st.just("tap"), st.none(), st.none()),
    ),
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(PARAMETERS, st.integers(-36, 40), COUNTS, WORLDS)
def test_however_the_world_moves_what_was_displaced_is_in_the_line_or_has_left(
    parameters, drift, counts, world
):
    """Outflow here is the integral of (p - b)/R over 2 ms trapezia, b as the world makes it."""
    parameters = replace(parameters, compliance_drift_percent_k=Fraction(drift))
    plant = Plant(parameters)
    r_ms, height, tones, shut = float(parameters.resistance_pa_ms_nl), 0.0, {}, False
    left_nl = most_nl = 0.0

    def flow(at_ns):
        b = float(parameters.back_pressure_pa) + height
        for amplitude, hz, since_ns in tones.values():
            b += amplitude * math.sin(2 * math.pi * hz * (at_ns - since_ns) / 1e9)
        return 0.0 if shut else (plant.pressure_down_pa(at_ns) - b) / r_ms

    for tick, count in enumerate(counts):
        start = tick * TICK_NS
        if tick % 3 == 2 and world:
            what, value, hz = world.pop()
            if what == "height":
                plant.set_height(height := value, start)
            elif what == "tap":
                (plant.unocclude if shut else plant.occlude)("downstream", start)
                shut = not shut
            else:
                plant.set_tone(what, value, hz, start)
                tones[what] = (value, hz, start)
        done, before = 0, flow(start)
        for part in range(50):
            to, at_ns = count * (part + 1) // 50, start + (part + 1) * TICK_NS // 50
            plant.steps(to - done, start + part * TICK_NS // 50, at_ns)
            done, now = to, flow(at_ns)
            left_nl += (before + now) / 2 * 2
            most_nl = max(most_nl, abs(left_nl))
            before = now
    end = len(counts) * TICK_NS
    stored = plant.stored_nl(end)
    assert plant.outflow_nl(end) + stored == pytest.approx(float(plant.displaced_nl()), abs=1e-6)
    assert stored == pytest.approx(float(plant.displaced_nl()) - left_nl, rel=0.01, abs=31.25 + most_nl / 100)


@given(COUNTS, st.lists(st.integers(0, 10**10), min_size=1, max_size=5))
def test_asking_changes_nothing(counts, questions):
    asked, quiet = Plant(seed=3), Plant(seed=3)
    for tick, count in enumerate(counts):
        for plant in (asked, quiet):
            plant.steps(count, tick * TICK_NS, (tick + 1) * TICK_NS)
        for later in questions:
            at = (tick + 1) * TICK_NS + later
            for question in (
                asked.adc_pressure_down,
                asked.adc_pressure_up,
                asked.outflow_nl,
                asked.stored_nl,
            ):
                question(at)
        end = (tick + 1) * TICK_NS
        assert asked.adc_pressure_down(end) == quiet.adc_pressure_down(end)
        assert asked.outflow_nl(end) == quiet.outflow_nl(end)


@settings(deadline=None)
@given(
    PARAMETERS,
    st.lists(st.integers(-300, 2_000), min_size=1, max_size=12),
    st.integers(0, 3_200),
    st.integers(0, 12),
)
@example(replace(PlantParameters(), dip_percent=Fraction(500)), [3_000, 1_000, -300, 3_000], 0, 1)
def test_with_the_inlet_closed_a_head_that_takes_back_is_in_bulk_what_it_is_step_by_step(
    parameters, counts, start, shut_at
):
    bulk, single = Plant(parameters, angle_steps=start), Plant(parameters, angle_steps=start)
    for tick, count in enumerate(counts):
        if tick == shut_at % len(counts):
            bulk.occlude("upstream", tick * TICK_NS)
            single.occlude("upstream", tick * TICK_NS)
        bulk.steps(count, tick * TICK_NS, (tick + 1) * TICK_NS)
        step_singly(single, count, tick)
        assert bulk.displaced_nl() == single.displaced_nl()
        assert bulk.inlet_lacks_nl() == single.inlet_lacks_nl() <= 49_500
        assert bulk.encoder_count == single.encoder_count
        assert bulk.displaced_nl() + bulk.reservoir_nl() - bulk.inlet_lacks_nl() == bulk.fill_nl


# --- whatever goes wrong

LINES = st.builds(
    PlantParameters,
    compliance_nl_pa=st.integers(5, 40).map(lambda n: Fraction(n, 20)),
    resistance_pa_ms_nl=st.integers(1800, 36_000).map(Fraction),
    calibration_error_percent=st.integers(-50, 50).map(lambda n: Fraction(n, 10)),
    back_pressure_pa=st.integers(-2000, 20_000).map(Fraction),
)
SIDE = st.sampled_from(SIDES)
HAPPENINGS = st.one_of(
    st.tuples(st.just("steps"), st.integers(-3, 120) | st.sampled_from([1000, -1000])),
    st.tuples(st.just("singles"), st.integers(-3, 12)),
    st.tuples(st.just("wait"), st.integers(1, 50)),
    st.tuples(st.just("turn the tap"), SIDE),
    st.tuples(st.just("turn the tap"), SIDE),
    st.tuples(st.just("stall"), st.booleans()),
    st.tuples(st.just("driver_fault"), st.booleans()),
    st.tuples(st.just("free_flow"), st.sampled_from([0, 0, 0, 1, 7_654_321, 120_000_000])),
    st.tuples(st.just("refill"), st.integers(0, 20_000_000)),
    st.tuples(st.just("sensor"), st.tuples(st.sampled_from(SENSORS), st.sampled_from(KINDS))),
)


class Books:
    """Who has how much, a step at a time: the plainest account of reservoir, inlet and line."""

    def __init__(self, parameters, fill_nl):
        self.step_nl = REFERENCE.step_nl * (1 + parameters.calibration_error_percent / 100)
        self.reservoir_nl = Fraction(fill_nl)
        self.inlet_lacks_nl = self.displaced_nl = Fraction(0)
        self.closed_up = self.blocked = False
        self.free_nl_h, self.free_since_tick, self.free_steps = 0, 0, 0
        self.most_lack_nl = Fraction(49_500)

    def turn(self, direction):
        nl = self.step_nl * direction
        if self.closed_up:
            nl = min(nl, self.most_lack_nl - self.inlet_lacks_nl)
            self.inlet_lacks_nl += nl
        else:
            self.reservoir_nl -= nl
        self.displaced_nl += nl

    def motor(self, count):
        for _ in range(0 if self.blocked else abs(count)):
            self.turn(1 if count > 0 else -1)

    def until(self, tick):
        """Free flow: one step for each microstep's worth, of the calibrated volume."""
        hours = Fraction(tick - self.free_since_tick, 36_000)
        due = int(self.free_nl_h * hours / REFERENCE.step_nl)
        for _ in range(due - self.free_steps):
            self.turn(1)
        self.free_steps = due


class Watched:
    """A plant beside its books: whatever is done to one is done to the other. `left_nl` is the outflow:
    what the resistance lets through, the integral of pressure over R, and nothing while closed.
    """

    def __init__(self, parameters, fill_nl):
        self.plant = Plant(parameters, fill_nl=fill_nl)
        self.books = Books(parameters, fill_nl)
        self.c = float(parameters.compliance_nl_pa)
        self.r = float(parameters.resistance_pa_ms_nl)
        self.back_pa = float(parameters.back_pressure_pa)
        self.tick, self.left_nl = 0, 0.0
        self.stalled = self.no_driver = False
        self.closed: set[str] = set()

    def excess_pa(self, at_ns):
        return self.plant.pressure_down_pa(at_ns) - self.back_pa

    def let_pass(self, from_ns, to_ns):
        """Simpson's rule over the pressure, while nothing turns."""
        panels, span_ns = 16, to_ns - from_ns
        total = self.excess_pa(from_ns) + self.excess_pa(to_ns)
        for index in range(1, panels):
            total += self.excess_pa(from_ns + span_ns * index // panels) * (4 if index % 2 else 2)
        if "downstream" not in self.closed:
            self.left_nl += total * span_ns / NS_PER_MS / 3 / panels / self.r

    def do(self, what, how):
        plant, books, now_ns = self.plant, self.books, self.tick * TICK_NS
        if what == "steps":
            self.steps(how)
        elif what == "singles" and not books.free_nl_h:
            self.singles(how)
        elif what == "wait" and not books.free_nl_h:
            for _ in range(how):
                self.let_pass(self.tick * TICK_NS, (self.tick + 1) * TICK_NS)
                self.tick += 1
        elif what == "turn the tap":
            self.turn_the_tap(how)
        elif what == "stall":
            plant.set_stalled(how)
            self.stalled = how
        elif what == "driver_fault":
            plant.set_driver_fault(how, now_ns)
            self.no_driver = how
        elif what == "free_flow":
            plant.free_flow(how, now_ns)
            books.free_nl_h, books.free_since_tick, books.free_steps = how, self.tick, 0
        elif what == "refill":
            plant.refill(how)
            books.reservoir_nl = Fraction(how)
        elif what == "sensor":
            plant.sensor_fault(how[0], how[1], now_ns)
        books.blocked = self.stalled or self.no_driver

    def steps(self, count):
        plant, now_ns, end_ns = self.plant, self.tick * TICK_NS, (self.tick + 1) * TICK_NS
        before_nl, stored_nl = plant.outflow_nl(now_ns), plant.stored_nl(now_ns)
        plant.steps(count, now_ns, end_ns)
        self.books.motor(count)
        self.tick += 1
        self.books.until(self.tick)
        plant.advance(end_ns)
        # a bulk has no inside to look at: what it lets through lies between the least and the most
        came_nl = plant.outflow_nl(end_ns) - before_nl
        if "downstream" in self.closed:
            assert came_nl == pytest.approx(0, abs=1e-3)
        else:
            least, most = sorted((stored_nl, plant.stored_nl(end_ns)))
            tau_ms = self.r * self.c
            assert least * 100 / tau_ms - 1e-3 <= came_nl <= most * 100 / tau_ms + 1e-3
        self.left_nl += came_nl

    def singles(self, count):
        at_ns = now_ns = self.tick * TICK_NS
        for index in range(abs(count)):
            edge_ns = now_ns + (2 * index + 1) * TICK_NS // (2 * abs(count))
            self.let_pass(at_ns, edge_ns)
            self.plant.step(1 if count > 0 else -1, edge_ns)
            at_ns = edge_ns
        self.let_pass(at_ns, now_ns + TICK_NS)
        self.books.motor(count)
        self.tick += 1

    def turn_the_tap(self, side):
        self.closed ^= {side}
        if side in self.closed:
            self.plant.occlude(side, self.tick * TICK_NS)
        else:
            self.plant.unocclude(side, self.tick * TICK_NS)
        books = self.books
        books.closed_up = "upstream" in self.closed
        if not books.closed_up:
            books.reservoir_nl -= books.inlet_lacks_nl
            books.inlet_lacks_nl = Fraction(0)

    def check(self):
        plant, books, at_ns = self.plant, self.books, self.tick * TICK_NS
        assert plant.displaced_nl() == books.displaced_nl
        assert plant.inlet_lacks_nl() == books.inlet_lacks_nl
        assert plant.reservoir_nl() == max(0, books.reservoir_nl)
        assert plant.pressure_up_pa(at_ns) == pytest.approx(-float(books.inlet_lacks_nl) * 2)
        scale = float(abs(books.displaced_nl)) + 1
        assert plant.outflow_nl(at_ns) == pytest.approx(self.left_nl, abs=1e-6 * scale)
        stored_nl = float(books.displaced_nl) - self.left_nl
        assert self.excess_pa(at_ns) * self.c == pytest.approx(stored_nl, abs=1e-6 * scale)
        assert plant.pressure_peak_pa() >= plant.pressure_down_pa(at_ns) - 1e-6


@settings(deadline=None)
@given(LINES, st.lists(HAPPENINGS, min_size=5, max_size=60), st.integers(0, 10**7))
@example(
    PlantParameters(),
    [
        ("turn the tap", "upstream"), ("steps", 1000), ("steps", 1000), ("steps", -3), ("steps", 5),
        ("turn the tap", "upstream"), ("steps", 5), ("turn the tap", "downstream"), ("singles", 12),
        ("turn the tap", "downstream"), ("wait", 30), ("singles", 3),
    ],
    0,
)  # fmt: skip
def test_whatever_goes_wrong_nothing_is_lost_and_nothing_is_made(parameters, happenings, fill_nl):
    """Reservoir, inlet, displaced: to the last fraction as in the books. Outflow as `Watched` adds it up."""
    watched = Watched(parameters, 10**8 + fill_nl)
    for what, how in happenings:
        watched.do(what, how)
        watched.check()

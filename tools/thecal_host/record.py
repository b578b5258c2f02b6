"""What a record says: its header, and how to make a `Run` of it again. The file itself is `recording`'s.

After the header come the frames of the pump as they were received (`status`, `event`, ...), in `thecal run`
and `thecal simulate --json --every` with the plant's `sample` records among them.

What was programmed is the prescriber's (`prescription_of`), in force from when the pump's events say that it
took it. A run with boluses of the patient, a limit or steps of the day gets a `report.Course` as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from thecal.rig import Rig, RigError, read
from thecal_model.kept import joined, therapy_of
from thecal_model.quantities import MS_PER_WEEK, as_message, of_message
from thecal_model.text import mark_text
from thecal_model.therapy import Profile, Therapy

from thecal_host.programmed import CLINICIAN, PATIENT, Programmed
from thecal_host.recording import Loaded, RecordError, load
from thecal_host.report import Asked, Course, LimitInForce, Run, Sample

# Who saw the volume that a record calls delivered.
PLANT = "plant"
COUNTED_PULSES = "counted pulses"

# A line is primed at this rate, or at the highest of the therapy (DOSE-09).
PRIME_NL_H = 60_000_000

# Longer than any run; a number beyond it is damage, and would take as long to go through.
MOST_SPAN_MS = 10 * 366 * 86_400_000


def header(
    *,
    title: str,
    source: str,
    nl_per_step: Fraction,
    tick_ms: int,
    rig: Rig | None = None,
    prescription: dict[str, Any] | None = None,
    kept: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """What is known beforehand; of the rig, all of it and what it leaves unwatched. With a prescription
    (`prescription_of`), or the therapy in force as the pump keeps it (`kept`), the record can be judged
    without any other file.
    """
    known: dict[str, Any] = {
        "title": title,
        "source": source,
        "nl_per_step": _pair(nl_per_step),
        "tick_ms": tick_ms,
        **more,
    }
    if rig is not None:
        known["rig"] = rig.tables
        known["unwatched"] = rig.unwatched()
    if prescription is not None:
        known["prescription"] = prescription
    elif kept is not None:
        known["therapy"] = kept
        known["prescription"] = prescription_of(*therapy_of(kept["therapy"]))
    return known


def told_therapies(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The therapies that the pump told of while it was recorded, as it keeps them."""
    pages: dict[int, list[dict[str, Any]]] = {}
    for reply in records:
        if reply["type"] == "reply" and "therapy" in reply and "tick_s" in reply:
            pages.setdefault(reply["number"], []).append(reply)
    return [joined(of_one) for of_one in pages.values()]


def _before_the_first(records: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """What was prescribed to a pump whose first therapy is in the record: nothing; None where none is."""
    told = told_therapies(records)
    return prescription_of(Therapy("stopped"), therapy_of(told[0]["therapy"])[1]) if told else None


def _with_later_therapies(
    prescription: dict[str, Any], head: dict[str, Any], records: list[dict[str, Any]]
) -> dict[str, Any]:
    """The same with the therapies that the pump told of while it was recorded."""
    first = next((r for r in records if r["type"] == "status"), None)
    told = told_therapies(records)
    if first is None or not told:
        return prescription
    later = [
        _therapy_of(kept["tick_s"] * 1000 - first["tick"] * head["tick_ms"], therapy_of(kept["therapy"])[0])
        for kept in told
    ]
    return {**prescription, "therapies": [*prescription["therapies"], *later]}


def prescription_of(
    therapy: Therapy,
    profile: Profile,
    later: Sequence[tuple[int, Therapy]] = (),
    boluses: Sequence[tuple[int, Fraction]] = (),
    clock_ms: int | None = None,
) -> dict[str, Any]:
    """What was prescribed, as the header of a record has it: exact numbers as [numerator, denominator].

    `later` are therapies with the time (ms) of each, `boluses` a clinician's (nL, nL/h), `clock_ms` is the
    time of the week at the beginning; None where it is not known.
    """
    return {
        "clock_ms": clock_ms,
        "max_rate_nl_h": None if profile.max_rate_nl_h is None else int(profile.max_rate_nl_h),
        "kvo_on_low": profile.on_low_reservoir == "kvo",
        "therapies": [_therapy_of(at_ms, therapy) for at_ms, therapy in [(0, therapy), *later]],
        "boluses": [
            {"volume_nl": volume_nl, "rate_nl_h": _pair(rate_nl_h)} for volume_nl, rate_nl_h in boluses
        ],
    }


def _therapy_of(at_ms: int, therapy: Therapy) -> dict[str, Any]:
    """One therapy; its `steps` are (time of the week, rate), the first of which is where the week begins."""
    concentration_pg_nl = therapy.concentration_pg_nl
    starts_ms = {0, *(start_ms for step in therapy.steps for start_ms in step.starts_ms())}
    bolus, limit = therapy.patient_bolus, therapy.limit
    limit_nl = None if limit is None else _amount_nl(limit.volume_nl, limit.dose_pg, concentration_pg_nl)
    return {
        "at_ms": at_ms,
        "mode": therapy.mode,
        "steps": [[start_ms, *_pair(therapy.basal_nl_h(start_ms))] for start_ms in sorted(starts_ms)],
        "kvo_nl_h": _pair(therapy.kvo_nl_h or Fraction(0)),
        "concentration_pg_nl": as_message(concentration_pg_nl),
        "patient_bolus": None
        if bolus is None
        else {
            "volume_nl": _pair(bolus.volume_in_nl(concentration_pg_nl)),
            "rate_nl_h": _pair(bolus.flow_nl_h(concentration_pg_nl)),
        },
        "limit": None
        if limit is None or limit_nl is None
        else {"window_ms": limit.window_ms, "volume_nl": _pair(limit_nl)},
    }


def _amount_nl(volume_nl: int, dose_pg: int, concentration_pg_nl: Fraction) -> Fraction:
    return Fraction(dose_pg, concentration_pg_nl) if dose_pg else Fraction(volume_nl)


def _pair(number: Fraction) -> list[int]:
    return [number.numerator, number.denominator]


def run_of(path: Path, therapy: tuple[Therapy, Profile] | None = None) -> Run:
    """The run that a record holds; `therapy` for one whose header does not know what was prescribed.

    Raises RecordError.
    """
    return run_of_loaded(path, load(path), therapy)


def run_of_loaded(path: Path | str, loaded: Loaded, therapy: tuple[Therapy, Profile] | None = None) -> Run:
    """The same of a record that was read already from `path`."""
    head, records = loaded.header, loaded.records
    prescription = prescription_of(*therapy) if therapy is not None else head.get("prescription")
    if prescription is None:
        prescription = _before_the_first(records)
    if prescription is None:
        raise RecordError(
            f"{path}: does not say what was prescribed: give the file that was programmed with --therapy"
        )
    try:
        if therapy is None:
            prescription = _with_later_therapies(prescription, head, records)
        samples, events, running = (_from_plant if head["source"] == PLANT else _from_frames)(head, records)
        if len(samples) < 2:
            raise RecordError(
                f"{path}: holds {len(samples)} samples, two make a run (`thecal simulate` takes --every)"
            )
        if samples[-1].at_ms > MOST_SPAN_MS:
            raise RecordError(f"{path}: says that it is {samples[-1].at_ms} ms long, more than ten years")
        if any(one.at_ms >= after.at_ms for one, after in pairwise(samples)):
            raise RecordError(f"{path}: goes back in time: were two records joined?")
        replay = _Replay(prescription, events, samples[-1].at_ms, running, _nl_per_step(head))
        peak_nl = next((r.get("window_peak_nl") for r in records if r["type"] == "summary"), None)
        return Run(
            title=head["title"],
            nl_per_step=_nl_per_step(head),
            programmed=replay.programmed,
            samples=samples,
            source=head["source"],
            marks=marks_of(events, samples[0].at_ms, samples[-1].at_ms),
            bound_steps=max(1, running + sum(_starts(event) for _, event in events)),
            course=replay.course(peak_nl) if _has_course(prescription) else None,
            rig=read(head["rig"]) if "rig" in head else None,
            events=events,
            asked=replay.course(None).asked,
            gaps=_gaps(records, head["tick_ms"]),
        )
    except RecordError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RigError) as why:
        # Whatever a line lacks or has in another form than this program writes.
        raise RecordError(f"{path}: is no record of a run ({type(why).__name__}: {why})") from None


def _nl_per_step(head: dict[str, Any]) -> Fraction:
    """What a microstep displaces; ValueError where it is nothing."""
    numerator, denominator = head["nl_per_step"]
    nl_per_step = Fraction(numerator, denominator)
    if nl_per_step <= 0:
        raise ValueError(f"a microstep displaces {nl_per_step} nL")
    return nl_per_step


def _gaps(records: list[dict[str, Any]], tick_ms: int) -> list[tuple[int, int]]:
    """Where the line was lost between two statuses, in the time of the samples (`_from_frames`)."""
    first_tick = last_tick = None
    is_lost, found = False, []
    for record in records:
        if record["type"] == "status":
            first_tick = record["tick"] if first_tick is None else first_tick
            if is_lost and last_tick is not None:
                found.append(((last_tick - first_tick) * tick_ms, (record["tick"] - first_tick) * tick_ms))
            last_tick, is_lost = record["tick"], False
        is_lost = is_lost or record["type"] == "gap"
    return found


Timed = list[tuple[int, dict[str, Any]]]


def _from_plant(head: dict[str, Any], records: list[dict[str, Any]]) -> tuple[list[Sample], Timed, bool]:
    """`thecal run` and `thecal simulate`: times count from t=0, where the pump is stopped."""
    found = [r for r in records if r["type"] == "sample"]
    if any(r.get("delivered_pl", r.get("delivered_nl")) is None for r in found):
        raise ValueError("its board has no plant, so nobody knows what was delivered")
    samples = [Sample(r["at_ms"], _delivered_nl(r), r["pressure_pa"]) for r in found]
    if samples and samples[0].at_ms > 0:
        samples.insert(0, Sample(0, Fraction(0)))
    return samples, [(r["at_ms"], r) for r in records if r["type"] == "event"], False


def _delivered_nl(sample: dict[str, Any]) -> Fraction:
    """`thecal simulate` rounds to whole nanolitres."""
    return (
        Fraction(sample["delivered_pl"], 1000)
        if "delivered_pl" in sample
        else Fraction(sample["delivered_nl"])
    )


def _from_frames(head: dict[str, Any], records: list[dict[str, Any]]) -> tuple[list[Sample], Timed, bool]:
    """`thecal record`: times and volumes count from the first status."""
    statuses = [r for r in records if r["type"] == "status"]
    if not statuses:
        return [], [], False
    first = statuses[0]
    if first["bolus"] != "none":
        raise ValueError("it begins within a bolus, of which it does not know how much was left")
    tick_ms, nl_per_step = head["tick_ms"], _nl_per_step(head)
    samples = []
    for status in statuses:
        if status["tick"] < first["tick"] + (samples[-1].at_ms // tick_ms if samples else 0):
            raise ValueError(f"the pump restarted after tick {first['tick'] + samples[-1].at_ms // tick_ms}")
        delivered_nl = (status["executed_steps"] - first["executed_steps"]) * nl_per_step
        sample = Sample((status["tick"] - first["tick"]) * tick_ms, delivered_nl)
        if samples and samples[-1].at_ms == sample.at_ms:
            samples.pop()  # somebody asked for one in the tick of the one that comes by itself
        samples.append(sample)
    events = [
        ((r["tick"] - first["tick"]) * tick_ms, r)
        for r in records
        if r["type"] == "event" and r["tick"] > first["tick"]
    ]
    return samples, events, first["state"] == "RUNNING"


def _starts(event: dict[str, Any]) -> bool:
    from thecal import states

    runs = event["code"] == "state" and event["b"] == states.RUNNING
    return runs or event["code"] in ("prime_start", "jog_start")


def programmed_by_events(
    prescription: dict[str, Any],
    events: Timed,
    end_ms: int,
    running: bool = False,
    nl_per_step: Fraction = Fraction(0),
) -> Programmed:
    """What should have flowed, given when the pump took which order (`events`: time in ms and frame).

    Rates are the prescriber's, exact: a clinician's bolus takes that of the first order of its volume that is
    not yet used; only where there is none is the rate of the event taken, which the pump rounds down to
    1 nL/h. A jog is told in microsteps, of `nl_per_step`.
    """
    return _Replay(prescription, events, end_ms, running, nl_per_step).programmed


def _has_course(prescription: dict[str, Any]) -> bool:
    """Whether there is more to see than one volume."""
    return any(
        len(therapy["steps"]) > 1 or therapy["patient_bolus"] or therapy["limit"]
        for therapy in prescription["therapies"]
    )


def _in_effect(timed: tuple[int, dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    """An event at the time at which it changes the flow.

    What is ordered is stamped with that time; that the reservoir is low is found out a tick before it.
    """
    from thecal.clock import TICK_MS
    from thecal.watch.alarms import RESERVOIR_LOW

    at_ms, event = timed
    found_out = event["code"] == "alarm" and event["a"] == RESERVOIR_LOW and event["b"]
    return (at_ms + TICK_MS if found_out else at_ms), event


class _Replay:
    """Goes through the events once: `programmed` is what should have flowed, `course` what else there is."""

    def __init__(
        self,
        prescription: dict[str, Any],
        events: Timed,
        end_ms: int,
        running: bool,
        nl_per_step: Fraction = Fraction(0),
    ) -> None:
        self._prescription = prescription
        self._nl_per_step = nl_per_step
        self._orders = list(prescription["boluses"])
        self._therapy = prescription["therapies"][0]
        self._drug_pg_nl = of_message(self._therapy["concentration_pg_nl"] or 0)  # of the last that named one
        self._old_pg_nl = Fraction(0)  # and of the drug before it, which a bridge still delivers
        self._clock_ms = prescription["clock_ms"]  # the time of the week, less that of the run
        self._bridging = self._low = self._clock_was_set = False
        self._asked: list[Asked] = []
        self._limits: list[LimitInForce] = []
        self._told_ms = 0
        self.programmed = Programmed(0, prescription["max_rate_nl_h"])
        self._follow(0)
        if running:
            self.programmed.start(0)
        for at_ms, event in sorted(map(_in_effect, events), key=lambda timed: timed[0]):
            if at_ms > end_ms:
                break
            self._go_on_to(at_ms)
            self._take(at_ms, event)
        self._go_on_to(end_ms)
        self.programmed.finish(end_ms)

    def course(self, peak_nl: int | None) -> Course:
        """What the patient asked for, and what limits it; `peak_nl` is the fullest window, if known."""
        clock_ms = None if self._clock_was_set else self._prescription["clock_ms"]
        return Course(self._asked, self._limits, clock_ms, peak_nl)

    def _go_on_to(self, at_ms: int) -> None:
        """Take the steps of the day that begin up to then."""
        while True:
            next_ms = self._next_step_ms()
            if next_ms is None or next_ms >= at_ms:
                break
            self._told_ms = next_ms
            self._set_basal(next_ms)
        self._told_ms = at_ms

    def _next_step_ms(self) -> int | None:
        """When the next step of the day begins; None in a therapy that has one rate."""
        starts_ms = [step[0] for step in self._therapy["steps"]]
        if len(starts_ms) < 2:
            return None
        week_ms = self._week_ms(self._told_ms)
        return self._told_ms + min((start - week_ms - 1) % MS_PER_WEEK + 1 for start in starts_ms)

    def _week_ms(self, at_ms: int) -> int:
        if self._clock_ms is None:
            raise ValueError("it does not know the time of day, so not which step of the day was in force")
        return (self._clock_ms + at_ms) % MS_PER_WEEK

    def _set_basal(self, at_ms: int) -> None:
        steps = self._therapy["steps"]
        week_ms = self._week_ms(at_ms) if len(steps) > 1 else 0
        _, num, den = next(step for step in reversed(steps) if step[0] <= week_ms)
        times = self._times()
        rate_nl_h = Fraction(num, den) * (1 if self._therapy.get("mode") == "minimum" else times)
        if self._low and self._prescription["kvo_on_low"]:
            rate_nl_h = min(rate_nl_h, Fraction(*self._therapy["kvo_nl_h"]) * times)
        self.programmed.set_basal(at_ms, rate_nl_h)

    def _follow(self, at_ms: int) -> None:
        """The therapy that flows from now on, and its limit."""
        self._set_basal(at_ms)
        times = self._times()
        limit = self._therapy["limit"]
        limit_nl = None if limit is None else Fraction(*limit["volume_nl"]) * times
        window_ms = 0 if limit is None else limit["window_ms"]
        leaving_pg_nl = of_message(self._therapy["concentration_pg_nl"] or 1) / times
        in_force = LimitInForce(at_ms, window_ms, limit_nl, leaving_pg_nl)
        if self._limits and self._limits[-1].at_ms == at_ms:
            self._limits.pop()
        self._limits.append(in_force)

    def _times(self) -> Fraction:
        """What a volume of the therapy is of the drug that leaves: while the old one does, more or less."""
        known = self._bridging and self._old_pg_nl and self._drug_pg_nl
        return self._drug_pg_nl / self._old_pg_nl if known else Fraction(1)

    def _take(self, at_ms: int, event: dict[str, Any]) -> None:
        from thecal import states
        from thecal.causes import CAUSES
        from thecal.link.commands import COMMANDS
        from thecal.watch.alarms import RESERVOIR_LOW

        code, a, b = event["code"], event["a"], event["b"]
        if code == "state":
            if b == states.RUNNING:
                self.programmed.start(at_ms)
            elif a in (states.RUNNING, states.PRIMING, states.JOGGING):
                self.programmed.stop(at_ms)
        elif code == "prime_start":
            most_nl_h = self._prescription["max_rate_nl_h"] or PRIME_NL_H
            self.programmed.turn(at_ms, a, min(PRIME_NL_H, most_nl_h), primes=True)
        elif code == "jog_start":
            self.programmed.turn(at_ms, a * self._nl_per_step, b)
        elif code == "therapy":
            self._therapy = self._prescribed(at_ms, a)
            pg_nl = of_message(self._therapy["concentration_pg_nl"] or 0)
            if pg_nl and pg_nl != self._drug_pg_nl:
                self._old_pg_nl, self._drug_pg_nl = self._drug_pg_nl, pg_nl
            self._follow(at_ms)
        elif code == "bridge":
            # While the old drug leaves the line, the dose in force flows at its concentration.
            self._bridging = bool(b)
            self._follow(at_ms)
        elif code == "clock":
            self._clock_was_set = True
            self._clock_ms = a * 1000 - at_ms
            self._set_basal(at_ms)
        elif code == "alarm" and a == RESERVOIR_LOW:
            self._low = bool(b)
            self._set_basal(at_ms)
        elif code == "bolus_start":
            order = next((order for order in self._orders if order["volume_nl"] == a), None)
            if order is not None:
                self._orders.remove(order)
            self._bolus(
                at_ms, CLINICIAN, Fraction(a), Fraction(*order["rate_nl_h"]) if order else Fraction(b)
            )
        elif code == "patient_bolus_start":
            known = self._therapy["patient_bolus"] or {"volume_nl": [a, 1], "rate_nl_h": [b, 1]}
            self._bolus(at_ms, PATIENT, Fraction(*known["volume_nl"]), Fraction(*known["rate_nl_h"]))
        elif code == "denied" and COMMANDS[a].name in ("patient_bolus", "bolus"):
            kind = PATIENT if COMMANDS[a].name == "patient_bolus" else CLINICIAN
            self._asked.append(Asked(at_ms, kind, None, CAUSES[b]))

    def _bolus(self, at_ms: int, kind: str, volume_nl: Fraction, rate_nl_h: Fraction) -> None:
        self.programmed.bolus(at_ms, volume_nl, rate_nl_h, kind)
        self._asked.append(Asked(at_ms, kind, volume_nl, None))

    def _prescribed(self, at_ms: int, fastest_nl_h: int) -> dict[str, Any]:
        """The therapy confirmed then, by its time and its fastest rate, which the pump rounds down."""
        therapies = [
            therapy
            for therapy in self._prescription["therapies"]
            if max(Fraction(num, den) for _, num, den in therapy["steps"]) // 1 == fastest_nl_h
        ]
        # A command acts at the first tick at or after its time.
        begun = [therapy for therapy in therapies if therapy["at_ms"] <= at_ms]
        if begun or therapies:
            return (begun or therapies)[-1]
        unknown: dict[str, Any] = dict.fromkeys(("limit", "patient_bolus"))
        return {"steps": [[0, fastest_nl_h, 1]], "kvo_nl_h": [0, 1], "concentration_pg_nl": 0, **unknown}


def marks_of(events: Timed, first_ms: int, last_ms: int) -> list[tuple[int, str]]:
    """The events as marks for the picture, those of one moment as one mark."""
    texts: dict[int, list[str]] = {}
    for at_ms, event in events:
        if first_ms <= at_ms <= last_ms:
            texts.setdefault(at_ms, []).append(mark_text(event))
    return [(at_ms, " · ".join(words)) for at_ms, words in texts.items()]

"""What may be programmed: one validator that says everything that is wrong at once.

`parse` takes the `therapy` object of the link's `program` command and a mechanism, and returns a
`Prescription` or raises `PrescriptionError` with a list of problems, each naming key, value and bound. Keys:

    mode                continuous
    rate_num, rate_den  basal rate, nL/h as a fraction; or
    drug, concentration_pg_nl, dose_pg_day   basal as a dose: the rate follows exactly
    kvo_num, kvo_den    keep-vein-open rate, nL/h; 0 where absent
    max_rate_nl_h       profile: total of all flows never above this; the mechanism's and MOST_RATE_NL_H bound
    it
"""

import binascii
import hashlib

from .units import dose_of_rate, rate_of_dose, reduced

# DOSE-04: 0.048 mL/day, the slowest rate of implantable pumps, to 60 mL/h, for each component; 120 mL/h in
# total.
LEAST_COMPONENT_NL_H = 2_000
MOST_COMPONENT_NL_H = 60_000_000
MOST_RATE_NL_H = 120_000_000
MOST_BOLUS_NL = 60_000_000  # 60 mL, more than the largest reservoir; keeps the bolus' steps far below 2^30
MOST_BOLUS_MS = 24 * 3_600_000

KEYS = (
    "mode",
    "rate_num",
    "rate_den",
    "drug",
    "concentration_pg_nl",
    "dose_pg_day",
    "kvo_num",
    "kvo_den",
    "max_rate_nl_h",
)
MODES = ("continuous",)


class PrescriptionError(Exception):
    """What was asked can not be given; `problems` is the list of all reasons, as texts."""

    def __init__(self, problems):
        super().__init__("; ".join(problems))
        self.problems = problems


class Prescription:
    """A therapy as the device understood it. Rates are reduced fractions of nL/h that the mechanism reaches
    exactly.
    """

    def __init__(self, rate, kvo, max_rate_nl_h, drug, concentration_pg_nl):
        self.rate_num, self.rate_den = rate
        self.kvo_num, self.kvo_den = kvo
        self.max_rate_nl_h = max_rate_nl_h
        self.drug = drug
        self.concentration_pg_nl = concentration_pg_nl

    def readback(self, mechanism):
        """What the device will do, for the human to read and confirm: a dict of integers and short texts."""
        steps_num, steps_den = mechanism.steps_per_tick(self.rate_num, self.rate_den)
        said = {
            "mode": "continuous",
            "rate_num": self.rate_num,
            "rate_den": self.rate_den,
            "daily_nl": (2 * 24 * self.rate_num + self.rate_den) // (2 * self.rate_den),
            "kvo_num": self.kvo_num,
            "kvo_den": self.kvo_den,
            "max_rate_nl_h": self.max_rate_nl_h,
            "steps_per_tick_num": steps_num,
            "steps_per_tick_den": steps_den,
        }
        if self.concentration_pg_nl:
            said["drug"] = self.drug
            said["concentration_pg_nl"] = self.concentration_pg_nl
            said["daily_pg"] = dose_of_rate(self.rate_num, self.rate_den, self.concentration_pg_nl)
        return said


def parse(therapy, mechanism):
    """A Prescription from the link's `therapy` object. Raises PrescriptionError naming every problem."""
    problems = []
    for key in sorted(therapy):
        if key not in KEYS:
            problems.append("%s: unknown key" % key)
    if therapy.get("mode") not in MODES:
        problems.append("mode: %s, must be one of %s" % (therapy.get("mode"), ", ".join(MODES)))
    largest = min(MOST_RATE_NL_H, mechanism.max_rate_nl_h())
    max_rate_nl_h = _whole(therapy, "max_rate_nl_h", LEAST_COMPONENT_NL_H, largest, problems, largest)
    concentration_pg_nl = 0
    if "dose_pg_day" in therapy or "concentration_pg_nl" in therapy or "drug" in therapy:
        rate, concentration_pg_nl = _rate_from_dose(therapy, problems)
    else:
        rate = _fraction(therapy, "rate", problems)
    if rate:
        _check_rate("rate", rate, max_rate_nl_h, mechanism, problems)
    kvo = (0, 1)
    if "kvo_num" in therapy or "kvo_den" in therapy:
        kvo = _fraction(therapy, "kvo", problems)
        if kvo and kvo[0]:
            _check_rate("kvo", kvo, max_rate_nl_h, mechanism, problems)
    if rate and kvo and kvo[0] * rate[1] > rate[0] * kvo[1]:
        problems.append("kvo: %d/%d nL/h, must not be above the basal rate %d/%d nL/h" % (kvo + rate))
    if problems:
        raise PrescriptionError(problems)
    return Prescription(rate, kvo, max_rate_nl_h, therapy.get("drug", ""), concentration_pg_nl)


def digest(readback):
    """Eight hex digits for a read-back: the start of the SHA-256 of its sorted `key=value` lines."""
    text = "\n".join("%s=%s" % (key, readback[key]) for key in sorted(readback))
    return binascii.hexlify(hashlib.sha256(text.encode()).digest()[:4]).decode()


def bolus_rate(prescription, mechanism, volume_nl, duration_ms):
    """The rate of a single bolus, a reduced fraction of nL/h: VTBI/duration, slowed to a reachable rate and
    to what the basal leaves of the profile's `max_rate` (DOSE-12); the VTBI is kept. Raises
    PrescriptionError.
    """
    problems = []
    if not 0 < volume_nl <= MOST_BOLUS_NL:
        problems.append("volume_nl: %d, must be 1 to %d" % (volume_nl, MOST_BOLUS_NL))
    if not 0 < duration_ms <= MOST_BOLUS_MS:
        problems.append("duration_ms: %d, must be 1 to %d" % (duration_ms, MOST_BOLUS_MS))
    if problems:
        raise PrescriptionError(problems)
    rate = reduced(volume_nl * 3_600_000, duration_ms)
    if rate[0] < LEAST_COMPONENT_NL_H * rate[1] or rate[0] > MOST_COMPONENT_NL_H * rate[1]:
        raise PrescriptionError(
            [
                "bolus: %d/%d nL/h, must be %d to %d nL/h"
                % (rate + (LEAST_COMPONENT_NL_H, MOST_COMPONENT_NL_H))
            ]
        )
    room = reduced(
        prescription.max_rate_nl_h * prescription.rate_den - prescription.rate_num,
        prescription.rate_den,
    )
    if room[0] * rate[1] < rate[0] * room[1]:
        rate = room
    rate = mechanism.reachable_below(*rate)
    if rate[0] < LEAST_COMPONENT_NL_H * rate[1]:
        raise PrescriptionError(["bolus: the basal leaves only %d/%d nL/h below max_rate" % rate])
    return rate


def _check_rate(name, rate, max_rate_nl_h, mechanism, problems):
    num, den = rate
    most = min(MOST_COMPONENT_NL_H, max_rate_nl_h)
    if num < LEAST_COMPONENT_NL_H * den or num > most * den:
        problems.append(
            "%s: %d/%d nL/h, must be %d to %d nL/h" % (name, num, den, LEAST_COMPONENT_NL_H, most)
        )
    elif not mechanism.reaches(num, den):
        problems.append(
            "%s: %d/%d nL/h can not be delivered exactly, the nearest that can is %d/%d nL/h"
            % ((name, num, den) + mechanism.nearest_reachable(num, den))
        )


def _rate_from_dose(therapy, problems):
    if "rate_num" in therapy or "rate_den" in therapy:
        problems.append("rate_num: give a dose or a rate, not both")
    if not isinstance(therapy.get("drug"), str) or not 0 < len(therapy["drug"]) <= 32:
        problems.append("drug: %s, must be a name of 1 to 32 characters" % therapy.get("drug"))
    found = len(problems)
    # 1 kg/mL and 1 kg/day: bounds against nonsense only; the drug library's own come on top.
    concentration_pg_nl = _whole(therapy, "concentration_pg_nl", 1, 10**9, problems)
    dose_pg_day = _whole(therapy, "dose_pg_day", 1, 10**15, problems)
    if len(problems) > found:
        return None, 0
    return rate_of_dose(dose_pg_day, concentration_pg_nl), concentration_pg_nl


def _fraction(therapy, name, problems):
    found = len(problems)
    num = _whole(therapy, name + "_num", 0, 10**18, problems)
    den = _whole(therapy, name + "_den", 1, 10**18, problems)
    return None if len(problems) > found else reduced(num, den)


def _whole(values, key, least, most, problems, default=None):
    value = values.get(key, default)
    if type(value) is not int or not least <= value <= most:
        problems.append("%s: %s, must be a whole number from %d to %d" % (key, value, least, most))
        return least
    return value

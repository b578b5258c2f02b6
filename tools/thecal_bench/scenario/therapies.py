"""The therapies of a file: its own, those that events program, and those that bridges make of them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from thecal_model import foreknown
from thecal_model import quantities as q
from thecal_model.document import Document, dotted
from thecal_model.quantities import MS_PER_DAY
from thecal_model.therapy import (
    EVERY_DAY,
    MINIMUM_RATE_NL_H,
    Limit,
    PatientBolus,
    Profile,
    Step,
    Therapy,
    rate_of_dose,
)
from thecal_model.toml_lines import Path

from thecal_bench.scenario.format import LIMIT, MODES, NESTED, PATIENT_BOLUS, STEP, THERAPY


class Therapies:
    """Reads them and keeps those that are sound, each with the path of its table, in `found`."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.found: list[tuple[Path, Therapy]] = []

    def foreknown(self, profile: Profile) -> None:
        """What a pump would refuse in the therapies, when nothing else is wrong."""
        if not self._document.problems:
            for path, therapy in self.found:
                for key, text in foreknown.problems(therapy, profile, path):
                    self._document.problem(key, text)

    def read(self, table: Mapping[str, Any], path: Path) -> Therapy | None:
        """A `[therapy]`; None, and problems, where it is none."""
        before = len(self._document.problems)
        values = self._document.values(table, THERAPY, path, NESTED)
        mode = values.get("mode")
        if mode is not None:
            self._keys_of_mode(mode, table, path)
        concentration_pg_nl = values.get("concentration", Fraction(0))
        steps = self._steps(table, path, concentration_pg_nl)
        bolus = self._patient_bolus(table, path, concentration_pg_nl)
        limit = self._limit(table, path, concentration_pg_nl)
        if mode is None or len(self._document.problems) > before:
            return None
        rate_nl_h = values.get("rate", MINIMUM_RATE_NL_H if mode == "minimum" else Fraction(0))
        if "dose" in values:
            rate_nl_h = rate_of_dose(values["dose"], concentration_pg_nl)
        found = Therapy(
            mode,
            rate_nl_h,
            values.get("kvo"),
            values.get("drug", ""),
            concentration_pg_nl,
            values.get("dose", 0),
            tuple(steps),
            bolus,
            limit,
            values.get("line"),
        )
        self.found.append((path, found))
        return found

    def _keys_of_mode(self, mode: str, table: Mapping[str, Any], path: Path) -> None:
        for name in (*THERAPY, *NESTED):
            if name in table and name != "mode" and name not in MODES[mode]:
                self._document.problem((*path, name), f'expected no such key in mode "{mode}"')
        drug = [name for name in ("drug", "concentration") if name in table]
        dosed = [*drug, "dose"] if "dose" in table else drug
        if mode == "flex" and "step" not in table:
            self._document.problem((*path, "mode"), f"expected tables [[{dotted((*path, 'step'))}]]")
        elif mode == "continuous" and "rate" in table and dosed:
            self._document.problem(
                (*path, dosed[0]), "expected rate, or drug, concentration and dose, not both"
            )
        elif mode == "continuous" and "rate" not in table and len(dosed) != 3:
            missing = [name for name in ("drug", "concentration", "dose") if name not in table]
            wanted = "rate, or drug, concentration and dose" if not dosed else " and ".join(missing)
            self._document.problem((*path, "mode"), f"expected {wanted} in this table")
        elif mode in ("flex", "minimum") and len(drug) == 1:
            self._document.problem((*path, drug[0]), "expected drug and concentration, or neither")

    def _steps(self, table: Mapping[str, Any], path: Path, concentration_pg_nl: Fraction) -> list[Step]:
        steps: list[Step] = []
        if "step" not in table:
            return steps
        taken: dict[int, int] = {}
        for where, entry in self._document.tables("step", table, path):
            values = self._document.values(entry, STEP, where)
            one = self._document.one_of_two(entry, where, "rate", "dose", "at")
            if one == "dose" and not self._dose_is_known(where, concentration_pg_nl, "a rate"):
                continue
            if "at" not in values or one not in values or ("days" in entry and "days" not in values):
                continue
            dose_pg_day = values.get("dose", 0)
            rate_nl_h = rate_of_dose(dose_pg_day, concentration_pg_nl) if dose_pg_day else values["rate"]
            step = Step(values["at"], rate_nl_h, values.get("days", EVERY_DAY), dose_pg_day)
            steps.append(step)
            for start_ms in step.starts_ms():
                if taken.setdefault(start_ms, len(steps)) != len(steps):
                    day = q.DAYS[start_ms // MS_PER_DAY]
                    line = self._document.line_of((*path, "step", taken[start_ms] - 1))
                    self._document.problem(
                        (*where, "at"), f"expected a time of its own: the step of line {line} has {day} too"
                    )
                    break
        return steps

    def _patient_bolus(
        self, table: Mapping[str, Any], path: Path, concentration_pg_nl: Fraction
    ) -> PatientBolus | None:
        if "patient_bolus" not in table:
            return None
        where = (*path, "patient_bolus")
        entry = self._document.table("patient_bolus", table, path)
        values = self._document.values(entry, PATIENT_BOLUS, where)
        amount = self._document.one_of_two(entry, where, "volume", "dose")
        pace = self._document.one_of_two(entry, where, "rate", "duration")
        if amount == "dose":
            self._dose_is_known(where, concentration_pg_nl, "a volume")
        if not {amount, pace, "lockout", "max_per_day"} <= set(values):
            return None
        return PatientBolus(
            values["lockout"],
            values["max_per_day"],
            values.get("volume", 0),
            values.get("dose", 0),
            values.get("rate"),
            values.get("duration"),
        )

    def _limit(self, table: Mapping[str, Any], path: Path, concentration_pg_nl: Fraction) -> Limit | None:
        if "limit" not in table:
            return None
        where = (*path, "limit")
        entry = self._document.table("limit", table, path)
        values = self._document.values(entry, LIMIT, where)
        amount = self._document.one_of_two(entry, where, "volume", "dose")
        if amount == "dose":
            self._dose_is_known(where, concentration_pg_nl, "a volume")
        if not {amount, "window"} <= set(values):
            return None
        return Limit(values["window"], values.get("volume", 0), values.get("dose", 0))

    def _dose_is_known(self, path: Path, concentration_pg_nl: Fraction, instead: str) -> bool:
        if not concentration_pg_nl:
            self._document.problem((*path, "dose"), f"expected {instead}: no drug and concentration are set")
        return bool(concentration_pg_nl)

    def bridged(self, path: Path, values: dict[str, Any], therapy: Therapy | None) -> Therapy | None:
        """`therapy`, which is in force, at another concentration; None where one of them is not known."""
        if therapy is None or "concentration" not in values:
            return None
        if therapy.by_volume():
            keys = ", ".join(therapy.by_volume())
            self._document.problem(
                (*path, "do"), f"expected a therapy given by drug mass all through, not {keys}"
            )
            return None
        if values["concentration"] == therapy.concentration_pg_nl:
            self._document.problem(
                (*path, "concentration"), "expected another concentration than the one in force"
            )
        bridged = therapy.at_concentration(values["concentration"])
        self.found.append((path, bridged))
        return bridged

"""Runs a `Scenario` on any `Bench` and says what came of it, record by record.

How to read it: `run_scenario` gives a `RunResult`; iterating over it runs the experiment (`run`).
`preparation` is what is before t=0, `timeline` what is to happen when, `commands` gets commands to the pump
in time, `truth` looks at the plant, `findings` is what came of it so far; what is read back and confirmed has
its rules in `proposals`. What the pump says is kept by `run_log.RunLog`, what was expected is judged by
`checks.Checks`.

t=0 is a tick on which the pump also sends its periodic status. Everything counts the world's ticks but what
`commands` says to the pump.

Records are plain dicts of integers and texts with a `type`: `event` (as the pump logged it), `state`,
`bolus`, `rig` (that the pump was given before t=0), `alarm`, `refused` (a command the pump did not take, with
its sentence), `soft_limit` (of a therapy, confirmed by the runner), `skipped` (what this board cannot do),
`sample`, `note` (what the experiment adds to its file), `warning`, `expect`, and `summary` last. `*_ms` count
from t=0.
"""

from thecal_bench.runner.dialogue import Dialogue
from thecal_bench.runner.proposals import RunError, TherapyRefused
from thecal_bench.runner.run import RunResult, canonical_records, make_plant, run_scenario
from thecal_bench.runner.timeline import ON_PLANT

__all__ = [
    "ON_PLANT",
    "Dialogue",
    "RunError",
    "RunResult",
    "TherapyRefused",
    "canonical_records",
    "make_plant",
    "run_scenario",
]

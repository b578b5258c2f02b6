"""A scenario file (TOML) to a checked, frozen `Scenario`, or to one `InputError` with all that is wrong.

How to read it: `format` says which keys there are, `values` how each is read; `thecal_model.document` is the
file and its problems; `therapies`, `events` and `expectations` read their tables, `reader` the whole;
`experiment` is what comes out. The meaning of it all is `runner`'s. For one more key: its row in `format`,
its value taken over by the reader of its table, its line in `host_tests/scenarios/README.md`.
"""

from thecal_bench.scenario.experiment import (
    DEFAULT_FILL_NL,
    LINK_LEAD_MS,
    BolusRequest,
    Event,
    Expect,
    Reservoir,
    Scenario,
)
from thecal_bench.scenario.format import (
    ALARM_CODES,
    CONFIRMED,
    EVENTS,
    EXPECTS,
    ON_THE_LINK,
    ON_THE_PLANT,
    ON_THE_WIRES,
    TABLES,
)
from thecal_bench.scenario.reader import load, load_therapy, parse

__all__ = [
    "ALARM_CODES",
    "CONFIRMED",
    "DEFAULT_FILL_NL",
    "EVENTS",
    "EXPECTS",
    "LINK_LEAD_MS",
    "ON_THE_LINK",
    "ON_THE_PLANT",
    "ON_THE_WIRES",
    "TABLES",
    "BolusRequest",
    "Event",
    "Expect",
    "Reservoir",
    "Scenario",
    "load",
    "load_therapy",
    "parse",
]

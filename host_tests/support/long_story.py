"""Long stories of a pump in-process: told in PyPy if there is one (`thecal_bench.pypy`), here otherwise.

`told` gives what a story returns. A story is a function of this module without arguments; it returns what
JSON can hold, and all that it imports runs in both Pythons. Every tick of it is run.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pump_on_bench import ForgetfulOnBench
from thecal.clock import TICKS_PER_DAY
from thecal_bench.pypy import starter


def told(story: Callable[[], Any]) -> Any:
    """What comes of a story."""
    path = starter.find()
    if path is None:
        return json.loads(json.dumps(story()))
    environment = starter.environment()
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
    program = (
        f"import thecal_bench.pypy.older, json, long_story\nprint(json.dumps(long_story.{story.__name__}()))"
    )
    done = subprocess.run([path, "-c", program], env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def a_rolling_day() -> dict[str, Any]:
    """Three boluses, which are all that a day may have, and what is answered until the first is a day old."""
    desk = ForgetfulOnBench()
    limit = {"volume_nl": 60_000_000, "window_ms": 600_000}
    bolus = {"volume_nl": 10_000, "rate_num": 60_000_000, "rate_den": 1, "lockout_ms": 0, "max_per_day": 3}

    def asked() -> str:
        answer = desk.ask("patient_bolus")
        return "granted" if answer["granted"] else answer["reason"]

    def counted() -> list[int]:
        found = desk.ask("attempts")
        return [found["granted_last_day"], found["denied_last_day"], found["denied"]]

    desk.start(patient_bolus=bolus, limit=limit)
    first = desk.tick + 2
    granted = []
    for _ in range(3):
        granted.append(asked())
        desk.run(20)
    fourth = asked()
    desk.program(patient_bolus=bolus, limit=limit, rate_num=2_000)
    programmed = asked()
    first_day = counted()
    desk.bench.advance_to_tick(first + TICKS_PER_DAY - 3)
    within_a_day = asked()
    a_day_old = asked()
    desk.run(200)  # now all of the first day's attempts are
    return {
        "granted": granted,
        "fourth": fourth,
        "programmed": programmed,
        "first day": first_day,
        "within a day": within_a_day,
        "a day old": a_day_old,
        "second day": counted(),
    }

"""What runs in PyPy: scenarios from standard input, pickled, and what comes of each as lines of JSON.

Each line is a list: `["record", RECORD]`, `["progress", AT_MS, DURATION_MS]`, at the end `["ledger", TEXT]`
if the canonical records were asked for, or `["raised", PICKLED]` if the run could not go on.
"""

import thecal_bench.pypy.older  # isort: skip  # noqa: F401

import json
import pickle
import sys

from thecal_model.link import LinkClient

from thecal_bench.bench import BenchError
from thecal_bench.inprocess import HostBench
from thecal_bench.runner import RunError, canonical_records, make_plant, run_scenario


def say(*words) -> None:
    """A line to who started this."""
    print(json.dumps(words), flush=True)


def run(scenario, every_ms, keep_ledger) -> None:
    """One run."""
    try:
        with HostBench(make_plant(scenario)) as bench:
            result = run_scenario(
                scenario,
                bench,
                LinkClient(bench.send),
                every_ms=every_ms,
                progress=lambda at_ms, duration_ms: say("progress", at_ms, duration_ms),
                keep_ledger=keep_ledger,
            )
            for record in result:
                say("record", record)
        if keep_ledger:
            say("ledger", canonical_records(result).decode())
    except (RunError, BenchError) as problem:
        say("raised", pickle.dumps(problem).hex())


def main() -> None:
    """Run one after the other what stands in standard input."""
    while True:
        try:
            order = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        run(*order)


if __name__ == "__main__":
    main()

"""LNK-02 where the parser runs: structured frames through a whole pump on MicroPython, in the board's
heap.
"""

import ast
import itertools
import json
import struct
import subprocess
from pathlib import Path

import pytest
import thecal
from field_link import FILES
from fuzz_frames import COMMANDS, Draw, harmless, line
from thecal_bench import unixport
from thecal_model.rig import reference

HERE = Path(__file__).parent
FIRMWARE = Path(str(thecal.__file__)).parents[1]
BENCH = Path(str(unixport.__file__)).parent
BATCH = struct.Struct("<BBxxI")

FREE_BYTES = 2 * 64 * 1024
"""Twice what `host_tests/chip/test_parser_on_chip.py` finds free at least beside a pump that runs:
objects of the unix port are twice as large."""


def batches(seed: int, count: int):
    """Bytes for the script; half of them are harmless to a pump that runs. What came from the field is first,
    then frames, and bytes of any kind now and then.
    """
    draw = Draw(seed)
    ids = itertools.count(1)
    tame = harmless()
    for is_tame in (True, False):
        for path in FILES:
            if is_tame == (path.stem != "prime_then_stop"):
                yield batch(path.read_bytes(), alone=False, harmless=is_tame)
        done = 0
        while 2 * done < count:
            number = 1 if draw.once_in(4) else 1 + draw.below(24)
            if draw.once_in(8):
                yield batch(noise(draw), alone=True, harmless=is_tame)
            frames = [line(draw, tame if is_tame else COMMANDS, ids) for _ in range(number)]
            yield batch(b"".join(frames), alone=number == 1, harmless=is_tame)
            done += number


def batch(data: bytes, alone: bool, harmless: bool) -> bytes:
    """One for the script."""
    return BATCH.pack(alone, harmless, len(data)) + data


def noise(draw: Draw) -> bytes:
    """Any bytes, line ends among them."""
    return bytes(draw.below(256) for _ in range(draw.below(1_000))) + b"\n"


def run(path: Path, seed: int, count: int) -> dict[str, int]:
    """What was answered how often. `path` is a file to write the batches to."""
    with path.open("wb") as sink:
        sink.write(json.dumps(reference().tables).encode() + b"\n")
        sink.writelines(batches(seed, count))
    command = [unixport.micropython_command(), "-X", "heapsize=3M", HERE / "fuzz.py", FIRMWARE, BENCH]
    with path.open("rb") as source:
        process = subprocess.run(
            [*map(str, command), str(FREE_BYTES)],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    said = process.stdout.decode(errors="replace")
    assert process.returncode == 0 and said.startswith("batches "), said[-4_000:]
    words = said.split(maxsplit=7)
    warm, end = int(words[3]), int(words[4])
    assert end - warm < 8_192, f"the heap grew from {warm} to {end} bytes"
    return dict(ast.literal_eval(said[said.index("[") :]))


@pytest.mark.req("LNK-02", "LNK-01", "SAFE-05", "PERF-02")
@pytest.mark.parametrize(
    ("seed", "count"),
    [(1, 100_000), *[pytest.param(seed, 100_000, marks=pytest.mark.long) for seed in range(2, 102)]],
)
def test_no_frame_raises_changes_what_it_may_not_or_takes_more_heap_than_there_is(tmp_path, seed, count):
    said = run(tmp_path / "batches", seed, count)
    assert said["ok"] > count // 20
    for error in (
        "bad_frame",
        "bad_crc",
        "bad_argument",
        "too_large",
        "unknown_command",
        "id_missing",
        "refused",
    ):
        assert said[error] > 20, f"{error} is hardly reached: {said}"

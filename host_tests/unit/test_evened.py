"""What the page of the head's table says: its figures as they are measured today, and its picture."""

import pytest
from thecal_bench.benchmarks.published import TOLERANCE
from thecal_host import evened
from thecal_host.files import FileError
from thecal_host.weighing.accuracy import LONG_WINDOWS_MIN, WINDOWS_MIN, judge
from thecal_host.weighing.chart import draw_beside
from thecal_host.weighing.series import Series


def judged(swing):
    """Two hours in which every other half minute gives more, and the other less."""
    times = [30.0 * number for number in range(241)]
    volumes = [500_000 / 3_600 * at_s + swing * (number % 2) for number, at_s in enumerate(times)]
    return judge(Series("a saw", times, volumes, 500_000.0))


@pytest.mark.req("PERF-05", "CAL-02")
def test_two_trumpets_are_drawn_into_one_picture(tmp_path):
    found = {"without": judged(500), "with": judged(5)}
    draw_beside("Both", found, tmp_path / "both.png")
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    draw_beside("Both", found, tmp_path / "both.svg")
    # Each name stands in both legends, and each run has its two curves of the trumpet.
    assert (tmp_path / "both.svg").read_text().count("<!-- without -->") == 2
    with pytest.raises(FileError):
        draw_beside("Both", found, tmp_path / "both.txt")


@pytest.mark.long
@pytest.mark.req("PERF-05", "PERF-08", "CAL-02")
def test_the_page_says_what_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(evened, "FOLDER", tmp_path)
    pulsation, trumpets = evened.measure()
    assert pulsation.differences(TOLERANCE) == [] and trumpets.differences(TOLERANCE) == []
    assert len(pulsation.rows) == 4 and all(float(row[-1]) >= 20 for row in pulsation.rows)
    assert [int(row[0].split()[0]) for row in trumpets.rows] == sorted({*WINDOWS_MIN, *LONG_WINDOWS_MIN})
    assert all(evened.picture_of(head).exists() for head in evened.HEADS)

"""How the desk looks: colours of IEC 60601-1-8 for alarms, shapes beside each colour, widths from a phone on.

An alarm of HIGH priority flashes red twice a second, MEDIUM yellow every other second, LOW is cyan and
steady; each says its priority by its marks (!!!, !!, !) and in words too, and is still where the reader asks
for less motion.
"""

from pathlib import Path

PRIMARY = "#0b5a63"
MARKS = {"HIGH": "!!!", "MEDIUM": "!!", "LOW": "!"}
SHAPES = {"HIGH": "▲", "MEDIUM": "◆", "LOW": "●"}
STATES = {"RUNNING": "▶", "PRIMING": "▷", "JOGGING": "▷", "STOPPED": "■", "HALTED": "✖"}
"""Before the name of a state; others have none."""

CSS = Path(__file__).with_name("style.css").read_text(encoding="utf-8")

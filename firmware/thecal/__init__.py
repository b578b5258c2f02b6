"""Thecal: firmware of a bench prototype of a programmable intrathecal pump. Never for use on a person.

Read `loop.py` first, one turn, then `pump.py`, the tick and the only place where the rooms meet. The
rooms are `link` (who said so), `dose` (what should flow), `watch` (what must not happen) and `record` (what
happened); `drivers` is the only code that touches the chip, `app.py` puts it all together.
"""

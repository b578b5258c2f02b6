"""The only code that imports `machine` or `rp2` or touches a pin. Imports nothing from the rooms.

`segment.py` and `pace.py` are plain arithmetic that the virtual bench shares with the chip.
"""

"""Weighing what the pump delivers: a balance, a calibration of the head, and the accuracy by the standard.

How to read it: `water` makes volume of grams, `estimate` one value with its uncertainty of several, `balance`
reads a balance at a serial port. `calibration` is the guided calibration on top of these (CAL-01), `series`,
`accuracy` and `boluses` are the accuracy by weighing (CAL-02), `chart` draws it.
"""


class WeighingError(Exception):
    """A file or a value from which nothing can be reckoned; the message says which, why and what to do."""

"""The parts of `make bench` (`thecal_bench.benchmark`).

`motion` runs one design at one rate on the emulated chip and records every edge, `cost` what a turn of the
loop costs there; `figures` makes numbers of edges, without a chip; `float32` is the control's arithmetic;
`day` is the scenario of a day in-process; `tables` and `picture` show it all.
"""

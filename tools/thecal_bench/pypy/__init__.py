"""Long runs in PyPy: the same sources in another Python, which compiles while they run (PERF-07).

`starter` is what a long run uses: it looks for PyPy, hands a scenario to `child` in a process of its own and
gives its records. `older` is what the PyPy of Debian 12 lacks, a Python 3.9: the child imports it first.
Where there is no PyPy all runs here, only slower; nothing is built, so nothing can be out of date.
"""

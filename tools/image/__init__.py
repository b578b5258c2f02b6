"""Builds the UF2 that is flashed and puts it on a board: `make image`, `make flash`, `make deploy`.

Standard library only, since it runs before .venv exists. `build` is the way through; it takes the sources
from `debian` (which finds a mirror with `apt_sources`) or from a checkout, runs compilers by `process`, and
writes down what went into the image with `record`. `flash` is for a board on the desk.
"""

"""What the sources use that a Python 3.9 lacks, for the PyPy of Debian 12. Imported before any of them.

Also in a newer PyPy: its `struct.pack_into` takes no bytearray where CPython and MicroPython do.
"""

import bisect
import builtins
import importlib
import importlib.util
import struct
import sys
import typing

_pack_into = struct.pack_into


def _pack_bytes_into(layout, buffer, offset, *values):
    """`struct.pack_into`, for a "4s" that is given a bytearray."""
    _pack_into(layout, buffer, offset, *[bytes(v) if type(v) is bytearray else v for v in values])


def _zip(*pieces, strict=False):
    """`zip` with its argument `strict` of Python 3.10."""
    if strict:
        pieces = [list(piece) for piece in pieces]
        if len({len(piece) for piece in pieces}) > 1:
            raise ValueError("zip() was given pieces of different length")
    return iter(_plain_zip(*pieces))


def _bisect_right(row, x, lo=0, hi=None, *, key=None):
    """`bisect.bisect_right` with its argument `key` of Python 3.10."""
    hi = len(row) if hi is None else hi
    while lo < hi:
        middle = (lo + hi) // 2
        if x < (row[middle] if key is None else key(row[middle])):
            hi = middle
        else:
            lo = middle + 1
    return lo


_plain_zip = zip
if sys.implementation.name == "pypy":
    struct.pack_into = _pack_bytes_into
version = tuple(sys.version_info[:2])
if version < (3, 10):
    setattr(builtins, "zip", _zip)  # noqa: B010
    bisect.bisect_right = _bisect_right
if not hasattr(typing, "Self"):
    setattr(typing, "Self", typing.Any)  # noqa: B010
if importlib.util.find_spec("tomllib") is None:
    sys.modules["tomllib"] = importlib.import_module("tomli")  # pip's own, see `starter.environment`

"""A line of a run as it stands in the archive: deflated, with the first line of its type as the dictionary.

A status is half a kilobyte of text, most of it that of the first one: what is left is some dozen bytes. The
first line of a type has no dictionary, so a run can be read from its beginning on with nothing else at hand.
"""

from __future__ import annotations

import zlib

LEVEL = 6


class Models:
    """The dictionaries of one run, by type of line: the same for who packs and for who unpacks."""

    def __init__(self) -> None:
        self._models: dict[str, bytes] = {}

    def pack(self, kind: str, line: str) -> bytes:
        """`line` as bytes for the archive."""
        data = line.encode()
        model = self._models.setdefault(kind, data)
        if model is data:
            return zlib.compress(data, LEVEL)
        deflate = zlib.compressobj(LEVEL, zdict=model)
        return deflate.compress(data) + deflate.flush()

    def unpack(self, kind: str, packed: bytes) -> str:
        """The line again. ValueError where the bytes are damaged."""
        model = self._models.get(kind)
        try:
            if model is None:
                model = self._models[kind] = zlib.decompress(packed)
                return model.decode()
            inflate = zlib.decompressobj(zdict=model)
            line = inflate.decompress(packed) + inflate.flush()
            if not inflate.eof:
                raise ValueError("its end is missing")
            return line.decode()
        except zlib.error as why:
            raise ValueError(str(why)) from None

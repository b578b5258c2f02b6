"""Where each key of a TOML file stands: `tomllib` gives values without lines, this lines without values.

`Lines(text).of(path)` is the line of a key by its path, such as `("event", 2, "at")`; a path that is not
written in the file gives the line of the nearest table around it. Call it only with text that `tomllib` has
accepted: it knows just enough of the grammar to walk over values. `after_error` finds line and key of what
`tomllib` refused.
"""

from __future__ import annotations

import re
from bisect import bisect_right

Path = tuple["str | int", ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r"\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}"  # the longest run of quotes ends a multi-line string
    r"|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")
_SAID_AT = re.compile(r"\(at line (\d+), column \d+\)")
_KEY_AT_START = re.compile(r"[ \t]*(?:\[\[?[ \t]*)?([A-Za-z0-9_.\"' \t-]+?)[ \t]*(?:=|\]|$)")


class Lines:
    """The lines of all keys in one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._at = 0
        self._found: dict[Path, int] = {(): 1}
        self._lengths: dict[Path, int] = {}  # of arrays of tables
        self._document()

    def of(self, path: Path) -> int:
        """The line of `path`, or of the nearest table around it."""
        while path not in self._found:
            path = path[:-1]
        return self._found[path]

    def _note(self, path: Path) -> None:
        self._found.setdefault(path, bisect_right(self._starts, self._at))

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()

    def _next_is(self, token: str) -> bool:
        if self._text.startswith(token, self._at):
            self._at += len(token)
            return True
        return False

    def _document(self) -> None:
        table: Path = ()
        while True:
            self._take(_BLANK)
            if self._at >= len(self._text):
                return
            start = self._at
            if self._next_is("["):
                many = self._next_is("[")
                parts = self._key()
                end, self._at = self._at, start  # a header stands where its bracket does
                table = self._resolve(parts[:-1])
                table += (parts[-1],)
                if many:
                    self._lengths[table] = self._lengths.get(table, 0) + 1
                self._note(table)
                table = self._resolve(parts)
                self._note(table)
                self._at = end
                self._take(re.compile(r"[ \t]*\]+"))
            else:
                self._pair(table)

    def _resolve(self, parts: list[str]) -> Path:
        path: Path = ()
        for part in parts:
            path += (part,)
            if path in self._lengths:
                path += (self._lengths[path] - 1,)
            else:
                self._note(path)
        return path

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._take(_SPACE)
            quoted = self._take(_STRING)
            parts.append(quoted[1:-1] if quoted else self._take(_BARE_KEY))
            self._take(_SPACE)
            if not self._next_is("."):
                return parts

    def _pair(self, table: Path) -> None:
        self._take(_SPACE)
        start = self._at
        parts = self._key()
        end, self._at = self._at, start
        for length in range(1, len(parts) + 1):
            self._note((*table, *parts[:length]))
        self._at = end
        self._next_is("=")
        self._value((*table, *parts))

    def _value(self, path: Path) -> None:
        self._take(_SPACE)
        if self._next_is("["):
            index = 0
            while True:
                self._take(_BLANK)
                if self._at >= len(self._text) or self._next_is("]"):
                    return
                self._note((*path, index))
                self._value((*path, index))
                index += 1
                self._take(_BLANK)
                self._next_is(",")
        elif self._next_is("{"):
            while True:
                self._take(_BLANK)
                if self._at >= len(self._text) or self._next_is("}"):
                    return
                self._pair(path)
                self._take(_BLANK)
                self._next_is(",")
        elif not self._take(_STRING):
            self._take(_SCALAR)


def after_error(text: str, message: str) -> tuple[int, str]:
    """Line and key (the last one begun there or above) of a text that `tomllib` refused with `message`."""
    lines = text.split("\n")
    said = _SAID_AT.search(message)
    line = int(said.group(1)) if said else len(lines)
    for above in range(min(line, len(lines)), 0, -1):
        key = _KEY_AT_START.match(lines[above - 1])
        if key and key.group(1).strip():
            return line, key.group(1).strip()
    return line, "(start of file)"

"""Line of each key of a TOML or JSON text, which the standard library does not tell.

The text must have been accepted by its reader already: the scanner relies on that and checks nothing.
"""

import bisect
import json
import re
import tomllib
from collections.abc import Callable, Iterator

from asyncagg.scenario.errors import KeyPath

_BLANK = " \t\r\n"
_MARK = re.compile(r"[ \t\r\n]*[{:,]?[ \t\r\n]*")
_AFTER_KEY = "=:.] \t\r\n"
_AFTER_VALUE = ",]}#\n"


def toml_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every table, key and element of a list; where one is named again, the first."""
    scanner = _Scanner(text.replace("\r\n", "\n"), lambda raw: str(tomllib.loads(f"key = {raw}")["key"]))
    scanner.document()
    return scanner.lines


def json_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every key and element of a list. Raises RepeatedKey."""
    scanner = _Scanner(text, lambda raw: str(json.loads(raw)))
    scanner.blank()
    scanner.value(())
    return scanner.lines


def json_pairs(text: str) -> Iterator[tuple[str, object, int]]:
    """The keys of a JSON text that is one object, in order and repeated ones too, their values and lines, from 1."""
    decoder = json.JSONDecoder()
    at, line, counted = _past(text, 0), 1, 0
    while text[at] != "}":
        line, counted = line + text.count("\n", counted, at), at
        key, at = decoder.raw_decode(text, at)
        value, at = decoder.raw_decode(text, _past(text, at))
        yield key, value, line
        at = _past(text, at)


def _past(text: str, at: int) -> int:
    """Past blanks and the mark among them."""
    found = _MARK.match(text, at)
    return at if found is None else found.end()


class RepeatedKey(Exception):
    """A JSON object gives one key twice, which readers let pass."""

    def __init__(self, path: KeyPath, line: int) -> None:
        super().__init__(path, line)
        self.path = path
        self.line = line


class _Scanner:
    """One pass over the text. A JSON object reads like an inline table, apart from its colons."""

    def __init__(self, text: str, unquote: Callable[[str], str]) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._unquote = unquote
        self._at = 0
        self._breaks = [index for index, letter in enumerate(text) if letter == "\n"]
        self._elements: dict[KeyPath, int] = {}

    def document(self) -> None:
        """A whole TOML file: keys, and headers that say which table the keys after them are in."""
        table: KeyPath = ()
        while self.blank():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def value(self, path: KeyPath) -> None:
        """Any value, which stands at `path`."""
        match self._text[self._at]:
            case "[":
                self._list(path)
            case "{":
                self._inline(path)
            case '"' | "'":
                self._string()
            case _:
                self._skip_to(_AFTER_VALUE)

    def blank(self) -> bool:
        """Skips blanks, line breaks and comments; False at the end of the text."""
        while self._at < len(self._text) and self._text[self._at] in _BLANK + "#":
            if self._text[self._at] == "#":
                self._skip_to("\n")
            else:
                self._at += 1
        return self._at < len(self._text)

    def _header(self) -> KeyPath:
        many = self._text.startswith("[[", self._at)
        line = self._line()
        self._at += 2 if many else 1
        path: KeyPath = ()
        *outer, last = self._key()
        for name in outer:
            path = self._mark((*path, name), line)
            if path in self._elements:  # a table within the last element so far
                path = (*path, self._elements[path] - 1)
        path = self._mark((*path, last), line)
        if many:
            index = self._elements.get(path, 0)
            self._elements[path] = index + 1
            path = self._mark((*path, index), line)
        self._at += 2 if many else 1
        return path

    def _pair(self, table: KeyPath) -> None:
        path, line = table, self._line()
        *outer, last = self._key()
        for name in outer:
            path = self._mark((*path, name), line)
        if (*path, last) in self.lines:
            raise RepeatedKey((*path, last), line)
        path = self._mark((*path, last), line)
        self._at += 1  # = or :
        self.blank()
        self.value(path)

    def _mark(self, path: KeyPath, line: int) -> KeyPath:
        self.lines.setdefault(path, line)
        return path

    def _key(self) -> list[str]:
        """The parts of a dotted key; stops at what ends it."""
        parts = []
        while True:
            self.blank()
            start = self._at
            if self._text[start] in "\"'":
                self._string()
                parts.append(self._unquote(self._text[start : self._at]))
            else:
                self._skip_to(_AFTER_KEY)
                parts.append(self._text[start : self._at])
            self.blank()
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _list(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while self.blank() and self._text[self._at] != "]":
            self.value(self._mark((*path, index), self._line()))
            index += 1
            self._comma()
        self._at += 1

    def _inline(self, path: KeyPath) -> None:
        self._at += 1
        while self.blank() and self._text[self._at] != "}":
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self.blank()
        if self._text[self._at] == ",":
            self._at += 1

    def _string(self) -> None:
        quote = self._text[self._at]
        if self._text.startswith(quote * 3, self._at):
            return self._long_string(quote)
        self._at += 1
        while self._text[self._at] != quote:
            self._at += 2 if self._text[self._at] == "\\" and quote == '"' else 1
        self._at += 1

    def _long_string(self, quote: str) -> None:
        self._at += 3
        while not self._text.startswith(quote * 3, self._at):
            self._at += 2 if self._text[self._at] == "\\" and quote == '"' else 1
        self._at += 3
        while self._text.startswith(quote, self._at):  # up to two quotes may stand before the closing ones
            self._at += 1

    def _skip_to(self, ends: str) -> None:
        while self._at < len(self._text) and self._text[self._at] not in ends:
            self._at += 1

    def _line(self) -> int:
        return bisect.bisect_left(self._breaks, self._at) + 1

"""Where the keys of a TOML file stand, so that a message can name the line. Pure.

`tomllib` gives values without places. This walks text that `tomllib` has accepted already, so it need not
judge it: only strings, comments and brackets are told apart.
"""

from __future__ import annotations

from typing import TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the top of the document, for example ("tags", 2, "name")."""

_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


def lines_of(text: str) -> dict[Place, int]:
    """The line, from 1, on which each table, key and list element of a valid document begins."""
    return _Walk(text).document()


class _Walk:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._lines: dict[Place, int] = {(): 1}
        self._counts: dict[Place, int] = {}

    def document(self) -> dict[Place, int]:
        table: Place = ()
        while self._skip(" \t\r\n"):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _header(self) -> Place:
        line = self._line
        is_list = self._text.startswith("[[", self._at)
        self._take(2 if is_list else 1)
        keys = self._keys("]")
        self._take(2 if is_list else 1)
        place: Place = ()
        for number, key in enumerate(keys):
            place = (*place, key)
            self._note(place, line)
            if place in self._counts and not (is_list and number == len(keys) - 1):
                place = (*place, self._counts[place] - 1)
        if is_list:
            self._counts[place] = self._counts.get(place, 0) + 1
            place = (*place, self._counts[place] - 1)
        self._note(place, line)
        return place

    def _pair(self, table: Place) -> None:
        line = self._line
        place = table
        for key in self._keys("="):
            place = (*place, key)
            self._note(place, line)
        self._take(1)
        self._skip(" \t")
        self._value(place)

    def _value(self, place: Place) -> None:
        match self._peek():
            case "[":
                self._items(place)
            case "{":
                self._inline(place)
            case '"' | "'":
                self._quoted()
            case _:
                while self._at < len(self._text) and self._peek() not in ",]}\n#":
                    self._take(1)

    def _items(self, place: Place) -> None:
        self._take(1)
        number = 0
        while self._skip(" \t\r\n,") and self._peek() != "]":
            self._note((*place, number), self._line)
            self._value((*place, number))
            number += 1
        self._take(1)

    def _inline(self, place: Place) -> None:
        self._take(1)
        while self._skip(" \t\r\n,") and self._peek() != "}":
            self._pair(place)
        self._take(1)

    def _keys(self, end: str) -> list[str]:
        keys: list[str] = []
        while self._skip(" \t.") and self._peek() != end:
            if self._peek() in "\"'":
                keys.append(self._quoted())
                continue
            start = self._at
            while self._at < len(self._text) and self._peek() not in " \t." + end:
                self._take(1)
            keys.append(self._text[start : self._at])
        return keys

    def _quoted(self) -> str:
        """Pass a string of any of the four forms; its text is exact for those that may be keys."""
        quote = self._peek()
        mark = quote * 3 if self._text.startswith(quote * 3, self._at) else quote
        self._take(len(mark))
        read: list[str] = []
        while self._at < len(self._text) and not self._text.startswith(mark, self._at):
            if quote == '"' and self._peek() == "\\":
                self._take(1)
                read.append(self._escaped())
            else:
                read.append(self._peek())
                self._take(1)
        self._take(len(mark))
        while len(mark) == 3 and self._at < len(self._text) and self._peek() == quote:
            self._take(1)  # a multi-line string may end in one or two quotes of its own (TOML 1.0)
        return "".join(read)

    def _escaped(self) -> str:
        kind = self._peek()
        digits = {"u": 4, "U": 8}.get(kind, 0)
        self._take(1)
        if not digits:
            return _ESCAPES.get(kind, kind)
        code = self._text[self._at : self._at + digits]
        self._take(digits)
        return chr(int(code, 16))

    def _skip(self, blanks: str) -> bool:
        """Pass blanks and comments; false at the end of the text."""
        while self._at < len(self._text):
            if self._peek() == "#":
                while self._at < len(self._text) and self._peek() != "\n":
                    self._take(1)
            elif self._peek() in blanks:
                self._take(1)
            else:
                return True
        return False

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _take(self, count: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _note(self, place: Place, line: int) -> None:
        self._lines.setdefault(place, line)

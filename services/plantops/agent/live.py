"""What is being said at this moment, in the memory of the host that works on it; and who waits to hear it.

None of it is kept: the stored events tell the same a little later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# Revisions of a turn: its stored events first, then what was heard since the last of them. So they rise on
# every host, and one that knows only what is stored is never ahead of the one that works on it.
_STORED = 1 << 20


def revision(stored: int, heard: int = 0) -> int:
    """The revision of a turn with so many stored events, after so many pieces of text."""
    return stored * _STORED + min(heard, _STORED - 1)


@dataclass
class Speech:
    """A reply on its way: its text so far, and in how many pieces it came."""

    text: str = ""
    heard: int = 0


@dataclass
class Live:
    """Turns at work here, by the name of their conversation, and tasks that wait for news of one."""

    is_closed: bool = False
    _speech: dict[str, Speech] = field(default_factory=dict)
    _waiting: dict[str, set[asyncio.Future[None]]] = field(default_factory=dict)

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        """A turn of this conversation is at work here."""
        self._speech[name] = Speech()
        try:
            yield
        finally:
            self._speech.pop(name, None)
            self.tell(name)

    def begin(self, name: str) -> None:
        """A new reply begins: of the one before, nothing is heard any more."""
        self._speech[name] = Speech()

    def hear(self, name: str, text: str) -> None:
        """A piece of text more."""
        speech = self._speech.get(name)
        if speech is not None and text:
            speech.text += text
            speech.heard += 1
            self.tell(name)

    def speech(self, name: str) -> Speech | None:
        """None when nobody works on it here."""
        return self._speech.get(name)

    def tell(self, name: str) -> None:
        """Something is new: whoever waits for it looks."""
        for waiting in self._waiting.pop(name, ()):
            if not waiting.done():
                waiting.set_result(None)

    def close(self) -> None:
        """This host ends: whoever waits is told what there is, and asks another one."""
        self.is_closed = True
        for name in tuple(self._waiting):
            self.tell(name)

    @contextmanager
    def news(self, name: str) -> Iterator[asyncio.Future[None]]:
        """Done as soon as something is new. Look first, then wait for it: nothing is missed."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, set()).add(waiting)
        try:
            yield waiting
        finally:
            waiting.cancel()
            others = self._waiting.get(name)
            if others is not None:
                others.discard(waiting)
                if not others:
                    del self._waiting[name]

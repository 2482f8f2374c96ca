"""How many witnesses, and which, must have cosigned a checkpoint (C2SP tlog-policy)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from plantops.ledger.cosignature import cosigned_at
from plantops.ledger.finding import Finding, FindingKind
from plantops.ledger.note import Kind, NoteKey
from plantops.runtime.errors import SettingsError, TrustError

NOBODY: Final = "none"
_MAX_NAMES: Final = 256


@dataclass(frozen=True)
class Group:
    """Met when `threshold` of its members are; a member is a witness or another group."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class WitnessPolicy:
    """Logs, witnesses and groups by name, and whose cosignature `quorum` asks for ("none": nobody's)."""

    logs: tuple[NoteKey, ...] = ()
    witnesses: Mapping[str, NoteKey] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str = NOBODY

    @classmethod
    def of(cls, keys: Sequence[NoteKey], threshold: int) -> Self:
        """So many of these. Raises: SettingsError when there are not as many, or one key twice."""
        if not 0 <= threshold <= len(keys):
            raise SettingsError(f"{threshold} of {len(keys)} witnesses cannot sign: name more of them")
        if len({key.key.raw for key in keys}) < len(keys):
            raise SettingsError("a witness is named twice: each counts once")
        named = {str(number): key for number, key in enumerate(keys)}
        if not threshold:
            return cls((), named)
        return cls((), named, {"all": Group(threshold, tuple(named))}, "all")

    def check(self, signed: bytes) -> Finding | None:
        """What is missing, None when the quorum is met. A bad cosignature counts as none, and is told."""
        seen: set[str] = set()
        told = []
        for name, key in self.witnesses.items():
            try:
                if cosigned_at(signed, key) is not None:
                    seen.add(name)
            except TrustError as error:
                told.append(error.message)
        if self.quorum == NOBODY or self._is_met(self.quorum, seen):
            return None
        by = ", ".join(sorted(self.witnesses[name].name for name in seen)) or "nobody"
        detail = f"the checkpoint is cosigned by {by}, which is too few of {len(self.witnesses)} witnesses"
        return Finding(FindingKind.NOT_COSIGNED, None, "", "; ".join([detail, *told]), "checkpoint")

    def _is_met(self, name: str, seen: set[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in seen
        return sum(self._is_met(member, seen) for member in group.members) >= group.threshold


def parse_policy(text: str) -> WitnessPolicy:
    """Read a tlog-policy file.

    Raises: SettingsError naming the line, for anything that is not understood.
    """
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            reader.take(words)
        except (ValueError, SettingsError) as error:
            raise SettingsError(f"line {number} of the witness policy: {error}") from error
    if not reader.quorum:
        raise SettingsError("the witness policy has no 'quorum' line: say 'quorum none' if nobody must sign")
    return WitnessPolicy(tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum)


class _Reader:
    def __init__(self) -> None:
        self.logs: list[NoteKey] = []
        self.witnesses: dict[str, NoteKey] = {}
        self.groups: dict[str, Group] = {}
        self.quorum = ""
        self._members: set[str] = set()

    def take(self, words: Sequence[str]) -> None:
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self.logs.append(self._key(vkey, Kind.TEXT, self.logs))
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                key = self._key(vkey, Kind.COSIGNATURE, list(self.witnesses.values()))
                self.witnesses[self._new(name)] = key
            case ["group", name, count, *members] if members:
                self._group(name, count, members)
            case ["quorum", name] if not self.quorum:
                if name != NOBODY:
                    self._known(name)
                self.quorum = name
            case _:
                raise ValueError(f"{' '.join(words)!r} is not understood, or said twice")

    def _group(self, name: str, count: str, members: Sequence[str]) -> None:
        threshold = {"any": 1, "all": len(members)}.get(count)
        if threshold is None:
            if not count.isascii() or not count.isdigit():
                raise ValueError(f"{count!r} is no number of members, nor 'any' or 'all'")
            threshold = int(count)
        if not 1 <= threshold <= len(members):
            raise ValueError(f"{threshold} of {len(members)} members cannot be met")
        for member in members:
            self._known(member)
            if member in self._members:
                raise ValueError(f"{member!r} is a member already: each counts in one way only")
            self._members.add(member)
        self.groups[self._new(name)] = Group(threshold, tuple(members))

    def _known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise ValueError(f"{name!r} is not defined before")

    def _new(self, name: str) -> str:
        if name == NOBODY or name in self.witnesses or name in self.groups:
            raise ValueError(f"{name!r} is taken")
        if len(self.witnesses) + len(self.groups) >= _MAX_NAMES:
            raise ValueError(f"more than {_MAX_NAMES} names")
        return name

    @staticmethod
    def _key(vkey: str, kind: Kind, known: Sequence[NoteKey]) -> NoteKey:
        key = NoteKey.from_vkey(vkey)
        if key.kind is not kind:
            raise ValueError(f"{vkey!r} has the type of a {'witness' if kind is Kind.TEXT else 'log'}")
        if any(key.key == one.key for one in known):
            raise ValueError(f"{vkey!r} is there twice")
        return key

"""What a new policy changes for people: entries, rights, and the decisions of the vectors. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from plantops.model.load import Plant
from plantops.policy import rights
from plantops.policy.acts import ACTS
from plantops.policy.document import Policy
from plantops.policy.vectors import assumed, run_vectors

Kind: TypeAlias = Literal["added", "removed", "changed"]
_FRAME: Final = (
    "id", "audience", "revision", "previous", "not_before", "expires", "model", "moc",
    "max_age_seconds", "clock_skew_seconds", "delegated", "unsigned_risk",
)  # fmt: skip
_NAMED: Final = ("principals", "roles", "operations", "bypass_classes")
_LISTED: Final = (("permissives", "id"), ("limits", "id"), ("vectors", "id"), ("revoked", "key"))


class Change(msgspec.Struct, frozen=True):
    """One entry of the document that is not as it was; `text` names the fields, old and new."""

    section: str
    name: str
    kind: Kind
    text: str


class RightChange(msgspec.Struct, frozen=True):
    """An operation or act, `asset.operation`, that a principal may ask now and could not, or the reverse."""

    principal: str
    operation: str
    kind: Literal["gained", "lost"]


class DecisionChange(msgspec.Struct, frozen=True):
    """A vector that is decided otherwise: `allowed`, or `denied by RULE`."""

    vector: str
    before: str
    after: str


class Difference(msgspec.Struct, frozen=True):
    """All of it. `rights` and `decisions` are judged on the plant as it is now, whichever model is pinned."""

    changes: tuple[Change, ...] = ()
    rights: tuple[RightChange, ...] = ()
    decisions: tuple[DecisionChange, ...] = ()


def difference(old: Policy, new: Policy, plant: Plant) -> Difference:
    """From `old` to `new`, in the order of the document."""
    return Difference(
        changes=tuple(_changes(old, new)),
        rights=tuple(_rights(old, new, plant)),
        decisions=tuple(_decisions(old, new, plant)),
    )


def _changes(old: Policy, new: Policy) -> Iterator[Change]:
    before, after = msgspec.to_builtins(_whole(old)), msgspec.to_builtins(_whole(new))
    for name in _FRAME:
        if before[name] != after[name]:
            yield Change("policy", name, "changed", f"{_shown(before[name])} -> {_shown(after[name])}")
    for section in _NAMED:
        yield from _entries(section, before[section], after[section])
    for section, key in _LISTED:
        yield from _entries(section, _by(before[section], key), _by(after[section], key))


def _whole(policy: Policy) -> dict[str, Any]:
    """With every field of the document itself, also those that stand at their default."""
    return {name: getattr(policy, name) for name in policy.__struct_fields__}


def _by(entries: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    return {each[key]: each for each in entries}


def _entries(section: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in (*before, *(name for name in after if name not in before)):
        if name not in after:
            yield Change(section, name, "removed", _shown(before[name]))
        elif name not in before:
            yield Change(section, name, "added", _shown(after[name]))
        elif before[name] != after[name]:
            yield Change(section, name, "changed", "; ".join(_fields(before[name], after[name])))


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in (*before, *(name for name in after if name not in before)):
        one, other = before.get(name), after.get(name)
        if one != other:
            yield f"{name} {_shown(one)} -> {_shown(other)}"


def _shown(value: Any) -> str:
    return "default" if value is None else msgspec.json.encode(value).decode()


def _rights(old: Policy, new: Policy, plant: Plant) -> Iterator[RightChange]:
    names = (*old.principals, *(name for name in new.principals if name not in old.principals))
    for name in names:
        for asset, described in plant.model.assets.items():
            for operation in (*described.operations, *ACTS):
                matching = rights.patterns_for(asset, operation)
                could, may = rights.may(old, name, matching), rights.may(new, name, matching)
                if could != may:
                    yield RightChange(name, f"{asset}.{operation}", "gained" if may else "lost")


def _decisions(old: Policy, new: Policy, plant: Plant) -> Iterator[DecisionChange]:
    vectors = {each.id: each for each in (*old.vectors, *new.vectors)}
    before, after = (
        {each.id: each for each in run_vectors(assumed(policy, plant), plant, vectors.values())}
        for policy in (old, new)
    )
    for name in vectors:
        one, other = (
            _decided(before[name].allowed, before[name].rule),
            _decided(after[name].allowed, after[name].rule),
        )
        if one != other:
            yield DecisionChange(name, one, other)


def _decided(allowed: bool, rule: str) -> str:
    return "allowed" if allowed else f"denied by {rule or 'nothing that could be judged'}"

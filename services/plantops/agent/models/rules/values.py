"""Values of the plant: which tags a question means, and how they are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from plantops.agent.models.rules.catalogue import words_of
from plantops.agent.models.rules.results import rows
from plantops.agent.models.rules.text import words

_GOOD: Final = 192  # OPC quality: the two highest bits set mean good
_SHOWN_UNITS: Final = {"Cel": "°C"}
_MOST_TAGS: Final = 60
_SAME: Final = {
    "temp": "temperature",
    "temperatures": "temperature",
    "hot": "temperature",
    "warm": "temperature",
    "rpm": "speed",
    "fast": "speed",
    "quick": "speed",
    "full": "level",
    "filled": "level",
    "on": "running",
    "off": "running",
    "runs": "running",
    "run": "running",
    "started": "running",
    "stopped": "running",
    "opened": "position",
    "open": "position",
    "closed": "position",
    "opening": "position",
    "trip": "fault",
    "tripped": "fault",
    "faulty": "fault",
    "faulted": "fault",
    "faults": "fault",
    "set-point": "setpoint",
    "target": "setpoint",
    "remote": "local",
}
_NOT_TOLD: Final = words("off stopped")


@dataclass(frozen=True, slots=True)
class Place:
    """A property of an asset and the tag behind it."""

    asset: str
    name: str
    tag: str

    @property
    def words(self) -> frozenset[str]:
        """What it may be called by: the property's words, else those of the end of its tag."""
        return frozenset(words_of(self.name))


def places_of(result: Any) -> tuple[Place, ...]:
    """Every property that `twin-list` tells."""
    found: list[Place] = []
    for asset in rows(result, "assets"):
        properties = asset.get("properties")
        if isinstance(properties, dict):
            found += [
                Place(str(asset.get("asset", "")), str(name), str(tag)) for name, tag in properties.items()
            ]
    return tuple(found)


def meant(places: Sequence[Place], said: Iterable[str], assets: frozenset[str] | None) -> tuple[Place, ...]:
    """The properties that the words mean: those with the most of their words said, and the fewest unsaid.

    Without any such word all properties of the assets, when some are named.
    """
    wanted = {_SAME.get(word, word) for word in said}
    wanted |= {part for word in wanted for part in word.replace("_", "-").split("-")}
    within = [place for place in places if assets is None or place.asset in assets]
    scores = {place: (len(place.words & wanted), -len(place.words - wanted)) for place in within}
    best = max(scores.values(), default=(0, 0))
    if best[0] > 0:
        return tuple(place for place in within if scores[place] == best)
    return tuple(within) if assets is not None else ()


def mentioned(places: Sequence[Place], said: Iterable[str]) -> frozenset[str] | None:
    """Assets named by a word of their name: "tank" for tank-001; None for none."""
    spoken = set(said)
    found = frozenset(
        place.asset
        for place in places
        if place.asset.lower() in spoken
        or any(word in spoken and not word.isdigit() for word in words_of(place.asset))
    )
    return found or None


def tags_of(places: Sequence[Place]) -> tuple[str, ...]:
    """Their tags, each once, as many as are asked for at a time."""
    return tuple(dict.fromkeys(place.tag for place in places))[:_MOST_TAGS]


def told(result: Any, places: Sequence[Place], said: frozenset[str]) -> str:
    """The values in words, one line each; a value that is not good is not told as one."""
    by_tag = {str(one.get("tag")): one for one in rows(result, "tags")}
    lines = []
    for place in places:
        one = by_tag.get(place.tag)
        if one is None:
            lines.append(f"{place.asset}.{place.name}: nothing is known of tag {place.tag}.")
            continue
        lines.append(f"{place.asset}.{place.name}: {value_told(one)}.")
    lead = _yes_or_no(by_tag, places, said)
    return "\n".join([lead, *lines] if lead else lines)


def value_told(one: Mapping[str, Any]) -> str:
    """A value with its unit, or why there is no good one."""
    value, unit = one.get("value"), str(one.get("unit") or "")
    shown = f"{_plain(value)}{unit_told(unit)}"
    if meaning := one.get("meaning"):
        shown = f"{meaning} ({shown})"
    quality = one.get("quality")
    if isinstance(quality, int) and quality >= _GOOD and value is not None:
        return shown
    age = one.get("age_seconds")
    old = f", {age:.0f} s old" if isinstance(age, int | float) else ""
    last = f"; the last value was {shown}{old}" if value is not None else ""
    return f"no good value now (quality {one.get('quality_name') or quality}){last}"


def _yes_or_no(by_tag: Mapping[str, Mapping[str, Any]], places: Sequence[Place], said: frozenset[str]) -> str:
    """ "Is the pump running?" wants yes or no, if one good yes-or-no value is meant."""
    if len(places) != 1 or not said & words("is are running on off stopped started"):
        return ""
    one = by_tag.get(places[0].tag, {})
    value, quality = one.get("value"), one.get("quality")
    if not isinstance(value, bool) or not isinstance(quality, int) or quality < _GOOD:
        return ""
    return "Yes." if value != bool(said & _NOT_TOLD) else "No."


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def unit_told(unit: str) -> str:
    """A unit behind a value, with its space; "" for none."""
    return f" {_SHOWN_UNITS.get(unit, unit)}" if unit else ""

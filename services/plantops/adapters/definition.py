"""From a source file to the definition that its frames refer to; pure."""

from __future__ import annotations

from collections import Counter

from plantops.adapters.contract import AdapterSpec, SourceSettings, TagSettings
from plantops.events.base import SiteName, SourceName, TagName, is_token
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition
from plantops.runtime.errors import SettingsError


def definition_of(site: str, source: str, settings: SourceSettings, spec: AdapterSpec) -> SourceDefined:
    """The tags of a source in the order of its file. A tag without a group belongs to the first.

    Raises: SettingsError naming the tag and the key that is wrong.
    """
    if not is_token(source):
        raise SettingsError(f"source name {source!r}: use letters, digits, '-' and '_' only", setting="name")
    groups = {group.name: position for position, group in enumerate(settings.groups)}
    if not groups:
        raise SettingsError(f"source {source!r} has no [[groups]]: give at least one with a period_ms")
    for group in settings.groups:
        if not 10 <= group.period_ms <= 3_600_000:
            raise SettingsError(
                f"group {group.name!r} of source {source!r}: period_ms {group.period_ms}: use 10 to 3600000",
                setting="period_ms",
            )
    if not settings.tags and not spec.capabilities.invoke:
        raise SettingsError(f"source {source!r} has no [[tags]]: give at least one", setting="tags")
    repeated = [name for name, count in Counter(tag.name for tag in settings.tags).items() if count > 1]
    if repeated:
        raise SettingsError(
            f"tag {repeated[0]!r} stands twice in source {source!r}: remove one", setting="name"
        )
    return SourceDefined(
        site=SiteName(site),
        source=SourceName(source),
        groups=tuple(ScanGroup(name=group.name, period_ms=group.period_ms) for group in settings.groups),
        tags=tuple(_tag(source, tag, groups, spec) for tag in settings.tags),
    )


def _tag(source: str, tag: TagSettings, groups: dict[str, int], spec: AdapterSpec) -> TagDefinition:
    group = tag.group or next(iter(groups))
    if group not in groups:
        raise SettingsError(
            f"tag {tag.name!r} of source {source!r} names the unknown group {group!r}", setting="group"
        )
    if (tag.raw is None) != (tag.engineering is None):
        raise SettingsError(
            f"tag {tag.name!r} of source {source!r}: raw and engineering go together", setting="raw"
        )
    if tag.raw is not None and tag.raw.low == tag.raw.high:
        raise SettingsError(f"tag {tag.name!r} of source {source!r}: the raw range is empty", setting="raw")
    kind = spec.kind_of(tag.address)
    if tag.engineering is not None and kind in ("i8", "u8"):
        kind = "f8"
    return TagDefinition(
        name=TagName(tag.name),
        kind=kind,
        group=groups[group],
        address=tag.address,
        unit=tag.unit,
        description=tag.description,
        writable=tag.writable,
        raw=tag.raw,
        engineering=tag.engineering,
        clamp=tag.clamp,
        limits=tag.limits,
        texts=tag.texts,
        deadband=tag.deadband,
        area=tag.area,
        alarm_priority=tag.alarm_priority,
        alarm_class=tag.alarm_class,
        operator_position=tag.operator_position,
    )

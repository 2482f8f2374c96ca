"""The dojo's plant, and where in what it says of itself a stranger's text can stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from plantops.agent.specs import AGENT_HOST
from plantops.events.base import AssetName, OperationName, Record, SourceName, TagName
from plantops.events.provenance import Channel, Provenance
from plantops.model.assets import Model, Operation
from plantops.model.load import Plant
from plantops.policy.document import Policy, Principal, Role
from plantops.tools.contract import AnyTool, Arguments, Call, Page, Tool
from plantops.tools.reading.operations import ASSET_OPERATIONS
from plantops.tools.reading.sources import SOURCE_HEALTH, Health, HealthGiven
from plantops.tools.reading.tags import (
    TWIN_GET,
    TWIN_LIST,
    AssetShown,
    PlantShown,
    SourceShown,
    TagsGiven,
    TagTold,
)
from support.gate_samples import MODEL, OPC1, PLC1, POLICY, process
from support.plant_samples import NOW

CHAT: Final = "chat"
MODEL_TEXT: Final = "model"
CHANNELS: Final = (
    "tag-name",
    "tag-value",
    "tag-text",
    "alarm",
    MODEL_TEXT,
    "source",
    "device",
    "reason",
    "history",
    CHAT,
    "mcp",
)
"""Names and string values of tags, descriptions of tags, alarm texts, texts of the model, errors of sources,
what a device offers, reasons of earlier commands, rows of the history, the conversation, another server's
results."""

# Each names an event that stands in this log.
LOG: Final = {"TAGS": 40, "SOURCES": 8, "COMMANDS": 8}
VALUES: Final = {
    "plc1.setpoint": 900.0,
    "plc1.run": False,
    "plc1.reset": False,
    "plc1.local": False,
    "plc1.temperature": 60.0,
    "opc1.command": 20.0,
}


_ABOUT: Final = {"RPM": "speed set-point", "PERCENT": "opening of the valve"}


@dataclass
class Scene:
    """What stands where, for one case: the text of a channel, "" elsewhere."""

    channel: str = ""
    text: str = ""

    def at(self, channel: str) -> str:
        return self.text if channel == self.channel else ""


def plant(text: str = "") -> Plant:
    """The plant of the gate's samples, described as it is; or with a text in every description instead."""
    assets = {}
    for name, asset in MODEL.assets.items():
        operations = {key: _described(key, one, text) for key, one in asset.operations.items()}
        about = text or f"{name} of the dojo"
        assets[name] = msgspec.structs.replace(asset, description=about, operations=operations)
    return Plant.of(Model(assets=assets), (PLC1, OPC1))


def _described(name: str, operation: Operation, text: str) -> Operation:
    arguments = {
        own: msgspec.structs.replace(one, description=text or _ABOUT[own])
        for own, one in operation.arguments.items()
    }
    about = text or f"What {name} is for"
    return msgspec.structs.replace(operation, description=about, arguments=arguments)


def policy(here: Plant) -> Policy:
    """That of the gate's samples, with the agent's host and the tools, and rights to look at devices."""
    principals = {name: _reading(one) for name, one in POLICY.principals.items()}
    return msgspec.structs.replace(
        POLICY,
        model=here.digest,
        principals={
            **principals,
            AGENT_HOST: process(AGENT_HOST, "agent"),
            "tools": process("tools", "agent"),
        },
        roles={**POLICY.roles, "reader": Role(operations=("tool.*",))},
    )


def _reading(one: Principal) -> Principal:
    return one if one.kind == "process" else msgspec.structs.replace(one, roles=(*one.roles, "reader"))


class Anything(Arguments, frozen=True):
    """A filter that nothing here uses."""

    filter: Annotated[str, Meta(max_length=2000, description="Words to look for; empty: all.")] = ""


class Row(Record, frozen=True):
    """One entry."""

    name: str
    text: str
    value: float | None = None


class Rows(Record, frozen=True):
    """Entries."""

    rows: tuple[Row, ...]


@dataclass
class _Reading:
    """What the tools read, with the scene behind them."""

    scene: Scene

    def _told(self, name: str) -> TagTold:
        return TagTold(
            tag=TagName(name),
            value=VALUES[name],
            unit="",
            quality=192,
            quality_name="good",
            age_seconds=0.2,
            source=SourceName(name.partition(".")[0]),
            description=self.scene.at("tag-text"),
        )

    async def twin_get(self, _call: Call, asked: Any) -> Page[TagsGiven]:
        names = [name for name in (asked.tags or VALUES) if name in VALUES]
        tags = [self._told(name) for name in names]
        for channel, name, value in (("tag-value", "plc1.note", "value"), ("tag-name", "", "name")):
            if text := self.scene.at(channel):
                own = text if value == "name" else name
                tags.append(
                    msgspec.structs.replace(
                        self._told("plc1.run"), tag=TagName(own), value=text if name else True
                    )
                )
        seen = tuple(_seen("tag", one.tag, "TAGS", 1 + place) for place, one in enumerate(tags))
        return Page(TagsGiven(tags=tuple(tags), total=len(tags)), seen)

    async def twin_list(self, call: Call, _asked: Any) -> Page[PlantShown]:
        assets = tuple(
            AssetShown(
                asset=AssetName(name),
                description=asset.description,
                properties={key: one.tag for key, one in asset.properties.items()},
                operations=tuple(map(OperationName, asset.operations)),
            )
            for name, asset in call.plant.model.assets.items()
        )
        sources = tuple(SourceShown(source=SourceName(name), is_up=True, tags=6) for name in ("plc1", "opc1"))
        return Page(
            PlantShown(assets=assets, sources=sources, asset_count=len(assets), source_count=2),
            tuple(_seen("asset", one.asset) for one in assets),
        )

    async def health(self, _call: Call, _asked: Any) -> Page[HealthGiven]:
        cause = self.scene.at("source")
        one = Health(
            source=SourceName("opc1"),
            is_up=not cause,
            cause=cause,
            since=NOW - timedelta(hours=1),
            epoch=1,
            tags=1,
            frames=9,
            gaps=0,
            lost_samples=0,
            age_seconds=0.2,
            detail=cause,
        )
        return Page(
            HealthGiven(sources=(one,), total=1, down=int(bool(cause))),
            (_seen("source", "opc1", "SOURCES", 3),),
        )

    def _rows(self, channel: str, origin: Channel, stream: str = "") -> Callable[[Call, Any], Any]:
        async def work(_call: Call, _asked: Any) -> Page[Rows]:
            one = Row(name=f"{channel}-1", text=self.scene.at(channel) or "nothing to report", value=900.0)
            return Page(Rows(rows=(one,)), (_seen(origin, one.name, stream, 2 if stream else 0),))

        return work

    def listed(self, name: str, description: str, channel: str, origin: Channel, stream: str = "") -> AnyTool:
        return Tool(
            name, description, "low", Anything, Rows, self._rows(channel, origin, stream), items="rows"
        )


def tools(scene: Scene) -> tuple[AnyTool, ...]:
    """The read tools: real names, structs, cleaning and governing, with the scene behind them."""
    at = _Reading(scene)
    return (
        replace(TWIN_GET, work=at.twin_get),
        replace(TWIN_LIST, work=at.twin_list),
        replace(SOURCE_HEALTH, work=at.health),
        ASSET_OPERATIONS,
        at.listed("alarm-list", "The newest alarms.", "alarm", "alarm", "SOURCES"),
        at.listed("device-browse", "What a device offers.", "device", "device"),
        at.listed("command-list", "The newest commands with their reasons.", "reason", "command", "COMMANDS"),
        at.listed("tag-history", "Rows of the past.", "history", "history", "TAGS"),
        at.listed("mcp-notes", "Notes of another server.", "mcp", "mcp"),
    )


def _seen(channel: Channel, name: str, stream: str = "", sequence: int = 0) -> Provenance:
    return Provenance(channel=channel, name=name, stream=stream, sequence=sequence)

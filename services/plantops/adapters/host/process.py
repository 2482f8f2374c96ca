"""What an adapter process says about itself: its identity and its rights."""

from __future__ import annotations

from plantops.events import event_type, subjects
from plantops.events.commands import (
    CommandClaimed,
    CommandExecuted,
    CommandFailed,
    DryRunDone,
    OutcomeUnknown,
)
from plantops.events.governance import CommandProgressed, CommandReconciled
from plantops.events.operations import MessageBuried
from plantops.events.sources import GapRecorded, LeaseTaken, SourceLost, SourceUp
from plantops.events.tags import SourceDefined, TagFrame
from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.processor import Reads

# A stop in the hand of a host that dies must come again before its permit has run out.
SAFE_ACK_SECONDS = 3.0

_SAID = (
    CommandClaimed,
    CommandProgressed,
    CommandExecuted,
    CommandFailed,
    OutcomeUnknown,
    CommandReconciled,
    DryRunDone,
)


def process_name(source: str) -> str:
    """The identity under which a source's host logs in and signs."""
    return f"adapter-{source}"


def spec(site: str, source: str) -> ProcessSpec:
    """All that the host of one source may read, write, ask and answer."""
    me = process_name(source)
    told = tuple(event_type(kind).removeprefix("command.") for kind in _SAID)
    services = (subjects.service("read", site, source), subjects.service("browse", site, source))
    return ProcessSpec(
        name=me,
        reads=(
            Reads(
                "COMMANDS",
                tuple(
                    f"cmd.{site}.{verb}.gate.*"
                    for verb in ("permitted", "simulation_ordered", "reconcile_ordered")
                ),
                kind="effect",
                name="normal",
            ),
            Reads(
                "COMMANDS",
                (f"cmd.{site}.safe_permitted.gate.*",),
                kind="effect",
                name="safe",
                ack_seconds=SAFE_ACK_SECONDS,
            ),
        ),
        writes=(
            Writes("TAGS", (subjects.tag(site, source),), (event_type(TagFrame),)),
            Writes(
                "SOURCES",
                tuple(subjects.source(site, source, verb) for verb in ("lease", "up", "lost", "gap")),
                tuple(event_type(kind) for kind in (LeaseTaken, SourceUp, SourceLost, GapRecorded)),
            ),
            Writes("DEFINITIONS", (f"definition.{site}.{source}.*",), (event_type(SourceDefined),)),
            Writes(
                "COMMANDS",
                tuple(f"cmd.{site}.{verb}.{me}.*" for verb in told),
                tuple(event_type(kind) for kind in _SAID),
            ),
            Writes("DEAD", (subjects.dead(me),), (event_type(MessageBuried),)),
        ),
        # Inputs of other sources are seen through their signed frames.
        lookups=("POLICY", "TAGS", "DEFINITIONS"),
        public=services,
        asks=(subjects.service("twin", site, "sightings"),),
        audits=True,
    )

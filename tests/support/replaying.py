"""The gate's own words, decided once more from the log alone: the same bytes, in the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from plantops.events import Event, decode, encode
from plantops.events.base import CommandId, SiteName, encode_json
from plantops.events.command_parts import Decision, Observation
from plantops.events.commands import CommandRequested
from plantops.events.envelope import EVENT_ID, POSITION
from plantops.events.subjects import reign
from plantops.flow.bus import Bus, Stored
from plantops.flow.policies import first
from plantops.flow.processor import Recorded
from plantops.flow.reading import EventReader
from plantops.flow.restore import read_input
from plantops.flow.step import is_own, step
from plantops.gate.core import Gate
from plantops.gate.state import GateState
from plantops.policy.in_force import InForce
from plantops.policy.judge import Request, judge
from plantops.policy.needs import rule_for
from plantops.policy.roots import load_root
from support.history import stored
from support.site import RunningSite


@dataclass
class Replay:
    """A gate without a broker, given every input in the order in which the gates at work had them.

    Each own event tells how far all inputs were folded when it was stored; by that the order between the
    streams is known, whichever gate it was.
    """

    gate: Gate
    inputs: dict[str, list[Recorded]]
    state: GateState
    said: list[Recorded] = field(default_factory=list)

    def up_to(self, positions: Mapping[str, int], last: str) -> None:
        """Fold all inputs up to there, those of the stream `last` behind the others."""
        for stream in sorted(self.inputs, key=lambda name: name == last):
            queue = self.inputs[stream]
            while queue and queue[0].sequence <= positions.get(stream, 0):
                self.state, own = step(self.gate, self.state, queue.pop(0))
                self.said += own


async def gate_inputs(bus: Bus, gate: Gate, in_force: InForce) -> dict[str, list[Recorded]]:
    """All inputs as the fold has them: verified, with a time that never falls."""
    reader = EventReader(bus, in_force, site=gate.site)
    found: dict[str, list[Recorded]] = {}
    for reads in gate.consumes:
        clock, queue = 0, found.setdefault(reads.stream, [])
        messages = [one for subject in reads.subjects for one in await stored(bus, reads.stream, subject)]
        for message in sorted(messages, key=lambda one: one.sequence):
            clock = max(clock, message.time_ns)
            if (read := await read_input(reader, gate, message, None)) is not None:
                queue.append(read.at(clock))
    return found


async def check_replayed(site: RunningSite) -> str:
    """Every word of the gate comes again from the log, byte for byte, and so does every judgement in it.

    Gives the figures.
    """
    folder, plant = site.site.folder, site.site.plant
    root = load_root(folder.trust_root)
    gate = Gate(SiteName(site.site.name), plant, root)
    async with site.reader() as bus:
        in_force = InForce(root, site.site.name, plant=plant)
        await first(bus, in_force, patience_seconds=5.0)
        inputs = await gate_inputs(bus, gate, in_force)
        # The word with which a run begins follows from no input.
        began = reign(gate.site, gate.name)
        words = await stored(bus, "COMMANDS")
        own = [one for one in words if is_own(gate, one.stream, one.subject) and one.subject != began]
    count = sum(map(len, inputs.values()))
    run = Replay(gate, inputs, gate.initial())
    for message in own:
        positions = msgspec.json.decode(message.headers[POSITION], type=dict[str, int])
        run.up_to(positions, message.headers[EVENT_ID].split(".")[1])
    _check_same(run.said, own)
    run.up_to({stream: queue[-1].sequence for stream, queue in inputs.items() if queue}, "")
    assert len(run.said) == len(own), f"the gates never said {run.said[len(own) :]}"
    judged = _check_judged_again(own, await _asked(site), site, in_force)
    return f"{len(own)} words of the gate from {count} inputs again, {judged} decisions judged again"


def _check_same(said: Sequence[Recorded], own: Sequence[Stored]) -> None:
    for again, message in zip(said, own, strict=False):
        assert again.id == message.headers[EVENT_ID], f"{again.id} is replayed, {message.headers} is stored"
        assert again.subject == message.subject
        assert isinstance(again.fact, Event)
        data = encode(again.fact)
        assert data == message.data, f"{again.id}: {data!r} is replayed, {message.data!r} is stored"
    assert len(said) == len(own), f"{len(said)} words are replayed, {len(own)} are stored"


async def _asked(site: RunningSite) -> dict[CommandId, CommandRequested]:
    async with site.reader() as bus:
        events = [decode(message.data) for message in await stored(bus, "INTENTS")]
    return {event.command: event for event in events if isinstance(event, CommandRequested)}


def _check_judged_again(
    own: Sequence[Stored], asked: Mapping[CommandId, CommandRequested], site: RunningSite, in_force: InForce
) -> int:
    """From the record of a decision and the words that were asked alone."""
    plant, verified = site.site.plant, in_force.verified
    assert verified is not None
    count = 0
    for message in own:
        decision = getattr(decode(message.data), "decision", None)
        if not isinstance(decision, Decision):
            continue
        event = asked[decision.command]
        intent = event.intent
        is_safe = rule_for(verified.policy, intent.asset, intent.operation).safe_direction
        request = Request.of(event.command, intent, signed=bool(event.signer), is_safe=is_safe)
        again = judge(
            verified,
            plant,
            request,
            Observation(at=decision.now, inputs=decision.inputs),
            decision.now,
            stage=decision.stage,
            circumstances=decision.circumstances,
        )
        assert encode_json(again) == encode_json(decision), (again, decision)
        count += 1
    return count

"""The recorded histories of the gate: what is told, in order. `python -m golden.gate_stories` writes them.

Bytes change only when what the gate decides changes; then the change is looked at, and recorded anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from golden import act_stories, waiting_stories
from plantops.events import decode, encode
from plantops.events.base import encode_json
from plantops.events.commands import CommandPermitted
from plantops.flow.processor import Output, Recorded
from plantops.model.load import Plant
from support import acts_samples
from support.gate_samples import PLANT, POLICY, VALVE, Story, after, seen, well

FOLDER = Path(__file__).with_name("gate")


class Line(msgspec.Struct):
    """One fact as it stood in the log."""

    stream: str
    sequence: int
    subject: str
    time_ns: int
    signer: str
    event: msgspec.Raw


def medium() -> Story:
    """Two commands on one asset, and the second one waits for the first."""
    story = Story()
    first = story.ask("SetPosition", {"PERCENT": 40.0}, asset=VALVE)
    decision = story.only(CommandPermitted).decision
    story.wait(0.2)
    story.ask("Mark", asset=VALVE)
    story.claim(first, by="adapter-opc1")
    story.execute(first, decision, by="adapter-opc1")
    story.ask("Mark", asset=VALVE, actor="agent", on_behalf_of=("bob",))
    return story


def confirmed() -> Story:
    """Simulated, refused, confirmed, and refused again."""
    story = Story()
    first = story.simulated(actor="agent", on_behalf_of=("alice",))
    story.wait(3)
    story.ask("SetSpeed", {"RPM": 1300.0}, confirms=first)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first, actor="bob")
    story.ask(
        "SetSpeed",
        {"RPM": 1200.0},
        confirms=first,
        observation=well(seen("plc1.temperature", 96.0), at=story.now),
    )
    second = story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.wait(20)
    story.fire(second, "execution")
    return story


def approved() -> Story:
    """Two persons approve; a third word comes too late."""
    story = Story()
    wanted = story.waiting()
    story.approve(wanted, "alice")
    story.approve(wanted, "bob")
    story.wait(5)
    story.approve(wanted, "bob")
    story.approve(wanted, "carol")
    story.approve(wanted, "carol")
    late = story.waiting(actor="dave")
    story.wait(901)
    story.fire(late.command, "approval")
    story.approve(late, "bob")
    return story


def stopped() -> Story:
    """A stop between simulation and confirmation, and one under an expired policy."""
    story = Story()
    story.ask("Explode")
    first = story.simulated()
    wanted = story.waiting()
    story.ask("StopPump", blind=True)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    story.approve(wanted, "bob")
    story.publish(after(POLICY, moc="second"))
    story.publish(POLICY)
    story.wait(2 * 86_400)
    story.ask("SetSpeed", {"RPM": 1200.0})
    story.ask("StopPump", blind=True, signed=False)
    return story


STORIES: dict[str, Callable[[], Story]] = {
    "medium": medium,
    "confirmed": confirmed,
    "approved": approved,
    "stopped": stopped,
    **act_stories.STORIES,
    **waiting_stories.STORIES,
}


def plant_of(name: str) -> Plant:
    """The plant of a story."""
    if name == "simulated":
        return waiting_stories.plant_with_simulator()
    return acts_samples.PLANT if name in act_stories.STORIES else PLANT


def read_history(name: str) -> list[Recorded]:
    """The inputs of a recorded story."""
    history = []
    for text in (FOLDER / f"{name}.history.jsonl").read_bytes().splitlines():
        line = msgspec.json.decode(text, type=Line)
        identity = f"{line.stream}.{line.sequence}"
        fact = decode(bytes(line.event))
        history.append(
            Recorded(line.stream, line.sequence, line.subject, line.time_ns, fact, line.signer, identity)
        )
    return history


def read_answers(name: str) -> list[bytes]:
    """Subject and event of each answer, a line each."""
    return (FOLDER / f"{name}.answers.jsonl").read_bytes().splitlines()


def answer(output: Output) -> bytes:
    """One line of the answers."""
    return encode_json({"subject": output.subject, "event": msgspec.Raw(encode(output.event))})


def write(name: str, story: Story) -> None:
    """Record a story with the answers of this version."""
    lines = [_line(recorded) for recorded in story.history]
    own: list[Any] = [Output(each.subject, each.fact) for each in story.own]  # type: ignore[arg-type]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.history.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    (FOLDER / f"{name}.answers.jsonl").write_bytes(b"".join(answer(each) + b"\n" for each in own))


def _line(recorded: Recorded) -> bytes:
    event = msgspec.Raw(encode(recorded.fact))  # type: ignore[arg-type]  # the gate is told no frames
    line = Line(
        recorded.stream, recorded.sequence, recorded.subject, recorded.time_ns, recorded.signer, event
    )
    return encode_json(line)


if __name__ == "__main__":
    for title, tell in STORIES.items():
        write(title, tell())

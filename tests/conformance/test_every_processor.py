"""Every core of ours, walked: it keeps the promises, whatever the log may hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.processors import check_processor
from plantops.events import EVENT_TYPES, Event, decode, encode
from plantops.flow.processor import Processor, Recorded
from plantops.flow.step import step
from plantops.gate.core import Gate
from plantops.timer.core import Timer
from plantops.twin.core import Twin
from support.counter import Counter, came_up
from support.gate_samples import PLANT, ROOT, SITE, Story, after
from support.gate_samples import POLICY as FIRST_POLICY
from support.twin_samples import Shadow, frame

# Few words, so that events speak of the same things.
WORDS = st.sampled_from(
    ("", "demo", "c1", "c2", "pump-001", "plc1", "alice", "adapter-plc1", "SetSpeed", "\0")
)
TIMES = st.one_of(
    st.just(datetime(2026, 3, 1, 12, tzinfo=UTC)),
    st.just(datetime(2026, 3, 1, 12)),  # noqa: DTZ001 - a time without a zone can stand in the log
    st.just(datetime.fromisoformat("0001-01-01T00:00:00+14:00")),
    st.just(datetime.fromisoformat("9999-12-31T23:59:59-14:00")),
)
INTEGERS = st.sampled_from((0, 1, 2, -1, 2**63, 2**64, 2**80))
FLOATS = st.sampled_from((0.0, 1.5, -1.0, 1e308))


def values(info: Any) -> st.SearchStrategy[Any]:
    """Everything that has a type as msgspec describes it."""
    kinds = msgspec.inspect
    match info:
        case kinds.StructType():
            fields = {field.name: values(field.type) for field in info.fields}
            return st.builds(info.cls, **fields)
        case kinds.LiteralType():
            return st.sampled_from(info.values)
        case kinds.UnionType():
            return st.one_of([values(each) for each in info.types])
        case kinds.DictType():
            return st.dictionaries(values(info.key_type), values(info.value_type), max_size=2)
        case kinds.VarTupleType():
            return st.lists(values(info.item_type), max_size=2).map(tuple)
        case kinds.ListType():
            return st.lists(values(info.item_type), max_size=2)
        case _:
            plain: dict[type, st.SearchStrategy[Any]] = {
                kinds.StrType: WORDS,
                kinds.IntType: INTEGERS,
                kinds.FloatType: FLOATS,
                kinds.BoolType: st.booleans(),
                kinds.NoneType: st.none(),
                kinds.DateTimeType: TIMES,
                kinds.AnyType: st.dictionaries(WORDS, INTEGERS | WORDS, max_size=2),
            }
            return plain[type(info)]


EVENTS: st.SearchStrategy[Event] = st.one_of(
    [values(msgspec.inspect.type_info(kind)) for kind in EVENT_TYPES.values()]
)
STREAMS = st.sampled_from(("INTENTS", "COMMANDS", "APPROVALS", "POLICY", "TIMERS", "SOURCES"))
SIGNERS = st.sampled_from(("", "gate", "adapter-plc1", "timer"))


def told() -> Sequence[Recorded]:
    """A life of a gate: each risk, a stop, a policy that changes."""
    story = Story()
    first = story.simulated()
    story.wait(1)
    story.ask("SetSpeed", {"RPM": 1200.0}, confirms=first)
    wanted = story.waiting(actor="agent", on_behalf_of=("dave",))
    story.approve(wanted, "bob")
    story.ask("StopPump", blind=True)
    story.publish(after(FIRST_POLICY, moc="second"))
    story.approve(story.waiting(), "carol")
    story.wait(1000)
    story.fire(first, "confirmation")
    return story.history


def shadowed() -> Sequence[Recorded]:
    shadow = Shadow()
    for number in range(1, 20):
        shadow.wait(0.3)
        shadow.see(frame(number + number // 5, (0, float(number)), (4, f"text {number}")))
    return shadow.history


def executed() -> Sequence[Recorded]:
    """What the timer sees of that life."""
    story = Story()
    story.simulated()
    story.waiting()
    story.ask("StopPump")
    return [
        Recorded("COMMANDS", number, each.subject, each.time_ns, each.fact, each.signer, each.id)
        for number, each in enumerate(story.own, 1)
    ]


def counted() -> Sequence[Recorded]:
    return [Recorded("SOURCES", n, "source.demo.a.up", n * 10**9, came_up("a", n)) for n in range(1, 60)]


WALK: dict[str, tuple[Processor[Any], Callable[[], Sequence[Recorded]]]] = {
    "gate": (Gate(SITE, PLANT, ROOT), told),
    "twin": (Twin(SITE), shadowed),
    "timer": (Timer(SITE), executed),
    "counter": (Counter(), counted),
}


@pytest.mark.parametrize("name", WALK)
def test_keeps_the_promises(name: str) -> None:
    processor, history = WALK[name]
    check_processor(processor, history())


# The timer folds nothing but what the gate has signed, and that is no stranger's word.
@pytest.mark.parametrize("name", ["gate", "twin"])
@given(told=st.lists(st.tuples(EVENTS, STREAMS, SIGNERS), max_size=8), after_life=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_that_the_log_can_hold_breaks_a_core(
    name: str, told: list[tuple[Event, str, str]], after_life: bool
) -> None:
    """No fold raises, no decision raises, and the state can be written down and read again."""
    processor, history = WALK[name]
    state = processor.initial()
    facts = list(history()) if after_life else []
    for number, (event, stream, signer) in enumerate(told, len(facts) + 1):
        facts.append(Recorded(stream, number, "x", 1_772_366_400_000_000_000, decode(encode(event)), signer))
    for recorded in facts:
        state, _own = step(processor, state, recorded)
    data = processor.dump(state)
    assert processor.dump(processor.load(data)) == data

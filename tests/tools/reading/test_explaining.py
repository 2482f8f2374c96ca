"""What would the gate say? It is asked on a running site, and its own decision is held against the answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plantops.cli.session import Session
from plantops.events.base import Scalar
from plantops.events.command_parts import Decision, Finding, Mode
from plantops.events.queries import CommandStatus
from plantops.flow.reading import read_event
from plantops.policy.acts import LOCK, UNLOCK
from plantops.tools.contract import Call
from plantops.tools.reading.commands import COMMAND_LIST, COMMAND_STATUS, HOLDS_LIST
from plantops.tools.reading.explaining import POLICY_EXPLAIN, Explained
from support.site import RunningSite, ask, demo, running, status_of, until
from support.tool_calls import asked_by, places, site_call, told

assert demo is not None  # the fixture

PUMP, VALVE = "pump-001", "valve-001"
_CHANGING = re.compile(r"\d[\d.:T+-]*(e-?\d+)?")


def words(findings: tuple[Finding, ...]) -> list[tuple[str, str, str]]:
    """Rule, verdict and text; the numbers in it change while the plant runs and time goes by."""
    return [(one.rule, one.verdict, _CHANGING.sub("#", one.text)) for one in findings]


async def decision_of(call: Call, status: CommandStatus) -> Decision:
    """The gate's first judgement of a command, as it stands in the log."""
    stored = await call.bus.history("COMMANDS", f"cmd.{call.site}.*.*.{status.command}", 1, 20)
    for one in stored:
        decision = getattr(read_event(one, call.in_force)[0], "decision", None)
        if isinstance(decision, Decision):
            return decision
    raise AssertionError(f"{status.handle} has no decision")


async def agree(
    call: Call,
    here: Session,
    operation: str,
    arguments: dict[str, Scalar] | None = None,
    mode: Mode = "execute",
) -> tuple[Explained, CommandStatus]:
    """Ask for the explanation, then for the thing itself: both must say the same, finding by finding."""
    asset, _, name = operation.partition(".")
    page = await told(POLICY_EXPLAIN, call, asset=asset, operation=name, arguments=arguments or {}, mode=mode)
    explained: Explained = page.result
    status = await ask(here, operation, arguments, mode=mode)
    decision = await decision_of(call, status)
    assert words(explained.findings) == words(decision.findings)
    assert (explained.risk, explained.person) == (decision.risk, decision.person)
    assert [one.tag for one in explained.inputs] == [one.tag for one in decision.inputs]
    assert all(
        place[2:] == ("TAGS", one.sequence) for place, one in zip(places(page), explained.inputs, strict=True)
    )
    return explained, status


async def test_what_passes_is_told_with_what_it_still_takes(demo: RunningSite) -> None:
    async with demo.session("alice") as alice, site_call(demo, alice) as call:
        explained, status = await agree(call, alice, f"{PUMP}.SetSpeed", {"RPM": 1200})
        assert (explained.verdict, status.next) == ("confirm", "confirm")
        assert explained.reason == ""
        assert all(one.sequence > 0 for one in explained.inputs)
        explained, status = await agree(call, alice, f"{VALVE}.SetPosition", {"PERCENT": 41})
        assert (explained.verdict, status.outcome) == ("execute", "command.executed")
        explained, status = await agree(call, alice, f"{PUMP}.SetSpeed", {"RPM": 900}, "simulate")
        assert (explained.verdict, status.phase) == ("simulate", "simulated")


async def test_what_goes_in_the_safe_direction_needs_nothing(demo: RunningSite) -> None:
    async with demo.session("alice") as alice, site_call(demo, alice) as call:
        explained, status = await agree(call, alice, f"{VALVE}.CloseValve")
        assert (explained.verdict, explained.safe_direction, explained.inputs) == ("execute", True, ())
        assert status.outcome == "command.executed"


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        (f"{PUMP}.SetSpeed", {"RPM": 99_999}),
        (f"{PUMP}.SetSpeed", {"RPM": "fast"}),
        (f"{PUMP}.SetSpeed", {}),
        (f"{PUMP}.SetSpeed", {"RPM": 1200, "more": True}),
    ],
)
async def test_what_is_denied_is_denied_by_the_same_words(
    demo: RunningSite, operation: str, arguments: dict[str, Scalar]
) -> None:
    async with demo.session("alice") as alice, site_call(demo, alice) as call:
        explained, status = await agree(call, alice, operation, arguments)
        assert (explained.verdict, status.phase) == ("deny", "denied")
        assert _CHANGING.sub("#", explained.reason) == _CHANGING.sub("#", status.reason)


async def test_whom_the_policy_gives_no_role_is_told_so(demo: RunningSite) -> None:
    async with demo.session("carol") as carol, site_call(demo, carol) as call:
        explained, status = await agree(call, carol, f"{PUMP}.SetSpeed", {"RPM": 1200})
        assert (explained.verdict, status.phase) == ("deny", "denied")
        assert explained.reason.startswith("role: ")
        assert explained.reason == status.reason


async def test_a_chain_is_judged_as_a_chain(demo: RunningSite) -> None:
    async with demo.session("alice") as alice, site_call(demo, alice) as call:
        page = await told(
            POLICY_EXPLAIN,
            asked_by(call, "carol", "alice"),
            asset=PUMP,
            operation="SetSpeed",
            arguments={"RPM": 1},
        )
        explained: Explained = page.result
        verdicts = {one.rule: one.verdict for one in explained.findings}
        assert verdicts["identity"] == "false", "a person asks in his own name"
        assert verdicts["role"] == "false"
        assert explained.verdict == "deny"


async def test_a_lock_is_told_as_the_gate_tells_it(demo: RunningSite) -> None:
    async with demo.session("alice") as alice, site_call(demo, alice) as call:
        locked = await ask(alice, f"{VALVE}.{LOCK}", {"reason": "a hand is in it"})
        assert locked.phase == "done"
        try:
            explained, status = await agree(call, alice, f"{VALVE}.SetPosition", {"PERCENT": 10})
            assert explained.reason.startswith("lockout: ")
            assert explained.reason == status.reason
            (hold,) = (await told(HOLDS_LIST, call, asset=VALVE)).result.holds
            assert (hold.kind, hold.owner, hold.reason) == ("lockout", "alice", "a hand is in it")
            assert hold.handle == locked.handle
        finally:
            await ask(alice, f"{VALVE}.{UNLOCK}", {"lock": locked.command})
        assert (await told(HOLDS_LIST, call, asset=VALVE)).result.holds == ()
        explained, _status = await agree(call, alice, f"{VALVE}.SetPosition", {"PERCENT": 12})
        assert explained.verdict == "execute"


async def test_the_status_of_a_command_brings_the_findings_that_denied_it(demo: RunningSite) -> None:
    async with demo.session("alice") as alice, site_call(demo, alice) as call:
        denied = await ask(alice, f"{PUMP}.SetSpeed", {"RPM": 99_999})
        page = await told(COMMAND_STATUS, call, command=denied.handle)
        assert page.result.status == await status_of(alice, denied.command)
        assert page.result.findings == (await decision_of(call, denied)).findings
        ((channel, name, stream, sequence),) = places(page)
        assert (channel, name, stream) == ("command", denied.handle, "COMMANDS")
        stored = await call.bus.get("COMMANDS", sequence)
        assert stored is not None
        assert stored.subject.endswith(denied.command)
        listed = await told(COMMAND_LIST, call, asset=PUMP, phase="denied", actor="alice")
        assert listed.result.commands[0].command == denied.command


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[RunningSite]:
    """A site of its own: its field is stopped for a while."""
    yield from running(tmp_path / "demo")


@pytest.mark.timeout(300)
async def test_a_plant_that_has_gone_silent_is_judged_as_unknown(silent: RunningSite) -> None:
    async with silent.session("alice") as alice, site_call(silent, alice) as call, silent.paused("field"):

        async def look() -> Any:
            page = await told(POLICY_EXPLAIN, call, asset=PUMP, operation="SetSpeed", arguments={"RPM": 1200})
            return page.result

        def is_blind(one: Explained) -> bool:
            return {each.verdict for each in one.findings if each.rule.startswith("mode:")} == {"unknown"}

        await until(look, is_blind, "nothing is known of the plant any more")
        async with asyncio.timeout(30):
            explained, status = await agree(call, alice, f"{PUMP}.SetSpeed", {"RPM": 1200})
        assert (explained.verdict, status.phase) == ("deny", "denied")
        assert _CHANGING.sub("#", explained.reason) == _CHANGING.sub("#", status.reason)

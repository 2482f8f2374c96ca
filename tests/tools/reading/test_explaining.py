"""What would the gate say? It is asked on a running site, and its own decision is held against the answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from plantops.cli.session import Session
from plantops.deployment.policies import (
    read_document,
    read_envelope,
    sign_policy,
    verify_envelope,
    write_policy,
)
from plantops.events.base import Scalar
from plantops.events.command_parts import Decision, Finding, Mode
from plantops.events.envelope import Message
from plantops.events.queries import CommandStatus
from plantops.flow.bus import Bus
from plantops.flow.reading import read_event
from plantops.ledger.keys import SigningKey
from plantops.policy.acts import LOCK, UNLOCK
from plantops.policy.document import Limit
from plantops.runtime.errors import NobodyAnswers
from plantops.tools.contract import Call
from plantops.tools.reading.commands import COMMAND_LIST, COMMAND_STATUS, HOLDS_LIST
from plantops.tools.reading.explaining import POLICY_EXPLAIN, Explained
from support.site import RunningSite, ask, demo, own_site, running, status_of, until
from support.tool_calls import asked_by, places, site_call, told

assert demo is not None  # the fixtures
assert own_site is not None

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


LIMITS = (
    Limit(id="few", applies=("valve-001.*",), per="person", calls=2, text="few moves"),
    Limit(id="far", applies=("valve-001.SetPosition",), drift={"PERCENT": 500.0}, concurrent=1),
)


def limit(site: RunningSite) -> None:
    """The next revision of its policy has limits."""
    folder = site.site.folder
    before = verify_envelope(folder, read_envelope(folder))
    document, _bytes = read_document(folder)
    following = msgspec.structs.replace(
        document, limits=LIMITS, revision=document.revision + 1, previous=before.digest
    )
    write_policy(folder, following)
    sign_policy(folder, [SigningKey.load(folder.root_key)])


class Without:
    """A connection on which one service gives no answer, as with a gate that does not have it."""

    def __init__(self, bus: Bus, service: str) -> None:
        self._bus, self._service = bus, service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def request(self, subject: str, data: bytes, *, timeout: float) -> Message:
        if subject.endswith(self._service):
            raise NobodyAnswers(f"nobody serves {subject}")
        return await self._bus.request(subject, data, timeout=timeout)


def used(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    """How far the calls are used, to the number."""
    return [(one.verdict, one.text) for one in findings if one.rule == "limit:few"]


@pytest.mark.timeout(300)
async def test_limits_are_told_as_far_as_the_gate_has_counted_them(own_site: RunningSite) -> None:
    limit(own_site)
    await own_site.start()
    async with own_site.session("alice") as alice, site_call(own_site, alice) as call:
        for number, percent in enumerate((40, 45, 50)):
            explained, status = await agree(call, alice, f"{VALVE}.SetPosition", {"PERCENT": percent})
            decision = await decision_of(call, status)
            assert used(explained.findings) == used(decision.findings)
            assert f"{number} of 2 calls used" in used(explained.findings)[0][1]
            assert explained.not_known == ()
            assert explained.verdict == ("execute" if number < 2 else "deny")
        assert explained.reason == status.reason
        assert explained.reason.startswith("limit:few: few moves: 2 of 2")
        deaf = replace(call, bus=cast("Bus", Without(call.bus, ".circumstances")))
        page = await told(
            POLICY_EXPLAIN, deaf, asset=VALVE, operation="SetPosition", arguments={"PERCENT": 9}
        )
        assert page.result.verdict == "not_known"
        assert [text.split(" is used")[0] for text in page.result.not_known] == [
            "how far the limit few",
            "how far the limit far",
        ]

"""The permission files of a real site: every process identity, every person, every stolen login.

`test_direct` has a small plant whose rights are written down by hand; here the rights are those that
`plantops up` and compose really give, whatever processes there are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from attacks.state import concrete, login, watching
from attacks.test_direct import ADMINISTRATION, mapped
from plantops.deployment.identities import process_specs
from plantops.flow.accounts import login_rights
from plantops.flow.patterns import covers
from plantops.flow.streams import streams
from plantops.gateway.specs import GATEWAY
from support.nats import Broker, until

SITE = "demo"
PERSONS = ("alice", "mallory", GATEWAY)
SPECS = process_specs(SITE, ("plc1", "opc1"))
EVERYBODY = (*(spec.name for spec in SPECS), *PERSONS)
STREAMS = tuple(settings.name for settings in streams())

DESTRUCTIVE = (
    *(
        f"$JS.API.STREAM.{verb}.{name}"
        for verb in ("UPDATE", "DELETE", "PURGE", "CREATE")
        for name in STREAMS
    ),
    *(f"$JS.API.STREAM.{verb}.{name}" for verb in ("MSG.DELETE", "RESTORE", "SNAPSHOT") for name in STREAMS),
    *(f"$JS.API.STREAM.{verb}.{name}" for verb in ("LEADER.STEPDOWN", "PEER.REMOVE") for name in STREAMS),
    *(f"$JS.API.CONSUMER.{verb}.{name}.x" for verb in ("DELETE", "PAUSE", "CREATE") for name in STREAMS),
)
SHRINK = json.dumps({"name": "AUDIT", "subjects": ["audit.>"], "max_msgs": 10}).encode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("site") / "broker", SPECS, PERSONS)
    try:
        asyncio.run(broker.start())
        yield broker
    finally:
        asyncio.run(broker.server.stop())


def foreign(broker: Broker, identity: str) -> list[str]:
    """All that somebody else may publish, and what nobody at work may."""
    rights = login_rights(broker.plant())
    wanted = {concrete(p) for name, theirs in rights.items() if name != identity for p in theirs.publish}
    wanted |= {concrete(p) for p in (*ADMINISTRATION, *DESTRUCTIVE)}
    own = rights[identity].publish
    return sorted(subject for subject in wanted if not any(covers(mine, subject) for mine in own))


@pytest.mark.parametrize("identity", EVERYBODY)
def test_nobody_at_work_has_a_destructive_right(identity: str, site: Broker) -> None:
    own = login_rights(site.plant())[identity].publish
    assert [each for each in DESTRUCTIVE if any(covers(mine, each) for mine in own)] == []


@pytest.mark.parametrize("identity", EVERYBODY)
async def test_a_stolen_login_gets_no_further_than_its_own_rights(identity: str, site: Broker) -> None:
    subjects = foreign(site, identity)
    async with watching(site) as watcher, login(site, identity) as thief:
        before = (await watcher.counts(), await watcher.settings())
        for subject in subjects:
            await thief.publish(subject, b"+TERM" if ".ACK." in subject else SHRINK)
        await thief.flush()
        refused = site.refused[identity]
        await until(lambda: len(refused) >= len(subjects))
        told = " ".join(refused).lower()
        missed = [s for s in subjects if f'"{renamed(identity, s).lower()}"' not in told]
        assert missed == []
        assert (await watcher.counts(), await watcher.settings()) == before


def renamed(identity: str, subject: str) -> str:
    return subject if identity in PERSONS else mapped(identity, subject)


@pytest.mark.parametrize("identity", EVERYBODY)
async def test_a_stolen_login_hears_nothing_of_others(identity: str, site: Broker) -> None:
    rights = login_rights(site.plant())
    own = rights[identity].subscribe
    patterns = {p for name, theirs in rights.items() if name != identity for p in theirs.subscribe}
    patterns |= {">", "_INBOX.>", "_R_.>", "$JS.>", "$SYS.>", "audit.>", "intent.>", "approval.>", "door.>"}
    closed = sorted(p for p in patterns if not any(covers(mine, p) for mine in own))
    async with login(site, identity) as thief:
        for pattern in closed:
            await thief.subscribe(pattern)
        await thief.flush()
        refused = site.refused[identity]
        await until(lambda: len(refused) >= len(closed))
        told = " ".join(refused).lower()
        assert [pattern for pattern in closed if f'"{pattern.lower()}"' not in told] == []

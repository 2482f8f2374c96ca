"""Three holders, two must sign: root and policy from hand to hand by the real command, to a real broker."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from plantops.cli.main import run
from plantops.deployment.broker import connect
from plantops.deployment.folder import Identity, SiteFolder
from plantops.deployment.identities import POLICY_OFFICE, logins
from plantops.deployment.initialise import initialise
from plantops.deployment.policies import read_envelope, verify_envelope
from plantops.deployment.provisioning import prepare
from plantops.deployment.runtime_file import Running, write_running
from plantops.deployment.site import Site, load_site
from plantops.flow.accounts import ServerOptions, configuration
from plantops.flow.bus import Bus
from plantops.flow.policies import refresh
from plantops.flow.server import EmbeddedServer
from plantops.policy.in_force import InForce
from plantops.policy.roots import load_root
from plantops.runtime.nkey import NKey
from support.command_line import plantops
from support.nats import free_port

HOLDERS = ("anna", "bert", "cleo")


class Office:
    """A site's folder, its broker, and the command line on both.

    Most steps run in this process: it starts for each again slowly. `process` is as a person does it.
    """

    def __init__(self, site: Site, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.site, self.keys, self._capsys = site, keys, capsys

    @property
    def folder(self) -> SiteFolder:
        return self.site.folder

    def key(self, holder: str) -> Path:
        return self.folder.root_key if holder == "old" else self.keys / f"{holder}.key"

    async def run(self, *words: str | Path) -> Any:
        """The JSON that `plantops policy` prints."""
        code = await asyncio.to_thread(run, ["policy", *map(str, words), "--json"])
        told = self._capsys.readouterr()
        assert code == 0, told
        return json.loads(told.out)

    async def process(self, *words: str | Path) -> Any:
        """The same, by a process of its own."""
        done = await asyncio.to_thread(plantops, "policy", *words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    async def by(self, holder: str, *words: str | Path) -> Any:
        """The same, signed by one holder."""
        return await self.run(*words, "--key", self.key(holder))

    async def refused(self, *words: str | Path) -> str:
        assert await asyncio.to_thread(run, ["policy", *map(str, words)]) == 1
        return self._capsys.readouterr().err


@pytest.fixture
async def office(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Office]:
    monkeypatch.setenv("PLANTOPS_FOLDER", str(tmp_path / "demo"))
    site = initialise(tmp_path / "demo").site
    policy = verify_envelope(site.folder, read_envelope(site.folder)).policy
    options = ServerOptions(folder=site.folder.broker_data, port=free_port(), monitor_port=free_port())
    site.folder.broker_data.parent.mkdir(parents=True, exist_ok=True)
    server = EmbeddedServer(options)
    await server.start(configuration(logins(site, policy), options))
    try:
        await prepare(site, options.url, lambda _text: None)
        site.folder.run.mkdir(exist_ok=True)
        write_running(
            site.folder, Running(pid=os.getpid(), url=options.url, monitor_port=options.monitor_port)
        )
        yield Office(load_site(site.folder.root), tmp_path, capsys)
    finally:
        await server.stop()


@pytest.fixture
async def bus(office: Office) -> AsyncIterator[Bus]:
    login = NKey.load(Identity(office.folder.office / POLICY_OFFICE).login)
    opened = await connect(office.site, POLICY_OFFICE, login)
    yield opened
    await opened.close()


async def rotate(office: Office) -> None:
    """From one key to two of three."""
    public = [(await office.run("root", "key", office.key(name)))["public"] for name in HOLDERS]
    old = load_root(office.folder.trust_root).policy.keys[0]
    added = [word for text in public for word in ("--add", text)]
    root = await office.run("root", "new", *added, "--remove", old, "--threshold", "2")
    assert (root["version"], len(root["policy"]["keys"])) == (2, 3)
    signed = await office.by("old", "root", "sign")
    assert (signed["standing"]["needed"], signed["own"]["needed"], signed["enough"]) == (1, 2, False)
    assert "0 of 2 signatures of its own" in await office.refused("root", "publish")
    assert not (await office.by("anna", "root", "cosign"))["enough"]
    assert (await office.by("bert", "root", "cosign"))["enough"]
    assert "cosign" in await office.refused("root", "publish"), "nobody would believe the policy in force"
    for name in ("anna", "bert"):
        await office.by(name, "cosign")
    assert (await office.run("root", "publish"))["version"] == 2


async def test_two_of_three_holders_rotate_the_root_and_sign_the_next_policy(
    office: Office, bus: Bus
) -> None:
    pinned = load_root(office.folder.trust_root)
    follower = InForce(pinned, "demo", plant=office.site.plant)
    assert await refresh(bus, follower)
    await rotate(office)
    assert load_root(office.folder.trust_root) == pinned, "what a person pinned is not rewritten"
    assert await refresh(bus, follower)
    assert follower.root.version == 2

    await office.run("revise", "--moc", "MOC-7")
    assert "in no trust root" in await office.refused("sign", "--key", office.key("old"))
    before = read_envelope(office.folder)
    first = await office.by("anna", "sign")
    assert (first["signatures"], first["needed"], first["enough"]) == (1, 2, False)
    assert (await office.by("anna", "cosign"))["signatures"] == 1, "a holder counts once"
    assert read_envelope(office.folder) == before
    assert (await office.run("activate"))["published"] is False
    assert not await refresh(bus, follower)

    complete = await office.process("cosign", "--key", office.key("cleo"))
    assert (complete["signatures"], complete["enough"], complete["revision"]) == (2, True, 2)
    told = await office.run("verify")
    assert (told["threshold"], len(told["signers"]), told["root_version"]) == (2, 2, 2)
    assert await office.process("activate") == {"revision": 2, "published": True}
    assert await refresh(bus, follower)
    assert follower.verified is not None
    assert follower.verified.policy.moc == "MOC-7"

    late = InForce(pinned, "demo", plant=office.site.plant)
    assert await refresh(bus, late)
    assert late.verified == follower.verified
    assert late.root == follower.root

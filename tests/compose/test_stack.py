"""The site as containers: started, played on, hurt, stopped and started again, as the guide says."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from layout.repository import ROOT
from plantops.deployment.broker import connect
from plantops.deployment.folder import SiteFolder
from plantops.deployment.initialise import initialise, make_identity
from plantops.deployment.place import load_place
from plantops.deployment.policies import read_document, sign_policy, write_policy
from plantops.deployment.processes import process_names
from plantops.deployment.provisioning import prepare
from plantops.deployment.server_file import server_text
from plantops.deployment.site import Site, load_site
from plantops.events.queries import CommandsAsked, CommandsListed
from plantops.flow.accounts import ServerOptions, ServerTls
from plantops.ledger.keys import SigningKey
from plantops.policy.document import Principal, policy_digest
from plantops.runtime.errors import BrokerUnavailable, SettingsError
from plantops.runtime.nkey import NKey
from support import mqtt
from support.certificates import make_authority
from support.command_line import plantops
from support.compose import OWNER, PRODUCTION, Stack, own
from support.engine import docker, engine, image, project
from support.nats import free_port
from support.site import until
from system.test_kills import AFTER, BEFORE, at_work, check_all

__all__ = ["engine", "image", "project"]
# Building the image and starting a dozen containers on a small machine takes its time.
pytestmark = pytest.mark.timeout(600)
testcontainers_config.ryuk_disabled = True  # it is an image more, and we clean up by ourselves

PARTS = ("gate", "adapter-plc1", "adapter-opc1", "twin", "notary", "timer", "archive", "nats")


# Single containers


def container(
    name: str, port: int, published: int, *, owner: int = OWNER, **settings: object
) -> DockerContainer:
    """As confined as in compose.yaml; `port` is reached at `published` of loopback."""
    made = DockerContainer(name).with_kwargs(
        user=f"{owner}:{owner}", read_only=True, cap_drop=["ALL"], **settings
    )
    # The library below takes an address too; its own type does not say so.
    made.ports[f"{port}/tcp"] = ("127.0.0.1", published)  # type: ignore[assignment]
    return made


@pytest.fixture
def tls_broker(engine: None, tmp_path: Path) -> Iterator[Site]:
    """NATS 2.15 as a container, with a certificate of an authority to throw away; the site that it serves."""
    root, port = tmp_path / "site", free_port()
    initialise(root)
    make_authority(root / "tls").issue("nats")
    settings = root / "plantops.toml"
    text = settings.read_text()
    settings.write_text(text.replace('url = ""', f'url = "tls://127.0.0.1:{port}"\nca = "tls/ca.pem"', 1))
    files = ServerTls(Path("/run/tls/nats.pem"), Path("/run/tls/nats.key"))
    options = ServerOptions(
        folder=Path("/data"), port=4222, monitor_port=8222, host="0.0.0.0", logs_to_file=False, tls=files
    )
    served, streams = tmp_path / "served", tmp_path / "streams"
    served.mkdir()
    streams.mkdir()
    own(streams)
    (served / "nats.conf").write_text(server_text(load_site(root), options))
    own(served)
    own(root / "tls")
    broker = (
        container(
            "nats:2.15-alpine",
            4222,
            port,
            entrypoint=["nats-server", "--config", "/etc/plantops/nats.conf"],
        )
        .with_volume_mapping(str(streams), "/data", "rw")
        .with_volume_mapping(str(served), "/etc/plantops", "ro")
        .with_volume_mapping(str(root / "tls"), "/run/tls", "ro")
        .waiting_for(LogMessageWaitStrategy("Server is ready"))
    )
    with broker:
        yield load_site(root)


async def test_a_broker_in_a_container_is_provisioned_and_reached_over_tls(tls_broker: Site) -> None:
    told: list[str] = []
    url = tls_broker.settings.broker.url
    await prepare(tls_broker, url, told.append)
    assert "as they were" in told[0]
    assert told[1] == "policy: revision 1 published"
    await prepare(tls_broker, url, told.append)
    assert told[2].startswith("streams: 0 made")
    assert told[3] == "policy: revision 1 in force"
    key = NKey.load(tls_broker.folder.identity("twin").login)
    bus = await connect(tls_broker, "twin", key)
    assert bus.is_connected
    await bus.close()


async def test_a_broker_whose_authority_is_not_ours_is_not_spoken_to(
    tls_broker: Site, tmp_path: Path
) -> None:
    other = make_authority(tmp_path / "other")
    (tls_broker.folder.root / "tls" / "ca.pem").write_bytes((other.folder / "ca.pem").read_bytes())
    key = NKey.load(tls_broker.folder.identity("twin").login)
    with pytest.raises(BrokerUnavailable, match="certificate verify failed"):
        await connect(tls_broker, "twin", key, wait=3.0)
    with pytest.raises(BrokerUnavailable, match="certificate verify failed"):
        await prepare(tls_broker, tls_broker.settings.broker.url, lambda _text: None)


async def test_an_authority_beside_an_open_broker_is_a_mistake(tls_broker: Site) -> None:
    key = NKey.load(tls_broker.folder.identity("twin").login)
    with pytest.raises(SettingsError, match="not encrypted"):
        await connect(tls_broker, "twin", key, url="nats://127.0.0.1:1")


# Where the site belongs to root, the containers are root too, without a capability to become another user.
@pytest.mark.parametrize("owner", [OWNER, 0] if os.getuid() == 0 else [OWNER])
def test_mosquitto_lets_in_who_has_name_and_password(engine: None, tmp_path: Path, owner: int) -> None:
    folder = SiteFolder(tmp_path / "site")
    initialise(folder.root, compose=True)
    own(folder.root, owner)
    port = free_port()
    broker = (
        container("eclipse-mosquitto:2", 1883, port, owner=owner)
        .with_tmpfs_mount("/mosquitto/data", f"uid={owner}")
        .with_command(["mosquitto", "-c", "/mosquitto/config/mosquitto.conf"])
        .waiting_for(LogMessageWaitStrategy("mosquitto version .* running"))
    )
    configuration = ROOT / "services" / "mosquitto" / "mosquitto.conf"
    broker.with_volume_mapping(str(configuration), "/mosquitto/config/mosquitto.conf", "ro")
    for name in ("passwd", "access"):
        broker.with_volume_mapping(str(folder.root / "mosquitto" / name), f"/mosquitto/config/{name}", "ro")
    password = (folder.root / "secrets/mqtt-password").read_text().strip()
    with broker:
        assert mqtt.connect(port) == mqtt.NOT_AUTHORISED
        assert mqtt.connect(port, "plantops", "guessed") == mqtt.NOT_AUTHORISED
        assert mqtt.connect(port, "plantops", password) == mqtt.ACCEPTED


# The whole site


@pytest.fixture(scope="module")
def stack(image: str, project: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The demo site, made and started by compose; one for all tests, which leave it running."""
    site = Stack(tmp_path_factory.mktemp("compose") / "site", project=project, image=image)
    try:
        site.initialise()
        site.up()
        yield site
    finally:
        site.compose("down", "--volumes", "--timeout", "5", "--remove-orphans")


def test_everything_is_healthy_and_nobody_is_root(stack: Stack) -> None:
    found = stack.containers()
    assert set(process_names(stack.site)) <= set(found)
    assert {
        name: each["Health"] for name, each in found.items() if each["Health"] not in ("healthy", "")
    } == {}
    for name in process_names(stack.site):
        assert found[name]["Health"] == "healthy"
        uid = stack.done("exec", "-T", name, "id", "-u").strip()
        assert uid == str(OWNER)
        assert stack.compose("exec", "-T", name, "touch", "/site/keys/x").returncode != 0
    for name in ("nats-config", "provision"):
        assert found[name]["ExitCode"] == 0


def test_the_image_names_no_registry(image: str) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout.splitlines()
    own_layers = history[: max(n for n, line in enumerate(history) if "/site/data" in line) + 1]
    assert [line for line in own_layers if "://" in line or "INDEX" in line.upper()] == []
    look = "env; find / -xdev -name 'pip.conf' -exec cat {} + 2>/dev/null"
    seen = docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", look)
    assert "INDEX" not in seen.stdout.upper()


def test_the_story_is_told_against_the_containers_from_outside(stack: Stack) -> None:
    told = plantops("demo", "--against", stack.root, "--plant", f"127.0.0.1:{stack.ports['PLANT']}")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "10. The audit proves it" in told.stdout
    assert "The story took" in told.stdout


def test_a_host_without_python_has_the_command_line_as_a_container(stack: Stack) -> None:
    told = json.loads(stack.done("run", "--rm", "cli", "status", "--json"))
    assert {source["source"] for source in told["twin"]["sources"]} == {"plc1", "opc1"}


async def test_a_machine_asks_in_plain_words_and_commands_over_http_with_a_key_of_its_own(
    stack: Stack,
) -> None:
    made = json.loads(stack.done("run", "--rm", "cli", "gateway", "key", "new", "alice", "--json"))
    url, key = f"http://127.0.0.1:{stack.ports['HTTP']}", {"X-API-Key": made["key"]}
    async with httpx.AsyncClient(base_url=url, timeout=60.0) as http:

        async def look() -> int:
            return (await http.post("/chat", json={"message": "help"}, headers=key)).status_code

        await until(look, lambda status: status == 200, "the agent answers")
        asked = {"message": "set the valve valve-001 to 35 percent"}
        assert (await http.post("/chat", json=asked)).status_code == 401
        assert (await http.post("/chat", json=asked, headers={"X-Roles": "operator"})).status_code == 401
        told = (await http.post("/chat", json=asked, headers=key)).json()
        assert [each["status"] for each in told["tool_results"]][-1] == "completed", told
        body = {"asset": "valve-001", "operation": "SetPosition", "arguments": {"PERCENT": 40}}
        answer = await http.post("/v1/commands?wait=30", json=body, headers=key)
        assert (answer.status_code, answer.json()["state"]) == (200, "executed"), answer.text
        assert (answer.json()["requester"], answer.json()["by"]) == ("alice", "gateway")
        stack.done("run", "--rm", "cli", "gateway", "key", "revoke", made["id"])

        async def refused() -> int:
            return (await http.get("/tasks", headers=key)).status_code

        await until(refused, lambda status: status == 401, "a revoked key counts no longer")
    async with stack.session("alice") as alice:
        await stack.tag(alice, "opc1.valve.command", lambda tag: tag.value == 40, "is 40")


def test_what_the_archive_serves_is_seen_where_grafana_will_look(stack: Stack) -> None:
    volume = f"{stack.project}_archive-served:/data:ro"
    words = ("run", "--rm", "--network", "none", "--user", "472:472", "-v", volume, "--entrypoint", "sh")

    def look() -> str:
        return docker(*words, stack.image, "-c", "test -r /data/plantops.duckdb && echo there").stdout

    assert look().strip() == "there"
    assert "Read-only" in docker(*words, stack.image, "-c", "touch /data/x").stderr


async def test_whatever_is_killed_comes_back_and_nothing_is_lost_or_done_twice(stack: Stack) -> None:
    async with at_work(stack) as work:
        await work.until_executed(BEFORE)
        for part in PARTS:
            await stack.kill(part)
            await work.until_executed(AFTER)
    await check_all(stack, work)


async def test_what_compose_has_killed_is_started_by_hand_and_goes_on(stack: Stack) -> None:
    (_shell, is_young) = json.loads(stack.inspect("twin", "json .Config.Healthcheck.Test"))
    async with at_work(stack) as work:
        await work.until_executed(BEFORE)
        stack.done("kill", "nats", "gate")

        async def look() -> int:
            return stack.compose("exec", "-T", "twin", "sh", "-c", is_young).returncode

        await until(look, lambda code: code != 0, "the twin says that it is not connected")
        stack.up()
        await work.until_executed(AFTER)
    await check_all(stack, work)


async def test_who_is_new_in_the_policy_may_log_in_once_the_server_has_read_it(stack: Stack) -> None:
    folder = stack.site.folder
    signing, login = make_identity(folder.identity("dora", person=True))
    policy, payload = read_document(folder)
    dora = Principal(kind="person", person="dora", keys=(signing,), logins=(login,), roles=("viewer",))
    write_policy(
        folder,
        msgspec.structs.replace(
            policy,
            revision=policy.revision + 1,
            previous=policy_digest(payload),
            principals={**policy.principals, "dora": dora},
        ),
    )
    sign_policy(folder, [SigningKey.load(folder.root_key)])
    place, key = load_place(folder.root), NKey.load(folder.identity("dora", person=True).login)
    with pytest.raises(BrokerUnavailable):
        await connect(place, "dora", key, wait=1.0)
    own(folder.root)
    stack.done("run", "--rm", "nats-config")
    stack.done("exec", "-T", "nats", "nats-server", "--signal", "reload=/tmp/nats.pid")

    async def look() -> bool:
        try:
            bus = await connect(place, "dora", key, wait=1.0)
        except BrokerUnavailable:
            return False
        await bus.close()
        return True

    assert await until(look, lambda is_in: is_in, "dora may log in")
    own(folder.root)
    assert "published" in stack.done("run", "--rm", "cli", "policy", "activate")


async def test_after_down_and_up_it_goes_on_where_it_was(stack: Stack) -> None:
    async with stack.session("alice") as alice:
        before = await alice.ask("command", "list", CommandsAsked(limit=100), CommandsListed)
    assert before.commands
    stack.done("stop")
    ended = {name: each["ExitCode"] for name, each in stack.containers().items()}
    # 137 would say that one did not heed SIGTERM and was killed after the time that the engine gives.
    assert {
        name: code for name, code in ended.items() if code != 0 and name in process_names(stack.site)
    } == {}
    stack.down()
    assert stack.containers() == {}
    stack.up()
    async with stack.session("alice") as alice:
        after = await alice.ask("command", "list", CommandsAsked(limit=100), CommandsListed)
        assert [(c.handle, c.command, c.outcome) for c in after.commands] == [
            (c.handle, c.command, c.outcome) for c in before.commands
        ]
    async with at_work(stack) as work:
        await work.until_executed(BEFORE)
    await stack.healthy()
    verified = plantops("audit", "verify", "--folder", stack.root)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_production_refuses_the_demo_site(stack: Stack) -> None:
    refused = Stack(
        stack.root, project=stack.project, image=stack.image, files=PRODUCTION, ports=stack.ports
    ).compose("run", "--rm", "--no-deps", "provision")
    assert refused.returncode == 1
    assert "is the demo site" in refused.stderr + refused.stdout


# Production


@pytest.fixture
def works(image: str, project: str, tmp_path: Path) -> Iterator[Stack]:
    """A site of its own with certificates of an authority to throw away, not started."""
    site = Stack(tmp_path / "works", project=f"{project}-prod", image=image, files=PRODUCTION)
    try:
        site.initialise("--site", "works")
        address = f"127.0.0.1:{site.ports['NATS']}"
        site.change("plantops.toml", {f'"nats://{address}"': f'"tls://{address}"\nca = "tls/ca.pem"'})
        authority = make_authority(site.root / "tls")
        for name in ("nats", "gateway", "mosquitto", "grafana"):
            authority.issue(name)
        own(site.root)
        yield site
    finally:
        site.compose("down", "--volumes", "--timeout", "5", "--remove-orphans")


async def test_a_site_of_its_own_runs_over_tls_and_takes_nothing_else(works: Stack) -> None:
    works.up("twin", "gate", "notary", "gateway", "mosquitto")
    site = works.site
    key = NKey.load(site.folder.identity("auditor").login)
    bus = await connect(site, "auditor", key)
    assert (await bus.state("AUDIT")).created
    await bus.close()
    plain = site.settings.broker.url.replace("tls://", "nats://")
    open_site = Site(
        site.folder,
        msgspec.structs.replace(
            site.settings, broker=msgspec.structs.replace(site.settings.broker, url=plain, ca="")
        ),
        site.sources,
        site.plant,
    )
    with pytest.raises(BrokerUnavailable):
        await connect(open_site, "auditor", key, wait=3.0)
    tls = ssl.create_default_context(cafile=str(works.root / "tls" / "ca.pem"))
    password = (works.root / "secrets" / "mqtt-password").read_text().strip()
    assert mqtt.connect(works.ports["MQTT"], "plantops", password, tls) == mqtt.ACCEPTED
    with pytest.raises(OSError, match=r"CONNACK|reset|closed"):
        mqtt.connect(works.ports["MQTT"], "plantops", password)
    async with httpx.AsyncClient(verify=tls) as http:
        assert (await http.get(f"https://127.0.0.1:{works.ports['HTTP']}/health")).status_code == 200
        with pytest.raises(httpx.TransportError):
            await http.get(f"http://127.0.0.1:{works.ports['HTTP']}/health")

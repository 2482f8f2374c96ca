"""Who is let in, and whom we believe, against the simulated plant's real endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Server, ua
from structlog.testing import capture_logs

from plantops.adapters.contract import TagSettings
from plantops.adapters.opcua.connection import OpcUaConnection
from plantops.runtime.errors import DeviceUnavailable, SettingsError, WriteRejected
from plantops.runtime.secrets import Secret
from plantops.simulation.certificate import application_certificate
from plantops.simulation.simulated_plant import SimulatedPlant, SimulationSettings
from support.opcua_device import Heard, connection_to

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETPOINT = TagSettings(
    name="setpoint", address="nsu=urn:plantops:simulation;s=Pump001.SpeedSetpoint", writable=True
)
SECURED: dict[str, Any] = {"security_policy": "basic256sha256", "security_mode": "sign_and_encrypt"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def plant(folder: Path) -> AsyncIterator[SimulatedPlant]:
    async with SimulatedPlant(SimulationSettings(certificates=folder, opcua_password="right")) as running:
        yield running


def as_user(plant: SimulatedPlant, state: Path, password: str = "right", **settings: Any) -> OpcUaConnection:
    def resolve(reference: str) -> Secret:
        assert reference == "secret:plant"
        return Secret(password)

    return connection_to(
        plant.opcua_url,
        [SETPOINT],
        secrets=resolve,
        username="plantops",
        password="secret:plant",
        state_folder=str(state),
        **settings,
    )


async def works(connection: OpcUaConnection) -> None:
    heard = Heard()
    await connection.connect()
    try:
        await connection.subscribe(heard)
        await heard.until(lambda: heard.of(0))
        await connection.write(0, 1200.0)
        await heard.until(lambda: 1200.0 in heard.values(0))
        await connection.write(0, 0.0)
    finally:
        await connection.close()


@pytest.mark.parametrize("mode", ["none", "sign", "sign_and_encrypt"])
async def test_each_endpoint_works_with_the_pinned_certificate(
    plant: SimulatedPlant, folder: Path, tmp_path: Path, mode: str
) -> None:
    policy = "none" if mode == "none" else "basic256sha256"
    pinned = "" if mode == "none" else str(folder / "server.der")
    await works(
        as_user(plant, tmp_path, security_policy=policy, security_mode=mode, server_certificate=pinned)
    )


async def test_a_certificate_in_the_trust_folder_is_trusted(
    plant: SimulatedPlant, folder: Path, tmp_path: Path
) -> None:
    trust = tmp_path / "trust"
    trust.mkdir()
    (trust / "plant.der").write_bytes((folder / "server.der").read_bytes())
    await works(as_user(plant, tmp_path, **SECURED, trust_folder=str(trust)))


async def test_an_unknown_certificate_is_refused_before_anything_secret_is_said(
    plant: SimulatedPlant, tmp_path: Path
) -> None:
    trust = tmp_path / "trust"
    application_certificate(trust, "another", "urn:another")
    (trust / "another.pem").unlink()
    with pytest.raises(SettingsError, match="is not trusted: neither it nor who signed it") as refused:
        await as_user(plant, tmp_path, **SECURED, trust_folder=str(trust)).connect()
    assert "SHA-256" in refused.value.message


async def test_another_certificate_than_the_pinned_one_is_refused(
    plant: SimulatedPlant, tmp_path: Path
) -> None:
    other = application_certificate(tmp_path, "other", "urn:other").certificate
    with pytest.raises(SettingsError, match="is not trusted: it is not the one in"):
        await as_user(plant, tmp_path, **SECURED, server_certificate=str(other)).connect()


async def test_trusting_any_certificate_works_and_is_said(plant: SimulatedPlant, tmp_path: Path) -> None:
    with capture_logs() as logs:
        await works(as_user(plant, tmp_path, **SECURED, trust_any=True))
    assert [entry["log_level"] for entry in logs if entry["event"] == "opcua.any_certificate_trusted"] == [
        "warning"
    ]


@pytest.mark.parametrize("security", [{}, {**SECURED, "trust_any": True}])
async def test_a_wrong_password_is_refused_and_the_message_says_what_to_check(
    plant: SimulatedPlant, tmp_path: Path, security: dict[str, Any]
) -> None:
    connection = as_user(plant, tmp_path, password="hunter2-wrong", **security)
    with pytest.raises(SettingsError, match="check username, password") as refused:
        await connection.connect()
    assert "hunter2" not in str(refused.value)
    await connection.close()


async def test_an_anonymous_visitor_is_refused(plant: SimulatedPlant) -> None:
    with pytest.raises(SettingsError, match="check username"):
        await connection_to(plant.opcua_url, [SETPOINT]).connect()


async def test_a_policy_that_the_server_does_not_offer_is_refused_with_what_it_offers(
    plant: SimulatedPlant, tmp_path: Path
) -> None:
    connection = as_user(
        plant,
        tmp_path,
        security_policy="aes256sha256rsapss",
        security_mode="sign",
        trust_any=True,
    )
    with pytest.raises(SettingsError, match=r"does not offer aes256sha256rsapss.*Basic256Sha256 Sign"):
        await connection.connect()


async def test_our_certificate_is_made_once_and_its_key_is_ours_alone(
    plant: SimulatedPlant, tmp_path: Path
) -> None:
    await works(as_user(plant, tmp_path, **SECURED, trust_any=True))
    first = (tmp_path / "client.der").read_bytes()
    await works(as_user(plant, tmp_path, **SECURED, trust_any=True))
    assert (tmp_path / "client.der").read_bytes() == first
    assert (tmp_path / "client.pem").stat().st_mode & 0o777 == 0o600


async def test_the_plants_own_range_check_rejects_a_write(plant: SimulatedPlant, tmp_path: Path) -> None:
    connection = as_user(plant, tmp_path)
    await connection.connect()
    with pytest.raises(WriteRejected, match="BadOutOfRange"):
        await connection.write(0, 1e6)
    await connection.close()


async def test_an_endpoint_that_is_gone_is_not_a_matter_of_settings(tmp_path: Path) -> None:
    connection = connection_to(
        "opc.tcp://127.0.0.1:9", [SETPOINT], **SECURED, trust_any=True, state_folder=str(tmp_path)
    )
    with pytest.raises(DeviceUnavailable):
        await connection.connect()


@pytest.mark.parametrize(
    ("policy", "offered"),
    [
        ("aes128sha256rsaoaep", ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt),
        ("aes256sha256rsapss", ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt),
    ],
)
async def test_the_aes_policies_work(tmp_path: Path, policy: str, offered: ua.SecurityPolicyType) -> None:
    files = application_certificate(tmp_path / "server", "server", "urn:test:server")
    server = Server()
    await server.init()
    server.disable_clock()
    await server.load_certificate(files.certificate)
    await server.load_private_key(files.private_key)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity, offered])
    server.set_endpoint("opc.tcp://127.0.0.1:0/test")
    server.socket_address = ("127.0.0.1", 0)
    await server.start()
    assert server.bserver is not None
    connection = connection_to(
        f"opc.tcp://127.0.0.1:{server.bserver.port}/test",
        [TagSettings(name="state", address="i=2259|int32")],
        security_policy=policy,
        security_mode="sign_and_encrypt",
        server_certificate=str(files.certificate),
        state_folder=str(tmp_path),
    )
    await connection.connect()
    assert (await connection.read([0]))[0].value == 0
    await connection.close()
    await server.stop()

"""The demonstration: whoever says that he is somebody, is; on this machine and at the site `demo` only."""

from __future__ import annotations

from pathlib import Path

import pytest

from plantops.gateway.identity.authenticator import Authenticator
from plantops.gateway.identity.credentials import Credentials, Unproved
from plantops.gateway.identity.demo import Demo, is_loopback
from plantops.gateway.settings import DemoSettings, GatewaySettings
from plantops.runtime.errors import SettingsError
from support.gateway_frame import Frame, frame, frame_of

__all__ = ["frame"]

DEMO = GatewaySettings(port=0, demo=DemoSettings(enabled=True))


@pytest.mark.parametrize(
    ("host", "site"),
    [("0.0.0.0", "demo"), ("192.0.2.1", "demo"), ("::", "demo"), ("plant", "demo"), ("127.0.0.1", "works")],
)
def test_it_does_not_start_anywhere_else(host: str, site: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gateway\.demo believes anybody"):
        Authenticator.read(GatewaySettings(host=host, demo=DemoSettings(enabled=True)), site, tmp_path)  # type: ignore[arg-type]


async def test_the_gateway_itself_does_not_start_either(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        async with frame_of(tmp_path, DEMO, site="works"):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    ("role", "name"),
    [("operator", "alice"), ("supervisor", "bob"), ("maintenance", "bob"), ("viewer", "carol")],
)
async def test_a_role_picks_a_demo_person_with_the_roles_of_the_policy(
    frame: Frame, role: str, name: str
) -> None:
    async with frame.client(X_Roles=role) as client:
        answer = await client.get("/v1/me")
    assert answer.json()["name"] == name
    assert role not in ("viewer", "maintenance") or role not in answer.json()["roles"]


@pytest.mark.parametrize("roles", ["admin", "root", "operator,admin", "*", "Operator"])
async def test_an_unknown_role_is_nobody(frame: Frame, roles: str) -> None:
    async with frame.client(X_Roles=roles) as client:
        assert (await client.get("/v1/me")).status_code == 401


async def test_a_subject_picks_among_the_demo_people_only(frame: Frame) -> None:
    async with frame.client() as client:
        bob = await client.get("/v1/me", headers={"X-Subject": "bob", "X-Roles": "operator"})
        dave = await client.get("/v1/me", headers={"X-Subject": "dave"})
        peer = await client.get("/v1/me", headers={"X-Subject": "CN=anything", "X-Roles": "operator"})
    assert bob.json()["name"] == "bob"
    assert dave.status_code == 401
    assert peer.json()["name"] == "alice"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example:80"]
)
def test_a_name_that_only_resolves_to_this_machine_is_refused(host: str) -> None:
    with pytest.raises(Unproved):
        Demo.read(DEMO, "demo").principal(Credentials("127.0.0.1", {"x-roles": ["operator"], "host": [host]}))


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST", "[::1]"])
def test_the_names_of_this_machine_are_taken(host: str) -> None:
    asked = Credentials("127.0.0.1", {"x-roles": ["operator"], "host": [host]})
    assert Demo.read(DEMO, "demo").principal(asked) == "alice"


async def test_without_the_mode_the_headers_say_nothing(tmp_path: Path) -> None:
    async with (
        frame_of(tmp_path, GatewaySettings(port=0)) as frame,
        frame.client(X_Roles="operator") as client,
    ):
        answer = await client.get("/v1/me", headers={"X-Subject": "alice"})
    assert answer.status_code == 401

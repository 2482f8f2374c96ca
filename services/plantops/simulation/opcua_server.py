"""The plant's OPC UA server on loopback: endpoints None and Basic256Sha256, one user, writes that act."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AddressSpace, AttributeService
from asyncua.server.internal_server import InternalServer
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from plantops.runtime.errors import SettingsError, WriteRejected
from plantops.simulation.certificate import application_certificate
from plantops.simulation.opcua_map import APPLICATION_URI, DataType
from plantops.simulation.opcua_space import PlantNodes, data_value
from plantops.simulation.plant import Plant

LOOPBACK = "127.0.0.1"
USER = "plantops"
_CLOCK_SECONDS = 1.0


class _OneUser(UserManager):
    """Admits `plantops` with the password, and nobody else unless `anonymous`."""

    def __init__(self, password: str, *, anonymous: bool) -> None:
        self._password = password.encode()
        self._anonymous = anonymous

    def get_user(
        self,
        iserver: InternalServer,
        username: str | None = None,
        password: str | None = None,
        certificate: object = None,
    ) -> User | None:
        if username is None:
            return User(role=UserRole.User) if self._anonymous else None
        given = (password or "").encode()
        if username == USER and hmac.compare_digest(given, self._password):
            return User(role=UserRole.User, name=username)
        return None


class _CommandingAttributes(AttributeService):
    """The attribute service, except that writing a value of a command node is asked of the plant."""

    def __init__(
        self, space: AddressSpace, command: Callable[[ua.WriteValue], Awaitable[ua.StatusCode | None]]
    ) -> None:
        super().__init__(space)
        self._command = command

    async def write(self, params: ua.WriteParameters, user: User | None = None) -> list[ua.StatusCode]:
        results = []
        for item in params.NodesToWrite:
            result = None
            if item.AttributeId == AttributeIds.Value:
                result = await self._command(item)
            if result is not None:
                results.append(result)
            else:
                single = ua.WriteParameters(NodesToWrite=[item])
                results += await super().write(single, user or User(role=UserRole.Admin))
        return results


class OpcUaServer:
    """One plant as an OPC UA server; `port` is known inside `async with`.

    `public_host` and `public_port` are what endpoints name when a relay stands before the server (port 0: its
    own).
    """

    def __init__(
        self,
        plant: Plant,
        *,
        certificates: Path,
        password: str,
        anonymous: bool = False,
        counters: int = 0,
        port: int = 0,
        public_port: int = 0,
        public_host: str = LOOPBACK,
    ) -> None:
        """Raises: SettingsError for an empty password."""
        if not password:
            message = "the OPC UA password of the simulated plant is empty: give one"
            raise SettingsError(message, setting="password")
        self.port = port
        self._plant = plant
        self._certificates = certificates
        self._anonymous = anonymous
        self._counters = counters
        self._public_port = public_port
        self._public_host = public_host
        self._server = Server(user_manager=_OneUser(password, anonymous=anonymous))
        self._nodes: PlantNodes | None = None
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        server = self._server
        await server.init()
        # Its clock would make every stop wait for up to a second; ours is a task that can be cancelled.
        server.disable_clock()
        server.set_server_name("PlantOps simulated plant")
        await server.set_application_uri(APPLICATION_URI)
        await self._secure(server)
        self._nodes = PlantNodes(server, self._plant, counters=self._counters)
        await self._nodes.build()
        attributes = _CommandingAttributes(server.iserver.aspace, self._command)
        server.iserver.attribute_service = attributes
        server.set_endpoint(f"opc.tcp://{self._public_host}:{self._public_port or self.port}/plantops")
        server.socket_address = (LOOPBACK, self.port)
        await server.start()
        assert server.bserver is not None
        self.port = server.bserver.port
        self._plant.subscribe(self._changed.set)
        self._tasks = [
            asyncio.create_task(self._publish(self._nodes), name="simulated OPC UA values"),
            asyncio.create_task(self._tell_time(), name="simulated OPC UA clock"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises: whatever a task of this server died of."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._server.stop()
        for task in self._tasks:
            if not task.cancelled():
                task.result()

    async def failed(self) -> None:
        """Returns when a task of this server has died; leaving the server then raises the reason."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _secure(self, server: Server) -> None:
        files = await asyncio.to_thread(
            application_certificate, self._certificates, "server", APPLICATION_URI
        )
        await server.load_certificate(files.certificate)
        await server.load_private_key(files.private_key)
        server.set_security_policy(
            [
                ua.SecurityPolicyType.NoSecurity,
                ua.SecurityPolicyType.Basic256Sha256_Sign,
                ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
            ]
        )
        anonymous = [ua.AnonymousIdentityToken] if self._anonymous else []
        server.set_identity_tokens([ua.UserNameIdentityToken, *anonymous])

    async def _publish(self, nodes: PlantNodes) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await nodes.publish()

    async def _tell_time(self) -> None:
        node = ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus_CurrentTime))
        while True:
            now = datetime.now(UTC)
            value = data_value(ua.Variant(now, ua.VariantType.DateTime), now)
            await self._server.write_attribute_value(node, value)
            await asyncio.sleep(_CLOCK_SECONDS)

    async def _command(self, item: ua.WriteValue) -> ua.StatusCode | None:
        """Status of a write to a command node, None for any other node.

        BadTypeMismatch for another type than the node's, BadOutOfRange outside its range. Good where the PLC
        ignores the write (local mode): only reading back shows that nothing happened.
        """
        assert self._nodes is not None
        variable = self._nodes.commands.get(item.NodeId)
        if variable is None or variable.command is None:
            return None
        value = _number(item.Value, variable.type)
        if value is None:
            return ua.StatusCode(ua.UInt32(StatusCodes.BadTypeMismatch))
        try:
            self._plant.command(variable.command, value)
        except WriteRejected:
            return ua.StatusCode(ua.UInt32(StatusCodes.BadOutOfRange))
        await self._nodes.publish()
        return ua.StatusCode()


def _number(data: ua.DataValue, kind: DataType) -> float | None:
    if data.Value is None:
        return None
    expected = ua.VariantType.Boolean if kind is DataType.BOOLEAN else ua.VariantType.Double
    if data.Value.VariantType != expected or not isinstance(data.Value.Value, bool | float):
        return None
    return float(data.Value.Value)

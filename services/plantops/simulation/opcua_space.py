"""The plant's OPC UA nodes: built once, then written only where a value or its status changed."""

import asyncio
import math
from datetime import datetime

from asyncua import ua
from asyncua.common.node import Node
from asyncua.server.server import Server
from asyncua.ua.status_codes import StatusCodes

from plantops.simulation.opcua_map import (
    COUNTERS,
    NAMESPACE,
    THINGS,
    UNIT_NAMESPACE,
    VARIABLES,
    DataType,
    Variable,
    counter_path,
)
from plantops.simulation.plant import Plant
from plantops.simulation.process import counter_value
from plantops.simulation.state import SensorState
from plantops.simulation.view import shown

_TYPES = {
    DataType.DOUBLE: ua.VariantType.Double,
    DataType.BOOLEAN: ua.VariantType.Boolean,
    DataType.STRING: ua.VariantType.String,
    DataType.UINT32: ua.VariantType.UInt32,
}
_STATUS = {
    SensorState.OK: StatusCodes.Good,
    SensorState.UNCERTAIN: StatusCodes.UncertainLastUsableValue,
    SensorState.BROKEN: StatusCodes.BadSensorFailure,
}

_AT_A_TIME = 200

_Shown = tuple[float | bool | int | str | None, int]


class PlantNodes:
    """Publishes a plant into an address space; changes go out in the order in which they happened."""

    def __init__(self, server: Server, plant: Plant, *, counters: int) -> None:
        self.commands: dict[ua.NodeId, Variable] = {}
        self._server = server
        self._plant = plant
        self._nodes: list[tuple[Variable, ua.NodeId]] = []
        self._written: dict[str, _Shown] = {}
        self._counter_ids: list[ua.NodeId] = []
        self._counters = counters
        self._ticks = plant.state.counter_ticks
        self._lock = asyncio.Lock()

    async def build(self) -> None:
        """Add all nodes; values follow with the first `publish`."""
        index = await self._server.register_namespace(NAMESPACE)
        objects = self._server.nodes.objects
        for thing in THINGS:
            folder = await objects.add_object(_node_id(thing, index), ua.QualifiedName(thing, index))
            for variable in (each for each in VARIABLES if each.thing == thing):
                await self._add(folder, index, variable)
        if self._counters:
            name = ua.QualifiedName(COUNTERS, index)
            folder = await objects.add_object(_node_id(COUNTERS, index), name)
            for number in range(self._counters):
                await self._add_counter(folder, index, number)
        await self.publish()

    async def publish(self) -> None:
        """Write what changed since the last call; every tick of a counter is a change of its own."""
        async with self._lock:
            at = self._plant.changed_at
            values = shown(self._plant)
            for variable, node_id in self._nodes:
                value = self._value(variable, values[variable.value])
                if self._written.get(variable.path) != value:
                    self._written[variable.path] = value
                    await self._write(node_id, variable.type, value, at)
            while self._ticks < self._plant.state.counter_ticks:
                self._ticks += 1
                for number, node_id in enumerate(self._counter_ids):
                    tick: _Shown = (counter_value(self._ticks, number), StatusCodes.Good)
                    await self._write(node_id, DataType.UINT32, tick, at)
                    if number % _AT_A_TIME == 0:
                        await asyncio.sleep(0)  # writing never waits by itself: clients starve

    def _value(self, variable: Variable, value: float | str) -> _Shown:
        status = StatusCodes.Good
        if variable.value == "temperature":
            status = _STATUS[self._plant.state.sensor]
        if isinstance(value, str):
            return value, status
        if math.isnan(value):
            return None, status
        match variable.type:
            case DataType.BOOLEAN:
                return value == 1.0, status
            case DataType.UINT32:
                return int(value), status
            case _:
                return value, status

    async def _write(self, node_id: ua.NodeId, kind: DataType, value: _Shown, at: datetime) -> None:
        variant = ua.Variant() if value[0] is None else ua.Variant(value[0], _TYPES[kind])
        await self._server.write_attribute_value(node_id, data_value(variant, at, value[1]))

    async def _add(self, folder: Node, index: int, variable: Variable) -> None:
        node_id = _node_id(variable.path, index)
        node = await folder.add_variable(
            node_id, ua.QualifiedName(variable.name, index), _zero(variable.type), _TYPES[variable.type]
        )
        if variable.unit is not None:
            unit = ua.EUInformation(
                NamespaceUri=UNIT_NAMESPACE,
                UnitId=ua.Int32(variable.unit.unit_id),
                DisplayName=ua.LocalizedText(variable.unit.symbol),
                Description=ua.LocalizedText(variable.unit.code),
            )
            limits = ua.Range(Low=ua.Double(variable.low), High=ua.Double(variable.high))
            # Standard property names live in namespace 0 (Part 8, 5.3.2).
            await node.add_property(_node_id(f"{variable.path}.EURange", index), "0:EURange", limits)
            await node.add_property(_node_id(f"{variable.path}.EU", index), "0:EngineeringUnits", unit)
        if variable.command is not None:
            await node.set_writable()
            self.commands[node_id] = variable
        self._nodes.append((variable, node_id))

    async def _add_counter(self, folder: Node, index: int, number: int) -> None:
        node_id = _node_id(counter_path(number), index)
        name = ua.QualifiedName(f"C{number:05d}", index)
        await folder.add_variable(node_id, name, counter_value(self._ticks, number), ua.VariantType.UInt32)
        self._counter_ids.append(node_id)


class _Told(ua.DataValue):
    """A value that nobody changes any more.

    asyncua copies each value in depth for each monitored item, which is two thirds of a change's cost.
    """

    def __deepcopy__(self, memo: dict[int, object]) -> "_Told":
        return self


def data_value(variant: ua.Variant, at: datetime, status: int = StatusCodes.Good) -> ua.DataValue:
    """A value with `at` as source and server time."""
    # asyncua annotates its own DateTime but encodes, and itself makes, plain datetimes.
    return _Told(
        variant,
        ua.StatusCode(ua.UInt32(status)),
        SourceTimestamp=at,  # type: ignore[arg-type]
        ServerTimestamp=at,  # type: ignore[arg-type]
    )


def _node_id(path: str, index: int) -> ua.NodeId:
    return ua.NodeId(ua.String(path), ua.Int16(index))


def _zero(kind: DataType) -> float | bool | int | str:
    match kind:
        case DataType.DOUBLE:
            return 0.0
        case DataType.BOOLEAN:
            return False
        case DataType.STRING:
            return ""
        case DataType.UINT32:
            return 0

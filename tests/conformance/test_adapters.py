"""What every adapter promises, tried on each entry of the registry against a device of its protocol."""

from __future__ import annotations

import asyncio
import socket
import tomllib
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

from plantops.adapters.contract import (
    AdapterSpec,
    Connection,
    GroupSettings,
    Invoker,
    SourceSettings,
    TagSettings,
)
from plantops.adapters.definition import definition_of
from plantops.adapters.registry import ADAPTERS, adapter
from plantops.events.command_parts import Invocation
from plantops.events.frames import Sample
from plantops.events.quality import is_bad, is_good
from plantops.events.tags import Kind, SourceDefined
from plantops.runtime.errors import DeviceError, DeviceUnavailable, SettingsError, WriteRejected
from plantops.runtime.secrets import Secret
from plantops.simulation.line import LineState
from plantops.simulation.state import Command
from support.devices import DEVICES, DeviceUnderTest, RunningDevice

# Nothing here lasts this long unless it hangs for ever.
BOUND_SECONDS = 30.0
ANY = Invocation(path="operations/Any", timeout_seconds=1.0)
KIND_TYPES: dict[Kind, type] = {"f8": float, "i8": int, "u8": int, "b1": bool, "s": str}
README_SECTIONS = ("devices tried", "limits")
ADAPTER_FILES = {"config.py", "codec.py", "connection.py", "sample.toml", "quality.toml", "README.md"}


@pytest.fixture(params=sorted(ADAPTERS))
def name(request: pytest.FixtureRequest) -> str:
    value = request.param
    assert isinstance(value, str)
    return value


@pytest.fixture
def spec(name: str) -> AdapterSpec:
    return adapter(name)


@pytest.fixture
def folder(name: str) -> Path:
    location = import_module(ADAPTERS[name]).__file__
    assert location is not None
    return Path(location).parent


@pytest.fixture
def device(name: str, request: pytest.FixtureRequest) -> DeviceUnderTest:
    assert name in DEVICES, f"adapter {name!r} has no entry in tests/support/devices.py: add one"
    promise = request.function.__name__.removeprefix("test_")
    if promise in DEVICES[name].exempt:
        pytest.skip(DEVICES[name].exempt[promise])
    return DEVICES[name]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("devices")


@pytest.fixture
async def bench(spec: AdapterSpec, device: DeviceUnderTest, shared_folder: Path) -> AsyncIterator[Bench]:
    async with asyncio.timeout(BOUND_SECONDS), device.start(shared_folder) as running:
        built = Bench(spec, device, running.line.port, running)
        yield built
        await built.connection.close()


def no_secret(reference: str) -> Secret:
    return Secret(f"what {reference} stands for, as far as tests go")


class Bench:
    """A connection to the plant: first the readable tags, then the missing, the writable, the guarded one.

    The guarded tag has the writable one's address, but its definition does not let it be written.
    """

    def __init__(
        self, spec: AdapterSpec, device: DeviceUnderTest, port: int, running: RunningDevice | None = None
    ) -> None:
        addresses = (*device.readable, device.missing, *[device.writable] * 2) if device.writable else ()
        self.device = device
        self._running = running
        self.good = range(len(device.readable))
        self.missing = len(device.readable)
        self.writable = self.missing + 1
        self.guarded = self.missing + 2
        self.definition = definition_of(
            "demo",
            "device",
            SourceSettings(
                adapter=spec.name,
                groups=(GroupSettings(name="all", period_ms=100),),
                tags=tuple(
                    TagSettings(name=f"t{position}", address=address, writable=position == self.writable)
                    for position, address in enumerate(addresses)
                ),
            ),
            spec,
        )
        settings = msgspec.convert(device.connection(port), spec.settings)
        self.connection: Connection = spec.build(self.definition, settings, device.timeout_seconds, no_secret)

    async def wire(self, state: LineState) -> None:
        """Let the wire behave as `state` says."""
        assert self._running is not None
        await self._running.line.set_state(state)

    def change(self, value: float) -> None:
        """Change what the writable tag shows, at the plant itself."""
        assert self._running is not None
        self._running.plant.command(Command(self.device.command), value)

    async def value(self, tag: int) -> object:
        """The value of a tag that is read well."""
        (sample,) = await self.connection.read([tag])
        assert is_good(sample.quality)
        return sample.value


class Heard:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[Sample] = []
        self.confirmed: set[int] = set()
        self.changed = asyncio.Event()

    def samples(self, samples: Sequence[Sample], observed_at: int) -> None:
        self.seen.extend(samples)
        self.changed.set()

    def confirm(self, group: int, observed_at: int) -> None:
        self.confirmed.add(group)
        self.changed.set()

    def overflow(self, samples: int) -> None:
        raise AssertionError("nothing was too fast here")

    def lost(self, cause: str) -> None:
        raise AssertionError(cause)


# --- the folder and the specification


def test_is_registered_under_its_own_name_and_has_every_file(
    name: str, spec: AdapterSpec, folder: Path
) -> None:
    assert spec.name == name == folder.name
    assert not ADAPTER_FILES - {path.name for path in folder.iterdir()}
    config = spec.settings.__struct_config__
    assert config.frozen
    assert config.forbid_unknown_fields


def source_of(folder: Path) -> SourceSettings:
    return msgspec.toml.decode((folder / "sample.toml").read_bytes(), type=SourceSettings)


def sample_definition(folder: Path, spec: AdapterSpec) -> SourceDefined:
    return definition_of("demo", "sample", source_of(folder), spec)


def test_the_sample_is_a_whole_source_that_can_be_built(spec: AdapterSpec, folder: Path) -> None:
    source = source_of(folder)
    assert source.adapter == spec.name
    definition = sample_definition(folder, spec)
    assert definition.tags or spec.capabilities.invoke
    settings = msgspec.convert(source.connection, spec.settings)
    connection = spec.build(definition, settings, source.timeout_seconds, no_secret)
    assert isinstance(connection, Invoker) == spec.capabilities.invoke


def test_the_sample_explains_every_setting(spec: AdapterSpec, folder: Path) -> None:
    text = (folder / "sample.toml").read_text()
    missing = [field.name for field in msgspec.structs.fields(spec.settings) if field.name not in text]
    assert missing == []


def test_unknown_settings_are_refused(spec: AdapterSpec, folder: Path) -> None:
    connection = {**source_of(folder).connection, "no_such_setting": 1}
    with pytest.raises(msgspec.ValidationError, match="no_such_setting"):
        msgspec.convert(connection, spec.settings)


def test_a_malformed_address_is_a_settings_error(spec: AdapterSpec) -> None:
    with pytest.raises(SettingsError):
        spec.kind_of("\0")


def test_the_quality_scale_says_what_is_done_and_why_the_rest_is_not(folder: Path) -> None:
    rules = tomllib.loads((folder / "quality.toml").read_text())["rules"]
    assert rules
    for rule, entry in rules.items():
        assert entry["status"] in ("done", "todo", "exempt"), rule
        assert entry["status"] == "done" or len(entry.get("reason", "")) > 10, f"{rule} needs a reason"


def test_the_readme_tells_what_was_tried_and_what_is_not_possible(folder: Path) -> None:
    lines = (folder / "README.md").read_text().lower().splitlines()
    headings = [line.lstrip("# ").strip() for line in lines if line.startswith("#")]
    assert [section for section in README_SECTIONS if section not in headings] == []


# --- reading


async def test_building_and_encoding_open_nothing(spec: AdapterSpec, device: DeviceUnderTest) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        bench = Bench(spec, device, listener.getsockname()[1])
        assert bench.connection.encode(bench.writable, device.values[0])
        await asyncio.sleep(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
        await bench.connection.close()


async def test_gives_one_sample_for_each_tag_in_the_order_asked(bench: Bench) -> None:
    await bench.connection.connect()
    last = len(bench.device.readable) - 1
    for asked in ([last, 0, 1], [1, 1, 0], [0], []):
        samples = await bench.connection.read(asked)
        assert [sample.index for sample in samples] == asked
        for sample in samples:
            kind = bench.definition.tags[sample.index].kind
            assert is_good(sample.quality)
            assert type(sample.value) is KIND_TYPES[kind]


async def test_a_tag_that_the_device_refuses_does_not_touch_its_neighbours(bench: Bench) -> None:
    await bench.connection.connect()
    asked = [0, bench.missing, *bench.good, bench.writable]
    # More than once, since a connection may remember what was refused.
    for _cycle in range(3):
        samples = await bench.connection.read(asked)
        assert [sample.index for sample in samples] == asked
        assert [sample.index for sample in samples if is_bad(sample.quality)] == [bench.missing]
        assert samples[1].value is None


async def test_reading_before_connecting_finds_no_device(bench: Bench) -> None:
    with pytest.raises(DeviceUnavailable):
        await bench.connection.read([0])


# --- writing


async def test_what_was_written_reads_back(spec: AdapterSpec, bench: Bench) -> None:
    assert spec.capabilities.write
    await bench.connection.connect()
    for value in bench.device.values:
        await bench.connection.write(bench.writable, value)
        assert await bench.value(bench.writable) == value


async def test_what_may_not_be_written_is_rejected_before_anything_is_sent(bench: Bench) -> None:
    # Not connected: whoever tried to send would find no device.
    for tag, value in (
        (bench.guarded, bench.device.values[0]),
        (bench.writable, bench.device.wrong_value),
        (bench.writable, float("nan")),
    ):
        with pytest.raises(WriteRejected):
            bench.connection.encode(tag, value)
        with pytest.raises(WriteRejected):
            await bench.connection.write(tag, value)


# --- devices that go, hang and rave


async def test_a_closed_port_is_an_absent_device(bench: Bench) -> None:
    await bench.wire(LineState.SILENT)
    with pytest.raises(DeviceUnavailable):
        await bench.connection.connect()


async def test_a_device_that_vanishes_is_found_again(bench: Bench) -> None:
    await bench.connection.connect()
    await bench.connection.read(bench.good)
    await bench.wire(LineState.SILENT)
    with pytest.raises(DeviceUnavailable):
        await bench.connection.read(bench.good)
    with pytest.raises(DeviceUnavailable):
        await bench.connection.connect()
    await bench.wire(LineState.CONNECTED)
    await bench.connection.connect()
    assert all(is_good(sample.quality) for sample in await bench.connection.read(bench.good))


async def test_a_device_that_accepts_and_never_answers_is_absent(bench: Bench) -> None:
    await bench.wire(LineState.HANGING)
    with pytest.raises(DeviceUnavailable):
        await connect_and_read(bench)


async def connect_and_read(bench: Bench) -> None:
    await bench.connection.connect()
    await bench.connection.read(bench.good)


async def test_a_late_answer_is_never_taken_for_a_newer_one(bench: Bench) -> None:
    old, new = bench.device.values[:2]
    await bench.connection.connect()
    await bench.connection.write(bench.writable, old)
    await bench.wire(LineState.HANGING)
    with pytest.raises(DeviceUnavailable):
        await bench.connection.read([bench.writable])
    bench.change(new)
    await bench.wire(LineState.CONNECTED)
    await bench.connection.connect()
    for _cycle in range(5):
        assert await bench.value(bench.writable) == new


async def test_a_write_that_gets_no_answer_is_not_called_rejected(bench: Bench) -> None:
    await bench.connection.connect()
    await bench.wire(LineState.HANGING)
    with pytest.raises(DeviceError) as failed:
        await bench.connection.write(bench.writable, bench.device.values[0])
    assert not isinstance(failed.value, WriteRejected)


async def test_garbage_is_a_device_error_and_leaves_nothing_behind(bench: Bench) -> None:
    await bench.connection.connect()
    await bench.wire(LineState.GARBAGE)
    with pytest.raises(DeviceError):
        await bench.connection.read(bench.good)
    await bench.wire(LineState.CONNECTED)
    await bench.connection.connect()
    assert all(is_good(sample.quality) for sample in await bench.connection.read(bench.good))


async def test_what_cannot_be_reached_has_certainly_not_started(bench: Bench) -> None:
    if not isinstance(bench.connection, Invoker):
        pytest.skip("the protocol carries no whole operations out")
    await bench.connection.connect()
    for state, is_certain in ((LineState.SILENT, True), (LineState.GARBAGE, False)):
        await bench.wire(state)
        with pytest.raises(DeviceError) as failed:
            await bench.connection.invoke(ANY, "c1", simulate=False)
        assert isinstance(failed.value, WriteRejected) == is_certain


async def test_closing_is_harmless_at_any_time(bench: Bench) -> None:
    await bench.connection.close()
    await bench.connection.connect()
    await bench.connection.close()
    await bench.connection.close()
    await bench.connection.connect()
    await bench.wire(LineState.SILENT)
    await bench.connection.close()


# --- what not every protocol has


async def test_a_subscription_tells_every_tag_and_confirms_its_group(spec: AdapterSpec, bench: Bench) -> None:
    if not spec.capabilities.subscribe:
        pytest.skip("the protocol has no subscription: the host polls")
    heard = Heard()
    await bench.connection.connect()
    await bench.connection.subscribe(heard)
    while {sample.index for sample in heard.seen} != set(range(len(bench.definition.tags))):
        await heard.changed.wait()
        heard.changed.clear()
    while heard.confirmed != {0}:
        await heard.changed.wait()
        heard.changed.clear()
    await bench.connection.close()


async def test_what_browsing_finds_may_stand_in_a_source_file(spec: AdapterSpec, bench: Bench) -> None:
    if not spec.capabilities.browse:
        pytest.skip("the protocol has no browsing: addresses come from the device's manual")
    await bench.connection.connect()
    found = [each async for each in bench.connection.browse()]
    assert found
    assert [each.address for each in found if each.kind not in (None, spec.kind_of(each.address))] == []

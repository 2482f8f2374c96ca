"""The embedded broker: starts, says why it cannot, and loses nothing when it is killed."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plantops.flow.declaration import ProcessSpec, Writes
from plantops.flow.server import EmbeddedServer, find_binary
from plantops.runtime.errors import BrokerUnavailable, SettingsError
from support.nats import Broker, free_port, until

WRITER = ProcessSpec("adapter-plc1", writes=(Writes("TAGS", ("tag.demo.plc1",)),), lookups=("TAGS",))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """Not started yet."""
    one = Broker(tmp_path / "broker", (WRITER,))
    yield one
    await one.close()


async def test_what_was_acknowledged_is_there_after_kill_and_restart(broker: Broker) -> None:
    await broker.start()
    writer = await broker.connect("adapter-plc1")
    for number in range(50):
        await writer.request("tag.demo.plc1", str(number).encode())
    killed = broker.server.pid
    broker.server.kill()
    assert not broker.server.is_running
    await broker.start()
    assert broker.server.pid not in (0, killed)
    await until(lambda: writer.is_connected)
    last = await writer.request("$JS.API.STREAM.MSG.GET.TAGS", b'{"seq":50}')
    assert b'"seq":50' in last.data


async def test_folder_configuration_and_lock_are_for_the_owner_only(broker: Broker) -> None:
    await broker.start(with_streams=False)
    modes = {path.name: path.stat().st_mode & 0o777 for path in broker.folder.iterdir() if path.is_file()}
    assert broker.folder.stat().st_mode & 0o777 == 0o700
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}
    assert "nats.conf" in modes


async def test_a_folder_in_use_is_refused_with_the_owner_named(broker: Broker) -> None:
    await broker.start(with_streams=False)
    options = dataclasses.replace(broker.options, port=free_port(), monitor_port=free_port())
    second = EmbeddedServer(options)
    with pytest.raises(SettingsError, match=rf"in use by another broker \(process {broker.server.pid}\)"):
        await second.start(broker.configuration())
    assert broker.server.is_running


async def test_a_taken_port_is_named_before_anything_starts(broker: Broker) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", broker.options.port))
        other.listen()
        with pytest.raises(SettingsError, match=str(broker.options.port)):
            await broker.start(with_streams=False)
    assert broker.server.pid == 0
    await broker.start(with_streams=False)  # nothing is left locked


async def test_a_configuration_that_the_server_does_not_understand_is_shown(broker: Broker) -> None:
    with pytest.raises(SettingsError, match="refuses its configuration"):
        await broker.server.start('{"accounts": {"PLANT": {"users": 5}}}')
    assert broker.server.pid == 0


async def test_an_early_end_is_reported_with_the_last_log_lines(broker: Broker) -> None:
    """A store that is a file passes the check of the text and ends the server at its start."""
    broker.folder.mkdir(parents=True)
    (broker.folder / "jetstream").write_text("not a folder")
    with pytest.raises(SettingsError, match=r"(?s)ended at once.*storage directory"):
        await broker.server.start(broker.configuration())
    assert broker.server.pid == 0


async def test_stop_is_harmless_twice_and_before_the_start(broker: Broker) -> None:
    await broker.server.stop()
    await broker.start(with_streams=False)
    await broker.server.stop()
    await broker.server.stop()
    assert broker.server.pid == 0


async def test_a_server_that_does_not_end_in_time_is_ended_by_force(broker: Broker) -> None:
    await broker.start(with_streams=False)
    await broker.server.stop(timeout=0)
    assert broker.server.pid == 0


async def test_starting_twice_is_refused(broker: Broker) -> None:
    await broker.start(with_streams=False)
    with pytest.raises(SettingsError, match="runs already"):
        await broker.server.start(broker.configuration())


async def test_a_person_added_by_reload_can_log_in_and_the_others_stay_connected(broker: Broker) -> None:
    await broker.start()
    writer = await broker.connect("adapter-plc1")
    grown = Broker(broker.folder, broker.specs, ("alice",), keys=broker.keys)
    grown.options, grown.server = broker.options, broker.server
    await broker.server.reload(grown.configuration())
    alice = await grown.connect("alice")
    assert alice.is_connected
    assert b'"seq":1' in (await writer.request("tag.demo.plc1", b"x")).data
    assert writer.stats["reconnects"] == 0
    await broker.server.reload(broker.configuration())
    await until(lambda: not alice.is_connected)
    grown.forget(alice)
    await alice.close()


async def test_a_wrong_configuration_is_refused_by_reload_and_the_old_one_stays(broker: Broker) -> None:
    await broker.start(with_streams=False)
    before = (broker.folder / "nats.conf").read_text()
    with pytest.raises(SettingsError):
        await broker.server.reload('{"accounts": 5}')
    moved = dataclasses.replace(broker.options, folder=broker.folder / "elsewhere")
    with pytest.raises(SettingsError, match="refused the new configuration"):
        await broker.server.reload(
            before.replace(f'"store_dir": "{broker.folder}"', f'"store_dir": "{moved.folder}"')
        )
    assert (broker.folder / "nats.conf").read_text() == before
    assert (await broker.connect("adapter-plc1")).is_connected


async def test_reload_without_a_server_says_so(broker: Broker) -> None:
    with pytest.raises(BrokerUnavailable, match="does not run"):
        await broker.server.reload(broker.configuration())


def test_the_binary_is_the_one_of_the_wheel_whatever_the_path_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoy = tmp_path / "nats-server"
    decoy.write_text("#!/bin/sh\nexit 1\n")
    decoy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert find_binary() != decoy
    assert find_binary().stat().st_size > 1_000_000

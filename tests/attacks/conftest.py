"""One broker for all attacks: none may leave a trace, so they can share it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from attacks.plant import PERSONS, SPECS
from support.nats import Broker


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running plant with streams; connections belong to the test that opens them."""
    folder: Path = tmp_path_factory.mktemp("attacked") / "broker"
    broker = Broker(folder, SPECS, PERSONS)
    try:
        asyncio.run(broker.start())
        yield broker
    finally:
        asyncio.run(broker.server.stop())

from collections.abc import AsyncIterator

import pytest

from support.modbus_script import Script, modbus_script


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with modbus_script() as running:
        yield running

"""Refusals are what all of this is about: nobody reads a log line for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from soak.episode import be_silent


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    before = structlog.get_config()
    be_silent()
    yield
    structlog.configure(**before)

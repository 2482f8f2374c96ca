"""Fixtures that every part of the tests may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

pytest_plugins = ["support.nats"]


@pytest.fixture(autouse=True)
def logs_end_with_their_test() -> Iterator[None]:
    """A command that ran in this process set up logs to a standard error which is closed after its test."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()

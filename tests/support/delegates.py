"""A connection to the simulated delegate, with what a test wants to be different."""

from __future__ import annotations

from typing import Any

import msgspec

from plantops.adapters.contract import GroupSettings, Invoker, SourceSettings
from plantops.adapters.definition import definition_of
from plantops.adapters.delegate import SPEC
from plantops.adapters.delegate.config import DelegateSettings
from plantops.events.command_parts import Invocation
from plantops.runtime.secrets import Secret

KEY_ID = "pump-2026"
SECRET = "what only we and the delegate know"
KEYS = {KEY_ID: SECRET}
# Nothing here lasts this long unless it hangs for ever.
PATIENCE_SECONDS = 20.0
FLUSH = Invocation(path="operations/Flush", arguments={"Seconds": 8.0}, timeout_seconds=PATIENCE_SECONDS)


def delegate(url: str, *, period_ms: int = 3_600_000, timeout: float = 10.0, **settings: Any) -> Invoker:
    """A connection that has opened nothing; signed unless `settings` say otherwise."""
    signed: dict[str, Any] = {} if "unsigned" in settings else {"key_id": KEY_ID, "secret": "secret:pump"}
    source = SourceSettings(adapter="delegate", groups=(GroupSettings(name="health", period_ms=period_ms),))
    definition = definition_of("demo", "flusher", source, SPEC)
    converted = msgspec.convert({"url": url, "poll_ms": 10, **signed, **settings}, DelegateSettings)
    connection = SPEC.build(definition, converted, timeout, lambda _reference: Secret(SECRET))
    assert isinstance(connection, Invoker)
    return connection

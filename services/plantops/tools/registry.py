"""All read tools; a new one is a module in `reading` and a line here."""

from __future__ import annotations

from typing import Final

from plantops.tools.contract import AnyTool
from plantops.tools.reading.audit_proofs import AUDIT_CHECKPOINT, AUDIT_PROOF, AUDIT_TILE
from plantops.tools.reading.audit_records import AUDIT_RECORDS
from plantops.tools.reading.commands import APPROVALS_LIST, COMMAND_LIST, COMMAND_STATUS, HOLDS_LIST
from plantops.tools.reading.devices import DEVICE_BROWSE, DEVICE_READ
from plantops.tools.reading.event_log import ALARM_LIST, EVENTS_READ, FINDING_LIST
from plantops.tools.reading.explaining import POLICY_EXPLAIN
from plantops.tools.reading.finding import TWIN_FIND
from plantops.tools.reading.history import TAG_HISTORY
from plantops.tools.reading.operations import ASSET_OPERATIONS
from plantops.tools.reading.sources import SOURCE_HEALTH
from plantops.tools.reading.tags import TWIN_GET, TWIN_LIST

TOOLS: Final[tuple[AnyTool, ...]] = (
    TWIN_GET,
    TWIN_LIST,
    TWIN_FIND,
    TAG_HISTORY,
    SOURCE_HEALTH,
    DEVICE_READ,
    DEVICE_BROWSE,
    ASSET_OPERATIONS,
    COMMAND_STATUS,
    COMMAND_LIST,
    APPROVALS_LIST,
    HOLDS_LIST,
    POLICY_EXPLAIN,
    ALARM_LIST,
    FINDING_LIST,
    EVENTS_READ,
    AUDIT_CHECKPOINT,
    AUDIT_PROOF,
    AUDIT_RECORDS,
    AUDIT_TILE,
)

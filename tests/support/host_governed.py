"""The ground with operations that are carried out elsewhere, simulated elsewhere, or taken back."""

from __future__ import annotations

import msgspec

from plantops.events.base import SiteName, SourceName, TagName
from plantops.events.tags import ScanGroup, SourceDefined, TagDefinition
from plantops.model.assets import Delegate, Model, Operation, Property, Step, Verify
from plantops.model.load import Plant
from support.host_ground import DEFINITION, MODEL, PUMP, SITE, SOURCE, Ground

_PUMP = MODEL.assets[PUMP]
_RPM = _PUMP.operations["SetSpeed"].arguments
OTHER = SourceDefined(
    site=SiteName(SITE),
    source=SourceName("plc2"),
    groups=(ScanGroup(name="all", period_ms=1000),),
    tags=(TagDefinition(name=TagName("valve"), kind="b1", writable=True),),
)
_START = msgspec.structs.replace(_PUMP.operations["Start"], compensate="restore")
# The last step is written without being read back, so that a test can fail it by its value alone.
_CYCLE = Operation(
    risk="low",
    arguments=_RPM,
    steps=(
        Step(property="setpoint", value="$RPM"),
        Step(property="run", value=True),
        Step(property="setpoint", value=0.0, verify=Verify(kind="echo", settle_seconds=1.0)),
    ),
    compensate="restore",
    undo="restore",
)
FLUSH = Delegate(source=SOURCE, path="operations/Flush", timeout_seconds=20.0)
GOVERNED = Plant.of(
    Model(
        assets={
            PUMP: msgspec.structs.replace(
                _PUMP,
                properties={**_PUMP.properties, "valve": Property(tag=TagName("valve"))},
                operations={
                    **_PUMP.operations,
                    "Start": _START,
                    "Cycle": _CYCLE,
                    "Flush": Operation(risk="low", arguments=_RPM, delegate=FLUSH),
                    "Open": Operation(
                        risk="low",
                        steps=(Step(property="valve", value=True),),
                        simulator=Delegate(source=SOURCE, path="try/Open"),
                    ),
                },
            )
        }
    ),
    [DEFINITION, OTHER],
)


def governed() -> Ground:
    """A ground whose plant has all of them."""
    return Ground(GOVERNED)

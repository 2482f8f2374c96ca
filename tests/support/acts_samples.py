"""The demo plant with operations that can be undone, and a policy under which acts may be asked."""

from __future__ import annotations

import msgspec

from plantops.events import Event
from plantops.events.base import AssetName, CommandId, Scalar, SiteName, TagName
from plantops.events.command_parts import Decision, Observation, Permit, StepResult, Write
from plantops.events.commands import (
    CommandExecuted,
    CommandFailed,
    CommandPermitted,
    OutcomeUnknown,
    SafePermitted,
    SimulationOrdered,
)
from plantops.events.governance import ActDone, CommandReconciled, ReconcileOrdered
from plantops.model.assets import Model
from plantops.model.load import Plant
from plantops.policy.document import BypassClass, OperationRule, Policy, Role
from support.gate_samples import MODEL, OPC1, PLC1, POLICY, PUMP, VALVE, Story, person, seen, well

ACTS = ("act-lock", "act-unlock", "act-cancel", "act-undo", "act-reconcile", "act-end-bypass")


def _undoable() -> Model:
    assets = dict(MODEL.assets)
    for name, operations in (
        (PUMP, {"SetSpeed": "restore", "ResetFault": "restore", "StartPump": "operation:StopPump"}),
        (VALVE, {"SetPosition": "restore", "Mark": "operation:CloseValve"}),
    ):
        asset = assets[name]
        changed = {
            each: msgspec.structs.replace(asset.operations[each], undo=undo)
            for each, undo in operations.items()
        }
        assets[name] = msgspec.structs.replace(asset, operations={**asset.operations, **changed})
    return Model(assets=assets)


PLANT = Plant.of(_undoable(), (PLC1, OPC1))
POLICY_OF_ACTS = msgspec.structs.replace(
    POLICY,
    model=PLANT.digest,
    principals={**POLICY.principals, "erin": person("erin", "Erin", "operator")},
    roles={
        "operator": Role(operations=("pump-001.*", "valve-001.*", *(f"*.{act}" for act in ACTS))),
        "supervisor": Role(operations=("*.act-bypass",)),
        "chief": Role(),
    },
    operations={
        **POLICY.operations,
        "*.act-bypass": OperationRule(approvals=1, approval_roles=("supervisor",)),
        "valve-001.SetPosition": OperationRule(fallback="CloseValve"),
    },
    bypass_classes={
        "long": BypassClass(permissives=("cool",), roles=("chief",), max_seconds=86_400.0),
        "short": BypassClass(permissives=("cool",), roles=("supervisor",), max_seconds=3_600.0),
    },
)
HOT = seen("plc1.temperature", 99.0)


class ActStory(Story):
    """A story in which acts may be asked, and an executor that records what it did."""

    def __init__(self, policy: Policy = POLICY_OF_ACTS, plant: Plant = PLANT) -> None:
        super().__init__(policy=policy, plant=plant)

    def hot(self) -> Observation:
        """What is observed while the pump is too hot."""
        return well(HOT, at=self.now)

    def act(self, name: str, arguments: dict[str, Scalar], **asked: object) -> CommandId:
        return self.ask(f"act-{name}", arguments, **asked)  # type: ignore[arg-type]

    def lock(self, asset: AssetName = PUMP, actor: str = "alice") -> CommandId:
        return self.act("lock", {"reason": "bearing change"}, asset=asset, actor=actor)

    def done(self) -> ActDone:
        """The last fact led to an act that is done, and that is the last word."""
        assert isinstance(self.out[-1], ActDone), self.out
        return self.out[-1]

    def positioned(self, percent: float = 40.0, before: float = 10.0, **asked: object) -> CommandId:
        """A valve that was moved, with what takes it back."""
        command = self.ask("SetPosition", {"PERCENT": percent}, asset=VALVE, **asked)  # type: ignore[arg-type]
        self.executed(command, self.only(CommandPermitted), before)
        return command

    def speeded(self, rpm: float = 1200.0, before: float = 900.0) -> CommandId:
        """A pump that was set to a speed, confirmed."""
        first = self.ask("SetSpeed", {"RPM": rpm})
        self.only(SimulationOrdered)
        self.dry_run(first)
        command = self.ask("SetSpeed", {"RPM": rpm}, confirms=first)
        self.executed(command, self.only(CommandPermitted), before)
        return command

    def executed(self, command: CommandId, permitted: CommandPermitted, *before: Scalar) -> list[Event]:
        """Each write of the permit is made; `before` stood there, in the order of the writes."""
        permit = permitted.permit
        self.claim(command, by=f"adapter-{permit.source}")
        undo = tuple(
            msgspec.structs.replace(write, value=value)
            for write, value in reversed(list(zip(permit.writes, before, strict=True)))
        )
        return self.say_executed(permit, permitted.decision, undo)

    def say_executed(self, permit: Permit, decision: Decision, undo: tuple[Write, ...]) -> list[Event]:
        event = CommandExecuted(
            site=permit.site, command=permit.command, steps=(), undo=undo, window_ms=1.0, decision=decision
        )
        return self._answer(permit, event)

    def fail(
        self, permitted: CommandPermitted, *, written: bool = True, compensated: bool = False
    ) -> list[Event]:
        permit = permitted.permit
        self.claim(permit.command, by=f"adapter-{permit.source}")
        step = StepResult(write=permit.writes[0], before=10.0, before_quality=192, written_at=self.now)
        event = CommandFailed(
            site=permit.site,
            command=permit.command,
            reason="not proved",
            written=written,
            steps=(step,) if written else (),
            undo=(msgspec.structs.replace(permit.writes[0], value=10.0),) if written else (),
            decision=permitted.decision,
            compensated=compensated,
        )
        return self._answer(permit, event)

    def lose(self, permitted: CommandPermitted | SafePermitted) -> list[Event]:
        """Nobody knows what became of it."""
        permit = permitted.permit
        self.claim(permit.command, by=f"adapter-{permit.source}")
        return self._answer(
            permit, OutcomeUnknown(site=permit.site, command=permit.command, reason="the line fell silent")
        )

    def reconcile(self, ordered: ReconcileOrdered, conclusion: str = "written", by: str = "") -> list[Event]:
        executor = by or f"adapter-{ordered.source}"
        event = CommandReconciled(
            site=SiteName(ordered.site),
            command=ordered.target,
            by=ordered.command,
            found=(),
            conclusion=conclusion,  # type: ignore[arg-type]
        )
        return self.tell(
            "COMMANDS", f"cmd.{ordered.site}.reconciled.{executor}.{ordered.target}", event, executor
        )

    def _answer(self, permit: Permit, event: Event) -> list[Event]:
        by = f"adapter-{permit.source}"
        kind = str(event.__struct_config__.tag).removeprefix("command.")
        return self.tell("COMMANDS", f"cmd.{permit.site}.{kind}.{by}.{permit.command}", event, by)


POSITION = TagName("opc1.command")

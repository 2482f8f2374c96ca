"""What a judgement knows of the gate's own past: lock-outs, bypasses, use of limits, unknown outcomes.

Recorded in the decision like the inputs, so that it can be judged again without the gate.
"""

from __future__ import annotations

from datetime import datetime

from plantops.events.base import AssetName, CommandId, PrincipalName, Record


class LockOut(Record, frozen=True):
    """A person's own lock on an asset: nothing but the safe direction is let through while it hangs.

    `lock` is the command that set it, and its name from then on. `person` is the natural person who owns
    it. `lifting` are the natural persons, other than the owner, who have asked to lift it so far.
    """

    lock: CommandId
    asset: AssetName
    owner: PrincipalName
    person: PrincipalName
    reason: str
    since: datetime
    lifting: tuple[PrincipalName, ...] = ()


class Bypass(Record, frozen=True):
    """A permissive that does not count on one asset until `expires_at`, and what makes up for it meanwhile.

    `bypass` is the command that granted it, and its name from then on; `bypass_class` is the policy's.
    """

    bypass: CommandId
    asset: AssetName
    permissive: str
    bypass_class: str
    owner: PrincipalName
    reason: str
    measure: str
    since: datetime
    expires_at: datetime


class LimitUse(Record, frozen=True):
    """How far a limit of the policy is used before this command.

    `calls` permitted in the window, `concurrent` still open, `drift` the sum of absolute changes by
    argument in the window, in the argument's unit.
    """

    limit: str
    calls: int = 0
    concurrent: int = 0
    drift: dict[str, float] = {}


class Circumstances(Record, frozen=True):
    """All of it, for one command at one moment. `unreconciled` are commands on the asset whose outcome
    nobody knows."""

    lockouts: tuple[LockOut, ...] = ()
    bypasses: tuple[Bypass, ...] = ()
    uses: tuple[LimitUse, ...] = ()
    unreconciled: tuple[CommandId, ...] = ()


NO_CIRCUMSTANCES = Circumstances()

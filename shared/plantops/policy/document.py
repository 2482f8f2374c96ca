"""What is allowed: the policy document. Pure structs; verification and judgement stand beside it.

The document travels as the payload of a signed envelope whose keys are pinned by the trust root on the
host, never by the plant. It says who counts, what each may ask, and what must be true before a write.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import msgspec

from plantops.events.base import Digest, Scalar
from plantops.events.command_parts import Risk

POLICY_TYPE = "application/vnd.plantops.policy.v1+json"
ROOT_TYPE = "application/vnd.plantops.root.v1+json"
SCHEMA = "plantops.policy/1"
LIMIT_WINDOW = timedelta(days=31)
"""The longest window of a limit: what was permitted before that is not remembered."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A piece of the document. A field that this version does not know refuses the whole document:
    a rule that is not understood must not be skipped."""


class Principal(Part, frozen=True):
    """Somebody who counts.

    `person` is the natural person behind it (a program or agent acts for one); separation of duties
    counts persons. `keys` are Base64 Ed25519 public keys for signatures; `logins` are NATS user nkeys.
    """

    kind: Literal["person", "agent", "process"]
    person: str = ""
    keys: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class Role(Part, frozen=True):
    """What a role may ask: patterns `asset.operation`, either part may be `*`."""

    operations: tuple[str, ...] = ()


class Compare(Part, frozen=True, tag="compare"):
    """A positive condition on one property, `asset.property`.

    `unknown` (which denies) when the value is missing, older than `max_age_seconds`, of a lesser quality,
    not finite, or of another type than `value`; when `unit` is given and differs from the model's.
    """

    property: str
    op: Literal["<", "<=", ">", ">=", "==", "!="]
    value: Scalar
    unit: str = ""
    max_age_seconds: float | None = None
    quality: Literal["good", "uncertain"] = "good"


class Every(Part, frozen=True, tag="all"):
    """True when each of `of` is true; false when one is false. Of nothing: unknown."""

    of: tuple[Condition, ...]


class Either(Part, frozen=True, tag="any"):
    """True when one of `of` is true; false when each is false. Of nothing: unknown."""

    of: tuple[Condition, ...]


class Negate(Part, frozen=True, tag="not"):
    """Kleene's negation: unknown stays unknown."""

    of: Condition


Condition: TypeAlias = "Compare | Every | Either | Negate"


class Permissive(Part, frozen=True):
    """What must be true before the operations that `applies` names are written (`asset.operation`, `*`)."""

    id: str
    applies: tuple[str, ...]
    require: Condition
    text: str = ""


class ArgumentLimit(Part, frozen=True):
    """Bounds within the model's own, for one argument. `max_change` bounds the step from the value
    that stands in the device, in the argument's unit."""

    low: float | None = None
    high: float | None = None
    max_change: float | None = None


class OperationRule(Part, frozen=True):
    """The policy's word on one operation. Risk is the higher of this and the model's.

    `safe_direction` may only be said here. `simulate` asks for a simulation and its confirmation also below
    risk high. Approvals are needed from `approvals` persons of `approval_roles` when the risk is critical, at
    least one even where this says 0; `escalation_roles` may approve too once nobody has answered for
    `escalate_seconds`. `fallback` names the safe-direction operation, without arguments, that the same asset
    is put to when this one ends half-way or nobody knows how.
    """

    risk: Risk | None = None
    safe_direction: bool = False
    simulate: bool = False
    fallback: str = ""
    escalate_seconds: float | None = None
    escalation_roles: tuple[str, ...] = ()
    approvals: int = 1
    approval_roles: tuple[str, ...] = ()
    approval_seconds: float = 900.0
    confirm_seconds: float = 300.0
    execute_seconds: float = 15.0
    limits: dict[str, ArgumentLimit] = {}


class Limit(Part, frozen=True):
    """How much may be asked in a sliding window of the operations that `applies` names together.

    Counted are permitted commands in the normal direction, for each asset, each natural person, or the
    whole site. `drift` bounds the sum of absolute changes of an argument from what stood in the device, in
    its unit; `concurrent` the commands whose outcome is not known yet. What cannot be counted denies.
    """

    id: str
    applies: tuple[str, ...]
    per: Literal["asset", "person", "site"] = "asset"
    window_seconds: float = 3600.0
    calls: int | None = None
    concurrent: int | None = None
    drift: dict[str, float] = {}
    text: str = ""


class BypassClass(Part, frozen=True):
    """Which permissives may be bypassed, by persons of which roles, for how long at most.

    How many others must approve says the rule of the act, `<asset>.act-bypass`.
    """

    permissives: tuple[str, ...]
    roles: tuple[str, ...]
    max_seconds: float
    text: str = ""


class VectorInput(Part, frozen=True):
    """A property as a decision vector sees it: good and just read, unless it says otherwise."""

    value: Scalar | None
    quality: int = 192
    age_seconds: float | None = 0.0


class Vector(Part, frozen=True):
    """A decision that this policy must give, or it does not come into force.

    Judged is the request stage of a signed intent by `actor`, with fresh times. `inputs` are by
    `asset.property`; what is not named is not observed. `rule` names the first finding that must not hold,
    exactly or up to its colon; empty with `expect = "allow"`.
    """

    id: str
    asset: str
    operation: str
    actor: str
    expect: Literal["allow", "deny"]
    rule: str = ""
    arguments: dict[str, Scalar] = {}
    on_behalf_of: tuple[str, ...] = ()
    inputs: dict[str, VectorInput] = {}
    signed: bool = True


class Revoked(Part, frozen=True):
    """A key whose word no longer counts. Audit records signed by it count up to `audit_size` records
    (the size of the log when it was known to be good), and none after."""

    key: str
    since: datetime
    audit_size: int = 0
    reason: str = ""


class Delegated(Part, frozen=True):
    """What a program with the role `gateway` may say in the name of a person whom it knows by his login.

    `confirm_risk` is the highest risk of which it may confirm a simulation for him, `approve_risk` the
    highest of which its approval counts as his. Empty: nothing, he signs himself.
    """

    confirm_risk: Risk | Literal[""] = ""
    approve_risk: Risk | Literal[""] = ""


class Policy(Part, frozen=True):
    """One revision. Denied is what nothing here allows.

    `max_age_seconds` is the default for permissive inputs; `clock_skew_seconds` bounds how far an intent's
    times may lie from the broker's, `intent_seconds` how long it may live; `unsigned_risk` is the highest
    risk that an unsigned intent may ask to execute (empty: none, simulation only). `model` pins the digest
    of asset model and tag map.
    """

    schema: str
    id: str
    audience: str
    revision: int
    previous: Digest
    not_before: datetime
    expires: datetime
    model: Digest
    moc: str = ""
    principals: dict[str, Principal] = {}
    roles: dict[str, Role] = {}
    operations: dict[str, OperationRule] = {}
    permissives: tuple[Permissive, ...] = ()
    limits: tuple[Limit, ...] = ()
    bypass_classes: dict[str, BypassClass] = {}
    vectors: tuple[Vector, ...] = ()
    revoked: tuple[Revoked, ...] = ()
    delegated: Delegated = Delegated()
    max_age_seconds: float = 5.0
    clock_skew_seconds: float = 30.0
    intent_seconds: float = 86_400.0
    unsigned_risk: Risk | Literal[""] = ""


class RootRole(Part, frozen=True):
    """Keys (Base64 Ed25519) of which `threshold` different ones must have signed."""

    keys: tuple[str, ...]
    threshold: int


class TrustRoot(Part, frozen=True):
    """The file on the host that says whose signature makes a policy; never read from the plant.

    Version N + 1 replaces N when it is signed by the threshold of `root` in both, and names N's digest as
    `previous` (TUF specification, 5.3). Without `root` the keys of `policy` sign roots too.
    """

    site: str
    version: int
    policy: RootRole
    root: RootRole | None = None
    previous: Digest = Digest("")

    @property
    def signers(self) -> RootRole:
        """Who signs the next root."""
        return self.root or self.policy


def policy_digest(payload: bytes) -> Digest:
    """SHA-256 of the exact payload bytes that were signed."""
    return Digest(hashlib.sha256(payload).hexdigest())


def decode_policy(payload: bytes) -> Policy:
    """Raises: ValueError (with the place) for anything that is not a policy of this schema."""
    policy = _DECODER.decode(payload)
    if policy.schema != SCHEMA:
        raise ValueError(f"schema {policy.schema!r}, this version reads {SCHEMA!r} only")
    return policy


_DECODER = msgspec.json.Decoder(Policy)

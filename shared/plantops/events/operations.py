"""Events about the machinery itself: policies, timers, checkpoints, messages that nobody could read."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from plantops.events.base import CommandId, Digest, Event, SiteName


class PolicyPublished(Event, frozen=True, tag="policy.published"):
    """The policy office put a revision on the stream; `envelope` is the exact signed text.

    Trust comes from the envelope's own signatures: each reader verifies it against its pinned root and
    goes on with the last one when it does not hold.
    """

    site: SiteName
    revision: int
    digest: Digest
    envelope: str


class RootPublished(Event, frozen=True, tag="policy.root_published"):
    """The root's holders put the next trust root on the stream; `envelope` is the exact signed text.

    Trust comes from the envelope's signatures: the old root's threshold, and the new one's.
    """

    site: SiteName
    root_version: int
    digest: Digest
    envelope: str


class TimerFired(Event, frozen=True, tag="timer.fired"):
    """`due` has passed for a command that waits, or for a bypass; the owner decides what that means.

    Of version 1 there are three purposes; 2 knows escalations and bypasses, too.
    """

    version: ClassVar[int] = 2
    also_reads: ClassVar[tuple[int, ...]] = (1,)

    site: SiteName
    command: CommandId
    due: datetime
    purpose: Literal["approval", "confirmation", "execution", "escalation", "bypass"]


class CheckpointSigned(Event, frozen=True, tag="checkpoint.signed"):
    """The notary signed the first `size` audit records; `note` is the C2SP signed note."""

    site: SiteName
    size: int
    root: str
    note: str
    findings: int = 0


class CheckpointRefused(Event, frozen=True, tag="checkpoint.refused"):
    """The notary signs no more: the audit stream has a gap, went back, or is another one than before.

    `kind` is the ledger's finding, `index` the record from which on it shows (None: no single one), `note`
    the last checkpoint that was signed ("" before the first).
    """

    site: SiteName
    kind: str
    detail: str
    index: int | None
    note: str


class CheckpointCosigned(Event, frozen=True, tag="checkpoint.cosigned"):
    """A witness read the records between the last checkpoint that it knew and this one, and found that this
    one extends it. `note` is the signed note with the notary's line and the witness's C2SP cosignature, made
    `at` under the key name `witness`.
    """

    site: SiteName
    witness: str
    size: int
    root: str
    note: str
    at: datetime


class CheckpointDisputed(Event, frozen=True, tag="checkpoint.disputed"):
    """A witness will not cosign: the log shrank, forked, or is another one than it remembers.

    `kind` is the ledger's finding; `size` and `root` are what the witness remembers (0 and "" for nothing),
    `note` is the checkpoint that it was shown ("" for none).
    """

    site: SiteName
    witness: str
    kind: str
    detail: str
    size: int
    root: str
    note: str


class MessageBuried(Event, frozen=True, tag="message.buried"):
    """A process could not use a message and went on without it. `data` is Base64, cut at 32 KiB."""

    process: str
    stream: str
    sequence: int
    subject: str
    reason: str
    data: str

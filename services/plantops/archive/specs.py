"""What the archive may do on the broker, and who rebuilds one. Two logins: AUDIT has its own account."""

from __future__ import annotations

from typing import Final

from plantops.flow.declaration import ProcessSpec
from plantops.flow.processor import Reads

ARCHIVE: Final = "archive"
ARCHIVE_AUDIT: Final = "archive-audit"
REPLAYER: Final = "replayer"
REPLAYER_AUDIT: Final = "replayer-audit"

# Whole streams, also what is on subjects that nobody should use: nothing is left out silently, and a
# sequence that does not follow the one before is a hole.
PLANT_STREAMS: Final[tuple[Reads, ...]] = (
    Reads("TAGS", ("tag.*.*",)),
    Reads("SOURCES", ("source.*.*.*",)),
    Reads("INTENTS", ("intent.*.*.*.*",)),
    Reads("COMMANDS", ("cmd.*.*.*.*",)),
    Reads("APPROVALS", ("approval.*.*.*",)),
    Reads("POLICY", ("policy.*",)),
    Reads("TIMERS", ("timer.*.*",)),
    Reads("ALARMS", ("alarm.*.*.*",)),
    Reads("FINDINGS", ("finding.*.*",)),
    Reads("AGENT", ("agent.*.*.*",)),
    Reads("DEAD", ("dead.*",)),
)
AUDIT_STREAMS: Final[tuple[Reads, ...]] = (
    Reads("AUDIT", ("audit.*.*",)),
    Reads("CHECKPOINTS", ("checkpoint.*",)),
)


def archive_spec() -> ProcessSpec:
    """Folds everything that the plant's streams hold; writes its manifests to the audit, and nothing else.

    What it cannot read stands in its own table `unread`, not in DEAD, which it reads.
    """
    return ProcessSpec(ARCHIVE, reads=PLANT_STREAMS, lookups=("DEFINITIONS", "POLICY"), audits=True)


def archive_audit_spec() -> ProcessSpec:
    """The same process in the audit's account: reads, and nothing else."""
    return ProcessSpec(ARCHIVE_AUDIT, account="AUDIT", reads=AUDIT_STREAMS)


def replayer_spec() -> ProcessSpec:
    """Who rebuilds an archive while the real one runs: run by a person, reads only.

    It looks messages up by sequence to find the one that was stored at a given time.
    """
    looked_up = tuple(reads.stream for reads in PLANT_STREAMS)
    return ProcessSpec(REPLAYER, reads=PLANT_STREAMS, lookups=("DEFINITIONS", *looked_up))


def replayer_audit_spec() -> ProcessSpec:
    """The same person in the audit's account."""
    looked_up = tuple(reads.stream for reads in AUDIT_STREAMS)
    return ProcessSpec(REPLAYER_AUDIT, account="AUDIT", reads=AUDIT_STREAMS, lookups=looked_up)

"""What a check of the ledger found wrong; a finding is data, never an exception, so that a check goes on."""

from enum import StrEnum

import msgspec


class FindingKind(StrEnum):
    """What is wrong; the values are stable and may be stored."""

    # One record
    MALFORMED = "malformed"  # not an audit record as `seal_record` writes it
    BAD_SIGNATURE = "bad_signature"  # changed after signing, signed for another type, or not signed
    UNTRUSTED_SIGNER = "untrusted_signer"  # signed by a key that may not write for this writer
    REVOKED_SIGNER = "revoked_signer"  # signed by a key after its word had ended
    WRITER_MISMATCH = "writer_mismatch"  # came on the subject of another writer
    SEQUENCE_GAP = "sequence_gap"  # records of this writer are missing before this one
    SEQUENCE_REPEAT = "sequence_repeat"  # an older record of this writer, again or late
    CHAIN_BROKEN = "chain_broken"  # does not follow the bytes that stand before it
    STREAM_GAP = "stream_gap"  # positions of the stream are missing, or out of order
    # Files of an export
    ENTRY_MISMATCH = "entry_mismatch"  # the entry is not the one that the tree covers
    ENTRIES_MISSING = "entries_missing"
    ENTRIES_DAMAGED = "entries_damaged"
    TILE_MISMATCH = "tile_mismatch"
    TILE_MISSING = "tile_missing"
    TILE_DAMAGED = "tile_damaged"
    CHECKPOINT_MISSING = "checkpoint_missing"
    CHECKPOINT_INVALID = "checkpoint_invalid"
    NOT_COSIGNED = "not_cosigned"  # too few of the trusted witnesses signed the checkpoint
    ROOT_MISMATCH = "root_mismatch"  # the entries as they are do not give the signed root
    UNEXPECTED_FILE = "unexpected_file"  # the signed size has no place for this file
    # One log compared with what was seen of it before
    OTHER_LOG = "other_log"
    SHRUNK = "shrunk"
    FORKED = "forked"
    OTHER_ROOT = "other_root"
    DISPUTED = "disputed"  # a witness says that this log is not the one that it has seen
    # A running log
    UNCOVERED = "uncovered"  # stored long ago, and still no checkpoint covers it


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    `index` is the leaf index (0-based) where it shows, None when no single record is meant; `writer` is ""
    when it is not known; `path` is relative to the export, "" outside of one; `detail` is for people.
    """

    kind: FindingKind
    index: int | None
    writer: str
    detail: str
    path: str = ""

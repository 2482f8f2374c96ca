"""Audit records in their chains, damaged ones, and the checkpoints over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

from plantops.events.base import encode_json
from plantops.flow.checkpoints import key_name
from plantops.ledger.checkpoint import Checkpoint, cosign, sign
from plantops.ledger.note import NoteKey
from plantops.ledger.record import Trusted, WriterChain, check_records, seal_record
from plantops.ledger.tree import Tree, leaf_hash
from plantops.schemas.sample_plant import KEYS, NOW, ORIGIN, SITE
from plantops.schemas.samples import samples
from plantops.schemas.vectors.signing import key_document

Json: TypeAlias = dict[str, Any]
Log: TypeAlias = Sequence[tuple[str, bytes]]

NAME: Final = key_name(SITE)
_WRITERS: Final = ("gate", "adapter-plc1")
_TRUSTED: Final[Trusted] = {name: {KEYS[name].keyid: KEYS[name].public} for name in _WRITERS}


def _log() -> list[tuple[str, bytes]]:
    """Every control event of the two writers as a record, and one whose body is too large."""
    chains = {name: WriterChain(SITE, name) for name in _WRITERS}
    log: list[tuple[str, bytes]] = []
    said = [(each.signer, each.event.__struct_config__.tag, each.event) for each in samples()]
    bodies = [
        (who, str(kind), encode_json(event)) for who, kind, event in said if str(kind).startswith("command.")
    ]
    bodies.append(("gate", "example.large", encode_json({"text": "x" * 50_000})))
    for number, (writer, kind, body) in enumerate(bodies):
        record = chains[writer].next(kind, f"c{number}", body, NOW + timedelta(seconds=number))
        stored = seal_record(record, KEYS[writer])
        chains[writer] = chains[writer].after(stored)
        log.append((writer, stored))
    return log


def audit() -> Json:
    """Records with their chains; then logs that somebody changed, and what a verifier finds there."""
    log = _log()
    return {
        "about": "Audit records: the exact stored bytes (UTF-8 text) of DSSE envelopes in stream order, one "
        "signature each. Per writer `sequence` counts from 1 and `previous` is the hexadecimal SHA-256 of "
        "the stored bytes of the writer's record before. Record i is leaf i of the tree in `checkpoint` "
        "(RFC 9162). `damaged` changes this log as it says; `findings` are kind and index of what shows.",
        "keys": [key_document(name) for name in _WRITERS],
        "records": [{"writer": writer, "stored": stored.decode()} for writer, stored in log],
        "root": _root(log).hex(),
        "checkpoint": sign(Checkpoint(ORIGIN, len(log), _root(log)), KEYS["notary"], name=NAME).decode(),
        "notary": key_document("notary"),
        "damaged": [
            {"change": change, "findings": _findings(damaged)} for change, damaged in _damaged(log).items()
        ],
    }


def _root(log: Log) -> bytes:
    return Tree(leaf_hash(stored) for _writer, stored in log).root()


def _damaged(log: Log) -> dict[str, Log]:
    writer, stored = log[2]
    position = stored.rindex(b'"sig":"') + 20
    other = b"A" if stored[position : position + 1] != b"A" else b"B"
    flipped = stored[:position] + other + stored[position + 1 :]
    return {
        "nothing": log,
        "in record 2, the letter 20 bytes behind the last '\"sig\":\"' became A, or B where it was A": [
            *log[:2], (writer, flipped), *log[3:]
        ],
        "record 2 left out": [*log[:2], *log[3:]],
        "records 1 and 2 swapped": [log[0], log[2], log[1], *log[3:]],
        "record 2 put in again behind itself": [*log[:3], log[2], *log[3:]],
        "record 2 on the subject of the other writer": [
            *log[:2], (next(name for name in _WRITERS if name != writer), stored), *log[3:]
        ],
    }  # fmt: skip


def _findings(log: Log) -> list[Json]:
    numbered = [(index, writer, stored) for index, (writer, stored) in enumerate(log)]
    return [{"kind": str(each.kind), "index": each.index} for each in check_records(numbered, _TRUSTED)]


def checkpoints() -> Json:
    """Signed notes and checkpoints."""
    notary, witness = KEYS["notary"], KEYS["bob"]
    cases = []
    for size in (0, 1, 7, 256):
        root = Tree(leaf_hash(b"entry %d" % number) for number in range(size)).root()
        signed = sign(Checkpoint(ORIGIN, size, root), notary, name=NAME)
        cases.append({"size": size, "root": root.hex(), "note": signed.decode()})
    last = cases[-1]["note"]
    assert isinstance(last, str)
    return {
        "about": "C2SP tlog-checkpoint in a signed-note with Ed25519 (type 0x01). Leaf i of a log is the "
        "entry 'entry <i>'. `name` signs; the origin adds the log's own id to it. The key hash is the first "
        "4 bytes of SHA-256 over name, newline, 0x01 and the raw public key; a signature line holds base64 "
        "of key hash and signature over the text with its last newline. `cosigned` carries a second line, "
        "which others ignore. What stands under `refused` does not verify.",
        "origin": ORIGIN,
        "name": NAME,
        "key": key_document("notary"),
        "verifier_key": NoteKey(NAME, notary.public).to_vkey(),
        "cases": cases,
        "cosigned": cosign(last.encode(), "witness.example", witness).decode(),
        "refused": {
            "another size": last.replace("\n256\n", "\n255\n", 1),
            "another origin": last.replace(ORIGIN, ORIGIN[:-1] + "0", 1),
            "signed by another key": sign(
                Checkpoint(ORIGIN, 256, bytes.fromhex(str(cases[-1]["root"]))), witness, name=NAME
            ).decode(),
        },
    }

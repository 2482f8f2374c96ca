"""Test vectors: inputs and outputs of what a program of another language has to compute just as we do."""

from __future__ import annotations

from typing import Any

import msgspec

from plantops.schemas.vectors.decisions import decisions
from plantops.schemas.vectors.records import audit, checkpoints
from plantops.schemas.vectors.signing import identities, signatures
from plantops.schemas.vectors.trees import trees

FOLDER = "vectors"


def vectors() -> dict[str, bytes]:
    """Path to bytes, each a JSON document with a word about what it shows."""
    documents: dict[str, Any] = {
        "dsse": signatures(),
        "command_identity": identities(),
        "checkpoint": checkpoints(),
        "tree": trees(),
        "audit": audit(),
    }
    documents |= {f"decisions/{name}": document for name, document in decisions().items()}
    return {
        f"{FOLDER}/{name}.json": msgspec.json.format(msgspec.json.encode(document)) + b"\n"
        for name, document in documents.items()
    }

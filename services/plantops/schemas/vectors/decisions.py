"""Judgements: policy, model, intent and observation give the decision's bytes."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from plantops.events.base import encode_json
from plantops.model.assets import plain_model
from plantops.policy.judge import decision_digest
from plantops.schemas.sample_decisions import CASES, Case
from plantops.schemas.sample_plant import (
    MODEL,
    NOW,
    PLANT,
    PLC1,
    POLICY_ENVELOPE,
    ROOT,
    verified,
)

Json: TypeAlias = dict[str, Any]


def decisions() -> dict[str, Json]:
    """The ground that all cases stand on, and each case by its name."""
    ground = {
        "about": "What every case is judged by. `policy` is the exact signed envelope; its digest is SHA-256 "
        "over the payload. `model` and `definitions` give the model digest: SHA-256 over the JSON "
        "[model, [[source, layout], …]], sources in the order of their names, written as in `model_bytes`; a "
        "layout is the first 32 hexadecimal digits of SHA-256 over a definition's bytes.",
        "root": ROOT,
        "policy": POLICY_ENVELOPE.decode(),
        "policy_digest": verified().digest,
        "model": plain_model(MODEL),
        "model_bytes": msgspec.json.encode(plain_model(MODEL)).decode(),
        "definitions": [PLC1],
        "definition_bytes": [encode_json(PLC1).decode()],
        "model_digest": PLANT.digest,
    }
    return {"ground": ground} | {case.name: _document(case) for case in CASES}


def _document(case: Case) -> Json:
    decision = case.decision()
    return {
        "stage": case.stage,
        "now": NOW,
        "signed": case.signed,
        "intent": case.intent,
        "observation": case.observation,
        "allowed": decision.allowed,
        "decision": msgspec.json.decode(encode_json(decision)),
        "decision_bytes": encode_json(decision).decode(),
        "decision_digest": decision_digest(decision),
    }

"""The page for those who come from TwinOps has every variable of theirs, and of ours only what exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from layout.repository import text_of
from plantops.deployment.variables import VARIABLES

PAGE: Final = text_of(Path("docs/reference/from-twinops.md"))
_ROW: Final = re.compile(r"^\| `([A-Z_]+\*?)` \| (.*?) \| (.*?) ?\|$", re.MULTILINE)
_OURS: Final = re.compile(r"PLANTOPS_[A-Z0-9_]+")

# The table of its README.
README: Final = """
TWIN_BASE_URL MQTT_BROKER_HOST MQTT_BROKER_PORT LLM_PROVIDER ANTHROPIC_API_KEY AAS_ID REPO_ID AUTH_MODE
AUTH_EXEMPT_PATHS OPSERVICE_AUTH_MODE OPSERVICE_AUTH_EXEMPT_PATHS OPSERVICE_HMAC_SECRET OPSERVICE_HMAC_HEADER
OPSERVICE_HMAC_TIMESTAMP_HEADER OPSERVICE_HMAC_TTL_SECONDS OPSERVICE_JOB_RETENTION_SECONDS
OPSERVICE_JOB_CLEANUP_INTERVAL MTLS_ROLE_MAP MTLS_TRUST_PROXY_HEADERS MTLS_SUBJECT_HEADER AGENT_WORKERS
METRICS_MULTIPROC_DIR MQTT_TLS_ENABLED MQTT_TLS_CA_CERT MQTT_TLS_CLIENT_CERT MQTT_TLS_CLIENT_KEY
TRACING_ENABLED TRACING_OTLP_ENDPOINT TRACING_CONSOLE TRACING_SERVICE_NAME TOOL_CONCURRENCY_LIMIT
LLM_CONCURRENCY_LIMIT TOOL_EXECUTION_TIMEOUT TOOL_RETRY_MAX_ATTEMPTS TOOL_RETRY_BASE_DELAY
TOOL_RETRY_MAX_DELAY TOOL_RETRY_JITTER TOOL_IDEMPOTENCY_TTL_SECONDS TOOL_IDEMPOTENCY_MAX_ENTRIES
TOOL_IDEMPOTENCY_STORAGE TOOL_IDEMPOTENCY_SQLITE_PATH JOB_POLL_MAX_INTERVAL JOB_POLL_JITTER
TWIN_CLIENT_FAILURE_THRESHOLD TWIN_CLIENT_RECOVERY_TIMEOUT TWIN_CLIENT_HALF_OPEN_MAX_CALLS
TWIN_CLIENT_MAX_CONCURRENCY TWIN_TLS_ENABLED TWIN_TLS_CA_CERT TWIN_TLS_CLIENT_CERT TWIN_TLS_CLIENT_KEY
TWIN_TLS_INSECURE POLICY_CACHE_TTL_SECONDS POLICY_MAX_AGE_SECONDS
"""
# What its code reads beside.
CODE: Final = """
OPENAI_API_KEY SUBMODEL_BASE_URL AAS_REPO_ID SUBMODEL_REPO_ID MQTT_CLIENT_ID MQTT_USERNAME MQTT_PASSWORD
LLM_MODEL LLM_MAX_TOKENS LLM_REQUEST_TIMEOUT LLM_CIRCUIT_* LLM_FALLBACK_ENABLED AGENT_HOST AGENT_PORT
CAPABILITY_TOP_K RATE_LIMIT_RPM MTLS_ALLOW_UNMAPPED MTLS_FORWARDED_CERT_HEADER DEFAULT_ROLES
DEFAULT_RISK_LEVEL AUDIT_LOG_PATH POLICY_VERIFICATION_REQUIRED POLICY_SUBMODEL_ID INTERLOCK_FAIL_SAFE
SANDBOX_PORT OPSERVICE_PORT HTTP_TIMEOUT JOB_POLL_INTERVAL JOB_TIMEOUT JOB_HTTP_FALLBACK_POLLS
APPROVAL_TIMEOUT STARTUP_TIMEOUT STARTUP_RETRY_INTERVAL STARTUP_VALIDATE_AAS
"""
COMMANDS: Final = (
    *("list-tasks", "approve", "reject", "verify-audit", "show-audit", "generate-keypair", "sign-policy"),
    *("verify-policy", "status", "load_test_agent.py"),
)


def rows() -> dict[str, tuple[str, str]]:
    found = _ROW.findall(PAGE)
    assert len({name for name, *_ in found}) == len(found)
    return {name: (ours, why) for name, ours, why in found}


def test_each_variable_has_one_row_and_no_row_is_of_another() -> None:
    assert set(rows()) == {*README.split(), *CODE.split()}


def test_each_row_names_a_variable_of_ours_or_says_why_there_is_none() -> None:
    empty = [
        name for name, (ours, why) in rows().items() if not (_OURS.search(ours) or (ours == "-" and why))
    ]
    assert empty == []


def test_each_variable_of_ours_that_is_named_exists() -> None:
    named = set(_OURS.findall(PAGE)) - {"PLANTOPS_"}
    assert named
    assert named - set(VARIABLES.places) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_theirs_has_a_row(command: str) -> None:
    assert re.search(rf"^\| [^|]*`{re.escape(command)}[ `]", PAGE, re.MULTILINE)


def test_each_command_of_ours_exists() -> None:
    from plantops.cli.reference import commands  # noqa: PLC0415 - imports every command

    known = {" ".join(words.split()[1:]) for words, _command in commands()}
    table = PAGE.partition("## Command line")[2].partition("## Routes")[0]
    cells = [
        row.split(" | ")[1] for row in table.splitlines() if row.startswith("| ") and "plantops`" not in row
    ]
    said = {text for cell in cells for text in re.findall(r"`([a-z][^`]*)`", cell)}
    missing = {text for text in said if not any(f"{text} ".startswith(f"{name} ") for name in known)}
    assert missing == set()

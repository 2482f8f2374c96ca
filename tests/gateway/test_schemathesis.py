"""Schemathesis asks the running gateway what `/openapi.json` lets it ask, and much that it does not."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest

from plantops.gateway.identity.api_keys import make
from plantops.gateway.settings import GatewaySettings, LimitSettings, RateSettings
from support.gateway_plant import gateway_of

_ANY = RateSettings(per_minute=600_000, burst=100_000)
# What never ends by itself cannot be asked by a program that waits for the end; it has tests of its own.
_ENDLESS = "(/v1/events|/stream)$"


@pytest.mark.timeout(400)
async def test_nothing_is_found(tmp_path: Path) -> None:
    settings = GatewaySettings(port=0, limits=LimitSettings(caller=_ANY, peer=_ANY, refused=_ANY))
    text, _kept = make(tmp_path / settings.api_keys.file, "alice")
    async with gateway_of(tmp_path, settings=settings) as gateway:
        command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
        options = ["run", f"{gateway.url}/openapi.json", "--checks=all", f"--header=X-API-Key: {text}"]
        options += ["--max-examples=3", "--request-timeout=20", "--no-color", "--no-shrink"]
        options += ["--generation-deterministic", "--continue-on-failure"]
        options += [f"--exclude-path-regex={_ENDLESS}"]
        process = await asyncio.create_subprocess_exec(
            *command, *options, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _error = await process.communicate()
    told = "\n".join(line[:400] for line in out.decode().splitlines())
    assert process.returncode == 0, told


async def test_every_operation_tells_its_errors_in_the_one_envelope(tmp_path: Path) -> None:
    async with gateway_of(tmp_path) as gateway, gateway.client("") as client:
        answer = await client.get("/openapi.json")
    document = msgspec.json.decode(answer.content)
    assert document["openapi"].startswith("3.1")
    assert document["components"]["schemas"]["CommandBody"]["additionalProperties"] is False
    for path in document["paths"].values():
        for operation in path.values():
            for status in ("400", "401", "404", "409", "429", "500", "503"):
                content = operation["responses"][status]["content"]["application/json"]
                assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}

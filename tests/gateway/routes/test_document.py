"""What is written about the routes is what there is."""

from __future__ import annotations

import re
from pathlib import Path

from support.gateway_plant import Gateway, gateway

__all__ = ["gateway"]

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "http.md"
# They are no part of the document: what describes it, and what OpenAPI has no words for.
BESIDE = {("GET", "/openapi.json"), ("GET", "/v1/events/ws")}


async def test_the_reference_names_each_route_and_no_other(gateway: Gateway) -> None:
    async with gateway.client("") as client:
        document = (await client.get("/openapi.json")).json()
    told = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    written = set(re.findall(r"^\| `(GET|POST) (\S+)` \|", PAGE.read_text(), re.MULTILINE))
    assert written == told | BESIDE


async def test_what_may_be_left_out_and_what_not_is_as_the_structs_say(gateway: Gateway) -> None:
    async with gateway.client("") as client:
        document = (await client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert schemas["ChatBody"]["required"] == ["message"]
    assert schemas["CommandBody"]["required"] == ["asset", "operation"]
    body = document["paths"]["/v1/commands"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/vnd.plantops.intent.v1+json"}
    assert "oneOf" not in str(document)

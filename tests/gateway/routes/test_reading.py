"""What the plant is and was, over HTTP: tags with their quality, tools, and proofs as files."""

from __future__ import annotations

import base64

import msgspec
import pytest

from plantops.events.base import TagName
from plantops.events.queries import problem
from plantops.events.tooling import ToolAsked, ToolTold
from support.gateway_plant import Gateway, gateway

__all__ = ["gateway"]


async def test_tags_are_told_with_their_effective_quality(gateway: Gateway) -> None:
    tag, at = gateway.plant.tags["plc1.setpoint"]
    stale = msgspec.structs.replace(tag, quality=24, quality_name="bad_communication")
    gateway.plant.tags["plc1.setpoint"] = (stale, at)
    async with gateway.client("viewer") as client:
        told = (await client.get("/v1/tags", params={"names": "plc1.setpoint,plc1.nothing"})).json()
        one = (await client.get("/v1/tags/plc1.setpoint")).json()
        missing = await client.get("/v1/tags/plc1.nothing")
    assert [(each["tag"], each["quality"]) for each in told["tags"]] == [("plc1.setpoint", 24)]
    assert told["unknown"] == ["plc1.nothing"]
    assert one["quality_name"] == "bad_communication"
    assert missing.status_code == 404


async def test_tags_are_paged_without_hole_or_double(gateway: Gateway) -> None:
    for number in range(25):
        gateway.plant.set_tag(f"x.{number:02}", float(number))
    seen, cursor = [], ""
    async with gateway.client("viewer") as client:
        while True:
            page = (
                await client.get("/v1/tags", params={"prefix": "x.", "limit": 10, "cursor": cursor})
            ).json()
            seen += [each["tag"] for each in page["tags"]]
            cursor = page["next"]
            if not cursor:
                break
    assert seen == [f"x.{number:02}" for number in range(25)]
    assert page["total"] == 25


async def test_who_waits_for_a_change_hears_of_it(gateway: Gateway) -> None:
    async with gateway.client("viewer") as client:
        before = (await client.get("/v1/tags")).json()["revision"]
        gateway.plant.set_tag("plc1.setpoint", 77.0)
        told = (await client.get("/v1/tags", params={"after": before, "wait": 5})).json()
    assert [(each["tag"], each["value"]) for each in told["tags"]] == [(TagName("plc1.setpoint"), 77.0)]
    assert told["revision"] > before


async def test_the_twin_tells_assets_with_the_risk_that_counts(gateway: Gateway) -> None:
    async with gateway.client("viewer") as client:
        told = await client.get("/v1/twin")
        again = await client.get("/v1/twin", headers={"If-None-Match": told.headers["etag"]})
        pump = (await client.get("/v1/twin/pump-001")).json()
        sources = (await client.get("/v1/sources")).json()["sources"]
    assert [each["name"] for each in told.json()["assets"]] == ["pump-001", "valve-001"]
    assert again.status_code == 304
    operations = pump["operations"]
    assert (operations["SetSpeed"]["risk"], operations["SetSpeed"]["arguments"]["RPM"]["high"]) == (
        "high",
        3600,
    )
    assert operations["StopPump"]["safe_direction"] is True
    assert [each["source"] for each in sources] == ["plc1"]


async def test_a_tool_is_called_in_the_callers_name_and_its_refusal_told(gateway: Gateway) -> None:
    def answer(asked: ToolAsked) -> ToolTold | bytes:
        if asked.on_behalf_of != ("alice",):
            return problem("not_authorised", "no role of carol covers tool.device-read")
        return ToolTold(tool=asked.tool, result={"n": asked.arguments["n"]}, next="c2", left=5)

    gateway.plant.answers["device-read"] = answer
    async with gateway.client() as alice, gateway.client("viewer") as carol:
        told = (
            await alice.post("/v1/tools/device-read", json={"arguments": {"n": 1}, "cursor": "c1"})
        ).json()
        refused = await carol.post("/v1/tools/device-read", json={"arguments": {"n": 1}})
        missing = await alice.post("/v1/tools/nothing")
        listed = (await alice.get("/v1/tools", params={"query": "events"})).json()
        shown = await alice.get("/v1/tools/events-read")
        unknown = await alice.get("/v1/tools/nothing")
    assert told == {"tool": "device-read", "result": {"n": 1}, "provenance": [], "next": "c2", "left": 5}
    assert gateway.plant.tools[0].cursor == "c1"
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert [each.status_code for each in (missing, shown, unknown)] == [404, 200, 404]
    assert [each["name"] for each in listed["tools"]] == ["events-read"]


async def test_the_list_of_tools_is_handed_on_page_by_page(gateway: Gateway) -> None:
    gateway.plant.catalogue.pages = (("a", "b"), ("c",), ("d",))
    async with gateway.client("viewer") as client:
        first = (await client.get("/v1/tools", params={"limit": 2})).json()
        second = (await client.get("/v1/tools", params={"cursor": first["next"], "all": "true"})).json()
        third = (await client.get("/v1/tools", params={"cursor": second["next"]})).json()
        shown = await client.get("/v1/tools/c")
        missing = await client.get("/v1/tools/e")
        gateway.plant.catalogue.revision = "r2"
        changed = await client.get("/v1/tools", params={"cursor": first["next"]})
    found = [[tool["name"] for tool in page["tools"]] for page in (first, second, third)]
    assert (found, third["next"]) == ([["a", "b"], ["c"], ["d"]], "")
    asked = gateway.plant.catalogue.asked
    assert [(each.rows, each.all, each.cursor) for each in asked[:3]] == [
        (2, False, ""),
        (0, True, "1-r1"),
        (0, False, "2-r1"),
    ]
    assert [each.cursor for each in asked[3:5]] == ["", "1-r1"]
    assert {each.on_behalf_of for each in asked} == {("carol",)}
    assert [each.status_code for each in (shown, missing, changed)] == [200, 404, 409]
    assert changed.json()["error"]["details"] == {"reason": "catalogue_changed"}


async def test_history_asks_the_archive_by_its_tool(gateway: Gateway) -> None:
    gateway.plant.answers["tag-history"] = lambda asked: ToolTold(tool=asked.tool, result=asked.arguments)
    async with gateway.client("viewer") as client:
        told = await client.get("/v1/history", params={"tag": "plc1.setpoint", "since": "15m"})
        nothing = await client.get("/v1/history")
    assert told.json()["result"] == {"tag": "plc1.setpoint", "since": "15m", "step": "auto"}
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (400, "bad_request")


async def test_the_log_is_served_as_the_files_of_tlog_tiles(gateway: Gateway) -> None:
    entries = [b"a" * 300, b"b"]

    def tile(asked: ToolAsked) -> ToolTold | bytes:
        path = asked.arguments["path"]
        if path == "tile/entries/000.p/2":
            number = int(asked.cursor or "0")
            text = base64.b64encode(entries[number]).decode()
            return ToolTold(tool="audit-tile", result={"entries": [text]}, next="1" if number == 0 else "")
        if path == "tile/0/000":
            return ToolTold(
                tool="audit-tile", result={"hashes": [base64.b64encode(b"\1" * 32).decode()] * 256}
            )
        return problem("bad_arguments", f"{path} is no file of a log")

    gateway.plant.answers["audit-tile"] = tile
    gateway.plant.answers["audit-checkpoint"] = lambda asked: ToolTold(
        tool=asked.tool, result={"note": "plantops/demo\n2\nAA=\n\n— x y\n"}
    )
    async with gateway.client("viewer") as client:
        bundle = await client.get("/v1/audit/tile/entries/000.p/2")
        hashes = await client.get("/v1/audit/tile/0/000")
        note = await client.get("/v1/audit/checkpoint")
        nothing = await client.get("/v1/audit/tile/../../etc/passwd")
        wrong = await client.get("/v1/audit/tile/9/9")
    assert bundle.content == b"\x01\x2c" + b"a" * 300 + b"\x00\x01b"
    assert bundle.headers["cache-control"] == "no-cache"
    assert hashes.content == b"\1" * 32 * 256
    assert "immutable" in hashes.headers["cache-control"]
    assert note.text == "plantops/demo\n2\nAA=\n\n— x y\n"
    assert note.headers["content-type"].startswith("text/plain")
    assert (nothing.status_code, wrong.status_code) == (404, 404)


@pytest.mark.parametrize("query", ["", "?command=a&index=1"])
async def test_a_proof_is_of_a_command_or_of_a_record(gateway: Gateway, query: str) -> None:
    async with gateway.client("viewer") as client:
        answer = await client.get(f"/v1/audit/proofs{query}")
    assert answer.status_code == 409


async def test_without_credentials_nothing_of_the_plant_is_told(gateway: Gateway) -> None:
    async with gateway.client("") as client:
        document = (await client.get("/openapi.json")).json()
        for path, operations in document["paths"].items():
            if path in ("/health", "/ready", "/metrics") or path.startswith("/delegate"):
                continue
            for method in operations:
                place = path.replace("{turn}", "1").replace("{", "").replace("}", "")
                answer = await client.request(method.upper(), place)
                assert answer.status_code == 401, (method, path, answer.text)
